/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * From messages of the vault to structs.  Each message is valid by itself
 * (message.c); what is looked at here is that the next one is what must come,
 * and that there are not too many.
 */

#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "exchange/exchange.h"
#include "vault/hear.h"

struct hearing {
  hear_fn next;
  void *opaque;
  size_t nr_pins;          /* of the tree that is being heard */
};

/* The next message if it has this tag, else NULL. */
static const struct message *
expect (struct hearing *h, enum message_tag tag)
{
  const struct message *m = h->next (h->opaque);

  return m && m->tag == tag ? m : NULL;
}

static int
copy (char **to, const char *from)
{
  *to = from ? strdup (from) : NULL;
  return from && *to == NULL ? -1 : 0;
}

#define COPY(to, maybe) copy (&(to), message_get (maybe))

/* The next message with this tag; an error of what it is about may come before.
 * has_failed says whether one did.
 */
static const struct message *
expect_after_error (struct hearing *h, enum message_tag tag, bool *has_failed,
                    struct clevis_error *err)
{
  const struct clevis_error empty = CLEVIS_ERROR_INIT;
  const struct message *m = h->next (h->opaque);

  *err = empty;
  *has_failed = m && m->tag == MESSAGE_ERROR;
  if (*has_failed) {
    message_to_error (m, err);
    m = h->next (h->opaque);
  }
  return m && m->tag == tag ? m : NULL;
}

/* Headers. */

static int
hear_keyslot (struct hearing *h, struct heard_keyslot *k)
{
  const struct message *m = expect (h, MESSAGE_KEYSLOT);

  if (m == NULL)
    return -1;
  k->slot = m->keyslot.slot;
  k->key_size = m->keyslot.key_size;
  k->iterations = m->keyslot.iterations;
  k->memory = m->keyslot.memory;
  k->threads = m->keyslot.threads;
  return COPY (k->kdf, m->keyslot.kdf) | COPY (k->hash, m->keyslot.hash) |
    COPY (k->cipher, m->keyslot.cipher) |
    COPY (k->priority, m->keyslot.priority) |
    COPY (k->refused, m->keyslot.refused);
}

static int
hear_params (struct hearing *h, struct heard_pin *pin, size_t n)
{
  const struct message *m;

  pin->params = calloc (n + 1, sizeof *pin->params);
  if (pin->params == NULL)
    return -1;
  for (; pin->nr_params < n; pin->nr_params++) {
    m = expect (h, MESSAGE_PARAM);
    if (m == NULL ||
        COPY (pin->params[pin->nr_params].name, m->param.name) ||
        COPY (pin->params[pin->nr_params].value, m->param.value))
      return -1;
  }
  return 0;
}

static int
hear_pin (struct hearing *h, struct heard_pin *pin, int depth)
{
  const struct message *m = expect_after_error (h, MESSAGE_PIN,
                                                &pin->has_failed,
                                                &pin->error);
  size_t n, nr_params;

  if (m == NULL || depth > BOUND_PIN_DEPTH ||
      ++h->nr_pins > BOUND_PIN_TOTAL || m->pin.has_failed != pin->has_failed)
    return -1;
  pin->threshold = m->pin.threshold;
  n = m->pin.nr_children;
  nr_params = m->pin.nr_params;
  pin->children = calloc (n + 1, sizeof *pin->children);
  if (pin->children == NULL ||
      COPY (pin->name, m->pin.name) | COPY (pin->path, m->pin.path) |
      COPY (pin->url, m->pin.url) | COPY (pin->kid, m->pin.kid) |
      COPY (pin->thp_alg, m->pin.thp_alg) | COPY (pin->curve, m->pin.curve) |
      COPY (pin->warning, m->pin.warning))
    return -1;
  if (hear_params (h, pin, nr_params) == -1)
    return -1;
  while (pin->nr_children < n)
    if (hear_pin (h, &pin->children[pin->nr_children++], depth + 1) == -1)
      return -1;
  return 0;
}

