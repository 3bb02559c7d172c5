/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The exchange and its results.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clevis-stubs.h"

#define Exchange_val(v) (*(struct exchange **) Data_custom_val (v))

/* Exchange.run frees it, since what it borrows must live longer and the
 * garbage collector knows no order.
 */
static struct custom_operations exchange_operations = {
  .identifier = "virt-nbde-unlock.exchange",
  .finalize = custom_finalize_default,
  .compare = custom_compare_default,
  .hash = custom_hash_default,
  .serialize = custom_serialize_default,
  .deserialize = custom_deserialize_default,
  .compare_ext = custom_compare_ext_default,
};

extern value nbde_exchange_create (value policyv);

value
nbde_exchange_create (value policyv)
{
  CAMLparam1 (policyv);
  CAMLlocal1 (exchangev);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  exchangev = caml_alloc_custom (&exchange_operations,
                                 sizeof (struct exchange *), 0, 1);
  Exchange_val (exchangev) = exchange_new (stub_get_policy (policyv), &err);
  if (Exchange_val (exchangev) == NULL)
    stub_raise_error (&err);
  CAMLreturn (exchangev);
}

extern value nbde_exchange_free (value exchangev);

value
nbde_exchange_free (value exchangev)
{
  exchange_free (Exchange_val (exchangev));
  Exchange_val (exchangev) = NULL;
  return Val_unit;
}

extern value nbde_exchange_is_left (value unitv);

value
nbde_exchange_is_left (value unitv)
{
  (void) unitv;
  return Val_bool (exchange_is_left ());
}

extern value nbde_exchange_add (value exchangev, value luksv);

value
nbde_exchange_add (value exchangev, value luksv)
{
  CAMLparam2 (exchangev, luksv);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  if (exchange_add (Exchange_val (exchangev), stub_get_ready_luks (luksv),
                    &err) == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_unit);
}

extern value nbde_exchange_step (value exchangev, value msv);

value
nbde_exchange_step (value exchangev, value msv)
{
  CAMLparam2 (exchangev, msv);
  struct exchange *exchange = Exchange_val (exchangev);
  const int ms = Int_val (msv);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  int r;

  caml_enter_blocking_section ();
  r = exchange_step (exchange, ms, &err);
  caml_leave_blocking_section ();

  if (r == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_bool (r == 1));
}

static void
set_if_missing (char **to, const char *from)
{
  if (*to == NULL && from != NULL)
    *to = strdup (from);
}

/* A pin's error, with the context that the pin itself does not know. */
static value
copy_pin_error (const struct exchange_device *device,
                const struct luks_token *token, const struct pin *pin)
{
  CAMLparam0 ();
  CAMLlocal1 (errorv);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  clevis_error_copy (&err, &pin->error);
  set_if_missing (&err.device, luks_device (device->luks));
  set_if_missing (&err.pin, pin->path);
  set_if_missing (&err.url, pin->url);
  set_if_missing (&err.address, pin->address);
  if (err.token == -1)
    err.token = token->id;
  errorv = stub_copy_error (&err);
  clevis_error_clear (&err);
  CAMLreturn (errorv);
}

static value
copy_binding_error (const struct exchange_device *device,
                    const struct binding *binding)
{
  CAMLparam0 ();
  CAMLlocal1 (errorv);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  clevis_error_copy (&err, &binding->error);
  set_if_missing (&err.device, luks_device (device->luks));
  if (err.token == -1)
    err.token = binding->token->id;
  errorv = stub_copy_error (&err);
  clevis_error_clear (&err);
  CAMLreturn (errorv);
}

/* The functions below walk a tree from its last leaf to its first and put
 * what they find in front of a list.
 */
static value
cons_leaves (const struct exchange_device *device,
             const struct luks_token *token, const struct pin *pin,
             value listv)
{
  CAMLparam1 (listv);
  CAMLlocal2 (leafv, errorv);
  size_t i;

  for (i = pin->nr_children; i > 0; --i)
    listv = cons_leaves (device, token, pin->children[i - 1], listv);
  if (pin->nr_children > 0)
    CAMLreturn (listv);

  errorv = Val_none;
  if (pin->state == PIN_FAILED) {
    errorv = copy_pin_error (device, token, pin);
    errorv = caml_alloc_some (errorv);
  }
  leafv = caml_alloc (7, 0);
  Store_field (leafv, 0, Val_int (token->id));
  Store_field (leafv, 1, stub_copy_string (pin->path));
  Store_field (leafv, 2, stub_copy_string_option (pin->url));
  Store_field (leafv, 3, stub_copy_string_option (pin->address));
  Store_field (leafv, 4, caml_copy_double (pin->seconds));
  Store_field (leafv, 5, Val_bool (pin->state == PIN_DONE));
  Store_field (leafv, 6, errorv);
  CAMLreturn (stub_cons (leafv, listv));
}

