/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Shamir's secret sharing as the sss pin of Clevis has it: points of a
 * polynomial modulo a prime p, the secret is the value at 0.  A share is x
 * and y, big endian, each as long as p.  Source: clevis-encrypt-sss(1).
 */

#ifndef CLEVIS_SHAMIR_H
#define CLEVIS_SHAMIR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clevis-error.h"
#include "base/secret.h"

struct shamir;

/* Start with a prime of len bytes, big endian.  Returns NULL with
 * CLEVIS_ERR_TOKEN (not an odd prime of at most 521 bits) or _SYSTEM.
 */
extern struct shamir *shamir_new (const unsigned char *p, size_t len,
                                  struct clevis_error *err);
extern void shamir_free (struct shamir *sh);

/* Add a share, which is copied to locked memory.  Returns 0, or -1 with
 * CLEVIS_ERR_TOKEN: wrong length, x or y not below p, x zero or seen before.
 */
extern int shamir_add (struct shamir *sh, const struct secret *share,
                       struct clevis_error *err);
extern size_t shamir_count (const struct shamir *sh);

/* Interpolate all shares that were added.  Returns the secret, as long as p, or
 * NULL with CLEVIS_ERR_SYSTEM.
 */
extern struct secret *shamir_combine (const struct shamir *sh,
                                      struct clevis_error *err);

#endif /* CLEVIS_SHAMIR_H */
