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
#include "tang/share.h"

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

struct policy *
stub_get_policy (value policyv)
{
  if (Policy_val (policyv) == NULL)
    caml_invalid_argument ("Clevis.Policy: the policy was released");
  return Policy_val (policyv);
}

extern value nbde_policy_release (value policyv);

/* The keys of --tang-keydir and of --requests-state go with it. */
value
nbde_policy_release (value policyv)
{
  if (Policy_val (policyv) != NULL)
    vault_forget_answers (stub_vault (), NULL);
  policy_free (Policy_val (policyv));
  Policy_val (policyv) = NULL;
  return Val_unit;
}

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

  if (policy_allow (stub_get_policy (policyv), String_val (patternv), &err) == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_unit);
}

extern value nbde_policy_set_timeout (value policyv, value msv);

value
nbde_policy_set_timeout (value policyv, value msv)
{
  policy_settings (stub_get_policy (policyv))->timeout = Long_val (msv);
  return Val_unit;
}

extern value nbde_policy_map (value policyv, value mapv);

value
nbde_policy_map (value policyv, value mapv)
{
  CAMLparam2 (policyv, mapv);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  if (policy_map (stub_get_policy (policyv), String_val (mapv), &err) == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_unit);
}

extern value nbde_policy_resolve (value policyv, value entryv);

value
nbde_policy_resolve (value policyv, value entryv)
{
  CAMLparam2 (policyv, entryv);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  if (policy_resolve (stub_get_policy (policyv), String_val (entryv), &err) == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_unit);
}

/* The constructors of Clevis.Policy.number, in order; times are in
 * milliseconds.
 */
enum number {
  NUMBER_CONNECT_TIMEOUT,
  NUMBER_DEADLINE,
  NUMBER_RETRIES,
  NUMBER_PARALLEL,
};

extern value nbde_policy_set_number (value policyv, value whichv, value nv);

value
nbde_policy_set_number (value policyv, value whichv, value nv)
{
  struct policy_settings *settings = policy_settings (stub_get_policy (policyv));

  switch ((enum number) Int_val (whichv)) {
  case NUMBER_CONNECT_TIMEOUT:
    settings->connect_timeout = Long_val (nv);
    break;
  case NUMBER_DEADLINE:
    settings->deadline = Long_val (nv);
    break;
  case NUMBER_RETRIES:
    settings->retries = Int_val (nv);
    break;
  case NUMBER_PARALLEL:
    settings->parallel = Int_val (nv);
    break;
  }
  return Val_unit;
}

/* The constructors of Clevis.Policy.text, in order. */
enum text {
  TEXT_PROXY,
  TEXT_NO_PROXY,
  TEXT_CACERT,
  TEXT_CERT,
  TEXT_KEY,
};

static char **
text_of (struct policy_settings *settings, enum text which)
{
  switch (which) {
  case TEXT_PROXY:
    return &settings->proxy;
  case TEXT_NO_PROXY:
    return &settings->no_proxy;
  case TEXT_CACERT:
    return &settings->cacert;
  case TEXT_CERT:
    return &settings->cert;
  case TEXT_KEY:
    break;
  }
  return &settings->key;
}

extern value nbde_policy_set_text (value policyv, value whichv, value textv);

value
nbde_policy_set_text (value policyv, value whichv, value textv)
{
  CAMLparam3 (policyv, whichv, textv);
  char **text = text_of (policy_settings (stub_get_policy (policyv)),
                         Int_val (whichv));
  char *copy = strdup (String_val (textv));

  if (copy == NULL)
    caml_raise_out_of_memory ();
  free (*text);
  *text = copy;
  CAMLreturn (Val_unit);
}

extern value nbde_policy_set_share (value policyv, value pathv);

/* The folder is opened, so that what is wrong with it is known at once. */
value
nbde_policy_set_share (value policyv, value pathv)
{
  CAMLparam2 (policyv, pathv);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct policy *policy = stub_get_policy (policyv);
  struct share *share;
  char *path = strdup (String_val (pathv));

  if (path == NULL)
    caml_raise_out_of_memory ();
  free (policy_settings (policy)->share);
  policy_settings (policy)->share = path;
  share = share_new (policy, &err);
  if (share == NULL)
    stub_raise_error (&err);
  share_free (share);
  CAMLreturn (Val_unit);
}

/* What answers instead of servers is in the vault: there is one policy. */

extern value nbde_policy_set_keydir (value policyv, value pathv);

value
nbde_policy_set_keydir (value policyv, value pathv)
{
  CAMLparam2 (policyv, pathv);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  stub_get_policy (policyv);
  if (vault_use_keydir (stub_vault (), String_val (pathv), &err) == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_unit);
}

extern value nbde_policy_collect_requests (value policyv);

value
nbde_policy_collect_requests (value policyv)
{
  CAMLparam1 (policyv);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  stub_get_policy (policyv);
  if (vault_collect_requests (stub_vault (), &err) == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_unit);
}

extern value nbde_policy_use_replies (value policyv, value statev,
                                      value repliesv);

value
nbde_policy_use_replies (value policyv, value statev, value repliesv)
{
  CAMLparam3 (policyv, statev, repliesv);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  stub_get_policy (policyv);
  if (vault_use_replies (stub_vault (), String_val (statev),
                         String_val (repliesv), &err) == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_unit);
}

extern value nbde_policy_nr_requests (value policyv);

value
nbde_policy_nr_requests (value policyv)
{
  CAMLparam1 (policyv);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  size_t n = 0;

  stub_get_policy (policyv);
  if (vault_nr_requests (stub_vault (), &n, &err) == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_long (n));
}

extern value nbde_policy_dump (value policyv, value statev, value namev,
                               value fdv);

value
nbde_policy_dump (value policyv, value statev, value namev, value fdv)
{
  CAMLparam4 (policyv, statev, namev, fdv);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  const struct policy *policy = stub_get_policy (policyv);
  const char *name = String_val (namev);
  const int fd = Int_val (fdv);

  if ((Bool_val (statev)
       ? vault_dump_state (stub_vault (), fd, name, &err)
       : vault_dump_requests (stub_vault (), policy, fd, name, &err)) == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_unit);
}
