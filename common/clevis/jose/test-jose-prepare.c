/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of jose-prepare.c: after it, behind a closed door, tokens are
 * decrypted, questions made, answers used and advertisements checked, and
 * nothing is wanted from outside.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <locale.h>

#include "jose/advert.h"
#include "jose/ecmr.h"
#include "jose/jose-prepare.h"
#include "jose/jwe.h"
#include "jose/shamir.h"
#include "jose/thumbprint.h"
#include "testlib/testlib-jwe.h"
#include "testlib/testlib-watch.h"

static const char *const curves[] = { "P-256", "P-384", "P-521" };
#define NR_CURVES (sizeof curves / sizeof curves[0])

/* A text in JSON: what a token and a server have. */
static char *fixtures;

/* It is made by another process, so that nothing is prepared by that. */
static const char *file;

static void
make_fixtures (void **state)
{
  CLEANUP_JSON json_t *all = json_array ();
  CLEANUP_FREE char *text = NULL;
  size_t i;

  for (i = 0; i < NR_CURVES; ++i) {
    CLEANUP_JSON json_t *key = tang_key (curves[i]);
    CLEANUP_FREE char *s256 = thumbprint (key, "S256");
    CLEANUP_FREE char *s1 = thumbprint (key, "S1");

    json_array_append_new (
      all, json_pack ("{s:O, s:s, s:s, s:o, s:o, s:o}", "key", key,
                      "S256", s256, "S1", s1,
                      "tang", encrypt_tang ("http://t", key, "secret", 6),
                      "null", encrypt_null ("secret", 6),
                      "adv", tang_advertisement (key, true)));
  }
  text = json_dumps (all, 0);
  write_file (file, text, strlen (text));
}

static int
run_make_fixtures (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (make_fixtures),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}

static void
test_make_fixtures (void **state)
{
  file = tmp_path ("fixtures.json");
  assert_int_equal (in_child (run_make_fixtures), 0);
  fixtures = read_file (file, NULL);
}

/* What is done behind the door.  Nothing that this program has done before
 * needs any of it.  That the watchman is awake is tested in
 * test-luks-prepare.c.
 */

static json_t *all;

static int
setup_group (void **state)
{
  all = json_loads (fixtures, 0, NULL);
  return all ? 0 : -1;
}

static int
teardown_group (void **state)
{
  json_decref (all);
  return secret_used () == 0 ? 0 : -1;
}

static const json_t *
fixture (size_t i, const char *name)
{
  const json_t *json = json_object_get (json_array_get (all, i), name);

  assert_non_null (json);
  return json;
}

static struct jwe *
parse (const json_t *json, const char *alg)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct jwe *jwe = jwe_parse (json, &err);

  assert_no_error (&err);
  jwe_check (jwe, alg, &err);
  assert_no_error (&err);
  return jwe;
}

static void
assert_decrypts (const struct jwe *jwe, const json_t *jwk)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_SECRET struct secret *plain = jwe_decrypt (jwe, jwk, &err);

  assert_no_error (&err);
  assert_secret (plain, "secret", 6);
}

/* ECDH-ES, with the key that an exchange yields. */
static void
check_tang (size_t i)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct jwe *jwe = parse (fixture (i, "tang"), "ECDH-ES");
  CLEANUP_JSON json_t *epk = NULL, *server = NULL, *eph = NULL, *x = NULL;
  CLEANUP_JSON json_t *y = NULL, *k = NULL;

  epk = ecmr_public (json_object_get (jwe->header, "epk"), "epk",
                     CLEVIS_ERR_TOKEN, &err);
  server = ecmr_public (fixture (i, "key"), "key", CLEVIS_ERR_TOKEN, &err);
  x = ecmr_blind (epk, &eph, &err);
  assert_no_error (&err);
  y = tang_answer (fixture (i, "key"), x);
  k = ecmr_unblind (server, eph, y, &err);
  assert_no_error (&err);
  assert_decrypts (jwe, k);
  jwe_free (jwe);
}

