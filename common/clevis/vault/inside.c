/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What happens inside the vault.  Each command is answered by MESSAGE_DONE or
 * MESSAGE_FAILED; a command that names what is not there ends the vault, since
 * the program would not send it.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "base/secret-read.h"
#include "base/secret.h"
#include "exchange/exchange.h"
#include "exchange/preflight.h"
#include "luks/luks-data.h"
#include "luks/luks-quick.h"
#include "luks/luks.h"
#include "tang/keydir.h"
#include "tang/offline.h"
#include "vault/beyond.h"
#include "vault/channel.h"
#include "vault/inside.h"
#include "vault/tell.h"

/* Numbered objects; number 0 is none. */
struct table {
  void **objects;
  uint32_t nr;
};

/* What can be done with a header. */
enum header_use {
  HEADER_LOAD,             /* bytes are supplied */
  HEADER_USE,              /* LUKS_READY: what luks.h says of it */
  HEADER_READ,             /* it is the quick header, of which bytes are read */
};

struct header {
  struct luks *luks;
  enum header_use use;
};

struct inside {
  struct channel ch;
  struct table headers, keys;
  struct keydir *keydir;
  struct offline *offline;
  char *name;              /* of the file of replies that comes next */
  struct exchange *exchange; /* one of these two, or none */
  struct preflight *preflight;
  bool broken;             /* the program sent what it would not send */
  bool is_done;            /* the channel is closed */
};

static uint32_t
put (struct table *table, void *object)
{
  void **objects = reallocarray (table->objects, table->nr + 2,
                                 sizeof *objects);

  if (objects == NULL)
    return 0;
  table->objects = objects;
  objects[++table->nr] = object;
  return table->nr;
}

static void *
get (struct inside *in, const struct table *table, uint32_t id)
{
  if (id > 0 && id <= table->nr && table->objects[id])
    return table->objects[id];
  in->broken = true;
  return NULL;
}

/* A header that is there for this. */
static struct luks *
get_luks (struct inside *in, uint32_t id, enum header_use use)
{
  const struct header *h = get (in, &in->headers, id);

  if (h && h->use == use)
    return h->luks;
  in->broken = true;
  return NULL;
}

static void
set_use (struct inside *in, uint32_t id, enum header_use use)
{
  ((struct header *) in->headers.objects[id])->use = use;
}

static void
free_header (struct header *h)
{
  if (h)
    luks_free (h->luks);
  free (h);
}

static struct secret *
get_key (struct inside *in, uint32_t id)
{
  return get (in, &in->keys, id);
}

static int
no_memory (struct clevis_error *err)
{
  return clevis_error_errno (err, ENOMEM, _("the vault"));
}

/* What a command does: fill in done, or fail.  fds are closed behind it. */
typedef int (*command_fn) (struct inside *in, const struct message *m,
                           const struct message_fds *fds,
                           struct message *done, struct clevis_error *err);

#define COMMAND(name)                                                   \
  static int                                                            \
  name (struct inside *in, const struct message *m,                     \
        const struct message_fds *fds, struct message *done,            \
        struct clevis_error *err)

#define UNUSED (void) in, (void) m, (void) fds, (void) done, (void) err

/* An exchange or a preflight borrows headers and answers. */
static void
end_run (struct inside *in)
{
  exchange_free (in->exchange);
  in->exchange = NULL;
  preflight_free (in->preflight);
  in->preflight = NULL;
}

/* Headers. */

COMMAND (luks_new_)
{
  struct header *h = calloc (1, sizeof *h);

  UNUSED;
  if (h)
    h->luks = luks_new (m->text.text.text, m->text.b);
  if (h && h->luks)
    done->plain.other = put (&in->headers, h);
  if (done->plain.other > 0)
    return 0;
  free_header (h);
  return no_memory (err);
}

/* Pieces of an extent land where it does; luks_supply is told of the last one
 * by SUPPLIED, so all but that are written beside it.
 */
