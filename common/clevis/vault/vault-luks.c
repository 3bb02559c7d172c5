/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Headers in the vault.
 */

#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "luks/luks-quick.h"
#include "vault/vault-private.h"

/* Bytes of an encryption sector of LUKS2. */
#define SECTOR_MAX 4096

_Static_assert (DATA_BYTES % SECTOR_MAX == 0,
                "a piece of a message is whole sectors");

static int send_all (struct vault_luks *luks, struct clevis_error *err);

struct vault_luks *
vault_luks_new (struct vault *v, const char *device, uint64_t size,
                struct clevis_error *err)
{
  const struct clevis_error empty = CLEVIS_ERROR_INIT;
  struct vault_luks *luks;

  if (vault_ready (v, err) == -1)
    return NULL;
  luks = calloc (1, sizeof *luks);
  if (luks == NULL || (luks->device = strdup (device)) == NULL) {
    clevis_error_errno (err, ENOMEM, "%s", device);
    free (luks);
    return NULL;
  }
  luks->v = v;
  luks->size = size;
  luks->state = LUKS_NEED;
  luks->last = &luks->first;
  luks->death = empty;
  luks->next = v->headers;
  luks->prev = &v->headers;
  if (luks->next)
    luks->next->prev = &luks->next;
  v->headers = luks;
  if (send_all (luks, err) == 0)
    return luks;
  vault_luks_free (luks);
  return NULL;
}

void
vault_luks_free (struct vault_luks *luks)
{
  struct vault_key *key;
  struct supplied *s;
  struct message m;

  if (luks == NULL)
    return;
  luks->is_freed = true;
  if (luks->v->run)
    return;                     /* vault_run_ended does it */
  if (luks->id > 0 && !luks->v->ended) {
    message_init (&m, MESSAGE_LUKS_FREE, luks->id);
    vault_command (luks->v, &m, NULL, 0, luks->device, NULL);
  }
  for (key = luks->v->keys; key; key = key->next)
    if (key->from == luks)
      key->from = NULL;
  *luks->prev = luks->next;
  if (luks->next)
    luks->next->prev = luks->prev;
  while ((s = luks->first) != NULL) {
    luks->first = s->next;
    free (s);
  }
  if (luks->list)
    heard_luks_clear (luks->list);
  free (luks->list);
  free (luks->device);
  clevis_error_clear (&luks->death);
  free (luks);
}

const char *
vault_luks_device (const struct vault_luks *luks)
{
  return luks->device;
}

/* A vault has died at it: it is given to no other one.  There is always a
 * reason to show.
 */
static void
is_fatal (struct vault_luks *luks, const struct clevis_error *why)
{
  luks->is_fatal = true;
  clevis_error_clear (&luks->death);
  clevis_error_copy (&luks->death, why);
  if (luks->death.code == CLEVIS_OK)
    clevis_error_set (&luks->death, CLEVIS_ERR_SYSTEM,
                      _("the vault does not have the header"));
}

/* End the vault, since what it says of this header is not true. */
static int
end_at (struct vault_luks *luks, struct clevis_error *err)
{
  CLEANUP_ERROR struct clevis_error why = CLEVIS_ERROR_INIT;

  vault_died (luks->v, luks->device, &why);
  is_fatal (luks, &why);
  clevis_error_copy (err, &why);
  return -1;
}

/* Is it in a vault? */
static int
ready (struct vault_luks *luks, struct clevis_error *err)
{
  if (!luks->is_fatal && vault_ready (luks->v, err) == -1)
    return -1;
  if (!luks->is_fatal && luks->id > 0)
    return 0;
  clevis_error_copy (err, &luks->death);
  return clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                           _("the vault does not have the header"));
}

/* A command about this header; if the vault dies, it was that. */
static const struct message *
command (struct vault_luks *luks, const struct message *m,
         struct clevis_error *err)
{
  struct clevis_error why = CLEVIS_ERROR_INIT;
  const struct message *done = vault_command (luks->v, m, NULL, 0,
                                              luks->device, &why);

  if (done == NULL && luks->v->pid == 0)
    is_fatal (luks, &why);
  clevis_error_copy (err, &why);
  clevis_error_clear (&why);
  return done;
}

static int
send_bytes (struct vault_luks *luks, const struct supplied *s)
{
  struct message *m = malloc (sizeof *m);
  size_t at, piece;
  int r = m ? 0 : -1;

  for (at = 0; r == 0 && at < s->len; at += piece) {
    piece = s->len - at < DATA_BYTES ? s->len - at : DATA_BYTES;
    message_init (m, MESSAGE_LUKS_DATA, luks->id);
    m->data.offset = s->offset + at;
    m->data.len = piece;
    memcpy (m->data.bytes, s->bytes + at, piece);
    r = vault_send (luks->v, m, NULL, 0);
  }
  free (m);
  return r;
}

