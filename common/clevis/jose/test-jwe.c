/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of jwe.c: the serialisations that it takes apart, what it lets
 * through to libjose, and what comes out.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <jose/b64.h>
#include <jose/jose.h>

#include "base/bounds.h"
#include "jose/jose-quiet.h"
#include "jose/jwe.h"
#include "testlib/testlib-jwe.h"

static const unsigned char content_key[32] = "0123456789abcdef0123456789abcde";
static const char plain[] = "a passphrase\0with a NUL in it";

static void
cleanup_jwe (struct jwe **jwe)
{
  jwe_free (*jwe);
}

#define CLEANUP_JWE __attribute__ ((cleanup (cleanup_jwe)))

/* A protected header with the least that a "dir" JWE has. */
static json_t *
least_header (void)
{
  CLEANUP_JSON json_t *config = json_object ();

  return dir_header ("test", config);
}

/* A flattened JWE that decrypts with content_key. */
static json_t *
sample (void)
{
  CLEANUP_JSON json_t *header = least_header ();
  CLEANUP_JSON json_t *jwk = content_jwk (content_key, sizeof content_key);

  return encrypt_header (header, jwk, plain, sizeof plain);
}

/* A JWE whose protected header has one more member, or another one. */
static json_t *
sample_with (const char *name, json_t *value)
{
  CLEANUP_JSON json_t *header = least_header ();

  json_object_set_new (header, name, value);
  return jwe_of (header);
}

static struct jwe *
parsed (const json_t *json)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct jwe *jwe = jwe_parse (json, &err);

  assert_no_error (&err);
  assert_non_null (jwe);
  return jwe;
}

static void
assert_not_parsed (const json_t *json, enum clevis_code code,
                   const char *message)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_JWE struct jwe *jwe = jwe_parse (json, &err);

  assert_null (jwe);
  assert_error (&err, code, message);
}

/* It parses, but libjose is not to see it. */
static void
assert_not_checked (const json_t *json, const char *message)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_JWE struct jwe *jwe = parsed (json);

  assert_int_equal (jwe_check (jwe, "dir", &err), -1);
  assert_error (&err, CLEVIS_ERR_TOKEN, message);
}

static void
assert_decrypts (const json_t *json, const char *alg, const json_t *jwk)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_JWE struct jwe *jwe = parsed (json);
  CLEANUP_SECRET struct secret *s = NULL;

  jwe_check (jwe, alg, &err);
  assert_no_error (&err);
  s = jwe_decrypt (jwe, jwk, &err);
  assert_no_error (&err);
  assert_secret (s, plain, sizeof plain);
  assert_true (secret_has (s->data));
}

static void
assert_does_not_decrypt (const json_t *json)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_JSON json_t *jwk = content_jwk (content_key, sizeof content_key);
  CLEANUP_JWE struct jwe *jwe = parsed (json);
  CLEANUP_SECRET struct secret *s = NULL;

  jwe_check (jwe, "dir", &err);
  assert_no_error (&err);
  s = jwe_decrypt (jwe, jwk, &err);
  assert_null (s);
  assert_error (&err, CLEVIS_ERR_DECRYPT, "does not decrypt");
}

static void
test_flattened (void **state)
{
  CLEANUP_JSON json_t *jwe = sample ();
  CLEANUP_JSON json_t *jwk = content_jwk (content_key, sizeof content_key);

  assert_decrypts (jwe, "dir", jwk);
}

static void
test_compact (void **state)
{
  CLEANUP_JSON json_t *jwe = sample (), *text = compact (jwe);
  CLEANUP_JSON json_t *jwk = content_jwk (content_key, sizeof content_key);

  assert_decrypts (text, "dir", jwk);
}

static void
test_general_with_one_recipient (void **state)
{
  CLEANUP_JSON json_t *jwe = sample ();
  CLEANUP_JSON json_t *jwk = content_jwk (content_key, sizeof content_key);

  json_object_del (jwe, "encrypted_key");
  json_object_set_new (jwe, "recipients",
                       json_pack ("[{s:s, s:{s:s}}]", "encrypted_key", "",
                                  "header", "x", "y"));
  assert_decrypts (jwe, "dir", jwk);
}

