/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Questions of tang pins.  Those who ask the same (a token that was cloned with
 * its disk) share one question.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "base/clock.h"
#include "jose/ecmr.h"
#include "base/gettext-compat.h"
#include "exchange/question.h"
#include "base/secret.h"

/* Somebody who waits for an answer. */
struct waiter {
  struct question *question;
  struct waiter *next, **prev;
  size_t device;
  pin_answer_fn done;
  void *opaque;
};

struct question {
  struct questions *qs;
  struct question *next, **prev;
  char *key;                    /* equal for equal questions */
  unsigned hash;                /* of key */
  char *url;                    /* of the token */
  char *kid;
  json_t *exchange_key;         /* S */
  json_t *epk;                  /* C */
  json_t *ephemeral;            /* E */
  struct waiter *waiters;
  struct asked *asked;          /* NULL: not yet, or answered */
  bool answered;                /* its waiters are being told */
  struct clevis_error exported; /* why it could not be exported */
};

struct questions {
  struct asker *asker;
  struct answers answers;
  struct question *first, **last; /* in the order in which they were asked */
  struct question *fresh;       /* the first that nothing was done about */
};

struct questions *
questions_new (struct asker *asker, const struct answers *answers,
               struct clevis_error *err)
{
  struct questions *qs = asker ? calloc (1, sizeof *qs) : NULL;

  if (qs == NULL) {
    clevis_error_errno (err, ENOMEM, _("questions"));
    asker_free (asker);
    return NULL;
  }
  qs->asker = asker;
  qs->answers = *answers;
  qs->last = &qs->first;
  return qs;
}

static void
question_free (struct question *q)
{
  asker_cancel (q->qs->asker, q->asked);
  if (q->prev) {
    *q->prev = q->next;
    if (q->next)
      q->next->prev = q->prev;
    else
      q->qs->last = q->prev;
    if (q->qs->fresh == q)
      q->qs->fresh = q->next;
  }
  json_decref (q->exchange_key);
  json_decref (q->epk);
  json_decref (q->ephemeral);
  clevis_error_clear (&q->exported);
  free (q->kid);
  free (q->key);
  free (q->url);
  free (q);
}

void
questions_free (struct questions *qs)
{
  struct question *q;

  if (qs == NULL)
    return;
  while ((q = qs->first) != NULL) {
    q->answered = true;         /* so that it outlives its waiters */
    while (q->waiters)
      question_forget (q->waiters);
    question_free (q);
  }
  asker_free (qs->asker);
  free (qs);
}

static void
unlink_waiter (struct waiter *waiter)
{
  *waiter->prev = waiter->next;
  if (waiter->next)
    waiter->next->prev = waiter->prev;
}

void
question_forget (struct waiter *waiter)
{
  struct question *q;

  if (waiter == NULL)
    return;
  q = waiter->question;
  unlink_waiter (waiter);
  free (waiter);
  if (q->waiters == NULL && !q->answered)
    question_free (q);
}

/* Tell all who wait.  One who is told may forget others. */
static void
tell (struct question *q, const json_t *k, const struct clevis_error *err,
      const char *address)
{
  struct waiter *waiter;

  q->answered = true;
  while ((waiter = q->waiters) != NULL) {
    unlink_waiter (waiter);
    waiter->done (k, err, address, waiter->opaque);
    free (waiter);
  }
  question_free (q);
}

static struct waiter *
waiter_of (const struct question *q, size_t device)
{
  struct waiter *waiter = q->waiters;

  while (waiter && waiter->device != device)
    waiter = waiter->next;
  return waiter;
}

/* One device may not have it asked. */
static void
refused (size_t device, const struct clevis_error *err, void *opaque)
{
  struct question *q = opaque;
  struct waiter *waiter;

  q->answered = true;           /* so that it outlives its waiters */
  while ((waiter = waiter_of (q, device)) != NULL) {
    unlink_waiter (waiter);
    waiter->done (NULL, err, NULL, waiter->opaque);
    free (waiter);
  }
  q->answered = false;
  if (q->waiters == NULL)
    question_free (q);
}

