/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Keys in the vault: numbers here, bytes there.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "base/secret-read.h"
#include "vault/vault-private.h"

struct vault_key *
vault_key_new (struct vault *v, uint32_t id, struct clevis_error *err)
{
  struct vault_key *key = calloc (1, sizeof *key);

  if (key == NULL) {
    clevis_error_errno (err, errno, _("key"));
    return NULL;
  }
  key->v = v;
  key->id = id;
  key->fd = -1;
  key->next = v->keys;
  key->prev = &v->keys;
  if (key->next)
    key->next->prev = &key->next;
  v->keys = key;
  return key;
}

void
vault_key_free (struct vault_key *key)
{
  struct vault_luks *luks;
  struct message m;

  if (key == NULL)
    return;
  key->is_freed = true;
  if (key->v->run)
    return;                     /* vault_run_ended does it */
  if (key->id > 0 && !key->v->ended) {
    message_init (&m, MESSAGE_KEY_FREE, key->id);
    vault_command (key->v, &m, NULL, 0, NULL, NULL);
  }
  for (luks = key->v->headers; luks; luks = luks->next)
    if (luks->key == key)
      luks->key = NULL;
  *key->prev = key->next;
  if (key->next)
    key->next->prev = key->prev;
  if (key->fd >= 0)
    close (key->fd);
  policy_free (key->policy);
  free (key);
}

/* A command that reads from fd.  Returns the number of the key, 0 at the end of
 * the input, or -1.
 */
static int64_t
read_from (struct vault *v, enum message_tag tag, int fd,
           struct clevis_error *err)
{
  const struct message *done;
  struct message m;

  message_init (&m, tag, 0);
  done = vault_command (v, &m, &fd, 1, NULL, err);
  return done ? (int64_t) done->plain.other : -1;
}

/* Remember where it came from, if that can be read once more. */
static void
keep_source (struct vault_key *key, int fd, off_t start)
{
  struct stat st;

  if (start >= 0 && fstat (fd, &st) == 0 && S_ISREG (st.st_mode)) {
    key->fd = fcntl (fd, F_DUPFD_CLOEXEC, 3);
    key->start = start;
  }
}

struct vault_key *
vault_key_read (struct vault *v, int fd, struct clevis_error *err)
{
  const off_t start = lseek (fd, 0, SEEK_CUR);
  struct vault_key *key;
  int64_t id;

  if (vault_ready (v, err) == -1)
    return NULL;
  id = read_from (v, MESSAGE_KEY_READ, fd, err);
  if (id <= 0)
    return NULL;
  key = vault_key_new (v, id, err);
  if (key)
    keep_source (key, fd, start);
  return key;
}

/* The line is read here: a terminal can be written to, too, and what is typed
 * later is no affair of the vault.
 */
struct vault_key *
vault_key_read_line (struct vault *v, int fd, bool *is_end,
                     struct clevis_error *err)
{
  CLEANUP_SECRET struct secret *line = secret_read_line (fd, is_end, err);
  CLEANUP_CLOSE int memory = -1;
  int64_t id;

  if (line == NULL || vault_ready (v, err) == -1)
    return NULL;
  memory = memfd_create ("key", MFD_CLOEXEC);
  if (memory == -1 || secret_write (line, memory, err) == -1 ||
      lseek (memory, 0, SEEK_SET) == -1) {
    clevis_error_errno (err, errno, "memfd_create");
    return NULL;
  }
  id = read_from (v, MESSAGE_KEY_READ, memory, err);
  return id > 0 ? vault_key_new (v, id, err) : NULL;
}

/* What came from a file is read once more; what was recovered is recovered once
 * more when it is needed.  One that cannot be read is not tried again.
 */
void
vault_key_renew (struct vault_key *key)
{
  struct message m;
  int64_t id;

  if (key->fd == -1)
    return;
  id = lseek (key->fd, key->start, SEEK_SET) == -1 ? -1
    : read_from (key->v, MESSAGE_KEY_READ, key->fd, NULL);
  if (id > 0) {
    key->id = id;
    message_init (&m, MESSAGE_KEY_CHOMP, key->id);
    if (!key->chomped || vault_command (key->v, &m, NULL, 0, NULL, NULL))
      return;
  }
  close (key->fd);
  key->fd = -1;
}

