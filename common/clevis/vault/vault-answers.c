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

int
vault_dump_requests (struct vault *v, int fd, const char *name, bool state,
                     struct clevis_error *err)
{
  CLEANUP_CLOSE int memory = memfd_create ("requests", MFD_CLOEXEC);
  struct message m;

  if (memory == -1)
    return clevis_error_errno (err, errno, "memfd_create");
  if (vault_ready (v, err) == -1)
    return -1;
  message_init (&m, MESSAGE_OFFLINE_WRITE, 0);
  m.text.a = state;
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
