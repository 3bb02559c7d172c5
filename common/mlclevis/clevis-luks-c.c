/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * LUKS headers.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clevis-stubs.h"

struct header {
  struct vault_luks *luks;
  bool ready;
};

#define Header_val(v) ((struct header *) Data_custom_val (v))

static void
finalize_luks (value luksv)
{
  vault_luks_free (Header_val (luksv)->luks);
}

static struct custom_operations luks_operations = {
  .identifier = "virt-nbde-unlock.luks",
  .finalize = finalize_luks,
  .compare = custom_compare_default,
  .hash = custom_hash_default,
  .serialize = custom_serialize_default,
  .deserialize = custom_deserialize_default,
  .compare_ext = custom_compare_ext_default,
};

/* NULL after it was released. */
static struct vault_luks *
get_luks (value luksv)
{
  if (Header_val (luksv)->luks == NULL)
    caml_invalid_argument ("Clevis.Luks: the header was released");
  return Header_val (luksv)->luks;
}

extern value nbde_luks_release (value luksv);

/* The volume key goes with it. */
value
nbde_luks_release (value luksv)
{
  vault_luks_free (Header_val (luksv)->luks);
  Header_val (luksv)->luks = NULL;
  return Val_unit;
}

struct vault_luks *
stub_get_ready_luks (value luksv)
{
  struct vault_luks *luks = get_luks (luksv);

  if (!Header_val (luksv)->ready)
    caml_invalid_argument ("Clevis.Luks: the header was not loaded");
  return luks;
}

extern value nbde_luks_create (value devicev, value sizev);

value
nbde_luks_create (value devicev, value sizev)
{
  CAMLparam2 (devicev, sizev);
  CAMLlocal1 (luksv);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  luksv = caml_alloc_custom (&luks_operations, sizeof (struct header), 0, 1);
  Header_val (luksv)->ready = false;
  Header_val (luksv)->luks = NULL;
  Header_val (luksv)->luks = vault_luks_new (stub_vault (),
                                             String_val (devicev),
                                             Int64_val (sizev), &err);
  if (Header_val (luksv)->luks == NULL)
    stub_raise_error (&err);
  CAMLreturn (luksv);
}

static value
copy_extent (const struct luks_extent *ext)
{
  CAMLparam0 ();
  CAMLlocal1 (needv);

  needv = caml_alloc (2, 0);
  Store_field (needv, 0, caml_copy_int64 (ext->offset));
  Store_field (needv, 1, Val_long (ext->length));
  CAMLreturn (needv);
}

extern value nbde_luks_next (value luksv);

value
nbde_luks_next (value luksv)
{
  CAMLparam1 (luksv);
  struct vault_luks *luks = get_luks (luksv);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct luks_extent ext = { 0, 0 };
  enum luks_state state;

  caml_enter_blocking_section ();
  state = vault_luks_next (luks, &ext, &err);
  caml_leave_blocking_section ();

  switch (state) {
  case LUKS_NEED:
    CAMLreturn (copy_extent (&ext));
  case LUKS_READY:
    Header_val (luksv)->ready = true;
    CAMLreturn (Val_int (0));
  case LUKS_NONE:
    CAMLreturn (Val_int (1));
  case LUKS_ERROR:
    break;
  }
  stub_raise_error (&err);
}

extern value nbde_luks_supply (value luksv, value offsetv, value datav);

/* The bytes are copied at once, so they need not be copied here. */
value
nbde_luks_supply (value luksv, value offsetv, value datav)
{
  CAMLparam3 (luksv, offsetv, datav);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  if (vault_luks_supply (get_luks (luksv), Int64_val (offsetv),
                         String_val (datav), caml_string_length (datav),
                         &err) == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_unit);
}

static value
copy_keyslot (const void *item)
{
  CAMLparam0 ();
  CAMLlocal1 (slotv);
  const struct heard_keyslot *k = item;

  slotv = caml_alloc (10, 0);
  Store_field (slotv, 0, Val_int (k->slot));
  Store_field (slotv, 1, stub_copy_string (k->kdf));
  Store_field (slotv, 2, stub_copy_string_option (k->hash));
  Store_field (slotv, 3, Val_long (k->iterations));
  Store_field (slotv, 4, Val_long (k->memory));
  Store_field (slotv, 5, Val_long (k->threads));
  Store_field (slotv, 6, stub_copy_string (k->cipher));
  Store_field (slotv, 7, Val_int (k->key_size));
  Store_field (slotv, 8, stub_copy_string (k->priority));
  Store_field (slotv, 9, stub_copy_string_option (k->refused));
  CAMLreturn (slotv);
}

