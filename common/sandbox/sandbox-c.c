/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The child's side of sandbox.ml: give up what the program shall not do, then
 * become it.  What can be prepared is prepared before the fork.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/sockios.h>
#include <seccomp.h>

#include <caml/fail.h>
#include <caml/memory.h>
#include <caml/mlvalues.h>
#include <caml/unixsupport.h>

#include "sandbox/confine.h"

extern value nbde_sandbox_spawn (value childv);
extern value nbde_sandbox_file_rules (value unitv);

/* The fields of the record in sandbox.ml. */
enum {
  FIELD_PROGRAM,
  FIELD_ARGUMENTS,
  FIELD_READABLE,
  FIELD_WRITABLE,
  FIELD_SOCKETS,
  FIELD_PROCESSES,
  FIELD_MEMORY,
  FIELD_STDERR,
  FIELD_GIVEN
};

/* The type network in sandbox.ml. */
enum { NO_NETWORK, INTERNET, ALL_SOCKETS, ACCEPT };

/* Descriptors that the program is given come here, one after another.  systemd
 * does it so, too.
 */
#define FIRST_GIVEN (STDERR_FILENO + 1)

/* No header makes qemu-img compute for long (libguestfs gives it as much), and
 * an overlay is some hundred kilobytes.
 */
#define CPU_LIMIT 10            /* seconds */
#define FILE_LIMIT (64ul * 1024 * 1024)

/* What each thread takes of the address space.  qemu reads by up to 64 of them,
 * and glibc gives each a heap of its own, of 64 MiB, if it may: then a limit that
 * is ample for one is none for all.
 */
#define STACK_LIMIT (2ul * 1024 * 1024)
#define HEAPS "1"

