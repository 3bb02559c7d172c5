/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Files that are there whole or not at all.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "base/new-file.h"

struct new_file {
  char *path, *temp;
  int fd;
  bool replace;
};

struct new_file *
new_file_open (const char *path, bool replace, struct clevis_error *err)
{
  struct new_file *file;

  if (!replace && faccessat (AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
    clevis_error_errno (err, EEXIST, "%s", path);
    clevis_error_hint (err, _("Use --force to replace it."));
    return NULL;
  }
  file = calloc (1, sizeof *file);
  if (file == NULL) {
    clevis_error_errno (err, errno, "%s", path);
    return NULL;
  }
  file->fd = -1;
  file->replace = replace;
  file->path = strdup (path);
  if (file->path && asprintf (&file->temp, "%s.XXXXXX", path) != -1)
    file->fd = mkostemp (file->temp, O_CLOEXEC);
  else
    file->temp = NULL;
  if (file->fd == -1) {
    clevis_error_errno (err, errno, "%s", path);
    free (file->temp);
    file->temp = NULL;
    new_file_close (file);
    return NULL;
  }
  return file;
}

int
new_file_fd (const struct new_file *file)
{
  return file->fd;
}

static int
sync_folder (const char *path)
{
  CLEANUP_FREE char *copy = strdup (path);
  CLEANUP_CLOSE int fd = -1;

  if (copy == NULL)
    return -1;
  fd = open (dirname (copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return fd == -1 ? -1 : fsync (fd);
}

/* link fails where rename would replace. */
static int
give_name (const struct new_file *file)
{
  if (file->replace)
    return rename (file->temp, file->path);
  if (link (file->temp, file->path) == -1)
    return -1;
  return unlink (file->temp);
}

int
new_file_commit (struct new_file *file, struct clevis_error *err)
{
  if (fsync (file->fd) == -1 || give_name (file) == -1)
    return clevis_error_errno (err, errno, "%s", file->path);
  free (file->temp);
  file->temp = NULL;
  if (sync_folder (file->path) == -1)
    return clevis_error_errno (err, errno, "%s", file->path);
  return 0;
}

void
new_file_close (struct new_file *file)
{
  if (file == NULL)
    return;
  if (file->fd >= 0)
    close (file->fd);
  if (file->temp)
    unlink (file->temp);
  free (file->temp);
  free (file->path);
  free (file);
}
