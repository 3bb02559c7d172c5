/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A queue of jobs, one thread that works on it, a queue of results.
 */

#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "clock.h"
#include "gettext-compat.h"
#include "secret-thread.h"
#include "verify.h"

struct queue {
  struct verify_job *first, **last;
};

struct verifier {
  struct secret_thread thread;
  bool started, quit;      /* quit is under lock */
  pthread_mutex_t lock;
  pthread_cond_t cond;     /* a job came, or quit */
  struct queue todo, done;
  void (*wakeup) (void *opaque);
  void *opaque;
};

static void
queue_init (struct queue *q)
{
  q->first = NULL;
  q->last = &q->first;
}

static void
queue_push (struct queue *q, struct verify_job *job)
{
  job->next = NULL;
  *q->last = job;
  q->last = &job->next;
}

static struct verify_job *
queue_pop (struct queue *q)
{
  struct verify_job *job = q->first;

  if (job) {
    q->first = job->next;
    if (q->first == NULL)
      q->last = &q->first;
  }
  return job;
}

struct verifier *
verifier_new (void (*wakeup) (void *opaque), void *opaque,
              struct clevis_error *err)
{
  struct verifier *v = calloc (1, sizeof *v);

  if (v == NULL) {
    clevis_error_errno (err, errno, _("verifier"));
    return NULL;
  }
  pthread_mutex_init (&v->lock, NULL);
  pthread_cond_init (&v->cond, NULL);
  queue_init (&v->todo);
  queue_init (&v->done);
  v->wakeup = wakeup;
  v->opaque = opaque;
  return v;
}

void
verifier_free (struct verifier *v)
{
  if (v == NULL)
    return;
  if (v->started) {
    pthread_mutex_lock (&v->lock);
    v->quit = true;
    pthread_cond_signal (&v->cond);
    pthread_mutex_unlock (&v->lock);
    secret_thread_join (&v->thread);
  }
  pthread_cond_destroy (&v->cond);
  pthread_mutex_destroy (&v->lock);
  free (v);
}

/* The error kept is that of the last keyslot. */
static void
work (struct verify_job *job)
{
  const double start = clock_now ();
  size_t i;

  for (i = 0; i < job->nr_keyslots && job->keyslot == -1; ++i) {
    if (atomic_load (&job->skip))
      break;
    if (luks_keyslot (job->luks, job->keyslots[i]) == NULL)
      continue;
    clevis_error_clear (&job->error);
    if (luks_verify (job->luks, job->keyslots[i], job->passphrase,
                     &job->error) == 0)
      job->keyslot = job->keyslots[i];
    else
      job->error.keyslot = job->keyslots[i];
  }
  job->seconds = clock_now () - start;
}

static void *
run (void *opaque)
{
  struct verifier *v = opaque;
  struct verify_job *job;

  pthread_mutex_lock (&v->lock);
  while (!v->quit) {
    job = queue_pop (&v->todo);
    if (job == NULL) {
      pthread_cond_wait (&v->cond, &v->lock);
      continue;
    }
    pthread_mutex_unlock (&v->lock);
    work (job);
    pthread_mutex_lock (&v->lock);
    queue_push (&v->done, job);
    v->wakeup (v->opaque);
  }
  pthread_mutex_unlock (&v->lock);
  return NULL;
}

static int
start_thread (struct verifier *v)
{
  const int r = secret_thread_start (&v->thread, run, v);

  v->started = r == 0;
  return r;
}

int
verifier_submit (struct verifier *v, struct verify_job *job,
                 struct clevis_error *err)
{
  int r = v->started ? 0 : start_thread (v);

  if (r != 0)
    return clevis_error_errno (err, r, _("thread for verification"));
  job->keyslot = -1;
  pthread_mutex_lock (&v->lock);
  queue_push (&v->todo, job);
  pthread_cond_signal (&v->cond);
  pthread_mutex_unlock (&v->lock);
  return 0;
}

struct verify_job *
verifier_next (struct verifier *v)
{
  struct verify_job *job;

  pthread_mutex_lock (&v->lock);
  job = queue_pop (&v->done);
  pthread_mutex_unlock (&v->lock);
  return job;
}
