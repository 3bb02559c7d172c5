/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What background.ml needs of the system.
 */

#include <config.h>

#include <signal.h>
#include <sys/prctl.h>
#include <syslog.h>

#include <caml/mlvalues.h>

extern value nbde_background_end_with_parent (value yesv);
extern value nbde_background_log (value errorv, value textv);

/* Be sent SIGTERM when the process that has started this one ends. */
value
nbde_background_end_with_parent (value yesv)
{
  prctl (PR_SET_PDEATHSIG, Bool_val (yesv) ? SIGTERM : 0);
  return Val_unit;
}

value
nbde_background_log (value errorv, value textv)
{
  openlog (PACKAGE_NAME, LOG_PID, LOG_DAEMON);
  syslog (Bool_val (errorv) ? LOG_ERR : LOG_WARNING, "%s", String_val (textv));
  closelog ();
  return Val_unit;
}
