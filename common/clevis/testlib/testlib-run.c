/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Runs one tree of pins without a device; see testlib-run.h.
 */

#include <config.h>

#include <stdbool.h>

#include "exchange/question.h"
#include "tang/servers.h"
#include "testlib/testlib-run.h"

struct test_run {
  struct pin_run run;
  struct questions *questions;
  bool ended;
};

static struct waiter *
ask (struct pin_run *run, const struct pin_query *query, pin_answer_fn done,
     void *opaque, struct clevis_error *err)
{
  return questions_ask (((struct test_run *) run)->questions, query, done,
                        opaque, err);
}

static void
ended (struct pin_run *run, struct pin *root)
{
  ((struct test_run *) run)->ended = true;
}

void
run_pin (struct pin *root, const struct policy *policy)
{
  static const struct answers none = { .keydir = NULL };
  struct test_run t = {
    .run = { .ask = ask, .forget = question_forget, .ended = ended },
  };

  if (policy) {
    t.questions = questions_new (servers_new (policy, &root->error), &none,
                                 &root->error);
    if (t.questions == NULL) {
      root->state = PIN_FAILED;
      return;
    }
  }
  pin_start (root, &t.run);
  while (!t.ended && t.questions &&
         questions_step (t.questions, 1000, &root->error) == 0)
    ;
  pin_cancel (root);
  questions_free (t.questions);
}
