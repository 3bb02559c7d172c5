/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The folder of --tang-share as files and locks.  What they mean is share.c's.
 *
 * Nobody else may write to the folder, so what is in it was written by runs of
 * the same user; it is read with care all the same: no link is followed, only
 * plain files are opened, and only so many bytes are read.
 */

#ifndef CLEVIS_SHARE_FOLDER_H
#define CLEVIS_SHARE_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/clevis-error.h"

/* A folder for one server, and the file in it whose bytes are locked. */
struct share_place {
  int fd;
  int locks;
};

/* Open the folder, which is made if it is not there.  Returns a descriptor that
 * the caller closes, or -1: CLEVIS_ERR_SYSTEM, also if it belongs to somebody
 * else, if others may write to it, or if its file system cannot lock.
 */
extern int share_folder_open (const char *path, struct clevis_error *err);

/* The folder with this name in it, which is made if it is not there.  path is
 * that of the folder, for errors.  Returns 0, or -1: CLEVIS_ERR_SYSTEM.  The
 * place is released with share_place_close.
 */
extern int share_place_open (struct share_place *place, int folder,
                             const char *path, const char *name,
                             struct clevis_error *err);
extern void share_place_close (struct share_place *place);

/* Lock a byte, which need not exist, for this place alone; the kernel frees it
 * when the process dies.  What this place has locked itself is no obstacle.
 * Returns 1, 0 if somebody else has it, or -1 with errno.
 */
extern int share_lock (const struct share_place *place, uint64_t byte);

/* The same, but others may have it, too, in this way. */
extern int share_lock_together (const struct share_place *place,
                                uint64_t byte);
extern void share_unlock (const struct share_place *place, uint64_t byte);

/* Has somebody else a lock on it, of either kind? */
extern bool share_is_locked (const struct share_place *place, uint64_t byte);

/* Read a file.  Returns how many bytes, with *age set to the seconds since it
 * was written by the clocks of whoever wrote it and of this host, which may be
 * negative; or -1 if there is no file that could be meant, or it is larger than
 * size bytes.
 */
extern long share_read (const struct share_place *place, const char *name,
                        char *data, size_t size, double *age);

/* Write a file, whole or not at all, in place of any older one.  The caller has
 * a lock, so that nobody else writes a file of this name.  Returns 0 or -1: the
 * disk is full, and so on.
 */
extern int share_write (const struct share_place *place, const char *name,
                        const char *data, size_t len);
extern void share_remove (const struct share_place *place, const char *name);

#endif /* CLEVIS_SHARE_FOLDER_H */
