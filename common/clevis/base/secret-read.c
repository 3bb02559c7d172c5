/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Secrets from and to descriptors.
 */

#include <config.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/gettext-compat.h"
#include "base/secret-read.h"

/* The most that cryptsetup reads from a key file. */
#define MAX_KEY (8 * 1024 * 1024)

/* Make room for more: at first a page, then twice as much each time. */
static int
grow (struct secret **key)
{
  const size_t old_len = *key ? (*key)->len : 0;
  struct secret *larger = secret_new (old_len ? 2 * old_len : 4096);

  if (larger == NULL)
    return -1;
  if (*key)
    memcpy (larger->data, (*key)->data, old_len);
  secret_free (*key);
  *key = larger;
  return 0;
}

/* Make sure that there is room behind len bytes. */
static int
make_room (struct secret **key, size_t len, struct clevis_error *err)
{
  if (len > MAX_KEY)
    return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                             _("the key is longer than %d bytes"), MAX_KEY);
  if ((*key == NULL || len == (*key)->len) && grow (key) == -1)
    return secret_error (err);
  return 0;
}

struct secret *
secret_read (int fd, struct clevis_error *err)
{
  CLEANUP_SECRET struct secret *key = NULL;
  struct secret *whole;
  size_t len = 0;
  ssize_t r;

  do {
    if (make_room (&key, len, err) == -1)
      return NULL;
    r = read (fd, key->data + len, key->len - len);
    if (r == -1) {
      clevis_error_errno (err, errno, "read");
      return NULL;
    }
    len += r;
  } while (r > 0);
  secret_truncate (key, len);
  whole = key;
  key = NULL;
  return whole;
}

/* Byte by byte, since what follows is not ours. */
struct secret *
secret_read_line (int fd, bool *is_end, struct clevis_error *err)
{
  CLEANUP_SECRET struct secret *key = NULL;
  struct secret *whole;
  size_t len = 0;
  ssize_t r;

  *is_end = false;
  for (;;) {
    if (make_room (&key, len, err) == -1)
      return NULL;
    r = read (fd, key->data + len, 1);
    if (r == -1) {
      clevis_error_errno (err, errno, "read");
      return NULL;
    }
    if (r == 0 && len == 0) {
      *is_end = true;
      return NULL;
    }
    if (r == 0 || key->data[len] == '\n')
      break;
    len++;
  }
  secret_truncate (key, len);
  whole = key;
  key = NULL;
  return whole;
}

int
secret_write (const struct secret *s, int fd, struct clevis_error *err)
{
  size_t written = 0;
  ssize_t r;

  while (written < s->len) {
    r = write (fd, s->data + written, s->len - written);
    if (r == -1)
      return clevis_error_errno (err, errno, "write");
    written += r;
  }
  return 0;
}

int
secret_write_base64 (const struct secret *s, int fd, struct clevis_error *err)
{
  /* EVP_EncodeBlock adds a NUL. */
  CLEANUP_SECRET struct secret *text =
    secret_new (4 * ((s->len + 2) / 3) + 1);

  if (text == NULL)
    return secret_error (err);
  EVP_EncodeBlock (text->data, s->data, (int) s->len);
  secret_truncate (text, text->len - 1);
  return secret_write (text, fd, err);
}
