/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The exchange: from the bindings of any number of devices to verified
 * passphrases.  Every server of every binding is asked at once by one event
 * loop; a device is done when one of its keyslots accepts a passphrase, and
 * whatever is then no longer needed is cancelled.
 */

#ifndef CLEVIS_EXCHANGE_H
#define CLEVIS_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clevis-error.h"
#include "exchange/question.h"
#include "luks/luks.h"
#include "pins/pin.h"
#include "base/secret.h"
#include "tang/asker.h"

struct exchange;

/* A binding of a device: one Clevis token and its tree of pins. */
struct binding {
  const struct luks_token *token;
  struct pin *pin;         /* NULL if the token could not be parsed */
  struct clevis_error error; /* why this binding did not open the device:
                              a token that cannot be read, a pin that
                              failed, a passphrase that was not accepted */
  bool is_of_pin;          /* it is the error of the root of the tree */
  double verify_seconds;   /* time in the KDF of the keyslots */
};

enum exchange_status {
  EXCHANGE_PENDING,
  EXCHANGE_UNLOCKED,       /* key, keyslot and token are set */
  EXCHANGE_FAILED,         /* there are bindings, none worked */
  EXCHANGE_UNBOUND,        /* no Clevis binding on this device */
};

struct exchange_device {
  struct luks *luks;       /* borrowed */
  struct binding *bindings;
  size_t nr_bindings;
  enum exchange_status status;

  /* EXCHANGE_UNLOCKED: */
  struct secret *key;      /* the passphrase, verified against keyslot */
  int keyslot;
  const struct binding *by; /* the binding that gave it */
  double seconds;          /* from the start of the exchange */

  /* EXCHANGE_FAILED: the code says what kind of failure it is;
   * CLEVIS_ERR_UNREACHABLE means that a later try might succeed.
   */
  struct clevis_error error;
};

struct exchange_settings {
  long deadline;           /* milliseconds for the whole exchange, not 0 */
  struct answers answers;  /* instead of those of servers */
};

/* A new exchange that has its questions asked by asker, which it takes over,
 * also when it fails; NULL stands for one that could not be made, for the
 * reason in err.  Returns NULL with CLEVIS_ERR_SYSTEM.
 */
extern struct exchange *
exchange_new (struct asker *asker, const struct exchange_settings *settings,
              struct clevis_error *err);
extern void exchange_free (struct exchange *ex);

/* Does an exchange that was freed still derive a key?  That cannot be
 * interrupted; it ends by itself, and is wiped then.  A program that ends
 * meanwhile must call _exit, not exit.
 */
extern bool exchange_is_left (void);

/* Add a device, whose luks is LUKS_READY and must outlive the exchange.
 * Parses its tokens; asks nobody.  Returns its index (0, 1, ...), or -1:
 * CLEVIS_ERR_SYSTEM.
 */
extern int exchange_add (struct exchange *ex, struct luks *luks,
                         struct clevis_error *err);
extern size_t exchange_nr_devices (const struct exchange *ex);
extern const struct exchange_device *
exchange_device (const struct exchange *ex, size_t i);

/* Do what can be done and wait for at most ms milliseconds for more.  The
 * first call starts all bindings.  Returns 1 if there is more to do, 0 when
 * every device is settled, -1 on CLEVIS_ERR_SYSTEM.
 */
extern int exchange_step (struct exchange *ex, int ms,
                          struct clevis_error *err);

/* Take a device's key: ownership passes to the caller.  NULL if there is none
 * or it was taken before.
 */
extern struct secret *exchange_take_key (struct exchange *ex, size_t i);

#endif /* CLEVIS_EXCHANGE_H */
