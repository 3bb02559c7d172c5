/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Runs one tree of pins without a device: a small stand-in for exchange.c.
 */

#ifndef CLEVIS_TESTLIB_RUN_H
#define CLEVIS_TESTLIB_RUN_H

#include "pins/pin.h"
#include "policy/policy.h"

/* Start a pin that was parsed and wait until it has ended.  Its state,
 * plaintext and error say how.  Without a policy there is no network, and no
 * tang pin may be in the tree.
 */
extern void run_pin (struct pin *root, const struct policy *policy);

#endif /* CLEVIS_TESTLIB_RUN_H */
