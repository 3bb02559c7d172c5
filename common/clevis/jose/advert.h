/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The advertisement of a Tang server: a set of its public keys, signed by its
 * signing keys.  Source: tang(8) "PROTOCOL", RFC 7515.
 */

#ifndef CLEVIS_ADVERT_H
#define CLEVIS_ADVERT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clevis-error.h"

struct advert;

/* Parse what "GET /adv" gave.  Returns NULL with CLEVIS_ERR_REPLY, also for
 * more than BOUND_ADV_SIGNERS signatures.
 */
extern struct advert *advert_parse (const char *body, size_t len,
                                    struct clevis_error *err);
extern void advert_free (struct advert *adv);

/* Is the exchange key with this thumbprint (S256 or S1) advertised? */
extern bool advert_has_key (const struct advert *adv, const char *kid);

/* Has every signing key that is in it signed it, and is there one, and no more
 * than BOUND_ADV_SIGNERS?
 */
extern bool advert_is_signed (const struct advert *adv);

#endif /* CLEVIS_ADVERT_H */
