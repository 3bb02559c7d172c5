/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Names from a disk or a server, made safe to show to a person.
 */

#ifndef CLEVIS_ESCAPE_H
#define CLEVIS_ESCAPE_H

#include <stdio.h>

/* Write str to fp with everything escaped as \xNN that could move the cursor,
 * reorder the text or is not valid UTF-8: control characters (C0, DEL, C1),
 * bidirectional overrides and isolates, line and paragraph separators.  A
 * backslash is doubled, so that no escape can be forged.
 */
extern void escape_write (FILE *fp, const char *str);

#endif /* CLEVIS_ESCAPE_H */
