/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Keys: handles on locked memory.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>

#include <openssl/evp.h>

#include "clevis-stubs.h"

static void
finalize_key (value keyv)
{
  secret_free (Key_val (keyv));
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

/* An OCaml key that owns nothing yet. */
value
stub_alloc_key (void)
{
  value keyv = caml_alloc_custom (&key_operations, sizeof (struct secret *),
                                  0, 1);

  Key_val (keyv) = NULL;
  return keyv;
}

const struct secret *
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
  secret_free (Key_val (keyv));
  Key_val (keyv) = NULL;
  return Val_unit;
}

extern value nbde_key_length (value keyv);

value
nbde_key_length (value keyv)
{
  return Val_long (stub_get_key (keyv)->len);
}

extern value nbde_key_equal (value av, value bv);

value
nbde_key_equal (value av, value bv)
{
  const struct secret *a = stub_get_key (av);
  const struct secret *b = stub_get_key (bv);

  return Val_bool (secret_equal (a, b));
}

extern value nbde_key_has_byte (value keyv, value bytev);

value
nbde_key_has_byte (value keyv, value bytev)
{
  const struct secret *key = stub_get_key (keyv);

  return Val_bool (memchr (key->data, Int_val (bytev), key->len) != NULL);
}

/* The most that cryptsetup reads from a key file. */
#define MAX_KEY (8 * 1024 * 1024)

/* Make room for more: at first a page, then twice as much each time. */
static int
grow (struct secret **key)
{
  const size_t old_len = *key ? (*key)->len : 0;
  struct secret *larger = secret_new (old_len ? 2 * old_len : 4096);

  if (larger == NULL)
    return -1;
  if (*key)
    memcpy (larger->data, (*key)->data, old_len);
  secret_free (*key);
  *key = larger;
  return 0;
}

/* Returns NULL with an error, or with errno if err is not set. */
static struct secret *
read_key (int fd, struct clevis_error *err)
{
  struct secret *key = NULL;
  size_t len = 0;
  ssize_t r = 1;

  while (r > 0) {
    if (len > MAX_KEY) {
      clevis_error_set (err, CLEVIS_ERR_LIMIT,
                        "the key is longer than %d bytes", MAX_KEY);
      break;
    }
    if ((key == NULL || len == key->len) && grow (&key) == -1) {
      clevis_error_set (err, CLEVIS_ERR_SYSTEM, "locked memory is exhausted");
      break;
    }
    r = read (fd, key->data + len, key->len - len);
    if (r > 0)
      len += r;
  }
  if (r != 0) {
    const int saved_errno = errno;

    secret_free (key);
    errno = saved_errno;
    return NULL;
  }
  secret_truncate (key, len);
  return key;
}

extern value nbde_key_read (value fdv);