json_t *
question_unblind (const json_t *server, const json_t *eph, const char *body,
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
check_reply (const struct question *q, const struct answer *reply,
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
answered (const struct answer *reply, void *opaque)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_JSON json_t *k = NULL;
  struct question *q = opaque;

  q->asked = NULL;
  if (reply->error.code != CLEVIS_OK)
    clevis_error_copy (&err, &reply->error);
  else if (check_reply (q, reply, &err) == 0)
    k = question_unblind (q->exchange_key, q->ephemeral, reply->body,
                         reply->len, &err);
  if (reply->mapped)
    err.mapped = strdup (reply->mapped);
  tell (q, k, &err, reply->address);
}

/* What makes two questions the same: server, key, and C. */
static char *
question_key (const struct pin_query *query)
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

/* Blind the question. */
static json_t *
point (void *opaque, struct clevis_error *err)
{
  struct question *q = opaque;

  return ecmr_blind (q->epk, &q->ephemeral, err);
}

static struct question *
new_question (struct questions *qs, const struct pin_query *query,
              struct clevis_error *err)
{
  const struct clevis_error empty = CLEVIS_ERROR_INIT;
  struct question *q = calloc (1, sizeof *q);

  if (q == NULL) {
    clevis_error_errno (err, errno, _("request"));
    return NULL;
  }
  q->qs = qs;
  q->exported = empty;
  q->key = question_key (query);
  q->kid = strdup (query->kid);
  q->exchange_key = json_incref ((json_t *) query->server);
  q->epk = json_incref ((json_t *) query->epk);
  q->url = strdup (query->url->base);
  if (q->key && q->kid && q->url) {
    q->hash = hash_of (q->key);
    return q;
  }
  clevis_error_errno (err, ENOMEM, _("question"));
  question_free (q);
  return NULL;
}

static void
link_question (struct question *q)
{
  q->prev = q->qs->last;
  *q->qs->last = q;
  q->qs->last = &q->next;
  if (q->qs->fresh == NULL)
    q->qs->fresh = q;
}

static struct question *
find_question (struct questions *qs, const struct pin_query *query)
{
  CLEANUP_FREE char *key = question_key (query);
  const unsigned hash = key ? hash_of (key) : 0;
  struct question *q;

  for (q = qs->first; key && q; q = q->next)
    if (q->hash == hash && !q->answered && strcmp (q->key, key) == 0)
      return q;
  return NULL;
}

struct waiter *
questions_ask (struct questions *qs, const struct pin_query *query,
               pin_answer_fn done, void *opaque, struct clevis_error *err)
{
  struct question *q = find_question (qs, query);
  struct waiter *waiter;

  if (q == NULL) {
    q = new_question (qs, query, err);
    if (q == NULL)
      return NULL;
    link_question (q);
  }
  waiter = calloc (1, sizeof *waiter);
  if (waiter == NULL ||
      (q->asked &&
       asker_join (qs->asker, q->asked, query->device, err) == -1)) {
    free (waiter);
    if (q->waiters == NULL)
      question_free (q);
    clevis_error_errno (err, ENOMEM, _("question"));
    return NULL;
  }
  waiter->question = q;
  waiter->device = query->device;
  waiter->done = done;
  waiter->opaque = opaque;
  waiter->next = q->waiters;
  waiter->prev = &q->waiters;
  if (waiter->next)
    waiter->next->prev = &waiter->next;
  q->waiters = waiter;
  return waiter;
}

/* Answer without a server: from its own keys, or from a file of replies. */
static void
answer_locally (struct question *q)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const struct answers *answers = &q->qs->answers;
  CLEANUP_JSON json_t *k = answers->keydir
    ? keydir_exchange (answers->keydir, q->kid, q->epk, &err)
    : offline_answer (answers->offline, q->key, q->exchange_key, &err);

  tell (q, k, &err, NULL);
}

