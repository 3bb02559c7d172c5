/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of keydir.c: the keys of a Tang server's folder, and what is made of
 * a folder that is not one.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <sys/stat.h>
#include <unistd.h>

#include <jose/jose.h>

#include "base/bounds.h"
#include "jose/ecmr.h"
#include "tang/keydir.h"
#include "testlib/testlib-jwe.h"

static void
cleanup_keydir (struct keydir **dir)
{
  keydir_free (*dir);
}

#define CLEANUP_KEYDIR __attribute__ ((cleanup (cleanup_keydir)))

/* A new, empty folder. */
static const char *
new_folder (void)
{
  static int n;
  const char *path = tmp_path ("keydir%d", n++);

  assert_int_equal (mkdir (path, 0700), 0);
  return path;
}

static void
put (const char *folder, const char *name, const json_t *json)
{
  CLEANUP_FREE char *text = json_dumps (json, 0), *path = NULL;

  assert_int_not_equal (asprintf (&path, "%s/%s", folder, name), -1);
  write_file (path, text, strlen (text));
}

static struct keydir *
opened (const char *folder)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct keydir *dir = keydir_open (folder, &err);

  assert_no_error (&err);
  assert_non_null (dir);
  return dir;
}

static void
assert_not_opened (const char *folder, enum clevis_code code,
                   const char *message)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_KEYDIR struct keydir *dir = keydir_open (folder, &err);

  assert_null (dir);
  assert_error (&err, code, message);
}

/* K is s·C, and in locked memory. */
static void
assert_exchanges (const struct keydir *dir, const json_t *key,
                  const char *alg)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_FREE char *kid = thumbprint (key, alg);
  CLEANUP_JSON json_t *c = tang_key (json_string_value (
    json_object_get (key, "crv")));
  CLEANUP_JSON json_t *epk = ecmr_public (c, "epk", CLEVIS_ERR_TOKEN, &err);
  CLEANUP_JSON json_t *expected = tang_answer (key, epk), *k = NULL;
  const char *x;

  assert_true (keydir_has (dir, kid));
  k = keydir_exchange (dir, kid, epk, &err);
  assert_no_error (&err);
  x = json_string_value (json_object_get (k, "x"));
  assert_string_equal (x, json_string_value (json_object_get (expected,
                                                              "x")));
  assert_true (secret_has (x));
}

static void
test_exchange (void **state)
{
  static const char *const curves[] = { "P-256", "P-384", "P-521" };
  const char *folder = new_folder ();
  CLEANUP_KEYDIR struct keydir *dir = NULL;
  json_t *keys[3];
  char name[16];
  size_t i;

  for (i = 0; i < 3; ++i) {
    keys[i] = tang_key (curves[i]);
    /* Keys that were rotated away have a dot before their name. */
    snprintf (name, sizeof name, "%s%zu.jwk", i % 2 ? "." : "", i);
    put (folder, name, keys[i]);
  }
  dir = opened (folder);
  for (i = 0; i < 3; ++i) {
    assert_exchanges (dir, keys[i], "S256");
    assert_exchanges (dir, keys[i], "S1");
    json_decref (keys[i]);
  }
}

static void
test_folder_of_tangd_keygen (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_KEYDIR struct keydir *dir = NULL;
  CLEANUP_FREE char *kid = NULL;

  require_program ("tangd-keygen");
  require_program ("jose");
  shell ("tangd-keygen '%s'", folder);
  kid = shell_output ("cd '%s'\nfor f in *.jwk; do\n"
                      "  if jose jwk use -i $f -r -u deriveKey; then\n"
                      "    jose jwk thp -a S256 -i $f\n  fi\ndone", folder);
  dir = opened (folder);
  assert_true (keydir_has (dir, kid));
}

static void
test_key_that_is_not_there (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *folder = new_folder ();
  CLEANUP_JSON json_t *key = tang_key ("P-256"), *other = tang_key ("P-256");
  CLEANUP_FREE char *kid = thumbprint (other, "S256");
  CLEANUP_KEYDIR struct keydir *dir = NULL;

  put (folder, "a.jwk", key);
  dir = opened (folder);
  assert_false (keydir_has (dir, kid));
  assert_false (keydir_has (dir, "x"));
  assert_null (keydir_exchange (dir, kid, other, &err));
  assert_error (&err, CLEVIS_ERR_NO_KEY, "does not have the key");
}

static void
test_point_of_another_curve (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *folder = new_folder ();
  CLEANUP_JSON json_t *key = tang_key ("P-256"), *c = tang_key ("P-384");
  CLEANUP_JSON json_t *epk = ecmr_public (c, "epk", CLEVIS_ERR_TOKEN, &err);
  CLEANUP_FREE char *kid = thumbprint (key, "S256");
  CLEANUP_KEYDIR struct keydir *dir = NULL;

  put (folder, "a.jwk", key);
  dir = opened (folder);
  assert_null (keydir_exchange (dir, kid, epk, &err));
  assert_error (&err, CLEVIS_ERR_TOKEN, "not a point of the key's curve");
}

