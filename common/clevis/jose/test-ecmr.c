/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of ecmr.c.  What a whole exchange yields must be s·C, which is worked
 * out here with OpenSSL's curves alone; the jose program is a second witness.
 */

#include <config.h>

#include "testlib/testlib.h"

#define OPENSSL_SUPPRESS_DEPRECATED
#include <jose/b64.h>
#include <jose/jose.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include "jose/ecmr.h"
#include "jose/jose-quiet.h"
#include "testlib/testlib-jwe.h"

static const struct curve {
  const char *name;
  int nid;
  size_t bytes;
} curves[] = {
  { "P-256", NID_X9_62_prime256v1, 32 },
  { "P-384", NID_secp384r1, 48 },
  { "P-521", NID_secp521r1, 66 },
};
#define NR_CURVES (sizeof curves / sizeof curves[0])

/* Everything of one exchange. */
struct fixture {
  json_t *key;                  /* s and S */
  json_t *server;               /* S */
  json_t *c;                    /* C, with its private part */
  json_t *epk;                  /* C */
  json_t *eph;                  /* E, with its private part */
  json_t *x;                    /* X */
};

static json_t *
clean (const json_t *jwk)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  json_t *copy = ecmr_public (jwk, "key", CLEVIS_ERR_TOKEN, &err);

  assert_no_error (&err);
  assert_non_null (copy);
  return copy;
}

static struct fixture
blind (const char *curve)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture f = { .key = tang_key (curve), .c = tang_key (curve) };

  f.server = clean (f.key);
  f.epk = clean (f.c);
  f.x = ecmr_blind (f.epk, &f.eph, &err);
  assert_no_error (&err);
  assert_non_null (f.x);
  return f;
}

static void
cleanup_fixture (struct fixture *f)
{
  json_decref (f->key);
  json_decref (f->server);
  json_decref (f->c);
  json_decref (f->epk);
  json_decref (f->eph);
  json_decref (f->x);
}

#define FIXTURE __attribute__ ((cleanup (cleanup_fixture))) struct fixture

static const char *
member (const json_t *jwk, const char *name)
{
  return json_string_value (json_object_get (jwk, name));
}

static void
assert_same_point (const json_t *a, const json_t *b)
{
  assert_string_equal (member (a, "crv"), member (b, "crv"));
  assert_string_equal (member (a, "x"), member (b, "x"));
  assert_string_equal (member (a, "y"), member (b, "y"));
}

static BIGNUM *
number (const json_t *jwk, const char *name)
{
  unsigned char buf[80];
  size_t len = jose_b64_dec (json_object_get (jwk, name), buf, sizeof buf);

  assert_in_range (len, 1, sizeof buf);
  return BN_bin2bn (buf, len, NULL);
}

static json_t *
coordinate (const BIGNUM *n, size_t bytes)
{
  unsigned char buf[80];

  assert_int_equal (BN_bn2binpad (n, buf, bytes), bytes);
  return jose_b64_enc (buf, bytes);
}

/* The point of jwk times the private part of key, by OpenSSL. */
static json_t *
multiply (const struct curve *curve, const json_t *jwk, const json_t *key)
{
  EC_GROUP *group = EC_GROUP_new_by_curve_name (curve->nid);
  EC_POINT *p = EC_POINT_new (group);
  BIGNUM *x = number (jwk, "x"), *y = number (jwk, "y");
  BIGNUM *d = number (key, "d");
  json_t *product;

  assert_true (EC_POINT_set_affine_coordinates (group, p, x, y, NULL));
  assert_true (EC_POINT_mul (group, p, NULL, p, d, NULL));
  assert_true (EC_POINT_get_affine_coordinates (group, p, x, y, NULL));
  product = json_pack ("{s:s, s:s, s:o, s:o}", "kty", "EC",
                       "crv", curve->name, "x", coordinate (x, curve->bytes),
                       "y", coordinate (y, curve->bytes));
  BN_free (x);
  BN_free (y);
  BN_free (d);
  EC_POINT_free (p);
  EC_GROUP_free (group);
  return product;
}

static void
assert_refused (const struct fixture *f, const json_t *reply,
                const char *message)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_JSON json_t *k = ecmr_unblind (f->server, f->eph, reply, &err);

  assert_null (k);
  assert_error (&err, CLEVIS_ERR_REPLY, message);
}

