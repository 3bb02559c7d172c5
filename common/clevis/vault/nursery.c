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
#include "base/secret.h"
#include "vault/nursery.h"

struct nursery {
  pid_t pid;
  int fd;
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

static void
close_from (int fd)
{
#ifdef HAVE_CLOSEFROM
  closefrom (fd);
#else
  const long most = sysconf (_SC_OPEN_MAX);

  for (; fd < most; ++fd)
    close (fd);
#endif
}

/* Keep one descriptor of all, as number 3.  Standard error is that of libraries
 * that abort; a disk must not write to the terminal through it.  Sanitizers need
 * it.
 */
static int
keep_only (int fd)
{
  int null = open ("/dev/null", O_RDWR);

  if (null == -1 || dup2 (null, STDIN_FILENO) == -1 ||
      dup2 (null, STDOUT_FILENO) == -1)
    return -1;
#ifndef __SANITIZE_ADDRESS__
  if (dup2 (null, STDERR_FILENO) == -1)
    return -1;
#endif
  if (fd != 3 && dup2 (fd, 3) == -1)
    return -1;
  close_from (4);
  return fcntl (3, F_SETFD, FD_CLOEXEC) == -1 ? -1 : 3;
}

/* In a vault: build the wall, say so, work, end. */
static void
be_vault (int fd, int told, nursery_work_fn work, bool walled)
{
  struct report report = { .pid = getpid () };
  int r;

  prctl (PR_SET_NAME, "nbde-vault");
  r = secret_init ();
  report.wall.memory = r == 0;
  errno = ENOMEM;
  if (r != -1 && walled)
    r = wall_close (&report.wall);
  report.code = r == -1 ? errno : 0;
  if (again (put, told, &report, sizeof report) != sizeof report || r == -1)
    _exit (1);
  close (told);
  work (fd, NULL);
  _exit (0);
}

/* In the nursery: fork a vault, and hand on what it says of its wall. */
static void
fork_vault (nursery_work_fn work, bool walled, struct report *report, int *fd)
{
  int ends[2], told[2];

  report->pid = -1;
  if (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1) {
    report->code = errno;
    return;
  }
  if (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, told) == 0) {
    report->pid = fork ();
    report->code = errno;
    if (report->pid == 0) {
      close (3);                /* the way to the program */
      close (ends[OURS]);
      close (told[OURS]);
      prctl (PR_SET_PDEATHSIG, SIGKILL);
      be_vault (ends[THEIRS], told[THEIRS], work, walled);
    }
    close (told[THEIRS]);
    if (report->pid > 0 &&
        again (get, told[OURS], report, sizeof *report) != sizeof *report)
      report->code = EIO;
    close (told[OURS]);
  }
  close (ends[THEIRS]);
  *fd = ends[OURS];
}

/* In the nursery.  Its end is that of the program. */
static void
be_nursery (int fd, nursery_work_fn work, bool walled)
{
  struct order order;
  struct report report;
  int none, vault;

  prctl (PR_SET_NAME, "nbde-nursery");
  forget_signals ();
  fd = keep_only (fd);
  if (fd == -1)
    _exit (1);
  wall_prepare ();
  while (recv_with (fd, &order, sizeof order, &none) == 0) {
    memset (&report, 0, sizeof report);
    vault = -1;
    if (order.end > 0) {
      kill (order.end, SIGKILL);
      while (waitpid (order.end, &report.code, 0) == -1 && errno == EINTR)
        ;
    }
    else
      fork_vault (work, walled, &report, &vault);
    if (send_with (fd, &report, sizeof report, vault) == -1)
      break;
    if (vault >= 0)
      close (vault);
  }
  _exit (0);
}

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
  nursery->pid = fork ();
  if (nursery->pid == 0) {
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    be_nursery (ends[THEIRS], work, walled);
  }
  close (ends[THEIRS]);
  if (nursery->pid == -1) {
    clevis_error_errno (err, errno, _("the vault cannot be made"));
    close (nursery->fd);
    free (nursery);
    return NULL;
  }
  return nursery;
}

static int
give_order (struct nursery *nursery, pid_t end, struct report *report,
            int *fd)
{
  struct order order = { .end = end };

  errno = EPIPE;
  return send_with (nursery->fd, &order, sizeof order, -1) == 0 &&
    recv_with (nursery->fd, report, sizeof *report, fd) == 0 ? 0 : -1;
}

int
nursery_fork (struct nursery *nursery, pid_t *pid, int *fd,
              struct wall *wall, struct clevis_error *err)
{
  struct report report;

  if (give_order (nursery, 0, &report, fd) == -1)
    return clevis_error_errno (err, errno, _("the vault cannot be made"));
  if (report.pid == -1 || report.code != 0 || *fd == -1) {
    if (*fd >= 0)
      close (*fd);
    return clevis_error_errno (err, report.code,
                               _("the vault cannot be made"));
  }
  *pid = report.pid;
  *wall = report.wall;
  return 0;
}

int
nursery_end (struct nursery *nursery, pid_t pid)
{
  struct report report = { .code = 0 };
  int fd;

  return give_order (nursery, pid, &report, &fd) == 0 ? report.code : 0;
}

void
nursery_free (struct nursery *nursery)
{
  if (nursery == NULL)
    return;
  close (nursery->fd);
  while (waitpid (nursery->pid, NULL, 0) == -1 && errno == EINTR)
    ;
  free (nursery);
}
