/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Asks servers for the vault.  Of what the vault says only the URL of a token,
 * the thumbprint of a key and a point of a curve reach a server, and whether
 * that is asked is for servers.c to judge.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanups.h"
#include "base/clock.h"
#include "base/gettext-compat.h"
#include "tang/servers.h"
#include "vault/vault-private.h"

/* Questions of one device; the vault numbers those of a run from 1.  Each
 * binding has at most BOUND_PIN_TOTAL leaves, and a preflight asks twice.  A
 * vault that asks more is not ours any more.
 */
#define QUESTIONS_OF_DEVICE (2 * MESSAGE_KEYSLOTS * BOUND_PIN_TOTAL)

/* Messages that are taken before the caller sees what time it is. */
#define MESSAGES_AT_A_TIME 1024

struct errand {
  struct vault_ask *va;
  uint32_t id;
  char *url, *kid;
  struct asked *asked;
};

struct vault_ask {
  struct vault *v;
  struct asker *servers;
  size_t nr_devices;
  bool is_preflight, probe;
  struct errand **errands; /* by their number */
  uint32_t nr_errands;
  size_t nr_joins;
  bool is_lost;            /* the vault has to be given up */
};

struct vault_ask *
vault_ask_new (struct vault *v, const struct vault_ask_what *what,
               struct clevis_error *err)
{
  struct vault_ask *va = calloc (1, sizeof *va);

  if (va == NULL) {
    clevis_error_errno (err, errno, _("questions"));
    return NULL;
  }
  va->v = v;
  va->nr_devices = what->nr_devices;
  va->is_preflight = what->is_preflight;
  va->probe = what->probe;
  va->servers = servers_new (what->policy, err);
  if (va->servers == NULL) {
    free (va);
    return NULL;
  }
  servers_watch (va->servers, v->ch.fd);
  return va;
}

static void
end_errand (struct errand *e)
{
  if (e == NULL)
    return;
  e->va->errands[e->id] = NULL;
  asker_cancel (e->va->servers, e->asked);
  free (e->url);
  free (e->kid);
  free (e);
}

void
vault_ask_free (struct vault_ask *va)
{
  uint32_t i;

  if (va == NULL)
    return;
  for (i = 0; i < va->nr_errands; ++i)
    end_errand (va->errands[i]);
  free (va->errands);
  asker_free (va->servers);
  free (va);
}

static void
send_message (struct vault_ask *va, const struct message *m)
{
  if (!va->is_lost && vault_send (va->v, m, NULL, 0) == -1)
    va->is_lost = true;
}

/* What comes next is about what went wrong, if anything did. */
static bool
send_error (struct vault_ask *va, uint32_t id, const struct clevis_error *err)
{
  struct message m;

  if (err->code == CLEVIS_OK)
    return false;
  message_of_error (&m, MESSAGE_ERROR, id, err);
  send_message (va, &m);
  return true;
}

/* The point of a question, as a JWK again. */
static json_t *
to_jwk (const struct message_point *p)
{
  return json_pack ("{s:s, s:s, s:s, s:s}", "kty", "EC", "crv", p->curve.text,
                    "x", p->x.text, "y", p->y.text);
}

/* Messages that have come while one was waited for. */
struct aside {
  struct message **messages;
  size_t nr, bytes;
};

static int
set_aside (struct aside *aside, const struct message *m)
{
  const size_t size = message_size (m->tag);
  struct message **messages;

  if (size > CHANNEL_WAITING - aside->bytes)
    return -1;
  messages = reallocarray (aside->messages, aside->nr + 1, sizeof *messages);
  if (messages == NULL)
    return -1;
  aside->bytes += size;
  aside->messages = messages;
  messages[aside->nr] = malloc (size);
  if (messages[aside->nr] == NULL)
    return -1;
  memcpy (messages[aside->nr++], m, size);
  return 0;
}

/* They come next, in their order. */
static int
put_back (struct vault_ask *va, struct aside *aside)
{
  size_t i;
  int r = 0;

  for (i = 0; i < aside->nr; ++i) {
    if (r == 0)
      r = channel_put_aside (&va->v->ch, aside->messages[i]);
    free (aside->messages[i]);
  }
  free (aside->messages);
  return r;
}

