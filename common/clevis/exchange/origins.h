/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * How many servers a device may have asked.  The disk names them, and each
 * costs this host a connection and perhaps a thread that waits for a name
 * server.
 */

#ifndef CLEVIS_ORIGINS_H
#define CLEVIS_ORIGINS_H

#include <stddef.h>

#include "base/bounds.h"
#include "pins/pin.h"
#include "policy/policy.h"

/* The servers of one device, by scheme, host and port, as they are asked.
 * Begins as all zeroes.
 */
struct origins {
  const struct policy *policy;
  char *names[BOUND_ORIGINS];
  size_t nr;
};

/* Count the servers of a tree that was parsed, and fail each tang pin whose
 * server is one too many, with CLEVIS_ERR_LIMIT.  Does nothing where no server
 * is asked.
 */
extern void origins_limit (struct origins *origins,
                           const struct policy *policy, struct pin *root);
extern void origins_clear (struct origins *origins);

#endif /* CLEVIS_ORIGINS_H */