static int
send_supplied (struct vault_luks *luks, const struct supplied *s,
               struct clevis_error *err)
{
  struct message m;

  if (send_bytes (luks, s) == -1)
    return end_at (luks, err);
  message_init (&m, MESSAGE_LUKS_SUPPLIED, luks->id);
  return command (luks, &m, err) ? 0 : -1;
}

/* A header is fetched as the vault says, but no more than any header has: twice
 * the metadata, since a damaged one is looked for in more than one place.
 */
#define FETCHED_MAX \
  (4 * BOUND_LUKS2_METADATA + BOUND_LUKS2_KEYSLOTS + BOUND_LUKS1_HEADER)
#define EXTENTS_MAX 1024        /* of up to BOUND_EXTENT: some hundred suffice */

static enum luks_state
next (struct vault_luks *luks, struct luks_extent *ext,
      struct clevis_error *err)
{
  const struct message *done;
  struct message m;

  message_init (&m, MESSAGE_LUKS_NEXT, luks->id);
  done = command (luks, &m, err);
  if (done == NULL)
    return LUKS_ERROR;
  ext->offset = done->plain.a;
  ext->length = done->plain.b;
  /* What is fetched is for us to limit. */
  if (done->plain.other > LUKS_NONE ||
      (done->plain.other == LUKS_NEED &&
       (ext->length == 0 || ext->length > BOUND_EXTENT ||
        ext->offset > luks->size || luks->fetched > FETCHED_MAX ||
        luks->nr_extents > EXTENTS_MAX))) {
    end_at (luks, err);
    return LUKS_ERROR;
  }
  return done->plain.other;
}

/* Give a vault all that was supplied so far, in the same order. */
static int
send_all (struct vault_luks *luks, struct clevis_error *err)
{
  const struct message *done;
  const struct supplied *s;
  struct luks_extent ext;
  enum luks_state state;
  struct message m;

  message_init (&m, MESSAGE_LUKS_NEW, 0);
  m.text.b = luks->size;
  message_set (m.text.text, luks->device);
  done = command (luks, &m, err);
  if (done == NULL)
    return -1;
  luks->id = done->plain.other;
  if (luks->id == 0)
    return end_at (luks, err);
  for (s = luks->first; s; s = s->next)
    if (next (luks, &ext, err) == LUKS_ERROR ||
        send_supplied (luks, s, err) == -1)
      return -1;
  if (luks->state != LUKS_READY)
    return 0;
  state = next (luks, &ext, err);
  if (state == LUKS_READY)
    return 0;
  /* With the same bytes another vault was ready. */
  return state == LUKS_ERROR ? -1 : end_at (luks, err);
}

/* One that was in error is so again. */
void
vault_luks_renew (struct vault_luks *luks)
{
  CLEANUP_ERROR struct clevis_error why = CLEVIS_ERROR_INIT;

  if (send_all (luks, &why) == -1 && !luks->is_fatal &&
      luks->state != LUKS_ERROR)
    is_fatal (luks, &why);
}

enum luks_state
vault_luks_next (struct vault_luks *luks, struct luks_extent *ext,
                 struct clevis_error *err)
{
  luks->state = ready (luks, err) == -1 ? LUKS_ERROR : next (luks, ext, err);
  if (luks->state == LUKS_ERROR && err && err->device == NULL)
    err->device = strdup (luks->device);
  return luks->state;
}

int
vault_luks_supply (struct vault_luks *luks, uint64_t offset,
                   const void *data, size_t len, struct clevis_error *err)
{
  struct supplied *s;

  if (ready (luks, err) == -1)
    return -1;
  s = malloc (sizeof *s + len);
  if (s == NULL)
    return clevis_error_errno (err, errno, "%s", luks->device);
  luks->fetched += len;
  luks->nr_extents++;
  s->next = NULL;
  s->offset = offset;
  s->len = len;
  memcpy (s->bytes, data, len);
  *luks->last = s;
  luks->last = &s->next;
  return send_supplied (luks, s, err);
}

