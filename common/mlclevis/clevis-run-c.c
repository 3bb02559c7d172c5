/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Exchanges, preflights, and how each device ended.
 */

#include <config.h>

#include "clevis-stubs.h"
#include "exchange/exchange.h"

#define Run_val(v) (*(struct vault_run **) Data_custom_val (v))

/* Exchange.run and Preflight.run free it, since what it borrows must live
 * longer and the garbage collector knows no order.
 */
static struct custom_operations run_operations = {
  .identifier = "virt-nbde-unlock.run",
  .finalize = custom_finalize_default,
  .compare = custom_compare_default,
  .hash = custom_hash_default,
  .serialize = custom_serialize_default,
  .deserialize = custom_deserialize_default,
  .compare_ext = custom_compare_ext_default,
};

static value
own_run (struct vault_run *run, struct clevis_error *err)
{
  value runv;

  if (run == NULL)
    stub_raise_error (err);
  runv = caml_alloc_custom (&run_operations, sizeof (struct vault_run *), 0,
                            1);
  Run_val (runv) = run;
  return runv;
}

extern value nbde_exchange_create (value policyv);

value
nbde_exchange_create (value policyv)
{
  CAMLparam1 (policyv);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  CAMLreturn (own_run (vault_exchange_new (stub_vault (),
                                           stub_get_policy (policyv), &err),
                       &err));
}

extern value nbde_preflight_create (value policyv, value probev);

value
nbde_preflight_create (value policyv, value probev)
{
  CAMLparam2 (policyv, probev);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  CAMLreturn (own_run (vault_preflight_new (stub_vault (),
                                            stub_get_policy (policyv),
                                            Bool_val (probev), &err),
                       &err));
}

extern value nbde_run_free (value runv);

value
nbde_run_free (value runv)
{
  vault_run_free (Run_val (runv));
  Run_val (runv) = NULL;
  return Val_unit;
}

extern value nbde_run_add (value runv, value luksv);

value
nbde_run_add (value runv, value luksv)
{
  CAMLparam2 (runv, luksv);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  if (vault_run_add (Run_val (runv), stub_get_ready_luks (luksv),
                     &err) == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_unit);
}

extern value nbde_run_step (value runv, value msv);

value
nbde_run_step (value runv, value msv)
{
  CAMLparam2 (runv, msv);
  struct vault_run *run = Run_val (runv);
  const int ms = Int_val (msv);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  int r;

  caml_enter_blocking_section ();
  r = vault_run_step (run, ms, &err);
  caml_leave_blocking_section ();

  if (r == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_bool (r == 1));
}

static value
copy_error_of (const struct heard_leaf *leaf)
{
  return leaf->has_failed ? caml_alloc_some (stub_copy_error (&leaf->error))
    : Val_none;
}

static value
copy_leaf (const void *item)
{
  CAMLparam0 ();
  CAMLlocal2 (leafv, errorv);
  const struct heard_leaf *leaf = item;

  errorv = copy_error_of (leaf);
  leafv = caml_alloc (7, 0);
  Store_field (leafv, 0, Val_int (leaf->token));
  Store_field (leafv, 1, stub_copy_string (leaf->pin));
  Store_field (leafv, 2, stub_copy_string_option (leaf->url));
  Store_field (leafv, 3, stub_copy_string_option (leaf->address));
  Store_field (leafv, 4, caml_copy_double (leaf->seconds));
  Store_field (leafv, 5, Val_bool (leaf->answered));
  Store_field (leafv, 6, errorv);
  CAMLreturn (leafv);
}

