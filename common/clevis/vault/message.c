/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Messages: how large each is, and whether one is what it says.
 */

#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "exchange/exchange.h"
#include "exchange/preflight.h"
#include "luks/luks.h"
#include "tang/asker.h"
#include "vault/message.h"

#define SIZE(member) \
  (offsetof (struct message, member) + sizeof ((struct message *) 0)->member)

/* How large a message is, and how many descriptors come with it. */
static const struct kind {
  size_t size;
  uint8_t fds;
} kinds[MESSAGE_LAST] = {
  [MESSAGE_LUKS_NEW] = { SIZE (text), 0 },
  [MESSAGE_LUKS_DATA] = { SIZE (data), 0 },
  [MESSAGE_LUKS_SUPPLIED] = { SIZE (plain), 0 },
  [MESSAGE_LUKS_NEXT] = { SIZE (plain), 0 },
  [MESSAGE_LUKS_LIST] = { SIZE (plain), 0 },
  [MESSAGE_LUKS_QUICKEN] = { SIZE (plain), 0 },
  [MESSAGE_LUKS_READ] = { SIZE (plain), 0 },
  [MESSAGE_LUKS_DATA_EXTENT] = { SIZE (plain), 0 },
  [MESSAGE_LUKS_UNLOCK] = { SIZE (plain), 0 },
  [MESSAGE_LUKS_DECRYPT] = { SIZE (data), 0 },
  [MESSAGE_LUKS_FREE] = { SIZE (plain), 0 },
  [MESSAGE_KEY_READ] = { SIZE (plain), 1 },
  [MESSAGE_KEY_CHOMP] = { SIZE (plain), 0 },
  [MESSAGE_KEY_LENGTH] = { SIZE (plain), 0 },
  [MESSAGE_KEY_WRITE] = { SIZE (plain), 1 },
  [MESSAGE_KEY_FREE] = { SIZE (plain), 0 },
  [MESSAGE_KEYDIR_NEW] = { SIZE (text), 0 },
  [MESSAGE_KEYDIR_ADD] = { SIZE (text), 1 },
  [MESSAGE_KEYDIR_CHECK] = { SIZE (plain), 0 },
  [MESSAGE_OFFLINE_COLLECT] = { SIZE (plain), 0 },
  [MESSAGE_OFFLINE_COUNT] = { SIZE (plain), 0 },
  [MESSAGE_OFFLINE_LIST] = { SIZE (plain), 0 },
  [MESSAGE_OFFLINE_WRITE] = { SIZE (text), 1 },
  [MESSAGE_OFFLINE_NAME] = { SIZE (text), 0 },
  [MESSAGE_OFFLINE_LOAD] = { SIZE (text), 2 },
  [MESSAGE_ANSWERS_FREE] = { SIZE (plain), 0 },
  [MESSAGE_EXCHANGE_NEW] = { SIZE (plain), 0 },
  [MESSAGE_PREFLIGHT_NEW] = { SIZE (plain), 0 },
  [MESSAGE_ADD_DEVICE] = { SIZE (plain), 0 },
  [MESSAGE_RUN] = { SIZE (plain), 0 },
  [MESSAGE_RESULT] = { SIZE (plain), 0 },
  [MESSAGE_RUN_FREE] = { SIZE (plain), 0 },
  [MESSAGE_STATUS] = { SIZE (plain), 0 },
  [MESSAGE_MAKE_POINT] = { SIZE (plain), 0 },
  [MESSAGE_ANSWER] = { SIZE (answer), 0 },
  [MESSAGE_BODY] = { SIZE (data), 0 },
  [MESSAGE_REFUSED] = { SIZE (plain), 0 },
  [MESSAGE_WHERE_IS] = { SIZE (text), 0 },
  [MESSAGE_DONE] = { SIZE (plain), 0 },
  [MESSAGE_FAILED] = { SIZE (error), 0 },
  [MESSAGE_ERROR] = { SIZE (error), 0 },
  [MESSAGE_EXTENT] = { SIZE (plain), 0 },
  [MESSAGE_INFO] = { SIZE (info), 0 },
  [MESSAGE_KEYSLOT] = { SIZE (keyslot), 0 },
  [MESSAGE_TOKEN] = { SIZE (token), 0 },
  [MESSAGE_PIN] = { SIZE (pin), 0 },
  [MESSAGE_PARAM] = { SIZE (param), 0 },
  [MESSAGE_OUTCOME] = { SIZE (outcome), 0 },
  [MESSAGE_LEAF] = { SIZE (leaf), 0 },
  [MESSAGE_CHECKED] = { SIZE (checked), 0 },
  [MESSAGE_TEXT] = { SIZE (text), 0 },
  [MESSAGE_ASK] = { SIZE (ask), 0 },
  [MESSAGE_JOIN] = { SIZE (plain), 0 },
  [MESSAGE_CANCEL] = { SIZE (plain), 0 },
  [MESSAGE_POINT] = { SIZE (point), 0 },
  [MESSAGE_WHERE] = { SIZE (text), 0 },
};

