/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * For the unit tests: what is done with a vault again and again.
 */

#ifndef CLEVIS_TESTLIB_VAULT_H
#define CLEVIS_TESTLIB_VAULT_H

#include "vault/vault.h"

/* A vault, behind its wall unless it is valgrind that runs this. */
extern struct vault *new_vault (void);

/* Have it read a header from a file, under the name of a device, as long as it
 * wants more.
 */
extern struct vault_luks *vault_load (struct vault *v, const char *file,
                                      const char *device,
                                      enum luks_state *state,
                                      struct clevis_error *err);

/* The same for one that must be good. */
extern struct vault_luks *vault_ready_luks (struct vault *v, const char *file,
                                            const char *device);

/* Run to the end.  Returns as vault_run_step. */
extern int vault_finish_run (struct vault_run *run, struct clevis_error *err);

/* The key has these bytes and no others. */
extern void assert_vault_key (struct vault_key *key, const char *text);

/* A key from a file with these bytes; or, if it is not to be read twice, from
 * a pipe.
 */
extern struct vault_key *key_of_file (struct vault *v, const char *text);
extern struct vault_key *key_of_pipe (struct vault *v, const char *text);

/* Nothing that a test has forked is there any more.  To be called once before
 * it forks.
 */
extern void watch_children (void);
extern void assert_no_children (void);

#endif /* CLEVIS_TESTLIB_VAULT_H */
