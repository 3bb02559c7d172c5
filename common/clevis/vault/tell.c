/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What the vault has found out, as messages.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "luks/luks-quick.h"
#include "pins/pin.h"
#include "vault/tell.h"

int
tell (struct channel *ch, const struct message *m, struct clevis_error *err)
{
  if (channel_send (ch, m, NULL, 0, -1) == 0)
    return 0;
  return clevis_error_errno (err, errno, _("the vault's channel"));
}

/* What is wrong with what the next message is about, if anything is. */
static int
tell_error (struct channel *ch, const struct clevis_error *what,
            struct clevis_error *err)
{
  struct message m;

  if (what->code == CLEVIS_OK)
    return 0;
  message_of_error (&m, MESSAGE_ERROR, 0, what);
  return tell (ch, &m, err);
}

int
tell_bytes (struct channel *ch, uint32_t id, uint64_t offset,
            const unsigned char *bytes, size_t len, struct clevis_error *err)
{
  struct message m;
  size_t piece;

  for (; len > 0; offset += piece, bytes += piece, len -= piece) {
    piece = len < DATA_BYTES ? len : DATA_BYTES;
    message_init (&m, MESSAGE_LUKS_DATA, id);
    m.data.offset = offset;
    m.data.len = piece;
    memcpy (m.data.bytes, bytes, piece);
    if (tell (ch, &m, err) == -1)
      return -1;
  }
  return 0;
}

/* Headers. */

/* A disk may say any number.  One that a message does not have (message.c) is
 * for people only, and is said to be the nearest.
 */
static int64_t
within (int64_t n, int64_t least, int64_t most)
{
  return n < least ? least : n > most ? most : n;
}

static int
tell_keyslot (struct channel *ch, const struct luks_keyslot *k,
              struct clevis_error *err)
{
  struct message m;

  message_init (&m, MESSAGE_KEYSLOT, 0);
  m.keyslot.slot = k->slot;
  m.keyslot.key_size = within (k->key_size, 0, INT32_MAX);
  m.keyslot.iterations = k->iterations;
  m.keyslot.memory = k->memory;
  m.keyslot.threads = k->threads;
  message_set (m.keyslot.kdf, k->kdf);
  message_set (m.keyslot.hash, k->hash);
  message_set (m.keyslot.cipher, k->cipher);
  message_set (m.keyslot.priority, k->priority);
  message_set (m.keyslot.refused, k->refused);
  return tell (ch, &m, err);
}

static int
tell_params (struct channel *ch, const struct pin *pin,
             struct clevis_error *err)
{
  struct message m;
  size_t i;

  for (i = 0; i < pin->nr_params; ++i) {
    message_init (&m, MESSAGE_PARAM, 0);
    message_set (m.param.name, pin->params[i].name);
    message_set (m.param.value, pin->params[i].value);
    if (tell (ch, &m, err) == -1)
      return -1;
  }
  return 0;
}

/* The depth of a tree is limited by pin_parse. */
static int
tell_pin (struct channel *ch, const struct pin *pin, struct clevis_error *err)
{
  struct message m;
  size_t i;

  message_init (&m, MESSAGE_PIN, 0);
  m.pin.threshold = pin->threshold;
  m.pin.nr_children = pin->nr_children;
  m.pin.nr_params = pin->nr_params;
  m.pin.has_failed = pin->state == PIN_FAILED;
  message_set (m.pin.name, pin->name ? pin->name : "");
  message_set (m.pin.path, pin->path ? pin->path : "");
  message_set (m.pin.url, pin->url);
  message_set (m.pin.kid, pin->kid);
  message_set (m.pin.thp_alg, pin->thp_alg);
  message_set (m.pin.curve, pin->curve);
  message_set (m.pin.warning, pin->warning);
  if ((m.pin.has_failed && tell_error (ch, &pin->error, err) == -1) ||
      tell (ch, &m, err) == -1 || tell_params (ch, pin, err) == -1)
    return -1;
  for (i = 0; i < pin->nr_children; ++i)
    if (tell_pin (ch, pin->children[i], err) == -1)
      return -1;
  return 0;
}

static int
tell_token (struct channel *ch, const struct luks_token *t,
            struct clevis_error *err)
{
  CLEANUP_ERROR struct clevis_error broken = CLEVIS_ERROR_INIT;
  const bool is_clevis = t->jwe != NULL;
  struct pin *pin = is_clevis ? pin_parse (t->jwe, &broken) : NULL;
  struct message m;
  size_t i;
  int r;

