/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A tang pin's request and reply as text, apart from how they travel.
 */

#ifndef CLEVIS_PIN_TANG_H
#define CLEVIS_PIN_TANG_H

#include <stddef.h>

#include "clevis-error.h"
#include "pin.h"
#include "secret.h"
#include "url.h"

/* The server of a tang pin that was parsed; borrowed. */
extern const struct url *pin_tang_url (const struct pin *pin);

/* The body of a new request (X as a JWK), to be posted to /rec/KID.  It is not
 * secret: E, which stays in the pin, hides everything.  The caller frees it.
 * Returns NULL with CLEVIS_ERR_TOKEN or _SYSTEM.
 */
extern char *pin_tang_request (struct pin *pin, struct clevis_error *err);

/* From the body of the reply to the last request, the plaintext of the pin's
 * JWE.  Returns NULL with CLEVIS_ERR_REPLY, _DECRYPT or _SYSTEM.
 */
extern struct secret *pin_tang_finish (struct pin *pin, const char *body,
                                       size_t len, struct clevis_error *err);

#endif /* CLEVIS_PIN_TANG_H */
