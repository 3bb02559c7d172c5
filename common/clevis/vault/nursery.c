/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Forks vaults.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "base/secret-thread.h"
#include "base/secret.h"
#include "sandbox/confine.h"
#include "vault/nursery.h"

/* The ends of the way to a vault, and of what it says of itself. */
struct ends {
  int way[2], told[2];
};

struct nursery {
  pid_t pid;
  int fd;
  pid_t first;             /* the first vault, or -1: it has ended */
  struct ends ends;        /* of it */
  bool is_first;           /* it was not taken yet */
};

/* Between the program and the nursery, which trust each other. */
struct order {
  pid_t end;               /* a vault to be ended; 0: fork one */
};

struct report {
  pid_t pid;               /* of the new vault, -1: none */
  int code;                /* errno, or the status of one that has ended */
  struct wall wall;
};

/* The ends of both, in the order of socketpair. */
enum { OURS, THEIRS };

static ssize_t
again (ssize_t (*fn) (int fd, void *buf, size_t len), int fd, void *buf,
       size_t len)
{
  ssize_t r;

  do
    r = fn (fd, buf, len);
  while (r == -1 && errno == EINTR);
  return r;
}

/* Without send(2) and recv(2), which a vault may not call. */
static ssize_t
put (int fd, void *buf, size_t len)
{
  return write (fd, buf, len);
}

static ssize_t
get (int fd, void *buf, size_t len)
{
  return read (fd, buf, len);
}

/* Send what is in buf, and a descriptor beside it unless it is -1. */
static int
send_with (int socket, void *buf, size_t len, int fd)
{
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE (sizeof (int))];
  } control;
  struct iovec iov = { .iov_base = buf, .iov_len = len };
  struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
  struct cmsghdr *c = &control.align;
  ssize_t r;

  if (fd >= 0) {
    memset (&control, 0, sizeof control);
    msg.msg_control = &control;
    msg.msg_controllen = sizeof control;
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN (sizeof fd);
    memcpy (CMSG_DATA (c), &fd, sizeof fd);
  }
  do
    r = sendmsg (socket, &msg, MSG_NOSIGNAL);
  while (r == -1 && errno == EINTR);
  return r == (ssize_t) len ? 0 : -1;
}

/* Receive len bytes into buf, and a descriptor, or -1, into *fd.  Returns 0, or
 * -1 at the end.
 */
static int
recv_with (int socket, void *buf, size_t len, int *fd)
{
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE (sizeof (int))];
  } control;
  struct iovec iov = { .iov_base = buf, .iov_len = len };
  struct msghdr msg = {
    .msg_iov = &iov, .msg_iovlen = 1,
    .msg_control = &control, .msg_controllen = sizeof control,
  };
  struct cmsghdr *c;
  ssize_t r;

  *fd = -1;
  do
    r = recvmsg (socket, &msg, MSG_CMSG_CLOEXEC);
  while (r == -1 && errno == EINTR);
  c = r > 0 ? CMSG_FIRSTHDR (&msg) : NULL;
  if (c && c->cmsg_type == SCM_RIGHTS)
    memcpy (fd, CMSG_DATA (c), sizeof *fd);
  return r == (ssize_t) len ? 0 : -1;
}

/* What the program catches is nothing to this process: what ends it is that its
 * parent does, or the end of the channel.
 */
static void
forget_signals (void)
{
  sigset_t none;
  int i;

  for (i = 1; i < NSIG; ++i)
    signal (i, SIG_DFL);
  signal (SIGINT, SIG_IGN);
  signal (SIGTERM, SIG_IGN);
  signal (SIGHUP, SIG_IGN);
  signal (SIGQUIT, SIG_IGN);
  signal (SIGPIPE, SIG_IGN);
  signal (SIGTSTP, SIG_IGN);
  sigemptyset (&none);
  sigprocmask (SIG_SETMASK, &none, NULL);
}

/* The descriptors that a process of ours has, beside the standard ones: the
 * way to the program or the nursery, and where a vault says of what kind it
 * is.
 */
enum { WAY_FD = 3, TOLD_FD };

/* Keep these, told only if it is not -1, and nothing else.  Standard error is
 * that of libraries that abort; a disk must not write to the terminal through
 * it. Sanitizers need it.
 */