static value
cons_servers (const struct pin *pin, value listv)
{
  CAMLparam1 (listv);
  CAMLlocal1 (urlv);
  size_t i;

  for (i = pin->nr_children; i > 0; --i)
    listv = cons_servers (pin->children[i - 1], listv);
  if (pin->nr_children == 0 && pin->url != NULL && pin->state == PIN_DONE) {
    urlv = caml_copy_string (pin->url);
    listv = stub_cons (urlv, listv);
  }
  CAMLreturn (listv);
}

static value
cons_warnings (const struct pin *pin, value listv)
{
  CAMLparam1 (listv);
  CAMLlocal1 (warningv);
  size_t i;

  for (i = pin->nr_children; i > 0; --i)
    listv = cons_warnings (pin->children[i - 1], listv);
  if (pin->warning != NULL) {
    warningv = caml_copy_string (pin->warning);
    listv = stub_cons (warningv, listv);
  }
  CAMLreturn (listv);
}

static value
cons_leaf_errors (const struct exchange_device *device,
                  const struct luks_token *token, const struct pin *pin,
                  value listv)
{
  CAMLparam1 (listv);
  CAMLlocal1 (errorv);
  size_t i;

  for (i = pin->nr_children; i > 0; --i)
    listv = cons_leaf_errors (device, token, pin->children[i - 1], listv);
  if (pin->nr_children == 0 && pin->state == PIN_FAILED) {
    errorv = copy_pin_error (device, token, pin);
    listv = stub_cons (errorv, listv);
  }
  CAMLreturn (listv);
}

static value
copy_errors (const struct exchange_device *device)
{
  CAMLparam0 ();
  CAMLlocal2 (errorsv, errorv);
  size_t i;

  errorsv = Val_emptylist;
  for (i = device->nr_bindings; i > 0; --i) {
    const struct binding *binding = &device->bindings[i - 1];

    if (binding->error.code != CLEVIS_OK) {
      errorv = copy_binding_error (device, binding);
      errorsv = stub_cons (errorv, errorsv);
    }
    if (binding->pin != NULL)
      errorsv = cons_leaf_errors (device, binding->token, binding->pin,
                                  errorsv);
  }
  errorv = stub_copy_error (&device->error);
  CAMLreturn (stub_cons (errorv, errorsv));
}

static value
copy_unlocked (struct exchange *exchange, size_t i,
               const struct exchange_device *device)
{
  CAMLparam0 ();
  CAMLlocal3 (unlockedv, keyv, serversv);
  const struct binding *by = device->by;

  serversv = Val_emptylist;
  if (by->pin != NULL)
    serversv = cons_servers (by->pin, serversv);
  keyv = stub_alloc_key ();

  unlockedv = caml_alloc (6, 0);
  Store_field (unlockedv, 0, keyv);
  Store_field (unlockedv, 1, Val_int (device->keyslot));
  Store_field (unlockedv, 2, Val_int (by->token->id));
  Store_field (unlockedv, 3, serversv);
  Store_field (unlockedv, 4, caml_copy_double (device->seconds));
  Store_field (unlockedv, 5, caml_copy_double (by->verify_seconds));
  Key_val (keyv) = exchange_take_key (exchange, i);
  CAMLreturn (unlockedv);
}

/* The constructors with arguments of Exchange.status, in order. */
enum status_tag {
  TAG_UNLOCKED,
  TAG_FAILED,
};

static value
copy_status (struct exchange *exchange, size_t i,
             const struct exchange_device *device)
{
  CAMLparam0 ();
  CAMLlocal2 (statusv, argv);

  if (device->status == EXCHANGE_UNBOUND)
    CAMLreturn (Val_int (0));

  if (device->status == EXCHANGE_UNLOCKED) {
    argv = copy_unlocked (exchange, i, device);
    statusv = caml_alloc (1, TAG_UNLOCKED);
  } else {
    argv = copy_errors (device);
    statusv = caml_alloc (1, TAG_FAILED);
  }
  Store_field (statusv, 0, argv);
  CAMLreturn (statusv);
}

extern value nbde_exchange_result (value exchangev, value iv);

value
nbde_exchange_result (value exchangev, value iv)
{
  CAMLparam2 (exchangev, iv);
  CAMLlocal3 (resultv, leavesv, warningsv);
  struct exchange *exchange = Exchange_val (exchangev);
  const size_t i = Long_val (iv);
  const struct exchange_device *device = exchange_device (exchange, i);
  size_t j;

  leavesv = warningsv = Val_emptylist;
  for (j = device->nr_bindings; j > 0; --j) {
    const struct binding *binding = &device->bindings[j - 1];

    if (binding->pin == NULL)
      continue;
    leavesv = cons_leaves (device, binding->token, binding->pin, leavesv);
    warningsv = cons_warnings (binding->pin, warningsv);
  }

  resultv = caml_alloc (3, 0);
  Store_field (resultv, 0, copy_status (exchange, i, device));
  Store_field (resultv, 1, leavesv);
  Store_field (resultv, 2, warningsv);
  CAMLreturn (resultv);
}