  message_init (&m, MESSAGE_TOKEN, 0);
  m.token.id = t->id;
  m.token.nr_keyslots = t->nr_keyslots < MESSAGE_KEYSLOTS
    ? t->nr_keyslots : MESSAGE_KEYSLOTS;
  for (i = 0; i < m.token.nr_keyslots; ++i)
    m.token.keyslots[i] = t->keyslots[i];
  m.token.has_pin = pin != NULL;
  m.token.is_broken = is_clevis && pin == NULL;
  message_set (m.token.kind, t->type);
  message_set (m.token.stale, t->stale);
  r = m.token.is_broken ? tell_error (ch, &broken, err) : 0;
  if (r == 0)
    r = tell (ch, &m, err);
  if (r == 0 && pin)
    r = tell_pin (ch, pin, err);
  pin_free (pin);
  return r;
}

int
tell_luks (struct channel *ch, const struct luks *luks,
           struct clevis_error *err)
{
  const struct luks_info *info = luks_info (luks);
  const struct luks_keyslot *keyslots;
  const struct luks_token *tokens;
  size_t nr_keyslots, nr_tokens, i;
  struct message m;

  keyslots = luks_keyslots (luks, &nr_keyslots);
  tokens = luks_tokens (luks, &nr_tokens);
  message_init (&m, MESSAGE_INFO, 0);
  m.info.version = info->version;
  m.info.key_size = within (info->key_size, 0, MESSAGE_SIZE_MAX);
  m.info.sector_size = within (info->sector_size, 0, MESSAGE_SIZE_MAX);
  m.info.nr_keyslots = nr_keyslots;
  m.info.nr_tokens = nr_tokens;
  m.info.data_offset = info->data_offset <= INT64_MAX ? info->data_offset
    : INT64_MAX;
  m.info.is_quick = luks_is_quick (luks);
  message_set (m.info.uuid, info->uuid ? info->uuid : "");
  message_set (m.info.label, info->label ? info->label : "");
  message_set (m.info.cipher, info->cipher ? info->cipher : "");
  message_set (m.info.note, info->note);
  if (tell (ch, &m, err) == -1)
    return -1;
  for (i = 0; i < nr_keyslots; ++i)
    if (tell_keyslot (ch, &keyslots[i], err) == -1)
      return -1;
  for (i = 0; i < nr_tokens; ++i)
    if (tell_token (ch, &tokens[i], err) == -1)
      return -1;
  return 0;
}

/* Outcomes. */

/* Something is to be told, or only counted. */
struct teller {
  struct channel *ch;      /* NULL: count */
  size_t n;
  int token;
  struct clevis_error *err;
  int r;
};

static void
say (struct teller *t, const struct message *m)
{
  t->n++;
  if (t->ch && t->r == 0)
    t->r = tell (t->ch, m, t->err);
}

static void
say_error (struct teller *t, const struct clevis_error *err)
{
  struct message m;

  message_of_error (&m, MESSAGE_ERROR, 0, err);
  say (t, &m);
}

static void
say_leaf_error (struct pin *leaf, void *opaque)
{
  if (leaf->state == PIN_FAILED)
    say_error (opaque, &leaf->error);
}

/* Why a device was not opened: the summary, then for each binding its own
 * reason and those of its leaves.  A binding of one leaf has that leaf's.
 */
static void
say_errors (struct teller *t, const struct exchange_device *d)
{
  const struct binding *b;
  size_t i;

  if (d->status != EXCHANGE_FAILED)
    return;
  say_error (t, &d->error);
  for (i = 0; i < d->nr_bindings; ++i) {
    b = &d->bindings[i];
    if (b->error.code != CLEVIS_OK)
      say_error (t, &b->error);
    if (b->pin && (b->pin->nr_children > 0 || !b->is_of_pin))
      pin_foreach_leaf (b->pin, say_leaf_error, t);
  }
}

