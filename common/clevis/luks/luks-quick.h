/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The quick header: a copy of a LUKS header in which opening the device with
 * a known passphrase costs next to nothing.
 *
 * cryptsetup cannot be told a keyslot through libguestfs, so it tries them in
 * order and pays the key derivation of each; the first is usually argon2id
 * with a gigabyte.  In the copy the right keyslot comes first (LUKS2: priority
 * "prefer") or is the only one (LUKS1, which has no priorities), and if it is
 * expensive itself it is encrypted anew with a cheap key derivation.  So is the
 * digest, with which the volume key is compared at last.  The
 * changed extents are meant for an overlay that dies with the appliance, never
 * for the guest's disk.
 */

#ifndef CLEVIS_LUKS_QUICK_H
#define CLEVIS_LUKS_QUICK_H

#include "base/clevis-error.h"
#include "luks/luks.h"
#include "base/secret.h"

/* Is the header quick as it is, since no keyslot and no digest is expensive? */
extern bool luks_is_quick (const struct luks *luks);

/* Change the copy of the header so that passphrase opens keyslot first and
 * cheaply.  The passphrase must have been verified against that keyslot.
 *
 * Returns the number of extents to write over the device (they are set in
 * ext, in bytes, each at most 2 MiB), or -1: CLEVIS_ERR_HEADER if this header
 * does not allow it, CLEVIS_ERR_SYSTEM.  On failure nothing should be written;
 * the device can still be opened with its own header.  luks is of no use for
 * anything else afterwards but luks_quick_read and luks_free.
 */
#define LUKS_QUICK_EXTENTS 80
extern int luks_quick (struct luks *luks, int keyslot,
                       const struct secret *passphrase,
                       struct luks_extent ext[LUKS_QUICK_EXTENTS],
                       struct clevis_error *err);

/* Read an extent of the changed copy into buf.  Returns 0, or -1 with
 * CLEVIS_ERR_SYSTEM.
 */
extern int luks_quick_read (const struct luks *luks,
                            const struct luks_extent *ext, void *buf,
                            struct clevis_error *err);

#endif /* CLEVIS_LUKS_QUICK_H */