/* As jose writes the flattened serialisation. */
static void
test_ecdh_es_with_epk_in_header (void **state)
{
  CLEANUP_JSON json_t *key = tang_key ("P-521");
  CLEANUP_JSON json_t *header = tang_header ("http://h", key);
  CLEANUP_JSON json_t *jwk = public_part (key), *jwe = NULL, *k = NULL;
  CLEANUP_JSON json_t *epk = NULL, *cek = json_object ();

  json_object_del (jwk, "alg");
  json_object_del (jwk, "key_ops");
  jwe = json_pack ("{s:O}", "protected", header);
  assert_true (jose_jwe_enc_jwk (jose_quiet_cfg (), jwe, NULL, jwk, cek));
  encrypt_content (jwe, cek, plain, sizeof plain);
  epk = json_deep_copy (json_object_get (json_object_get (jwe, "header"),
                                         "epk"));
  json_object_set_new (epk, "alg", json_string ("ECMR"));
  k = tang_answer (key, epk);
  assert_decrypts (jwe, "ECDH-ES", k);
}

static void
test_ecdh_es_with_epk_protected (void **state)
{
  CLEANUP_JSON json_t *key = tang_key ("P-256");
  CLEANUP_JSON json_t *jwe = encrypt_tang ("http://h", key, plain,
                                           sizeof plain);
  CLEANUP_JSON json_t *text = compact (jwe), *epk = NULL, *k = NULL;
  CLEANUP_JWE struct jwe *p = parsed (text);

  epk = json_deep_copy (json_object_get (p->header, "epk"));
  json_object_set_new (epk, "alg", json_string ("ECMR"));
  k = tang_answer (key, epk);
  assert_decrypts (text, "ECDH-ES", k);
}

static void
test_header_is_merged (void **state)
{
  CLEANUP_JSON json_t *jwe = sample ();
  CLEANUP_JWE struct jwe *p = NULL;

  json_object_set_new (jwe, "unprotected", json_pack ("{s:s}", "a", "1"));
  json_object_set_new (jwe, "header", json_pack ("{s:s}", "b", "2"));
  p = parsed (jwe);
  assert_string_equal (json_string_value (json_object_get (p->header, "a")),
                       "1");
  assert_string_equal (json_string_value (json_object_get (p->header, "b")),
                       "2");
  assert_string_equal (json_string_value (json_object_get (p->header, "alg")),
                       "dir");
}

static void
test_neither_text_nor_object (void **state)
{
  CLEANUP_JSON json_t *number = json_integer (1), *array = json_array ();

  assert_not_parsed (NULL, CLEVIS_ERR_TOKEN, "neither");
  assert_not_parsed (number, CLEVIS_ERR_TOKEN, "neither");
  assert_not_parsed (array, CLEVIS_ERR_TOKEN, "neither");
  assert_not_parsed (json_null (), CLEVIS_ERR_TOKEN, "neither");
  assert_not_parsed (json_true (), CLEVIS_ERR_TOKEN, "neither");
}

static void
test_compact_with_other_than_five_parts (void **state)
{
  static const char *const texts[] = {
    "", "e30", "e30.", "e30...", "e30.a.b.c", "e30.a.b.c.d.", "......",
    "e30.a.b.c.d.e",
  };
  size_t i;

  for (i = 0; i < sizeof texts / sizeof texts[0]; ++i) {
    CLEANUP_JSON json_t *text = json_string (texts[i]);

    assert_not_parsed (text, CLEVIS_ERR_TOKEN, "five parts");
  }
}

static void
test_compact_with_nul (void **state)
{
  CLEANUP_JSON json_t *text = json_stringn ("e30.\0.x.y.z", 11);

  assert_not_parsed (text, CLEVIS_ERR_TOKEN, "five parts");
}

static void
test_protected_header_that_cannot_be_decoded (void **state)
{
  static const char *const texts[] = {
    "....", "!!!!....", "e30=....", "A....", "Iiji....", "bnVsbA....",
    "W10....", "eyJhIjo....", "e30gMA....", "ew....",
  };
  size_t i;

  for (i = 0; i < sizeof texts / sizeof texts[0]; ++i) {
    CLEANUP_JSON json_t *text = json_string (texts[i]);

    assert_not_parsed (text, CLEVIS_ERR_TOKEN, "protected header");
  }
}

