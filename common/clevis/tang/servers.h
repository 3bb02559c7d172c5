/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Asks Tang servers from this process, as the policy says: whom a URL of a
 * token stands for, whether it may be asked, and how many servers one device
 * may name.  Source: tang(8) "PROTOCOL".
 */

#ifndef CLEVIS_SERVERS_H
#define CLEVIS_SERVERS_H

#include "policy/policy.h"
#include "tang/asker.h"

/* Returns NULL with CLEVIS_ERR_SYSTEM.  The policy is borrowed and must outlive
 * it; so must what is asked its strings.  Free it with asker_free.
 */
extern struct asker *servers_new (const struct policy *policy,
                                  struct clevis_error *err);

/* Let a waiting asker_step of it return also when there is something to read
 * from fd, which is borrowed.
 */
extern void servers_watch (struct asker *servers, int fd);

#endif /* CLEVIS_SERVERS_H */
