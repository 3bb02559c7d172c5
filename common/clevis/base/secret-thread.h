/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A thread that works on secrets.  Functions leave what they have computed on
 * the stack, so its stack is a mapping of pages.h: locked, left out of core
 * dumps, and wiped when the thread has ended.
 */

#ifndef CLEVIS_SECRET_THREAD_H
#define CLEVIS_SECRET_THREAD_H

#include <pthread.h>

#include "base/pages.h"

struct secret_thread {
  pthread_t id;
  struct pages stack;
  void *(*run) (void *opaque);
  void *opaque;
};

/* Bytes of a stack on which keys are derived and no more is done. */
#define SECRET_THREAD_STACK (256 * 1024)

/* Start it, with all signals blocked: they are for the others.  It must not
 * fork, since in a child its stack would be empty, and not end itself with
 * pthread_exit.  Returns 0 or an errno.  *thread must live until it was joined.
 *
 *   size  of its stack in bytes; as much of it is locked as may be
 */
extern int secret_thread_start (struct secret_thread *thread, size_t size,
                                void *(*run) (void *opaque), void *opaque);

/* Wait for its end. */
extern void secret_thread_join (struct secret_thread *thread);

#endif /* CLEVIS_SECRET_THREAD_H */
