/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * For the unit tests: bindings as Clevis makes them, and the answers of a Tang
 * server, made in the process by libjose so that there can be many of them.
 * That the real Clevis makes the same is tested by tests/host/test-interop.sh.
 *
 * JSON that is returned belongs to the caller; JSON that is passed stays the
 * caller's.
 */

#ifndef CLEVIS_TESTLIB_JWE_H
#define CLEVIS_TESTLIB_JWE_H

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>

/* A new exchange key of a Tang server, with its private part. */
extern json_t *tang_key (const char *curve);

/* Its public part. */
extern json_t *public_part (const json_t *key);

/* The thumbprint ("S256" or "S1") that names a key; to be freed. */
extern char *thumbprint (const json_t *key, const char *alg);

/* The advertisement of a server with that exchange key (or none, if it is NULL)
 * and a new signing key that has signed it; or not, if it is not to be signed.
 */
extern json_t *tang_advertisement (const json_t *key, bool signed_well);

/* What a server with that key answers to the request x: Y = s·X.  NULL if the
 * request is no point of its curve.
 */
extern json_t *tang_answer (const json_t *key, const json_t *x);

/* The protected header that clevis-encrypt-tang(1) writes. */
extern json_t *tang_header (const char *url, const json_t *key);

/* A header of a pin whose JWE has the algorithm "dir". */
extern json_t *dir_header (const char *pin, const json_t *config);

/* A JWE with that header which nobody can decrypt; for parsers. */
extern json_t *jwe_of (const json_t *header);

/* Encrypt: with a tang pin, and with a content key under any "dir" header. */
extern json_t *encrypt_tang (const char *url, const json_t *key,
                             const void *plain, size_t len);
extern json_t *encrypt_header (const json_t *header, const json_t *jwk,
                               const void *plain, size_t len);

/* The last step of it: add the ciphertext to a JWE that has all else. */
extern void encrypt_content (json_t *jwe, const json_t *cek,
                             const void *plain, size_t len);

/* A null pin, with its key in the header. */
extern json_t *encrypt_null (const void *plain, size_t len);

/* The JWK of a content key of 32 bytes. */
extern json_t *content_jwk (const unsigned char *key, size_t len);

/* The compact serialisation of a flattened JWE, as a JSON string. */
extern json_t *compact (const json_t *jwe);

/* Shamir's sharing by plain arithmetic, written apart from shamir.c: a random
 * polynomial of degree t - 1 modulo a prime.
 */
struct sharing;
#define SHARE_MAX 132           /* bytes of a share with a 521-bit prime */

/* A new secret of as many bits as the prime. */
extern struct sharing *sharing_new (int t, int bits);
extern void sharing_free (struct sharing *s);
/* Sets *len to the bytes of the prime, which are half of a share's. */
extern const unsigned char *sharing_prime (const struct sharing *s,
                                           size_t *len);
extern const unsigned char *sharing_secret (const struct sharing *s);
/* The share at a random x; at is 0, or a small x to take instead. */
extern void sharing_share (const struct sharing *s, unsigned long at,
                           unsigned char share[SHARE_MAX]);

/* An sss pin over n children.  child makes the JWE of the i-th from its
 * share.
 */
typedef json_t *(*child_fn) (size_t i, const unsigned char *share, size_t len,
                             void *opaque);
extern json_t *encrypt_sss (int t, size_t n, child_fn child, void *opaque,
                            const void *plain, size_t len);

#endif /* CLEVIS_TESTLIB_JWE_H */
