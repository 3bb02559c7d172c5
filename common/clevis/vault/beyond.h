/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The asker of the vault: it has the program, beyond the wall, ask.
 */

#ifndef CLEVIS_BEYOND_H
#define CLEVIS_BEYOND_H

#include "tang/asker.h"
#include "vault/channel.h"

/* The channel is borrowed.  Returns NULL with CLEVIS_ERR_SYSTEM.  asker_step
 * fails with CLEVIS_ERR_SYSTEM if the channel was closed or something has come
 * that does not belong to an exchange.
 */
extern struct asker *beyond_new (struct channel *ch, struct clevis_error *err);

#endif /* CLEVIS_BEYOND_H */
