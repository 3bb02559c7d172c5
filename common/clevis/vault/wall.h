/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The wall around the vault: what its process may still do.  It computes, and
 * reads and writes the descriptors that it is given; it opens nothing but its
 * own memory files, makes no socket, and starts, traces and signals nobody.
 */

#ifndef CLEVIS_WALL_H
#define CLEVIS_WALL_H

#include <stdbool.h>

/* What of the wall stands. */
struct wall {
  bool system_calls;       /* seccomp */
  bool files;              /* Landlock */
  bool memory;             /* keys are locked in memory */
};

/* Open what libraries open when they are first used, since they cannot later.
 * For the process from which vaults are forked; takes some milliseconds.
 */
extern void wall_prepare (void);

/* Close the door behind this process, for good.  A kernel that knows no
 * seccomp or no Landlock leaves a gap, which wall says.  Returns 0, or -1
 * with errno if a part of it that the kernel knows could not be had.
 */
extern int wall_close (struct wall *wall);

#endif /* CLEVIS_WALL_H */
