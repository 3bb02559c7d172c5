/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The folder of --tang-share as files and locks; see share-folder.h.
 *
 * Locks are open file description locks: each place of a process has its own,
 * they work over NFS, and the kernel frees them however a process dies.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "tang/share-folder.h"

#define OPTION "--tang-share "

/* The file whose bytes are locked. */
#define LOCKS "locks"

/* A byte that is locked for a moment, to see whether that can be done. */
#define BYTE_OF_TEST (UINT64_C (1) << 62)

/* No link is followed, and a fifo does not block. */
#define SAFELY (O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

/* Is it ours, or root's, and can only such write to it? */
static bool
is_private (const struct stat *st)
{
  return (st->st_uid == geteuid () || st->st_uid == 0) &&
    (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* Why a folder is not taken, if it is not. */
static int
check_folder (int fd, const char *path, struct clevis_error *err)
{
  struct stat st;

  if (fstat (fd, &st) == -1)
    return clevis_error_errno (err, errno, OPTION "%s", path);
  if (st.st_uid != geteuid () && st.st_uid != 0) {
    clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                      _("--tang-share %s: the folder belongs to another user"),
                      path);
    clevis_error_hint (err, _("What is in it would be believed.  Name a "
                              "folder of your own, or one that is not "
                              "there."));
    return -1;
  }
  if (is_private (&st))
    return 0;
  clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                    _("--tang-share %s: others may write to the folder"), path);
  clevis_error_hint (err, _("What is in it would be believed.  Try: "
                            "chmod go-w %s"), path);
  return -1;
}

/* Make and open a folder. */
static int
enter (int folder, const char *name, const char *path,
       struct clevis_error *err)
{
  CLEANUP_CLOSE int fd = -1;
  int r;

  if (mkdirat (folder, name, 0700) == -1 && errno != EEXIST)
    return clevis_error_errno (err, errno, OPTION "%s", path);
  fd = openat (folder, name, O_RDONLY | O_DIRECTORY | SAFELY);
  if (fd == -1) {
    /* Of a link Linux says that it is no folder. */
    clevis_error_errno (err, errno, OPTION "%s", path);
    return -1;
  }
  if (check_folder (fd, path, err) == -1)
    return -1;
  r = fd;
  fd = -1;
  return r;
}

/* A lock on one byte.  Returns as fcntl. */
static int
lock_byte (int fd, int cmd, struct flock *lock, short type, uint64_t byte)
{
  *lock = (struct flock) {
    .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t) byte, .l_len = 1,
  };
  return fcntl (fd, cmd, lock);
}

static int
try_lock (const struct share_place *place, short type, uint64_t byte)
{
  struct flock lock;

  if (lock_byte (place->locks, F_OFD_SETLK, &lock, type, byte) == 0)
    return 1;
  return errno == EAGAIN || errno == EACCES ? 0 : -1;
}

int
share_lock (const struct share_place *place, uint64_t byte)
{
  return try_lock (place, F_WRLCK, byte);
}

int
share_lock_together (const struct share_place *place, uint64_t byte)
{
  return try_lock (place, F_RDLCK, byte);
}

void
share_unlock (const struct share_place *place, uint64_t byte)
{
  struct flock lock;

  lock_byte (place->locks, F_OFD_SETLK, &lock, F_UNLCK, byte);
}

bool
share_is_locked (const struct share_place *place, uint64_t byte)
{
  struct flock lock;

  return lock_byte (place->locks, F_OFD_GETLK, &lock, F_WRLCK, byte) == 0 &&
    lock.l_type != F_UNLCK;
}

/* Open the file of locks in a folder, and see whether it can be locked. */
static int
open_locks (int folder, const char *path, struct clevis_error *err)
{
  CLEANUP_CLOSE int fd = openat (folder, LOCKS, O_RDWR | O_CREAT | SAFELY,
                                 0600);
  struct flock lock;
  struct stat st;
  int r;

  if (fd == -1 || fstat (fd, &st) == -1)
    return clevis_error_errno (err, errno, OPTION "%s/" LOCKS, path);
  if (!S_ISREG (st.st_mode) || !is_private (&st))
    return clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                             _("--tang-share %s/locks: not a file that only you "
                               "may write to"), path);
  if (lock_byte (fd, F_OFD_GETLK, &lock, F_WRLCK, BYTE_OF_TEST) == -1 ||
      (lock_byte (fd, F_OFD_SETLK, &lock, F_RDLCK, BYTE_OF_TEST) == -1 &&
       errno != EAGAIN && errno != EACCES)) {
    clevis_error_errno (err, errno, _("--tang-share %s: files cannot be locked "
                                      "there"), path);
    clevis_error_hint (err, _("Name a folder on another file system: on this "
                              "one runs cannot take turns."));
    return -1;
  }
  lock_byte (fd, F_OFD_SETLK, &lock, F_UNLCK, BYTE_OF_TEST);
  r = fd;
  fd = -1;
  return r;
}