int
vault_key_ready (struct vault_key *key, struct clevis_error *err)
{
  if (vault_ready (key->v, err) == -1 ||
      (key->id == 0 && key->from && vault_key_recover (key, err) == -1))
    return -1;
  if (key->id > 0)
    return 0;
  return clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                           _("the key was lost with the vault that had it"));
}

/* A command about this key, with fd unless it is -1. */
static const struct message *
command (struct vault_key *key, struct message *m, int fd,
         struct clevis_error *err)
{
  if (vault_key_ready (key, err) == -1)
    return NULL;
  m->id = key->id;
  return vault_command (key->v, m, &fd, fd >= 0, NULL, err);
}

int
vault_key_chomp (struct vault_key *key, struct clevis_error *err)
{
  struct message m;

  message_init (&m, MESSAGE_KEY_CHOMP, 0);
  if (command (key, &m, -1, err) == NULL)
    return -1;
  key->chomped = true;
  return 0;
}

int
vault_key_length (struct vault_key *key, size_t *len,
                  struct clevis_error *err)
{
  const struct message *done;
  struct message m;

  message_init (&m, MESSAGE_KEY_LENGTH, 0);
  done = command (key, &m, -1, err);
  if (done)
    *len = done->plain.a;
  return done ? 0 : -1;
}

/* What a vault has written to a memory file; nobody else has it, and it is
 * never given a descriptor of the user's: what a taken-over vault did with
 * that would be in the user's file, or on the terminal.
 */
struct secret *
vault_key_lend (struct vault_key *key, struct clevis_error *err)
{
  CLEANUP_CLOSE int fd = memfd_create ("key", MFD_CLOEXEC);
  struct message m;

  if (fd == -1) {
    clevis_error_errno (err, errno, "memfd_create");
    return NULL;
  }
  message_init (&m, MESSAGE_KEY_WRITE, 0);
  if (command (key, &m, fd, err) == NULL)
    return NULL;
  if (lseek (fd, 0, SEEK_SET) == -1) {
    clevis_error_errno (err, errno, "lseek");
    return NULL;
  }
  return secret_read (fd, err);
}

int
vault_key_has_byte (struct vault_key *key, unsigned char byte, bool *has,
                    struct clevis_error *err)
{
  CLEANUP_SECRET struct secret *lent = vault_key_lend (key, err);

  if (lent == NULL)
    return -1;
  *has = memchr (lent->data, byte, lent->len) != NULL;
  key->absent[byte] = !*has;
  return 0;
}

/* To recover the second may cost the first its vault, not what was lent. */
int
vault_key_equal (struct vault_key *a, struct vault_key *b, bool *equal,
                 struct clevis_error *err)
{
  CLEANUP_SECRET struct secret *first = vault_key_lend (a, err);
  CLEANUP_SECRET struct secret *second = first ? vault_key_lend (b, err)
    : NULL;

  if (second == NULL)
    return -1;
  *equal = secret_equal (first, second);
  return 0;
}

/* How a file is written depends on what is not in the key, and a vault that was
 * taken over may lend another one than before.
 */
static int
check_absent (const struct vault_key *key, const struct secret *lent,
              struct clevis_error *err)
{
  size_t i;

  for (i = 0; i < lent->len; ++i)
    if (key->absent[lent->data[i]])
      return vault_died (key->v, NULL, err);
  return 0;
}

int
vault_key_write (struct vault_key *key, int fd, bool base64,
                 struct clevis_error *err)
{
  CLEANUP_SECRET struct secret *lent = vault_key_lend (key, err);

  if (lent == NULL || check_absent (key, lent, err) == -1)
    return -1;
  return base64 ? secret_write_base64 (lent, fd, err)
    : secret_write (lent, fd, err);
}
