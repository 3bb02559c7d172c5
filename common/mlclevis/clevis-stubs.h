/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What the stubs of clevis.ml share.  Here OCaml, libguestfs and common/clevis
 * meet, so that no key has to become an OCaml value and the library has to
 * know of neither.  Keys are in the vault, and here are their numbers.
 *
 * Every stub copies what it needs from the OCaml heap, releases the runtime
 * lock around anything that may take long, frees what it has, and raises
 * last.
 */

#ifndef CLEVIS_STUBS_H
#define CLEVIS_STUBS_H

#include <stdbool.h>
#include <stdint.h>

#include <guestfs.h>

#define CAML_NAME_SPACE
#include <caml/alloc.h>
#include <caml/callback.h>
#include <caml/custom.h>
#include <caml/fail.h>
#include <caml/memory.h>
#include <caml/mlvalues.h>
#include <caml/signals.h>
#include <caml/unixsupport.h>

#include "base/clevis-error.h"
#include "policy/policy.h"
#include "vault/vault.h"

/* A list of what copy makes of n items, each of so many bytes. */
extern value stub_copy_list (value (*copy) (const void *item),
                             const void *items, size_t n, size_t size);

/* NULL is the empty string. */
extern value stub_copy_string (const char *s);

/* NULL is None. */
extern value stub_copy_string_option (const char *s);

/* -1 is None. */
extern value stub_copy_int_option (int i);

extern value stub_copy_error (const struct clevis_error *err);

/* Raise Clevis.Error; clears err. */
extern void stub_raise_error (struct clevis_error *err)
  __attribute__ ((noreturn));

/* Raise Guestfs.Error with the handle's last error. */
extern void stub_raise_guestfs_error (guestfs_h *g)
  __attribute__ ((noreturn));

/* Raise Unix.Unix_error if it is about a system call that has failed, else as
 * stub_raise_error.
 */
extern void stub_raise_unix_error (struct clevis_error *err,
                                   const char *call)
  __attribute__ ((noreturn));

/* The one vault of the program.  Raises Invalid_argument before Clevis.init. */
extern struct vault *stub_vault (void);

/* A Key.t: NULL after it was released. */
#define Key_val(v) (*(struct vault_key **) Data_custom_val (v))

/* An OCaml key that owns nothing yet. */
extern value stub_alloc_key (void);

/* Raises Invalid_argument if the key was released. */
extern struct vault_key *stub_get_key (value keyv);

/* Raises Invalid_argument if the header was not loaded, or was released. */
extern struct vault_luks *stub_get_ready_luks (value luksv);

/* Raises Invalid_argument if the policy was released. */
extern struct policy *stub_get_policy (value policyv);

/* A Policy.t: NULL after it was released. */
#define Policy_val(v) (*(struct policy **) Data_custom_val (v))

#endif /* CLEVIS_STUBS_H */
