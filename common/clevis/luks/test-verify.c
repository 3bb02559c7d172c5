/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of verify.c: jobs are worked on by other threads, the cheapest first,
 * and not if they are no longer needed or cost more than there is time for.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/clock.h"
#include "testlib/testlib-jwe.h"
#include "testlib/testlib-luks.h"
#include "luks/luks-quick.h"
#include "luks/verify.h"

static const char *const passphrases[] = { "first", "second", "third", NULL };
static const int all_keyslots[] = { 0, 1, 2 };

/* What each test has: a device, a verifier, and what its wakeup sees. */
struct fixture {
  struct luks *luks;
  struct verifier *v;
  struct secret *passphrase[3];
  struct verify_account account;
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
  f->account.allowed = 1e6;
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
    .account = &f->account,
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

/* A keyslot that was dear is paid for once: the volume key that the thread has
 * found gets to the header that the job was about, which takes it for the quick
 * header.
 */
static void
test_volume_key_is_kept (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  const char *file = tmp_path ("kept.img");
  struct luks_extent ext[LUKS_QUICK_EXTENTS];
  CLEANUP_FREE char *data = NULL;
  struct verify_job job;
  size_t len;

  require_program ("cryptsetup");
  data = read_file (device_file (), &len);
  write_file (file, data, len);
  shell ("echo -n second > pass\n"
         "cryptsetup luksConvertKey -q -S 1 -d pass --pbkdf pbkdf2 "
         "--pbkdf-force-iterations 20000 '%s'", file);
  luks_free (f->luks);
  f->luks = ready_luks (file);
  job = job_for (f, 1, all_keyslots + 1, 1);
  submit (f, &job);
  assert_ptr_equal (next (f), &job);
  assert_int_equal (job.keyslot, 1);
  assert_true (luks_quick (f->luks, 1, f->passphrase[1], ext, &err) > 0);
  assert_no_error (&err);
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
set_iterations (json_t *json, void *iterations)
{
  json_t *slot = json_object_get (json_object_get (json, "keyslots"), "1");

  json_object_set_new (json_object_get (slot, "kdf"), "iterations",
                       json_integer (*(int *) iterations));
}

/* Another device, whose keyslot 1 costs so much, and accepts nothing. */
static struct luks *
dear_luks (int iterations)
{
  static int nr;
  const char *file = tmp_path ("dear%d.img", nr++);
  CLEANUP_FREE char *data = NULL;
  size_t len;

  data = read_file (device_file (), &len);
  write_file (file, data, len);
  edit_luks2 (file, set_iterations, &iterations);
  return ready_luks (file);
}

/* Iterations of about a second, also under valgrind, which takes 40 times as
 * long for one.
 */
#define DEAR (time_factor () < 4 ? 2000000 : 50000)

static struct verify_job
job_of (struct fixture *f, struct luks *luks, struct verify_account *account,
        const int *keyslots, size_t n)
{
  struct verify_job job = job_for (f, 1, keyslots, n);

  job.luks = luks;
  job.account = account;
  return job;
}

/* The cost is known from the header, and nothing is spent. */
static void
test_too_dear_for_a_device (void **state)
{
  struct fixture *f = *state;
  struct luks *luks = dear_luks (BOUND_PBKDF2_ITERATIONS);
  struct verify_account account = { .allowed = 20 };
  struct verify_job job = job_of (f, luks, &account, all_keyslots + 1, 1);

  submit (f, &job);
  assert_ptr_equal (next (f), &job);
  assert_int_equal (job.keyslot, -1);
  assert_error (&job.error, CLEVIS_ERR_LIMIT,
                "its pbkdf2 would take about 200 seconds, and 20 are left of "
                "the 20");
  assert_contains (job.error.hint, "--deadline 601.");
  assert_int_equal (job.error.keyslot, 1);
  assert_true (job.seconds == 0 && account.spent == 0);
  clevis_error_clear (&job.error);
  luks_free (luks);
}

/* The keyslots of a device share what it may take; those that are refused do
 * not keep a cheap one from being tried, nor is their error forgotten.
 */
static void
test_share_of_a_device (void **state)
{
  static const int slots[] = { 1, 0 };
  struct fixture *f = *state;
  struct luks *luks = dear_luks (DEAR);
  const double cost = luks_cost (luks, 1);
  struct verify_account account = { .allowed = cost * 1.5 };
  struct verify_job first = job_of (f, luks, &account, all_keyslots + 1, 1);
  struct verify_job second = job_of (f, luks, &account, slots, 2);

  submit (f, &first);
  assert_ptr_equal (next (f), &first);
  assert_error (&first.error, CLEVIS_ERR_PASSPHRASE, "not accept");
  assert_true (account.spent == cost);
  submit (f, &second);
  assert_ptr_equal (next (f), &second);
  assert_error (&second.error, CLEVIS_ERR_LIMIT, "left of the");
  assert_int_equal (second.error.keyslot, 1);
  assert_true (second.seconds > 0);     /* of keyslot 0 */
  clevis_error_clear (&first.error);
  clevis_error_clear (&second.error);
  luks_free (luks);
}

static void
test_too_dear_for_the_deadline (void **state)
{
  struct fixture *f = *state;
  struct luks *luks = dear_luks (100000000);
  struct verify_job job = job_of (f, luks, &f->account, all_keyslots + 1, 1);

  verifier_set_deadline (f->v, clock_now () + 100);
  submit (f, &job);
  assert_ptr_equal (next (f), &job);
  assert_error (&job.error, CLEVIS_ERR_LIMIT, "left until the deadline");
  clevis_error_clear (&job.error);
  luks_free (luks);
}

/* A token's cheapest keyslot is the first to be tried. */
static void
test_cheapest_keyslot_first (void **state)
{
  struct fixture *f = *state;
  struct luks *luks = dear_luks (BOUND_PBKDF2_ITERATIONS);
  struct verify_job job = job_of (f, luks, &f->account, all_keyslots + 1, 2);

  job.passphrase = f->passphrase[2];
  submit (f, &job);
  assert_ptr_equal (next (f), &job);
  assert_int_equal (job.keyslot, 2);
  luks_free (luks);
}

/* What is cheap does not wait for what is dear, and what is dear not for all
 * that another device has.
 */
static void
test_devices_take_turns (void **state)
{
  struct fixture *f = *state;
  struct luks *greedy = dear_luks (DEAR), *other = dear_luks (DEAR);
  struct verify_account accounts[2] = {
    { .allowed = 1e6 }, { .allowed = 1e6 },
  };
  struct verify_job jobs[4], last, cheap;
  int i, missing = 2;

  for (i = 0; i < 4; ++i) {
    jobs[i] = job_of (f, greedy, &accounts[0], all_keyslots + 1, 1);
    submit (f, &jobs[i]);
  }
  last = job_of (f, other, &accounts[1], all_keyslots + 1, 1);
  cheap = job_for (f, 0, all_keyslots, 1);
  submit (f, &last);
  submit (f, &cheap);
  /* One of the greedy device had begun before the others came. */
  for (i = 0; i < 3; ++i) {
    const struct verify_job *ended = next (f);

    missing -= ended == &cheap || ended == &last;
  }
  assert_int_equal (missing, 0);
  verifier_free (f->v);
  f->v = NULL;
  while (verifier_is_left ())
    usleep (1000);
  for (i = 0; i < 4; ++i)
    clevis_error_clear (&jobs[i].error);
  clevis_error_clear (&last.error);
  luks_free (greedy);
  luks_free (other);
}

/* The one that is under way cannot be interrupted, and is not waited for.  All
 * that it was given can be freed at once.
 */
static void
test_free_does_not_wait (void **state)
{
  struct fixture *f = *state;
  struct luks *luks = dear_luks (5 * DEAR);
  struct verify_job job = job_of (f, luks, &f->account, all_keyslots + 1, 1);
  double start;

  submit (f, &job);
  while (f->account.spent == 0)
    usleep (1000);
  start = clock_now ();
  verifier_free (f->v);
  f->v = NULL;
  /* valgrind runs one thread at a time. */
  assert_true (time_factor () == 4 || clock_now () - start < 1);
  assert_true (verifier_is_left ());
  luks_free (luks);
  secret_free (f->passphrase[1]);
  f->passphrase[1] = NULL;
  while (verifier_is_left ())
    usleep (1000);
}

/* Freeing waits for no job that has not begun. */
static void
test_free_with_jobs_left (void **state)
{
  struct fixture *f = *state;
  struct verify_job jobs[20];
  int i;

  luks_free (f->luks);
  f->luks = dear_luks (200000);
  for (i = 0; i < 20; ++i) {
    jobs[i] = job_for (f, 1, all_keyslots + 1, 1);
    submit (f, &jobs[i]);
  }
  verifier_free (f->v);
  f->v = NULL;
  assert_true (jobs[19].seconds == 0);
  while (verifier_is_left ())
    usleep (1000);
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
    test (test_volume_key_is_kept),
    test (test_not_accepted),
    test (test_keyslots_are_tried_in_order),
    test (test_missing_keyslots_are_passed_over),
    test (test_jobs_end_in_order),
    test (test_work_is_done_elsewhere),
    test (test_signals_are_blocked_there),
    test (test_skipped_before_it_began),
    test (test_too_dear_for_a_device),
    test (test_share_of_a_device),
    test (test_too_dear_for_the_deadline),
    test (test_cheapest_keyslot_first),
    test (test_devices_take_turns),
    test (test_free_does_not_wait),
    test (test_free_with_jobs_left),
    test (test_free_without_jobs),
  };

  return run_unit_tests (verify);
}