/* Write down a question instead of asking it. */
static int
export_question (struct question *q, struct clevis_error *err)
{
  CLEANUP_FREE char *base = asker_where (q->qs->asker, q->url, err);
  CLEANUP_FREE char *url = NULL, *body = NULL;
  CLEANUP_JSON json_t *x = base ? point (q, err) : NULL;

  if (x == NULL)
    return -1;
  body = json_dumps (x, JSON_COMPACT | JSON_SORT_KEYS);
  if (asprintf (&url, "%s/rec/%s", base, q->kid) == -1)
    url = NULL;
  if (body == NULL || url == NULL)
    return clevis_error_errno (err, ENOMEM, _("question"));
  return offline_add (q->qs->answers.offline, q->key, url, q->kid, body,
                      q->ephemeral, err);
}

/* The next question to end: those that could not be exported come first. */
static struct question *
next_exported (struct questions *qs)
{
  struct question *q;

  for (q = qs->first; q; q = q->next)
    if (!q->answered && q->exported.code != CLEVIS_OK)
      return q;
  q = qs->first;
  return q && !q->answered ? q : NULL;
}

/* All questions are written down before anybody is told, since an sss pin that
 * is told of enough failures takes its other questions back.  Failures are
 * told first, so what was taken back and has no error was exported.
 */
static bool
export_all (struct questions *qs)
{
  struct question *q;
  const bool any = qs->first != NULL;

  for (q = qs->first; q; q = q->next)
    export_question (q, &q->exported);
  while ((q = next_exported (qs)) != NULL) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

    clevis_error_copy (&err, &q->exported);
    clevis_error_set (&err, CLEVIS_ERR_CANCELLED,
                      _("its request was exported"));
    tell (q, NULL, &err, NULL);
  }
  return any;
}

/* All who wait lend it their turns. */
static int
join_waiters (struct question *q, struct clevis_error *err)
{
  const struct waiter *waiter;

  for (waiter = q->waiters; waiter; waiter = waiter->next)
    if (waiter->device != q->waiters->device &&
        asker_join (q->qs->asker, q->asked, waiter->device, err) == -1)
      return -1;
  return 0;
}

/* Returns -1 if the question has ended, because memory was short. */
static int
send_question (struct question *q)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const struct ask ask = {
    .what = ASK_RECOVERY, .url = q->url, .kid = q->kid,
    .device = q->waiters->device, .opaque = q, .point = point,
    .done = answered, .refused = refused,
  };

  q->asked = asker_ask (q->qs->asker, &ask, &err);
  if (q->asked && join_waiters (q, &err) == 0)
    return 0;
  asker_cancel (q->qs->asker, q->asked);
  q->asked = NULL;
  tell (q, NULL, &err, NULL);
  return -1;
}

/* Seconds that a step asks new questions before it listens. */
#define ASK_SECONDS 0.0001

/* Ask new questions, or answer them.  Telling a waiter can end other
 * questions, and ask some.  Returns true if a question has ended at once, so
 * that there may be more to do without any reply.
 */
static bool
start_new (struct questions *qs)
{
  const struct answers *answers = &qs->answers;
  const bool servers = answers->keydir == NULL && answers->offline == NULL;
  const double until = clock_now () + ASK_SECONDS;
  struct question *q;
  bool ended = false;

  if (answers->offline && !offline_is_import (answers->offline))
    return export_all (qs);
  while ((q = qs->fresh) != NULL) {
    if (servers && clock_now () >= until)
      return true;
    qs->fresh = q->next;
    if (!servers) {
      answer_locally (q);
      ended = true;
    }
    else if (send_question (q) == -1)
      ended = true;
  }
  return ended;
}

int
questions_step (struct questions *qs, int ms, struct clevis_error *err)
{
  if (start_new (qs))
    ms = 0;
  return asker_step (qs->asker, ms, err);
}

void
questions_wakeup (struct questions *qs)
{
  asker_wakeup (qs->asker);
}
