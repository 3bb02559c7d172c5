/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * gettext for a library: messages come from the text domain of the package,
 * whatever domain the program has chosen.
 */

#ifndef CLEVIS_GETTEXT_COMPAT_H
#define CLEVIS_GETTEXT_COMPAT_H

#include <libintl.h>

#define _(str) dgettext ("virt-nbde-unlock", (str))
#define N_(str) str

#endif /* CLEVIS_GETTEXT_COMPAT_H */
