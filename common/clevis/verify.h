/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Verification of passphrases in a thread of its own: a keyslot with argon2
 * can take seconds, during which the servers of other devices must still be
 * heard.  There is one thread, because libcryptsetup is not made for more;
 * while a verifier exists nobody else may call luks_verify.
 */

#ifndef CLEVIS_VERIFY_H
#define CLEVIS_VERIFY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "clevis-error.h"
#include "luks.h"
#include "secret.h"

struct verifier;

/* One passphrase for the keyslots of one token, tried in order.  The caller
 * owns the job and leaves it alone until verifier_next returned it; only
 * skip may be set.
 */
struct verify_job {
  struct luks *luks;
  const int *keyslots;
  size_t nr_keyslots;
  const struct secret *passphrase;
  void *opaque;            /* the caller's */

  atomic_bool skip;        /* not needed any more: do not begin */

  int keyslot;             /* that accepted it, or -1 and an error, or -1 and
                              CLEVIS_OK if it was skipped */
  struct clevis_error error;
  double seconds;          /* in the KDF */

  struct verify_job *next; /* of the verifier */
};

/* wakeup (opaque) is called from the thread when a job has ended. */
extern struct verifier *verifier_new (void (*wakeup) (void *opaque),
                                      void *opaque, struct clevis_error *err);

/* Waits for the job that is being worked on; others are not begun. */
extern void verifier_free (struct verifier *v);

/* Hand in a job.  Returns 0, or -1 with CLEVIS_ERR_SYSTEM. */
extern int verifier_submit (struct verifier *v, struct verify_job *job,
                            struct clevis_error *err);

/* The next job that has ended, or NULL if none has. */
extern struct verify_job *verifier_next (struct verifier *v);

#endif /* CLEVIS_VERIFY_H */