static int
hear_token (struct hearing *h, struct heard_token *t)
{
  const struct message *m = expect_after_error (h, MESSAGE_TOKEN,
                                                &t->is_broken, &t->error);
  size_t i;

  if (m == NULL || m->token.is_broken != t->is_broken)
    return -1;
  t->id = m->token.id;
  t->nr_keyslots = m->token.nr_keyslots;
  for (i = 0; i < t->nr_keyslots; ++i)
    t->keyslots[i] = m->token.keyslots[i];
  t->has_pin = m->token.has_pin;
  if (COPY (t->kind, m->token.kind) | COPY (t->stale, m->token.stale))
    return -1;
  h->nr_pins = 0;
  return t->has_pin ? hear_pin (h, &t->pin, 1) : 0;
}

int
hear_luks (struct heard_luks *luks, hear_fn next, void *opaque)
{
  struct hearing h = { .next = next, .opaque = opaque };
  const struct message *m = expect (&h, MESSAGE_INFO);
  size_t nr_keyslots, nr_tokens;

  if (m == NULL)
    return -1;
  luks->version = m->info.version;
  luks->key_size = m->info.key_size;
  luks->sector_size = m->info.sector_size;
  luks->data_offset = m->info.data_offset;
  luks->is_quick = m->info.is_quick;
  nr_keyslots = m->info.nr_keyslots;
  nr_tokens = m->info.nr_tokens;
  luks->keyslots = calloc (nr_keyslots + 1, sizeof *luks->keyslots);
  luks->tokens = calloc (nr_tokens + 1, sizeof *luks->tokens);
  if (luks->keyslots == NULL || luks->tokens == NULL ||
      COPY (luks->uuid, m->info.uuid) | COPY (luks->label, m->info.label) |
      COPY (luks->cipher, m->info.cipher) | COPY (luks->note, m->info.note))
    return -1;
  while (luks->nr_keyslots < nr_keyslots)
    if (hear_keyslot (&h, &luks->keyslots[luks->nr_keyslots++]) == -1)
      return -1;
  while (luks->nr_tokens < nr_tokens)
    if (hear_token (&h, &luks->tokens[luks->nr_tokens++]) == -1)
      return -1;
  return 0;
}

static void
pin_clear (struct heard_pin *pin)
{
  size_t i;

  for (i = 0; i < pin->nr_children; ++i)
    pin_clear (&pin->children[i]);
  /* One more than were heard may have a part. */
  for (i = 0; pin->params && i < pin->nr_params + 1; ++i) {
    free (pin->params[i].name);
    free (pin->params[i].value);
  }
  free (pin->children);
  free (pin->params);
  free (pin->name);
  free (pin->path);
  free (pin->url);
  free (pin->kid);
  free (pin->thp_alg);
  free (pin->curve);
  free (pin->warning);
  clevis_error_clear (&pin->error);
}

void
heard_luks_clear (struct heard_luks *luks)
{
  size_t i;

  for (i = 0; i < luks->nr_keyslots; ++i) {
    free (luks->keyslots[i].kdf);
    free (luks->keyslots[i].hash);
    free (luks->keyslots[i].cipher);
    free (luks->keyslots[i].priority);
    free (luks->keyslots[i].refused);
  }
  for (i = 0; i < luks->nr_tokens; ++i) {
    free (luks->tokens[i].kind);
    free (luks->tokens[i].stale);
    clevis_error_clear (&luks->tokens[i].error);
    if (luks->tokens[i].has_pin)
      pin_clear (&luks->tokens[i].pin);
  }
  free (luks->keyslots);
  free (luks->tokens);
  free (luks->uuid);
  free (luks->label);
  free (luks->cipher);
  free (luks->note);
  memset (luks, 0, sizeof *luks);
}

/* Outcomes. */

static int
hear_errors (struct hearing *h, struct heard_outcome *o, size_t n)
{
  const struct clevis_error empty = CLEVIS_ERROR_INIT;
  const struct message *m;

  o->errors = calloc (n + 1, sizeof *o->errors);
  if (o->errors == NULL)
    return -1;
  while (o->nr_errors < n) {
    m = expect (h, MESSAGE_ERROR);
    if (m == NULL)
      return -1;
    o->errors[o->nr_errors] = empty;
    message_to_error (m, &o->errors[o->nr_errors++]);
  }
  return 0;
}

