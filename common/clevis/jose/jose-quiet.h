/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * libjose prints the reason of a failure on stderr by default.  A library
 * does not print, and what a hostile disk provokes is not worth a line.
 */

#ifndef CLEVIS_JOSE_QUIET_H
#define CLEVIS_JOSE_QUIET_H

#include <jose/cfg.h>

/* A configuration without messages, shared by all calls; NULL (the default
 * configuration) if memory is short.
 */
extern jose_cfg_t *jose_quiet_cfg (void);

#endif /* CLEVIS_JOSE_QUIET_H */