size_t
message_size (uint32_t tag)
{
  return tag < MESSAGE_LAST ? kinds[tag].size : 0;
}

void
message_init (struct message *m, enum message_tag tag, uint32_t id)
{
  /* All that is sent of it, so that no byte of the stack goes along. */
  memset (m, 0, message_size (tag));
  m->tag = tag;
  m->id = id;
}

void
message_set_text (uint8_t *is_there, char *text, size_t size,
                  const char *from)
{
  *is_there = from != NULL;
  if (from == NULL)
    return;
  strncpy (text, from, size - 1);
  text[size-1] = '\0';
}

#define IS_TEXT(maybe)                                                  \
  ((maybe).is_there == 0 ||                                             \
   ((maybe).is_there == 1 &&                                            \
    memchr ((maybe).text, '\0', sizeof (maybe).text) != NULL))

static bool
is_flag (uint8_t flag)
{
  return flag <= 1;
}

static bool
is_within (int64_t n, int64_t least, int64_t most)
{
  return n >= least && n <= most;
}

/* Not negative, and neither endless nor no number. */
static bool
is_time (double seconds)
{
  return seconds >= 0 && seconds < 1e9;
}

bool
message_is_base64url (const char *text)
{
  static const char letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

  return text[strspn (text, letters)] == '\0';
}

static bool
is_error (const struct message_error *e)
{
  return is_within (e->code, CLEVIS_ERR_SYSTEM, CLEVIS_ERR_CANCELLED) &&
    is_within (e->token, -1, 1 << 16) &&
    is_within (e->keyslot, -1, 1 << 16) &&
    IS_TEXT (e->message) && IS_TEXT (e->hint) && IS_TEXT (e->device) &&
    IS_TEXT (e->pin) && IS_TEXT (e->url) && IS_TEXT (e->mapped) &&
    IS_TEXT (e->address);
}

static bool
is_info (const struct message_info *i)
{
  return is_within (i->version, 1, 2) &&
    is_within (i->key_size, 0, MESSAGE_SIZE_MAX) &&
    is_within (i->sector_size, 0, MESSAGE_SIZE_MAX) &&
    i->nr_keyslots <= MESSAGE_KEYSLOTS && i->nr_tokens <= MESSAGE_KEYSLOTS &&
    i->data_offset <= INT64_MAX && is_flag (i->is_quick) &&
    IS_TEXT (i->uuid) && IS_TEXT (i->label) && IS_TEXT (i->cipher) &&
    IS_TEXT (i->note);
}

static bool
is_keyslot (const struct message_keyslot *k)
{
  return is_within (k->slot, 0, MESSAGE_KEYSLOTS - 1) && k->key_size >= 0 &&
    IS_TEXT (k->kdf) && IS_TEXT (k->hash) && IS_TEXT (k->cipher) &&
    IS_TEXT (k->priority) && IS_TEXT (k->refused);
}

static bool
is_token (const struct message_token *t)
{
  size_t i;

  if (!is_within (t->id, 0, MESSAGE_KEYSLOTS - 1) ||
      t->nr_keyslots > MESSAGE_KEYSLOTS)
    return false;
  for (i = 0; i < t->nr_keyslots; ++i)
    if (t->keyslots[i] < 0)
      return false;
  return is_flag (t->has_pin) && is_flag (t->is_broken) && IS_TEXT (t->kind) &&
    IS_TEXT (t->stale);
}

