/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of luks-prepare.c: after it, behind a closed door, headers are read,
 * keyslots tried and quick headers made, and nothing is wanted from outside.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "luks/luks-quick.h"
#include "luks/verify.h"
#include "testlib/testlib-jwe.h"
#include "testlib/testlib-luks.h"
#include "testlib/testlib-watch.h"

/* The devices.  Each is bound by keyslot 1, with the passphrase "one".  Two have
 * a digest of an eighth of a second, so that there is work for the quick header.
 */
enum { LUKS1, LUKS2, CBC, ARGON2ID, ARGON2I, NR_DEVICES };

static struct {
  const char *format, *add; /* options of cryptsetup */
  const char *file;
  char *data;
  size_t len;
} devices[NR_DEVICES] = {
  [LUKS1] = { "luks1 --iter-time 1", "--iter-time 1" },
  [LUKS2] = { "luks2 --iter-time 1", "--pbkdf pbkdf2 --iter-time 1" },
  [CBC] = { "luks1 --pbkdf-force-iterations 1000 -c aes-cbc-essiv:sha256",
            "--pbkdf-force-iterations 1000" },
  [ARGON2ID] = { "luks2 --pbkdf-force-iterations 1000",
                 "--pbkdf argon2id --pbkdf-memory 1024 --pbkdf-parallel 4 "
                 "--pbkdf-force-iterations 4" },
  [ARGON2I] = { "luks2 --pbkdf-force-iterations 1000",
                "--pbkdf argon2i --pbkdf-memory 1024 --pbkdf-parallel 1 "
                "--pbkdf-force-iterations 4" },
};

/* They are made by another process, so that nothing is prepared by that. */
static void
make_devices (void **state)
{
  CLEANUP_JSON json_t *jwe = encrypt_null ("x", 1);
  size_t i;

  shell ("echo -n zero > zero; echo -n one > one");
  for (i = 0; i < NR_DEVICES; ++i) {
    shell ("truncate -s 20M '%s'\n"
           "cryptsetup luksFormat -q --pbkdf pbkdf2 -s 256 -d zero "
           "--type %s '%s'\n"
           "cryptsetup luksAddKey -q -S 1 -d zero %s '%s' one",
           devices[i].file, devices[i].format, devices[i].file,
           devices[i].add, devices[i].file);
    bind_luks (devices[i].file, 1, jwe);
  }
}

static int
run_make_devices (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (make_devices),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}

static void
test_make_devices (void **state)
{
  size_t i;

  for (i = 0; i < NR_DEVICES; ++i)
    devices[i].file = tmp_path ("device%zu.img", i);
  assert_int_equal (in_child (run_make_devices), 0);
  for (i = 0; i < NR_DEVICES; ++i)
    devices[i].data = read_file (devices[i].file, &devices[i].len);
}

/* What is done behind the door.  Nothing that this program has done before
 * needs any of it.
 */

static struct luks *
load (const char *data, size_t len, enum luks_state *state,
      struct clevis_error *err)
{
  struct luks *luks = luks_new ("/dev/test", len);
  struct luks_extent ext;
  size_t n;

  while ((*state = luks_next (luks, &ext, err)) == LUKS_NEED) {
    n = ext.offset >= len ? 0
      : ext.length < len - ext.offset ? ext.length : len - ext.offset;
    assert_int_equal (luks_supply (luks, ext.offset, data + ext.offset, n,
                                   err), 0);
  }
  return luks;
}

static void
cleanup_luks (struct luks **luks)
{
  luks_free (*luks);
}

#define CLEANUP_LUKS __attribute__ ((cleanup (cleanup_luks)))

static struct luks *
ready (int device)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  enum luks_state s;
  struct luks *luks = load (devices[device].data, devices[device].len, &s,
                            &err);

  assert_no_error (&err);
  assert_int_equal (s, LUKS_READY);
  return luks;
}

static void
check_device (int device)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_LUKS struct luks *luks = ready (device);
  CLEANUP_SECRET struct secret *passphrase = secret_copy ("one", 3);
  struct luks_extent ext[LUKS_QUICK_EXTENTS];
  const struct luks_token *t;
  size_t n;

  t = luks_tokens (luks, &n);
  assert_int_equal (n, 1);
  assert_non_null (t[0].jwe);
  luks_verify (luks, 1, passphrase, &err);
  assert_no_error (&err);
  luks_quick (luks, 1, passphrase, ext, &err);
  assert_no_error (&err);
}

static void
do_luks1 (void **state)
{
  check_device (LUKS1);
}

static void
do_luks2 (void **state)
{
  check_device (LUKS2);
}

static void
do_cbc (void **state)
{
  check_device (CBC);
}

static void
do_argon2id (void **state)
{
  check_device (ARGON2ID);
}

static void
do_argon2i (void **state)
{
  check_device (ARGON2I);
}

