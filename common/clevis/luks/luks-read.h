/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What is in a header that libcryptsetup has loaded, for luks-load.c.
 */

#ifndef CLEVIS_LUKS_READ_H
#define CLEVIS_LUKS_READ_H

#include "luks/luks.h"

/* Fill in info, keyslots and tokens, and luks_want the keyslot areas that
 * verification will read.  Return 0, or -1: CLEVIS_ERR_HEADER,
 * CLEVIS_ERR_LIMIT, CLEVIS_ERR_SYSTEM.
 */
extern int luks1_read (struct luks *luks, struct clevis_error *err);
extern int luks2_read (struct luks *luks, struct clevis_error *err);

#endif /* CLEVIS_LUKS_READ_H */