static int
keep_only (int way, int told)
{
  const int null = open ("/dev/null", O_RDWR);
  /* Out of the way of the numbers that they get. */
  const int w = fcntl (way, F_DUPFD, TOLD_FD + 1);
  const int t = told == -1 ? -1 : fcntl (told, F_DUPFD, TOLD_FD + 1);

  if (null == -1 || w == -1 || dup2 (null, STDIN_FILENO) == -1 ||
      dup2 (null, STDOUT_FILENO) == -1)
    return -1;
#ifndef __SANITIZE_ADDRESS__
  if (dup2 (null, STDERR_FILENO) == -1)
    return -1;
#endif
  if (dup2 (w, WAY_FD) == -1 || (t >= 0 && dup2 (t, TOLD_FD) == -1))
    return -1;
  confine_close_from (t >= 0 ? TOLD_FD + 1 : TOLD_FD);
  return 0;
}

/* What the vault need not know: its environment may have passwords of proxies.
 * Messages are translated, and temporary files are named.
 */
static void
forget_environment (void)
{
  static const char *const kept[] = { "LANG", "LC_", "TZ=", "TMPDIR=" };
  size_t i, j;

  for (i = 0; environ && environ[i]; ++i) {
    for (j = 0; j < sizeof kept / sizeof kept[0]; ++j)
      if (strncmp (environ[i], kept[j], strlen (kept[j])) == 0)
        break;
    if (j == sizeof kept / sizeof kept[0])
      explicit_bzero (environ[i], strlen (environ[i]));
  }
}

/* Messages are large, and pins and JSON nest. */
#define STACK_SIZE (2 * 1024 * 1024)

struct work {
  nursery_work_fn fn;
};

static void *
do_work (void *opaque)
{
  const struct work *work = opaque;
  sigset_t none;

  /* There are no others that signals are for. */
  sigemptyset (&none);
  pthread_sigmask (SIG_SETMASK, &none, NULL);
  work->fn (WAY_FD, NULL);
  return NULL;
}

/* What libraries leave on a stack may be a key, so it is locked, too. */
static void
work_on_locked_stack (nursery_work_fn fn)
{
  struct work work = { .fn = fn };
  struct secret_thread thread;

  if (secret_thread_start (&thread, STACK_SIZE, do_work, &work) == 0)
    secret_thread_join (&thread);
  else
    fn (WAY_FD, NULL);
}

/* In a vault: build the wall, say so, work, end. */
static void
be_vault (nursery_work_fn work, bool walled)
{
  struct report report = { .pid = getpid () };
  int r;

  prctl (PR_SET_NAME, "nbde-vault");
  forget_environment ();
  r = secret_init ();
  report.wall.memory = r == 0;
  errno = ENOMEM;
  if (r != -1 && walled)
    r = wall_close (&report.wall);
  report.code = r == -1 ? errno : 0;
  if (again (put, TOLD_FD, &report, sizeof report) != sizeof report ||
      r == -1)
    _exit (1);
  close (TOLD_FD);
  work_on_locked_stack (work);
  _exit (0);
}

static void
close_ends (struct ends *ends, int which)
{
  close (ends->way[which]);
  close (ends->told[which]);
}

/* Fork a vault.  prepared: libraries have been prepared before.  Returns its
 * number, and our ends are open; or -1, and none is.
 */
static pid_t
fork_vault (struct ends *ends, nursery_work_fn work, bool walled,
            bool prepared)
{
  pid_t pid;

  if (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends->way) == -1)
    return -1;
  if (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
                  ends->told) == -1) {
    close (ends->way[OURS]);
    close (ends->way[THEIRS]);
    return -1;
  }
  pid = fork ();
  if (pid == 0) {
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    forget_signals ();
    if (keep_only (ends->way[THEIRS], ends->told[THEIRS]) == -1)
      _exit (1);
    if (!prepared)
      wall_prepare ();
    be_vault (work, walled);
  }
  close_ends (ends, THEIRS);
  if (pid == -1)
    close_ends (ends, OURS);
  return pid;
}

/* What a vault says of itself when it is ready. */
static void
hear_vault (struct ends *ends, pid_t pid, struct report *report)
{
  if (again (get, ends->told[OURS], report, sizeof *report) != sizeof *report)
    report->code = EIO;
  close (ends->told[OURS]);
  report->pid = pid;
}

