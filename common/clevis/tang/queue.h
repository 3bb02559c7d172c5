/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * HTTP requests that wait for their turn: a server gets so many at a time, a
 * request that failed for a reason that may pass is made again, and all end
 * at the deadline.  How many, how often and when is the policy's.
 *
 * There is a limit for all together, of which each device gets the same part.
 *
 * Runs with the same --tang-share take turns, too, and a request may end without
 * being sent: with what another run has found out (share.h).
 */

#ifndef CLEVIS_QUEUE_H
#define CLEVIS_QUEUE_H

#include <stddef.h>

#include "base/clevis-error.h"
#include "tang/http.h"
#include "policy/policy.h"

struct queue;
struct queued;

/* Returns NULL with CLEVIS_ERR_SYSTEM.  The policy is borrowed. */
extern struct queue *queue_new (const struct policy *policy,
                                struct clevis_error *err);

/* Free it with all requests in it, whose done is not called. */
extern void queue_free (struct queue *queue);

/* Add a request.  What it points to, the body too, is borrowed until done was
 * called, from queue_step: with the last reply, or with an error.  When the
 * deadline has come it is what the last try ended with, without a body, or
 * CLEVIS_ERR_UNREACHABLE if no try has ended.
 *
 * device is the number (0, 1, ...) of the one that asks.
 *
 * Returns a handle that lives until done was called or queue_cancel; or NULL
 * if memory is short: CLEVIS_ERR_SYSTEM.
 */
extern struct queued *queue_add (struct queue *queue,
                                 const struct http_request *request,
                                 size_t device,
                                 http_done_fn done, void *opaque,
                                 struct clevis_error *err);

/* Let fn (request, opaque, err) fill in path and body just before the request
 * is sent for the first time, with the opaque of queue_add.  It returns 0, or
 * -1 and why; then that is the end of the request.
 */
typedef int (*queue_prepare_fn) (struct http_request *request, void *opaque,
                                 struct clevis_error *err);
extern void queue_prepare (struct queued *queued, queue_prepare_fn fn);

/* What another run was replied to this will do: name says what is asked, below
 * the base.  It is borrowed; NULL: no other reply will do.
 */
extern void queue_share (struct queued *queued, const char *name);

/* Another device asks the same, and lends the request its turn.  Returns 0, or
 * -1 with CLEVIS_ERR_SYSTEM.
 */
extern int queue_join (struct queued *queued, size_t device,
                       struct clevis_error *err);

/* End a request without calling done.  queued may be NULL. */
extern void queue_cancel (struct queued *queued);

/* Move all requests on; wait at most ms milliseconds.  The first call starts
 * the time until the deadline.  Returns 0, or -1 with CLEVIS_ERR_SYSTEM.
 */
extern int queue_step (struct queue *queue, int ms, struct clevis_error *err);

/* As http_watch. */
extern void queue_watch (struct queue *queue, int fd);

/* Let a waiting queue_step return.  May be called by any thread. */
extern void queue_wakeup (struct queue *queue);

#endif /* CLEVIS_QUEUE_H */