COMMAND (luks_data)
{
  struct luks *luks = get_luks (in, m->id, HEADER_LOAD);

  UNUSED;
  return luks ? luks_put (luks, m->data.offset, m->data.bytes, m->data.len,
                          err) : -1;
}

COMMAND (luks_supplied_)
{
  struct luks *luks = get_luks (in, m->id, HEADER_LOAD);

  UNUSED;
  if (luks)
    luks_supplied (luks);
  return luks ? 0 : -1;
}

COMMAND (luks_next_)
{
  const struct header *h = get (in, &in->headers, m->id);
  struct luks_extent ext = { 0, 0 };
  enum luks_state state;

  UNUSED;
  if (h == NULL || h->use == HEADER_READ)
    return in->broken = true, -1;
  state = luks_next (h->luks, &ext, err);
  if (state == LUKS_READY)
    set_use (in, m->id, HEADER_USE);
  done->plain.other = state == LUKS_ERROR ? 0 : state;
  done->plain.a = ext.offset;
  done->plain.b = ext.length;
  return state == LUKS_ERROR ? -1 : 0;
}

COMMAND (luks_list)
{
  struct luks *luks = get_luks (in, m->id, HEADER_USE);

  UNUSED;
  return luks ? tell_luks (&in->ch, luks, err) : -1;
}

COMMAND (luks_quicken)
{
  struct luks *luks = get_luks (in, m->id, HEADER_USE);
  struct secret *key = get_key (in, m->plain.other);
  struct luks_extent ext[LUKS_QUICK_EXTENTS];
  struct message extent;
  int i, n;

  UNUSED;
  if (luks == NULL || key == NULL)
    return -1;
  end_run (in);
  set_use (in, m->id, HEADER_READ);
  n = luks_quick (luks, m->plain.a, key, ext, err);
  for (i = 0; i < n; ++i) {
    message_init (&extent, MESSAGE_EXTENT, m->id);
    extent.plain.a = ext[i].offset;
    extent.plain.b = ext[i].length;
    if (tell (&in->ch, &extent, err) == -1)
      return -1;
  }
  return n == -1 ? -1 : 0;
}

COMMAND (luks_read)
{
  struct luks *luks = get_luks (in, m->id, HEADER_READ);
  const struct luks_extent ext = { m->plain.a, m->plain.b };
  CLEANUP_FREE unsigned char *buf = NULL;

  UNUSED;
  if (luks == NULL || ext.length > BOUND_EXTENT)
    return in->broken = true, -1;
  buf = malloc (ext.length + 1);
  if (buf == NULL)
    return no_memory (err);
  if (luks_quick_read (luks, &ext, buf, err) == -1)
    return -1;
  return tell_bytes (&in->ch, m->id, ext.offset, buf, ext.length, err);
}

/* What is inside. */

COMMAND (luks_data_extent_)
{
  const struct luks *luks = get_luks (in, m->id, HEADER_USE);
  struct luks_data_extent extent;

  UNUSED;
  if (luks == NULL || luks_data_extent (luks, &extent, err) == -1)
    return -1;
  done->plain.other = extent.sector_size;
  done->plain.a = extent.offset;
  done->plain.b = extent.length;
  return 0;
}

COMMAND (luks_unlock_)
{
  struct luks *luks = get_luks (in, m->id, HEADER_USE);
  const struct secret *key = get_key (in, m->plain.other);

  UNUSED;
  return luks && key ? luks_unlock (luks, m->plain.a, key, err) : -1;
}

COMMAND (luks_decrypt_)
{
  const struct luks *luks = get_luks (in, m->id, HEADER_USE);
  CLEANUP_FREE unsigned char *plain = NULL;

  UNUSED;
  if (luks == NULL)
    return -1;
  plain = malloc (DATA_BYTES);
  if (plain == NULL)
    return no_memory (err);
  if (luks_decrypt (luks, m->data.offset, m->data.bytes, plain, m->data.len,
                    err) == -1)
    return -1;
  return tell_bytes (&in->ch, m->id, m->data.offset, plain, m->data.len, err);
}

