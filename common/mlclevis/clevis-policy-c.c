/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The policy.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clevis-stubs.h"

static void
finalize_policy (value policyv)
{
  policy_free (Policy_val (policyv));
}

static struct custom_operations policy_operations = {
  .identifier = "virt-nbde-unlock.policy",
  .finalize = finalize_policy,
  .compare = custom_compare_default,
  .hash = custom_hash_default,
  .serialize = custom_serialize_default,
  .deserialize = custom_deserialize_default,
  .compare_ext = custom_compare_ext_default,
};

extern value nbde_policy_create (value unitv);

value
nbde_policy_create (value unitv)
{
  CAMLparam1 (unitv);
  CAMLlocal1 (policyv);

  policyv = caml_alloc_custom (&policy_operations, sizeof (struct policy *),
                               0, 1);
  Policy_val (policyv) = policy_new ();
  if (Policy_val (policyv) == NULL)
    caml_raise_out_of_memory ();
  CAMLreturn (policyv);
}

extern value nbde_policy_allow (value policyv, value patternv);

value
nbde_policy_allow (value policyv, value patternv)
{
  CAMLparam2 (policyv, patternv);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  if (policy_allow (Policy_val (policyv), String_val (patternv), &err) == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_unit);
}

extern value nbde_policy_set_timeout (value policyv, value msv);

value
nbde_policy_set_timeout (value policyv, value msv)
{
  policy_settings (Policy_val (policyv))->timeout = Long_val (msv);
  return Val_unit;
}