static value
copy_checked (const void *item)
{
  CAMLparam0 ();
  CAMLlocal2 (leafv, errorv);
  const struct heard_leaf *leaf = item;

  errorv = copy_error_of (leaf);
  leafv = caml_alloc (8, 0);
  Store_field (leafv, 0, Val_int (leaf->token));
  Store_field (leafv, 1, stub_copy_string (leaf->pin));
  Store_field (leafv, 2, Val_int (leaf->key));
  Store_field (leafv, 3, Val_bool (leaf->signatures));
  Store_field (leafv, 4, caml_copy_double (leaf->seconds));
  Store_field (leafv, 5, stub_copy_string_option (leaf->address));
  Store_field (leafv, 6, stub_copy_string_option (leaf->certificate_expiry));
  Store_field (leafv, 7, errorv);
  CAMLreturn (leafv);
}

static value
copy_text (const void *item)
{
  return stub_copy_string (*(char *const *) item);
}

static value
copy_error (const void *item)
{
  return stub_copy_error (item);
}

static value
copy_unlocked (struct vault_run *run, size_t i,
               const struct heard_outcome *o)
{
  CAMLparam0 ();
  CAMLlocal3 (unlockedv, keyv, serversv);

  serversv = stub_copy_list (copy_text, o->servers, o->nr_servers,
                             sizeof *o->servers);
  keyv = stub_alloc_key ();
  unlockedv = caml_alloc (6, 0);
  Store_field (unlockedv, 0, keyv);
  Store_field (unlockedv, 1, Val_int (o->keyslot));
  Store_field (unlockedv, 2, Val_int (o->token));
  Store_field (unlockedv, 3, serversv);
  Store_field (unlockedv, 4, caml_copy_double (o->seconds));
  Store_field (unlockedv, 5, caml_copy_double (o->verify_seconds));
  Key_val (keyv) = vault_run_take_key (run, i);
  CAMLreturn (unlockedv);
}

/* The constructors with arguments of Exchange.status, in order. */
enum status_tag {
  TAG_UNLOCKED,
  TAG_FAILED,
};

static value
copy_status (struct vault_run *run, size_t i, const struct heard_outcome *o)
{
  CAMLparam0 ();
  CAMLlocal2 (statusv, argv);

  if (o->status == EXCHANGE_UNBOUND)
    CAMLreturn (Val_int (0));

  if (o->status == EXCHANGE_UNLOCKED) {
    argv = copy_unlocked (run, i, o);
    statusv = caml_alloc (1, TAG_UNLOCKED);
  } else {
    argv = stub_copy_list (copy_error, o->errors, o->nr_errors,
                           sizeof *o->errors);
    statusv = caml_alloc (1, TAG_FAILED);
  }
  Store_field (statusv, 0, argv);
  CAMLreturn (statusv);
}

extern value nbde_exchange_result (value runv, value iv);

value
nbde_exchange_result (value runv, value iv)
{
  CAMLparam2 (runv, iv);
  CAMLlocal4 (resultv, statusv, leavesv, warningsv);
  struct vault_run *run = Run_val (runv);
  const size_t i = Long_val (iv);
  const struct heard_outcome *o = vault_run_outcome (run, i);

  statusv = copy_status (run, i, o);
  leavesv = stub_copy_list (copy_leaf, o->leaves, o->nr_leaves,
                            sizeof *o->leaves);
  warningsv = stub_copy_list (copy_text, o->warnings, o->nr_warnings,
                              sizeof *o->warnings);
  resultv = caml_alloc (3, 0);
  Store_field (resultv, 0, statusv);
  Store_field (resultv, 1, leavesv);
  Store_field (resultv, 2, warningsv);
  CAMLreturn (resultv);
}

extern value nbde_preflight_result (value runv, value iv);

value
nbde_preflight_result (value runv, value iv)
{
  CAMLparam2 (runv, iv);
  CAMLlocal2 (resultv, leavesv);
  const struct heard_outcome *o = vault_run_outcome (Run_val (runv),
                                                     Long_val (iv));

  leavesv = stub_copy_list (copy_checked, o->leaves, o->nr_leaves,
                            sizeof *o->leaves);
  resultv = caml_alloc (2, 0);
  Store_field (resultv, 0, Val_int (o->status));
  Store_field (resultv, 1, leavesv);
  CAMLreturn (resultv);
}
