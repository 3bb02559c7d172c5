/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Runs one tree of pins without a device; see testlib-run.h.
 */

#include <config.h>

#include "exchange/exchange-private.h"
#include "tang/request.h"
#include "testlib/testlib-run.h"

struct exchange {
  struct requests *requests;
  bool ended;
};

struct requests *
exchange_requests (struct exchange *ex)
{
  return ex->requests;
}

void
exchange_pin_ended (struct exchange *ex, struct pin *root)
{
  ex->ended = true;
}

void
run_pin (struct pin *root, const struct policy *policy)
{
  struct exchange ex = { .requests = NULL };

  if (policy) {
    ex.requests = requests_new (policy, &root->error);
    if (ex.requests == NULL) {
      root->state = PIN_FAILED;
      return;
    }
  }
  pin_start (root, &ex);
  while (!ex.ended && ex.requests &&
         requests_step (ex.requests, 1000, &root->error) == 0)
    ;
  pin_cancel (root);
  requests_free (ex.requests);
}
