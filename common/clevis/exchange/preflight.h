/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Would it open?  Every server of every binding is asked for its advertisement
 * and, if the key is not in it, whether it still has the key; nothing is
 * unlocked.  The one thing that is posted is a random point, whose answer
 * opens nothing.  Source: tang(8) "PROTOCOL", RFC 7515 (JWS).
 */

#ifndef CLEVIS_PREFLIGHT_H
#define CLEVIS_PREFLIGHT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clevis-error.h"
#include "luks/luks.h"
#include "pins/pin.h"
#include "tang/asker.h"
#include "tang/keydir.h"

struct preflight;

enum preflight_key {
  PREFLIGHT_UNKNOWN,       /* no answer, or not asked: error says why */
  PREFLIGHT_ADVERTISED,    /* the server advertises the key */
  PREFLIGHT_ROTATED,       /* it does not, but still answers with it */
  PREFLIGHT_UNADVERTISED,  /* it does not, and was not asked further */
  PREFLIGHT_GONE,          /* it does not have the key */
  PREFLIGHT_LOCAL,         /* no server needed: null pin, key folder */
};

enum preflight_verdict {
  PREFLIGHT_CLOSED,        /* does not open */
  PREFLIGHT_NO_SPARE,      /* opens, but not if one more server fails */
  PREFLIGHT_OPENS,
  PREFLIGHT_UNBOUND,       /* no Clevis binding */
};

/* One leaf of the pin trees of a device. */
struct preflight_leaf {
  int token;
  const struct pin *pin;
  const struct url *at;    /* the server that was asked; NULL: none */
  enum preflight_key key;
  bool signatures;         /* every signing key of the advertisement signed it;
                              only if the advertisement came */
  double seconds;          /* of the advertisement */
  char *address;           /* that answered, or NULL */
  char *certificate_expiry; /* of https, as the certificate says it, or NULL */
  struct clevis_error error;
};

struct preflight_device {
  struct luks *luks;       /* borrowed */
  struct preflight_leaf *leaves;
  size_t nr_leaves;
  struct pin **roots;      /* one for each token that can be read */
  size_t nr_roots;
  enum preflight_verdict verdict;
};

/* A new preflight.
 *
 *   asker   is taken over, as by exchange_new
 *   keydir  keys that answer instead of servers, borrowed; or NULL
 *   probe   may a random point be posted?
 *
 * Returns NULL with CLEVIS_ERR_SYSTEM.
 */
extern struct preflight *preflight_new (struct asker *asker,
                                        const struct keydir *keydir,
                                        bool probe, struct clevis_error *err);
extern void preflight_free (struct preflight *pf);

/* Add a device, whose luks is LUKS_READY and outlives the preflight.  Returns
 * its index, or -1 with CLEVIS_ERR_SYSTEM.
 */
extern int preflight_add (struct preflight *pf, struct luks *luks,
                          struct clevis_error *err);
extern size_t preflight_nr_devices (const struct preflight *pf);
extern const struct preflight_device *
preflight_device (const struct preflight *pf, size_t i);

/* As exchange_step: 1 if there is more to do, 0 at the end, -1 on error. */
extern int preflight_step (struct preflight *pf, int ms,
                           struct clevis_error *err);

#endif /* CLEVIS_PREFLIGHT_H */