/* A folder has other files, too: signing keys, public keys, notes. */
static void
test_other_files_are_passed_over (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_JSON json_t *key = tang_key ("P-256");
  CLEANUP_JSON json_t *public = public_part (key);
  CLEANUP_JSON json_t *signing = json_pack ("{s:s}", "alg", "ES256");
  CLEANUP_JSON json_t *text = json_pack ("[s]", "x");
  CLEANUP_KEYDIR struct keydir *dir = NULL;

  assert_true (jose_jwk_gen (NULL, signing));
  put (folder, "a.jwk", key);
  put (folder, "b.jwk", public);
  put (folder, "c.jwk", signing);
  put (folder, "notes.txt", text);
  put (folder, "jwk", text);
  put (folder, ".jwk", text);
  dir = opened (folder);
  assert_exchanges (dir, key, "S256");
}

static void
test_no_such_folder (void **state)
{
  assert_not_opened (tmp_path ("nowhere"), CLEVIS_ERR_SYSTEM, "No such file");
}

static void
test_file_instead_of_folder (void **state)
{
  const char *file = tmp_path ("file");

  write_file (file, "x", 1);
  assert_not_opened (file, CLEVIS_ERR_SYSTEM, "Not a directory");
}

static void
test_empty_folder (void **state)
{
  assert_not_opened (new_folder (), CLEVIS_ERR_TOKEN, "no exchange key");
}

static void
test_only_signing_keys (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_JSON json_t *signing = json_pack ("{s:s}", "alg", "ES512");

  assert_true (jose_jwk_gen (NULL, signing));
  put (folder, "a.jwk", signing);
  assert_not_opened (folder, CLEVIS_ERR_TOKEN, "no exchange key");
}

static void
test_files_that_are_no_keys (void **state)
{
  static const char *const texts[] = {
    "", "x", "[]", "null", "{\"kty\":", "{\"a\":1,\"a\":2}", "\xff\xfe",
  };
  size_t i;

  for (i = 0; i < sizeof texts / sizeof texts[0]; ++i) {
    const char *folder = new_folder ();
    CLEANUP_FREE char *path = NULL;

    assert_int_not_equal (asprintf (&path, "%s/bad.jwk", folder), -1);
    write_file (path, texts[i], strlen (texts[i]));
    assert_not_opened (folder, CLEVIS_ERR_TOKEN, "bad.jwk is not a JWK");
  }
}

static void
test_key_on_an_unknown_curve (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_JSON json_t *key = tang_key ("P-256");

  json_object_set_new (key, "crv", json_string ("secp256k1"));
  put (folder, "a.jwk", key);
  assert_not_opened (folder, CLEVIS_ERR_TOKEN, "a.jwk is not a key on");
}

static void
test_large_file (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_FREE char *path = NULL, *text = malloc (BOUND_KEY_FILE + 1);

  memset (text, ' ', BOUND_KEY_FILE + 1);
  assert_int_not_equal (asprintf (&path, "%s/large.jwk", folder), -1);
  write_file (path, text, BOUND_KEY_FILE + 1);
  assert_not_opened (folder, CLEVIS_ERR_LIMIT, "large.jwk is not a file");
}

/* Neither waits for somebody to write to it. */
static void
test_pipe_and_folder (void **state)
{
  const char *folder = new_folder (), *other = new_folder ();
  CLEANUP_FREE char *pipe = NULL, *dir = NULL;

  assert_int_not_equal (asprintf (&pipe, "%s/pipe.jwk", folder), -1);
  assert_int_equal (mkfifo (pipe, 0600), 0);
  assert_not_opened (folder, CLEVIS_ERR_LIMIT, "pipe.jwk is not a file");
  assert_int_not_equal (asprintf (&dir, "%s/dir.jwk", other), -1);
  assert_int_equal (mkdir (dir, 0700), 0);
  assert_not_opened (other, CLEVIS_ERR_LIMIT, "dir.jwk is not a file");
}

static void
test_free_of_null (void **state)
{
  keydir_free (NULL);
}

int
main (void)
{
  const struct CMUnitTest keydir[] = {
    cmocka_unit_test (test_exchange),
    cmocka_unit_test (test_folder_of_tangd_keygen),
    cmocka_unit_test (test_key_that_is_not_there),
    cmocka_unit_test (test_point_of_another_curve),
    cmocka_unit_test (test_other_files_are_passed_over),
    cmocka_unit_test (test_no_such_folder),
    cmocka_unit_test (test_file_instead_of_folder),
    cmocka_unit_test (test_empty_folder),
    cmocka_unit_test (test_only_signing_keys),
    cmocka_unit_test (test_files_that_are_no_keys),
    cmocka_unit_test (test_key_on_an_unknown_curve),
    cmocka_unit_test (test_large_file),
    cmocka_unit_test (test_pipe_and_folder),
    cmocka_unit_test (test_free_of_null),
  };

  return run_unit_tests (keydir);
}
