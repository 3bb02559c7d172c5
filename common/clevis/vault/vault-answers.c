/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Answers in the vault that are not of servers: Tang's own keys, and files of
 * the exchange in two steps.  The program opens the files, the vault reads and
 * writes them.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "tang/keydir.h"
#include "tang/offline.h"
#include "tang/servers.h"
#include "vault/vault-private.h"

void
vault_answers_clear (struct vault *v)
{
  size_t i;

  free (v->keydir);
  v->keydir = NULL;
  for (i = 0; i < 2; ++i) {
    free (v->names[i]);
    v->names[i] = NULL;
    if (v->fds[i] >= 0)
      close (v->fds[i]);
    v->fds[i] = -1;
  }
  v->answers = ANSWERS_OF_SERVERS;
}

static int
command (struct vault *v, enum message_tag tag, const char *text,
         const int *fds, size_t nr_fds, struct clevis_error *err)
{
  struct message m;

  message_init (&m, tag, 0);
  if (text)
    message_set (m.text.text, text);
  return vault_command (v, &m, fds, nr_fds, NULL, err) ? 0 : -1;
}

static int
add_file (int fd, const char *name, void *opaque, struct clevis_error *err)
{
  return command (opaque, MESSAGE_KEYDIR_ADD, name, &fd, 1, err);
}

int
vault_answers_renew (struct vault *v, struct clevis_error *err)
{
  switch (v->answers) {
  case ANSWERS_OF_SERVERS:
    break;
  case ANSWERS_OF_KEYDIR:
    return command (v, MESSAGE_KEYDIR_NEW, v->keydir, NULL, 0, err) == -1 ||
      keydir_files (v->keydir, add_file, v, err) == -1 ||
      command (v, MESSAGE_KEYDIR_CHECK, NULL, NULL, 0, err) == -1 ? -1 : 0;
  case ANSWERS_COLLECTED:
    return command (v, MESSAGE_OFFLINE_COLLECT, NULL, NULL, 0, err);
  case ANSWERS_OF_FILE:
    lseek (v->fds[0], 0, SEEK_SET);
    lseek (v->fds[1], 0, SEEK_SET);
    return command (v, MESSAGE_OFFLINE_NAME, v->names[1], NULL, 0,
                    err) == -1 ||
      command (v, MESSAGE_OFFLINE_LOAD, v->names[0], v->fds, 2, err) == -1
      ? -1 : 0;
  }
  return 0;
}

static int
begin (struct vault *v, enum vault_answers answers, struct clevis_error *err)
{
  const int r = vault_ready (v, err);

  v->answers = answers;
  if (r == 0 && vault_answers_renew (v, err) == 0)
    return 0;
  vault_forget_answers (v, NULL);
  return -1;
}

int
vault_use_keydir (struct vault *v, const char *path,
                  struct clevis_error *err)
{
  vault_answers_clear (v);
  v->keydir = strdup (path);
  if (v->keydir == NULL)
    return clevis_error_errno (err, errno, "%s", path);
  return begin (v, ANSWERS_OF_KEYDIR, err);
}

int
vault_collect_requests (struct vault *v, struct clevis_error *err)
{
  vault_answers_clear (v);
  return begin (v, ANSWERS_COLLECTED, err);
}

int
vault_use_replies (struct vault *v, const char *state, const char *replies,
                   struct clevis_error *err)
{
  const char *const names[] = { state, replies };
  size_t i;

  vault_answers_clear (v);
  for (i = 0; i < 2; ++i) {
    v->fds[i] = open (names[i], O_RDONLY | O_CLOEXEC);
    v->names[i] = strdup (names[i]);
    if (v->fds[i] == -1 || v->names[i] == NULL) {
      clevis_error_errno (err, errno, "%s", names[i]);
      vault_answers_clear (v);
      return -1;
    }
  }
  return begin (v, ANSWERS_OF_FILE, err);
}

int
vault_nr_requests (struct vault *v, size_t *n, struct clevis_error *err)
{
  const struct message *done;
  struct message m;

  if (vault_ready (v, err) == -1)
    return -1;
  message_init (&m, MESSAGE_OFFLINE_COUNT, 0);
  done = vault_command (v, &m, NULL, 0, NULL, err);
  if (done)
    *n = done->plain.a;
  return done ? 0 : -1;
}