int
share_folder_open (const char *path, struct clevis_error *err)
{
  CLEANUP_FREE char *plain = strdup (path);
  CLEANUP_CLOSE int fd = -1, locks = -1;
  size_t len;
  int r;

  if (plain == NULL)
    return clevis_error_errno (err, errno, OPTION "%s", path);
  /* With a slash behind it, or a dot behind that, a link would be followed. */
  for (len = strlen (plain); len > 1; --len) {
    if (plain[len - 1] != '/' &&
        (plain[len - 1] != '.' || plain[len - 2] != '/'))
      break;
    plain[len - 1] = '\0';
  }
  fd = enter (AT_FDCWD, plain, plain, err);
  if (fd == -1)
    return -1;
  locks = open_locks (fd, plain, err);
  if (locks == -1)
    return -1;
  r = fd;
  fd = -1;
  return r;
}

int
share_place_open (struct share_place *place, int folder, const char *path,
                  const char *name, struct clevis_error *err)
{
  CLEANUP_FREE char *whole = NULL;

  place->fd = place->locks = -1;
  if (asprintf (&whole, "%s/%s", path, name) == -1) {
    whole = NULL;
    return clevis_error_errno (err, ENOMEM, OPTION "%s", path);
  }
  place->fd = enter (folder, name, whole, err);
  if (place->fd != -1)
    place->locks = open_locks (place->fd, whole, err);
  if (place->locks != -1)
    return 0;
  share_place_close (place);
  return -1;
}

void
share_place_close (struct share_place *place)
{
  if (place->fd != -1)
    close (place->fd);
  if (place->locks != -1)
    close (place->locks);
  place->fd = place->locks = -1;
}

long
share_read (const struct share_place *place, const char *name, char *data,
            size_t size, double *age)
{
  CLEANUP_CLOSE int fd = openat (place->fd, name, O_RDONLY | SAFELY);
  struct timespec now;
  struct stat st;
  size_t len = 0;
  ssize_t n = 1;

  if (fd == -1 || fstat (fd, &st) == -1 || !S_ISREG (st.st_mode) ||
      !is_private (&st) || st.st_size < 0 || (uint64_t) st.st_size > size)
    return -1;
  while (len < (size_t) st.st_size && n > 0) {
    n = read (fd, data + len, (size_t) st.st_size - len);
    if (n > 0)
      len += n;
  }
  clock_gettime (CLOCK_REALTIME, &now);
  *age = difftime (now.tv_sec, st.st_mtim.tv_sec) +
    (now.tv_nsec - st.st_mtim.tv_nsec) / 1e9;
  return len == (size_t) st.st_size ? (long) len : -1;
}

/* What is left of a run that was killed while it wrote is written over. */
static int
write_new (const struct share_place *place, const char *name,
           const char *data, size_t len)
{
  CLEANUP_CLOSE int fd = openat (place->fd, name,
                                 O_WRONLY | O_CREAT | SAFELY, 0600);
  struct stat st;
  size_t done = 0;
  ssize_t n = 1;

  if (fd == -1 || fstat (fd, &st) == -1 || !S_ISREG (st.st_mode) ||
      !is_private (&st) || ftruncate (fd, 0) == -1)
    return -1;
  while (done < len && n > 0) {
    n = write (fd, data + done, len - done);
    if (n > 0)
      done += n;
  }
  return done == len ? 0 : -1;
}

int
share_write (const struct share_place *place, const char *name,
             const char *data, size_t len)
{
  CLEANUP_FREE char *new = NULL;

  if (asprintf (&new, ".%s", name) == -1) {
    new = NULL;
    return -1;
  }
  if (write_new (place, new, data, len) == 0 &&
      renameat (place->fd, new, place->fd, name) == 0)
    return 0;
  unlinkat (place->fd, new, 0);
  return -1;
}

void
share_remove (const struct share_place *place, const char *name)
{
  unlinkat (place->fd, name, 0);
}