value
nbde_key_read (value fdv)
{
  CAMLparam1 (fdv);
  CAMLlocal1 (keyv);
  const int fd = Int_val (fdv);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct secret *key;

  keyv = stub_alloc_key ();
  caml_enter_blocking_section ();
  key = read_key (fd, &err);
  caml_leave_blocking_section ();

  if (err.code != CLEVIS_OK)
    stub_raise_error (&err);
  if (key == NULL)
    uerror ("read", Nothing);
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

/* Read up to a newline, byte by byte since what follows is not ours.  Returns
 * NULL at the end of the input with errno 0, otherwise as read_key.
 */
static struct secret *
read_line (int fd, struct clevis_error *err)
{
  struct secret *key = NULL;
  size_t len = 0;
  ssize_t r;

  for (;;) {
    if (len > MAX_KEY) {
      clevis_error_set (err, CLEVIS_ERR_LIMIT,
                        "the key is longer than %d bytes", MAX_KEY);
      break;
    }
    if ((key == NULL || len == key->len) && grow (&key) == -1) {
      clevis_error_set (err, CLEVIS_ERR_SYSTEM, "locked memory is exhausted");
      break;
    }
    r = read (fd, key->data + len, 1);
    if (r == -1 || (r == 0 && len == 0)) {
      const int saved_errno = r == 0 ? 0 : errno;

      secret_free (key);
      errno = saved_errno;
      return NULL;
    }
    if (r == 0 || key->data[len] == '\n') {
      secret_truncate (key, len);
      return key;
    }
    len++;
  }
  secret_free (key);
  return NULL;
}

extern value nbde_key_read_line (value fdv, value echov);

value
nbde_key_read_line (value fdv, value echov)
{
  CAMLparam2 (fdv, echov);
  CAMLlocal1 (keyv);
  const int fd = Int_val (fdv);
  const bool echo = Bool_val (echov);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct termios old;
  struct secret *key;
  int saved_errno;
  bool changed;

  keyv = stub_alloc_key ();
  caml_enter_blocking_section ();
  changed = set_echo (fd, echo, &old);
  key = read_line (fd, &err);
  saved_errno = errno;
  if (changed)
    tcsetattr (fd, TCSADRAIN, &old);
  caml_leave_blocking_section ();

  if (err.code != CLEVIS_OK)
    stub_raise_error (&err);
  if (key == NULL && saved_errno == 0)
    CAMLreturn (Val_none);
  if (key == NULL)
    unix_error (saved_errno, "read", Nothing);
  Key_val (keyv) = key;
  CAMLreturn (caml_alloc_some (keyv));
}

extern value nbde_key_of_string (value textv);

value
nbde_key_of_string (value textv)
{
  CAMLparam1 (textv);
  CAMLlocal1 (keyv);

  keyv = stub_alloc_key ();
  Key_val (keyv) = secret_copy (String_val (textv),
                                caml_string_length (textv));
  if (Key_val (keyv) == NULL)
    caml_raise_out_of_memory ();
  CAMLreturn (keyv);
}

extern value nbde_key_chomp (value keyv);

value
nbde_key_chomp (value keyv)
{
  struct secret *key;

  stub_get_key (keyv);
  key = Key_val (keyv);
  if (key->len > 0 && key->data[key->len - 1] == '\n')
    secret_truncate (key, key->len - 1);
  return Val_unit;
}

/* Interrupted by a signal, it gives up: the signals that the program catches
 * ask it to end.  Returns -1 with errno.
 */
static int
write_bytes (const struct secret *bytes, int fd)
{
  size_t written = 0;
  ssize_t r = 0;

  caml_enter_blocking_section ();
  while (written < bytes->len && r != -1) {
    r = write (fd, bytes->data + written, bytes->len - written);
    if (r > 0)
      written += r;
  }
  caml_leave_blocking_section ();
  return r == -1 ? -1 : 0;
}

extern value nbde_key_write (value keyv, value fdv);

value
nbde_key_write (value keyv, value fdv)
{
  CAMLparam2 (keyv, fdv);

  if (write_bytes (stub_get_key (keyv), Int_val (fdv)) == -1)
    uerror ("write", Nothing);
  CAMLreturn (Val_unit);
}

extern value nbde_key_write_base64 (value keyv, value fdv);

value
nbde_key_write_base64 (value keyv, value fdv)
{
  CAMLparam2 (keyv, fdv);
  const struct secret *key = stub_get_key (keyv);
  /* EVP_EncodeBlock adds a NUL. */
  struct secret *text = secret_new (4 * ((key->len + 2) / 3) + 1);
  int r, code;

  if (text == NULL)
    caml_raise_out_of_memory ();
  EVP_EncodeBlock (text->data, key->data, (int) key->len);
  secret_truncate (text, text->len - 1);
  r = write_bytes (text, Int_val (fdv));
  code = errno;
  secret_free (text);
  if (r == -1)
    unix_error (code, "write", Nothing);
  CAMLreturn (Val_unit);
}
