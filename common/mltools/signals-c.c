/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Signal handlers for signals.ml.
 *
 * A call into libguestfs may wait for qemu for a minute, and nothing of its
 * interface may be called from a signal handler.  But it gives up when its
 * programs end, so the handler ends them: the direct children of the main
 * thread, which the kernel lists in /proc.  It is done again every second, as
 * the signal may have come just before a program was started.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* For caml_convert_signal_number. */
#define CAML_INTERNALS
#include <caml/mlvalues.h>
#include <caml/signals.h>

#include "signals.h"

extern value nbde_signals_catch (value unitv);
extern value nbde_signals_received (value unitv);
extern value nbde_signals_spare_children (value sparev);
extern value nbde_signals_number (value signumv);
extern value nbde_signals_die (value signumv);
extern value nbde_signals_note (value signumv);
extern value nbde_signals_forget (value unitv);
extern value nbde_signals_forward (value pidv);

static volatile sig_atomic_t received;
static volatile sig_atomic_t spare_children;
static volatile pid_t forward_to;
static signals_hook *volatile end_hook;
static char children_path[64];

/* Everything called below is async-signal-safe. */
static void
kill_children (int signum)
{
  char buf[4096];
  ssize_t len, i;
  pid_t pid = 0;
  int fd;

  fd = open (children_path, O_RDONLY | O_CLOEXEC);
  if (fd == -1)
    return;
  len = read (fd, buf, sizeof buf);
  close (fd);

  for (i = 0; i < len; ++i) {
    if (buf[i] >= '0' && buf[i] <= '9')
      pid = pid * 10 + (buf[i] - '0');
    else {
      if (pid > 1)
        kill (pid, signum);
      pid = 0;
    }
  }
}

static void
handle_end (int signum)
{
  const int saved_errno = errno;

  if (received == 0)
    received = signum;
  if (forward_to > 0)
    kill (forward_to, signum);
  if (end_hook != NULL)
    end_hook ();
  if (!spare_children) {
    kill_children (SIGTERM);
    alarm (1);
  }
  errno = saved_errno;
}

static void
handle_alarm (int signum)
{
  const int saved_errno = errno;

  (void) signum;
  if (!spare_children) {
    kill_children (SIGKILL);
    alarm (1);
  }
  errno = saved_errno;
}

static void
set_handler (int signum, void (*handler) (int))
{
  struct sigaction sa;

  /* Without SA_RESTART: what waits shall give up. */
  memset (&sa, 0, sizeof sa);
  sa.sa_handler = handler;
  sigemptyset (&sa.sa_mask);
  sigaction (signum, &sa, NULL);
}

/* nohup(1) and the shell's "&" ignore signals for their children; that is
 * respected.
 */
static bool
is_ignored (int signum)
{
  struct sigaction sa;

  return sigaction (signum, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
}

value
nbde_signals_catch (value unitv)
{
  static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
  size_t i;

  (void) unitv;
  snprintf (children_path, sizeof children_path,
            "/proc/self/task/%ld/children", (long) getpid ());
  set_handler (SIGALRM, handle_alarm);
  for (i = 0; i < sizeof signals / sizeof signals[0]; ++i)
    if (!is_ignored (signals[i]))
      set_handler (signals[i], handle_end);
  set_handler (SIGPIPE, SIG_IGN);
  return Val_unit;
}

value
nbde_signals_received (value unitv)
{
  (void) unitv;
  return Val_int (received);
}

value
nbde_signals_spare_children (value sparev)
{
  spare_children = Bool_val (sparev);
  alarm (0);
  return Val_unit;
}

/* A signal that came before is not lost. */
void
signals_set_end_hook (signals_hook *hook)
{
  end_hook = hook;
  if (received != 0 && hook != NULL)
    hook ();
}

/* As if the signal had come. */
value
nbde_signals_note (value signumv)
{
  if (received == 0)
    received = Int_val (signumv);
  return Val_unit;
}

value
nbde_signals_forget (value unitv)
{
  (void) unitv;
  received = 0;
  return Val_unit;
}

/* The same here: what came before the process was known is sent now. */
value
nbde_signals_forward (value pidv)
{
  forward_to = Int_val (pidv);
  if (received != 0)
    kill (forward_to, received);
  return Val_unit;
}

value
nbde_signals_die (value signumv)
{
  const int signum = Int_val (signumv);

  set_handler (signum, SIG_DFL);
  raise (signum);
  return Val_unit;
}

/* OCaml has numbers of its own for the signals that it knows. */
value
nbde_signals_number (value signumv)
{
  return Val_int (caml_convert_signal_number (Int_val (signumv)));
}
