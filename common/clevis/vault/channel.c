/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Messages over a socket.
 */

#include <config.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "vault/channel.h"

/* A message that has come while something else was waited for. */
struct waiting {
  struct waiting *next;
  struct message_fds fds;
  struct message message;  /* as much of it as its tag says */
};

void
message_fds_close (struct message_fds *fds)
{
  size_t i;

  for (i = 0; i < MESSAGE_FDS; ++i) {
    if (fds->fd[i] >= 0)
      close (fds->fd[i]);
    fds->fd[i] = -1;
  }
}

void
channel_init (struct channel *ch, int fd)
{
  ch->fd = fd;
  ch->first = NULL;
  ch->last = &ch->first;
  ch->takes_no_fds = false;
  ch->bytes = 0;
}

static struct waiting *
take_first (struct channel *ch)
{
  struct waiting *w = ch->first;

  if (w) {
    ch->first = w->next;
    if (ch->first == NULL)
      ch->last = &ch->first;
    ch->bytes -= message_size (w->message.tag);
  }
  return w;
}

void
channel_close (struct channel *ch)
{
  struct waiting *w;

  while ((w = take_first (ch)) != NULL) {
    message_fds_close (&w->fds);
    free (w);
  }
  if (ch->fd >= 0)
    close (ch->fd);
  ch->fd = -1;
}

static int
put_aside (struct channel *ch, const struct message *m,
           const struct message_fds *fds)
{
  const size_t size = message_size (m->tag);
  struct waiting *w;

  if (size > CHANNEL_WAITING - ch->bytes) {
    errno = EPROTO;
    return -1;
  }
  w = malloc (offsetof (struct waiting, message) + size);
  if (w == NULL)
    return -1;
  ch->bytes += size;
  w->next = NULL;
  w->fds = *fds;
  memcpy (&w->message, m, size);
  *ch->last = w;
  ch->last = &w->next;
  return 0;
}

int
channel_put_aside (struct channel *ch, const struct message *m)
{
  static const struct message_fds none = MESSAGE_FDS_INIT;

  return put_aside (ch, m, &none);
}

/* Take the descriptors out of what recvmsg has filled in. */
static size_t
take_fds (struct msghdr *msg, struct message_fds *fds)
{
  struct cmsghdr *c;
  size_t n = 0, i, here;
  int fd;

  for (c = CMSG_FIRSTHDR (msg); c; c = CMSG_NXTHDR (msg, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
      continue;
    here = (c->cmsg_len - CMSG_LEN (0)) / sizeof fd;
    for (i = 0; i < here; ++i) {
      memcpy (&fd, CMSG_DATA (c) + i * sizeof fd, sizeof fd);
      if (n < MESSAGE_FDS)
        fds->fd[n] = fd;
      else
        close (fd);
      n++;
    }
  }
  return n;
}

/* What the kernel has of it now; returns as channel_recv. */
static int
recv_now (struct channel *ch, struct message *m, struct message_fds *fds)
{
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE (MESSAGE_FDS * sizeof (int))];
  } control;
  struct iovec iov = { .iov_base = m, .iov_len = sizeof *m };
  struct msghdr msg = {
    .msg_iov = &iov, .msg_iovlen = 1,
    .msg_control = &control, .msg_controllen = sizeof control,
  };
  const struct message_fds none = MESSAGE_FDS_INIT;
  size_t nr_fds;
  ssize_t r;

  *fds = none;
  r = recvmsg (ch->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (r == -1 && (errno == EAGAIN || errno == EINTR))
    return 0;
  if (r <= 0) {
    errno = EPIPE;
    return -1;
  }
  nr_fds = take_fds (&msg, fds);
  if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 &&
      message_is_valid (m, r, nr_fds) && (nr_fds == 0 || !ch->takes_no_fds))
    return 1;
  message_fds_close (fds);
  errno = EPROTO;
  return -1;
}

static int
wait_for (int fd, short events, int ms)
{
  struct pollfd p = { .fd = fd, .events = events };

  return poll (&p, 1, ms);
}

int
channel_recv (struct channel *ch, struct message *m, struct message_fds *fds,
              int ms)
{
  struct waiting *w = take_first (ch);
  int r;

  if (w) {
    *fds = w->fds;
    memcpy (m, &w->message, message_size (w->message.tag));
    free (w);
    return 1;
  }
  r = recv_now (ch, m, fds);
  if (r != 0 || ms == 0)
    return r;
  r = wait_for (ch->fd, POLLIN, ms);
  return r <= 0 ? r : recv_now (ch, m, fds);
}

/* Something came while there was no room to send. */
static int
set_aside_what_came (struct channel *ch)
{
  struct message *m = malloc (sizeof *m);
  struct message_fds fds;
  int r = -1;

  if (m) {
    r = recv_now (ch, m, &fds);
    if (r == 1) {
      r = put_aside (ch, m, &fds);
      if (r == -1)
        message_fds_close (&fds);
    }
  }
  free (m);
  return r == -1 ? -1 : 0;
}

/* Wait for room.  Returns 1 if there is, 0 if the time is over. */
static int
wait_for_room (struct channel *ch, double until)
{
  struct pollfd p = { .fd = ch->fd, .events = POLLIN | POLLOUT };
  double left;
  int r;

  for (;;) {
    left = until < 0 ? -1 : (until - clock_now ()) * 1000;
    if (until >= 0 && left <= 0)
      return 0;
    r = poll (&p, 1, until < 0 ? -1 : (int) left + 1);
    if (r == -1 && errno != EINTR)
      return -1;
    if (r <= 0)
      continue;
    if (p.revents & POLLOUT)
      return 1;
    if (set_aside_what_came (ch) == -1)
      return -1;
  }
}

int
channel_send (struct channel *ch, const struct message *m, const int *fds,
              size_t nr_fds, int ms)
{
  const double until = ms < 0 ? -1 : clock_now () + ms / 1000.0;
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE (MESSAGE_FDS * sizeof (int))];
  } control;
  struct iovec iov = {
    .iov_base = (void *) m, .iov_len = message_size (m->tag)
  };
  struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
  struct cmsghdr *c = &control.align;
  int r;

  if (nr_fds > 0) {
    memset (&control, 0, sizeof control);
    msg.msg_control = &control;
    msg.msg_controllen = CMSG_SPACE (nr_fds * sizeof (int));
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN (nr_fds * sizeof (int));
    memcpy (CMSG_DATA (c), fds, nr_fds * sizeof (int));
  }
  for (;;) {
    if (sendmsg (ch->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
      return 0;
    if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
      if (errno == ECONNRESET || errno == ENOTCONN)
        errno = EPIPE;
      return -1;
    }
    r = wait_for_room (ch, until);
    if (r == 0)
      errno = ETIMEDOUT;
    if (r != 1)
      return -1;
  }
}
