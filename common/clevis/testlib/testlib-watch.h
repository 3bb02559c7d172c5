/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * For the unit tests: a door that is closed behind this thread, and a watchman
 * who writes down what it wants from outside.
 */

#ifndef CLEVIS_TESTLIB_WATCH_H
#define CLEVIS_TESTLIB_WATCH_H

/* From now on this thread, and those that it starts, can open no file, but
 * memory files by way of /proc/self/fd, make no socket and start no program.
 * What they try fails with EACCES.  There is no way back, so this is for a
 * child process, which should end with _exit.
 *
 * Returns 0, or -1 where the system does not allow that (a kernel before 5.5, a
 * container).  Does nothing and returns 1 in valgrind, which opens files itself.
 */
extern int watch_start (void);

/* What was tried since this was last asked: "open /etc/passwd", "socket" and so
 * on, or NULL if nothing was.  If there was more than one thing, all of them, as
 * far as there is room.
 */
extern const char *watch_seen (void);

/* Run a function in a child, whose exit status it returns, and return that.  A
 * function that runs tests of cmocka may assert.
 */
extern int in_child (int (*run) (void));

/* The same, and assert that it is 0; 77 skips this test, since the system does
 * not allow watch_start.
 */
extern void assert_in_child (int (*run) (void));

#endif /* CLEVIS_TESTLIB_WATCH_H */
