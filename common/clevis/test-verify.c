/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of verify.c: jobs are worked on by one other thread, in order, and
 * not if they are no longer needed.
 */

#include <config.h>

#include "testlib.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bounds.h"
#include "testlib-jwe.h"
#include "testlib-luks.h"
#include "verify.h"

static const char *const passphrases[] = { "first", "second", "third", NULL };
static const int all_keyslots[] = { 0, 1, 2 };

/* What each test has: a device, a verifier, and what its wakeup sees. */
struct fixture {
  struct luks *luks;
  struct verifier *v;
  struct secret *passphrase[3];
  int event;                    /* counts wakeups */
  pthread_t thread;             /* that called wakeup last */
  bool sigint_blocked;          /* in that thread */
  atomic_bool *skip_next;       /* set by the next wakeup, or NULL */
};

static void
wakeup (void *opaque)
{
  struct fixture *f = opaque;
  uint64_t one = 1;
  sigset_t mask;

  f->thread = pthread_self ();
  pthread_sigmask (SIG_SETMASK, NULL, &mask);
  f->sigint_blocked = sigismember (&mask, SIGINT) == 1;
  if (f->skip_next)
    atomic_store (f->skip_next, true);
  if (write (f->event, &one, sizeof one) != sizeof one)
    abort ();
}

static const char *
device_file (void)
{
  static const char *file;
  int i;

  if (file == NULL) {
    CLEANUP_JSON json_t *jwe = encrypt_null ("x", 1);

    file = tmp_path ("verify.img");
    make_luks2 (file, passphrases, 16 * KIB);
    for (i = 0; i < 3; ++i)
      bind_luks (file, i, jwe);
  }
  return file;
}

static int
setup (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = calloc (1, sizeof *f);
  int i;

  f->luks = ready_luks (device_file ());
  f->event = eventfd (0, EFD_CLOEXEC);
  for (i = 0; i < 3; ++i)
    f->passphrase[i] = secret_copy (passphrases[i], strlen (passphrases[i]));
  f->v = verifier_new (wakeup, f, &err);
  assert_non_null (f->v);
  *state = f;
  return 0;
}

static int
teardown (void **state)
{
  struct fixture *f = *state;
  int i;

  verifier_free (f->v);
  luks_free (f->luks);
  close (f->event);
  for (i = 0; i < 3; ++i)
    secret_free (f->passphrase[i]);
  free (f);
  return 0;
}

/* A job for passphrase i, to be tried on n keyslots. */
static struct verify_job
job_for (struct fixture *f, int i, const int *keyslots, size_t n)
{
  const struct clevis_error empty = CLEVIS_ERROR_INIT;
  struct verify_job job = {
    .luks = f->luks, .keyslots = keyslots, .nr_keyslots = n,
    .passphrase = f->passphrase[i], .opaque = f, .error = empty,
  };

  return job;
}

static void
submit (struct fixture *f, struct verify_job *job)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  assert_int_equal (verifier_submit (f->v, job, &err), 0);
}

/* The next job that ends, which must be soon. */
static struct verify_job *
next (struct fixture *f)
{
  struct pollfd pfd = { .fd = f->event, .events = POLLIN };
  struct verify_job *job;

  while ((job = verifier_next (f->v)) == NULL)
    assert_int_equal (poll (&pfd, 1, 60000), 1);
  return job;
}

static void
test_accepted (void **state)
{
  struct fixture *f = *state;
  struct verify_job job = job_for (f, 1, all_keyslots + 1, 1);

  assert_null (verifier_next (f->v));
  submit (f, &job);
  assert_ptr_equal (next (f), &job);
  assert_int_equal (job.keyslot, 1);
  assert_no_error (&job.error);
  assert_true (job.seconds > 0);
  assert_ptr_equal (job.opaque, f);
  assert_null (verifier_next (f->v));
}

static void
test_not_accepted (void **state)
{
  struct fixture *f = *state;
  struct verify_job job = job_for (f, 0, all_keyslots + 1, 1);

  submit (f, &job);
  assert_ptr_equal (next (f), &job);
  assert_int_equal (job.keyslot, -1);
  assert_error (&job.error, CLEVIS_ERR_PASSPHRASE, "not accept");
  assert_int_equal (job.error.keyslot, 1);
  clevis_error_clear (&job.error);
}

