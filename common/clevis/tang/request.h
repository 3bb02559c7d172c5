/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Questions to Tang servers: what is the key K for this public key C?  From
 * blinding to unblinding, with all that lies between: the user's map of
 * servers, how many requests a server gets at a time, retries, and one request
 * for all who ask the same.  Source: tang(8) "PROTOCOL".
 */

#ifndef CLEVIS_REQUEST_H
#define CLEVIS_REQUEST_H

#include <stddef.h>
#include <jansson.h>

#include "base/clevis-error.h"
#include "policy/policy.h"
#include "base/url.h"

struct requests;
struct request;

/* What is asked.  Everything is borrowed until done was called. */
struct request_query {
  const struct url *url;   /* of the token, not mapped */
  const char *kid;         /* thumbprint of S */
  const json_t *server;    /* S, from ecmr_public */
  const json_t *epk;       /* C, from ecmr_public */
  size_t device;           /* number of the one that asks, for its turn */
};

/* The end of a request: K, borrowed, or NULL and why.  Either way err has the
 * URL that was asked if the user maps that of the token.  address is the
 * numeric address that answered or was tried last, or NULL.
 */
typedef void (*request_done_fn) (const json_t *k,
                                 const struct clevis_error *err,
                                 const char *address, void *opaque);

/* Returns NULL with CLEVIS_ERR_SYSTEM.  The policy is borrowed. */
extern struct requests *requests_new (const struct policy *policy,
                                      struct clevis_error *err);
extern void requests_free (struct requests *rs);

/* Ask.  Nothing is sent before requests_step, from which done is called.
 *
 * Returns a handle that lives until done was called or request_cancel; or NULL,
 * and done is never called: CLEVIS_ERR_POLICY or CLEVIS_ERR_SYSTEM.  That C is no
 * point of its curve is found when the question is blinded (CLEVIS_ERR_TOKEN).
 */
extern struct request *requests_ask (struct requests *rs,
                                     const struct request_query *query,
                                     request_done_fn done, void *opaque,
                                     struct clevis_error *err);

/* End a request without calling done.  request may be NULL. */
extern void request_cancel (struct request *request);

/* Move all requests on; wait at most ms milliseconds.  Returns 0, or -1 with
 * CLEVIS_ERR_SYSTEM.
 */
extern int requests_step (struct requests *rs, int ms,
                          struct clevis_error *err);

/* Let a waiting requests_step return.  May be called by any thread. */
extern void requests_wakeup (struct requests *rs);

/* The body of a reply to K.  For tests; E is from ecmr_blind.  Returns K in
 * locked memory or NULL with CLEVIS_ERR_REPLY.
 */
extern json_t *request_unblind (const json_t *server, const json_t *eph,
                                const char *body, size_t len,
                                struct clevis_error *err);

#endif /* CLEVIS_REQUEST_H */
