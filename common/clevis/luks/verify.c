/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A list of jobs, two threads that work on it, a list of results.
 *
 * Everything but the key derivation itself happens under one lock.  Whoever
 * derives touches nothing of the caller's: a verifier can be freed under it.
 */

#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "base/clock.h"
#include "base/gettext-compat.h"
#include "base/secret-thread.h"
#include "luks/verify.h"

/* Seconds of each device that are worked on in the quick lane.  A keyslot of
 * Clevis and the digest of a usual volume key are estimated at 0.2.
 */
#define QUICK_SECONDS 0.5

/* By how much the other lane steps back for it, and for the event loop, on a
 * machine with few processors (nice(2), which Linux has for each thread).
 */
#define SLOW_NICE 5

/* How long verifier_free waits for what is under way. */
#define GRACE_NS 250000000L

struct job_list {
  struct verify_job *first, **last;
};

/* A thread, and what it does: what costs next to nothing, or all else. */
struct lane {
  struct verifier *v;
  bool quick;
  struct secret_thread thread;
  bool started;
  bool ended;              /* it touches nothing any more */
};

enum { QUICK, SLOW, NR_LANES };

struct verifier {
  struct lane lanes[NR_LANES];
  double deadline;         /* of the clock; 0: none */

  /* The rest is under lock. */
  pthread_mutex_t lock;
  pthread_cond_t cond;     /* a job came or ended, or quit, or a lane ended */
  bool quit;
  struct job_list todo, done;
  void (*wakeup) (void *opaque);
  void *opaque;

  struct verifier *next_left;
};

/* Those that were freed while a keyslot was being tried.  Only the thread that
 * makes and frees verifiers looks at the list.
 */
static struct verifier *left;

static void
jobs_init (struct job_list *jobs)
{
  jobs->first = NULL;
  jobs->last = &jobs->first;
}

static void
jobs_push (struct job_list *jobs, struct verify_job *job)
{
  job->next = NULL;
  *jobs->last = job;
  jobs->last = &job->next;
}

/* job must be in it. */
static void
jobs_remove (struct job_list *jobs, struct verify_job *job)
{
  struct verify_job **p = &jobs->first;

  while (*p != job)
    p = &(*p)->next;
  *p = job->next;
  if (*p == NULL)
    jobs->last = p;
}

/* Join those lanes of a verifier that have ended.  True if all have. */
static bool
join_ended (struct verifier *v)
{
  bool all = true;
  size_t i;

  for (i = 0; i < NR_LANES; ++i) {
    struct lane *lane = &v->lanes[i];
    bool ended;

    pthread_mutex_lock (&v->lock);
    ended = lane->ended;
    pthread_mutex_unlock (&v->lock);
    if (lane->started && ended) {
      secret_thread_join (&lane->thread);
      lane->started = false;
    }
    all = all && !lane->started;
  }
  return all;
}

static void
destroy (struct verifier *v)
{
  pthread_cond_destroy (&v->cond);
  pthread_mutex_destroy (&v->lock);
  free (v);
}

bool
verifier_is_left (void)
{
  struct verifier **p = &left, *v;

  while ((v = *p) != NULL)
    if (join_ended (v)) {
      *p = v->next_left;
      destroy (v);
    }
    else
      p = &v->next_left;
  return left != NULL;
}

struct verifier *
verifier_new (void (*wakeup) (void *opaque), void *opaque,
              struct clevis_error *err)
{
  struct verifier *v = calloc (1, sizeof *v);
  pthread_condattr_t monotonic;
  size_t i;