static void
do_tang (void **state)
{
  size_t i;

  for (i = 0; i < NR_CURVES; ++i)
    check_tang (i);
}

static void
do_random (void **state)
{
  size_t i;

  for (i = 0; i < NR_CURVES; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    CLEANUP_JSON json_t *x = ecmr_random (curves[i], &err);

    assert_no_error (&err);
  }
}

static void
do_dir (void **state)
{
  struct jwe *jwe = parse (fixture (0, "null"), "dir");
  const json_t *null = json_object_get (json_object_get (jwe->header,
                                                         "clevis"), "null");

  assert_decrypts (jwe, json_object_get (null, "jwk"));
  jwe_free (jwe);
}

/* The key of another token. */
static void
do_wrong_key (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct jwe *jwe = parse (fixture (0, "null"), "dir");
  CLEANUP_JSON json_t *other = content_jwk ((const unsigned char *)
                                            "0123456789abcdef"
                                            "0123456789abcdef", 32);

  assert_null (jwe_decrypt (jwe, other, &err));
  assert_error (&err, CLEVIS_ERR_DECRYPT, NULL);
  jwe_free (jwe);
}

static void
do_thumbprints (void **state)
{
  size_t i;

  for (i = 0; i < NR_CURVES; ++i) {
    const json_t *key = fixture (i, "key");

    assert_true (thumbprint_is (key, json_string_value (
                                  fixture (i, "S256"))));
    assert_true (thumbprint_is (key, json_string_value (fixture (i, "S1"))));
    assert_false (thumbprint_is (key, json_string_value (
                                   fixture ((i + 1) % NR_CURVES, "S256"))));
  }
}

static void
do_advertisements (void **state)
{
  size_t i;

  for (i = 0; i < NR_CURVES; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    CLEANUP_FREE char *body = json_dumps (fixture (i, "adv"), 0);
    struct advert *adv = advert_parse (body, strlen (body), &err);

    assert_no_error (&err);
    assert_true (advert_is_signed (adv));
    assert_true (advert_has_key (adv, json_string_value (
                                   fixture (i, "S256"))));
    advert_free (adv);
  }
}

static void
do_shamir (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct sharing *sharing = sharing_new (2, 256);
  CLEANUP_SECRET struct secret *secret = NULL;
  unsigned char bytes[SHARE_MAX];
  const unsigned char *prime;
  struct shamir *sh;
  size_t len;
  int i;

  prime = sharing_prime (sharing, &len);
  sh = shamir_new (prime, len, &err);
  assert_no_error (&err);
  for (i = 0; i < 2; ++i) {
    CLEANUP_SECRET struct secret *share = NULL;

    sharing_share (sharing, 0, bytes);
    share = secret_copy (bytes, 2 * len);
    shamir_add (sh, share, &err);
    assert_no_error (&err);
  }
  secret = shamir_combine (sh, &err);
  assert_no_error (&err);
  assert_secret (secret, sharing_secret (sharing), len);
  shamir_free (sh);
  sharing_free (sharing);
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
  const struct CMUnitTest behind_the_door[] = {
    BEHIND_THE_DOOR (do_tang),
    BEHIND_THE_DOOR (do_random),
    BEHIND_THE_DOOR (do_dir),
    BEHIND_THE_DOOR (do_wrong_key),
    BEHIND_THE_DOOR (do_thumbprints),
    BEHIND_THE_DOOR (do_advertisements),
    BEHIND_THE_DOOR (do_shamir),
  };

  /* With messages to be looked for. */
  setlocale (LC_ALL, "");
  jose_prepare ();
  if (watch_start () == -1)
    return 77;
  return cmocka_run_group_tests (behind_the_door, setup_group,
                                 teardown_group);
}

static void
test_prepared (void **state)
{
  assert_in_child (run_prepared);
}

int
main (void)
{
  const struct CMUnitTest jose_prepare[] = {
    cmocka_unit_test (test_make_fixtures),
    cmocka_unit_test (test_prepared),
  };
  const int r = run_unit_tests (jose_prepare);

  free (fixtures);
  return r;
}