static int
hear_leaf (struct hearing *h, struct heard_leaf *leaf)
{
  const struct message *m = expect_after_error (h, MESSAGE_LEAF,
                                                &leaf->has_failed,
                                                &leaf->error);

  if (m == NULL || m->leaf.has_failed != leaf->has_failed)
    return -1;
  leaf->token = m->leaf.token;
  leaf->seconds = m->leaf.seconds;
  leaf->answered = m->leaf.answered;
  return COPY (leaf->pin, m->leaf.pin) | COPY (leaf->url, m->leaf.url) |
    COPY (leaf->address, m->leaf.address);
}

static int
hear_checked (struct hearing *h, struct heard_leaf *leaf)
{
  const struct message *m = expect_after_error (h, MESSAGE_CHECKED,
                                                &leaf->has_failed,
                                                &leaf->error);

  if (m == NULL || m->checked.has_failed != leaf->has_failed)
    return -1;
  leaf->token = m->checked.token;
  leaf->key = m->checked.key;
  leaf->signatures = m->checked.signatures;
  leaf->seconds = m->checked.seconds;
  return COPY (leaf->pin, m->checked.pin) |
    COPY (leaf->address, m->checked.address) |
    COPY (leaf->certificate_expiry, m->checked.certificate_expiry);
}

static int
hear_texts (struct hearing *h, char ***texts, size_t *nr, size_t n)
{
  const struct message *m;

  *texts = calloc (n + 1, sizeof **texts);
  if (*texts == NULL)
    return -1;
  while (*nr < n) {
    m = expect (h, MESSAGE_TEXT);
    if (m == NULL || COPY ((*texts)[*nr], m->text.text) == -1)
      return -1;
    (*nr)++;
  }
  return 0;
}

/* There is a key, and what it opens, if and only if it was unlocked; a failure
 * has a reason.
 */
static bool
is_possible (const struct message_outcome *o, bool is_preflight)
{
  if (is_preflight)
    return o->key == 0 && o->nr_errors == 0;
  switch (o->status) {
  case EXCHANGE_UNLOCKED:
    return o->key > 0 && o->keyslot >= 0 && o->token >= 0;
  case EXCHANGE_FAILED:
    return o->key == 0 && o->nr_errors > 0;
  case EXCHANGE_UNBOUND:
    return o->key == 0;
  default:
    return false;
  }
}

int
hear_outcome (struct heard_outcome *o, bool is_preflight, hear_fn next,
              void *opaque)
{
  struct hearing h = { .next = next, .opaque = opaque };
  const struct message *m = expect (&h, MESSAGE_OUTCOME);
  struct message_outcome what;

  if (m == NULL || !is_possible (&m->outcome, is_preflight))
    return -1;
  what = m->outcome;
  o->status = what.status;
  o->keyslot = what.keyslot;
  o->token = what.token;
  o->key = what.key;
  o->seconds = what.seconds;
  o->verify_seconds = what.verify_seconds;
  if (hear_errors (&h, o, what.nr_errors) == -1)
    return -1;
  o->leaves = calloc (what.nr_leaves + 1, sizeof *o->leaves);
  if (o->leaves == NULL)
    return -1;
  while (o->nr_leaves < what.nr_leaves) {
    struct heard_leaf *leaf = &o->leaves[o->nr_leaves++];

    if ((is_preflight ? hear_checked : hear_leaf) (&h, leaf) == -1)
      return -1;
  }
  return hear_texts (&h, &o->servers, &o->nr_servers, what.nr_servers) == -1 ||
    hear_texts (&h, &o->warnings, &o->nr_warnings, what.nr_warnings) == -1
    ? -1 : 0;
}

static void
free_texts (char **texts, size_t n)
{
  size_t i;

  for (i = 0; i < n; ++i)
    free (texts[i]);
  free (texts);
}

void
heard_outcome_clear (struct heard_outcome *o)
{
  size_t i;

  for (i = 0; i < o->nr_errors; ++i)
    clevis_error_clear (&o->errors[i]);
  for (i = 0; i < o->nr_leaves; ++i) {
    free (o->leaves[i].pin);
    free (o->leaves[i].url);
    free (o->leaves[i].address);
    free (o->leaves[i].certificate_expiry);
    clevis_error_clear (&o->leaves[i].error);
  }
  free (o->errors);
  free (o->leaves);
  free_texts (o->servers, o->nr_servers);
  free_texts (o->warnings, o->nr_warnings);
  memset (o, 0, sizeof *o);
}
