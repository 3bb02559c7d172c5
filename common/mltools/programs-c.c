/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A signal to a process that may be gone, for programs.ml.
 */

#include <config.h>

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <caml/mlvalues.h>

extern value nbde_programs_kill (value folderv, value pidv);

/* The kernel takes the open folder of a process for the process.  Kernels before
 * 5.1 know only its number; the folder was read a moment ago.
 */
value
nbde_programs_kill (value folderv, value pidv)
{
#ifdef SYS_pidfd_send_signal
  if (syscall (SYS_pidfd_send_signal, Int_val (folderv), SIGKILL, NULL,
               0) == 0 || errno != ENOSYS)
    return Val_unit;
#endif
  kill (Int_val (pidv), SIGKILL);
  return Val_unit;
}
