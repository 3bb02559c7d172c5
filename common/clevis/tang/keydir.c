/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Reading Tang's key files and doing what tangd does with them.
 */

#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jose/jose.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "jose/ecmr.h"
#include "base/gettext-compat.h"
#include "jose/jose-quiet.h"
#include "tang/keydir.h"
#include "base/secret.h"
#include "jose/thumbprint.h"

struct keydir {
  char *path;
  json_t *keys;            /* private exchange keys, in locked memory */
};

static void
cleanup_dir (DIR **dir)
{
  if (*dir)
    closedir (*dir);
}

#define CLEANUP_DIR __attribute__ ((cleanup (cleanup_dir)))

static bool
is_key_file (const char *name)
{
  size_t len = strlen (name);

  return len > 4 && strcmp (name + len - 4, ".jwk") == 0;
}

/* The whole of a small file in locked memory.  It is the user's own folder,
 * yet a device or a huge file in it is a mistake worth a message.
 */
static struct secret *
read_file (int fd, const char *name, struct clevis_error *err)
{
  CLEANUP_SECRET struct secret *text = NULL;
  struct secret *ret;
  struct stat st;
  size_t len = 0;
  ssize_t r;

  if (fstat (fd, &st) == -1) {
    clevis_error_errno (err, errno, "%s", name);
    return NULL;
  }
  if (!S_ISREG (st.st_mode) || (size_t) st.st_size > BOUND_KEY_FILE) {
    clevis_error_set (err, CLEVIS_ERR_LIMIT,
                      _("%s is not a file of at most %llu bytes"), name,
                      BOUND_KEY_FILE);
    return NULL;
  }
  text = secret_new (st.st_size);
  if (text == NULL) {
    secret_error (err);
    return NULL;
  }
  while (len < text->len &&
         (r = pread (fd, text->data + len, text->len - len, len)) != 0) {
    if (r == -1 && errno == EINTR)
      continue;
    if (r == -1) {
      clevis_error_errno (err, errno, "%s", name);
      return NULL;
    }
    len += r;
  }
  secret_truncate (text, len);
  ret = text;
  text = NULL;
  return ret;
}

/* Add the key of a file if it is a private exchange key.  What libjose needs
 * of it is copied, so that nothing else in the file decides what is done.
 */
int
keydir_add (struct keydir *dir, int fd, const char *name,
            struct clevis_error *err)
{
  SECRET_JSON_SCOPE;
  CLEANUP_SECRET struct secret *text = read_file (fd, name, err);
  CLEANUP_JSON json_t *jwk = NULL;
  CLEANUP_JSON json_t *key = NULL;
  json_t *d;

  if (text == NULL)
    return -1;
  jwk = json_loadb ((const char *) text->data, text->len,
                    JSON_REJECT_DUPLICATES, NULL);
  if (!json_is_object (jwk))
    return clevis_error_set (err, CLEVIS_ERR_TOKEN, _("%s is not a JWK"),
                             name);
  d = json_object_get (jwk, "d");
  if (!json_is_string (d) ||
      !jose_jwk_prm (jose_quiet_cfg (), jwk, true, "deriveKey"))
    return 0;
  key = ecmr_public (jwk, name, CLEVIS_ERR_TOKEN, err);
  if (key == NULL)
    return -1;
  if (json_object_set (key, "d", d) == -1 ||
      json_array_append (dir->keys, key) == -1)
    return secret_error (err);
  return 0;
}

int
keydir_files (const char *path, keydir_file_fn fn, void *opaque,
              struct clevis_error *err)
{
  CLEANUP_DIR DIR *d = opendir (path);
  struct dirent *ent;
  size_t n = 0;

  if (d == NULL)
    return clevis_error_errno (err, errno, "%s", path);
  while (errno = 0, (ent = readdir (d)) != NULL) {
    CLEANUP_CLOSE int fd = -1;

    if (!is_key_file (ent->d_name))
      continue;
    if (++n > BOUND_KEY_FILES)
      return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                               _("%s has more than %d keys"), path,
                               BOUND_KEY_FILES);
    fd = openat (dirfd (d), ent->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd == -1)
      return clevis_error_errno (err, errno, "%s", ent->d_name);
    if (fn (fd, ent->d_name, opaque, err) == -1)
      return -1;
  }
  return errno == 0 ? 0 : clevis_error_errno (err, errno, "%s", path);
}

int
keydir_check (const struct keydir *dir, struct clevis_error *err)
{
  if (json_array_size (dir->keys) > 0)
    return 0;
  return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                           _("%s has no exchange key of a Tang server in it"),
                           dir->path);
}

struct keydir *
keydir_new (const char *path, struct clevis_error *err)
{
  struct keydir *dir = calloc (1, sizeof *dir);

  if (dir) {
    dir->path = strdup (path);
    secret_json_begin ();
    dir->keys = json_array ();
    secret_json_end ();
  }
  if (dir && dir->path && dir->keys)
    return dir;
  clevis_error_errno (err, ENOMEM, "%s", path);
  keydir_free (dir);
  return NULL;
}

static int
add_file (int fd, const char *name, void *opaque, struct clevis_error *err)
{
  return keydir_add (opaque, fd, name, err);
}

struct keydir *
keydir_open (const char *path, struct clevis_error *err)
{
  struct keydir *dir = keydir_new (path, err);

  if (dir && keydir_files (path, add_file, dir, err) == 0 &&
      keydir_check (dir, err) == 0)
    return dir;
  keydir_free (dir);
  return NULL;
}

void
keydir_free (struct keydir *dir)
{
  if (dir == NULL)
    return;
  json_decref (dir->keys);
  free (dir->path);
  free (dir);
}

bool
keydir_has (const struct keydir *dir, const char *kid)
{
  return thumbprint_find (dir->keys, kid) != NULL;
}

json_t *
keydir_exchange (const struct keydir *dir, const char *kid,
                 const json_t *epk, struct clevis_error *err)
{
  /* Before the scope: libjose releases what it makes here with free. */
  const json_t *key = thumbprint_find (dir->keys, kid);
  SECRET_JSON_SCOPE;
  json_t *k;

  if (key == NULL) {
    clevis_error_set (err, CLEVIS_ERR_NO_KEY,
                      _("%s does not have the key %s"), dir->path, kid);
    return NULL;
  }
  k = jose_jwk_exc (jose_quiet_cfg (), key, epk);
  if (k == NULL)
    clevis_error_set (err, CLEVIS_ERR_TOKEN,
                      _("epk is not a point of the key's curve"));
  return k;
}
