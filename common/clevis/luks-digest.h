/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The digest of the volume key, which is compared whenever a device is opened.
 * cryptsetup gives it as many iterations of pbkdf2 as the machine that made the
 * device did in an eighth of a second.
 */

#ifndef CLEVIS_LUKS_DIGEST_H
#define CLEVIS_LUKS_DIGEST_H

#include <stdint.h>

#include "clevis-error.h"
#include "luks.h"
#include "secret.h"

/* In the copy of the header, whose metadata libcryptsetup has written, replace
 * the digest that belongs to a keyslot by one of this volume key with so many
 * iterations.  Nothing but the copy in memory is changed.
 *
 * Returns 0, or -1: CLEVIS_ERR_HEADER if there is no such digest that is known,
 * CLEVIS_ERR_SYSTEM.  The copy is whole after a failure, too.
 */
extern int luks_make_digest_cheap (struct luks *luks, int keyslot,
                                   const struct secret *volume_key,
                                   uint32_t iterations,
                                   struct clevis_error *err);

#endif /* CLEVIS_LUKS_DIGEST_H */
