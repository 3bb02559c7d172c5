/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A JWE as Clevis makes them, checked before libjose sees it.
 * Source: RFC 7516 (JWE), RFC 7518 (algorithms), clevis(1).
 */

#ifndef CLEVIS_JWE_H
#define CLEVIS_JWE_H

#include <stddef.h>
#include <jansson.h>

#include "base/clevis-error.h"
#include "base/secret.h"

struct jwe {
  json_t *json;            /* flattened serialisation, for libjose */
  json_t *header;          /* the protected header, decoded, with the members
                              of unprotected headers */
  size_t ciphertext_len;   /* bytes, and so of the plaintext; set by
                              jwe_check */
};

/* Take a JWE apart and decode its protected header.
 *
 *   json  a string (compact serialisation) or an object (flattened, or
 *         general with one recipient)
 *
 * Returns NULL with CLEVIS_ERR_TOKEN, CLEVIS_ERR_LIMIT (more than BOUND_JWE
 * bytes) or CLEVIS_ERR_SYSTEM.
 */
extern struct jwe *jwe_parse (const json_t *json, struct clevis_error *err);
extern void jwe_free (struct jwe *jwe);

/* May it be given to libjose?  "alg" must be as given ("ECDH-ES" or "dir"),
 * "enc" A256GCM, with neither "zip" nor "crit" nor parameters of a password,
 * an empty "encrypted_key", iv and tag of the right size.  Must have been
 * called before jwe_decrypt.  Returns 0, or -1 with CLEVIS_ERR_TOKEN.
 */
extern int jwe_check (struct jwe *jwe, const char *alg,
                      struct clevis_error *err);

/* Decrypt with a JWK: for ECDH-ES the result of the exchange, for dir the
 * content key.  Returns the plaintext, or NULL: CLEVIS_ERR_DECRYPT (the key
 * does not fit or the JWE was altered) or _SYSTEM.
 */
extern struct secret *jwe_decrypt (const struct jwe *jwe, const json_t *jwk,
                                   struct clevis_error *err);

#endif /* CLEVIS_JWE_H */
