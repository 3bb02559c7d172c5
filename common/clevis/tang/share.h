/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * How runs with the same folder (--tang-share) spare servers together:
 *
 *   turns      a server has no more requests under way than the policy allows
 *              one run
 *   the mark   of a server that could not be reached: others do not try again
 *              for a while
 *   the first  as long as nobody knows whether a server answers, one run finds
 *              out, and the others wait for it
 *   replies    that say the same to everybody are asked for once
 *
 * Turns are for all hosts that see the folder.  What one run knows holds for
 * others that ask in the same way: from the same host, with the same settings.
 *
 * A run that dies gives back what it had: all is held by locks.
 */

#ifndef CLEVIS_SHARE_H
#define CLEVIS_SHARE_H

#include <stdbool.h>

#include "base/clevis-error.h"
#include "policy/policy.h"
#include "tang/http.h"

struct share;
struct share_request;

/* How long others believe that a server cannot be reached, and that it can;
 * and use a reply that says whether a key is there, or any other reply.  In
 * seconds.
 *
 * That it cannot be reached is believed for so many times as long as it took to
 * find that out, within limits: to be refused a connection costs nothing, and a
 * server that is started anew does so for a moment.
 */
#define SHARE_TIMES_DOWN 10
#define SHARE_SECONDS_DOWN_LEAST 2
#define SHARE_SECONDS_DOWN 60
#define SHARE_SECONDS_UP 60
#define SHARE_SECONDS_REPLY 60
#define SHARE_SECONDS_FAULT 10

/* Replies that a run keeps for others, and bytes of the body of one: a disk can name
 * any number of servers, and any number of paths of one.
 */
#define SHARE_REPLIES 64
#define SHARE_REPLY_BODY (16 * 1024)

/* A file may be so many seconds younger than this host's clock has it: clocks of
 * hosts differ.  What is younger was written before a clock was set back, and
 * is not used.
 */
#define SHARE_SECONDS_AHEAD 5

/* Open the folder of a policy, which is borrowed.  Returns NULL with
 * CLEVIS_ERR_SYSTEM.
 */
extern struct share *share_new (const struct policy *policy,
                                struct clevis_error *err);

/* All its requests have been freed. */
extern void share_free (struct share *share);

/* A request, from when it could be sent to its end.
 *
 * request   its base is borrowed
 * name      what is asked, below the base, if the reply of another run will do;
 *           or NULL.  Borrowed.
 *
 * Returns NULL with CLEVIS_ERR_SYSTEM, also where files cannot be locked.
 */
extern struct share_request *
share_request_new (struct share *share, const struct http_request *request,
                   const char *name, struct clevis_error *err);

/* It gives back all that it holds.  request may be NULL. */
extern void share_request_free (struct share_request *request);

enum share_says {
  SHARE_SEND,              /* it has its turn; then share_end_turn */
  SHARE_WAIT_TURN,         /* the server has enough to do */
  SHARE_WAIT_OTHERS,       /* another run is about to find out what it asks */
  SHARE_REPLY,             /* what another run was replied is in reply */
  SHARE_FAILED,            /* err says why: it is marked (_UNREACHABLE), or
                              _SYSTEM */
};

/* May it be sent now?  Asked before each try.  reply is filled in with what the
 * request owns, but for its error, which is released with clevis_error_clear.
 */
extern enum share_says share_ask (struct share_request *request,
                                  struct http_reply *reply,
                                  struct clevis_error *err);

/* Seconds until a request that waits should ask again: at random, and more with
 * each time, so that runs do not come at the same moment; and more if many wait.
 */
extern double share_pause (struct share_request *request);

/* The transfer has ended.  Returns seconds until this run may ask for another
 * turn: if others wait, they are to get this one.
 */
extern double share_end_turn (struct share_request *request);

/* What it ended with, for others to know.  There may be another try, or, if it
 * is the last reply, not.
 */
extern void share_learn (struct share_request *request,
                         const struct http_reply *reply, bool last);

/* The deadline, of so many seconds, has come for a request that waits as
 * share_ask said last: set err to that.
 */
extern void share_explain (enum share_says waits, double seconds,
                           struct clevis_error *err);

#endif /* CLEVIS_SHARE_H */
