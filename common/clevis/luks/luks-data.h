/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The data of a LUKS device, decrypted a piece at a time, as the device mapper
 * would show them: to see what is inside.  Nothing is encrypted here.
 *
 * Known are the ciphers that cryptsetup has as a default, or had in its life:
 * aes-xts-plain64, aes-xts-plain, aes-cbc-plain64, aes-cbc-plain and
 * aes-cbc-essiv:sha256, with 128 and 256 bits of AES.  What is not known is an
 * error of its own (CLEVIS_ERR_UNSUPPORTED): somebody else may know it.
 *
 * Source: LUKS2 On-Disk Format Specification 1.1.1, section 3.3; LUKS On-Disk
 * Format Specification 1.2.3, sections 2.1 and 4; the kernel's
 * Documentation/admin-guide/device-mapper/dm-crypt.rst for the initial vectors.
 */

#ifndef CLEVIS_LUKS_DATA_H
#define CLEVIS_LUKS_DATA_H

#include <stddef.h>
#include <stdint.h>

#include "base/clevis-error.h"
#include "base/secret.h"
#include "luks/luks.h"

/* Where the data are, encrypted: byte n of the opened device is at offset + n
 * of the device.
 */
struct luks_data_extent {
  uint64_t offset;         /* bytes from the start of the device */
  uint64_t length;         /* bytes of the opened device; not 0, and offset +
                              length is no more than the device has */
  uint32_t sector_size;    /* bytes; what is decrypted is whole ones of these:
                              512, 1024, 2048 or 4096 */
};

/* Where are the data, and can they be decrypted here?  Only after LUKS_READY;
 * no key is needed.
 *
 * Returns 0, or -1: CLEVIS_ERR_UNSUPPORTED (a cipher or initial vectors that
 * are not known, integrity protection, more than one segment, a detached
 * header), CLEVIS_ERR_HEADER (the data would end behind the device).
 */
extern int luks_data_extent (const struct luks *luks,
                             struct luks_data_extent *extent,
                             struct clevis_error *err);

/* Have the volume key there for luks_decrypt.  If luks_verify was called and
 * has kept it, that is so already, and nothing is done.  Otherwise keyslot and
 * digest must be cheap, and are paid for.  It is kept until luks_free.
 *
 * Returns 0, or -1: CLEVIS_ERR_HEADER (the keyslot is dear and was not
 * verified), or what luks_verify returns.  Not after luks_quick.
 */
extern int luks_unlock (struct luks *luks, int keyslot,
                        const struct secret *passphrase,
                        struct clevis_error *err);

/* Decrypt data, which may not overlap with plain.
 *
 *   offset  bytes from the start of the opened device
 *   data    len bytes from there, as they are on the device
 *   plain   where they go; the caller's, len bytes.  They are not wiped: what
 *           is on a disk is no key
 *   len     whole sectors, at most BOUND_DECRYPT
 *
 * Returns 0, or -1: those of luks_data_extent; CLEVIS_ERR_LIMIT (not whole
 * sectors, none, too many, or beyond the end of the data), CLEVIS_ERR_HEADER
 * (the volume key is not there: see luks_unlock), CLEVIS_ERR_SYSTEM.
 */
extern int luks_decrypt (const struct luks *luks, uint64_t offset,
                         const void *data, void *plain, size_t len,
                         struct clevis_error *err);

#endif /* CLEVIS_LUKS_DATA_H */
