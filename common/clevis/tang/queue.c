/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * HTTP requests that wait for their turn; see queue.h.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "base/clock.h"
#include "base/gettext-compat.h"
#include "tang/queue.h"
#include "tang/share.h"

/* Pause before the first further try; it doubles with each, and a random part
 * of up to half of it is taken off, so that a thousand hosts do not come back
 * at the same moment.
 */
#define FIRST_PAUSE 0.25        /* seconds */

/* Requests that are sent in one step.  To blind a question and to begin a
 * transfer takes a third of a millisecond.
 */
#define AT_ONCE 2

/* A server, by scheme, host and port, and how much it has to do. */
struct server {
  struct server *next;
  char *origin;
  int busy;                     /* transfers under way */
  double not_before;            /* of the clock: other runs have their turns */
  bool waits;                   /* for one that ends */
};

/* What is known of a try that failed for the moment: the end of a request whose
 * time is over before a further try has ended.
 */
struct last_reply {
  bool came;
  struct clevis_error error;
  long status;
  char *content_type, *address;
  double seconds;
};

/* A device that asks. */
struct share {
  int busy;                     /* transfers under way in its name */
  int left;                     /* requests that have not ended */
};

struct queued {
  struct queue *queue;
  struct queued *next, **prev;
  struct http_request request;
  struct server *server;
  struct http_transfer *transfer; /* NULL: waiting for its turn */
  double not_before;            /* of the clock */
  double sent;                  /* of the clock: when the last try began */
  int tries;
  const char *shared;           /* see queue_share */
  struct share_request *share;  /* NULL: it is shared with nobody, or was not
                                   about to be sent so far */
  bool waits;                   /* for what another run finds out */
  struct last_reply last;
  size_t *devices;              /* that ask this, each once */
  size_t nr_devices;
  size_t charged;               /* the device in whose name it is under way */
  queue_prepare_fn prepare;     /* NULL: it is ready to be sent */
  http_done_fn done;
  void *opaque;
};

struct queue {
  const struct policy *policy;
  struct http *http;
  struct share *share;          /* NULL: of no other run is anything known */
  struct queued *first, **last; /* in the order in which they came */
  struct server *servers;       /* kept until the end */
  struct share *shares;         /* by the number of the device */
  size_t nr_shares;
  int most, busy;               /* transfers: allowed, and under way */
  double deadline;              /* of the clock; 0 until the first step */
  unsigned seed;                /* of the pauses; not a secret */
};

