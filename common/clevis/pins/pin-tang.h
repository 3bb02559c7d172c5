/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What a tang pin asks, for those who ask in another way than an exchange.
 */

#ifndef CLEVIS_PIN_TANG_H
#define CLEVIS_PIN_TANG_H

#include "pins/pin.h"
#include "pins/run.h"

/* The question of a tang pin that was parsed without an error; what it points
 * to belongs to the pin.
 */
extern struct pin_query pin_tang_query (const struct pin *pin);

#endif /* CLEVIS_PIN_TANG_H */