static void
test_exchange_yields_s_times_c (void **state)
{
  size_t i, round;

  for (i = 0; i < NR_CURVES; ++i)
    for (round = 0; round < 10; ++round) {
      CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
      FIXTURE f = blind (curves[i].name);
      CLEANUP_JSON json_t *y = tang_answer (f.key, f.x);
      CLEANUP_JSON json_t *k = ecmr_unblind (f.server, f.eph, y, &err);
      CLEANUP_JSON json_t *expected = multiply (&curves[i], f.epk, f.key);

      assert_no_error (&err);
      assert_same_point (k, expected);
    }
}

static bool
begins_with_zero (const json_t *jwk, const char *name)
{
  unsigned char bytes[66] = { 1 };

  assert_int_equal (jose_b64_dec (json_object_get (jwk, name), bytes,
                                  sizeof bytes), 32);
  return bytes[0] == 0;
}

/* A coordinate keeps its length when it begins with zeroes (RFC 7518, section
 * 6.2.1.2), which one in 128 keys has: in E, in X and in K.
 */
static void
test_coordinates_that_begin_with_zeroes (void **state)
{
  size_t round, eph = 0, x = 0, k = 0;

  for (round = 0; eph == 0 || x == 0 || k == 0; ++round) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    FIXTURE f = blind ("P-256");
    CLEANUP_JSON json_t *y = tang_answer (f.key, f.x);
    CLEANUP_JSON json_t *key = ecmr_unblind (f.server, f.eph, y, &err);
    CLEANUP_JSON json_t *expected = multiply (&curves[0], f.epk, f.key);

    assert_no_error (&err);
    assert_same_point (key, expected);
    eph += begins_with_zero (f.eph, "x") || begins_with_zero (f.eph, "d");
    x += begins_with_zero (f.x, "x") || begins_with_zero (f.x, "y");
    k += begins_with_zero (key, "x") || begins_with_zero (key, "y");
    assert_true (round < 10000);
  }
}

/* The same, when the server is the jose program. */
static void
test_exchange_with_jose_program (void **state)
{
  size_t i;

  require_program ("jose");
  for (i = 0; i < NR_CURVES; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    FIXTURE f = blind (curves[i].name);
    CLEANUP_FREE char *key = json_dumps (f.key, 0), *x = json_dumps (f.x, 0);
    CLEANUP_FREE char *answer = NULL;
    CLEANUP_JSON json_t *y = NULL, *k = NULL, *expected = NULL;

    answer = shell_output ("echo '%s' > l; echo '%s' > r\n"
                           "jose jwk exc -l l -r r -o -", key, x);
    y = json_loads (answer, 0, NULL);
    k = ecmr_unblind (f.server, f.eph, y, &err);
    expected = multiply (&curves[i], f.epk, f.key);
    assert_no_error (&err);
    assert_same_point (k, expected);
  }
}

/* The server sees neither C nor anything private. */
static void
test_request_is_blind (void **state)
{
  size_t i;

  for (i = 0; i < NR_CURVES; ++i) {
    FIXTURE f = blind (curves[i].name);

    assert_string_equal (member (f.x, "crv"), curves[i].name);
    assert_null (json_object_get (f.x, "d"));
    assert_string_not_equal (member (f.x, "x"), member (f.epk, "x"));
    assert_string_not_equal (member (f.x, "x"), member (f.eph, "x"));
  }
}

static void
test_every_request_differs (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  FIXTURE f = blind ("P-521");
  CLEANUP_JSON json_t *eph = NULL, *x = ecmr_blind (f.epk, &eph, &err);

  assert_string_not_equal (member (f.x, "x"), member (x, "x"));
  assert_string_not_equal (member (f.eph, "d"), member (eph, "d"));
}

/* A reply with a private part would make libjose multiply with it. */
static void
test_d_in_reply_is_dropped (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  FIXTURE f = blind ("P-521");
  CLEANUP_JSON json_t *y = tang_answer (f.key, f.x);
  CLEANUP_JSON json_t *k = NULL, *expected = NULL;

  json_object_set (y, "d", json_object_get (f.c, "d"));
  json_object_set_new (y, "key_ops", json_pack ("[s]", "sign"));
  k = ecmr_unblind (f.server, f.eph, y, &err);
  expected = multiply (&curves[2], f.epk, f.key);
  assert_no_error (&err);
  assert_same_point (k, expected);
  assert_null (json_object_get (k, "d"));
}