static void
say_leaf (struct pin *leaf, void *opaque)
{
  struct teller *t = opaque;
  struct message m;

  if (leaf->state == PIN_FAILED && t->ch && t->r == 0)
    t->r = tell_error (t->ch, &leaf->error, t->err);
  message_init (&m, MESSAGE_LEAF, 0);
  m.leaf.token = t->token;
  m.leaf.answered = leaf->state == PIN_DONE;
  m.leaf.has_failed = leaf->state == PIN_FAILED;
  m.leaf.seconds = leaf->seconds;
  message_set (m.leaf.pin, leaf->path ? leaf->path : "");
  message_set (m.leaf.url, leaf->url);
  message_set (m.leaf.address, leaf->address);
  say (t, &m);
}

static void
say_leaves (struct teller *t, const struct exchange_device *d)
{
  size_t i;

  for (i = 0; i < d->nr_bindings; ++i) {
    t->token = d->bindings[i].token->id;
    if (d->bindings[i].pin)
      pin_foreach_leaf (d->bindings[i].pin, say_leaf, t);
  }
}

static void
say_text (struct teller *t, const char *text)
{
  struct message m;

  message_init (&m, MESSAGE_TEXT, 0);
  message_set (m.text.text, text);
  say (t, &m);
}

static void
say_server (struct pin *leaf, void *opaque)
{
  if (leaf->url && leaf->state == PIN_DONE)
    say_text (opaque, leaf->url);
}

static void
say_servers (struct teller *t, const struct exchange_device *d)
{
  if (d->by && d->by->pin)
    pin_foreach_leaf (d->by->pin, say_server, t);
}

static void
say_warnings_of (struct teller *t, const struct pin *pin)
{
  size_t i;

  if (pin->warning)
    say_text (t, pin->warning);
  for (i = 0; i < pin->nr_children; ++i)
    say_warnings_of (t, pin->children[i]);
}

static void
say_warnings (struct teller *t, const struct exchange_device *d)
{
  size_t i;

  for (i = 0; i < d->nr_bindings; ++i)
    if (d->bindings[i].pin)
      say_warnings_of (t, d->bindings[i].pin);
}

typedef void (*say_fn) (struct teller *t, const struct exchange_device *d);

static size_t
count (say_fn fn, const struct exchange_device *d)
{
  struct teller t = { .ch = NULL };

  fn (&t, d);
  return t.n;
}

int
tell_outcome (struct channel *ch, const struct exchange_device *d,
              uint32_t key, struct clevis_error *err)
{
  static const say_fn parts[] = {
    say_errors, say_leaves, say_servers, say_warnings
  };
  struct teller t = { .ch = ch, .err = err };
  struct message m;
  size_t i;

  message_init (&m, MESSAGE_OUTCOME, 0);
  m.outcome.status = d->status;
  m.outcome.keyslot = d->keyslot;
  m.outcome.token = d->by ? d->by->token->id : -1;
  m.outcome.key = key;
  m.outcome.nr_errors = count (say_errors, d);
  m.outcome.nr_leaves = count (say_leaves, d);
  m.outcome.nr_servers = count (say_servers, d);
  m.outcome.nr_warnings = count (say_warnings, d);
  m.outcome.seconds = d->seconds;
  m.outcome.verify_seconds = d->by ? d->by->verify_seconds : 0;
  t.r = tell (ch, &m, err);
  for (i = 0; i < sizeof parts / sizeof parts[0]; ++i)
    parts[i] (&t, d);
  return t.r;
}

int
tell_preflight (struct channel *ch, const struct preflight_device *d,
                struct clevis_error *err)
{
  const struct preflight_leaf *leaf;
  struct message m;
  size_t i;

  message_init (&m, MESSAGE_OUTCOME, 0);
  m.outcome.status = d->verdict;
  m.outcome.keyslot = m.outcome.token = -1;
  m.outcome.nr_leaves = d->nr_leaves;
  if (tell (ch, &m, err) == -1)
    return -1;
  for (i = 0; i < d->nr_leaves; ++i) {
    leaf = &d->leaves[i];
    message_init (&m, MESSAGE_CHECKED, 0);
    m.checked.token = leaf->token;
    m.checked.key = leaf->key;
    m.checked.signatures = leaf->signatures;
    m.checked.has_failed = leaf->error.code != CLEVIS_OK;
    m.checked.seconds = leaf->seconds;
    message_set (m.checked.pin, leaf->pin->path ? leaf->pin->path : "");
    message_set (m.checked.address, leaf->address);
    message_set (m.checked.certificate_expiry, leaf->certificate_expiry);
    if (tell_error (ch, &leaf->error, err) == -1 || tell (ch, &m, err) == -1)
      return -1;
  }
  return 0;
}
