/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What secret.c and secret-crypto.c share.  Nobody else includes this.
 */

#ifndef CLEVIS_SECRET_PRIVATE_H
#define CLEVIS_SECRET_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/arena.h"

/* NULL before secret_init. */
extern struct arena *secret_arena;

/* Something that did not fit into it is in other memory. */
extern atomic_bool secret_spilled;

/* Give a block back to the arena; the process ends if it is none. */
extern void secret_give (void *p);

/* free(3), wiped. */
extern void secret_wipe_and_free (void *p);

/* Does OpenSSL use our allocator? */
extern bool secret_has_crypto (void);

#endif /* CLEVIS_SECRET_PRIVATE_H */
