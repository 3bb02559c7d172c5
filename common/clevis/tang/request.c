/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Questions to Tang servers.  Those who ask the same (a token that was cloned
 * with its disk) share one question; when and how often it is sent is the
 * queue's.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "jose/ecmr.h"
#include "base/gettext-compat.h"
#include "tang/keydir.h"
#include "tang/offline.h"
#include "tang/queue.h"
#include "tang/request.h"
#include "base/secret.h"

/* Somebody who waits for a question. */
struct request {
  struct question *question;
  struct request *next, **prev;
  size_t device;
  request_done_fn done;
  void *opaque;
};

struct question {
  struct requests *rs;
  struct question *next, **prev;
  char *key;                    /* equal for equal questions */
  unsigned hash;                /* of key */
  struct url *url;              /* to ask: of the token, or mapped */
  bool mapped;
  char *kid;
  json_t *exchange_key;         /* S */
  json_t *epk;                  /* C */
  json_t *ephemeral;            /* E */
  char *path, *body;
  struct request *waiters;
  struct queued *queued;        /* NULL: not yet, or answered */
  bool answered;                /* its waiters are being told */
  struct clevis_error exported; /* why it could not be exported */
};

struct requests {
  const struct policy *policy;
  struct queue *queue;
  struct question *questions;
};

struct requests *
requests_new (const struct policy *policy, struct clevis_error *err)
{
  struct requests *rs = calloc (1, sizeof *rs);

  if (rs == NULL) {
    clevis_error_errno (err, errno, _("requests"));
    return NULL;
  }
  rs->policy = policy;
  rs->queue = queue_new (policy, err);
  if (rs->queue == NULL) {
    free (rs);
    return NULL;
  }
  return rs;
}

static void
question_free (struct question *q)
{
  queue_cancel (q->queued);
  if (q->prev) {
    *q->prev = q->next;
    if (q->next)
      q->next->prev = q->prev;
  }
  url_free (q->url);
  json_decref (q->exchange_key);
  json_decref (q->epk);
  json_decref (q->ephemeral);
  clevis_error_clear (&q->exported);
  free (q->kid);
  free (q->key);
  free (q->path);
  free (q->body);
  free (q);
}

void
requests_free (struct requests *rs)
{
  struct question *q;

  if (rs == NULL)
    return;
  while ((q = rs->questions) != NULL) {
    q->answered = true;         /* so that it outlives its waiters */
    while (q->waiters)
      request_cancel (q->waiters);
    question_free (q);
  }
  queue_free (rs->queue);
  free (rs);
}

static void
unlink_waiter (struct request *request)
{
  *request->prev = request->next;
  if (request->next)
    request->next->prev = request->prev;
}

void
request_cancel (struct request *request)
{
  struct question *q;

  if (request == NULL)
    return;
  q = request->question;
  unlink_waiter (request);
  free (request);
  if (q->waiters == NULL && !q->answered)
    question_free (q);
}

/* Tell all who wait.  One who is told may cancel others. */
static void
tell (struct question *q, const json_t *k, const struct clevis_error *err,
      const char *address)
{
  struct request *request;

  q->answered = true;
  while ((request = q->waiters) != NULL) {
    unlink_waiter (request);
    request->done (k, err, address, request->opaque);
    free (request);
  }
  question_free (q);
}

json_t *
request_unblind (const json_t *server, const json_t *eph, const char *body,
                 size_t len, struct clevis_error *err)
{
  CLEANUP_JSON json_t *reply = json_loadb (body, len, JSON_REJECT_DUPLICATES,
                                           NULL);

  if (!json_is_object (reply)) {
    clevis_error_set (err, CLEVIS_ERR_REPLY, _("the reply is not a JSON "
                                               "object"));
    return NULL;
  }
  return ecmr_unblind (server, eph, reply, err);
}

static bool
is_jwk_type (const char *content_type)
{
  static const char type[] = "application/jwk+json";
  const size_t len = sizeof type - 1;

  return strncasecmp (content_type, type, len) == 0 &&
    strchr ("; ", content_type[len]) != NULL; /* or the end */
}

/* Is the reply one of Tang?  404 means that the server does not have the key;
 * anything else but 200 is an error of the server or of something before it.
 */
static int
check_reply (const struct question *q, const struct http_reply *reply,
             struct clevis_error *err)
{
  err->http_status = reply->status;
  if (reply->status == 404) {
    clevis_error_set (err, CLEVIS_ERR_NO_KEY,
                      _("the server does not have the key %s (HTTP status "
                        "404)"), q->kid);
    clevis_error_hint (err, _("The key may have been rotated and deleted, or "
                              "this is not the Tang server that the disk was "
                              "bound to.  --preflight says which keys of the "
                              "disk are still there, --tang-map names another "
                              "server."));
    return -1;
  }
  if (reply->status >= 300 && reply->status < 400)
    return clevis_error_set (err, CLEVIS_ERR_HTTP,
                             _("HTTP status %ld: the server redirects, which "
                               "is not followed"), reply->status);
  if (reply->status != 200)
    return clevis_error_set (err, CLEVIS_ERR_HTTP, _("HTTP status %ld"),
                             reply->status);
  if (!is_jwk_type (reply->content_type))
    return clevis_error_set (err, CLEVIS_ERR_REPLY,
                             _("the reply has the content type \"%s\", not "
                               "application/jwk+json"), reply->content_type);
  return 0;
}

