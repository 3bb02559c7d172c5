/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What all stubs share: lists, options, strings, and errors as exceptions.
 */

#include <config.h>

#include <malloc.h>
#include <stdlib.h>

#include "base/secret.h"
#include "clevis-stubs.h"

value
stub_copy_list (value (*copy) (const void *item), const void *items, size_t n,
                size_t size)
{
  CAMLparam0 ();
  CAMLlocal3 (listv, headv, consv);

  listv = Val_emptylist;
  for (; n > 0; --n) {
    headv = copy ((const char *) items + (n - 1) * size);
    consv = caml_alloc_small (2, Tag_cons);
    Field (consv, 0) = headv;
    Field (consv, 1) = listv;
    listv = consv;
  }
  CAMLreturn (listv);
}

value
stub_copy_string (const char *s)
{
  return caml_copy_string (s ? s : "");
}

value
stub_copy_string_option (const char *s)
{
  return s ? caml_alloc_some (caml_copy_string (s)) : Val_none;
}

/* -1 stands for "not known". */
value
stub_copy_int_option (int i)
{
  return i >= 0 ? caml_alloc_some (Val_int (i)) : Val_none;
}

value
stub_copy_error (const struct clevis_error *err)
{
  CAMLparam0 ();
  CAMLlocal1 (errorv);
  char *line = clevis_error_line (err);
  const int code = err->code != CLEVIS_OK ? err->code : CLEVIS_ERR_SYSTEM;

  errorv = caml_alloc (12, 0);
  Store_field (errorv, 0, Val_int (code - CLEVIS_ERR_SYSTEM));
  Store_field (errorv, 1, stub_copy_string (err->message));
  Store_field (errorv, 2, stub_copy_string (line ? line : err->message));
  Store_field (errorv, 3, stub_copy_string_option (err->hint));
  Store_field (errorv, 4, stub_copy_string_option (err->device));
  Store_field (errorv, 5, stub_copy_int_option (err->token));
  Store_field (errorv, 6, stub_copy_int_option (err->keyslot));
  Store_field (errorv, 7, stub_copy_string_option (err->pin));
  Store_field (errorv, 8, stub_copy_string_option (err->url));
  Store_field (errorv, 9, stub_copy_string_option (err->mapped));
  Store_field (errorv, 10, stub_copy_string_option (err->address));
  Store_field (errorv, 11, stub_copy_int_option (err->http_status > 0 ?
                                            (int) err->http_status : -1));
  free (line);
  CAMLreturn (errorv);
}

/* Raise Clevis.Error; clears err. */
void __attribute__ ((noreturn))
stub_raise_error (struct clevis_error *err)
{
  CAMLparam0 ();
  CAMLlocal1 (errorv);

  errorv = stub_copy_error (err);
  clevis_error_clear (err);
  caml_raise_with_arg (*caml_named_value ("clevis_error"), errorv);
  CAMLnoreturn;
}

void __attribute__ ((noreturn))
stub_raise_unix_error (struct clevis_error *err, const char *call)
{
  const int code = err->code == CLEVIS_ERR_SYSTEM ? err->sys_errno : 0;

  if (code == 0)
    stub_raise_error (err);
  clevis_error_clear (err);
  unix_error (code, (char *) call, Nothing);
}

/* Raise Guestfs.Error with the handle's last error. */
void __attribute__ ((noreturn))
stub_raise_guestfs_error (guestfs_h *g)
{
  const char *message = guestfs_last_error (g);

  caml_raise_with_string (*caml_named_value ("clevis_guestfs_error"),
                          message ? message : "unknown libguestfs error");
}

extern value nbde_clevis_code_name (value codev);

value
nbde_clevis_code_name (value codev)
{
  return stub_copy_string (clevis_code_name (CLEVIS_ERR_SYSTEM +
                                             Int_val (codev)));
}

/* To be sent to the appliance a key must pass through a buffer of libguestfs:
 * guestfs_int_send encodes every message in 4 MiB from malloc, and frees them
 * as they are.  A block of that size is by default a mapping of its own, which
 * goes back to the kernel when it is freed, but glibc may come to take such
 * blocks from the heap, where the key would stay.  A fixed threshold prevents
 * that.
 */
#define LARGE_BLOCK (128 * 1024)        /* bytes; glibc's initial threshold */

static void
unmap_large_blocks (void)
{
#ifdef M_MMAP_THRESHOLD
  mallopt (M_MMAP_THRESHOLD, LARGE_BLOCK);
#endif
}

static struct vault *vault;

/* What secret_init has returned for this process. */
static int locked;

struct vault *
stub_vault (void)
{
  if (vault == NULL)
    caml_invalid_argument ("Clevis: there is no vault");
  return vault;
}

extern value nbde_clevis_init (value unitv);

/* The vault comes first: it must not have what this process has. */
value
nbde_clevis_init (value unitv)
{
  CAMLparam1 (unitv);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  vault_free (vault);
  vault = vault_new (true, &err);
  if (vault == NULL)
    stub_raise_error (&err);
  unmap_large_blocks ();
  locked = secret_init ();
  if (locked == -1)
    caml_raise_out_of_memory ();
  CAMLreturn (Val_unit);
}

extern value nbde_clevis_wall (value unitv);

value
nbde_clevis_wall (value unitv)
{
  CAMLparam1 (unitv);
  CAMLlocal1 (wallv);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  const struct wall *wall = vault_wall (stub_vault (), &err);

  if (wall == NULL)
    stub_raise_error (&err);
  wallv = caml_alloc (3, 0);
  Store_field (wallv, 0, Val_bool (wall->system_calls));
  Store_field (wallv, 1, Val_bool (wall->files));
  Store_field (wallv, 2, Val_bool (wall->memory && locked == 0));
  CAMLreturn (wallv);
}

extern value nbde_clevis_end (value unitv);

value
nbde_clevis_end (value unitv)
{
  (void) unitv;
  vault_end (vault);
  return Val_unit;
}

extern value nbde_clevis_memory (value unitv);

/* What keys have in the vault and in this process. */
value
nbde_clevis_memory (value unitv)
{
  CAMLparam1 (unitv);
  CAMLlocal1 (memoryv);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct vault_memory memory = { .used = 0 };

  if (vault && vault_memory (vault, &memory, &err) == -1)
    stub_raise_error (&err);
  memoryv = caml_alloc (3, 0);
  Store_field (memoryv, 0, Val_long (memory.used + secret_used ()));
  Store_field (memoryv, 1,
               Val_bool (memory.was_short || secret_was_short ()));
  Store_field (memoryv, 2, Val_bool (memory.is_busy));
  CAMLreturn (memoryv);
}
