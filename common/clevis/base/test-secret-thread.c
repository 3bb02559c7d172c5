/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of secret-thread.c: where the stack of the thread is, and what is left
 * of it.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <signal.h>

#include "base/secret-thread.h"

/* What the thread has seen of itself. */
struct seen {
  pthread_t id;
  char flags[256];              /* of the memory of its frame */
  char flags_below[256];        /* and of what it calls */
  const void *frame;
  bool sigint_blocked;
};

/* Where the frame is, since AddressSanitizer may have variables elsewhere. */
static __attribute__ ((noinline)) void
go_down (struct seen *seen)
{
  vm_flags (__builtin_frame_address (0), seen->flags_below,
            sizeof seen->flags_below);
}

static void *
look (void *opaque)
{
  struct seen *seen = opaque;
  sigset_t blocked = { { 0 } };

  seen->id = pthread_self ();
  seen->frame = __builtin_frame_address (0);
  vm_flags (seen->frame, seen->flags, sizeof seen->flags);
  go_down (seen);
  pthread_sigmask (SIG_BLOCK, NULL, &blocked);
  seen->sigint_blocked = sigismember (&blocked, SIGINT);
  return NULL;
}

static struct seen
run_thread (void)
{
  struct seen seen = { .frame = NULL };
  struct secret_thread thread;

  assert_int_equal (secret_thread_start (&thread, SECRET_THREAD_STACK, look,
                                         &seen), 0);
  secret_thread_join (&thread);
  assert_null (thread.stack.start);
  return seen;
}

static void
test_stack_is_locked_and_hidden (void **state)
{
  const struct seen seen = run_thread ();

  assert_contains (seen.flags, " lo");
  assert_contains (seen.flags, " dd");
  assert_contains (seen.flags, " wf");
  assert_contains (seen.flags_below, " lo");
  assert_contains (seen.flags_below, " dd");
}

static uintptr_t deep;

static __attribute__ ((noinline)) void
leave_something (void)
{
  unsigned char bytes[16 * 1024];

  memset (bytes, 'x', sizeof bytes);
  deep = (uintptr_t) &bytes[1024];
  /* The compiler must not leave it out. */
  __asm__ volatile ("" : : "r" (bytes) : "memory");
}

/* When a thread has returned, and before its stack is unmapped, what it has
 * left there is gone: seen by a destructor of a variable of the thread.
 */
static unsigned char found[1024];

static void
look_back (void *value)
{
  memcpy (found, (const void *) deep, sizeof found);
}

static pthread_key_t key;

static void *
leave_and_look_back (void *opaque)
{
  pthread_setspecific (key, &found);
  leave_something ();
  return NULL;
}

static void
test_stack_is_wiped (void **state)
{
  struct secret_thread thread;
  size_t i;

  /* Sanitizers and valgrind do not let one look back. */
  if (time_factor () > 1)
    return;
  assert_int_equal (pthread_key_create (&key, look_back), 0);
  memset (found, 'y', sizeof found);
  assert_int_equal (secret_thread_start (&thread, SECRET_THREAD_STACK,
                                         leave_and_look_back, NULL), 0);
  secret_thread_join (&thread);
  for (i = 0; i < sizeof found; ++i)
    assert_int_equal (found[i], 0);
  pthread_key_delete (key);
}

/* The C library keeps stacks of threads that have ended for others. */
static void
test_stack_is_gone_afterwards (void **state)
{
  const struct seen seen = run_thread ();
  char flags[256];

  vm_flags (seen.frame, flags, sizeof flags);
  assert_string_equal (flags, "");
}

static void
test_is_another_thread_without_signals (void **state)
{
  const struct seen seen = run_thread ();
  sigset_t blocked;

  assert_false (pthread_equal (seen.id, pthread_self ()));
  assert_true (seen.sigint_blocked);
  pthread_sigmask (SIG_BLOCK, NULL, &blocked);
  assert_false (sigismember (&blocked, SIGINT));
}

int
main (void)
{
  const struct CMUnitTest secret_thread[] = {
    cmocka_unit_test (test_stack_is_locked_and_hidden),
    cmocka_unit_test (test_stack_is_wiped),
    cmocka_unit_test (test_stack_is_gone_afterwards),
    cmocka_unit_test (test_is_another_thread_without_signals),
  };

  return run_unit_tests (secret_thread);
}
