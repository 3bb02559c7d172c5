/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Memory for keys: locked, left out of core dumps, empty in child processes,
 * wiped on release.
 */

#ifndef CLEVIS_SECRET_H
#define CLEVIS_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clevis-error.h"

/* A key or passphrase: bytes, not a string, although a NUL that is not
 * counted in len follows them so that C libraries can be handed data.
 */
struct secret {
  size_t len;              /* bytes */
  unsigned char *data;     /* in locked memory */
};

/* Set up locked memory, and jansson and OpenSSL to use it between
 * secret_json_begin and secret_json_end.  Must be called once, before any other
 * use of jansson, libjose or libcryptsetup in the process.
 *
 * Returns 0 if keys are locked in memory and kept out of core dumps, 1 if
 * the system did not allow that (RLIMIT_MEMLOCK; the caller may warn: keys
 * are still wiped), -1 if there is no memory at all.
 */
extern int secret_init (void);

/* Was there a time when locked memory was full, so that keys in JSON values, or
 * numbers of OpenSSL, were in other memory?  They are wiped there as well, but
 * may have been swapped out.
 */
extern bool secret_was_short (void);

/* Bytes of locked memory that secrets and JSON values have now: 0 where all
 * were released.
 */
extern size_t secret_used (void);

/* Is p in locked memory? */
extern bool secret_has (const void *p);

/* Set err to CLEVIS_ERR_SYSTEM: locked memory is exhausted.  Returns -1. */
extern int secret_error (struct clevis_error *err);

/* A new secret of len zero bytes, or NULL if locked memory is exhausted. */
extern struct secret *secret_new (size_t len);

/* A new secret with a copy of len bytes of data, or NULL. */
extern struct secret *secret_copy (const void *data, size_t len);

/* Make a secret shorter; the bytes cut off are wiped.  len <= s->len. */
extern void secret_truncate (struct secret *s, size_t len);

/* Wipe and release.  s may be NULL. */
extern void secret_free (struct secret *s);

/* The same bytes?  Takes the same time wherever they differ. */
extern bool secret_equal (const struct secret *a, const struct secret *b);

/* While a thread is between begin and end, the JSON values that it makes are
 * put in locked memory; they are wiped when released, at any time later.
 * Calls nest.  For private JWKs and the results of a key exchange.
 *
 * A text of json_dumps that is made in between is in locked memory too, and
 * must not be released with free; libjose does that in jose_jwk_thp and
 * jose_b64_enc_dump.
 */
extern void secret_json_begin (void);
extern void secret_json_end (void);

/* While a thread is between begin and end (those for JSON, too), what OpenSSL
 * allocates is in locked memory: numbers, points, contexts.  Elsewhere
 * it is in other memory and wiped as well when it is released.  Calls nest.
 */
extern void secret_crypto_begin (void);
extern void secret_crypto_end (void);

/* The same for calls of libcryptsetup, but only where there is enough locked
 * memory for what OpenSSL then keeps.
 */
extern void secret_cryptsetup_begin (void);
extern void secret_cryptsetup_endp (const int *unused);

extern void secret_freep (struct secret **s);
extern void secret_json_endp (const int *unused);
extern void secret_crypto_endp (const int *unused);

#define CLEANUP_SECRET __attribute__ ((cleanup (secret_freep)))

/* Locked JSON until the end of the enclosing block. */
#define SECRET_JSON_SCOPE                                               \
  __attribute__ ((cleanup (secret_json_endp), unused))                  \
  const int secret_json_scope = (secret_json_begin (), 0)

/* Locked numbers until the end of the enclosing block. */
#define SECRET_CRYPTO_SCOPE                                             \
  __attribute__ ((cleanup (secret_crypto_endp), unused))                \
  const int secret_crypto_scope = (secret_crypto_begin (), 0)

#define SECRET_CRYPTSETUP_SCOPE                                         \
  __attribute__ ((cleanup (secret_cryptsetup_endp), unused))            \
  const int secret_cryptsetup_scope = (secret_cryptsetup_begin (), 0)

#endif /* CLEVIS_SECRET_H */