static void
test_object_without_protected_header (void **state)
{
  CLEANUP_JSON json_t *jwe = sample ();

  json_object_del (jwe, "protected");
  assert_not_parsed (jwe, CLEVIS_ERR_TOKEN, "protected header");
}

static void
test_members_that_are_not_text (void **state)
{
  static const char *const names[] = {
    "protected", "encrypted_key", "iv", "ciphertext", "tag"
  };
  static const char *const values[] = { "7", "null", "{}", "[]", "true" };
  size_t i, j;

  for (i = 0; i < sizeof names / sizeof names[0]; ++i)
    for (j = 0; j < sizeof values / sizeof values[0]; ++j) {
      CLEANUP_JSON json_t *jwe = sample ();

      json_object_set_new (jwe, names[i],
                           json_loads (values[j], JSON_DECODE_ANY, NULL));
      assert_not_parsed (jwe, CLEVIS_ERR_TOKEN, "should be text");
    }
}

static void
test_recipients (void **state)
{
  static const char *const values[] = { "[]", "[{}, {}]", "{}", "null", "1" };
  size_t i;

  for (i = 0; i < sizeof values / sizeof values[0]; ++i) {
    CLEANUP_JSON json_t *jwe = sample ();

    json_object_set_new (jwe, "recipients",
                         json_loads (values[i], JSON_DECODE_ANY, NULL));
    assert_not_parsed (jwe, CLEVIS_ERR_TOKEN, "exactly one recipient");
  }
}

static void
test_unprotected_header_that_is_no_object (void **state)
{
  static const char *const names[] = { "unprotected", "header" };
  size_t i;

  for (i = 0; i < 2; ++i) {
    CLEANUP_JSON json_t *jwe = sample ();

    json_object_set_new (jwe, names[i], json_string ("x"));
    assert_not_parsed (jwe, CLEVIS_ERR_TOKEN, "not an object");
  }
}

/* Nothing unprotected can replace what is protected. */
static void
test_name_in_two_headers (void **state)
{
  CLEANUP_JSON json_t *a = sample (), *b = sample (), *c = sample ();
  CLEANUP_JSON json_t *d = sample ();

  json_object_set_new (a, "unprotected", json_pack ("{s:s}", "alg", "dir"));
  assert_not_parsed (a, CLEVIS_ERR_TOKEN, "two headers");
  json_object_set_new (b, "header", json_pack ("{s:{}}", "clevis"));
  assert_not_parsed (b, CLEVIS_ERR_TOKEN, "two headers");
  json_object_set_new (c, "unprotected", json_pack ("{s:s}", "x", "1"));
  json_object_set_new (c, "header", json_pack ("{s:s}", "x", "1"));
  assert_not_parsed (c, CLEVIS_ERR_TOKEN, "two headers");
  json_object_set_new (d, "recipients",
                       json_pack ("[{s:{s:s}}]", "header", "enc", "x"));
  assert_not_parsed (d, CLEVIS_ERR_TOKEN, "two headers");
}

static char *
long_text (size_t len)
{
  char *text = malloc (len + 1);

  memset (text, 'A', len);
  text[len] = '\0';
  return text;
}

static void
test_too_long (void **state)
{
  CLEANUP_FREE char *text = long_text (BOUND_JWE + 1);
  CLEANUP_JSON json_t *string = json_string (text), *object = sample ();

  assert_not_parsed (string, CLEVIS_ERR_LIMIT, "larger than 1048576");
  json_object_set_new (object, "ciphertext", json_string (text));
  assert_not_parsed (object, CLEVIS_ERR_LIMIT, "larger than 1048576");
}

/* The bound is for the sum of the members. */
static void
test_too_long_together (void **state)
{
  CLEANUP_FREE char *text = long_text (BOUND_JWE / 2);
  CLEANUP_JSON json_t *object = sample ();

  json_object_set_new (object, "ciphertext", json_string (text));
  json_object_set_new (object, "tag", json_string (text));
  assert_not_parsed (object, CLEVIS_ERR_LIMIT, "larger than 1048576");
}

