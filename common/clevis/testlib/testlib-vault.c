/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What is done with a vault again and again.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/clock.h"
#include "testlib/testlib-vault.h"

struct vault *
new_vault (void)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct vault *v = vault_new (!in_valgrind (), &err);

  assert_no_error (&err);
  assert_non_null (v);
  return v;
}

struct vault_luks *
vault_load (struct vault *v, const char *file, const char *device,
            enum luks_state *state, struct clevis_error *err)
{
  CLEANUP_FREE char *data = NULL;
  struct vault_luks *luks;
  struct luks_extent ext;
  size_t size, len;

  data = read_file (file, &size);
  *state = LUKS_ERROR;
  luks = vault_luks_new (v, device, size, err);
  if (luks == NULL)
    return NULL;
  while ((*state = vault_luks_next (luks, &ext, err)) == LUKS_NEED) {
    assert_in_range (ext.length, 1, BOUND_EXTENT);
    len = ext.offset >= size ? 0
      : ext.length < size - ext.offset ? ext.length : size - ext.offset;
    if (vault_luks_supply (luks, ext.offset, data + (len ? ext.offset : 0),
                           len, err) == -1) {
      *state = LUKS_ERROR;
      break;
    }
  }
  return luks;
}

struct vault_luks *
vault_ready_luks (struct vault *v, const char *file, const char *device)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  enum luks_state state;
  struct vault_luks *luks = vault_load (v, file, device, &state, &err);

  assert_no_error (&err);
  assert_int_equal (state, LUKS_READY);
  return luks;
}

int
vault_finish_run (struct vault_run *run, struct clevis_error *err)
{
  int r;

  while ((r = vault_run_step (run, 1000, err)) == 1)
    ;
  return r;
}

void
assert_vault_key (struct vault_key *key, const char *text)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_SECRET struct secret *secret = NULL;

  assert_non_null (key);
  secret = vault_key_lend (key, &err);
  assert_no_error (&err);
  assert_secret (secret, text, strlen (text));
}

struct vault_key *
key_of_file (struct vault *v, const char *text)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *file = tmp_path ("key");
  CLEANUP_CLOSE int fd = -1;
  struct vault_key *key;

  write_file (file, text, strlen (text));
  fd = open (file, O_RDONLY | O_CLOEXEC);
  assert_true (fd >= 0);
  unlink (file);
  key = vault_key_read (v, fd, &err);
  assert_no_error (&err);
  return key;
}

struct vault_key *
key_of_pipe (struct vault *v, const char *text)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct vault_key *key;
  int fds[2];

  assert_int_equal (pipe2 (fds, O_CLOEXEC), 0);
  assert_int_equal (write (fds[1], text, strlen (text)), strlen (text));
  close (fds[1]);
  key = vault_key_read (v, fds[0], &err);
  close (fds[0]);
  assert_no_error (&err);
  return key;
}

/* Those whose parent has ended become ours. */
void
watch_children (void)
{
  assert_int_equal (prctl (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
}

void
assert_no_children (void)
{
  const double until = clock_now () + 20 * time_factor ();
  pid_t pid;

  while ((pid = waitpid (-1, NULL, WNOHANG)) != -1) {
    if (clock_now () > until)
      fail_msg ("a process is still there");
    if (pid == 0)
      poll (NULL, 0, 5);
  }
  assert_int_equal (errno, ECHILD);
}
