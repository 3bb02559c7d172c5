/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * How the vault says what it has found out: headers, and how exchanges and
 * preflights ended, as messages.  vault/hear.c is the other side.
 */

#ifndef CLEVIS_TELL_H
#define CLEVIS_TELL_H

#include "exchange/exchange.h"
#include "exchange/preflight.h"
#include "luks/luks.h"
#include "vault/channel.h"

/* All return 0, or -1 with CLEVIS_ERR_SYSTEM. */

/* One message. */
extern int tell (struct channel *ch, const struct message *m,
                 struct clevis_error *err);

/* Bytes at an offset, as DATA. */
extern int tell_bytes (struct channel *ch, uint32_t id, uint64_t offset,
                       const unsigned char *bytes, size_t len,
                       struct clevis_error *err);

/* INFO, a KEYSLOT for each, a TOKEN for each with its tree of PINs. */
extern int tell_luks (struct channel *ch, const struct luks *luks,
                      struct clevis_error *err);

/* OUTCOME and what belongs to it; key is the number of the device's key. */
extern int tell_outcome (struct channel *ch, const struct exchange_device *d,
                         uint32_t key, struct clevis_error *err);

/* OUTCOME with the verdict, and a CHECKED for each leaf. */
extern int tell_preflight (struct channel *ch,
                           const struct preflight_device *d,
                           struct clevis_error *err);

#endif /* CLEVIS_TELL_H */