COMMAND (luks_free_)
{
  struct header *h = get (in, &in->headers, m->id);

  UNUSED;
  end_run (in);
  free_header (h);
  if (h)
    in->headers.objects[m->id] = NULL;
  return 0;
}

/* Keys. */

static int
add_key (struct inside *in, struct secret *key, struct message *done,
         struct clevis_error *err)
{
  done->plain.other = put (&in->keys, key);
  if (done->plain.other > 0)
    return 0;
  secret_free (key);
  return no_memory (err);
}

COMMAND (key_read)
{
  struct secret *key = secret_read (fds->fd[0], err);

  UNUSED;
  return key ? add_key (in, key, done, err) : -1;
}

COMMAND (key_chomp)
{
  struct secret *key = get_key (in, m->id);

  UNUSED;
  if (key && key->len > 0 && key->data[key->len-1] == '\n')
    secret_truncate (key, key->len - 1);
  return key ? 0 : -1;
}

COMMAND (key_length)
{
  const struct secret *key = get_key (in, m->id);

  UNUSED;
  done->plain.a = key ? (int64_t) key->len : 0;
  return key ? 0 : -1;
}

COMMAND (key_write)
{
  const struct secret *key = get_key (in, m->id);

  UNUSED;
  return key ? secret_write (key, fds->fd[0], err) : -1;
}

COMMAND (key_free)
{
  UNUSED;
  secret_free (get_key (in, m->id));
  if (!in->broken)
    in->keys.objects[m->id] = NULL;
  return 0;
}

/* Answers instead of those of servers. */

COMMAND (keydir_new_)
{
  UNUSED;
  end_run (in);
  keydir_free (in->keydir);
  in->keydir = keydir_new (m->text.text.text, err);
  return in->keydir ? 0 : -1;
}

COMMAND (keydir_add_)
{
  UNUSED;
  if (in->keydir == NULL)
    return in->broken = true, -1;
  return keydir_add (in->keydir, fds->fd[0], m->text.text.text, err);
}

COMMAND (keydir_check_)
{
  UNUSED;
  if (in->keydir == NULL)
    return in->broken = true, -1;
  return keydir_check (in->keydir, err);
}

COMMAND (offline_collect)
{
  UNUSED;
  end_run (in);
  offline_free (in->offline);
  in->offline = offline_export (err);
  return in->offline ? 0 : -1;
}

COMMAND (offline_count_)
{
  UNUSED;
  if (in->offline == NULL)
    return in->broken = true, -1;
  done->plain.a = offline_count (in->offline);
  return 0;
}

/* The program judges them once more, and writes them. */
static int
tell_request (struct inside *in, size_t i, struct clevis_error *err)
{
  struct offline_request request;
  struct message m;
  int r;

  if (offline_request (in->offline, i, &request, err) == -1)
    return -1;
  message_init (&m, MESSAGE_TEXT, i);
  message_set (m.text.text, request.id);
  r = tell (&in->ch, &m, err);
  message_init (&m, MESSAGE_ASK, i);
  m.ask.what = ASK_RECOVERY;
  message_set (m.ask.url, request.url);
  message_set (m.ask.kid, request.kid);
  free (request.url);
  if (r == 0)
    r = tell (&in->ch, &m, err);
  message_of_point (&m, i, request.body);
  return r == 0 ? tell (&in->ch, &m, err) : -1;
}

COMMAND (offline_list)
{
  size_t i;

  UNUSED;
  if (in->offline == NULL)
    return in->broken = true, -1;
  for (i = 0; i < offline_count (in->offline); ++i)
    if (tell_request (in, i, err) == -1)
      return -1;
  return 0;
}

COMMAND (offline_write_)
{
  UNUSED;
  if (in->offline == NULL)
    return in->broken = true, -1;
  return offline_dump_state (in->offline, fds->fd[0], m->text.text.text, err);
}

