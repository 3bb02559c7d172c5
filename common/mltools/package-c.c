/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What configure knows about the package, for package.ml.
 */

#include <config.h>

#include <caml/alloc.h>
#include <caml/mlvalues.h>

extern value nbde_package_name (value unitv);
extern value nbde_package_version (value unitv);

value
nbde_package_name (value unitv)
{
  (void) unitv;
  return caml_copy_string (PACKAGE_NAME);
}

value
nbde_package_version (value unitv)
{
  (void) unitv;
  return caml_copy_string (PACKAGE_VERSION);
}
