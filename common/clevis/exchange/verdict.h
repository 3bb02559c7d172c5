/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Would a device open, and would it still if one more server failed?  From what
 * a preflight has found out of each leaf.
 */

#ifndef CLEVIS_VERDICT_H
#define CLEVIS_VERDICT_H

#include "exchange/preflight.h"

/* Set the verdict of a device that has bindings, which begins as
 * PREFLIGHT_CLOSED; one that is PREFLIGHT_UNBOUND stays so.
 */
extern void preflight_judge (struct preflight_device *d);

#endif /* CLEVIS_VERDICT_H */
