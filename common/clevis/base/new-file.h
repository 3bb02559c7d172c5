/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A file that is there whole or not at all: written under a temporary name in
 * the same folder, synced, and renamed.
 */

#ifndef CLEVIS_NEW_FILE_H
#define CLEVIS_NEW_FILE_H

#include <stdbool.h>

#include "base/clevis-error.h"

struct new_file;

/* Open a new file of mode 0600 that will become path.  If path exists and must
 * not be replaced, that is an error now.  Returns NULL with
 * CLEVIS_ERR_SYSTEM.
 */
extern struct new_file *new_file_open (const char *path, bool replace,
                                       struct clevis_error *err);
extern int new_file_fd (const struct new_file *file);

/* Give the file its name.  Returns 0, or -1 with CLEVIS_ERR_SYSTEM. */
extern int new_file_commit (struct new_file *file, struct clevis_error *err);

/* Close; removes what was not committed.  file may be NULL. */
extern void new_file_close (struct new_file *file);

static inline void
new_file_closep (struct new_file **file)
{
  new_file_close (*file);
}

#define CLEANUP_NEW_FILE __attribute__ ((cleanup (new_file_closep)))

#endif /* CLEVIS_NEW_FILE_H */
