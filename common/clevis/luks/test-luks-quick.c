/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of luks-quick.c: with the changed extents written over a copy of the
 * device, libcryptsetup opens it with the recovered passphrase, by the right
 * keyslot first, at next to no cost, to the same volume key.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <limits.h>

#include <libcryptsetup.h>

#include "base/bounds.h"
#include "luks/luks-quick.h"
#include "testlib/testlib-jwe.h"
#include "testlib/testlib-luks.h"

static const char *const passphrases[] = { "admin", "one", "two", NULL };

static void
cleanup_luks (struct luks **luks)
{
  luks_free (*luks);
}

#define CLEANUP_LUKS __attribute__ ((cleanup (cleanup_luks)))

/* A device that is bound by a keyslot. */
static const char *
new_disk (int version, int keyslot)
{
  static int n;
  const char *file = tmp_path ("disk%d.img", n++);
  CLEANUP_JSON json_t *jwe = encrypt_null ("x", 1);

  if (version == 1)
    make_luks1 (file, passphrases);
  else
    make_luks2 (file, passphrases, 16 * KIB);
  bind_luks (file, keyslot, jwe);
  return file;
}

/* A device whose bound keyslot 1 is expensive: argon2id in a small way, or
 * pbkdf2 with many iterations.
 */
static const char *
expensive_disk (int version)
{
  const char *file = new_disk (version, 1);

  require_program ("cryptsetup");
  if (version == 2)
    shell ("echo -n one > pass\n"
           "cryptsetup luksConvertKey -q -S 1 -d pass --pbkdf argon2id "
           "--pbkdf-memory 32 --pbkdf-parallel 1 "
           "--pbkdf-force-iterations 4 '%s'", file);
  else
    shell ("echo -n one > pass\n"
           "cryptsetup luksChangeKey -q -S 1 -d pass "
           "--pbkdf-force-iterations 20000 '%s' pass", file);
  return file;
}

static void
verify (struct luks *luks, int keyslot)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *p = passphrases[keyslot];
  CLEANUP_SECRET struct secret *s = secret_copy (p, strlen (p));

  luks_verify (luks, keyslot, s, &err);
  assert_no_error (&err);
}

/* Make the quick header of a device; returns a copy of the device with it. */
static const char *
quick_copy (const char *file, int keyslot, uint64_t *changed)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_LUKS struct luks *luks = ready_luks (file);
  const char *copy = tmp_path ("copy.img"), *p = passphrases[keyslot];
  CLEANUP_SECRET struct secret *s = secret_copy (p, strlen (p));
  struct luks_extent ext[LUKS_QUICK_EXTENTS];
  CLEANUP_FREE char *data = NULL;
  size_t len;
  int i, n;

  verify (luks, keyslot);
  n = luks_quick (luks, keyslot, s, ext, &err);
  assert_no_error (&err);
  assert_in_range (n, 1, LUKS_QUICK_EXTENTS);
  data = read_file (file, &len);
  write_file (copy, data, len);
  *changed = 0;
  for (i = 0; i < n; ++i) {
    CLEANUP_FREE char *buf = malloc (ext[i].length);

    assert_in_range (ext[i].length, 1, BOUND_EXTENT);
    assert_int_equal (luks_quick_read (luks, &ext[i], buf, &err), 0);
    poke (copy, ext[i].offset, buf, ext[i].length);
    *changed += ext[i].length;
  }
  return copy;
}

static struct crypt_device *
open_device (const char *file)
{
  struct crypt_device *cd;

  assert_int_equal (crypt_init (&cd, file), 0);
  assert_int_equal (crypt_load (cd, CRYPT_LUKS, NULL), 0);
  return cd;
}

/* The keyslot that accepts a passphrase when none is named, or negative. */
static int
which_keyslot (struct crypt_device *cd, const char *passphrase)
{
  return crypt_activate_by_passphrase (cd, NULL, CRYPT_ANY_SLOT, passphrase,
                                       strlen (passphrase), 0);
}

static void
volume_key (struct crypt_device *cd, int keyslot, char key[32])
{
  const char *p = passphrases[keyslot];
  size_t len = 32;

  assert_true (crypt_volume_key_get (cd, keyslot, key, &len, p,
                                     strlen (p)) >= 0);
  assert_int_equal (len, 32);
}

static void
assert_same_volume_key (const char *a, const char *b, int keyslot)
{
  struct crypt_device *first = open_device (a), *second = open_device (b);
  char x[32], y[32];

  volume_key (first, keyslot, x);
  volume_key (second, keyslot, y);
  crypt_free (first);
  crypt_free (second);
  assert_memory_equal (x, y, 32);
}