const struct heard_luks *
vault_luks_list (struct vault_luks *luks, struct clevis_error *err)
{
  CLEANUP_ERROR struct clevis_error why = CLEVIS_ERROR_INIT;
  struct vault *v = luks->v;
  struct message m;
  int r;

  if (luks->list)
    return luks->list;
  if (ready (luks, err) == -1)
    return NULL;
  luks->list = calloc (1, sizeof *luks->list);
  if (luks->list == NULL) {
    clevis_error_errno (err, errno, "%s", luks->device);
    return NULL;
  }
  message_init (&m, MESSAGE_LUKS_LIST, luks->id);
  r = vault_send (v, &m, NULL, 0);
  if (r == 0)
    r = hear_luks (luks->list, vault_next, v);
  if (r == -1 && !v->failed)
    v->heard.tag = MESSAGE_NONE, v->failed = true;
  if (r == 0 && vault_finish (v, luks->device, &why))
    return luks->list;
  if (r == -1 && vault_finish (v, luks->device, &why))
    vault_died (v, luks->device, &why); /* DONE, too early */
  if (v->pid == 0)
    is_fatal (luks, &why);
  clevis_error_copy (err, &why);
  heard_luks_clear (luks->list);
  free (luks->list);
  luks->list = NULL;
  return NULL;
}

void
vault_changes_free (struct vault_change *changes, int n)
{
  int i;

  for (i = 0; i < n; ++i)
    free (changes[i].bytes);
  free (changes);
}

/* The extents of the quick header, without their bytes. */
static int
hear_extents (struct vault *v, uint64_t size, struct vault_change *changes)
{
  const struct message *m;
  int n = 0;

  while ((m = vault_next (v)) != NULL) {
    if (m->tag != MESSAGE_EXTENT || n == LUKS_QUICK_EXTENTS ||
        m->plain.a < 0 || m->plain.b < 0 ||
        m->plain.b > (int64_t) BOUND_EXTENT ||
        (uint64_t) m->plain.a + m->plain.b > size ||
        (uint64_t) m->plain.a > FETCHED_MAX)
      return -1;
    changes[n].extent.offset = m->plain.a;
    changes[n++].extent.length = m->plain.b;
  }
  return n;
}

static int
hear_bytes (struct vault *v, struct vault_change *change)
{
  const uint64_t length = change->extent.length;
  const struct message *m;
  uint64_t len = 0;

  change->bytes = malloc (length + 1);
  if (change->bytes == NULL)
    return -1;
  while ((m = vault_next (v)) != NULL) {
    if (m->tag != MESSAGE_LUKS_DATA || m->data.len == 0 ||
        m->data.len > length - len)
      return -1;
    memcpy (change->bytes + len, m->data.bytes, m->data.len);
    len += m->data.len;
  }
  return len == length || v->heard.tag == MESSAGE_FAILED ? 0 : -1;
}

/* What belongs to the answer has come, or r is -1. */
static int
end_answer (struct vault_luks *luks, int r, struct clevis_error *err)
{
  struct clevis_error why = CLEVIS_ERROR_INIT;

  if (r == -1)
    vault_died (luks->v, luks->device, &why);
  else
    r = vault_finish (luks->v, luks->device, &why) ? 0 : -1;
  if (luks->v->pid == 0)
    is_fatal (luks, &why);
  clevis_error_copy (err, &why);
  clevis_error_clear (&why);
  return r;
}

int
vault_luks_quicken (struct vault_luks *luks, struct vault_key *key,
                    int keyslot, struct vault_change **changes,
                    struct clevis_error *err)
{
  struct message m;
  int i, n, r;

  *changes = NULL;
  if (ready (luks, err) == -1 || vault_key_ready (key, err) == -1)
    return -1;
  *changes = calloc (LUKS_QUICK_EXTENTS, sizeof **changes);
  if (*changes == NULL)
    return clevis_error_errno (err, errno, "%s", luks->device);
  message_init (&m, MESSAGE_LUKS_QUICKEN, luks->id);
  m.plain.other = key->id;
  m.plain.a = keyslot;
  n = vault_send (luks->v, &m, NULL, 0) == 0
    ? hear_extents (luks->v, luks->size, *changes) : -1;
  r = end_answer (luks, n, err);
  for (i = 0; r == 0 && i < n; ++i) {
    message_init (&m, MESSAGE_LUKS_READ, luks->id);
    m.plain.a = (*changes)[i].extent.offset;
    m.plain.b = (*changes)[i].extent.length;
    r = vault_send (luks->v, &m, NULL, 0) == 0
      ? hear_bytes (luks->v, &(*changes)[i]) : -1;
    r = end_answer (luks, r, err);
  }
  if (r == 0)
    return n;
  vault_changes_free (*changes, LUKS_QUICK_EXTENTS);
  *changes = NULL;
  return -1;
}

/* The vault is not believed: what is read for the caller is of this device, and
 * what it decrypts is whole sectors.
 */
