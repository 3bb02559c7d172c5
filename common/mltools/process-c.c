/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What the Unix module of OCaml lacks for process.ml.
 */

#include <config.h>

#include <stdlib.h>

#include <caml/mlvalues.h>

extern value nbde_process_unset (value namev);

/* An invalid name, the only error of unsetenv, was never set. */
value
nbde_process_unset (value namev)
{
  unsetenv (String_val (namev));
  return Val_unit;
}