static void
reply_came (const struct http_reply *reply, void *opaque)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_JSON json_t *k = NULL;
  struct question *q = opaque;

  q->queued = NULL;
  if (reply->error.code != CLEVIS_OK)
    clevis_error_copy (&err, &reply->error);
  else if (check_reply (q, reply, &err) == 0)
    k = request_unblind (q->exchange_key, q->ephemeral, reply->body,
                         reply->len, &err);
  if (q->mapped)
    err.mapped = strdup (q->url->base);
  tell (q, k, &err, reply->address);
}

/* What makes two questions the same: server, key, and C. */
static char *
question_key (const struct request_query *query)
{
  const char *x = json_string_value (json_object_get (query->epk, "x"));
  const char *y = json_string_value (json_object_get (query->epk, "y"));
  char *key;

  return asprintf (&key, "%s %s %s %s", query->url->base, query->kid, x,
                   y) == -1 ? NULL : key;
}

/* A disk may have thousands of questions; most differ in this (FNV-1a). */
static unsigned
hash_of (const char *text)
{
  unsigned hash = 2166136261U;

  for (; *text; ++text)
    hash = (hash ^ (unsigned char) *text) * 16777619U;
  return hash;
}

/* Blind the question and write it down as it will be sent. */
static int
prepare (struct question *q, struct clevis_error *err)
{
  CLEANUP_JSON json_t *x = ecmr_blind (q->epk, &q->ephemeral, err);

  if (x == NULL)
    return -1;
  q->body = json_dumps (x, JSON_COMPACT | JSON_SORT_KEYS);
  if (asprintf (&q->path, "/rec/%s", q->kid) == -1)
    q->path = NULL;
  return q->body && q->path ? 0
    : clevis_error_errno (err, ENOMEM, _("request"));
}

/* Where to ask: what the token says, unless the user says otherwise. */
static int
set_url (struct question *q, const struct url *url, struct clevis_error *err)
{
  if (policy_apply_maps (q->rs->policy, url, &q->url, err) == -1)
    return -1;
  q->mapped = q->url != NULL;
  if (!q->mapped)
    q->url = url_parse (url->base, err);
  return q->url ? 0 : -1;
}

static struct question *
new_question (struct requests *rs, const struct request_query *query,
              struct clevis_error *err)
{
  const struct clevis_error empty = CLEVIS_ERROR_INIT;
  struct question *q = calloc (1, sizeof *q);

  if (q == NULL) {
    clevis_error_errno (err, errno, _("request"));
    return NULL;
  }
  q->rs = rs;
  q->exported = empty;
  q->key = question_key (query);
  q->kid = strdup (query->kid);
  q->exchange_key = json_incref ((json_t *) query->server);
  q->epk = json_incref ((json_t *) query->epk);
  if (q->key == NULL || q->kid == NULL)
    clevis_error_errno (err, ENOMEM, _("request"));
  else if (set_url (q, query->url, err) == 0) {
    q->hash = hash_of (q->key);
    return q;
  }
  question_free (q);
  return NULL;
}

static void
link_question (struct question *q)
{
  q->next = q->rs->questions;
  q->prev = &q->rs->questions;
  if (q->next)
    q->next->prev = &q->next;
  q->rs->questions = q;
}

static struct question *
find_question (struct requests *rs, const struct request_query *query)
{
  CLEANUP_FREE char *key = question_key (query);
  const unsigned hash = key ? hash_of (key) : 0;
  struct question *q;

  for (q = rs->questions; key && q; q = q->next)
    if (q->hash == hash && !q->answered && strcmp (q->key, key) == 0)
      return q;
  return NULL;
}

struct request *
requests_ask (struct requests *rs, const struct request_query *query,
              request_done_fn done, void *opaque, struct clevis_error *err)
{
  struct question *q = find_question (rs, query);
  struct request *request;

  if (q == NULL) {
    q = new_question (rs, query, err);
    if (q == NULL)
      return NULL;
    link_question (q);
  }
  request = calloc (1, sizeof *request);
  if (request == NULL ||
      (q->queued && queue_join (q->queued, query->device, err) == -1)) {
    free (request);
    if (q->waiters == NULL)
      question_free (q);
    clevis_error_errno (err, ENOMEM, _("request"));
    return NULL;
  }
  request->question = q;
  request->device = query->device;
  request->done = done;
  request->opaque = opaque;
  request->next = q->waiters;
  request->prev = &q->waiters;
  if (request->next)
    request->next->prev = &request->next;
  q->waiters = request;
  return request;
}