/* The next message, if it comes in time. */
static int
recv_until (struct vault_ask *va, struct message *m, double until)
{
  struct message_fds fds;
  double left;
  int r;

  do {
    left = until - clock_now ();
    r = left <= 0 ? 0 : channel_recv (&va->v->ch, m, &fds, left * 1000 + 1);
  } while (r == -1 && errno == EINTR);
  return r;
}

/* Wait for the point of this question.  Returns 0, or -1 and why, or the
 * vault is lost.
 */
static int
hear_point (struct vault_ask *va, uint32_t id, struct message *m,
            struct clevis_error *err)
{
  const double until = clock_now () + vault_patience.point;
  struct aside aside = { .nr = 0 };

  do {
    if (recv_until (va, m, until) != 1)
      va->is_lost = true;
    else if (m->tag == MESSAGE_ERROR && m->id == id)
      message_to_error (m, err);
    else if (m->tag != MESSAGE_POINT || m->id != id)
      va->is_lost = set_aside (&aside, m) == -1;
  } while (!va->is_lost && (m->tag != MESSAGE_POINT || m->id != id));
  if (put_back (va, &aside) == -1)
    va->is_lost = true;
  if (!va->is_lost && m->point.curve.is_there)
    return 0;
  return clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                           _("the vault gave no point"));
}

static json_t *
point (void *opaque, struct clevis_error *err)
{
  struct errand *e = opaque;
  struct message *m = malloc (sizeof *m);
  json_t *jwk = NULL;

  if (m) {
    message_init (m, MESSAGE_MAKE_POINT, e->id);
    send_message (e->va, m);
    if (!e->va->is_lost && hear_point (e->va, e->id, m, err) == 0)
      jwk = to_jwk (&m->point);
  }
  free (m);
  if (jwk == NULL)
    clevis_error_set (err, CLEVIS_ERR_SYSTEM, _("the vault gave no point"));
  return jwk;
}

static void
send_body (struct vault_ask *va, uint32_t id, const char *body, size_t len)
{
  struct message *m = malloc (sizeof *m);
  size_t at, piece;

  if (m == NULL)
    va->is_lost = true;
  for (at = 0; m && at < len; at += piece) {
    piece = len - at < DATA_BYTES ? len - at : DATA_BYTES;
    message_init (m, MESSAGE_BODY, id);
    m->data.offset = at;
    m->data.len = piece;
    memcpy (m->data.bytes, body + at, piece);
    send_message (va, m);
  }
  free (m);
}

static void
answered (const struct answer *answer, void *opaque)
{
  struct errand *e = opaque;
  struct message m;

  e->asked = NULL;
  message_init (&m, MESSAGE_ANSWER, e->id);
  m.answer.has_failed = send_error (e->va, e->id, &answer->error);
  m.answer.status = answer->status;
  m.answer.len = answer->len;
  m.answer.seconds = answer->seconds;
  message_set (m.answer.content_type, answer->content_type);
  message_set (m.answer.address, answer->address);
  message_set (m.answer.mapped, answer->mapped);
  message_set (m.answer.certificate_expiry, answer->certificate_expiry);
  send_message (e->va, &m);
  send_body (e->va, e->id, answer->body, answer->len);
  end_errand (e);
}

static void
refused (size_t device, const struct clevis_error *err, void *opaque)
{
  struct errand *e = opaque;
  struct message m;

  send_error (e->va, e->id, err);
  message_init (&m, MESSAGE_REFUSED, e->id);
  m.plain.a = device;
  send_message (e->va, &m);
}

/* Make room for question number id, which must be the next. */
static int
make_room (struct vault_ask *va, uint32_t id)
{
  struct errand **errands;

  if (id != (va->nr_errands > 0 ? va->nr_errands : 1) ||
      id > va->nr_devices * QUESTIONS_OF_DEVICE)
    return -1;
  errands = reallocarray (va->errands, id + 1, sizeof *errands);
  if (errands == NULL)
    return -1;
  if (va->nr_errands == 0)
    errands[0] = NULL;
  errands[id] = NULL;
  va->errands = errands;
  va->nr_errands = id + 1;
  return 0;
}

static struct errand *
find (struct vault_ask *va, uint32_t id)
{
  return id < va->nr_errands ? va->errands[id] : NULL;
}

/* Does this kind of run ask that?  Where the user has the answers, nobody is
 * asked.
 */