static bool
is_extent (const struct vault_luks *luks, const struct message_plain *p)
{
  const uint32_t sector = p->other;

  return sector >= 512 && sector <= SECTOR_MAX &&
    (sector & (sector - 1)) == 0 && p->a >= 0 && p->b > 0 &&
    p->b % sector == 0 && (uint64_t) p->a <= luks->size &&
    (uint64_t) p->b <= luks->size - p->a;
}

int
vault_luks_data_extent (struct vault_luks *luks,
                        struct luks_data_extent *extent,
                        struct clevis_error *err)
{
  const struct message *done;
  struct message m;

  if (ready (luks, err) == -1)
    return -1;
  message_init (&m, MESSAGE_LUKS_DATA_EXTENT, luks->id);
  done = command (luks, &m, err);
  if (done == NULL)
    return -1;
  if (!is_extent (luks, &done->plain))
    return end_at (luks, err);
  extent->offset = done->plain.a;
  extent->length = done->plain.b;
  extent->sector_size = done->plain.other;
  return 0;
}

/* Send what is to be decrypted, as many commands as it has pieces. */
static int
send_pieces (struct vault_luks *luks, uint64_t offset,
             const unsigned char *data, size_t len)
{
  struct message *m = malloc (sizeof *m);
  size_t at, piece;
  int r = m ? 0 : -1;

  for (at = 0; r == 0 && at < len; at += piece) {
    piece = len - at < DATA_BYTES ? len - at : DATA_BYTES;
    message_init (m, MESSAGE_LUKS_DECRYPT, luks->id);
    m->data.offset = offset + at;
    m->data.len = piece;
    memcpy (m->data.bytes, data + at, piece);
    r = vault_send (luks->v, m, NULL, 0);
  }
  free (m);
  return r;
}

/* One piece, before DONE.  That there is none is no lie if it has failed. */
static int
hear_piece (struct vault *v, uint64_t offset, unsigned char *plain, size_t len)
{
  const struct message *m;

  v->failed = false;
  m = vault_next (v);
  if (m == NULL)
    return v->heard.tag == MESSAGE_FAILED ? 0 : -1;
  if (m->tag != MESSAGE_LUKS_DATA || m->data.offset != offset ||
      m->data.len != len)
    return -1;
  memcpy (plain, m->data.bytes, len);
  return 0;
}

/* All answers are heard, also after one that has failed. */
static int
hear_pieces (struct vault_luks *luks, uint64_t offset, unsigned char *plain,
             size_t len, struct clevis_error *err)
{
  size_t at, piece;
  int r = 0;

  for (at = 0; luks->v->pid != 0 && at < len; at += piece) {
    piece = len - at < DATA_BYTES ? len - at : DATA_BYTES;
    if (end_answer (luks, hear_piece (luks->v, offset + at, plain + at, piece),
                    err) == -1)
      r = -1;
  }
  return r;
}

int
vault_luks_unlock (struct vault_luks *luks, struct vault_key *key,
                   int keyslot, struct clevis_error *err)
{
  struct message m;

  /* To recover the key may cost the header. */
  if (ready (luks, err) == -1 || vault_key_ready (key, err) == -1 ||
      ready (luks, err) == -1)
    return -1;
  message_init (&m, MESSAGE_LUKS_UNLOCK, luks->id);
  m.plain.other = key->id;
  m.plain.a = keyslot;
  if (command (luks, &m, err) == NULL)
    return -1;
  luks->key = key;
  luks->keyslot = keyslot;
  luks->is_unlocked = true;
  return 0;
}

/* Does the vault have the volume key?  One that has taken the place of another
 * gets it in the same way.
 */
static int
ready_to_decrypt (struct vault_luks *luks, struct clevis_error *err)
{
  if (ready (luks, err) == -1)
    return -1;
  if (luks->is_unlocked)
    return 0;
  if (luks->key == NULL)
    return clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                             _("the vault does not have the volume key"));
  return vault_luks_unlock (luks, luks->key, luks->keyslot, err);
}

int
vault_luks_decrypt (struct vault_luks *luks, uint64_t offset,
                    const void *data, void *plain, size_t len,
                    struct clevis_error *err)
{
  if (len == 0 || len > BOUND_DECRYPT || len % 512 != 0 ||
      offset % 512 != 0 || offset > luks->size)
    return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                             _("%zu bytes at %" PRIu64 " are not whole sectors "
                               "of the device, or too many"), len, offset);
  if (ready_to_decrypt (luks, err) == -1)
    return -1;
  if (send_pieces (luks, offset, data, len) == -1)
    return end_at (luks, err);
  return hear_pieces (luks, offset, plain, len, err);
}
