/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What other stubs may add to the signal handlers of signals-c.c.
 */

#ifndef NBDE_SIGNALS_H
#define NBDE_SIGNALS_H

typedef void signals_hook (void);

/* Call this function, which must be async-signal-safe, from the handler of
 * SIGINT, SIGTERM and SIGHUP, and at once if one of them came before.  NULL
 * ends that.
 */
extern void signals_set_end_hook (signals_hook *hook);

#endif /* NBDE_SIGNALS_H */
