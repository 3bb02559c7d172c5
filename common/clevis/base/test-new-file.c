/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of new-file.c: a file is there whole or not at all, for its owner
 * only, and nothing is replaced unless that was said.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/new-file.h"

/* Each test has a folder of its own. */
static const char *
new_folder (void)
{
  static int n;
  const char *path = tmp_path ("folder%d", n++);

  assert_int_equal (mkdir (path, 0700), 0);
  return path;
}

static char *
path_in (const char *folder, const char *name)
{
  char *path;

  assert_int_not_equal (asprintf (&path, "%s/%s", folder, name), -1);
  return path;
}

static size_t
count_files (const char *folder)
{
  DIR *dir = opendir (folder);
  size_t n = 0;

  assert_non_null (dir);
  while (readdir (dir))
    n++;
  closedir (dir);
  return n - 2;                 /* "." and ".." */
}

static void
assert_contents (const char *path, const char *expected)
{
  CLEANUP_FREE char *text = read_file (path, NULL);

  assert_string_equal (text, expected);
}

static struct new_file *
written (const char *path, bool replace, const char *text)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct new_file *file = new_file_open (path, replace, &err);

  assert_no_error (&err);
  assert_int_equal (write (new_file_fd (file), text, strlen (text)),
                    strlen (text));
  return file;
}

static void
test_commit (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *folder = new_folder ();
  CLEANUP_FREE char *path = path_in (folder, "file");
  struct new_file *file = written (path, false, "text");

  assert_int_equal (access (path, F_OK), -1);
  assert_int_equal (new_file_commit (file, &err), 0);
  assert_contents (path, "text");
  new_file_close (file);
  assert_contents (path, "text");
  assert_int_equal (count_files (folder), 1);
}

static void
test_mode (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_FREE char *path = path_in (new_folder (), "file");
  mode_t mask = umask (0);
  struct new_file *file = written (path, false, "text");
  struct stat st;

  umask (mask);
  assert_int_equal (fstat (new_file_fd (file), &st), 0);
  assert_int_equal (st.st_mode & 07777, 0600);
  assert_int_equal (fcntl (new_file_fd (file), F_GETFD) & FD_CLOEXEC,
                    FD_CLOEXEC);
  assert_int_equal (new_file_commit (file, &err), 0);
  new_file_close (file);
  assert_int_equal (stat (path, &st), 0);
  assert_int_equal (st.st_mode & 07777, 0600);
}

static void
test_close_without_commit (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_FREE char *path = path_in (folder, "file");

  new_file_close (written (path, false, "text"));
  new_file_close (NULL);
  assert_int_equal (count_files (folder), 0);
}

static void
test_existing_file_is_not_replaced (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *folder = new_folder ();
  CLEANUP_FREE char *path = path_in (folder, "file");

  write_file (path, "old", 3);
  assert_null (new_file_open (path, false, &err));
  assert_error (&err, CLEVIS_ERR_SYSTEM, "exists");
  assert_int_equal (err.sys_errno, EEXIST);
  assert_contains (err.hint, "--force");
  assert_contents (path, "old");
  assert_int_equal (count_files (folder), 1);
}

/* Somebody else makes the file in the meantime. */
static void
test_file_that_appears_is_not_replaced (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *folder = new_folder ();
  CLEANUP_FREE char *path = path_in (folder, "file");
  struct new_file *file = written (path, false, "new");

  write_file (path, "theirs", 6);
  assert_int_equal (new_file_commit (file, &err), -1);
  assert_error (&err, CLEVIS_ERR_SYSTEM, "exists");
  new_file_close (file);
  assert_contents (path, "theirs");
  assert_int_equal (count_files (folder), 1);
}

static void
test_existing_file_is_replaced_if_wanted (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *folder = new_folder ();
  CLEANUP_FREE char *path = path_in (folder, "file");
  struct new_file *file;
  struct stat st;

  write_file (path, "old and longer", 14);
  assert_int_equal (chmod (path, 0644), 0);
  file = written (path, true, "new");
  assert_contents (path, "old and longer");
  assert_int_equal (new_file_commit (file, &err), 0);
  new_file_close (file);
  assert_contents (path, "new");
  assert_int_equal (stat (path, &st), 0);
  assert_int_equal (st.st_mode & 07777, 0600);
  assert_int_equal (count_files (folder), 1);
}

/* What a symbolic link points to is neither made nor changed. */
static void
test_symbolic_links (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_ERROR struct clevis_error none = CLEVIS_ERROR_INIT;
  const char *folder = new_folder ();
  CLEANUP_FREE char *path = path_in (folder, "link");
  CLEANUP_FREE char *target = path_in (folder, "target");
  struct new_file *file;
  struct stat st;

  assert_int_equal (symlink (target, path), 0);
  assert_null (new_file_open (path, false, &err));
  assert_error (&err, CLEVIS_ERR_SYSTEM, "exists");
  assert_int_equal (access (target, F_OK), -1);

  write_file (target, "theirs", 6);
  file = written (path, true, "new");
  assert_int_equal (new_file_commit (file, &none), 0);
  new_file_close (file);
  assert_contents (target, "theirs");
  assert_int_equal (lstat (path, &st), 0);
  assert_true (S_ISREG (st.st_mode));
}

static void
test_folder_that_is_missing (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_FREE char *path = path_in (tmp_path ("nowhere"), "file");

  assert_null (new_file_open (path, false, &err));
  assert_error (&err, CLEVIS_ERR_SYSTEM, "No such file");
}

/* Root may write anywhere but to what takes no files at all. */
static void
test_folder_that_takes_no_files (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  assert_null (new_file_open ("/proc/self/file", true, &err));
  assert_int_equal (err.code, CLEVIS_ERR_SYSTEM);
  assert_contains (err.message, "/proc/self/file");
}

static void
test_path_without_folder (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *folder = new_folder ();
  CLEANUP_CLOSE int before = open (".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  struct new_file *file;

  assert_int_equal (chdir (folder), 0);
  file = written ("file", false, "text");
  assert_int_equal (new_file_commit (file, &err), 0);
  new_file_close (file);
  assert_contents ("file", "text");
  assert_int_equal (fchdir (before), 0);
}

int
main (void)
{
  const struct CMUnitTest new_file[] = {
    cmocka_unit_test (test_commit),
    cmocka_unit_test (test_mode),
    cmocka_unit_test (test_close_without_commit),
    cmocka_unit_test (test_existing_file_is_not_replaced),
    cmocka_unit_test (test_file_that_appears_is_not_replaced),
    cmocka_unit_test (test_existing_file_is_replaced_if_wanted),
    cmocka_unit_test (test_symbolic_links),
    cmocka_unit_test (test_folder_that_is_missing),
    cmocka_unit_test (test_folder_that_takes_no_files),
    cmocka_unit_test (test_path_without_folder),
  };

  return run_unit_tests (new_file);
}
