/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The asker of the vault.
 */

#include <config.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "vault/beyond.h"

struct asked {
  struct beyond *beyond;
  struct asked *next, **prev;
  uint32_t id;
  struct ask ask;
};

struct beyond {
  struct asker asker;
  struct channel *ch;
  int wake_fd;             /* an eventfd */
  struct asked *first;
  uint32_t last_id;
  struct clevis_error error; /* of what comes next */
};

static int
send_message (struct beyond *b, const struct message *m,
              struct clevis_error *err)
{
  if (channel_send (b->ch, m, NULL, 0, -1) == 0)
    return 0;
  return clevis_error_errno (err, errno, _("the vault's channel"));
}

static struct asked *
ask (struct asker *asker, const struct ask *what, struct clevis_error *err)
{
  struct beyond *b = (struct beyond *) asker;
  struct asked *asked = calloc (1, sizeof *asked);
  struct message m;

  if (asked == NULL) {
    clevis_error_errno (err, errno, _("question"));
    return NULL;
  }
  asked->beyond = b;
  asked->id = ++b->last_id;
  asked->ask = *what;
  message_init (&m, MESSAGE_ASK, asked->id);
  m.ask.what = what->what;
  m.ask.device = what->device;
  message_set (m.ask.url, what->url);
  message_set (m.ask.kid, what->kid);
  if (send_message (b, &m, err) == -1) {
    free (asked);
    return NULL;
  }
  asked->next = b->first;
  asked->prev = &b->first;
  if (asked->next)
    asked->next->prev = &asked->next;
  b->first = asked;
  return asked;
}

static void
forget (struct asked *asked)
{
  *asked->prev = asked->next;
  if (asked->next)
    asked->next->prev = asked->prev;
  free (asked);
}

static int
join (struct asked *asked, size_t device, struct clevis_error *err)
{
  struct message m;

  message_init (&m, MESSAGE_JOIN, asked->id);
  m.plain.a = device;
  return send_message (asked->beyond, &m, err);
}

/* If it cannot be sent, the next step says so. */
static void
cancel (struct asked *asked)
{
  struct message m;

  message_init (&m, MESSAGE_CANCEL, asked->id);
  send_message (asked->beyond, &m, NULL);
  forget (asked);
}

static struct asked *
find (struct beyond *b, uint32_t id)
{
  struct asked *asked = b->first;

  while (asked && asked->id != id)
    asked = asked->next;
  return asked;
}

/* It is the turn of a question: to blind it is ours.  One that was cancelled
 * meanwhile is told to be none.
 */
static int
make_point (struct beyond *b, uint32_t id, struct clevis_error *err)
{
  CLEANUP_ERROR struct clevis_error why = CLEVIS_ERROR_INIT;
  struct asked *asked = find (b, id);
  CLEANUP_JSON json_t *point = NULL;
  struct message m;

  if (asked)
    point = asked->ask.point (asked->ask.opaque, &why);
  else
    clevis_error_set (&why, CLEVIS_ERR_CANCELLED, _("no longer needed"));
  if (point == NULL) {
    message_of_error (&m, MESSAGE_ERROR, id, &why);
    if (send_message (b, &m, err) == -1)
      return -1;
  }
  message_of_point (&m, id, point);
  return send_message (b, &m, err);
}

/* The next message, which must be one with this tag. */
static int
expect (struct beyond *b, enum message_tag tag, struct message *m,
        struct clevis_error *err)
{
  struct message_fds fds;

  if (channel_recv (b->ch, m, &fds, -1) == 1 && m->tag == tag)
    return 0;
  return clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                           _("the vault's channel was closed"));
}

/* Tell what an answer says; the body comes in pieces behind it. */
static int
answered (struct beyond *b, const struct message *m, struct clevis_error *err)
{
  CLEANUP_FREE char *body = malloc (m->answer.len + 1);
  struct asked *asked = find (b, m->id);
  struct message *piece = malloc (sizeof *piece);
  struct answer answer = {
    .error = CLEVIS_ERROR_INIT, .status = m->answer.status,
    .content_type = m->answer.content_type.is_there
      ? m->answer.content_type.text : "",
    .body = body, .len = m->answer.len, .seconds = m->answer.seconds,
    .address = message_get (m->answer.address),
    .mapped = message_get (m->answer.mapped),
    .certificate_expiry = message_get (m->answer.certificate_expiry),
  };
  size_t len = 0;
  int r = body && piece ? 0
    : clevis_error_errno (err, ENOMEM, _("the vault's channel"));

  while (r == 0 && len < m->answer.len) {
    r = expect (b, MESSAGE_BODY, piece, err);
    if (r == 0 && piece->data.len > m->answer.len - len)
      r = clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                            _("the vault's channel was closed"));
    if (r == 0) {
      memcpy (body + len, piece->data.bytes, piece->data.len);
      len += piece->data.len;
    }
  }
  free (piece);
  if (r == -1)
    return -1;
  body[len] = '\0';
  if (m->answer.has_failed)
    clevis_error_copy (&answer.error, &b->error);
  if (asked) {
    asked->ask.done (&answer, asked->ask.opaque);
    forget (asked);
  }
  clevis_error_clear (&answer.error);
  return 0;
}