static void
test_reply_on_another_curve (void **state)
{
  FIXTURE f = blind ("P-256");
  CLEANUP_JSON json_t *other = tang_key ("P-384");

  assert_refused (&f, other, "on curve P-384, the key on P-256");
}

/* A point of another curve under the name of the right one. */
static void
test_reply_off_the_curve (void **state)
{
  size_t i;

  for (i = 0; i < NR_CURVES; ++i) {
    FIXTURE f = blind (curves[i].name);
    CLEANUP_JSON json_t *y = tang_answer (f.key, f.x);

    json_object_set (y, "y", json_object_get (f.epk, "y"));
    assert_refused (&f, y, "not a usable point");
  }
}

static void
test_reply_zero (void **state)
{
  static const unsigned char zeroes[66];
  FIXTURE f = blind ("P-521");
  CLEANUP_JSON json_t *y = tang_answer (f.key, f.x);

  json_object_set_new (y, "x", jose_b64_enc (zeroes, sizeof zeroes));
  json_object_set_new (y, "y", jose_b64_enc (zeroes, sizeof zeroes));
  assert_refused (&f, y, "not a usable point");
}

/* Whoever knows C can answer with s·(X - C) = e·S, so that nothing is left. */
static void
test_reply_that_leaves_infinity (void **state)
{
  size_t i;

  for (i = 0; i < NR_CURVES; ++i) {
    FIXTURE f = blind (curves[i].name);
    CLEANUP_JSON json_t *difference = jose_jwk_exc (NULL, f.x, f.epk);
    CLEANUP_JSON json_t *y = multiply (&curves[i], difference, f.key);

    assert_refused (&f, y, "not a usable point");
  }
}

static void
test_coordinates_of_wrong_length (void **state)
{
  static const unsigned char bytes[67] = { 1 };
  FIXTURE f = blind ("P-521");
  static const size_t lengths[] = { 0, 32, 65, 67 };
  size_t i;

  for (i = 0; i < sizeof lengths / sizeof lengths[0]; ++i) {
    CLEANUP_JSON json_t *y = tang_answer (f.key, f.x);
    CLEANUP_JSON json_t *z = tang_answer (f.key, f.x);

    json_object_set_new (y, "x", jose_b64_enc (bytes, lengths[i]));
    assert_refused (&f, y, "no coordinates");
    json_object_set_new (z, "y", jose_b64_enc (bytes, lengths[i]));
    assert_refused (&f, z, "no coordinates");
  }
}

/* 88 characters stand for 66 bytes; these are none of base64url. */
static void
test_coordinates_that_are_not_base64 (void **state)
{
  FIXTURE f = blind ("P-521");
  CLEANUP_JSON json_t *y = tang_answer (f.key, f.x);
  char text[89] = { 0 };

  memset (text, '!', sizeof text - 1);
  json_object_set_new (y, "x", json_string (text));
  assert_refused (&f, y, "not a usable point");
}

static void
test_reply_of_wrong_types (void **state)
{
  static const struct {
    const char *name, *value, *message;
  } cases[] = {
    { "x", "null", "no coordinates" },
    { "x", "7", "no coordinates" },
    { "y", "[]", "no coordinates" },
    { "y", "{}", "no coordinates" },
    { "crv", "\"P-192\"", "not a key on" },
    { "crv", "\"secp256k1\"", "not a key on" },
    { "crv", "\"\"", "not a key on" },
    { "crv", "521", "not a key on" },
    { "kty", "\"oct\"", "not a key on" },
    { "kty", "\"OKP\"", "not a key on" },
    { "kty", "null", "not a key on" },
  };
  FIXTURE f = blind ("P-521");
  size_t i;

  for (i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    CLEANUP_JSON json_t *y = tang_answer (f.key, f.x);

    json_object_set_new (y, cases[i].name,
                         json_loads (cases[i].value, JSON_DECODE_ANY, NULL));
    assert_refused (&f, y, cases[i].message);
    json_object_del (y, cases[i].name);
    assert_refused (&f, y, cases[i].message);
  }
}

static void
test_public_copies_only_what_it_knows (void **state)
{
  CLEANUP_JSON json_t *key = tang_key ("P-256"), *copy = NULL;

  json_object_set_new (key, "key_ops", json_pack ("[s]", "sign"));
  json_object_set_new (key, "x5c", json_string ("x"));
  copy = clean (key);
  assert_int_equal (json_object_size (copy), 5);
  assert_null (json_object_get (copy, "d"));
  assert_string_equal (member (copy, "alg"), "ECMR");
  assert_same_point (copy, key);
}