static void
test_keyslots_are_tried_in_order (void **state)
{
  static const int backwards[] = { 2, 1, 0 };
  struct fixture *f = *state;
  struct verify_job job = job_for (f, 0, backwards, 3);
  struct verify_job none = job_for (f, 0, backwards, 2);

  submit (f, &job);
  submit (f, &none);
  assert_ptr_equal (next (f), &job);
  assert_int_equal (job.keyslot, 0);
  assert_ptr_equal (next (f), &none);
  assert_int_equal (none.keyslot, -1);
  assert_int_equal (none.error.keyslot, 1);
  clevis_error_clear (&job.error);
  clevis_error_clear (&none.error);
}

/* A token may name keyslots that are gone. */
static void
test_missing_keyslots_are_passed_over (void **state)
{
  static const int slots[] = { 7, 31, 2 };
  struct fixture *f = *state;
  struct verify_job job = job_for (f, 2, slots, 3);

  submit (f, &job);
  next (f);
  assert_int_equal (job.keyslot, 2);
}

static void
test_jobs_end_in_order (void **state)
{
  struct fixture *f = *state;
  struct verify_job jobs[12];
  int i;

  for (i = 0; i < 12; ++i) {
    jobs[i] = job_for (f, i % 3, all_keyslots, 3);
    submit (f, &jobs[i]);
  }
  for (i = 0; i < 12; ++i) {
    assert_ptr_equal (next (f), &jobs[i]);
    assert_int_equal (jobs[i].keyslot, i % 3);
    clevis_error_clear (&jobs[i].error);
  }
}

static void
test_work_is_done_elsewhere (void **state)
{
  struct fixture *f = *state;
  struct verify_job job = job_for (f, 0, all_keyslots, 1);

  submit (f, &job);
  next (f);
  assert_false (pthread_equal (f->thread, pthread_self ()));
}

/* ^C is for the thread that waits. */
static void
test_signals_are_blocked_there (void **state)
{
  struct fixture *f = *state;
  struct verify_job job = job_for (f, 0, all_keyslots, 1);
  sigset_t mask;

  submit (f, &job);
  next (f);
  assert_true (f->sigint_blocked);
  pthread_sigmask (SIG_SETMASK, NULL, &mask);
  assert_int_equal (sigismember (&mask, SIGINT), 0);
}

static void
test_skipped_before_it_began (void **state)
{
  struct fixture *f = *state;
  struct verify_job first = job_for (f, 0, all_keyslots, 1);
  struct verify_job second = job_for (f, 1, all_keyslots, 3);

  /* The thread that would begin the second calls wakeup for the first. */
  f->skip_next = &second.skip;
  submit (f, &first);
  submit (f, &second);
  assert_ptr_equal (next (f), &first);
  assert_int_equal (first.keyslot, 0);
  assert_ptr_equal (next (f), &second);
  assert_int_equal (second.keyslot, -1);
  assert_no_error (&second.error);
}

static void
set_iterations (json_t *json, void *unused)
{
  json_t *slot = json_object_get (json_object_get (json, "keyslots"), "1");

  json_object_set_new (json_object_get (slot, "kdf"), "iterations",
                       json_integer (200000));
}

/* Freeing waits for the one job that is being worked on, not for all. */
static void
test_free_with_jobs_left (void **state)
{
  struct fixture *f = *state;
  const char *file = tmp_path ("slow.img");
  CLEANUP_FREE char *data = NULL;
  struct verify_job jobs[20];
  size_t len;
  int i;

  data = read_file (device_file (), &len);
  write_file (file, data, len);
  edit_luks2 (file, set_iterations, NULL);
  luks_free (f->luks);
  f->luks = ready_luks (file);
  for (i = 0; i < 20; ++i) {
    jobs[i] = job_for (f, 1, all_keyslots + 1, 1);
    submit (f, &jobs[i]);
  }
  verifier_free (f->v);
  f->v = NULL;
  assert_true (jobs[19].seconds == 0);
  for (i = 0; i < 20; ++i)
    clevis_error_clear (&jobs[i].error);
}

static void
test_free_without_jobs (void **state)
{
  verifier_free (NULL);
}

#define test(name) cmocka_unit_test_setup_teardown (name, setup, teardown)

int
main (void)
{
  const struct CMUnitTest verify[] = {
    test (test_accepted),
    test (test_not_accepted),
    test (test_keyslots_are_tried_in_order),
    test (test_missing_keyslots_are_passed_over),
    test (test_jobs_end_in_order),
    test (test_work_is_done_elsewhere),
    test (test_signals_are_blocked_there),
    test (test_skipped_before_it_began),
    test (test_free_with_jobs_left),
    test (test_free_without_jobs),
  };

  return run_unit_tests (verify);
}