static void
assert_iterations (struct crypt_device *cd, int keyslot, uint32_t iterations)
{
  struct crypt_pbkdf_type pbkdf;

  assert_int_equal (crypt_keyslot_get_pbkdf (cd, keyslot, &pbkdf), 0);
  assert_string_equal (pbkdf.type, CRYPT_KDF_PBKDF2);
  assert_int_equal (pbkdf.iterations, iterations);
}

static void
test_luks2_cheap_keyslot (void **state)
{
  const char *file = new_disk (2, 1);
  uint64_t changed;
  const char *copy = quick_copy (file, 1, &changed);
  struct crypt_device *cd = open_device (copy);

  assert_int_equal (changed, 32 * KIB);
  assert_int_equal (crypt_keyslot_get_priority (cd, 1),
                    CRYPT_SLOT_PRIORITY_PREFER);
  assert_int_equal (crypt_keyslot_get_priority (cd, 0),
                    CRYPT_SLOT_PRIORITY_NORMAL);
  assert_int_equal (which_keyslot (cd, "one"), 1);
  assert_int_equal (which_keyslot (cd, "two"), 2);
  crypt_free (cd);
  assert_same_volume_key (file, copy, 1);
}

static void
test_luks2_expensive_keyslot (void **state)
{
  const char *file = expensive_disk (2);
  uint64_t changed;
  const char *copy = quick_copy (file, 1, &changed);
  struct crypt_device *cd = open_device (copy);

  assert_int_equal (changed, 32 * KIB + 128 * KIB);
  assert_iterations (cd, 1, 1000);
  assert_int_equal (crypt_keyslot_get_priority (cd, 1),
                    CRYPT_SLOT_PRIORITY_PREFER);
  assert_int_equal (which_keyslot (cd, "one"), 1);
  assert_int_equal (which_keyslot (cd, "admin"), 0);
  crypt_free (cd);
  assert_same_volume_key (file, copy, 1);
}

/* Another keyslot that is preferred would come before it. */
static void
test_luks2_other_preferred_keyslot (void **state)
{
  const char *file = new_disk (2, 2), *copy;
  struct crypt_device *cd;
  uint64_t changed;

  require_program ("cryptsetup");
  shell ("cryptsetup config -q -S 0 --priority prefer '%s'", file);
  copy = quick_copy (file, 2, &changed);
  cd = open_device (copy);
  assert_int_equal (crypt_keyslot_get_priority (cd, 0),
                    CRYPT_SLOT_PRIORITY_NORMAL);
  assert_int_equal (crypt_keyslot_get_priority (cd, 2),
                    CRYPT_SLOT_PRIORITY_PREFER);
  crypt_free (cd);
}

static void
test_luks1_cheap_keyslot (void **state)
{
  const char *file = new_disk (1, 1);
  uint64_t changed;
  const char *copy = quick_copy (file, 1, &changed);
  struct crypt_device *cd = open_device (copy);

  assert_int_equal (changed, 1024);
  assert_int_equal (which_keyslot (cd, "one"), 1);
  assert_true (which_keyslot (cd, "admin") < 0);
  assert_int_equal (crypt_keyslot_status (cd, 0), CRYPT_SLOT_INACTIVE);
  assert_int_equal (crypt_keyslot_status (cd, 2), CRYPT_SLOT_INACTIVE);
  crypt_free (cd);
  assert_same_volume_key (file, copy, 1);
}

static void
test_luks1_expensive_keyslot (void **state)
{
  const char *file = expensive_disk (1);
  uint64_t changed;
  const char *copy = quick_copy (file, 1, &changed);
  struct crypt_device *cd = open_device (copy);

  assert_iterations (cd, 1, 1000);
  assert_int_equal (which_keyslot (cd, "one"), 1);
  crypt_free (cd);
  assert_same_volume_key (file, copy, 1);
}

/* A device with cheap keyslots and a digest as installers make it: of an eighth
 * of a second.
 */
static const char *
dear_digest (int version)
{
  const char *file = tmp_path ("digest%d.img", version);
  const char *size = version == 2 ? "--luks2-keyslots-size 1m" : "";
  CLEANUP_JSON json_t *jwe = encrypt_null ("x", 1);

  require_program ("cryptsetup");
  shell ("echo -n admin > admin; echo -n one > one; truncate -s 4M '%s'\n"
         "cryptsetup luksFormat -q --type luks%d --pbkdf pbkdf2 --iter-time 1 "
         "-s 256 %s -d admin '%s'\n"
         "cryptsetup luksAddKey -q --pbkdf pbkdf2 --iter-time 1 -S 1 "
         "-d admin '%s' one", file, version, size, file, file);
  bind_luks (file, 1, jwe);
  return file;
}

