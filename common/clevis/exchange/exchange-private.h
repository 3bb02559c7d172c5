/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What pins may ask of the exchange that runs them.
 */

#ifndef CLEVIS_EXCHANGE_PRIVATE_H
#define CLEVIS_EXCHANGE_PRIVATE_H

#include "exchange/exchange.h"

struct requests;

/* Where pins ask their questions. */
extern struct requests *exchange_requests (struct exchange *ex);

/* The root of a binding is PIN_DONE or PIN_FAILED. */
extern void exchange_pin_ended (struct exchange *ex, struct pin *root);

#endif /* CLEVIS_EXCHANGE_PRIVATE_H */
