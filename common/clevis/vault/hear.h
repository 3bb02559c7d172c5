/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What the program hears from the vault of headers, exchanges and preflights:
 * plain structs that own what they point to.
 */

#ifndef CLEVIS_HEAR_H
#define CLEVIS_HEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clevis-error.h"
#include "vault/message.h"

/* Strings of theirs that may be missing are NULL. */

struct heard_param {
  char *name, *value;
};

struct heard_pin {
  char *name, *path;
  int threshold;           /* of an sss pin, else 0 */
  char *url, *kid, *thp_alg, *curve, *warning;
  struct heard_param *params;
  size_t nr_params;
  struct heard_pin *children;
  size_t nr_children;
  bool has_failed;         /* this host cannot answer it, for this reason: */
  struct clevis_error error;
};

struct heard_keyslot {
  int slot, key_size;      /* bytes */
  uint32_t iterations, memory, threads; /* memory in KiB */
  char *kdf, *hash, *cipher, *priority, *refused;
};

struct heard_token {
  int id;
  char *kind, *stale;
  int keyslots[MESSAGE_KEYSLOTS];
  size_t nr_keyslots;
  bool has_pin;
  struct heard_pin pin;
  bool is_broken;          /* a Clevis token that cannot be read, since: */
  struct clevis_error error;
};

struct heard_luks {
  int version, key_size, sector_size; /* bytes */
  uint64_t data_offset;    /* bytes */
  bool is_quick;           /* no keyslot and no digest is expensive */
  char *uuid, *label, *cipher, *note;
  struct heard_keyslot *keyslots;
  size_t nr_keyslots;
  struct heard_token *tokens;
  size_t nr_tokens;
};

/* How a leaf of a pin tree ended. */
struct heard_leaf {
  int token;
  char *pin, *url, *address;
  double seconds;
  bool answered;
  bool has_failed;         /* for this reason: */
  struct clevis_error error;

  /* Of a preflight. */
  int key;                 /* enum preflight_key */
  bool signatures;
  char *certificate_expiry;
};

/* How a device ended: of an exchange, or of a preflight, which has a verdict
 * and leaves only.
 */
struct heard_outcome {
  int status;              /* enum exchange_status, or preflight_verdict */
  int keyslot, token;      /* that opened it, or -1 */
  uint32_t key;            /* its number in the vault, or 0 */
  double seconds, verify_seconds;
  struct clevis_error *errors;
  size_t nr_errors;
  struct heard_leaf *leaves;
  size_t nr_leaves;
  char **servers;          /* whose answers made the key */
  size_t nr_servers;
  char **warnings;
  size_t nr_warnings;
};

/* The next message, or NULL if there is none or it is none that is valid; lives
 * until the next call.
 */
typedef const struct message *(*hear_fn) (void *opaque);

/* Each reads its messages, ends before DONE, and returns 0; or -1 if what comes
 * is not that, and then the object holds what was heard so far.  To be freed in
 * both cases; begins as all zeroes.
 */
extern int hear_luks (struct heard_luks *luks, hear_fn next, void *opaque);
extern int hear_outcome (struct heard_outcome *outcome, bool is_preflight,
                         hear_fn next, void *opaque);

extern void heard_luks_clear (struct heard_luks *luks);
extern void heard_outcome_clear (struct heard_outcome *outcome);

#endif /* CLEVIS_HEAR_H */