static value
copy_param (const void *item)
{
  CAMLparam0 ();
  CAMLlocal1 (pairv);
  const struct heard_param *param = item;

  pairv = caml_alloc (2, 0);
  Store_field (pairv, 0, stub_copy_string (param->name));
  Store_field (pairv, 1, stub_copy_string (param->value));
  CAMLreturn (pairv);
}

/* The depth of a tree is limited by what is heard of it. */
static value
copy_pin (const void *item)
{
  CAMLparam0 ();
  CAMLlocal4 (pinv, childrenv, paramsv, unusablev);
  const struct heard_pin *pin = item;

  childrenv = stub_copy_list (copy_pin, pin->children, pin->nr_children,
                              sizeof *pin->children);
  paramsv = stub_copy_list (copy_param, pin->params, pin->nr_params,
                            sizeof *pin->params);
  unusablev = Val_none;
  if (pin->has_failed)
    unusablev = caml_alloc_some (stub_copy_error (&pin->error));

  pinv = caml_alloc (11, 0);
  Store_field (pinv, 0, stub_copy_string (pin->name));
  Store_field (pinv, 1, stub_copy_string (pin->path));
  Store_field (pinv, 2, Val_int (pin->threshold));
  Store_field (pinv, 3, childrenv);
  Store_field (pinv, 4, stub_copy_string_option (pin->url));
  Store_field (pinv, 5, stub_copy_string_option (pin->kid));
  Store_field (pinv, 6, stub_copy_string_option (pin->thp_alg));
  Store_field (pinv, 7, stub_copy_string_option (pin->curve));
  Store_field (pinv, 8, paramsv);
  Store_field (pinv, 9, stub_copy_string_option (pin->warning));
  Store_field (pinv, 10, unusablev);
  CAMLreturn (pinv);
}

static value
copy_number (const void *item)
{
  return Val_int (*(const int *) item);
}

static value
copy_token (const void *item)
{
  CAMLparam0 ();
  CAMLlocal4 (tokenv, slotsv, pinv, brokenv);
  const struct heard_token *t = item;

  slotsv = stub_copy_list (copy_number, t->keyslots, t->nr_keyslots,
                           sizeof *t->keyslots);
  pinv = brokenv = Val_none;
  if (t->has_pin)
    pinv = caml_alloc_some (copy_pin (&t->pin));
  if (t->is_broken)
    brokenv = caml_alloc_some (stub_copy_error (&t->error));

  tokenv = caml_alloc (6, 0);
  Store_field (tokenv, 0, Val_int (t->id));
  Store_field (tokenv, 1, stub_copy_string (t->kind));
  Store_field (tokenv, 2, slotsv);
  Store_field (tokenv, 3, pinv);
  Store_field (tokenv, 4, stub_copy_string_option (t->stale));
  Store_field (tokenv, 5, brokenv);
  CAMLreturn (tokenv);
}

static const struct heard_luks *
list (value luksv)
{
  struct clevis_error err = CLEVIS_ERROR_INIT;
  const struct heard_luks *heard =
    vault_luks_list (stub_get_ready_luks (luksv), &err);

  if (heard == NULL)
    stub_raise_error (&err);
  return heard;
}

extern value nbde_luks_info (value luksv);

value
nbde_luks_info (value luksv)
{
  CAMLparam1 (luksv);
  CAMLlocal3 (infov, slotsv, tokensv);
  const struct heard_luks *heard = list (luksv);

  slotsv = stub_copy_list (copy_keyslot, heard->keyslots, heard->nr_keyslots,
                           sizeof *heard->keyslots);
  tokensv = stub_copy_list (copy_token, heard->tokens, heard->nr_tokens,
                            sizeof *heard->tokens);
  infov = caml_alloc (10, 0);
  Store_field (infov, 0, Val_int (heard->version));
  Store_field (infov, 1, stub_copy_string (heard->uuid));
  Store_field (infov, 2, stub_copy_string (heard->label));
  Store_field (infov, 3, stub_copy_string (heard->cipher));
  Store_field (infov, 4, Val_int (heard->key_size));
  Store_field (infov, 5, Val_int (heard->sector_size));
  Store_field (infov, 6, caml_copy_int64 (heard->data_offset));
  Store_field (infov, 7, stub_copy_string_option (heard->note));
  Store_field (infov, 8, slotsv);
  Store_field (infov, 9, tokensv);
  CAMLreturn (infov);
}

