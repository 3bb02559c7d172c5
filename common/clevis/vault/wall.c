/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The wall around the vault.  A list of what is allowed: what is not on it
 * fails with EPERM, so that a library that can do without it does.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <linux/capability.h>
#include <seccomp.h>

#include "base/bounds.h"
#include "jose/jose-prepare.h"
#include "luks/luks.h"
#include "sandbox/confine.h"
#include "vault/wall.h"

/* Address space: two keyslots with the most memory that one may have, and room
 * for headers and what is in them.
 */
#define MEMORY_LIMIT (2 * BOUND_ARGON2_MEMORY * KIB + 1024 * MIB)

/* Processor time of all of a vault's life.  Each exchange has a deadline; this
 * ends one that does not keep it.
 */
#define CPU_LIMIT (24 * 60 * 60)        /* seconds */

/* A memory file: the largest is the copy of a header.  The others, and what is
 * written to files of the user, are far smaller.
 */
#define FILE_LIMIT (2 * BOUND_LUKS2_METADATA + BOUND_LUKS2_KEYSLOTS)

/* Descriptors: a header has two, its copy and libcryptsetup's, and an appliance
 * of libguestfs has at most 255 disks.  The rest is for the channel, sources of
 * random numbers, files that are lent, and the two keyslots that are tried at a
 * time (verify.c), with two more each.  Memory files are not in RLIMIT_AS, so
 * this times FILE_LIMIT is what they may take.
 */
#define DESCRIPTORS_LIMIT (2 * 255 + 66)

/* Memory, threads, time, and descriptors that are there. */
static const int allowed[] = {
  SCMP_SYS (access), SCMP_SYS (brk), SCMP_SYS (clock_getres),
  SCMP_SYS (clock_gettime), SCMP_SYS (clock_nanosleep), SCMP_SYS (close),
  SCMP_SYS (close_range), SCMP_SYS (dup), SCMP_SYS (eventfd2),
  SCMP_SYS (exit),
  SCMP_SYS (exit_group), SCMP_SYS (faccessat), SCMP_SYS (faccessat2),
  SCMP_SYS (fallocate), SCMP_SYS (fdatasync),
  SCMP_SYS (fstat), SCMP_SYS (fsync), SCMP_SYS (ftruncate), SCMP_SYS (futex),
  SCMP_SYS (getcpu), SCMP_SYS (getegid), SCMP_SYS (geteuid), SCMP_SYS (getgid),
  SCMP_SYS (getpid), SCMP_SYS (getppid), SCMP_SYS (getpriority),
  SCMP_SYS (getrandom), SCMP_SYS (getrlimit), SCMP_SYS (getrusage),
  SCMP_SYS (gettid), SCMP_SYS (gettimeofday), SCMP_SYS (getuid),
  SCMP_SYS (lseek), SCMP_SYS (lstat), SCMP_SYS (madvise), SCMP_SYS (membarrier),
  SCMP_SYS (memfd_create), SCMP_SYS (mlock), SCMP_SYS (mlock2),
  SCMP_SYS (mmap), SCMP_SYS (mprotect), SCMP_SYS (mremap), SCMP_SYS (munlock),
  SCMP_SYS (munmap), SCMP_SYS (nanosleep), SCMP_SYS (newfstatat),
  SCMP_SYS (poll), SCMP_SYS (ppoll),
  SCMP_SYS (pread64), SCMP_SYS (preadv), SCMP_SYS (pwrite64),
  SCMP_SYS (pwritev), SCMP_SYS (read), SCMP_SYS (readlink),
  SCMP_SYS (readlinkat), SCMP_SYS (readv), SCMP_SYS (recvmsg),
  SCMP_SYS (restart_syscall), SCMP_SYS (rseq), SCMP_SYS (rt_sigaction),
  SCMP_SYS (rt_sigpending), SCMP_SYS (rt_sigprocmask),
  SCMP_SYS (rt_sigreturn), SCMP_SYS (rt_sigtimedwait),
  SCMP_SYS (sched_getaffinity), SCMP_SYS (sched_yield), SCMP_SYS (sendmsg),
  SCMP_SYS (set_robust_list), SCMP_SYS (sigaltstack),
  SCMP_SYS (stat), SCMP_SYS (statx), SCMP_SYS (sysinfo), SCMP_SYS (time),
  SCMP_SYS (uname), SCMP_SYS (write), SCMP_SYS (writev),
};

