/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Load a header, once its metadata is in the memory file.
 */

#ifndef CLEVIS_LUKS_LOAD_H
#define CLEVIS_LUKS_LOAD_H

#include "luks/luks.h"

/* Let libcryptsetup load the header that was collected, and read it.  Returns
 * 0, or -1: CLEVIS_ERR_HEADER, CLEVIS_ERR_LIMIT, CLEVIS_ERR_SYSTEM.
 */
extern int luks_load (struct luks *luks, struct clevis_error *err);

#endif /* CLEVIS_LUKS_LOAD_H */
