/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The largest size that each process of a command ever had:
 *
 *   peak-memory FILE COMMAND [ARGUMENT...]
 *
 * FILE gets a line "KIB NAME" for each process that the command was or has
 * started: its VmHWM, which the kernel keeps.  It is read when the process is
 * about to end, and at every event before, for which all are traced.  So nothing
 * is missed, however short they live; but what a process had before it executed
 * another program does not count.
 *
 * Pages that processes share are in the numbers of each.  So a last line "KIB
 * together" has what all of them had at once, each page counted once (the sum of
 * their Pss): the most that was seen at such an event.
 *
 * The exit status is that of the command.
 */

#include <errno.h>
#include <error.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* As many as a command of the benchmarks could ever have. */
#define MOST_PROCESSES 64

static struct process {
  pid_t pid;
  long kib;
  char name[16];
} processes[MOST_PROCESSES];
static size_t nr_processes;
static long together;

static struct process *
process_of (pid_t pid)
{
  for (size_t i = 0; i < nr_processes; i++)
    if (processes[i].pid == pid)
      return &processes[i];
  if (nr_processes == MOST_PROCESSES)
    error (EXIT_FAILURE, 0, "more than %d processes", MOST_PROCESSES);
  processes[nr_processes].pid = pid;
  return &processes[nr_processes++];
}

/* Look at a thread, and note what its process has. */
static void
look_at (pid_t thread)
{
  char path[64], line[256], name[16] = "";
  pid_t pid = 0;
  long kib = 0;

  snprintf (path, sizeof path, "/proc/%d/status", (int) thread);
  FILE *status = fopen (path, "r");
  if (!status)
    return;                     /* it has ended */
  while (fgets (line, sizeof line, status)) {
    sscanf (line, "Name: %15s", name);
    sscanf (line, "Tgid: %d", &pid);
    sscanf (line, "VmHWM: %ld", &kib);
  }
  fclose (status);
  if (kib == 0)
    return;                     /* it has no memory any more */
  struct process *process = process_of (pid);
  process->kib = kib;
  strcpy (process->name, name);
}

static long
proportional_size (pid_t pid)
{
  char path[64], line[256];
  long kib = 0;

  snprintf (path, sizeof path, "/proc/%d/smaps_rollup", (int) pid);
  FILE *rollup = fopen (path, "r");
  if (!rollup)
    return 0;
  while (fgets (line, sizeof line, rollup) && kib == 0)
    sscanf (line, "Pss: %ld", &kib);
  fclose (rollup);
  return kib;
}

static void
look_at_all (void)
{
  long sum = 0;

  for (size_t i = 0; i < nr_processes; i++) {
    look_at (processes[i].pid);
    sum += proportional_size (processes[i].pid);
  }
  if (sum > together)
    together = sum;
}

/* Begin when the parent traces us. */
static void
child (int ready, char **command)
{
  char byte;

  if (read (ready, &byte, 1) != 1)
    _exit (EXIT_FAILURE);
  execvp (command[0], command);
  error (127, errno, "%s", command[0]);
}

static pid_t
start (char **command)
{
  const long options = PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE
    | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXIT;
  int ready[2];

  if (pipe (ready) == -1)
    error (EXIT_FAILURE, errno, "pipe");
  pid_t pid = fork ();
  if (pid == -1)
    error (EXIT_FAILURE, errno, "fork");
  if (pid == 0) {
    close (ready[1]);
    child (ready[0], command);
  }
  close (ready[0]);
  if (ptrace (PTRACE_SEIZE, pid, NULL, options) == -1)
    error (EXIT_FAILURE, errno, "ptrace");
  if (write (ready[1], "", 1) != 1)
    error (EXIT_FAILURE, errno, "write");
  close (ready[1]);
  return pid;
}

/* Until the last process has ended; the status of the first. */
static int
trace (pid_t first)
{
  int result = 0, status;
  pid_t thread;

  while ((thread = waitpid (-1, &status, __WALL)) != -1) {
    if (!WIFSTOPPED (status)) {
      if (thread == first)
        result = status;
      continue;
    }
    look_at (thread);
    look_at_all ();
    bool is_event = status >> 16 != 0;
    ptrace (PTRACE_CONT, thread, NULL, is_event ? 0L : (long) WSTOPSIG (status));
  }
  return result;
}

int
main (int argc, char **argv)
{
  if (argc < 3)
    error (EXIT_FAILURE, 0, "usage: FILE COMMAND [ARGUMENT...]");
  int status = trace (start (argv + 2));

  FILE *file = fopen (argv[1], "w");
  if (!file)
    error (EXIT_FAILURE, errno, "%s", argv[1]);
  for (size_t i = 0; i < nr_processes; i++)
    fprintf (file, "%ld %s\n", processes[i].kib, processes[i].name);
  fprintf (file, "%ld together\n", together);
  if (fclose (file) == EOF)
    error (EXIT_FAILURE, errno, "%s", argv[1]);

  return WIFEXITED (status) ? WEXITSTATUS (status) : 128 + WTERMSIG (status);
}
