/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The preflight and what it found out.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clevis-stubs.h"
#include "exchange/preflight.h"

#define Preflight_val(v) (*(struct preflight **) Data_custom_val (v))

/* Preflight.run frees it, as Exchange.run does with an exchange. */
static struct custom_operations preflight_operations = {
  .identifier = "virt-nbde-unlock.preflight",
  .finalize = custom_finalize_default,
  .compare = custom_compare_default,
  .hash = custom_hash_default,
  .serialize = custom_serialize_default,
  .deserialize = custom_deserialize_default,
  .compare_ext = custom_compare_ext_default,
};

extern value nbde_preflight_create (value policyv, value probev);

value
nbde_preflight_create (value policyv, value probev)
{
  CAMLparam2 (policyv, probev);
  CAMLlocal1 (preflightv);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  preflightv = caml_alloc_custom (&preflight_operations,
                                  sizeof (struct preflight *), 0, 1);
  Preflight_val (preflightv) = preflight_new (stub_get_policy (policyv),
                                              Bool_val (probev), &err);
  if (Preflight_val (preflightv) == NULL)
    stub_raise_error (&err);
  CAMLreturn (preflightv);
}

extern value nbde_preflight_free (value preflightv);

value
nbde_preflight_free (value preflightv)
{
  preflight_free (Preflight_val (preflightv));
  Preflight_val (preflightv) = NULL;
  return Val_unit;
}

extern value nbde_preflight_add (value preflightv, value luksv);

value
nbde_preflight_add (value preflightv, value luksv)
{
  CAMLparam2 (preflightv, luksv);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  if (preflight_add (Preflight_val (preflightv), stub_get_ready_luks (luksv),
                     &err) == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_unit);
}

extern value nbde_preflight_step (value preflightv, value msv);

value
nbde_preflight_step (value preflightv, value msv)
{
  CAMLparam2 (preflightv, msv);
  struct preflight *preflight = Preflight_val (preflightv);
  const int ms = Int_val (msv);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  int r;

  caml_enter_blocking_section ();
  r = preflight_step (preflight, ms, &err);
  caml_leave_blocking_section ();

  if (r == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_bool (r == 1));
}

static value
copy_leaf (const struct preflight_leaf *leaf)
{
  CAMLparam0 ();
  CAMLlocal2 (leafv, errorv);

  errorv = Val_none;
  if (leaf->error.code != CLEVIS_OK) {
    errorv = stub_copy_error (&leaf->error);
    errorv = caml_alloc_some (errorv);
  }
  leafv = caml_alloc (8, 0);
  Store_field (leafv, 0, Val_int (leaf->token));
  Store_field (leafv, 1, stub_copy_string (leaf->pin->path));
  Store_field (leafv, 2, Val_int (leaf->key));
  Store_field (leafv, 3, Val_bool (leaf->signatures));
  Store_field (leafv, 4, caml_copy_double (leaf->seconds));
  Store_field (leafv, 5, stub_copy_string_option (leaf->address));
  Store_field (leafv, 6, stub_copy_string_option (leaf->certificate_expiry));
  Store_field (leafv, 7, errorv);
  CAMLreturn (leafv);
}

extern value nbde_preflight_result (value preflightv, value iv);

value
nbde_preflight_result (value preflightv, value iv)
{
  CAMLparam2 (preflightv, iv);
  CAMLlocal3 (resultv, leavesv, leafv);
  const struct preflight_device *device =
    preflight_device (Preflight_val (preflightv), Long_val (iv));
  size_t i;

  leavesv = Val_emptylist;
  for (i = device->nr_leaves; i > 0; --i) {
    leafv = copy_leaf (&device->leaves[i - 1]);
    leavesv = stub_cons (leafv, leavesv);
  }
  resultv = caml_alloc (2, 0);
  Store_field (resultv, 0, Val_int (device->verdict));
  Store_field (resultv, 1, leavesv);
  CAMLreturn (resultv);
}