static int
take (struct beyond *b, const struct message *m, struct clevis_error *err)
{
  struct asked *asked;
  int r = 0;

  switch (m->tag) {
  case MESSAGE_MAKE_POINT:
    return make_point (b, m->id, err);
  case MESSAGE_ERROR:
    clevis_error_clear (&b->error);
    message_to_error (m, &b->error);
    return 0;
  case MESSAGE_ANSWER:
    r = answered (b, m, err);
    break;
  case MESSAGE_REFUSED:
    asked = find (b, m->id);
    if (asked)
      asked->ask.refused (m->plain.a, &b->error, asked->ask.opaque);
    break;
  default:
    r = clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                          _("the vault's channel was closed"));
  }
  clevis_error_clear (&b->error);
  return r;
}

static char *
where (struct asker *asker, const char *url, struct clevis_error *err)
{
  struct beyond *b = (struct beyond *) asker;
  struct message m;
  char *place;

  message_init (&m, MESSAGE_WHERE, 0);
  message_set (m.text.text, url);
  if (send_message (b, &m, err) == -1)
    return NULL;
  if (expect (b, MESSAGE_WHERE_IS, &m, NULL) == 0 && m.text.text.is_there) {
    place = strdup (m.text.text.text);
    if (place == NULL)
      clevis_error_errno (err, errno, _("question"));
    return place;
  }
  if (m.tag != MESSAGE_ERROR)
    clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                      _("the vault's channel was closed"));
  else {
    message_to_error (&m, err);
    expect (b, MESSAGE_WHERE_IS, &m, err);
  }
  return NULL;
}

/* All that has come.  Returns how many, or -1. */
static int
take_all (struct beyond *b, struct clevis_error *err)
{
  struct message *m = malloc (sizeof *m);
  struct message_fds fds;
  int r = -1, n = 0;

  if (m == NULL)
    return clevis_error_errno (err, errno, _("the vault's channel"));
  while ((r = channel_recv (b->ch, m, &fds, 0)) == 1) {
    n++;
    if (take (b, m, err) == -1) {
      free (m);
      return -1;
    }
  }
  free (m);
  return r == 0 ? n : clevis_error_errno (err, errno,
                                          _("the vault's channel"));
}

static int
step (struct asker *asker, int ms, struct clevis_error *err)
{
  struct beyond *b = (struct beyond *) asker;
  struct pollfd p[] = {
    { .fd = b->ch->fd, .events = POLLIN }, { .fd = b->wake_fd, .events = POLLIN },
  };
  uint64_t n;
  int r = take_all (b, err);

  if (r != 0 || ms == 0)
    return r == -1 ? -1 : 0;
  if (poll (p, 2, ms) == -1 && errno != EINTR)
    return clevis_error_errno (err, errno, _("the vault's channel"));
  if (p[1].revents && read (b->wake_fd, &n, sizeof n) == -1 &&
      errno != EAGAIN)
    return clevis_error_errno (err, errno, _("the vault's channel"));
  return take_all (b, err) == -1 ? -1 : 0;
}

static void
wakeup (struct asker *asker)
{
  const uint64_t one = 1;

  if (write (((struct beyond *) asker)->wake_fd, &one, sizeof one) == -1)
    return;                     /* it is awake */
}

static void
beyond_free (struct asker *asker)
{
  struct beyond *b = (struct beyond *) asker;

  while (b->first)
    cancel (b->first);
  clevis_error_clear (&b->error);
  close (b->wake_fd);
  free (b);
}

static const struct asker_type beyond_type = {
  .ask = ask,
  .join = join,
  .cancel = cancel,
  .where = where,
  .step = step,
  .wakeup = wakeup,
  .free = beyond_free,
};

struct asker *
beyond_new (struct channel *ch, struct clevis_error *err)
{
  const struct clevis_error empty = CLEVIS_ERROR_INIT;
  struct beyond *b = calloc (1, sizeof *b);

  if (b == NULL) {
    clevis_error_errno (err, errno, _("question"));
    return NULL;
  }
  b->asker.type = &beyond_type;
  b->ch = ch;
  b->error = empty;
  b->wake_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (b->wake_fd == -1) {
    clevis_error_errno (err, errno, _("question"));
    free (b);
    return NULL;
  }
  return &b->asker;
}
