/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Secrets from and to descriptors: key files, terminals, pipes, memory files.
 * A signal that is caught ends each with EINTR: it asks the program to end.
 */

#ifndef CLEVIS_SECRET_READ_H
#define CLEVIS_SECRET_READ_H

#include <stdbool.h>

#include "base/clevis-error.h"
#include "base/secret.h"

/* All bytes up to the end, as they are.  Returns NULL with CLEVIS_ERR_SYSTEM,
 * or CLEVIS_ERR_LIMIT for more than 8 MiB, which is what cryptsetup reads.
 */
extern struct secret *secret_read (int fd, struct clevis_error *err);

/* One line without its newline, and no byte beyond it.  At the end of the input
 * it returns NULL and sets *is_end; otherwise as secret_read.
 */
extern struct secret *secret_read_line (int fd, bool *is_end,
                                        struct clevis_error *err);

/* Write the bytes, or their base64 (RFC 4648, section 4), and nothing else.
 * Returns 0, or -1 with CLEVIS_ERR_SYSTEM.
 */
extern int secret_write (const struct secret *s, int fd,
                         struct clevis_error *err);
extern int secret_write_base64 (const struct secret *s, int fd,
                                struct clevis_error *err);

#endif /* CLEVIS_SECRET_READ_H */