static void
test_wrong_alg (void **state)
{
  static const char *const algs[] = {
    "\"ECDH-ES\"", "\"A256KW\"", "\"PBES2-HS256+A128KW\"", "\"Dir\"", "\"\"",
    "null", "1", "[\"dir\"]",
  };
  size_t i;

  for (i = 0; i < sizeof algs / sizeof algs[0]; ++i) {
    CLEANUP_JSON json_t *jwe = sample_with (
      "alg", json_loads (algs[i], JSON_DECODE_ANY, NULL));

    assert_not_checked (jwe, "where this pin has \"dir\"");
  }
}

static void
test_no_alg (void **state)
{
  CLEANUP_JSON json_t *header = least_header (), *jwe = NULL;

  json_object_del (header, "alg");
  jwe = jwe_of (header);
  assert_not_checked (jwe, "algorithm \"\"");
}

static void
test_wrong_enc (void **state)
{
  static const char *const encs[] = {
    "\"A128GCM\"", "\"A256CBC-HS512\"", "\"a256gcm\"", "null", "{}",
  };
  size_t i;

  for (i = 0; i < sizeof encs / sizeof encs[0]; ++i) {
    CLEANUP_JSON json_t *jwe = sample_with (
      "enc", json_loads (encs[i], JSON_DECODE_ANY, NULL));

    assert_not_checked (jwe, "where Clevis has \"A256GCM\"");
  }
}

static void
test_refused_parameters (void **state)
{
  static const char *const names[] = { "zip", "p2c", "p2s", "crit" };
  size_t i;

  for (i = 0; i < sizeof names / sizeof names[0]; ++i) {
    CLEANUP_JSON json_t *jwe = sample_with (names[i], json_string ("DEF"));
    CLEANUP_JSON json_t *open = sample ();

    assert_not_checked (jwe, names[i]);
    json_object_set_new (open, "unprotected",
                         json_pack ("{s:n}", names[i]));
    assert_not_checked (open, names[i]);
  }
}

static void
test_encrypted_key_is_not_empty (void **state)
{
  CLEANUP_JSON json_t *jwe = sample (), *general = sample ();

  json_object_set_new (jwe, "encrypted_key", json_string ("AAAA"));
  assert_not_checked (jwe, "encrypted_key");
  json_object_set_new (general, "recipients",
                       json_pack ("[{s:s}]", "encrypted_key", "AAAA"));
  assert_not_checked (general, "encrypted_key");
}

static void
test_iv_and_tag_of_wrong_size (void **state)
{
  static const char *const names[] = { "iv", "tag" };
  static const unsigned char zeroes[32];
  static const size_t sizes[] = { 0, 8, 11, 13, 15, 17, 32 };
  size_t i, j;

  for (i = 0; i < 2; ++i) {
    CLEANUP_JSON json_t *without = sample ();

    for (j = 0; j < sizeof sizes / sizeof sizes[0]; ++j) {
      CLEANUP_JSON json_t *jwe = sample ();

      json_object_set_new (jwe, names[i], jose_b64_enc (zeroes, sizes[j]));
      assert_not_checked (jwe, "A256GCM needs");
    }
    json_object_del (without, names[i]);
    assert_not_checked (without, "A256GCM needs");
  }
}

static void
test_ciphertext_that_cannot_be_base64url (void **state)
{
  CLEANUP_JSON json_t *jwe = sample (), *without = sample ();

  json_object_set_new (jwe, "ciphertext", json_string ("AAAAA"));
  assert_not_checked (jwe, "not base64url");
  json_object_del (without, "ciphertext");
  assert_not_checked (without, "not base64url");
}

static void
test_characters_outside_base64url (void **state)
{
  static const char *const names[] = { "iv", "tag", "ciphertext" };
  static const char *const values[] = {
    "AAAAAAAAAAAAAAA!", "AAAAAAAAAAAAAAAAAAAAA!", "AAA!",
  };
  size_t i;

  for (i = 0; i < 3; ++i) {
    CLEANUP_JSON json_t *jwe = sample ();

    json_object_set_new (jwe, names[i], json_string (values[i]));
    assert_does_not_decrypt (jwe);
  }
}

/* Change one bit of what a member stands for. */
static void
flip (json_t *jwe, const char *name)
{
  unsigned char buf[512];
  size_t len = jose_b64_dec (json_object_get (jwe, name), buf, sizeof buf);

  buf[len-1] ^= 1;
  json_object_set_new (jwe, name, jose_b64_enc (buf, len));
}