static int
allow_all (scmp_filter_ctx filter)
{
  size_t i;
  int r = 0;

  for (i = 0; i < sizeof allowed / sizeof allowed[0] && r == 0; ++i)
    r = confine_checked (seccomp_rule_add (filter, SCMP_ACT_ALLOW, allowed[i], 0));
  return r;
}

/* Threads, which are no processes. */
static int
allow_threads (scmp_filter_ctx filter)
{
  int r = confine_checked (seccomp_rule_add (
        filter, SCMP_ACT_ALLOW, SCMP_SYS (clone), 1,
        SCMP_A0 (SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)));

  return r == 0 ? confine_hide_clone3 (filter) : r;
}

/* A memory file is opened for reading or writing; nothing is made or cut by it,
 * also where Landlock does not know of that (O_TRUNC before its version 3, and
 * access mode 3, which asks for no right).
 */
static int
allow_open (scmp_filter_ctx filter)
{
  static const scmp_datum_t mask = O_ACCMODE | O_CREAT | O_TRUNC | O_PATH;
  static const scmp_datum_t modes[] = { O_RDONLY, O_WRONLY, O_RDWR };
  size_t i;
  int r = 0;

  for (i = 0; i < 3 && r == 0; ++i) {
    r = confine_checked (seccomp_rule_add (
          filter, SCMP_ACT_ALLOW, SCMP_SYS (openat), 1,
          SCMP_A2 (SCMP_CMP_MASKED_EQ, mask, modes[i])));
    if (r == 0)
      r = confine_checked (seccomp_rule_add (
            filter, SCMP_ACT_ALLOW, SCMP_SYS (open), 1,
            SCMP_A1 (SCMP_CMP_MASKED_EQ, mask, modes[i])));
  }
  return r;
}

/* What fcntl may do: nothing by which a descriptor sends signals when
 * something comes (F_SETOWN, F_SETSIG), since those go to any process of the
 * user.
 */
static const int allowed_fcntl[] = {
  F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_ADD_SEALS,
  F_GET_SEALS,
};

static int
allow_fcntl (scmp_filter_ctx filter)
{
  size_t i;
  int r = 0;

  for (i = 0; i < sizeof allowed_fcntl / sizeof allowed_fcntl[0] && r == 0;
       ++i)
    r = confine_checked (seccomp_rule_add (
          filter, SCMP_ACT_ALLOW, SCMP_SYS (fcntl), 1,
          SCMP_A1_32 (SCMP_CMP_EQ, (uint32_t) allowed_fcntl[i])));
  return r;
}

/* Of what libc and libcryptsetup call for more than one thing, the part that
 * is about this process alone: to end it (abort), to ask for a limit, to name
 * a thread, to run before others.  A descriptor may be that of a terminal, to
 * which nothing is to be typed, so there is no ioctl: it says what a file
 * would.
 */
static int
allow_parts (scmp_filter_ctx filter)
{
  int r = confine_checked (seccomp_rule_add (
        filter, SCMP_ACT_ALLOW, SCMP_SYS (tgkill), 1,
        SCMP_A0_32 (SCMP_CMP_EQ, (uint32_t) getpid ())));

  if (r == 0)
    r = confine_checked (seccomp_rule_add (
          filter, SCMP_ACT_ALLOW, SCMP_SYS (prlimit64), 2,
          SCMP_A0_32 (SCMP_CMP_EQ, 0), SCMP_A2 (SCMP_CMP_EQ, 0)));
  if (r == 0)
    r = confine_checked (seccomp_rule_add (
          filter, SCMP_ACT_ALLOW, SCMP_SYS (prctl), 1,
          SCMP_A0_32 (SCMP_CMP_EQ, PR_SET_NAME)));
  if (r == 0)
    r = confine_checked (seccomp_rule_add (
          filter, SCMP_ACT_ALLOW, SCMP_SYS (setpriority), 2,
          SCMP_A0_32 (SCMP_CMP_EQ, PRIO_PROCESS),
          SCMP_A1_32 (SCMP_CMP_EQ, 0)));
  if (r == 0)
    r = confine_checked (seccomp_rule_add (filter, SCMP_ACT_ERRNO (ENOTTY),
                                   SCMP_SYS (ioctl), 0));
  return r;
}

