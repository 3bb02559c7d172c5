/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The exchange in two steps, for a host that reaches no Tang server: requests
 * go into a file, another machine has them answered, and the replies come
 * back in a file.
 *
 *   requests  { "version": 1, "requests": [ { "id", "url", "kid", "body" } ] }
 *   replies   { "version": 1, "replies": [ { "id", "body" } ] }
 *   state     { "version": 1, "requests": [ { "id", "question", "key" } ] }
 *
 * "body" is a JWK: what is posted to "url" and what comes back.  Neither is
 * secret.  The state is: with "key", the ephemeral keys, whoever sees the
 * replies could make the keys of the disks.
 */

#ifndef CLEVIS_OFFLINE_H
#define CLEVIS_OFFLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>

#include "base/clevis-error.h"

struct offline;

/* Start to collect requests.  Returns NULL with CLEVIS_ERR_SYSTEM. */
extern struct offline *offline_export (struct clevis_error *err);

/* Add a request.
 *
 *   question   names server, key and C; tells questions apart
 *   url, body  what is to be posted where
 *   ephemeral  E, private; kept in locked memory
 *
 * Returns 0, or -1 with CLEVIS_ERR_SYSTEM.
 */
extern int offline_add (struct offline *off, const char *question,
                        const char *url, const char *kid, const char *body,
                        const json_t *ephemeral, struct clevis_error *err);

/* Number of requests. */
extern size_t offline_count (const struct offline *off);

/* A request; all is borrowed but url, the token's, which is to be freed. */
struct offline_request {
  const char *id, *kid;
  char *url;
  const json_t *body;
};

/* The i-th request.  Returns 0, or -1 with CLEVIS_ERR_SYSTEM. */
extern int offline_request (const struct offline *off, size_t i,
                            struct offline_request *request,
                            struct clevis_error *err);

/* Write requests to a descriptor: an array of objects as above.  name is for
 * messages.  Returns 0, or -1 with CLEVIS_ERR_SYSTEM.
 */
extern int offline_write_requests (const json_t *requests, int fd,
                                   const char *name,
                                   struct clevis_error *err);

/* The same of what was collected, or the state. */
extern int offline_dump_requests (const struct offline *off, int fd,
                                  const char *name, struct clevis_error *err);
extern int offline_dump_state (const struct offline *off, int fd,
                               const char *name, struct clevis_error *err);

/* Read the state and the replies.  Returns NULL with CLEVIS_ERR_SYSTEM,
 * CLEVIS_ERR_TOKEN (the state cannot be read) or CLEVIS_ERR_REPLY (the replies
 * cannot be read, or one answers no request of the state, or twice).
 */
extern struct offline *offline_import (const char *state, const char *replies,
                                       struct clevis_error *err);

/* A file of the user's, as open descriptor and name. */
struct offline_file {
  int fd;
  const char *name;
};

/* The same from descriptors, which are read to their end and not closed. */
extern struct offline *offline_load (const struct offline_file *state,
                                     const struct offline_file *replies,
                                     struct clevis_error *err);

/* True if the replies are to be used, false if requests are collected. */
extern bool offline_is_import (const struct offline *off);

/* The key K of a question, in locked memory, or NULL: CLEVIS_ERR_UNREACHABLE
 * (it was not exported or has no reply) or CLEVIS_ERR_REPLY.
 *
 *   server  S, from ecmr_public
 */
extern json_t *offline_answer (const struct offline *off,
                               const char *question, const json_t *server,
                               struct clevis_error *err);

extern void offline_free (struct offline *off);

#endif /* CLEVIS_OFFLINE_H */
