/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Verification of passphrases in threads of its own: a keyslot with argon2 can
 * take seconds, during which the servers of other devices must still be heard.
 *
 * What a keyslot costs is estimated from the header before any of it is paid.
 * The cheapest keyslot of the device that has had least comes first; what
 * exceeds the device's share, or the time that is left, is refused by name.
 * Keyslots that cost next to nothing have a thread to themselves, so that no
 * device waits for the dear ones of another.
 *
 * libcryptsetup cannot be interrupted, so a verifier that is freed does not
 * wait for it: the threads work on copies of their own, and wipe them when they
 * have ended.
 */

#ifndef CLEVIS_VERIFY_H
#define CLEVIS_VERIFY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clevis-error.h"
#include "luks/luks.h"
#include "base/secret.h"

struct verifier;

/* Keyslots of a token; no LUKS version has more. */
#define VERIFY_KEYSLOTS_MAX 32

/* What all jobs of a device may cost together, in seconds as luks_cost
 * estimates them.  The caller sets allowed; the rest is the verifier's.
 */
struct verify_account {
  double allowed;
  double spent;            /* of it, by keyslots that were begun */
  double announced;        /* by jobs, whether begun or not */
};

/* One passphrase for the keyslots of one token, cheapest first, in the order of
 * the token where they cost the same.  The caller owns the job and leaves it
 * alone until verifier_next returned it; only skip may be set.
 */
struct verify_job {
  struct luks *luks;
  const int *keyslots;
  size_t nr_keyslots;      /* at most VERIFY_KEYSLOTS_MAX */
  const struct secret *passphrase;
  struct verify_account *account; /* of the device */
  void *opaque;            /* the caller's */

  atomic_bool skip;        /* not needed any more: do not begin */

  int keyslot;             /* that accepted it, or -1 and an error, or -1 and
                              CLEVIS_OK if it was skipped */
  struct clevis_error error; /* of the keyslot tried last, or the first that was
                                refused because of what it costs */
  double seconds;          /* in the KDF */

  /* Of the verifier. */
  struct verify_job *next;
  double costs[VERIFY_KEYSLOTS_MAX]; /* seconds; negative: nothing to do */
  bool busy;               /* a thread works on it */
  struct luks *proof;      /* the copy on which a keyslot accepted it */
};

/* wakeup (opaque) is called from a thread when a job has ended. */
extern struct verifier *verifier_new (void (*wakeup) (void *opaque),
                                      void *opaque, struct clevis_error *err);

/* When all must be done, in seconds of clock_now.  Without it there is no
 * limit of time.  To be called before any job is handed in.
 */
extern void verifier_set_deadline (struct verifier *v, double deadline);

/* No job is begun any more.  One that is under way is waited for only if it
 * ends in a moment (a quarter of a second); see verifier_is_left.
 */
extern void verifier_free (struct verifier *v);

/* Is key derivation of a verifier that was freed still under way?  It ends by
 * itself, and nobody waits for its result.  A program that ends meanwhile must
 * not call exit, which would take the libraries away under it, but _exit.
 */
extern bool verifier_is_left (void);

/* Hand in a job.  Returns 0, or -1 with CLEVIS_ERR_SYSTEM. */
extern int verifier_submit (struct verifier *v, struct verify_job *job,
                            struct clevis_error *err);

/* The next job that has ended, or NULL if none has. */
extern struct verify_job *verifier_next (struct verifier *v);

#endif /* CLEVIS_VERIFY_H */