  if (v == NULL) {
    clevis_error_errno (err, errno, _("verifier"));
    return NULL;
  }
  verifier_is_left ();
  pthread_mutex_init (&v->lock, NULL);
  pthread_condattr_init (&monotonic);
  pthread_condattr_setclock (&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init (&v->cond, &monotonic);
  pthread_condattr_destroy (&monotonic);
  jobs_init (&v->todo);
  jobs_init (&v->done);
  for (i = 0; i < NR_LANES; ++i) {
    v->lanes[i].v = v;
    v->lanes[i].quick = i == QUICK;
  }
  v->wakeup = wakeup;
  v->opaque = opaque;
  return v;
}

void
verifier_set_deadline (struct verifier *v, double deadline)
{
  v->deadline = deadline;
}

static bool
any_lane_runs (const struct verifier *v)
{
  size_t i;

  for (i = 0; i < NR_LANES; ++i)
    if (v->lanes[i].started && !v->lanes[i].ended)
      return true;
  return false;
}

/* What was proven and never asked for. */
static void
drop_proofs (struct job_list *jobs)
{
  struct verify_job *job;

  for (job = jobs->first; job; job = job->next) {
    luks_free (job->proof);
    job->proof = NULL;
  }
}

void
verifier_free (struct verifier *v)
{
  struct timespec until;

  if (v == NULL)
    return;
  clock_gettime (CLOCK_MONOTONIC, &until);
  until.tv_nsec += GRACE_NS;
  if (until.tv_nsec >= 1000000000L) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000L;
  }
  pthread_mutex_lock (&v->lock);
  v->quit = true;
  pthread_cond_broadcast (&v->cond);
  while (any_lane_runs (v) &&
         pthread_cond_timedwait (&v->cond, &v->lock, &until) == 0)
    ;
  drop_proofs (&v->done);
  pthread_mutex_unlock (&v->lock);
  if (join_ended (v))
    destroy (v);
  else {
    v->next_left = left;
    left = v;
  }
}

/* The job has ended. */
static void
finish (struct verifier *v, struct verify_job *job)
{
  jobs_remove (&v->todo, job);
  jobs_push (&v->done, job);
  v->wakeup (v->opaque);
}

/* What was refused for its cost is what the user can do something about. */
static void
keep_error (struct verify_job *job, const struct clevis_error *err)
{
  if (job->error.code == CLEVIS_ERR_LIMIT)
    return;
  clevis_error_clear (&job->error);
  clevis_error_copy (&job->error, err);
}

/* Is there time for keyslot i of a job?  If not, err says so. */
static int
check_time (const struct verifier *v, const struct verify_job *job, size_t i,
            struct clevis_error *err)
{
  const struct luks_keyslot *k = luks_keyslot (job->luks, job->keyslots[i]);
  const struct verify_account *a = job->account;
  const double cost = job->costs[i], remains = v->deadline - clock_now ();

  if (cost > a->allowed - a->spent)
    clevis_error_set (err, CLEVIS_ERR_LIMIT,
                      _("its %s would take about %.3g seconds, and %.3g are "
                        "left of the %.3g that one device may take for key "
                        "derivation"),
                      k->kdf, cost, a->allowed - a->spent, a->allowed);
  else if (v->deadline > 0 && cost > remains)
    clevis_error_set (err, CLEVIS_ERR_LIMIT,
                      _("its %s would take about %.3g seconds, and %.3g are "
                        "left until the deadline"),
                      k->kdf, cost, remains > 0 ? remains : 0);
  else
    return 0;
  clevis_error_hint (err, _("If that keyslot is meant to be so dear, give it "
                            "the time: --deadline %.0f."),
                     (a->spent + cost) * BOUND_KDF_SHARE + 1);
  return -1;
}

/* Refuse what there is no time for, and end what has nothing left to try. */
static void
sift (struct verifier *v)
{
  struct verify_job *job, *next;

  for (job = v->todo.first; job; job = next) {
    bool any = false;
    size_t i;

    next = job->next;
    if (job->busy)
      continue;
    for (i = 0; i < job->nr_keyslots && !atomic_load (&job->skip); ++i) {
      CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

      if (job->costs[i] < 0)
        continue;
      if (check_time (v, job, i, &err) == 0) {
        any = true;
        continue;
      }
      job->costs[i] = -1;
      err.keyslot = job->keyslots[i];
      keep_error (job, &err);
    }
    if (!any)
      finish (v, job);
  }
}

/* The cheapest keyslot of a job, the first one of those; its number of keyslots
 * if there is none.
 */
static size_t
cheapest (const struct verify_job *job)
{
  size_t i, best = job->nr_keyslots;

  for (i = 0; i < job->nr_keyslots; ++i)
    if (job->costs[i] >= 0 && (best == job->nr_keyslots ||
                               job->costs[i] < job->costs[best]))
      best = i;
  return best;
}

/* What this lane tries next: the keyslot after which its device has had least.
 * Returns the job, or NULL if there is nothing to do.
 */
