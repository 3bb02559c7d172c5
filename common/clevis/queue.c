/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * HTTP requests that wait for their turn; see queue.h.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanups.h"
#include "clock.h"
#include "gettext-compat.h"
#include "queue.h"

/* Pause before the first further try; it doubles with each, and a random part
 * of up to half of it is taken off, so that a thousand hosts do not come back
 * at the same moment.
 */
#define FIRST_PAUSE 0.25        /* seconds */

/* A server, by scheme, host and port, and how much it has to do. */
struct server {
  struct server *next;
  char *origin;
  int busy;                     /* transfers under way */
};

/* What is known of a try that failed for the moment: the end of a request whose
 * time is over before a further try has ended.
 */
struct last_reply {
  bool came;
  struct clevis_error error;
  long status;
  char *content_type, *address;
};

struct queued {
  struct queue *queue;
  struct queued *next, **prev;
  struct http_request request;
  struct server *server;
  struct http_transfer *transfer; /* NULL: waiting for its turn */
  double not_before;            /* of the clock */
  int tries;
  struct last_reply last;
  http_done_fn done;
  void *opaque;
};

struct queue {
  const struct policy *policy;
  struct http *http;
  struct queued *first, **last; /* in the order in which they came */
  struct server *servers;       /* kept until the end */
  double deadline;              /* of the clock; 0 until the first step */
  unsigned seed;                /* of the pauses; not a secret */
};

struct queue *
queue_new (const struct policy *policy, struct clevis_error *err)
{
  struct queue *queue = calloc (1, sizeof *queue);

  if (queue == NULL) {
    clevis_error_errno (err, errno, _("requests"));
    return NULL;
  }
  queue->policy = policy;
  queue->last = &queue->first;
  queue->seed = (unsigned) (clock_now () * 1e6);
  queue->http = http_new (policy, err);
  if (queue->http == NULL) {
    free (queue);
    return NULL;
  }
  return queue;
}

void
queue_free (struct queue *queue)
{
  struct server *server;

  if (queue == NULL)
    return;
  while (queue->first)
    queue_cancel (queue->first);
  while ((server = queue->servers) != NULL) {
    queue->servers = server->next;
    free (server->origin);
    free (server);
  }
  http_free (queue->http);
  free (queue);
}

static void
append (struct queue *queue, struct queued *queued)
{
  queued->prev = queue->last;
  *queue->last = queued;
  queue->last = &queued->next;
}

static void
forget_last (struct last_reply *last)
{
  clevis_error_clear (&last->error);
  free (last->content_type);
  free (last->address);
  memset (last, 0, sizeof *last);
}

void
queue_cancel (struct queued *queued)
{
  if (queued == NULL)
    return;
  forget_last (&queued->last);
  *queued->prev = queued->next;
  if (queued->next)
    queued->next->prev = queued->prev;
  else
    queued->queue->last = queued->prev;
  if (queued->transfer) {
    queued->server->busy--;
    http_cancel (queued->transfer);
  }
  free (queued);
}

static struct server *
find_server (struct queue *queue, const struct url *url)
{
  CLEANUP_FREE char *origin = NULL;
  struct server *server;

  if (asprintf (&origin, "%s://%s:%d", url->scheme, url->host,
                url->port) == -1) {
    origin = NULL;
    return NULL;
  }
  for (server = queue->servers; server; server = server->next)
    if (strcmp (server->origin, origin) == 0)
      return server;
  server = calloc (1, sizeof *server);
  if (server) {
    server->origin = origin;
    origin = NULL;
    server->next = queue->servers;
    queue->servers = server;
  }
  return server;
}

struct queued *
queue_add (struct queue *queue, const struct http_request *request,
           http_done_fn done, void *opaque, struct clevis_error *err)
{
  struct server *server = find_server (queue, request->base);
  struct queued *queued = calloc (1, sizeof *queued);

  if (server == NULL || queued == NULL) {
    free (queued);
    clevis_error_errno (err, ENOMEM, _("request"));
    return NULL;
  }
  queued->queue = queue;
  queued->server = server;
  queued->request = *request;
  queued->done = done;
  queued->opaque = opaque;
  append (queue, queued);
  return queued;
}

/* Tell the owner, who may meanwhile add others and cancel others. */
static void
finish (struct queued *queued, const struct http_reply *reply)
{
  queued->done (reply, queued->opaque);
  queue_cancel (queued);
}

/* There is no reply, and there will be none. */
static void
finish_without (struct queued *queued, const struct clevis_error *err)
{
  struct http_reply reply = {
    .error = CLEVIS_ERROR_INIT, .content_type = "", .body = "",
    .address = queued->transfer ? http_address (queued->transfer) : NULL,
  };

  clevis_error_copy (&reply.error, err);
  finish (queued, &reply);
  clevis_error_clear (&reply.error);
}

