/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Questions of tang pins: what is the key K for this public key C?  From
 * blinding to unblinding, and one question for all who ask the same; who gets
 * it to a server is the asker.  Where the user has the answers (a folder of
 * Tang's keys, a file of replies), no server is asked.  Source: tang(8)
 * "PROTOCOL".
 */

#ifndef CLEVIS_QUESTION_H
#define CLEVIS_QUESTION_H

#include <stddef.h>
#include <jansson.h>

#include "base/clevis-error.h"
#include "pins/run.h"
#include "tang/asker.h"
#include "tang/keydir.h"
#include "tang/offline.h"

struct questions;

/* Who answers instead of servers; both may be NULL.  Borrowed. */
struct answers {
  const struct keydir *keydir; /* a folder of Tang's keys */
  struct offline *offline; /* takes requests, or has replies */
};

/* Takes the asker over, also when it fails; NULL stands for one that could
 * not be made, for the reason in err.  Returns NULL with CLEVIS_ERR_SYSTEM.
 */
extern struct questions *questions_new (struct asker *asker,
                                        const struct answers *answers,
                                        struct clevis_error *err);
extern void questions_free (struct questions *qs);

/* Ask, as the member ask of struct pin_run does.  Nothing is sent before
 * questions_step, from which done is called.  That C is no point of its curve
 * is found when the question is blinded (CLEVIS_ERR_TOKEN).
 */
extern struct waiter *questions_ask (struct questions *qs,
                                     const struct pin_query *query,
                                     pin_answer_fn done, void *opaque,
                                     struct clevis_error *err);

/* Stop to wait; done is not called.  waiter may be NULL. */
extern void question_forget (struct waiter *waiter);

/* Move all questions on; wait at most ms milliseconds.  Returns 0, or -1 with
 * CLEVIS_ERR_SYSTEM.
 */
extern int questions_step (struct questions *qs, int ms,
                           struct clevis_error *err);

/* Let a waiting questions_step return.  May be called by any thread. */
extern void questions_wakeup (struct questions *qs);

/* The body of a reply to K.  For tests; E is from ecmr_blind.  Returns K in
 * locked memory or NULL with CLEVIS_ERR_REPLY.
 */
extern json_t *question_unblind (const json_t *server, const json_t *eph,
                                 const char *body, size_t len,
                                 struct clevis_error *err);

#endif /* CLEVIS_QUESTION_H */