static struct verify_job *
pick (const struct lane *lane, size_t *keyslot)
{
  struct verify_job *job, *best = NULL;
  double after, least = 0;
  size_t i;

  for (job = lane->v->todo.first; job; job = job->next) {
    i = cheapest (job);
    if (job->busy || i == job->nr_keyslots)
      continue;
    after = job->account->spent + job->costs[i];
    if (lane->quick == (after <= QUICK_SECONDS) &&
        (best == NULL || after < least)) {
      best = job;
      *keyslot = i;
      least = after;
    }
  }
  return best;
}

/* Load the copy of a header, and try a keyslot of it.  Without the lock: a
 * hostile header takes its time, and others shall not wait for it.
 */
static int
try_copy (struct luks *copy, int slot, const struct secret *passphrase,
          struct clevis_error *err)
{
  return luks_again_load (copy, err) == -1 ? -1
    : luks_verify (copy, slot, passphrase, err);
}

/* Try a keyslot.  Called with the lock held, which is released while the key is
 * derived; what is used then belongs to this function.
 */
static void
try (struct verifier *v, struct verify_job *job, size_t i)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct secret *passphrase;
  const int slot = job->keyslots[i];
  const double start = clock_now ();
  struct luks *luks = luks_again (job->luks, &err);
  int r = -1;

  passphrase = secret_copy (job->passphrase->data, job->passphrase->len);
  if (passphrase == NULL && luks)
    secret_error (&err);
  job->busy = true;
  job->account->spent += job->costs[i];
  job->costs[i] = -1;
  pthread_mutex_unlock (&v->lock);
  if (luks && passphrase)
    r = try_copy (luks, slot, passphrase, &err);
  secret_free (passphrase);
  if (r == -1) {
    luks_free (luks);
    luks = NULL;
  }
  pthread_mutex_lock (&v->lock);
  if (v->quit) {                /* there may be no job any more */
    luks_free (luks);
    return;
  }
  job->busy = false;
  job->seconds += clock_now () - start;
  if (r == 0) {
    clevis_error_clear (&job->error);
    job->keyslot = slot;
    job->proof = luks;
    finish (v, job);
    return;
  }
  err.keyslot = slot;
  keep_error (job, &err);
}

static void *
run (void *opaque)
{
  struct lane *lane = opaque;
  struct verifier *v = lane->v;
  struct verify_job *job;
  size_t i;

  /* 0 is this thread; the vault may name no other number. */
  if (!lane->quick)
    setpriority (PRIO_PROCESS, 0, SLOW_NICE);
  pthread_mutex_lock (&v->lock);
  while (!v->quit) {
    sift (v);
    job = pick (lane, &i);
    if (job) {
      try (v, job, i);
      pthread_cond_broadcast (&v->cond);
    }
    else
      pthread_cond_wait (&v->cond, &v->lock);
  }
  lane->ended = true;
  pthread_cond_broadcast (&v->cond);
  pthread_mutex_unlock (&v->lock);
  return NULL;
}

static int
start_lane (struct lane *lane)
{
  int r;

  if (lane->started)
    return 0;
  r = secret_thread_start (&lane->thread, SECRET_THREAD_STACK, run, lane);
  lane->started = r == 0;
  return r;
}

int
verifier_submit (struct verifier *v, struct verify_job *job,
                 struct clevis_error *err)
{
  int r = start_lane (&v->lanes[QUICK]);
  double sum = 0;
  size_t i;

  for (i = 0; i < job->nr_keyslots; ++i) {
    job->costs[i] = luks_cost (job->luks, job->keyslots[i]);
    if (job->costs[i] > 0)
      sum += job->costs[i];
  }
  pthread_mutex_lock (&v->lock);
  job->account->announced += sum;
  if (r == 0 && job->account->announced > QUICK_SECONDS)
    r = start_lane (&v->lanes[SLOW]);
  if (r == 0) {
    job->keyslot = -1;
    jobs_push (&v->todo, job);
    pthread_cond_broadcast (&v->cond);
  }
  pthread_mutex_unlock (&v->lock);
  return r == 0 ? 0
    : clevis_error_errno (err, r, _("thread for verification"));
}

struct verify_job *
verifier_next (struct verifier *v)
{
  struct verify_job *job;

  pthread_mutex_lock (&v->lock);
  job = v->done.first;
  if (job)
    jobs_remove (&v->done, job);
  pthread_mutex_unlock (&v->lock);
  if (job && job->proof) {
    luks_adopt (job->luks, job->proof);
    luks_free (job->proof);
    job->proof = NULL;
  }
  return job;
}