#define ACCESS_READ                                                     \
  (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE            \
   | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_WRITE                                                    \
  (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG          \
   | LANDLOCK_ACCESS_FS_REMOVE_FILE | CONFINE_ACCESS_TRUNCATE)
/* Of all, what is right for a file that is no folder. */
#define ACCESS_OF_FILE                                                  \
  (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE            \
   | LANDLOCK_ACCESS_FS_WRITE_FILE | CONFINE_ACCESS_TRUNCATE)

value
nbde_sandbox_file_rules (value unitv)
{
  (void) unitv;
  return Val_bool (confine_landlock_version () > 0);
}

/* A path that is not there needs no rule. */
static int
allow_path (int ruleset, const char *path, uint64_t access)
{
  struct landlock_path_beneath_attr rule = { .allowed_access = access };
  struct stat st;
  int r;

  rule.parent_fd = open (path, O_PATH | O_CLOEXEC);
  if (rule.parent_fd == -1)
    return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -1;
  if (fstat (rule.parent_fd, &st) == 0 && !S_ISDIR (st.st_mode))
    rule.allowed_access &= ACCESS_OF_FILE;
  r = syscall (SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
               &rule, 0);
  close (rule.parent_fd);
  return r;
}

static int
allow_paths (int ruleset, value pathsv, uint64_t access)
{
  mlsize_t i;

  for (i = 0; i < Wosize_val (pathsv); ++i)
    if (allow_path (ruleset, String_val (Field (pathsv, i)), access) == -1)
      return -1;
  return 0;
}

/* A descriptor; -2: there is no Landlock; -1: errno says why. */
static int
new_ruleset (value readablev, value writablev)
{
  const int version = confine_landlock_version ();
  const uint64_t known = confine_landlock_rights (version);
  int fd, saved;

  if (version == 0)
    return -2;
  fd = confine_landlock_new (known);
  if (fd == -1)
    return -1;
  if (allow_paths (fd, readablev, ACCESS_READ & known) == -1 ||
      allow_paths (fd, writablev,
                   (ACCESS_READ | ACCESS_WRITE) & known) == -1) {
    saved = errno;
    close (fd);
    errno = saved;
    return -1;
  }
  return fd;
}

/* What no program that reads a disk image needs: to change the system, to reach
 * other processes, to be told of what they do, and what Landlock does not know
 * (owners, modes and dates of files).
 */
static const int never[] = {
  SCMP_SYS (acct), SCMP_SYS (add_key), SCMP_SYS (adjtimex), SCMP_SYS (bpf),
  SCMP_SYS (chmod), SCMP_SYS (chown), SCMP_SYS (chroot),
  SCMP_SYS (clock_adjtime), SCMP_SYS (clock_settime), SCMP_SYS (delete_module),
  SCMP_SYS (fanotify_init), SCMP_SYS (fanotify_mark), SCMP_SYS (fchmod),
  SCMP_SYS (fchmodat), SCMP_SYS (fchown), SCMP_SYS (fchownat),
  SCMP_SYS (finit_module), SCMP_SYS (fremovexattr), SCMP_SYS (fsconfig),
  SCMP_SYS (fsetxattr), SCMP_SYS (fsmount), SCMP_SYS (fsopen),
  SCMP_SYS (futimesat), SCMP_SYS (init_module), SCMP_SYS (inotify_add_watch),
  SCMP_SYS (io_uring_enter), SCMP_SYS (io_uring_register),
  SCMP_SYS (io_uring_setup), SCMP_SYS (ioprio_set), SCMP_SYS (kcmp),
  SCMP_SYS (kexec_file_load), SCMP_SYS (kexec_load), SCMP_SYS (keyctl),
  SCMP_SYS (kill), SCMP_SYS (lchown), SCMP_SYS (lremovexattr),
  SCMP_SYS (lsetxattr), SCMP_SYS (migrate_pages), SCMP_SYS (mount),
  SCMP_SYS (mount_setattr), SCMP_SYS (move_mount), SCMP_SYS (move_pages),
  SCMP_SYS (mq_open), SCMP_SYS (mq_unlink), SCMP_SYS (msgctl),
  SCMP_SYS (msgget), SCMP_SYS (msgrcv), SCMP_SYS (msgsnd),
  SCMP_SYS (name_to_handle_at), SCMP_SYS (open_by_handle_at),
  SCMP_SYS (open_tree), SCMP_SYS (perf_event_open), SCMP_SYS (pidfd_getfd),
  SCMP_SYS (pidfd_open), SCMP_SYS (pidfd_send_signal), SCMP_SYS (pivot_root),
  SCMP_SYS (process_madvise), SCMP_SYS (process_mrelease),
  SCMP_SYS (process_vm_readv), SCMP_SYS (process_vm_writev), SCMP_SYS (ptrace),
  SCMP_SYS (quotactl), SCMP_SYS (reboot), SCMP_SYS (removexattr),
  SCMP_SYS (request_key), SCMP_SYS (rt_sigqueueinfo),
  SCMP_SYS (rt_tgsigqueueinfo), SCMP_SYS (sched_setattr),
  SCMP_SYS (sched_setparam), SCMP_SYS (sched_setscheduler), SCMP_SYS (semctl),
  SCMP_SYS (semget), SCMP_SYS (semop), SCMP_SYS (setdomainname),
  SCMP_SYS (sethostname), SCMP_SYS (setns), SCMP_SYS (setpriority),
  SCMP_SYS (settimeofday), SCMP_SYS (setxattr), SCMP_SYS (shmat),
  SCMP_SYS (shmctl), SCMP_SYS (shmget), SCMP_SYS (swapoff), SCMP_SYS (swapon),
  SCMP_SYS (syslog), SCMP_SYS (tkill), SCMP_SYS (umount2), SCMP_SYS (unshare),
  SCMP_SYS (userfaultfd), SCMP_SYS (utime), SCMP_SYS (utimensat),
  SCMP_SYS (utimes), SCMP_SYS (vhangup),
};

/* All families, those of the local host too. */
static const int sockets[] = {
  SCMP_SYS (bind), SCMP_SYS (connect), SCMP_SYS (listen), SCMP_SYS (socket),
  SCMP_SYS (socketpair),
};
static const int accepts[] = { SCMP_SYS (accept), SCMP_SYS (accept4) };

/* Calls that are refused for one value of an argument: to make another process
 * get a signal of a descriptor, to outlive who has started this, to type on a
 * terminal.
 */
static const struct {
  int call;
  unsigned argument;
  uint32_t value;
} refused_values[] = {
  { SCMP_SYS (fcntl), 1, F_SETOWN },
  { SCMP_SYS (fcntl), 1, F_SETOWN_EX },
  { SCMP_SYS (fcntl), 1, F_SETSIG },
  { SCMP_SYS (ioctl), 1, FIOSETOWN },
  { SCMP_SYS (ioctl), 1, SIOCSPGRP },
  { SCMP_SYS (ioctl), 1, TIOCSTI },
  { SCMP_SYS (ioctl), 1, TIOCSCTTY },
  { SCMP_SYS (prctl), 0, PR_SET_PDEATHSIG },
};

static int
refuse (scmp_filter_ctx filter, const int *calls, size_t n)
{
  size_t i;
  int r = 0;

  for (i = 0; i < n && r == 0; ++i)
    r = confine_checked (seccomp_rule_add (filter, SCMP_ACT_ERRNO (EPERM), calls[i],
                                   0));
  return r;
}

static int
refuse_values (scmp_filter_ctx filter)
{
  size_t i;
  int r = 0;

  for (i = 0; i < sizeof refused_values / sizeof refused_values[0] && r == 0;
       ++i)
    r = confine_checked (seccomp_rule_add (
          filter, SCMP_ACT_ERRNO (EPERM), refused_values[i].call, 1,
          SCMP_CMP32 (refused_values[i].argument, SCMP_CMP_EQ,
                      refused_values[i].value)));
  return r;
}

/* Families other than these have no business with a server on the internet;
 * netlink tells libc which addresses this host has.
 */
static int
refuse_families (scmp_filter_ctx filter)
{
  static const uint32_t all = 64;
  uint32_t family;
  int r;

  r = confine_checked (seccomp_rule_add (filter, SCMP_ACT_ERRNO (EPERM),
                                 SCMP_SYS (socketpair), 0));
  for (family = 0; family < all && r == 0; ++family)
    if (family != AF_INET && family != AF_INET6 && family != AF_NETLINK)
      r = confine_checked (seccomp_rule_add (
            filter, SCMP_ACT_ERRNO (EAFNOSUPPORT), SCMP_SYS (socket), 1,
            SCMP_A0_32 (SCMP_CMP_EQ, family)));
  return r;
}

/* Threads are no processes. */
static int
refuse_processes (scmp_filter_ctx filter)
{
  static const int forks[] = { SCMP_SYS (fork), SCMP_SYS (vfork) };
  int r;

  r = refuse (filter, forks, sizeof forks / sizeof forks[0]);
  if (r == 0)
    r = confine_hide_clone3 (filter);
  if (r == 0)
    r = confine_checked (seccomp_rule_add (
          filter, SCMP_ACT_ERRNO (EPERM), SCMP_SYS (clone), 1,
          SCMP_A0 (SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)));
  return r;
}

/* The process itself, which libc names by its number to end it, is no other
 * one.  To be called in it.
 */
static int
refuse_others (scmp_filter_ctx filter)
{
  int r;

  r = confine_checked (seccomp_rule_add (
        filter, SCMP_ACT_ERRNO (EPERM), SCMP_SYS (tgkill), 1,
        SCMP_A0_32 (SCMP_CMP_NE, (uint32_t) getpid ())));
  if (r == 0)
    r = confine_checked (seccomp_rule_add (
          filter, SCMP_ACT_ERRNO (EPERM), SCMP_SYS (prlimit64), 1,
          SCMP_A0_32 (SCMP_CMP_NE, 0)));
  return r;
}

static int
fill_filter (scmp_filter_ctx filter, int network, bool processes)
{
  int r = refuse (filter, never, sizeof never / sizeof never[0]);

  if (r == 0)
    r = refuse_values (filter);
  if (r == 0 && (network == NO_NETWORK || network == ACCEPT))
    r = refuse (filter, sockets, sizeof sockets / sizeof sockets[0]);
  if (r == 0 && network == NO_NETWORK)
    r = refuse (filter, accepts, sizeof accepts / sizeof accepts[0]);
  if (r == 0 && network == INTERNET)
    r = refuse_families (filter);
  if (r == 0 && !processes)
    r = refuse_processes (filter);
  return r;
}

/* NULL, with errno, if there is no memory. */
static scmp_filter_ctx
new_filter (int network, bool processes)
{
  scmp_filter_ctx filter = seccomp_init (SCMP_ACT_ALLOW);
  int r = filter ? fill_filter (filter, network, processes) : -ENOMEM;

  if (r == 0)
    return filter;
  if (filter)
    seccomp_release (filter);
  errno = -r;
  return NULL;
}

/* Dispositions of handlers do not outlive exec, what is ignored does. */
static void
reset_signals (void)
{
  sigset_t none;

  sigemptyset (&none);
  sigprocmask (SIG_SETMASK, &none, NULL);
  signal (SIGPIPE, SIG_DFL);
}

static int
redirect (int errors)
{
  const int null = open ("/dev/null", O_RDWR | O_CLOEXEC);

  return null == -1 || dup2 (null, STDIN_FILENO) == -1 ||
    dup2 (null, STDOUT_FILENO) == -1 || dup2 (errors, STDERR_FILENO) == -1
    ? -1 : 0;
}

/* What the program is given of what this process has.  To be called in it. */
struct given {
  int n;
  int *fds;
};

/* Put them where they belong.  All are out of the way before, so that none comes
 * where another one, or the ruleset, still is.
 */
static int
place (const struct given *given, int *ruleset)
{
  const int free_from = FIRST_GIVEN + given->n;
  int i;

  if (given->n == 0)
    return 0;
  if (*ruleset >= 0 &&
      (*ruleset = fcntl (*ruleset, F_DUPFD_CLOEXEC, free_from)) == -1)
    return -1;
  for (i = 0; i < given->n; ++i) {
    given->fds[i] = fcntl (given->fds[i], F_DUPFD_CLOEXEC, free_from);
    if (given->fds[i] == -1)
      return -1;
  }
  for (i = 0; i < given->n; ++i)
    if (dup2 (given->fds[i], FIRST_GIVEN + i) == -1)
      return -1;
  return 0;
}

/* The first one is a socket on which it shall accept connections: sd_listen_fds(3)
 * says how it is told.
 */
static int
tell_of_socket (void)
{
  char pid[32];

  snprintf (pid, sizeof pid, "%ld", (long) getpid ());
  return setenv ("LISTEN_FDS", "1", 1) == -1 ||
    setenv ("LISTEN_PID", pid, 1) == -1 ? -1 : 0;
}

/* Of root's privileges, keep those to read what others own: disks are theirs. */
#define CAPABILITIES (1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH)

static int
confine (int ruleset, scmp_filter_ctx filter, rlim_t memory, int given)
{
  confine_limit (RLIMIT_AS, memory);
  confine_limit (RLIMIT_STACK, STACK_LIMIT);
  confine_limit (RLIMIT_CPU, CPU_LIMIT);
  confine_limit (RLIMIT_FSIZE, FILE_LIMIT);
  confine_limit (RLIMIT_CORE, 0);
  setsid ();
  if (prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
    return -1;
  /* We may have died before this was asked for: the parent is another then. */
  if (prctl (PR_SET_PDEATHSIG, SIGKILL) == -1)
    return -1;
  if (confine_capabilities (CAPABILITIES, CAPABILITIES) == -1)
    return -1;
  if (ruleset >= 0 && confine_landlock_obey (ruleset) == -1)
    return -1;
  /* Of whatever else this process was given, the program is given nothing. */
  confine_close_from (FIRST_GIVEN + given);
  return refuse_others (filter) < 0 || seccomp_load (filter) < 0 ? -1 : 0;
}

/* What the program becomes is known before the fork. */
struct start {
  char **arguments;
  int network;
  int ruleset;
  scmp_filter_ctx filter;
  rlim_t memory;
  int errors;
  struct given given;
};

static int
prepare (struct start *start)
{
  if (redirect (start->errors) == -1 ||
      place (&start->given, &start->ruleset) == -1)
    return -1;
  if (start->network == ACCEPT && tell_of_socket () == -1)
    return -1;
  if (setenv ("MALLOC_ARENA_MAX", HEAPS, 1) == -1)
    return -1;
  reset_signals ();
  return confine (start->ruleset, start->filter, start->memory,
                  start->given.n);
}

static void
become (struct start *start)
{
  static const char message[] = ": cannot be run in a sandbox: ";
  char **arguments = start->arguments;
  const char *reason;

  if (prepare (start) == 0)
    execv (arguments[0], arguments);
  reason = strerror (errno);
  if (write (STDERR_FILENO, arguments[0], strlen (arguments[0])) == -1 ||
      write (STDERR_FILENO, message, sizeof message - 1) == -1 ||
      write (STDERR_FILENO, reason, strlen (reason)) == -1)
    _exit (126);
  _exit (127);
}

/* Nothing of OCaml runs until we are done with the arguments. */
static int
read_arrays (struct start *start, value childv)
{
  const value argumentsv = Field (childv, FIELD_ARGUMENTS);
  const value givenv = Field (childv, FIELD_GIVEN);
  const mlsize_t n = Wosize_val (argumentsv), given = Wosize_val (givenv);
  mlsize_t i;

  start->arguments = calloc (n + 1, sizeof *start->arguments);
  start->given.fds = calloc (given + 1, sizeof *start->given.fds);
  if (start->arguments == NULL || start->given.fds == NULL)
    return -1;
  for (i = 0; i < n; ++i)
    start->arguments[i] = (char *) String_val (Field (argumentsv, i));
  for (i = 0; i < given; ++i)
    start->given.fds[i] = Int_val (Field (givenv, i));
  start->given.n = given;
  return 0;
}

static pid_t
start_child (struct start *start, value childv)
{
  pid_t pid;

  start->filter = new_filter (start->network,
                              Bool_val (Field (childv, FIELD_PROCESSES)));
  if (start->filter == NULL)
    return -1;
  start->ruleset = new_ruleset (Field (childv, FIELD_READABLE),
                                Field (childv, FIELD_WRITABLE));
  if (start->ruleset == -1)
    return -1;
  pid = fork ();
  if (pid == 0)
    become (start);
  return pid;
}

value
nbde_sandbox_spawn (value childv)
{
  CAMLparam1 (childv);
  struct start start = {
    .network = Int_val (Field (childv, FIELD_SOCKETS)),
    .ruleset = -1,
    .memory = Long_val (Field (childv, FIELD_MEMORY)),
    .errors = Int_val (Field (childv, FIELD_STDERR)),
  };
  pid_t pid = -1;
  int saved;

  if (read_arrays (&start, childv) == 0)
    pid = start_child (&start, childv);
  saved = errno;
  if (start.ruleset >= 0)
    close (start.ruleset);
  if (start.filter)
    seccomp_release (start.filter);
  free (start.arguments);
  free (start.given.fds);
  if (pid == -1)
    unix_error (saved, (char *) "sandbox", Field (childv, FIELD_PROGRAM));
  CAMLreturn (Val_int (pid));
}