COMMAND (offline_name)
{
  UNUSED;
  free (in->name);
  in->name = strdup (m->text.text.text);
  return in->name ? 0 : no_memory (err);
}

COMMAND (offline_load_)
{
  const struct offline_file state = { fds->fd[0], m->text.text.text };
  const struct offline_file replies = {
    fds->fd[1], in->name ? in->name : ""
  };

  UNUSED;
  end_run (in);
  offline_free (in->offline);
  in->offline = offline_load (&state, &replies, err);
  return in->offline ? 0 : -1;
}

COMMAND (answers_free)
{
  UNUSED;
  end_run (in);
  keydir_free (in->keydir);
  in->keydir = NULL;
  offline_free (in->offline);
  in->offline = NULL;
  return 0;
}

/* Exchanges. */

COMMAND (run_free)
{
  UNUSED;
  end_run (in);
  return 0;
}

COMMAND (exchange_new_)
{
  const struct exchange_settings settings = {
    .deadline = m->plain.a,
    .answers = { .keydir = in->keydir, .offline = in->offline },
  };

  end_run (in);
  if (m->plain.a <= 0)
    return in->broken = true, -1;
  in->exchange = exchange_new (beyond_new (&in->ch, err), &settings, err);
  return in->exchange ? 0 : -1;
}

COMMAND (preflight_new_)
{
  end_run (in);
  in->preflight = preflight_new (beyond_new (&in->ch, err), in->keydir,
                                 m->plain.a != 0, err);
  return in->preflight ? 0 : -1;
}

COMMAND (add_device)
{
  struct luks *luks = get_luks (in, m->id, HEADER_USE);

  UNUSED;
  if (luks == NULL || (in->exchange == NULL && in->preflight == NULL))
    return in->broken = true, -1;
  return (in->exchange ? exchange_add (in->exchange, luks, err)
          : preflight_add (in->preflight, luks, err)) == -1 ? -1 : 0;
}

COMMAND (run)
{
  int r;

  UNUSED;
  if (in->exchange == NULL && in->preflight == NULL)
    return in->broken = true, -1;
  do
    r = in->exchange ? exchange_step (in->exchange, 60 * 1000, err)
      : preflight_step (in->preflight, 60 * 1000, err);
  while (r == 1);
  return r;
}

COMMAND (result)
{
  struct secret *key;
  uint32_t number = 0;

  UNUSED;
  if (in->preflight)
    return m->id < preflight_nr_devices (in->preflight)
      ? tell_preflight (&in->ch, preflight_device (in->preflight, m->id), err)
      : (in->broken = true, -1);
  if (in->exchange == NULL || m->id >= exchange_nr_devices (in->exchange))
    return in->broken = true, -1;
  key = exchange_take_key (in->exchange, m->id);
  if (key) {
    number = put (&in->keys, key);
    if (number == 0) {
      secret_free (key);
      return no_memory (err);
    }
  }
  return tell_outcome (&in->ch, exchange_device (in->exchange, m->id), number,
                       err);
}

COMMAND (status)
{
  UNUSED;
  done->plain.a = secret_used ();
  done->plain.b = secret_was_short ();
  done->plain.other = exchange_is_left ();
  return 0;
}