extern value nbde_luks_is_quick (value luksv);

value
nbde_luks_is_quick (value luksv)
{
  CAMLparam1 (luksv);

  CAMLreturn (Val_bool (list (luksv)->is_quick));
}

static value
copy_change (const void *item)
{
  CAMLparam0 ();
  CAMLlocal2 (changev, datav);
  const struct vault_change *change = item;

  datav = caml_alloc_initialized_string (change->extent.length,
                                         (const char *) change->bytes);
  changev = caml_alloc (2, 0);
  Store_field (changev, 0, caml_copy_int64 (change->extent.offset));
  Store_field (changev, 1, datav);
  CAMLreturn (changev);
}

extern value nbde_luks_quicken (value luksv, value keyv, value keyslotv);

value
nbde_luks_quicken (value luksv, value keyv, value keyslotv)
{
  CAMLparam3 (luksv, keyv, keyslotv);
  CAMLlocal1 (changesv);
  struct vault_luks *luks = stub_get_ready_luks (luksv);
  struct vault_key *key = stub_get_key (keyv);
  const int keyslot = Int_val (keyslotv);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct vault_change *changes;
  int n;

  caml_enter_blocking_section ();
  n = vault_luks_quicken (luks, key, keyslot, &changes, &err);
  caml_leave_blocking_section ();

  if (n == -1)
    stub_raise_error (&err);
  changesv = stub_copy_list (copy_change, changes, n, sizeof *changes);
  vault_changes_free (changes, n);
  CAMLreturn (changesv);
}

extern value nbde_luks_data_extent (value luksv);

value
nbde_luks_data_extent (value luksv)
{
  CAMLparam1 (luksv);
  CAMLlocal1 (extentv);
  struct vault_luks *luks = stub_get_ready_luks (luksv);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct luks_data_extent extent;

  if (vault_luks_data_extent (luks, &extent, &err) == -1)
    stub_raise_error (&err);
  extentv = caml_alloc (3, 0);
  Store_field (extentv, 0, caml_copy_int64 (extent.offset));
  Store_field (extentv, 1, caml_copy_int64 (extent.length));
  Store_field (extentv, 2, Val_long (extent.sector_size));
  CAMLreturn (extentv);
}

extern value nbde_luks_unlock (value luksv, value keyv, value keyslotv);

value
nbde_luks_unlock (value luksv, value keyv, value keyslotv)
{
  CAMLparam3 (luksv, keyv, keyslotv);
  struct vault_luks *luks = stub_get_ready_luks (luksv);
  struct vault_key *key = stub_get_key (keyv);
  const int keyslot = Int_val (keyslotv);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  int r;

  caml_enter_blocking_section ();
  r = vault_luks_unlock (luks, key, keyslot, &err);
  caml_leave_blocking_section ();

  if (r == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_unit);
}

/* The key may have to be recovered again, which takes time. */
static int
decrypt (struct vault_luks *luks, uint64_t offset, const void *data,
         void *plain, size_t len, struct clevis_error *err)
{
  int r;

  if (data == NULL || plain == NULL)
    return clevis_error_errno (err, ENOMEM, "%s", vault_luks_device (luks));
  caml_enter_blocking_section ();
  r = vault_luks_decrypt (luks, offset, data, plain, len, err);
  caml_leave_blocking_section ();
  return r;
}

extern value nbde_luks_decrypt (value luksv, value offsetv, value datav);

value
nbde_luks_decrypt (value luksv, value offsetv, value datav)
{
  CAMLparam3 (luksv, offsetv, datav);
  CAMLlocal1 (plainv);
  struct vault_luks *luks = stub_get_ready_luks (luksv);
  const size_t len = caml_string_length (datav);
  char *data = malloc (len + 1), *plain = malloc (len + 1);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  int r;

  if (data)
    memcpy (data, String_val (datav), len);
  r = decrypt (luks, Int64_val (offsetv), data, plain, len, &err);
  if (r == 0)
    plainv = caml_alloc_initialized_string (len, plain);
  free (data);
  free (plain);
  if (r == -1)
    stub_raise_error (&err);
  CAMLreturn (plainv);
}
