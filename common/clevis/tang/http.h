/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * HTTP requests under a policy, any number at a time, on libcurl's multi
 * interface.  This and url.c are the only files that know libcurl.  What a
 * reply means is not decided here.
 */

#ifndef CLEVIS_HTTP_H
#define CLEVIS_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clevis-error.h"
#include "policy/policy.h"
#include "base/url.h"

struct http;
struct http_transfer;

/* What is asked; everything is borrowed until done was called, but for the
 * body, which is copied.
 */
struct http_request {
  const struct url *base;    /* of the server */
  bool trusted;              /* the user named this server: no policy */
  const char *path;          /* below base: "/rec/KID" */
  const char *body;          /* to be posted; NULL: GET */
};

struct http_reply {
  struct clevis_error error; /* CLEVIS_OK if there is a whole reply; else
                                CLEVIS_ERR_UNREACHABLE, _POLICY, _REPLY (too
                                large, not HTTP) or _SYSTEM */
  long status;               /* HTTP status */
  const char *content_type;  /* "" if the server named none */
  const char *body;
  size_t len;                /* bytes of body, at most BOUND_REPLY_BODY */
  const char *address;       /* numeric, connected to or tried last; or NULL */
  bool temporary;            /* the same request may succeed a moment later */
  long retry_after;          /* seconds that the server asks to wait, or 0 */
  double seconds;            /* from start to end */
  const char *certificate_expiry; /* of https, as the certificate says it, if
                                     it was asked for; or NULL */
};

/* Called once when a transfer has ended, from http_step.  The transfer is gone
 * when it returns, and reply with it.
 */
typedef void (*http_done_fn) (const struct http_reply *reply, void *opaque);

/* Have libcurl and what it uses begin, which takes a millisecond; http_new does
 * so, if nobody has before.
 */
extern void http_prepare (void);

/* Returns NULL with CLEVIS_ERR_SYSTEM.  The policy is borrowed. */
extern struct http *http_new (const struct policy *policy,
                              struct clevis_error *err);
extern void http_free (struct http *http);

/* May this be asked, as far as is known before a name is resolved?  http_start
 * asks that, too.  Returns 0, or -1: CLEVIS_ERR_POLICY.
 */
extern int http_check (const struct policy *policy,
                       const struct http_request *request,
                       struct clevis_error *err);

/* Begin a request.  A body is sent as application/jwk+json.
 *
 * Returns the transfer, which lives until done was called or it is cancelled;
 * or NULL, and done is not called: CLEVIS_ERR_POLICY or _SYSTEM.
 */
extern struct http_transfer *http_start (struct http *http,
                                         const struct http_request *request,
                                         http_done_fn done, void *opaque,
                                         struct clevis_error *err);

/* The numeric address that a transfer is connected to or has tried last, or
 * NULL.  It lives as long as the transfer.
 */
extern const char *http_address (const struct http_transfer *transfer);

/* End a transfer without calling done.  transfer may be NULL. */
extern void http_cancel (struct http_transfer *transfer);

/* Move all transfers on; if nothing can be done wait at most ms milliseconds,
 * or until http_wakeup or a signal.  Returns 0, or -1: CLEVIS_ERR_SYSTEM.
 */
extern int http_step (struct http *http, int ms, struct clevis_error *err);

/* Let a waiting http_step return also when there is something to read from fd,
 * which is borrowed.
 */
extern void http_watch (struct http *http, int fd);

/* Let a waiting http_step return.  May be called by any thread. */
extern void http_wakeup (struct http *http);

#endif /* CLEVIS_HTTP_H */
