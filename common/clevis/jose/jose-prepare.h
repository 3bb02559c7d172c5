/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * For a process that will soon be able to open no file.
 */

#ifndef CLEVIS_JOSE_PREPARE_H
#define CLEVIS_JOSE_PREPARE_H

/* Have libjose and OpenSSL open what they need.  Afterwards the functions of
 * this folder open no file and make no socket.  As base_prepare.
 */
extern void jose_prepare (void);

#endif /* CLEVIS_JOSE_PREPARE_H */
