/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What runs pins, as pins see it: somebody who gets their questions answered
 * and is told when a binding has ended.  The exchange is one, tests have
 * others.
 */

#ifndef CLEVIS_RUN_H
#define CLEVIS_RUN_H

#include <stddef.h>
#include <jansson.h>

#include "base/clevis-error.h"
#include "base/url.h"

struct pin;
struct waiter;

/* What a tang pin asks.  Everything is borrowed until its answer came or it was
 * forgotten.
 */
struct pin_query {
  const struct url *url;   /* of the token */
  const char *kid;         /* thumbprint of S */
  const json_t *server;    /* S, from ecmr_public */
  const json_t *epk;       /* C, from ecmr_public */
  size_t device;           /* number of the one that asks, for its turn */
};

/* The end of a question: K, borrowed, or NULL and why.  Either way err has the
 * URL that was asked if the user maps that of the token.  address is the
 * numeric address that answered or was tried last, or NULL.
 */
typedef void (*pin_answer_fn) (const json_t *k,
                               const struct clevis_error *err,
                               const char *address, void *opaque);

struct pin_run {
  /* Ask.  done is called later, not from within.  Returns a handle that lives
   * until done was called or it was forgotten; or NULL, and done is never
   * called: CLEVIS_ERR_SYSTEM.
   */
  struct waiter *(*ask) (struct pin_run *run, const struct pin_query *query,
                         pin_answer_fn done, void *opaque,
                         struct clevis_error *err);

  /* The answer is not needed any more.  waiter may be NULL. */
  void (*forget) (struct waiter *waiter);

  /* The root of a binding is PIN_DONE or PIN_FAILED. */
  void (*ended) (struct pin_run *run, struct pin *root);
};

#endif /* CLEVIS_RUN_H */