static void
test_one_bit_changed (void **state)
{
  static const char *const names[] = { "iv", "tag", "ciphertext" };
  size_t i;

  for (i = 0; i < 3; ++i) {
    CLEANUP_JSON json_t *jwe = sample ();

    flip (jwe, names[i]);
    assert_does_not_decrypt (jwe);
  }
}

/* The protected header is authenticated as it was written. */
static void
test_header_changed (void **state)
{
  CLEANUP_JSON json_t *jwe = sample (), *header = least_header ();

  json_object_set_new (header, "x", json_true ());
  json_object_set_new (jwe, "protected", jose_b64_enc_dump (header));
  assert_does_not_decrypt (jwe);
}

static void
test_wrong_key (void **state)
{
  static const unsigned char other[33] = "another key of the right size...";
  static const size_t lengths[] = { 32, 0, 16, 31, 33 };
  size_t i;

  for (i = 0; i < sizeof lengths / sizeof lengths[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    CLEANUP_JSON json_t *json = sample ();
    CLEANUP_JSON json_t *jwk = content_jwk (other, lengths[i]);
    CLEANUP_JWE struct jwe *jwe = parsed (json);

    jwe_check (jwe, "dir", &err);
    assert_null (jwe_decrypt (jwe, jwk, &err));
    assert_error (&err, CLEVIS_ERR_DECRYPT, NULL);
  }
}

/* Plaintexts of several lengths come out with just that length. */
static void
test_lengths (void **state)
{
  static const size_t lengths[] = { 0, 1, 2, 3, 15, 16, 17, 64, 4095, 20000 };
  CLEANUP_FREE char *text = long_text (20000);
  CLEANUP_JSON json_t *header = least_header ();
  CLEANUP_JSON json_t *jwk = content_jwk (content_key, sizeof content_key);
  size_t i;

  for (i = 0; i < sizeof lengths / sizeof lengths[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    CLEANUP_JSON json_t *json = encrypt_header (header, jwk, text,
                                                lengths[i]);
    CLEANUP_JWE struct jwe *jwe = parsed (json);
    CLEANUP_SECRET struct secret *s = NULL;

    assert_int_equal (jwe_check (jwe, "dir", &err), 0);
    assert_int_equal (jwe->ciphertext_len, lengths[i]);
    s = jwe_decrypt (jwe, jwk, &err);
    assert_no_error (&err);
    assert_secret (s, text, lengths[i]);
  }
}

static void
test_free_of_null (void **state)
{
  jwe_free (NULL);
}

int
main (void)
{
  const struct CMUnitTest jwe[] = {
    cmocka_unit_test (test_flattened),
    cmocka_unit_test (test_compact),
    cmocka_unit_test (test_general_with_one_recipient),
    cmocka_unit_test (test_ecdh_es_with_epk_in_header),
    cmocka_unit_test (test_ecdh_es_with_epk_protected),
    cmocka_unit_test (test_header_is_merged),
    cmocka_unit_test (test_neither_text_nor_object),
    cmocka_unit_test (test_compact_with_other_than_five_parts),
    cmocka_unit_test (test_compact_with_nul),
    cmocka_unit_test (test_protected_header_that_cannot_be_decoded),
    cmocka_unit_test (test_object_without_protected_header),
    cmocka_unit_test (test_members_that_are_not_text),
    cmocka_unit_test (test_recipients),
    cmocka_unit_test (test_unprotected_header_that_is_no_object),
    cmocka_unit_test (test_name_in_two_headers),
    cmocka_unit_test (test_too_long),
    cmocka_unit_test (test_too_long_together),
    cmocka_unit_test (test_wrong_alg),
    cmocka_unit_test (test_no_alg),
    cmocka_unit_test (test_wrong_enc),
    cmocka_unit_test (test_refused_parameters),
    cmocka_unit_test (test_encrypted_key_is_not_empty),
    cmocka_unit_test (test_iv_and_tag_of_wrong_size),
    cmocka_unit_test (test_ciphertext_that_cannot_be_base64url),
    cmocka_unit_test (test_characters_outside_base64url),
    cmocka_unit_test (test_one_bit_changed),
    cmocka_unit_test (test_header_changed),
    cmocka_unit_test (test_wrong_key),
    cmocka_unit_test (test_lengths),
    cmocka_unit_test (test_free_of_null),
  };

  return run_unit_tests (jwe);
}