static void
test_public_raises_the_code_it_is_given (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_ERROR struct clevis_error err2 = CLEVIS_ERROR_INIT;

  assert_null (ecmr_public (NULL, "epk", CLEVIS_ERR_TOKEN, &err));
  assert_error (&err, CLEVIS_ERR_TOKEN, "epk is not a key");
  assert_null (ecmr_public (NULL, "it", CLEVIS_ERR_REPLY, &err2));
  assert_error (&err2, CLEVIS_ERR_REPLY, "it is not a key");
}

static void
test_epk_off_the_curve (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_JSON json_t *a = tang_key ("P-256"), *b = tang_key ("P-256");
  CLEANUP_JSON json_t *epk = clean (a), *eph = NULL;

  json_object_set (epk, "y", json_object_get (b, "y"));
  assert_null (ecmr_blind (epk, &eph, &err));
  assert_error (&err, CLEVIS_ERR_TOKEN, "not a point of its curve");
}

/* Take all of the locked memory, in pieces that are a list. */
static struct secret *
take_locked_memory (void)
{
  struct secret *list = NULL, *piece;
  size_t size;

  for (size = 1 << 22; size >= 32; size /= 2)
    while ((piece = secret_new (size - 1)) != NULL) {
      memcpy (piece->data, &list, sizeof list);
      list = piece;
    }
  return list;
}

static void
give_locked_memory (struct secret *list)
{
  struct secret *next;

  for (; list; list = next) {
    memcpy (&next, list->data, sizeof next);
    secret_free (list);
  }
}

/* It is neither the token's fault nor the server's, and passes. */
static void
test_locked_memory_is_short (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_ERROR struct clevis_error err2 = CLEVIS_ERROR_INIT;
  CLEANUP_ERROR struct clevis_error err3 = CLEVIS_ERROR_INIT;
  FIXTURE f = blind ("P-521");
  CLEANUP_JSON json_t *y = tang_answer (f.key, f.x);
  CLEANUP_JSON json_t *k = NULL, *eph = NULL;
  struct secret *taken = take_locked_memory ();

  assert_non_null (taken);
  assert_null (ecmr_unblind (f.server, f.eph, y, &err));
  assert_null (ecmr_blind (f.epk, &eph, &err2));
  assert_null (eph);
  give_locked_memory (taken);
  assert_error (&err, CLEVIS_ERR_SYSTEM, "locked memory");
  assert_error (&err2, CLEVIS_ERR_SYSTEM, "ephemeral key");
  k = ecmr_unblind (f.server, f.eph, y, &err3);
  assert_no_error (&err3);
  assert_non_null (k);
}

/* So that thousands of ephemeral keys fit into the locked memory. */
static void
test_only_d_is_in_locked_memory (void **state)
{
  const size_t before = secret_used ();
  FIXTURE f = blind ("P-521");

  assert_true (secret_has (member (f.eph, "d")));
  assert_false (secret_has (member (f.eph, "x")));
  assert_in_range (secret_used () - before, 89, 512);
}

int
main (void)
{
  const struct CMUnitTest ecmr[] = {
    cmocka_unit_test (test_exchange_yields_s_times_c),
    cmocka_unit_test (test_coordinates_that_begin_with_zeroes),
    cmocka_unit_test (test_exchange_with_jose_program),
    cmocka_unit_test (test_request_is_blind),
    cmocka_unit_test (test_every_request_differs),
    cmocka_unit_test (test_d_in_reply_is_dropped),
    cmocka_unit_test (test_reply_on_another_curve),
    cmocka_unit_test (test_reply_off_the_curve),
    cmocka_unit_test (test_reply_zero),
    cmocka_unit_test (test_reply_that_leaves_infinity),
    cmocka_unit_test (test_coordinates_of_wrong_length),
    cmocka_unit_test (test_coordinates_that_are_not_base64),
    cmocka_unit_test (test_reply_of_wrong_types),
    cmocka_unit_test (test_public_copies_only_what_it_knows),
    cmocka_unit_test (test_public_raises_the_code_it_is_given),
    cmocka_unit_test (test_epk_off_the_curve),
    cmocka_unit_test (test_locked_memory_is_short),
    cmocka_unit_test (test_only_d_is_in_locked_memory),
  };

  return run_unit_tests (ecmr);
}
