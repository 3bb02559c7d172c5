/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The end of a FUSE mount, for mountpoint.ml.
 *
 * While libguestfs serves a mount it sits in the loop of libfuse, which ends
 * when the mount does.  A signal has to bring that about from its handler,
 * where no function of libguestfs may be called: as root by the system call,
 * which also ends a mount that is in use.  Other users may not unmount
 * without fusermount, which is a program; for them, the file descriptor of
 * the FUSE device is replaced, so that the loop reads the end of a file.
 *
 * An appliance that dies brings it about as well.  Otherwise the mount would
 * stay and answer everything with an error.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <caml/fail.h>
#include <caml/memory.h>
#include <caml/mlvalues.h>

#include "signals.h"

extern value nbde_mountpoint_end_on_signal (value directoryv, value devicev,
                                            value childv);
extern value nbde_mountpoint_ended (value unitv);
extern value nbde_mountpoint_umount (value directoryv);

static char *directory;
static int device = -1;
static int null = -1;
static volatile pid_t child;

/* Async-signal-safe. */
static void
end_mount (void)
{
  if (umount2 (directory, MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW) == -1)
    dup3 (null, device, O_CLOEXEC);
  /* It may be called again, when something else is mounted there. */
  signals_set_end_hook (NULL);
}

/* Has the child ended?  It remains for libguestfs to wait for. */
static void
handle_child (int signum)
{
  const int saved_errno = errno;
  siginfo_t info = { .si_pid = 0 };

  (void) signum;
  if (child > 0 &&
      waitid (P_PID, child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
      info.si_pid == child) {
    child = 0;
    end_mount ();
  }
  errno = saved_errno;
}

static void
set_child_handler (void (*handler) (int))
{
  struct sigaction sa;

  memset (&sa, 0, sizeof sa);
  sa.sa_handler = handler;
  sigemptyset (&sa.sa_mask);
  sigaction (SIGCHLD, &sa, NULL);
}

value
nbde_mountpoint_end_on_signal (value directoryv, value devicev, value childv)
{
  CAMLparam3 (directoryv, devicev, childv);

  null = open ("/dev/null", O_RDONLY | O_CLOEXEC);
  directory = strdup (String_val (directoryv));
  if (null == -1 || directory == NULL)
    caml_failwith (strerror (errno));
  device = Int_val (devicev);
  child = Int_val (childv);
  set_child_handler (handle_child);
  signals_set_end_hook (end_mount);
  /* It may have ended before. */
  handle_child (SIGCHLD);
  CAMLreturn (Val_unit);
}

value
nbde_mountpoint_ended (value unitv)
{
  (void) unitv;
  signals_set_end_hook (NULL);
  set_child_handler (SIG_DFL);
  child = 0;
  close (null);
  free (directory);
  directory = NULL;
  return Val_unit;
}

/* Lazily, if root does it and may. */
value
nbde_mountpoint_umount (value directoryv)
{
  return Val_bool (umount2 (String_val (directoryv),
                            MNT_DETACH | UMOUNT_NOFOLLOW) == 0);
}