static int
digest_iterations (const char *file)
{
  CLEANUP_FREE char *n =
    shell_output ("cryptsetup luksDump '%s' |"
                  "sed -n -e 's/^MK iterations: *//p' "
                  "-e '/^Digests:/,$ s/.*Iterations: *//p'", file);

  return atoi (n);
}

static void
check_dear_digest (int version, uint64_t size)
{
  const char *file = dear_digest (version);
  uint64_t changed;
  const char *copy = quick_copy (file, 1, &changed);
  struct crypt_device *cd = open_device (copy);

  assert_int_equal (changed, size);
  assert_in_range (digest_iterations (file), 10001, INT_MAX);
  assert_int_equal (digest_iterations (copy), 1000);
  assert_int_equal (which_keyslot (cd, "one"), 1);
  assert_true (which_keyslot (cd, "wrong") < 0);
  crypt_free (cd);
  assert_same_volume_key (file, copy, 1);
}

static void
test_luks1_expensive_digest (void **state)
{
  check_dear_digest (1, 1024);
}

static void
test_luks2_expensive_digest (void **state)
{
  check_dear_digest (2, 32 * KIB);
}

/* The secondary header is as good as the primary one. */
static void
test_luks2_both_headers (void **state)
{
  uint64_t changed;
  const char *copy = quick_copy (dear_digest (2), 1, &changed);
  static const char zeroes[4096];
  struct crypt_device *cd;

  poke (copy, 0, zeroes, sizeof zeroes);
  cd = open_device (copy);
  assert_int_equal (which_keyslot (cd, "one"), 1);
  crypt_free (cd);
  assert_int_equal (digest_iterations (copy), 1000);
}

static void
test_is_quick (void **state)
{
  CLEANUP_LUKS struct luks *cheap = ready_luks (new_disk (2, 1));
  CLEANUP_LUKS struct luks *keyslot = ready_luks (expensive_disk (2));
  CLEANUP_LUKS struct luks *digest = ready_luks (dear_digest (2));

  assert_true (luks_is_quick (cheap));
  assert_false (luks_is_quick (keyslot));
  assert_false (luks_is_quick (digest));
}

/* Only what was verified can be made cheap. */
static void
test_expensive_keyslot_that_was_not_verified (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_LUKS struct luks *luks = ready_luks (expensive_disk (2));
  CLEANUP_SECRET struct secret *s = secret_copy ("one", 3);
  struct luks_extent ext[LUKS_QUICK_EXTENTS];

  assert_int_equal (luks_quick (luks, 1, s, ext, &err), -1);
  assert_error (&err, CLEVIS_ERR_HEADER, "was not verified");
}

static void
test_keyslot_that_does_not_exist (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_LUKS struct luks *luks = ready_luks (new_disk (2, 1));
  CLEANUP_SECRET struct secret *s = secret_copy ("one", 3);
  struct luks_extent ext[LUKS_QUICK_EXTENTS];

  assert_int_equal (luks_quick (luks, 7, s, ext, &err), -1);
  assert_error (&err, CLEVIS_ERR_HEADER, "does not exist");
}

/* The device itself is nobody's to change. */
static void
test_device_is_not_changed (void **state)
{
  const char *file = expensive_disk (2);
  CLEANUP_FREE char *before = NULL, *after = NULL;
  uint64_t changed;
  size_t len;

  before = read_file (file, &len);
  quick_copy (file, 1, &changed);
  after = read_file (file, &len);
  assert_memory_equal (before, after, len);
}

int
main (void)
{
  const struct CMUnitTest luks_quick[] = {
    cmocka_unit_test (test_luks2_cheap_keyslot),
    cmocka_unit_test (test_luks2_expensive_keyslot),
    cmocka_unit_test (test_luks2_other_preferred_keyslot),
    cmocka_unit_test (test_luks1_cheap_keyslot),
    cmocka_unit_test (test_luks1_expensive_keyslot),
    cmocka_unit_test (test_luks1_expensive_digest),
    cmocka_unit_test (test_luks2_expensive_digest),
    cmocka_unit_test (test_luks2_both_headers),
    cmocka_unit_test (test_is_quick),
    cmocka_unit_test (test_expensive_keyslot_that_was_not_verified),
    cmocka_unit_test (test_keyslot_that_does_not_exist),
    cmocka_unit_test (test_device_is_not_changed),
  };

  return run_unit_tests (luks_quick);
}
