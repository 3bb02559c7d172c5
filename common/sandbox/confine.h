/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * How a process gives up what it shall not be able to do: what the sandbox of
 * other programs and the wall of the vault share.  All but the two functions
 * about filters may be called between fork and exec.
 */

#ifndef CONFINE_H
#define CONFINE_H

#include <stdint.h>
#include <sys/resource.h>
#include <seccomp.h>

/* Rights of Landlock that headers of Linux 5.13 do not name: to move a file to
 * another folder (version 2), and to cut one (version 3).
 */
#define CONFINE_ACCESS_REFER (1ull << 13)
#define CONFINE_ACCESS_TRUNCATE (1ull << 14)

/* The version of Landlock (landlock(7)), or 0 where the kernel has none or does
 * not use it.
 */
extern int confine_landlock_version (void);

/* All rights to files that this version can withhold. */
extern uint64_t confine_landlock_rights (int version);

/* A ruleset that withholds these rights: a descriptor, or -1 with errno. */
extern int confine_landlock_new (uint64_t rights);

/* Have this thread, and what it starts, obey a ruleset, which takes
 * PR_SET_NO_NEW_PRIVS.  Returns 0, or -1 with errno.
 */
extern int confine_landlock_obey (int ruleset);

/* Lower a limit (setrlimit(2)); one that is lower stays. */
extern void confine_limit (int resource, rlim_t most);

/* Give up the privileges of root (capabilities(7)) but those of the first 32
 * whose bits are set in kept; a program that is started then gets at most
 * those in bound.  Returns 0, or -1 with errno.
 */
extern int confine_capabilities (uint32_t kept, uint32_t bound);

/* Close all descriptors from this one on. */
extern void confine_close_from (int fd);

/* What seccomp_rule_add has returned, as an error or 0: not every architecture
 * has every call.
 */
extern int confine_checked (int r);

/* clone3 has its flags where a filter does not see them: have libc told that
 * there is none, so that it takes clone.  Returns as confine_checked.
 */
extern int confine_hide_clone3 (scmp_filter_ctx filter);

#endif /* CONFINE_H */
