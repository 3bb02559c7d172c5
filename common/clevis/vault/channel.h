/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * One end of the way between the vault and the program: messages whole, in
 * order, with descriptors beside them.
 */

#ifndef CLEVIS_CHANNEL_H
#define CLEVIS_CHANNEL_H

#include "vault/message.h"

/* Bytes of messages that wait here at most.  One side has some thousand
 * questions at a time, of two KiB each; one that sends more than that without
 * taking what is sent to it has something else in mind.
 */
#define CHANNEL_WAITING (64 * MIB)

struct channel {
  int fd;                  /* a socket (SOCK_SEQPACKET), owned */
  struct waiting *first, **last; /* that have come and were not taken */
  bool takes_no_fds;       /* what comes with a descriptor is not valid */
  size_t bytes;            /* of these */
};

/* Descriptors that came with a message; -1 where there is none.  Whoever takes
 * the message owns them.
 */
struct message_fds {
  int fd[MESSAGE_FDS];
};

#define MESSAGE_FDS_INIT { { -1, -1 } }

extern void message_fds_close (struct message_fds *fds);

extern void channel_init (struct channel *ch, int fd);

/* Close it, and what was not taken. */
extern void channel_close (struct channel *ch);

/* Send a message, with up to MESSAGE_FDS descriptors (NULL: none), which stay
 * open here.  While the other side does not take it, what comes from there is
 * put aside.  Returns 0, or -1 with errno: EPIPE (the other end is closed),
 * ETIMEDOUT (ms milliseconds passed; -1: no limit), EPROTO (what came is not
 * valid, or too much).
 */
extern int channel_send (struct channel *ch, const struct message *m,
                         const int *fds, size_t nr_fds, int ms);

/* Take the next message, or wait ms milliseconds for it (-1: without limit).
 * Returns 1, 0 if none has come, or -1 with errno: EPIPE, EPROTO, EINTR.
 */
extern int channel_recv (struct channel *ch, struct message *m,
                         struct message_fds *fds, int ms);

/* Put a message that was taken back to the end of those that wait.  Returns 0,
 * or -1 with errno: EPROTO (these are too many), ENOMEM.
 */
extern int channel_put_aside (struct channel *ch, const struct message *m);

#endif /* CLEVIS_CHANNEL_H */