static bool
is_pin (const struct message_pin *p)
{
  return is_within (p->threshold, 0, BOUND_PIN_CHILDREN) &&
    p->nr_children <= BOUND_PIN_CHILDREN && p->nr_params <= 16 &&
    is_flag (p->has_failed) && IS_TEXT (p->name) && IS_TEXT (p->path) &&
    IS_TEXT (p->url) && IS_TEXT (p->kid) && IS_TEXT (p->thp_alg) &&
    IS_TEXT (p->curve) && IS_TEXT (p->warning);
}

/* Each binding has one error and, with its leaves, no more than it has pins. */
#define MOST_LEAVES (MESSAGE_KEYSLOTS * BOUND_PIN_TOTAL)

static bool
is_outcome (const struct message_outcome *o)
{
  return is_within (o->status, 0, EXCHANGE_UNBOUND) &&
    is_within (o->keyslot, -1, MESSAGE_KEYSLOTS - 1) &&
    is_within (o->token, -1, MESSAGE_KEYSLOTS - 1) &&
    o->nr_errors <= MOST_LEAVES + MESSAGE_KEYSLOTS + 1 &&
    o->nr_leaves <= MOST_LEAVES && o->nr_servers <= MOST_LEAVES &&
    o->nr_warnings <= MOST_LEAVES + MESSAGE_KEYSLOTS &&
    is_time (o->seconds) && is_time (o->verify_seconds);
}

static bool
is_leaf (const struct message_leaf *l)
{
  return is_within (l->token, 0, MESSAGE_KEYSLOTS - 1) &&
    is_flag (l->answered) && is_flag (l->has_failed) && is_time (l->seconds) &&
    IS_TEXT (l->pin) && IS_TEXT (l->url) && IS_TEXT (l->address);
}

static bool
is_checked (const struct message_checked *c)
{
  return is_within (c->token, 0, MESSAGE_KEYSLOTS - 1) &&
    is_within (c->key, 0, PREFLIGHT_LOCAL) && is_flag (c->signatures) &&
    is_flag (c->has_failed) && is_time (c->seconds) && IS_TEXT (c->pin) &&
    IS_TEXT (c->address) && IS_TEXT (c->certificate_expiry);
}

/* The path of a request is made of kid. */
static bool
is_ask (const struct message_ask *a)
{
  return is_within (a->what, ASK_RECOVERY, ASK_ADVERTISEMENT) &&
    a->url.is_there && IS_TEXT (a->url) && a->kid.is_there &&
    IS_TEXT (a->kid) && message_is_base64url (a->kid.text) &&
    (strlen (a->kid.text) == 43 || strlen (a->kid.text) == 27);
}

static bool
is_point (const struct message_point *p)
{
  static const struct {
    const char *curve;
    size_t len;            /* of a coordinate in base64url (RFC 7518, 6.2.1) */
  } curves[] = {
    { "P-256", 43 }, { "P-384", 64 }, { "P-521", 88 },
  };
  size_t i;

  if (!IS_TEXT (p->curve) || !IS_TEXT (p->x) || !IS_TEXT (p->y))
    return false;
  if (!p->curve.is_there)
    return !p->x.is_there && !p->y.is_there;
  for (i = 0; i < sizeof curves / sizeof curves[0]; ++i)
    if (strcmp (p->curve.text, curves[i].curve) == 0)
      return p->x.is_there && p->y.is_there &&
        strlen (p->x.text) == curves[i].len && message_is_base64url (p->x.text) &&
        strlen (p->y.text) == curves[i].len && message_is_base64url (p->y.text);
  return false;
}

static bool
is_answer (const struct message_answer *a)
{
  return a->len <= BOUND_REPLY_BODY && is_flag (a->has_failed) &&
    is_time (a->seconds) && IS_TEXT (a->content_type) &&
    IS_TEXT (a->address) && IS_TEXT (a->mapped) &&
    IS_TEXT (a->certificate_expiry);
}