static void
do_wrong_passphrase (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_LUKS struct luks *luks = ready (ARGON2ID);
  CLEANUP_SECRET struct secret *passphrase = secret_copy ("two", 3);

  assert_int_equal (luks_verify (luks, 1, passphrase, &err), -1);
  assert_error (&err, CLEVIS_ERR_PASSPHRASE, "not accept");
}

/* Messages are ours, libcryptsetup's and the C library's. */
static void
do_damaged (void **state)
{
  size_t i;

  for (i = 0; i < NR_DEVICES; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    CLEANUP_FREE char *data = malloc (devices[i].len);
    CLEANUP_LUKS struct luks *luks = NULL;
    enum luks_state s;

    memcpy (data, devices[i].data, devices[i].len);
    memset (data + 100, 'x', 64 * 1024);
    luks = load (data, devices[i].len, &s, &err);
    assert_int_equal (s, LUKS_ERROR);
    assert_int_not_equal (err.code, CLEVIS_OK);
  }
  assert_non_null (strerror (ENOENT));
}

static void
wakeup (void *opaque)
{
}

/* In a thread of verify.c. */
static void
do_thread (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_LUKS struct luks *luks = ready (ARGON2ID);
  CLEANUP_SECRET struct secret *passphrase = secret_copy ("one", 3);
  struct verifier *v = verifier_new (wakeup, NULL, &err);
  struct verify_account account = { .allowed = 1000 };
  const int slot = 1;
  struct verify_job job = {
    .luks = luks, .keyslots = &slot, .nr_keyslots = 1,
    .passphrase = passphrase, .account = &account,
  };

  assert_int_equal (verifier_submit (v, &job, &err), 0);
  while (verifier_next (v) == NULL)
    usleep (1000);
  verifier_free (v);
  assert_no_error (&job.error);
  assert_int_equal (job.keyslot, 1);
}

/* Nothing was wanted. */
static int
teardown (void **state)
{
  const char *seen = watch_seen ();

  if (seen)
    print_error ("wanted from outside: %s\n", seen);
  return seen ? -1 : 0;
}

#define BEHIND_THE_DOOR(test) cmocka_unit_test_teardown (test, teardown)

static int
run_prepared (void)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const struct CMUnitTest behind_the_door[] = {
    BEHIND_THE_DOOR (do_luks1),
    BEHIND_THE_DOOR (do_luks2),
    BEHIND_THE_DOOR (do_cbc),
    BEHIND_THE_DOOR (do_argon2id),
    BEHIND_THE_DOOR (do_argon2i),
    BEHIND_THE_DOOR (do_wrong_passphrase),
    BEHIND_THE_DOOR (do_damaged),
    BEHIND_THE_DOOR (do_thread),
  };

  /* With messages to be looked for. */
  setlocale (LC_ALL, "");
  if (luks_prepare (&err) == -1 || watch_start () == -1)
    return 77;
  return cmocka_run_group_tests (behind_the_door, NULL, NULL);
}

static void
test_prepared (void **state)
{
  assert_in_child (run_prepared);
}

/* The watchman is awake: he lets a memory file pass, nothing else, and sees
 * what libcryptsetup wants if it was not prepared.
 */
static void
do_unprepared (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const int memory = memfd_create ("test", MFD_CLOEXEC);
  enum luks_state s;
  char path[64];
  int fd;

  snprintf (path, sizeof path, "/proc/self/fd/%d", memory);
  fd = open (path, O_RDONLY | O_CLOEXEC);
  assert_true (fd >= 0);
  assert_null (watch_seen ());
  close (fd);
  close (memory);

  assert_int_equal (open ("/dev/null", O_RDONLY | O_CLOEXEC), -1);
  assert_int_equal (errno, EACCES);
  assert_contains (watch_seen (), "/dev/null");
  assert_int_equal (socket (AF_UNIX, SOCK_STREAM, 0), -1);
  assert_string_equal (watch_seen (), "socket");

  luks_free (load (devices[LUKS2].data, devices[LUKS2].len, &s, &err));
  assert_int_equal (s, LUKS_ERROR);
  assert_contains (watch_seen (), "/dev/urandom");
}

static int
run_unprepared (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (do_unprepared),
  };

  switch (watch_start ()) {
  case 0: return cmocka_run_group_tests (tests, NULL, NULL);
  case 1: return 0;
  default: return 77;
  }
}

static void
test_unprepared (void **state)
{
  assert_in_child (run_unprepared);
}

int
main (void)
{
  const struct CMUnitTest luks_prepare[] = {
    cmocka_unit_test (test_make_devices),
    cmocka_unit_test (test_unprepared),
    cmocka_unit_test (test_prepared),
  };
  const int r = run_unit_tests (luks_prepare);
  size_t i;

  for (i = 0; i < NR_DEVICES; ++i)
    free (devices[i].data);
  return r;
}
