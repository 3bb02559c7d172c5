/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The McCallum-Relyea exchange on elliptic curves: what makes a Tang request
 * blind, and what makes a key of the reply.  Points are JWKs
 * (RFC 7517, RFC 7518 section 6.2).
 *
 *   C  epk, public key of the encryption     S  exchange key of the server
 *   E  ephemeral key of this request         Y  the server's reply, s·X
 *
 *   X = C + E          K = Y - e·S
 */

#ifndef CLEVIS_ECMR_H
#define CLEVIS_ECMR_H

#include <jansson.h>

#include "base/clevis-error.h"

/* A clean copy of a public EC key: kty, crv, x and y and nothing else, on
 * P-256, P-384 or P-521, with coordinates of that curve's length.  what names
 * the key in messages.  Returns NULL with code (CLEVIS_ERR_TOKEN for a key
 * from the disk, CLEVIS_ERR_REPLY for one from a server).
 */
extern json_t *ecmr_public (const json_t *jwk, const char *what,
                            enum clevis_code code, struct clevis_error *err);

extern const char *ecmr_curve (const json_t *jwk);

/* Make an ephemeral key E on C's curve and the blinded request X.
 *
 *   epk  C, from ecmr_public
 *   eph  set to E with its private part, which alone is in locked memory; the
 *        caller frees
 *
 * Returns X, or NULL: CLEVIS_ERR_TOKEN (C is no point of its curve) or
 * CLEVIS_ERR_SYSTEM.
 */
extern json_t *ecmr_blind (const json_t *epk, json_t **eph,
                           struct clevis_error *err);

/* A random point of a curve ("P-521"), as a public JWK.  Returns NULL with
 * CLEVIS_ERR_SYSTEM.
 */
extern json_t *ecmr_random (const char *curve, struct clevis_error *err);

/* Make the key K of a reply, in locked memory.
 *
 *   server  S, from ecmr_public
 *   eph     E, from ecmr_blind
 *   reply   Y, as the server sent it; only its public part is used
 *
 * Returns K, or NULL with CLEVIS_ERR_REPLY: the reply is not a point of the
 * curve, or the point at infinity comes out; or with CLEVIS_ERR_SYSTEM.
 */
extern json_t *ecmr_unblind (const json_t *server, const json_t *eph,
                             const json_t *reply, struct clevis_error *err);

#endif /* CLEVIS_ECMR_H */