/* How many transfers this process may have under way. */
static int
most_transfers (void)
{
  const rlim_t part = BOUND_TRANSFER_FILES * 2; /* half is for others */
  struct rlimit files;

  if (getrlimit (RLIMIT_NOFILE, &files) == -1 ||
      files.rlim_cur / part >= BOUND_TRANSFERS)
    return BOUND_TRANSFERS;
  return files.rlim_cur < part ? 1 : (int) (files.rlim_cur / part);
}

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
  queue->most = most_transfers ();
  queue->seed = (unsigned) (uint64_t) (clock_now () * 1e6);
  queue->http = http_new (policy, err);
  if (queue->http && policy_get_settings (policy)->share)
    queue->share = share_new (policy, err);
  if (queue->http == NULL ||
      (policy_get_settings (policy)->share && queue->share == NULL)) {
    queue_free (queue);
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
  share_free (queue->share);
  free (queue->shares);
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

/* A transfer has begun, or ended. */
static void
count_transfer (struct queued *queued, int n)
{
  queued->server->busy += n;
  queued->queue->shares[queued->charged].busy += n;
  queued->queue->busy += n;
}

/* A transfer is no more. */
static void
end_transfer (struct queued *queued)
{
  double pause;

  queued->transfer = NULL;
  count_transfer (queued, -1);
  if (queued->share == NULL)
    return;
  pause = share_end_turn (queued->share);
  if (pause > 0)
    queued->server->not_before = clock_now () + pause;
}

void
queue_cancel (struct queued *queued)
{
  size_t i;

  if (queued == NULL)
    return;
  forget_last (&queued->last);
  *queued->prev = queued->next;
  if (queued->next)
    queued->next->prev = queued->prev;
  else
    queued->queue->last = queued->prev;
  if (queued->transfer) {
    http_cancel (queued->transfer);
    end_transfer (queued);
  }
  share_request_free (queued->share);
  for (i = 0; i < queued->nr_devices; ++i)
    queued->queue->shares[queued->devices[i]].left--;
  free (queued->devices);
  free (queued);
}

static struct server *
find_server (struct queue *queue, const struct url *url)
{
  CLEANUP_FREE char *origin = url_origin (url);
  struct server *server;

  if (origin == NULL)
    return NULL;
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

/* Make room for the share of a device. */
static int
add_share (struct queue *queue, size_t device)
{
  struct share *shares;

  if (device < queue->nr_shares)
    return 0;
  shares = reallocarray (queue->shares, device + 1, sizeof *shares);
  if (shares == NULL)
    return -1;
  memset (&shares[queue->nr_shares], 0,
          (device + 1 - queue->nr_shares) * sizeof *shares);
  queue->shares = shares;
  queue->nr_shares = device + 1;
  return 0;
}

int
queue_join (struct queued *queued, size_t device, struct clevis_error *err)
{
  size_t *devices, i;

  for (i = 0; i < queued->nr_devices; ++i)
    if (queued->devices[i] == device)
      return 0;
  devices = reallocarray (queued->devices, queued->nr_devices + 1,
                          sizeof *devices);
  if (devices)
    queued->devices = devices;
  if (devices == NULL || add_share (queued->queue, device) == -1)
    return clevis_error_errno (err, ENOMEM, _("request"));
  devices[queued->nr_devices++] = device;
  queued->queue->shares[device].left++;
  return 0;
}

struct queued *
queue_add (struct queue *queue, const struct http_request *request,
           size_t device, http_done_fn done, void *opaque,
           struct clevis_error *err)
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
  if (queue_join (queued, device, err) == -1) {
    queue_cancel (queued);
    return NULL;
  }
  return queued;
}

void
queue_prepare (struct queued *queued, queue_prepare_fn fn)
{
  queued->prepare = fn;
}

void
queue_share (struct queued *queued, const char *name)
{
  queued->shared = name;
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
  last->seconds = reply->seconds;
  last->content_type = strdup (reply->content_type);
  last->address = reply->address ? strdup (reply->address) : NULL;
}

static void
reply_came (const struct http_reply *reply, void *opaque)
{
  struct queued *queued = opaque;
  const double pause = pause_before_retry (queued, reply);

  end_transfer (queued);
  if (queued->share)
    share_learn (queued->share, reply, pause < 0);
  if (pause >= 0) {
    queued->not_before = clock_now () + pause;
    keep_last (&queued->last, reply);
  }
  else
    finish (queued, reply);
}

/* Do other runs let it be sent now?  Returns 1 if so; 0 if it waits; or -1 if it
 * has ended, with what another run has found out or with an error.
 */
static int
ask_others (struct queued *queued)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct http_reply reply = { .error = CLEVIS_ERROR_INIT };
  struct queue *queue = queued->queue;
  enum share_says says = SHARE_FAILED;

  /* What the policy forbids to ask is nothing to be told, either. */
  if (queued->share == NULL &&
      http_check (queue->policy, &queued->request, &err) == 0)
    queued->share = share_request_new (queue->share, &queued->request,
                                       queued->shared, &err);
  if (queued->share)
    says = share_ask (queued->share, &reply, &err);
  queued->server->waits = says == SHARE_WAIT_TURN;
  queued->waits = says == SHARE_WAIT_OTHERS;
  switch (says) {
  case SHARE_SEND:
    return 1;
  case SHARE_WAIT_TURN:
    queued->server->not_before = clock_now () + share_pause (queued->share);
    return 0;
  case SHARE_WAIT_OTHERS:
    queued->not_before = clock_now () + share_pause (queued->share);
    return 0;
  case SHARE_REPLY:
    finish (queued, &reply);
    clevis_error_clear (&reply.error);
    return -1;
  case SHARE_FAILED:
    break;
  }
  finish_without (queued, &err);
  return -1;
}

/* Returns -1 if the request has ended, because nothing could be sent. */
static int
send_request (struct queued *queued)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const int r = queued->queue->share ? ask_others (queued) : 1;

  if (r != 1)
    return r;
  if (queued->prepare &&
      queued->prepare (&queued->request, queued->opaque, &err) == -1) {
    finish_without (queued, &err);
    return -1;
  }
  queued->prepare = NULL;
  queued->tries++;
  queued->transfer = http_start (queued->queue->http, &queued->request,
                                 reply_came, queued, &err);
  if (queued->transfer == NULL) {
    finish_without (queued, &err);
    return -1;
  }
  queued->sent = clock_now ();
  count_transfer (queued, 1);
  return 0;
}

