/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The digest of the volume key, which is compared whenever a device is opened.
 * cryptsetup gives it as many iterations of pbkdf2 as the machine that made the
 * device did in an eighth of a second.
 */

#ifndef CLEVIS_LUKS_DIGEST_H
#define CLEVIS_LUKS_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "luks/luks.h"
#include "base/secret.h"

/* In the copy of the header, whose metadata libcryptsetup has written, replace
 * the digest that belongs to a keyslot by one of this volume key with so many
 * iterations.  Nothing but the copy in memory is changed.
 *
 * Returns false if that cannot be done, since the digest is of an unusual kind,
 * or memory is short; the digest then stays as it is.
 */
extern bool luks_make_digest_cheap (const struct luks *luks, int keyslot,
                                    const struct secret *volume_key,
                                    uint32_t iterations);

#endif /* CLEVIS_LUKS_DIGEST_H */
