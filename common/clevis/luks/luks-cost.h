/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What a keyslot of a loaded header costs: whether it is below the limits, and
 * whether that is next to nothing.  luks_cost of luks.h is here, too.
 */

#ifndef CLEVIS_LUKS_COST_H
#define CLEVIS_LUKS_COST_H

#include <stdbool.h>

#include "luks/luks.h"

/* KiB of memory that argon2 of one keyslot may take on this host. */
extern uint64_t luks_memory_limit (void);

/* Does the keyslot, or a digest of the header, exceed a limit?  Returns 0 if
 * not, else -1 with CLEVIS_ERR_LIMIT.  err may be NULL.
 */
extern int luks_check_cost (const struct luks *luks,
                            const struct luks_keyslot *k,
                            struct clevis_error *err);

/* Does opening this keyslot cost next to nothing?  And the comparison with the
 * header's dearest digest, which follows?
 */
extern bool luks_is_cheap (const struct luks_keyslot *k);
extern bool luks_digest_is_cheap (const struct luks *luks);

#endif /* CLEVIS_LUKS_COST_H */