/* What is not looked at here is a struct of numbers that any value suits; whose
 * object an id is, is seen when it is looked for.
 */
static bool
is_content_valid (const struct message *m)
{
  switch ((enum message_tag) m->tag) {
  case MESSAGE_LUKS_NEW:
  case MESSAGE_KEYDIR_NEW:
  case MESSAGE_KEYDIR_ADD:
  case MESSAGE_OFFLINE_WRITE:
  case MESSAGE_OFFLINE_NAME:
  case MESSAGE_OFFLINE_LOAD:
  case MESSAGE_TEXT:
  case MESSAGE_WHERE:
    return m->text.text.is_there && IS_TEXT (m->text.text) &&
      is_flag (m->text.a);
  case MESSAGE_WHERE_IS:
    return IS_TEXT (m->text.text) && is_flag (m->text.a);
  case MESSAGE_LUKS_DATA:
  case MESSAGE_LUKS_DECRYPT:
  case MESSAGE_BODY:
    return m->data.len <= DATA_BYTES;
  case MESSAGE_FAILED:
  case MESSAGE_ERROR:
    return is_error (&m->error);
  case MESSAGE_INFO:
    return is_info (&m->info);
  case MESSAGE_KEYSLOT:
    return is_keyslot (&m->keyslot);
  case MESSAGE_TOKEN:
    return is_token (&m->token);
  case MESSAGE_PIN:
    return is_pin (&m->pin);
  case MESSAGE_PARAM:
    return IS_TEXT (m->param.name) && IS_TEXT (m->param.value);
  case MESSAGE_OUTCOME:
    return is_outcome (&m->outcome);
  case MESSAGE_LEAF:
    return is_leaf (&m->leaf);
  case MESSAGE_CHECKED:
    return is_checked (&m->checked);
  case MESSAGE_ASK:
    return is_ask (&m->ask);
  case MESSAGE_POINT:
    return is_point (&m->point);
  case MESSAGE_ANSWER:
    return is_answer (&m->answer);
  default:
    return is_time (m->plain.seconds);
  }
}

bool
message_is_valid (const struct message *m, size_t size, size_t nr_fds)
{
  return size >= offsetof (struct message, plain) &&
    message_size (m->tag) == size && size > 0 &&
    kinds[m->tag].fds == nr_fds && is_content_valid (m);
}

void
message_of_point (struct message *m, uint32_t id, const json_t *point)
{
  message_init (m, MESSAGE_POINT, id);
  message_set (m->point.curve,
               json_string_value (json_object_get (point, "crv")));
  message_set (m->point.x, json_string_value (json_object_get (point, "x")));
  message_set (m->point.y, json_string_value (json_object_get (point, "y")));
}

void
message_of_error (struct message *m, enum message_tag tag, uint32_t id,
                  const struct clevis_error *err)
{
  struct message_error *e = &m->error;

  message_init (m, tag, id);
  e->code = err->code != CLEVIS_OK ? err->code : CLEVIS_ERR_SYSTEM;
  e->token = err->token;
  e->keyslot = err->keyslot;
  e->sys_errno = err->sys_errno;
  e->http_status = (int32_t) err->http_status;
  message_set (e->message, err->message);
  message_set (e->hint, err->hint);
  message_set (e->device, err->device);
  message_set (e->pin, err->pin);
  message_set (e->url, err->url);
  message_set (e->mapped, err->mapped);
  message_set (e->address, err->address);
}

/* What has come is a constant that lives shorter than the copy. */
void
message_to_error (const struct message *m, struct clevis_error *err)
{
  const struct message_error *e = &m->error;
  const struct clevis_error come = {
    .code = e->code, .token = e->token, .keyslot = e->keyslot,
    .sys_errno = e->sys_errno, .http_status = e->http_status,
    .message = (char *) message_get (e->message),
    .hint = (char *) message_get (e->hint),
    .device = (char *) message_get (e->device),
    .pin = (char *) message_get (e->pin),
    .url = (char *) message_get (e->url),
    .mapped = (char *) message_get (e->mapped),
    .address = (char *) message_get (e->address),
  };

  clevis_error_copy (err, &come);
}