/* How long to wait before the next try; negative if there is none, because it
 * would not help, or would come too late.
 */
static double
pause_before_retry (struct queued *queued, const struct http_reply *reply)
{
  struct queue *queue = queued->queue;
  const struct policy_settings *settings = policy_get_settings (queue->policy);
  const int doublings = queued->tries - 1 < 8 ? queued->tries - 1 : 8;
  double pause = FIRST_PAUSE * (1 << doublings);

  if (!reply->temporary || queued->tries > settings->retries)
    return -1;
  pause -= pause / 2 * rand_r (&queue->seed) / RAND_MAX;
  if (reply->retry_after > pause)
    pause = reply->retry_after;
  return clock_now () + pause < queue->deadline ? pause : -1;
}

/* The body of a reply that may be another one a moment later says nothing. */
static void
keep_last (struct last_reply *last, const struct http_reply *reply)
{
  const struct clevis_error empty = CLEVIS_ERROR_INIT;

  forget_last (last);
  last->came = true;
  last->error = empty;
  clevis_error_copy (&last->error, &reply->error);
  last->status = reply->status;
  last->content_type = strdup (reply->content_type);
  last->address = reply->address ? strdup (reply->address) : NULL;
}

static void
reply_came (const struct http_reply *reply, void *opaque)
{
  struct queued *queued = opaque;
  const double pause = pause_before_retry (queued, reply);

  queued->transfer = NULL;
  queued->server->busy--;
  if (pause >= 0) {
    queued->not_before = clock_now () + pause;
    keep_last (&queued->last, reply);
  }
  else
    finish (queued, reply);
}

/* Returns -1 if the request has ended, because nothing could be sent. */
static int
send_request (struct queued *queued)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  queued->tries++;
  queued->transfer = http_start (queued->queue->http, &queued->request,
                                 reply_came, queued, &err);
  if (queued->transfer == NULL) {
    finish_without (queued, &err);
    return -1;
  }
  queued->server->busy++;
  return 0;
}

/* The next request that may be sent now, or NULL. */
static struct queued *
next_to_send (struct queue *queue, double now)
{
  const int parallel = policy_get_settings (queue->policy)->parallel;
  struct queued *queued;

  for (queued = queue->first; queued; queued = queued->next)
    if (queued->transfer == NULL && queued->not_before <= now &&
        queued->server->busy < parallel)
      return queued;
  return NULL;
}

/* Send what may be sent.  Telling an owner can end other requests, so the list
 * is looked at anew for each.  Returns true if a request has ended at once, so
 * that there may be more to do without any reply.
 */
static bool
send_all (struct queue *queue)
{
  const double now = clock_now ();
  struct queued *queued;
  bool ended = false;

  while ((queued = next_to_send (queue, now)) != NULL)
    if (send_request (queued) == -1)
      ended = true;
  return ended;
}

/* The last try that ended says why there is no answer: a server that is busy is
 * not one that nobody reaches, wherever in a further try the time was over.
 */
static void
finish_with_last (struct queued *queued)
{
  const struct last_reply *last = &queued->last;
  const struct http_reply reply = {
    .error = last->error, .status = last->status, .body = "",
    .content_type = last->content_type ? last->content_type : "",
    .address = last->address, .temporary = true,
  };

  finish (queued, &reply);
}

/* The time is over for all who still wait. */
static void
expire_all (struct queue *queue)
{
  const double seconds =
    policy_get_settings (queue->policy)->deadline / 1000.0;

  while (queue->first) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

    if (queue->first->last.came) {
      finish_with_last (queue->first);
      continue;
    }
    clevis_error_set (&err, CLEVIS_ERR_UNREACHABLE,
                      _("no answer within the deadline of %g seconds"),
                      seconds);
    finish_without (queue->first, &err);
  }
}

/* Milliseconds until something is due without a reply, at most ms. */
static int
time_to_wait (const struct queue *queue, int ms)
{
  const double now = clock_now ();
  double due = queue->deadline;
  const struct queued *queued;

  for (queued = queue->first; queued; queued = queued->next)
    if (queued->transfer == NULL && queued->not_before > now &&
        queued->not_before < due)
      due = queued->not_before;
  due = (due - now) * 1000 + 1;
  return due < 0 ? 0 : due < ms ? (int) due : ms;
}

int
queue_step (struct queue *queue, int ms, struct clevis_error *err)
{
  if (queue->deadline == 0)
    queue->deadline = clock_now () +
      policy_get_settings (queue->policy)->deadline / 1000.0;
  if (send_all (queue))
    ms = 0;
  else if (queue->first)
    ms = time_to_wait (queue, ms);
  if (http_step (queue->http, ms, err) == -1)
    return -1;
  if (clock_now () >= queue->deadline)
    expire_all (queue);
  return 0;
}

void
queue_wakeup (struct queue *queue)
{
  http_wakeup (queue->http);
}
