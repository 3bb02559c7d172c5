/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Keys: handles on what the vault has.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>

#include "clevis-stubs.h"

static void
finalize_key (value keyv)
{
  vault_key_free (Key_val (keyv));
}

/* The default functions refuse to compare and to marshal. */
static struct custom_operations key_operations = {
  .identifier = "virt-nbde-unlock.key",
  .finalize = finalize_key,
  .compare = custom_compare_default,
  .hash = custom_hash_default,
  .serialize = custom_serialize_default,
  .deserialize = custom_deserialize_default,
  .compare_ext = custom_compare_ext_default,
};

value
stub_alloc_key (void)
{
  value keyv = caml_alloc_custom (&key_operations,
                                  sizeof (struct vault_key *), 0, 1);

  Key_val (keyv) = NULL;
  return keyv;
}

struct vault_key *
stub_get_key (value keyv)
{
  if (Key_val (keyv) == NULL)
    caml_invalid_argument ("Clevis.Key: the key was released");
  return Key_val (keyv);
}

extern value nbde_key_release (value keyv);

value
nbde_key_release (value keyv)
{
  vault_key_free (Key_val (keyv));
  Key_val (keyv) = NULL;
  return Val_unit;
}

extern value nbde_key_length (value keyv);

value
nbde_key_length (value keyv)
{
  CAMLparam1 (keyv);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  size_t len = 0;

  if (vault_key_length (stub_get_key (keyv), &len, &err) == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_long (len));
}

extern value nbde_key_equal (value av, value bv);

value
nbde_key_equal (value av, value bv)
{
  CAMLparam2 (av, bv);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  bool equal = false;

  if (vault_key_equal (stub_get_key (av), stub_get_key (bv), &equal,
                       &err) == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_bool (equal));
}

extern value nbde_key_has_byte (value keyv, value bytev);

value
nbde_key_has_byte (value keyv, value bytev)
{
  CAMLparam2 (keyv, bytev);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  bool has = false;

  if (vault_key_has_byte (stub_get_key (keyv), Int_val (bytev), &has,
                          &err) == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_bool (has));
}

extern value nbde_key_read (value fdv);

value
nbde_key_read (value fdv)
{
  CAMLparam1 (fdv);
  CAMLlocal1 (keyv);
  struct vault *vault = stub_vault ();
  const int fd = Int_val (fdv);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct vault_key *key;

  keyv = stub_alloc_key ();
  caml_enter_blocking_section ();
  key = vault_key_read (vault, fd, &err);
  caml_leave_blocking_section ();

  if (key == NULL)
    stub_raise_unix_error (&err, "read");
  Key_val (keyv) = key;
  CAMLreturn (keyv);
}

/* Make a terminal show what is typed, or only the newline.  Returns true if
 * *old has what is to be restored.
 */
static bool
set_echo (int fd, bool echo, struct termios *old)
{
  struct termios quiet;

  if (echo || tcgetattr (fd, old) == -1)
    return false;
  quiet = *old;
  quiet.c_lflag &= ~ECHO;
  quiet.c_lflag |= ECHONL;
  return tcsetattr (fd, TCSAFLUSH, &quiet) == 0;
}

extern value nbde_key_read_line (value fdv, value echov);

value
nbde_key_read_line (value fdv, value echov)
{
  CAMLparam2 (fdv, echov);
  CAMLlocal1 (keyv);
  struct vault *vault = stub_vault ();
  const int fd = Int_val (fdv);
  const bool echo = Bool_val (echov);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct termios old;
  struct vault_key *key;
  bool changed, is_end;

  keyv = stub_alloc_key ();
  caml_enter_blocking_section ();
  changed = set_echo (fd, echo, &old);
  key = vault_key_read_line (vault, fd, &is_end, &err);
  if (changed)
    tcsetattr (fd, TCSADRAIN, &old);
  caml_leave_blocking_section ();

  if (key == NULL && is_end)
    CAMLreturn (Val_none);
  if (key == NULL)
    stub_raise_unix_error (&err, "read");
  Key_val (keyv) = key;
  CAMLreturn (caml_alloc_some (keyv));
}

extern value nbde_key_chomp (value keyv);

value
nbde_key_chomp (value keyv)
{
  CAMLparam1 (keyv);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  if (vault_key_chomp (stub_get_key (keyv), &err) == -1)
    stub_raise_error (&err);
  CAMLreturn (Val_unit);
}

static value
write_key (value keyv, value fdv, bool base64)
{
  CAMLparam2 (keyv, fdv);
  struct vault_key *key = stub_get_key (keyv);
  const int fd = Int_val (fdv);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  int r;

  caml_enter_blocking_section ();
  r = vault_key_write (key, fd, base64, &err);
  caml_leave_blocking_section ();
  if (r == -1)
    stub_raise_unix_error (&err, "write");
  CAMLreturn (Val_unit);
}

extern value nbde_key_write (value keyv, value fdv);

value
nbde_key_write (value keyv, value fdv)
{
  return write_key (keyv, fdv, false);
}

extern value nbde_key_write_base64 (value keyv, value fdv);

value
nbde_key_write_base64 (value keyv, value fdv)
{
  return write_key (keyv, fdv, true);
}
