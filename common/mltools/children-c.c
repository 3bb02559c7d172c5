/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Child processes that end with their parent, for children.ml, and locks that
 * end with it.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <caml/alloc.h>
#include <caml/memory.h>
#include <caml/mlvalues.h>
#include <caml/signals.h>
#include <caml/unixsupport.h>

extern value nbde_children_watch (value unitv);
extern value nbde_children_clock (value unitv);
extern value nbde_children_start (value programv, value argvv, value outv,
                                  value errv);
extern value nbde_children_kill (value pidv, value groupv, value signumv);
extern value nbde_children_lock (value fdv, value sharedv, value waitv);

/* The writing end, for the handler. */
static int ended = -1;

static void
handle_child (int signum)
{
  const int saved_errno = errno;
  ssize_t r;

  (void) signum;
  /* A full pipe says enough. */
  r = write (ended, "", 1);
  (void) r;
  errno = saved_errno;
}

/* The descriptor that can be read whenever a child has ended. */
value
nbde_children_watch (value unitv)
{
  struct sigaction sa;
  int fd[2];

  (void) unitv;
  if (pipe2 (fd, O_CLOEXEC | O_NONBLOCK) == -1)
    uerror ("pipe2", Nothing);
  ended = fd[1];
  memset (&sa, 0, sizeof sa);
  sa.sa_handler = handle_child;
  sa.sa_flags = SA_RESTART | SA_NOCLDSTOP;
  sigemptyset (&sa.sa_mask);
  sigaction (SIGCHLD, &sa, NULL);
  return Val_int (fd[0]);
}

/* Seconds, whatever somebody sets the clock to. */
value
nbde_children_clock (value unitv)
{
  struct timespec ts;

  (void) unitv;
  clock_gettime (CLOCK_MONOTONIC, &ts);
  return caml_copy_double (ts.tv_sec + ts.tv_nsec / 1e9);
}

/* Kernels before 5.9 do not have close_range; the limit of open files may be
 * a billion, so what is really open is not known there, but the descriptors of
 * this program are low.
 */
static void
close_from (int first)
{
  int fd;

#ifdef SYS_close_range
  if (syscall (SYS_close_range, first, ~0U, 0) == 0)
    return;
#endif
  for (fd = first; fd < 65536; ++fd)
    close (fd);
}

/* In the child: only what is async-signal-safe.  Returns what failed. */
static int
become (const char *program, char **argv, int null, int out, int err,
        int reason, pid_t parent)
{
  struct sigaction sa;
  sigset_t none;
  int signum;

  /* A session of its own: ^C at the terminal is for the parent, which decides what
   * becomes of its children, and none of these can ask there.
   */
  setsid ();
  if (prctl (PR_SET_PDEATHSIG, SIGKILL) == -1)
    return errno;
  /* The parent may have ended before that. */
  if (getppid () != parent)
    return ESRCH;

  if (dup2 (null, 0) == -1 || dup2 (out, 1) == -1 || dup2 (err, 2) == -1)
    return errno;
  if (reason != 3 && dup3 (reason, 3, O_CLOEXEC) == -1)
    return errno;
  close_from (4);

  memset (&sa, 0, sizeof sa);
  sa.sa_handler = SIG_DFL;
  sigemptyset (&sa.sa_mask);
  for (signum = 1; signum < NSIG; ++signum)
    sigaction (signum, &sa, NULL);
  sigemptyset (&none);
  sigprocmask (SIG_SETMASK, &none, NULL);
  execv (program, argv);
  return errno;
}

static char **
copy_strings (value v)
{
  const size_t n = Wosize_val (v);
  char **strings = calloc (n + 1, sizeof *strings);
  size_t i;

  for (i = 0; strings != NULL && i < n; ++i) {
    strings[i] = strdup (String_val (Field (v, i)));
    if (strings[i] == NULL)
      abort ();
  }
  return strings;
}

static void
free_strings (char **strings)
{
  size_t i;

  for (i = 0; strings != NULL && strings[i] != NULL; ++i)
    free (strings[i]);
  free (strings);
}

/* Returns the errno for which the child did not become the program, or 0. */
static int
start (const char *program, char **argv, int out, int err, pid_t *pid)
{
  const pid_t parent = getpid ();
  sigset_t all, before;
  int null, fd[2], error = 0, status;
  ssize_t len;

  null = open ("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null == -1)
    return errno;
  if (pipe2 (fd, O_CLOEXEC) == -1) {
    error = errno;
    close (null);
    return error;
  }

  /* No handler of ours may run in the child. */
  sigfillset (&all);
  sigprocmask (SIG_SETMASK, &all, &before);
  *pid = fork ();
  if (*pid == 0) {
    ssize_t r;

    /* dup2 to 0..2 must not overwrite it: these are open in the parent, so
     * all numbers here are above them. */
    error = become (program, argv, null, out, err, fd[1], parent);
    r = write (3, &error, sizeof error);
    (void) r;
    _exit (127);
  }
  if (*pid == -1)
    error = errno;
  sigprocmask (SIG_SETMASK, &before, NULL);

  close (null);
  close (fd[1]);
  if (*pid != -1) {
    do
      len = read (fd[0], &error, sizeof error);
    while (len == -1 && errno == EINTR);
    if (len != (ssize_t) sizeof error)
      error = 0;
    else
      while (waitpid (*pid, &status, 0) == -1 && errno == EINTR)
        ;
  }
  close (fd[0]);
  return error;
}

value
nbde_children_start (value programv, value argvv, value outv, value errv)
{
  CAMLparam4 (programv, argvv, outv, errv);
  char *program = strdup (String_val (programv));
  char **argv = copy_strings (argvv);
  pid_t pid = -1;
  int error = ENOMEM;

  if (program != NULL && argv != NULL)
    error = start (program, argv, Int_val (outv), Int_val (errv), &pid);
  free (program);
  free_strings (argv);
  if (error != 0)
    unix_error (error, "exec", programv);
  CAMLreturn (Val_int (pid));
}

/* To the process, or to all that it has started and that has stayed in its
 * group.  It may be gone.
 */
value
nbde_children_kill (value pidv, value groupv, value signumv)
{
  const pid_t pid = Int_val (pidv);

  kill (Bool_val (groupv) ? -pid : pid, Int_val (signumv));
  return Val_unit;
}

/* Returns whether the lock was taken. */
value
nbde_children_lock (value fdv, value sharedv, value waitv)
{
  CAMLparam3 (fdv, sharedv, waitv);
  const int how = (Bool_val (sharedv) ? LOCK_SH : LOCK_EX)
    | (Bool_val (waitv) ? 0 : LOCK_NB);
  const int fd = Int_val (fdv);
  int r;

  caml_enter_blocking_section ();
  do
    r = flock (fd, how);
  while (r == -1 && errno == EINTR);
  caml_leave_blocking_section ();
  if (r == -1 && errno != EWOULDBLOCK)
    uerror ("flock", Nothing);
  CAMLreturn (Val_bool (r == 0));
}