/* By the kernel: what is in it does not come into this process. */
static int
copy_out (int memory, int fd, const char *name, struct clevis_error *err)
{
  size_t left = BOUND_OFFLINE_FILE;
  off_t at = 0;
  ssize_t r;

  do {
    r = sendfile (fd, memory, &at, left);
    if (r == -1)
      return clevis_error_errno (err, errno, "%s", name);
    left -= r;
  } while (r > 0 && left > 0);
  return 0;
}

/* What the vault says of one request, from its TEXT on.  It may have been taken
 * over, and another machine posts what is written here, so it is judged and put
 * together as a question that is asked from here.
 */
static json_t *
hear_request (struct vault *v, struct asker *asker, const struct message *m,
              struct clevis_error *err)
{
  CLEANUP_FREE char *id = strdup (m->text.text.text), *base = NULL, *kid = NULL;
  const struct message_point *p;

  if (m->tag != MESSAGE_TEXT || !message_is_base64url (m->text.text.text))
    return NULL;
  m = vault_next (v);
  if (m == NULL || m->tag != MESSAGE_ASK || m->ask.what != ASK_RECOVERY)
    return NULL;
  kid = strdup (m->ask.kid.text);
  base = asker_where (asker, m->ask.url.text, err);
  m = vault_next (v);
  if (m == NULL || m->tag != MESSAGE_POINT || !m->point.curve.is_there ||
      base == NULL || id == NULL || kid == NULL)
    return NULL;
  p = &m->point;
  return json_pack ("{s:s, s:s++, s:s, s:{s:s, s:s, s:s, s:s}}", "id", id,
                    "url", base, "/rec/", kid, "kid", kid, "body", "kty",
                    "EC", "crv", p->curve.text, "x", p->x.text, "y",
                    p->y.text);
}

static json_t *
hear_requests (struct vault *v, const struct policy *policy,
               struct clevis_error *err)
{
  struct asker *asker = servers_new (policy, err);
  json_t *requests = json_array (), *request;
  const struct message *m;
  struct message list;
  int r = -1;

  message_init (&list, MESSAGE_OFFLINE_LIST, 0);
  if (asker && vault_send (v, &list, NULL, 0) == 0)
    r = 0;
  while (r == 0 && (m = vault_next (v)) != NULL) {
    request = json_array_size (requests) < BOUND_REQUESTS
      ? hear_request (v, asker, m, err) : NULL;
    r = request ? json_array_append_new (requests, request) : -1;
  }
  asker_free (asker);
  if (r == -1)
    vault_died (v, NULL, err);
  else if (vault_finish (v, NULL, err))
    return requests;
  json_decref (requests);
  return NULL;
}

int
vault_dump_requests (struct vault *v, const struct policy *policy, int fd,
                     const char *name, struct clevis_error *err)
{
  CLEANUP_JSON json_t *requests = NULL;

  if (vault_ready (v, err) == -1)
    return -1;
  requests = hear_requests (v, policy, err);
  return requests ? offline_write_requests (requests, fd, name, err) : -1;
}

int
vault_dump_state (struct vault *v, int fd, const char *name,
                  struct clevis_error *err)
{
  CLEANUP_CLOSE int memory = memfd_create ("state", MFD_CLOEXEC);
  struct message m;

  if (memory == -1)
    return clevis_error_errno (err, errno, "memfd_create");
  if (vault_ready (v, err) == -1)
    return -1;
  message_init (&m, MESSAGE_OFFLINE_WRITE, 0);
  message_set (m.text.text, name);
  if (vault_command (v, &m, &memory, 1, NULL, err) == NULL)
    return -1;
  return copy_out (memory, fd, name, err);
}

int
vault_forget_answers (struct vault *v, struct clevis_error *err)
{
  vault_answers_clear (v);
  if (v->ended || v->pid == 0)
    return 0;
  if (v->is_busy)
    return vault_ready (v, err);
  return command (v, MESSAGE_ANSWERS_FREE, NULL, NULL, 0, err);
}
