/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * For a process that will soon be able to open no file.  Libraries open some
 * when they first need them, and fail or abort if they cannot; what this
 * library needs of them is opened early: here for all folders, in luks_prepare
 * and jose_prepare for what they use.
 */

#ifndef CLEVIS_PREPARE_H
#define CLEVIS_PREPARE_H

/* The C library's translations and what ends its threads, OpenSSL's
 * configuration and the modules that it names.  To be called after
 * setlocale(3), bindtextdomain(3) and secret_init.  May be called again.
 */
extern void base_prepare (void);

#endif /* CLEVIS_PREPARE_H */
