/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A vault that is taken over by what it reads.  The linker takes inside_work of
 * this file instead of that of the library, so nothing of it is in a program
 * that is installed.
 */

#ifndef CLEVIS_TESTLIB_INSIDE_H
#define CLEVIS_TESTLIB_INSIDE_H

#include <sys/types.h>

/* What a vault tries that has just been taken over by a device named
 * "exploit": a file to read, one to make, a port of 127.0.0.1 to connect to.
 * To be set before the vault is made.
 */
struct exploit {
  const char *to_read, *to_make;
  int port;
  pid_t program;           /* which forks the first vault; others the nursery */
};
extern struct exploit exploit;

#endif /* CLEVIS_TESTLIB_INSIDE_H */