/* In the nursery.  Its end is that of the program. */
static void
be_nursery (nursery_work_fn work, bool walled)
{
  struct order order;
  struct report report;
  struct ends ends;
  bool prepared = false;
  int none, vault;

  prctl (PR_SET_NAME, "nbde-nursery");
  while (recv_with (WAY_FD, &order, sizeof order, &none) == 0) {
    memset (&report, 0, sizeof report);
    vault = -1;
    if (order.end > 0) {
      kill (order.end, SIGKILL);
      while (waitpid (order.end, &report.code, 0) == -1 && errno == EINTR)
        ;
    }
    else {
      if (!prepared)
        wall_prepare ();
      prepared = true;
      report.pid = fork_vault (&ends, work, walled, true);
      report.code = errno;
      if (report.pid > 0) {
        vault = ends.way[OURS];
        hear_vault (&ends, report.pid, &report);
      }
    }
    if (send_with (WAY_FD, &report, sizeof report, vault) == -1)
      break;
    if (vault >= 0)
      close (vault);
  }
  _exit (0);
}

/* The first vault is forked by the program itself, which is as empty as the
 * nursery then: it is ready a fork earlier.
 */
struct nursery *
nursery_new (nursery_work_fn work, bool walled, struct clevis_error *err)
{
  struct nursery *nursery = calloc (1, sizeof *nursery);
  int ends[2];

  if (nursery == NULL ||
      socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1) {
    clevis_error_errno (err, errno, _("the vault cannot be made"));
    free (nursery);
    return NULL;
  }
  nursery->fd = ends[OURS];
  nursery->first = fork_vault (&nursery->ends, work, walled, false);
  nursery->pid = nursery->first == -1 ? -1 : fork ();
  if (nursery->pid == 0) {
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    forget_signals ();
    if (keep_only (ends[THEIRS], -1) == -1)
      _exit (1);
    be_nursery (work, walled);
  }
  close (ends[THEIRS]);
  if (nursery->pid == -1) {
    clevis_error_errno (err, errno, _("the vault cannot be made"));
    nursery_free (nursery);
    return NULL;
  }
  nursery->is_first = true;
  return nursery;
}

/* Take the first vault, or have the nursery fork another one. */
static int
get_vault (struct nursery *nursery, struct report *report, int *fd)
{
  struct order order = { .end = 0 };

  *fd = -1;
  if (nursery->is_first) {
    nursery->is_first = false;
    hear_vault (&nursery->ends, nursery->first, report);
    *fd = nursery->ends.way[OURS];
    return 0;
  }
  return send_with (nursery->fd, &order, sizeof order, -1) == 0 &&
    recv_with (nursery->fd, report, sizeof *report, fd) == 0 ? 0 : -1;
}

int
nursery_fork (struct nursery *nursery, pid_t *pid, int *fd,
              struct wall *wall, struct clevis_error *err)
{
  struct report report = { .pid = -1, .code = EPIPE };

  if (get_vault (nursery, &report, fd) == 0 && report.pid > 0 &&
      report.code == 0 && *fd >= 0) {
    *pid = report.pid;
    *wall = report.wall;
    return 0;
  }
  if (*fd >= 0)
    close (*fd);
  if (report.pid > 0)
    nursery_end (nursery, report.pid);
  return clevis_error_errno (err, report.code, _("the vault cannot be made"));
}

static int
end_first (struct nursery *nursery)
{
  int status = 0;

  kill (nursery->first, SIGKILL);
  while (waitpid (nursery->first, &status, 0) == -1 && errno == EINTR)
    ;
  nursery->first = -1;
  return status;
}

int
nursery_end (struct nursery *nursery, pid_t pid)
{
  struct order order = { .end = pid };
  struct report report = { .code = 0 };
  int fd;

  if (pid == nursery->first)
    return end_first (nursery);
  return send_with (nursery->fd, &order, sizeof order, -1) == 0 &&
    recv_with (nursery->fd, &report, sizeof report, &fd) == 0
    ? report.code : 0;
}

bool
nursery_has_first (const struct nursery *nursery, pid_t pid)
{
  return pid == nursery->first;
}

/* The nursery ends while the first vault does. */
void
nursery_free (struct nursery *nursery)
{
  if (nursery == NULL)
    return;
  close (nursery->fd);
  if (nursery->is_first)
    close_ends (&nursery->ends, OURS);
  if (nursery->first > 0)
    end_first (nursery);
  while (nursery->pid > 0 && waitpid (nursery->pid, NULL, 0) == -1 &&
         errno == EINTR)
    ;
  free (nursery);
}
