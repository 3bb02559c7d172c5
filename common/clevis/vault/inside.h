/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What happens inside the vault: headers, tokens, keys, exchanges.
 */

#ifndef CLEVIS_INSIDE_H
#define CLEVIS_INSIDE_H

/* Do what comes over a channel until it is closed.  To be called after
 * secret_init; opaque is not used.
 */
extern void inside_work (int fd, void *opaque);

#endif /* CLEVIS_INSIDE_H */
