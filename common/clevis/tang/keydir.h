/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A folder (or the backup of one) with the private keys of a Tang server, as
 * tangd keeps them: NAME.jwk, and .NAME.jwk for keys that were rotated away.
 * With it, what the server would answer is computed here, and nobody is
 * asked.  Source: tang(8) "KEY ROTATION".
 */

#ifndef CLEVIS_KEYDIR_H
#define CLEVIS_KEYDIR_H

#include <stdbool.h>
#include <jansson.h>

#include "base/clevis-error.h"

struct keydir;

/* Read all exchange keys of a folder into locked memory.  Files that are no
 * exchange key (signing keys are there too) are passed over.
 *
 * Returns NULL with CLEVIS_ERR_SYSTEM (the folder or a file cannot be read),
 * CLEVIS_ERR_TOKEN (a file is not a JWK, or there is no exchange key).
 */
extern struct keydir *keydir_open (const char *path, struct clevis_error *err);

/* The same in steps, where the folder is read by one process and the keys are
 * in another: keydir_new, keydir_add for each file that keydir_files finds,
 * and keydir_check, which fails if no exchange key was added.  The file
 * behind fd is read from its start, and not closed.
 */
extern struct keydir *keydir_new (const char *path, struct clevis_error *err);
extern int keydir_add (struct keydir *dir, int fd, const char *name,
                       struct clevis_error *err);
extern int keydir_check (const struct keydir *dir, struct clevis_error *err);

/* Open each file of the folder that may be a key and call fn; ends with the
 * first that fails.  Returns 0, or -1 with CLEVIS_ERR_SYSTEM, _LIMIT or what
 * fn says.
 */
typedef int (*keydir_file_fn) (int fd, const char *name, void *opaque,
                               struct clevis_error *err);
extern int keydir_files (const char *path, keydir_file_fn fn, void *opaque,
                         struct clevis_error *err);

extern void keydir_free (struct keydir *dir);

/* Is the key with this thumbprint (S256 or S1) in the folder? */
extern bool keydir_has (const struct keydir *dir, const char *kid);

/* The key K that the exchange of epk with the key kid gives (K = s·C).
 *
 *   kid  thumbprint, S256 or S1
 *   epk  C, from ecmr_public
 *
 * Returns K in locked memory, or NULL: CLEVIS_ERR_NO_KEY (no such key in the
 * folder) or CLEVIS_ERR_TOKEN (epk is no point of the key's curve).
 */
extern json_t *keydir_exchange (const struct keydir *dir, const char *kid,
                                const json_t *epk, struct clevis_error *err);

#endif /* CLEVIS_KEYDIR_H */