static bool
may_ask (const struct vault_ask *va, uint8_t what)
{
  if (!va->is_preflight)
    return what == ASK_RECOVERY && va->v->answers == ANSWERS_OF_SERVERS;
  return va->v->answers != ANSWERS_OF_KEYDIR &&
    (what == ASK_ADVERTISEMENT || va->probe);
}

static int
ask (struct vault_ask *va, const struct message *m, struct clevis_error *err)
{
  struct ask ask = {
    .what = m->ask.what, .device = m->ask.device,
    .may_share = va->is_preflight, .point = point, .done = answered,
    .refused = refused,
  };
  struct errand *e;

  if (m->ask.device >= va->nr_devices || !may_ask (va, m->ask.what) ||
      make_room (va, m->id) == -1) {
    va->is_lost = true;
    return 0;
  }
  e = calloc (1, sizeof *e);
  if (e == NULL)
    return clevis_error_errno (err, errno, _("questions"));
  va->errands[m->id] = e;
  e->va = va;
  e->id = m->id;
  e->url = strdup (m->ask.url.text);
  e->kid = strdup (m->ask.kid.text);
  if (e->url == NULL || e->kid == NULL) {
    end_errand (e);
    return clevis_error_errno (err, ENOMEM, _("questions"));
  }
  ask.url = e->url;
  ask.kid = e->kid;
  ask.opaque = e;
  e->asked = asker_ask (va->servers, &ask, err);
  if (e->asked)
    return 0;
  end_errand (e);
  return -1;
}

/* One that has ended meanwhile needs nothing.  Who joins was asked by a device
 * of its own, so there are no more than there may be questions.
 */
static int
join (struct vault_ask *va, const struct message *m, struct clevis_error *err)
{
  struct errand *e = find (va, m->id);

  if (m->plain.a < 0 || (uint64_t) m->plain.a >= va->nr_devices ||
      ++va->nr_joins > va->nr_devices * QUESTIONS_OF_DEVICE)
    va->is_lost = true;
  else if (e)
    return asker_join (va->servers, e->asked, m->plain.a, err);
  return 0;
}

static void
say_where (struct vault_ask *va, const char *url)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_FREE char *place = asker_where (va->servers, url, &err);
  struct message m;

  if (place == NULL)
    send_error (va, 0, &err);
  message_init (&m, MESSAGE_WHERE_IS, 0);
  message_set (m.text.text, place);
  send_message (va, &m);
}

/* One message.  Returns as vault_ask_step. */
static int
take (struct vault_ask *va, const struct message *m, struct clevis_error *err)
{
  switch (m->tag) {
  case MESSAGE_ASK:
    return ask (va, m, err) == -1 ? -1 : 1;
  case MESSAGE_JOIN:
    return join (va, m, err) == -1 ? -1 : 1;
  case MESSAGE_CANCEL:
    end_errand (find (va, m->id));
    return 1;
  case MESSAGE_WHERE:
    say_where (va, m->text.text.text);
    return 1;
  case MESSAGE_DONE:
  case MESSAGE_FAILED:
    memcpy (&va->v->heard, m, message_size (m->tag));
    va->v->failed = true;
    return 0;
  default:
    va->is_lost = true;
    return 1;
  }
}

/* What has come. */
static int
take_all (struct vault_ask *va, struct clevis_error *err)
{
  struct message *m = malloc (sizeof *m);
  struct message_fds fds;
  int r = 1, got = 1, n;

  if (m == NULL)
    return clevis_error_errno (err, errno, _("questions"));
  for (n = 0; n < MESSAGES_AT_A_TIME && r == 1 && got == 1 && !va->is_lost;
       ++n) {
    got = channel_recv (&va->v->ch, m, &fds, 0);
    if (got == 1)
      r = take (va, m, err);
    else if (got == -1)
      va->is_lost = true;
  }
  free (m);
  return va->is_lost ? -1 : r;
}

int
vault_ask_step (struct vault_ask *va, int ms, struct clevis_error *err)
{
  int r = take_all (va, err);

  if (r != 1)
    return r;
  if (va->v->ch.first)
    ms = 0;
  if (asker_step (va->servers, ms, err) == -1)
    return -1;
  return va->is_lost ? -1 : take_all (va, err);
}
