/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A thread on a stack of our own.  Threads that libcryptsetup starts for argon2
 * have stacks of the C library: what is in them are blocks of argon2's memory,
 * no keys.
 */

#include <config.h>

#include <alloca.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/secret-thread.h"

/* libcryptsetup and OpenSSL take 30 KiB, and the C library some for the
 * thread's own variables; with a sanitizer all take more.
 */
#if defined __SANITIZE_ADDRESS__
# define STACK_FACTOR 8
#else
# define STACK_FACTOR 1
#endif

/* The arena has half of what may be locked, libcryptsetup the rest. */
#define LOCKED_SHARE 4

/* At the lower end: not wiped, since what wipes needs some of it.  Nothing gets
 * there that has not run over everything else.
 */
#define BOTTOM (8 * 1024)

/* Wipe what functions that have returned have left below.  From here, since
 * valgrind takes the stack of a thread that has ended for lost.
 */
static __attribute__ ((noinline)) void
wipe_below (const struct pages *stack)
{
  const unsigned char *here = __builtin_frame_address (0);
  const size_t size = here - stack->start;

  if (size > BOTTOM)
    explicit_bzero (alloca (size - BOTTOM), size - BOTTOM);
}

static void *
run_and_wipe (void *opaque)
{
  const struct secret_thread *thread = opaque;
  void *result = thread->run (thread->opaque);

  wipe_below (&thread->stack);
  return result;
}

static int
start (struct secret_thread *thread)
{
  pthread_attr_t attr;
  sigset_t all, before;
  int r = pthread_attr_init (&attr);

  if (r != 0)
    return r;
  r = pthread_attr_setstack (&attr, thread->stack.start, thread->stack.size);
  if (r == 0) {
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &before);
    r = pthread_create (&thread->id, &attr, run_and_wipe, thread);
    pthread_sigmask (SIG_SETMASK, &before, NULL);
  }
  pthread_attr_destroy (&attr);
  return r;
}

int
secret_thread_start (struct secret_thread *thread, size_t size,
                     void *(*run) (void *opaque), void *opaque)
{
  int r;

  if (pages_map (&thread->stack, STACK_FACTOR * size,
                 pages_limit () / LOCKED_SHARE) == -1)
    return errno;
  thread->run = run;
  thread->opaque = opaque;
  r = start (thread);
  if (r != 0)
    pages_unmap (&thread->stack);
  return r;
}

void
secret_thread_join (struct secret_thread *thread)
{
  pthread_join (thread->id, NULL);
  pages_unmap (&thread->stack);
}
