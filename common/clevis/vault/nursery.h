/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Where vaults are forked: a process that was itself forked before the
 * program had read anything, so that no vault begins with a copy of what the
 * program has come to know, or with its descriptors.  It waits for them when
 * they end.
 */

#ifndef CLEVIS_NURSERY_H
#define CLEVIS_NURSERY_H

#include <sys/types.h>

#include "base/clevis-error.h"
#include "vault/wall.h"

struct nursery;

/* What a vault does with its end of a channel, until that is closed: it
 * returns, and is ended.  opaque is that of nursery_new.
 */
typedef void (*nursery_work_fn) (int fd, void *opaque);

/* Fork the nursery, and the first vault.  Without a wall (which is for
 * valgrind) vaults are only processes.  Returns NULL with CLEVIS_ERR_SYSTEM.
 */
extern struct nursery *nursery_new (nursery_work_fn work, bool walled,
                                    struct clevis_error *err);

/* Fork a vault and wait until its wall stands.  The first one has been there
 * since nursery_new, while the program did something else.
 *
 *   pid, fd  its number, and our end of the channel to it
 *   wall     what of the wall stands
 *
 * Returns 0, or -1 with CLEVIS_ERR_SYSTEM.
 */
extern int nursery_fork (struct nursery *nursery, pid_t *pid, int *fd,
                         struct wall *wall, struct clevis_error *err);

/* Kill a vault, if it has not ended by itself, and wait for it.  Returns how it
 * ended, as waitpid has it.
 */
extern int nursery_end (struct nursery *nursery, pid_t pid);

/* Is this the first vault?  If it was not ended, nursery_free does so, in less
 * time than nursery_end takes beside it.
 */
extern bool nursery_has_first (const struct nursery *nursery, pid_t pid);

/* End it with all its vaults.  nursery may be NULL. */
extern void nursery_free (struct nursery *nursery);

#endif /* CLEVIS_NURSERY_H */