/* Returns 1 if it stands, 0 where the kernel has no such filter, or -1. */
static int
close_system_calls (void)
{
  scmp_filter_ctx filter;
  int r;

  if (prctl (PR_GET_SECCOMP) == -1 && errno == EINVAL)
    return 0;
  filter = seccomp_init (SCMP_ACT_ERRNO (EPERM));
  if (filter == NULL) {
    errno = ENOMEM;
    return -1;
  }
  r = allow_all (filter);
  if (r == 0)
    r = allow_threads (filter);
  if (r == 0)
    r = allow_fcntl (filter);
  if (r == 0)
    r = allow_open (filter);
  if (r == 0)
    r = allow_parts (filter);
  if (r == 0)
    r = seccomp_load (filter);
  seccomp_release (filter);
  errno = -r;
  return r == 0 ? 1 : -1;
}

/* No file can be opened by its path: there is no rule.  Files in memory are not
 * asked about.  Returns as above.
 */
static int
close_files (void)
{
  const int version = confine_landlock_version ();
  int fd, r;

  if (version == 0)
    return 0;
  fd = confine_landlock_new (confine_landlock_rights (version));
  if (fd == -1)
    return -1;
  r = confine_landlock_obey (fd);
  close (fd);
  return r == 0 ? 1 : -1;
}

/* Where memory runs out, the kernel is to end the vault before all others: it
 * can be replaced, and memory files, which end with it, are in no limit of the
 * kernel's.  A system that does not allow it has the vault judged as any other.
 */
static void
be_first_to_go (void)
{
  static const char most[] = "1000";
  const int fd = open ("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

  if (fd == -1)
    return;
  if (write (fd, most, strlen (most)) == -1)
    errno = 0;                  /* it is then as before */
  close (fd);
}

/* How many threads of this user there may be says nothing of this process, and
 * argon2 needs some: RLIMIT_NPROC stays as it is, the filter knows no fork.
 */
static void
set_limits (void)
{
#ifndef __SANITIZE_ADDRESS__
  confine_limit (RLIMIT_AS, MEMORY_LIMIT);
#endif
  confine_limit (RLIMIT_CPU, CPU_LIMIT);
  confine_limit (RLIMIT_FSIZE, FILE_LIMIT);
  confine_limit (RLIMIT_NOFILE, DESCRIPTORS_LIMIT);
  signal (SIGXFSZ, SIG_IGN);
  confine_limit (RLIMIT_CORE, 0);
}

/* What fails here fails again, and is said, where it is needed. */
void
wall_prepare (void)
{
  tzset ();
  luks_prepare (NULL);
  jose_prepare ();
}

int
wall_close (struct wall *wall)
{
  int r;

  be_first_to_go ();
  set_limits ();
  /* Of what root may do and others may not, the vault needs to lock the memory
   * of threads, beyond the limit of others.
   */
  if (prctl (PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ||
      confine_capabilities (1u << CAP_IPC_LOCK, 0) == -1 ||
      prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
    return -1;
  r = close_files ();
  if (r == -1)
    return -1;
  wall->files = r;
  r = close_system_calls ();
  if (r == -1)
    return -1;
  wall->system_calls = r;
#ifdef REQUIRED_SECCOMP
  if (!wall->system_calls) {
    errno = ENOSYS;
    return -1;
  }
#endif
  return 0;
}
