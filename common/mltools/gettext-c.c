/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * gettext(3) for gettext.ml.
 */

#include <config.h>

#include <libintl.h>
#include <locale.h>
#include <stdlib.h>

#include <caml/alloc.h>
#include <caml/memory.h>
#include <caml/mlvalues.h>

extern value nbde_gettext_init (value unitv);
extern value nbde_gettext (value msgidv);
extern value nbde_ngettext (value singularv, value pluralv, value nv);

value
nbde_gettext_init (value unitv)
{
  /* ./run names those of the build folder. */
  const char *dir = secure_getenv ("VIRT_NBDE_UNLOCK_LOCALEDIR");

  (void) unitv;
  setlocale (LC_ALL, "");
  /* Numbers are written for programs as well as for people. */
  setlocale (LC_NUMERIC, "C");
  bindtextdomain (PACKAGE_NAME, dir ? dir : LOCALEBASEDIR);
  textdomain (PACKAGE_NAME);
  return Val_unit;
}

value
nbde_gettext (value msgidv)
{
  CAMLparam1 (msgidv);
  const char *msgid = String_val (msgidv);
  const char *translated;

  /* The empty string is the catalogue's header, and gettext takes no NUL. */
  if (msgid[0] == '\0' || !caml_string_is_c_safe (msgidv))
    CAMLreturn (msgidv);

  translated = dgettext (PACKAGE_NAME, msgid);
  if (translated == msgid)
    CAMLreturn (msgidv);
  CAMLreturn (caml_copy_string (translated));
}

value
nbde_ngettext (value singularv, value pluralv, value nv)
{
  CAMLparam3 (singularv, pluralv, nv);

  CAMLreturn (caml_copy_string (dngettext (PACKAGE_NAME,
                                           String_val (singularv),
                                           String_val (pluralv),
                                           Long_val (nv))));
}