static const command_fn commands[MESSAGE_LAST] = {
  [MESSAGE_LUKS_NEW] = luks_new_,
  [MESSAGE_LUKS_DATA] = luks_data,
  [MESSAGE_LUKS_SUPPLIED] = luks_supplied_,
  [MESSAGE_LUKS_NEXT] = luks_next_,
  [MESSAGE_LUKS_LIST] = luks_list,
  [MESSAGE_LUKS_QUICKEN] = luks_quicken,
  [MESSAGE_LUKS_READ] = luks_read,
  [MESSAGE_LUKS_DATA_EXTENT] = luks_data_extent_,
  [MESSAGE_LUKS_UNLOCK] = luks_unlock_,
  [MESSAGE_LUKS_DECRYPT] = luks_decrypt_,
  [MESSAGE_LUKS_FREE] = luks_free_,
  [MESSAGE_KEY_READ] = key_read,
  [MESSAGE_KEY_CHOMP] = key_chomp,
  [MESSAGE_KEY_LENGTH] = key_length,
  [MESSAGE_KEY_WRITE] = key_write,
  [MESSAGE_KEY_FREE] = key_free,
  [MESSAGE_KEYDIR_NEW] = keydir_new_,
  [MESSAGE_KEYDIR_ADD] = keydir_add_,
  [MESSAGE_KEYDIR_CHECK] = keydir_check_,
  [MESSAGE_OFFLINE_COLLECT] = offline_collect,
  [MESSAGE_OFFLINE_COUNT] = offline_count_,
  [MESSAGE_OFFLINE_LIST] = offline_list,
  [MESSAGE_OFFLINE_WRITE] = offline_write_,
  [MESSAGE_OFFLINE_NAME] = offline_name,
  [MESSAGE_OFFLINE_LOAD] = offline_load_,
  [MESSAGE_ANSWERS_FREE] = answers_free,
  [MESSAGE_EXCHANGE_NEW] = exchange_new_,
  [MESSAGE_PREFLIGHT_NEW] = preflight_new_,
  [MESSAGE_ADD_DEVICE] = add_device,
  [MESSAGE_RUN] = run,
  [MESSAGE_RESULT] = result,
  [MESSAGE_RUN_FREE] = run_free,
  [MESSAGE_STATUS] = status,
};

/* The bytes of a device are sent without waiting for an answer to each. */
static bool
is_answered (uint32_t tag)
{
  return tag != MESSAGE_LUKS_DATA;
}

/* A message of an exchange that has ended meanwhile.  A point is waited for. */
static void
come_late (struct inside *in, const struct message *m)
{
  struct message point;

  if (m->tag != MESSAGE_MAKE_POINT)
    return;
  message_init (&point, MESSAGE_POINT, m->id);
  if (tell (&in->ch, &point, NULL) == -1)
    in->is_done = true;
}

static void
obey (struct inside *in, const struct message *m, struct message_fds *fds)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct message reply;
  int r;

  if ((m->tag >= MESSAGE_MAKE_POINT && m->tag <= MESSAGE_WHERE_IS) ||
      m->tag == MESSAGE_ERROR) {
    come_late (in, m);
    return;
  }
  if (commands[m->tag] == NULL) {
    in->broken = true;
    return;
  }
  message_init (&reply, MESSAGE_DONE, m->id);
  r = commands[m->tag] (in, m, fds, &reply, &err);
  message_fds_close (fds);
  if (in->broken || !is_answered (m->tag))
    return;
  if (r == -1)
    message_of_error (&reply, MESSAGE_FAILED, m->id, &err);
  if (tell (&in->ch, &reply, NULL) == -1)
    in->is_done = true;
}

static void
free_all (struct inside *in)
{
  uint32_t i;

  end_run (in);
  for (i = 1; i <= in->headers.nr; ++i)
    free_header (in->headers.objects[i]);
  for (i = 1; i <= in->keys.nr; ++i)
    secret_free (in->keys.objects[i]);
  free (in->headers.objects);
  free (in->keys.objects);
  keydir_free (in->keydir);
  offline_free (in->offline);
  free (in->name);
  channel_close (&in->ch);
}

void
inside_work (int fd, void *opaque)
{
  struct message *m = malloc (sizeof *m);
  struct inside in = { .keydir = NULL };
  struct message_fds fds;
  int r;

  (void) opaque;
  channel_init (&in.ch, fd);
  while (m && !in.broken && !in.is_done) {
    r = channel_recv (&in.ch, m, &fds, -1);
    if (r == 1)
      obey (&in, m, &fds);
    else if (r == -1 && errno != EINTR)
      break;
  }
  free (m);
  free_all (&in);
}