/* What each device may have under way: the same part of the whole for all that
 * have something to ask, and at least one.
 */
static int
part_of_each (const struct queue *queue)
{
  int devices = 0;
  size_t i;

  for (i = 0; i < queue->nr_shares; ++i)
    devices += queue->shares[i].left > 0;
  return queue->most > devices ? queue->most / devices : 1;
}

/* The device in whose name a request would be sent: that with least under way.
 */
static size_t
least_busy (const struct queued *queued)
{
  const struct share *shares = queued->queue->shares;
  size_t i, best = queued->devices[0];

  for (i = 1; i < queued->nr_devices; ++i)
    if (shares[queued->devices[i]].busy < shares[best].busy)
      best = queued->devices[i];
  return best;
}

/* The next request that may be sent now, or NULL: of the device that has least
 * under way the one that came first.
 */
static struct queued *
next_to_send (struct queue *queue, double now)
{
  const int parallel = policy_get_settings (queue->policy)->parallel;
  const int part = queue->first ? part_of_each (queue) : 0;
  struct queued *queued, *best = NULL;
  int busy, least = part;

  if (queue->busy >= queue->most)
    return NULL;
  for (queued = queue->first; queued && least > 0; queued = queued->next) {
    if (queued->transfer || queued->not_before > now ||
        queued->server->not_before > now || queued->server->busy >= parallel)
      continue;
    busy = queue->shares[least_busy (queued)].busy;
    if (busy < least) {
      best = queued;
      least = busy;
    }
  }
  if (best)
    best->charged = least_busy (best);
  return best;
}

/* Send what may be sent, but not more than a few: what has come meanwhile is
 * heard first.  Telling an owner can end other requests, so the list is looked
 * at anew for each.  Returns true if there may be more to do without any reply.
 */
static bool
send_some (struct queue *queue)
{
  const double now = clock_now ();
  struct queued *queued;
  bool more = false;
  int i;

  for (i = 0; i < AT_ONCE && (queued = next_to_send (queue, now)); ++i)
    more |= send_request (queued) == -1 || i == AT_ONCE - 1;
  return more;
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
    .address = last->address, .temporary = true, .seconds = last->seconds,
  };

  if (queued->share)
    share_learn (queued->share, &reply, true);
  finish (queued, &reply);
}

/* The time is over before any try has ended. */
static void
expire (struct queued *queued, double seconds)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  if (queued->transfer == NULL && (queued->waits || queued->server->waits))
    share_explain (queued->waits ? SHARE_WAIT_OTHERS : SHARE_WAIT_TURN,
                   seconds, &err);
  else
    clevis_error_set (&err, CLEVIS_ERR_UNREACHABLE,
                      _("no answer within the deadline of %g seconds"),
                      seconds);
  /* A server that was asked only in the last moments may be as good as any. */
  if (queued->share && queued->transfer &&
      clock_now () - queued->sent >= seconds / 2) {
    const struct http_reply reply = {
      .error = err, .address = http_address (queued->transfer),
      .seconds = clock_now () - queued->sent,
    };

    share_learn (queued->share, &reply, true);
  }
  finish_without (queued, &err);
}

/* The time is over for all who still wait. */
static void
expire_all (struct queue *queue)
{
  const double seconds =
    policy_get_settings (queue->policy)->deadline / 1000.0;

  while (queue->first) {
    if (queue->first->last.came)
      finish_with_last (queue->first);
    else
      expire (queue->first, seconds);
  }
}

/* Milliseconds until something is due without a reply, at most ms. */
static int
time_to_wait (const struct queue *queue, int ms)
{
  const double now = clock_now ();
  double due = queue->deadline;
  const struct queued *queued;

  for (queued = queue->first; queued; queued = queued->next) {
    const double not_before =
      queued->server->not_before > queued->not_before
      ? queued->server->not_before : queued->not_before;

    if (queued->transfer == NULL && not_before > now && not_before < due)
      due = not_before;
  }
  due = (due - now) * 1000 + 1;
  return due < 0 ? 0 : due < ms ? (int) due : ms;
}

int
queue_step (struct queue *queue, int ms, struct clevis_error *err)
{
  if (queue->deadline == 0)
    queue->deadline = clock_now () +
      policy_get_settings (queue->policy)->deadline / 1000.0;
  if (send_some (queue))
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
queue_watch (struct queue *queue, int fd)
{
  http_watch (queue->http, fd);
}

void
queue_wakeup (struct queue *queue)
{
  http_wakeup (queue->http);
}