/* Answer without a server: from its own keys, or from a file of replies. */
static void
answer_locally (struct question *q, const struct policy_settings *settings)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_JSON json_t *k = settings->keydir
    ? keydir_exchange (settings->keydir, q->kid, q->epk, &err)
    : offline_answer (settings->offline, q->key, q->exchange_key, &err);

  tell (q, k, &err, NULL);
}

/* May this question be sent by another machine?  It resolves names on its own,
 * so only what the URL says can be judged.
 */
static int
check_export (const struct question *q, struct clevis_error *err)
{
  const struct policy_target target = url_target (q->url);

  return q->mapped ? 0 : policy_check_target (q->rs->policy, &target, err);
}

/* Write down a question instead of asking it. */
static int
export_question (struct question *q, struct offline *offline,
                 struct clevis_error *err)
{
  CLEANUP_FREE char *url = NULL;

  if (check_export (q, err) == -1 || prepare (q, err) == -1)
    return -1;
  if (asprintf (&url, "%s%s", q->url->base, q->path) == -1) {
    url = NULL;
    return clevis_error_errno (err, ENOMEM, _("request"));
  }
  return offline_add (offline, q->key, url, q->kid, q->body, q->ephemeral,
                      err);
}

/* The next question to end: those that could not be exported come first. */
static struct question *
next_exported (struct requests *rs)
{
  struct question *q;

  for (q = rs->questions; q; q = q->next)
    if (!q->answered && q->exported.code != CLEVIS_OK)
      return q;
  q = rs->questions;
  return q && !q->answered ? q : NULL;
}

/* All questions are written down before anybody is told, since an sss pin that
 * is told of enough failures takes its other questions back.  Failures are
 * told first, so what was taken back and has no error was exported.
 */
static bool
export_all (struct requests *rs, struct offline *offline)
{
  struct question *q;
  const bool any = rs->questions != NULL;

  for (q = rs->questions; q; q = q->next)
    export_question (q, offline, &q->exported);
  while ((q = next_exported (rs)) != NULL) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

    clevis_error_copy (&err, &q->exported);
    clevis_error_set (&err, CLEVIS_ERR_CANCELLED,
                      _("its request was exported"));
    tell (q, NULL, &err, NULL);
  }
  return any;
}

/* To blind a question costs time, so it is done when its turn has come. */
static int
prepare_request (struct http_request *request, void *opaque,
                 struct clevis_error *err)
{
  struct question *q = opaque;

  if (prepare (q, err) == -1)
    return -1;
  request->path = q->path;
  request->body = q->body;
  return 0;
}

/* All who wait lend it their turns. */
static int
join_waiters (struct question *q, struct clevis_error *err)
{
  const struct request *waiter;

  for (waiter = q->waiters; waiter; waiter = waiter->next)
    if (queue_join (q->queued, waiter->device, err) == -1)
      return -1;
  return 0;
}

/* Returns -1 if the question has ended, because memory was short. */
static int
send_question (struct question *q)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const struct http_request request = {
    .base = q->url, .trusted = q->mapped,
  };

  q->queued = queue_add (q->rs->queue, &request, q->waiters->device,
                         reply_came, q, &err);
  if (q->queued && join_waiters (q, &err) == 0) {
    queue_prepare (q->queued, prepare_request);
    return 0;
  }
  queue_cancel (q->queued);
  q->queued = NULL;
  tell (q, NULL, &err, NULL);
  return -1;
}

/* The next question that nothing was done about, or NULL. */
static struct question *
next_new (struct requests *rs)
{
  struct question *q;

  for (q = rs->questions; q; q = q->next)
    if (q->queued == NULL && !q->answered)
      return q;
  return NULL;
}

/* Put new questions into the queue, or answer them.  Telling a waiter can end
 * other questions, so the list is looked at anew for each.  Returns true if a
 * question has ended at once, so that there may be more to do without any
 * reply.
 */
static bool
start_new (struct requests *rs)
{
  const struct policy_settings *settings = policy_get_settings (rs->policy);
  struct question *q;
  bool ended = false;

  if (settings->offline && !offline_is_import (settings->offline))
    return export_all (rs, settings->offline);
  while ((q = next_new (rs)) != NULL)
    if (settings->keydir || settings->offline) {
      answer_locally (q, settings);
      ended = true;
    }
    else if (send_question (q) == -1)
      ended = true;
  return ended;
}

int
requests_step (struct requests *rs, int ms, struct clevis_error *err)
{
  if (start_new (rs))
    ms = 0;
  return queue_step (rs->queue, ms, err);
}

void
requests_wakeup (struct requests *rs)
{
  queue_wakeup (rs->queue);
}
