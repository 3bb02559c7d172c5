/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Mappings for secrets: between guard pages, locked, left out of core dumps,
 * empty in a child process.  Only pages.c locks memory.
 */

#ifndef CLEVIS_PAGES_H
#define CLEVIS_PAGES_H

#include <stdbool.h>
#include <stddef.h>

struct pages {
  unsigned char *start;    /* zeroes at first; aligned to a page */
  size_t size;             /* bytes, a multiple of a page */
  size_t locked;           /* bytes at the end that are locked */
  bool hidden;             /* left out of dumps and empty in children */
};

/* What this process may lock, in bytes: RLIMIT_MEMLOCK, which is raised to its
 * hard limit; SIZE_MAX if there is none.
 */
extern size_t pages_limit (void);

/* Map size bytes, rounded up.  At most so many bytes of them are locked,
 * counted from the end (where a stack begins); where the system allows no
 * more, fewer: half as much each time.  Returns 0, or -1 with errno if there
 * is no memory. What could not be locked or hidden is not an error, but told
 * in *pages.
 */
extern int pages_map (struct pages *pages, size_t size, size_t most);

extern void pages_wipe (struct pages *pages);

/* Give them back; start is NULL afterwards.  They should have been wiped: the
 * kernel does so only before somebody else gets them.
 */
extern void pages_unmap (struct pages *pages);

#endif /* CLEVIS_PAGES_H */
