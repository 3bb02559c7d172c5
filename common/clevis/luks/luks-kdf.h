/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What key derivation costs on a processor of today, in seconds.  Constants,
 * not a measurement: whether a disk opens should not depend on what else the
 * machine does at that moment.
 */

#ifndef CLEVIS_LUKS_KDF_H
#define CLEVIS_LUKS_KDF_H

#include <stdbool.h>

/* Is it a hash that every libcryptsetup computes?  hash may be NULL. */
extern bool luks_knows_hash (const char *hash);

/* So many iterations of pbkdf2 with this hash, for a key of so many bytes.
 * hash may be NULL or unknown: those are taken for slow ones.
 */
extern double luks_pbkdf2_seconds (const char *hash, double iterations,
                                   double bytes);

/* So many passes of argon2 over so many KiB. */
extern double luks_argon2_seconds (double passes, double memory);

#endif /* CLEVIS_LUKS_KDF_H */
