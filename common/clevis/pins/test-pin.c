/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of pin.c and the pins: what is read from a token, what is refused and
 * where the reason is kept, how large a tree may be, and how a tree of pins
 * that need no network comes to its plaintext.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <jose/b64.h>
#include <jose/jose.h>

#include "base/bounds.h"
#include "jose/ecmr.h"
#include "pins/pin-tang.h"
#include "pins/pin.h"
#include "exchange/question.h"
#include "testlib/testlib-jwe.h"
#include "testlib/testlib-run.h"

static const char plain[] = "a passphrase";

static void
cleanup_pin (struct pin **pin)
{
  pin_free (*pin);
}

#define CLEANUP_PIN __attribute__ ((cleanup (cleanup_pin)))

/* A tree that has a root, be it usable or not. */
static struct pin *
parsed (const json_t *jwe)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct pin *pin = pin_parse (jwe, &err);

  assert_no_error (&err);
  assert_non_null (pin);
  return pin;
}

static struct pin *
parsed_header (const json_t *header)
{
  CLEANUP_JSON json_t *jwe = jwe_of (header);

  return parsed (jwe);
}

static void
assert_usable (const struct pin *pin)
{
  assert_no_error (&pin->error);
  assert_int_equal (pin->state, PIN_IDLE);
}

/* There is a pin, but it cannot be used. */
static void
assert_unusable (const json_t *header, enum clevis_code code,
                 const char *message)
{
  CLEANUP_PIN struct pin *pin = parsed_header (header);

  assert_int_equal (pin->state, PIN_FAILED);
  assert_error (&pin->error, code, message);
}

/* There is not even a pin. */
static void
assert_no_pin (const json_t *jwe, enum clevis_code code, const char *message)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_PIN struct pin *pin = pin_parse (jwe, &err);

  assert_null (pin);
  assert_error (&err, code, message);
}

static const char *
param (const struct pin *pin, const char *name)
{
  size_t i;

  for (i = 0; i < pin->nr_params; ++i)
    if (strcmp (pin->params[i].name, name) == 0)
      return pin->params[i].value;
  return NULL;
}

/* The tang pin. */

/* A header as parse expects it: with an epk, which only encryption adds. */
static json_t *
whole_tang_header (const char *url, const json_t *key)
{
  json_t *header = tang_header (url, key);
  CLEANUP_JSON json_t *epk = tang_key (json_string_value (
    json_object_get (key, "crv")));

  json_object_set_new (header, "epk", public_part (epk));
  return header;
}

static json_t *
tang_config (json_t *header)
{
  return json_object_get (json_object_get (header, "clevis"), "tang");
}

static json_t *
adv_keys (json_t *header)
{
  return json_object_get (json_object_get (tang_config (header), "adv"),
                          "keys");
}

static void
test_tang (void **state)
{
  static const char *const curves[] = { "P-256", "P-384", "P-521" };
  size_t i;

  for (i = 0; i < 3; ++i) {
    CLEANUP_JSON json_t *key = tang_key (curves[i]);
    CLEANUP_JSON json_t *header = whole_tang_header ("Tang:81/x", key);
    CLEANUP_FREE char *kid = thumbprint (key, "S256");
    CLEANUP_PIN struct pin *pin = parsed_header (header);

    assert_usable (pin);
    assert_string_equal (pin->name, "tang");
    assert_string_equal (pin->path, "tang");
    assert_string_equal (pin->url, "Tang:81/x");
    assert_string_equal (pin->kid, kid);
    assert_string_equal (pin->thp_alg, "S256");
    assert_string_equal (pin->curve, curves[i]);
    assert_null (pin->warning);
    assert_int_equal (pin->threshold, 0);
    assert_string_equal (pin_tang_query (pin).url->host, "tang");
  }
}

static void
test_tang_with_sha1_thumbprint (void **state)
{
  CLEANUP_JSON json_t *key = tang_key ("P-521");
  CLEANUP_JSON json_t *header = whole_tang_header ("http://h", key);
  CLEANUP_FREE char *kid = thumbprint (key, "S1");
  CLEANUP_PIN struct pin *pin = NULL;

  json_object_set_new (header, "kid", json_string (kid));
  pin = parsed_header (header);
  assert_usable (pin);
  assert_string_equal (pin->kid, kid);
  assert_string_equal (pin->thp_alg, "S1");
  assert_contains (pin->warning, "SHA-1");
}

/* An advertisement has signing keys and rotated keys, too. */
static void
test_tang_finds_its_key_among_others (void **state)
{
  CLEANUP_JSON json_t *key = tang_key ("P-256");
  CLEANUP_JSON json_t *header = whole_tang_header ("http://h", key);
  CLEANUP_PIN struct pin *pin = NULL;
  int i;

  for (i = 0; i < BOUND_ADV_KEYS - 1; ++i)
    json_array_insert_new (adv_keys (header), 0,
                           i % 2 ? json_object () : json_pack (
                             "{s:s, s:s, s:s, s:s}", "kty", "EC", "crv",
                             "P-256", "x", "AAAA", "y", "AAAA"));
  pin = parsed_header (header);
  assert_usable (pin);
}

static void
test_tang_url (void **state)
{
  static const struct {
    const char *url, *message;
    enum clevis_code code;
  } cases[] = {
    { "null", "no url", CLEVIS_ERR_TOKEN },
    { "7", "no url", CLEVIS_ERR_TOKEN },
    { "[\"http://h\"]", "no url", CLEVIS_ERR_TOKEN },
    { "\"\"", "malformed", CLEVIS_ERR_TOKEN },
    { "\"http://u@h\"", "user name", CLEVIS_ERR_TOKEN },
    { "\"file:///etc/passwd\"", "only http", CLEVIS_ERR_POLICY },
  };
  CLEANUP_JSON json_t *key = tang_key ("P-256");
  CLEANUP_JSON json_t *header = whole_tang_header ("http://h", key);
  size_t i;

  for (i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    json_object_set_new (tang_config (header), "url",
                         json_loads (cases[i].url, JSON_DECODE_ANY, NULL));
    assert_unusable (header, cases[i].code, cases[i].message);
  }
  json_object_del (tang_config (header), "url");
  assert_unusable (header, CLEVIS_ERR_TOKEN, "no url");
}

/* What is shown of a URL that is refused is bounded, too. */
static void
test_tang_with_long_url (void **state)
{
  CLEANUP_JSON json_t *key = tang_key ("P-256"), *header = NULL;
  CLEANUP_PIN struct pin *pin = NULL;
  char url[8000];

  memset (url, 'a', sizeof url);
  memcpy (url, "http://h/", 9);
  url[sizeof url - 1] = '\0';
  header = whole_tang_header (url, key);
  pin = parsed_header (header);
  assert_error (&pin->error, CLEVIS_ERR_LIMIT, "longer than 2048");
  assert_int_equal (strlen (pin->url), BOUND_URL);
}

static void
test_tang_kid (void **state)
{
  static const char *const kids[] = {
    "null", "7", "\"\"", "\"x\"", "[]",
    "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
    "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
  };
  CLEANUP_JSON json_t *key = tang_key ("P-256");
  CLEANUP_JSON json_t *header = whole_tang_header ("http://h", key);
  size_t i;

  for (i = 0; i < sizeof kids / sizeof kids[0]; ++i) {
    json_object_set_new (header, "kid",
                         json_loads (kids[i], JSON_DECODE_ANY, NULL));
    assert_unusable (header, CLEVIS_ERR_TOKEN, "no kid");
  }
  json_object_del (header, "kid");
  assert_unusable (header, CLEVIS_ERR_TOKEN, "no kid");
}

/* The path of the request is made from kid, so it must be what it is said to
 * be.
 */
static void
test_tang_kid_that_names_no_key (void **state)
{
  static const char *const kids[] = {
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "../../../../../../../../../../../../etc/pas",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAA",
  };
  CLEANUP_JSON json_t *key = tang_key ("P-256");
  CLEANUP_JSON json_t *header = whole_tang_header ("http://h", key);
  size_t i;

  for (i = 0; i < sizeof kids / sizeof kids[0]; ++i) {
    json_object_set_new (header, "kid", json_string (kids[i]));
    assert_unusable (header, CLEVIS_ERR_TOKEN, "no key with the thumbprint");
  }
}

static void
test_tang_without_advertisement (void **state)
{
  static const char *const advs[] = {
    "null", "{}", "\"x\"", "{\"keys\": null}", "{\"keys\": {}}",
  };
  CLEANUP_JSON json_t *key = tang_key ("P-256");
  CLEANUP_JSON json_t *header = whole_tang_header ("http://h", key);
  size_t i;

  for (i = 0; i < sizeof advs / sizeof advs[0]; ++i) {
    json_object_set_new (tang_config (header), "adv",
                         json_loads (advs[i], JSON_DECODE_ANY, NULL));
    assert_unusable (header, CLEVIS_ERR_TOKEN, "no advertisement");
  }
}

static void
test_tang_with_too_many_keys (void **state)
{
  CLEANUP_JSON json_t *key = tang_key ("P-256");
  CLEANUP_JSON json_t *header = whole_tang_header ("http://h", key);
  int i;

  for (i = 0; i < BOUND_ADV_KEYS; ++i)
    json_array_append_new (adv_keys (header), json_object ());
  assert_unusable (header, CLEVIS_ERR_LIMIT, "more than 64 keys");
}

/* The signing key of the server has another purpose. */
static void
test_tang_key_is_for_signing (void **state)
{
  CLEANUP_JSON json_t *key = json_pack ("{s:s}", "alg", "ES256");
  CLEANUP_JSON json_t *header = NULL;

  assert_true (jose_jwk_gen (NULL, key));
  header = whole_tang_header ("http://h", key);
  assert_unusable (header, CLEVIS_ERR_TOKEN, "not an exchange key");
}

static void
test_tang_key_without_purpose (void **state)
{
  CLEANUP_JSON json_t *key = tang_key ("P-256");
  CLEANUP_JSON json_t *header = whole_tang_header ("http://h", key);

  json_object_del (json_array_get (adv_keys (header), 0), "key_ops");
  assert_unusable (header, CLEVIS_ERR_TOKEN, "not an exchange key");
}

static void
test_tang_key_of_another_kind (void **state)
{
  CLEANUP_JSON json_t *key = json_pack (
    "{s:s, s:s, s:s, s:[s]}", "kty", "RSA", "n", "AAAA", "e", "AQAB",
    "key_ops", "deriveKey");
  CLEANUP_JSON json_t *curve = tang_key ("P-256"), *header = NULL;

  header = tang_header ("http://h", key);
  json_object_set_new (header, "epk", public_part (curve));
  assert_unusable (header, CLEVIS_ERR_TOKEN, "the exchange key is not a key "
                   "on P-256");
}

static void
test_tang_epk (void **state)
{
  CLEANUP_JSON json_t *key = tang_key ("P-256"), *other = tang_key ("P-384");
  CLEANUP_JSON json_t *header = whole_tang_header ("http://h", key);
  CLEANUP_JSON json_t *epk = json_deep_copy (json_object_get (header,
                                                              "epk"));

  json_object_set (header, "epk", other);
  assert_unusable (header, CLEVIS_ERR_TOKEN,
                   "epk is on curve P-384, the exchange key on P-256");
  json_object_set_new (epk, "x", json_string ("AAAA"));
  json_object_set (header, "epk", epk);
  assert_unusable (header, CLEVIS_ERR_TOKEN, "epk has no coordinates");
  json_object_set_new (header, "epk", json_string ("x"));
  assert_unusable (header, CLEVIS_ERR_TOKEN, "epk is not a key");
  json_object_del (header, "epk");
  assert_unusable (header, CLEVIS_ERR_TOKEN, "epk is not a key");
}

static void
test_tang_with_another_algorithm (void **state)
{
  CLEANUP_JSON json_t *key = tang_key ("P-256");
  CLEANUP_JSON json_t *header = whole_tang_header ("http://h", key);

  json_object_set_new (header, "alg", json_string ("dir"));
  assert_unusable (header, CLEVIS_ERR_TOKEN, "where this pin has "
                   "\"ECDH-ES\"");
}

/* Ask what a tang pin asks: X as text; E is kept for finish. */
static char *
ask (const struct pin *pin, json_t **eph, struct clevis_error *err)
{
  CLEANUP_JSON json_t *x = ecmr_blind (pin_tang_query (pin).epk, eph, err);

  return json_dumps (x, 0);
}

/* What the pin makes of the reply. */
static struct secret *
finish (const struct pin *pin, const json_t *eph, const char *reply,
        struct clevis_error *err)
{
  CLEANUP_JSON json_t *k = question_unblind (pin_tang_query (pin).server, eph,
                                            reply, strlen (reply), err);

  return k ? jwe_decrypt (pin->jwe, k, err) : NULL;
}

static void
test_tang_request_and_reply (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_JSON json_t *key = tang_key ("P-521"), *jwe = NULL, *x = NULL;
  CLEANUP_JSON json_t *y = NULL, *eph = NULL;
  CLEANUP_FREE char *request = NULL, *reply = NULL;
  CLEANUP_SECRET struct secret *s = NULL;
  CLEANUP_PIN struct pin *pin = NULL;

  jwe = encrypt_tang ("http://h", key, plain, sizeof plain);
  pin = parsed (jwe);
  request = ask (pin, &eph, &err);
  assert_no_error (&err);
  assert_null (strstr (request, "\"d\""));
  x = json_loads (request, 0, NULL);
  y = tang_answer (key, x);
  reply = json_dumps (y, 0);
  s = finish (pin, eph, reply, &err);
  assert_no_error (&err);
  assert_secret (s, plain, sizeof plain);
}

/* An answer to another request is of no use. */
static void
test_tang_reply_to_another_request (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_JSON json_t *key = tang_key ("P-521"), *jwe = NULL, *x = NULL;
  CLEANUP_JSON json_t *y = NULL, *eph1 = NULL, *eph2 = NULL;
  CLEANUP_FREE char *first = NULL, *second = NULL, *reply = NULL;
  CLEANUP_PIN struct pin *pin = NULL;

  jwe = encrypt_tang ("http://h", key, plain, sizeof plain);
  pin = parsed (jwe);
  first = ask (pin, &eph1, &err);
  second = ask (pin, &eph2, &err);
  assert_string_not_equal (first, second);
  x = json_loads (first, 0, NULL);
  y = tang_answer (key, x);
  reply = json_dumps (y, 0);
  assert_null (finish (pin, eph2, reply, &err));
  assert_error (&err, CLEVIS_ERR_DECRYPT, "does not decrypt");
}

static void
test_tang_reply_that_is_no_object (void **state)
{
  static const char *const replies[] = {
    "", "x", "[]", "\"x\"", "7", "null", "{", "{} x", "{\"a\":1,\"a\":2}",
    "<html>", "{\"a\":\"\\u0000\"}", "\xff\xfe{}",
  };
  CLEANUP_JSON json_t *key = tang_key ("P-256"), *jwe = NULL;
  CLEANUP_PIN struct pin *pin = NULL;
  size_t i;

  jwe = encrypt_tang ("http://h", key, plain, sizeof plain);
  pin = parsed (jwe);
  for (i = 0; i < sizeof replies / sizeof replies[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    CLEANUP_JSON json_t *eph = NULL;
    CLEANUP_FREE char *request = ask (pin, &eph, &err);

    assert_non_null (request);
    assert_null (finish (pin, eph, replies[i], &err));
    assert_error (&err, CLEVIS_ERR_REPLY, "not a JSON object");
  }
}

/* Which pin it is. */

static void
test_root_that_names_no_pin (void **state)
{
  static const char *const headers[] = {
    "{}", "{\"clevis\": 7}", "{\"clevis\": {}}", "{\"clevis\": \"tang\"}",
    "{\"clevis\": {\"pin\": 7}}", "{\"clevis\": {\"pin\": \"\"}}",
    "{\"clevis\": {\"pin\": null}}", "{\"clevis\": {\"pin\": [\"tang\"]}}",
  };
  size_t i;

  for (i = 0; i < sizeof headers / sizeof headers[0]; ++i) {
    CLEANUP_JSON json_t *header = json_loads (headers[i], 0, NULL);
    CLEANUP_JSON json_t *jwe = jwe_of (header);

    assert_no_pin (jwe, CLEVIS_ERR_TOKEN, "does not name a Clevis pin");
  }
}

static void
test_name_of_pin_is_bounded (void **state)
{
  char name[BOUND_PIN_NAME + 2];
  CLEANUP_JSON json_t *config = json_object (), *header = NULL, *jwe = NULL;
  CLEANUP_JSON json_t *longest = NULL;

  memset (name, 'n', sizeof name);
  name[BOUND_PIN_NAME+1] = '\0';
  header = dir_header (name, config);
  jwe = jwe_of (header);
  assert_no_pin (jwe, CLEVIS_ERR_LIMIT, "more than 64 bytes");
  name[BOUND_PIN_NAME] = '\0';
  longest = dir_header (name, config);
  assert_unusable (longest, CLEVIS_ERR_UNSUPPORTED, "not known");
}

static void
test_root_that_is_no_jwe (void **state)
{
  CLEANUP_JSON json_t *text = json_string ("not a JWE");

  assert_no_pin (NULL, CLEVIS_ERR_TOKEN, "malformed JWE");
  assert_null (pin_parse (text, NULL));
  assert_no_pin (text, CLEVIS_ERR_TOKEN, "malformed JWE");
}

/* A known pin whose configuration is missing or not an object. */
static void
test_pins_without_configuration (void **state)
{
  static const struct {
    const char *pin, *alg, *message;
  } pins[] = {
    { "tang", "ECDH-ES", "no url" },
    { "sss", "dir", "0 pins" },
    { "null", "dir", "no key" },
  };
  static const char *const configs[] = { "null", "[]", "\"x\"", "7", "{}" };
  size_t i, j;

  for (i = 0; i < sizeof pins / sizeof pins[0]; ++i)
    for (j = 0; j < sizeof configs / sizeof configs[0]; ++j) {
      CLEANUP_JSON json_t *config = json_loads (configs[j], JSON_DECODE_ANY,
                                                NULL);
      CLEANUP_JSON json_t *header = dir_header (pins[i].pin, config);

      json_object_set_new (header, "alg", json_string (pins[i].alg));
      assert_unusable (header, CLEVIS_ERR_TOKEN, pins[i].message);
    }
}

/* Pins that this host cannot answer. */

static void
test_tpm2 (void **state)
{
  CLEANUP_JSON json_t *config = json_pack (
    "{s:s, s:s, s:s, s:s, s:s, s:s}", "hash", "sha256", "key", "ecc",
    "pcr_bank", "sha1", "pcr_ids", "0,1,7", "jwk_priv", "SECRET",
    "jwk_pub", "PUBLIC");
  CLEANUP_JSON json_t *header = dir_header ("tpm2", config);
  CLEANUP_PIN struct pin *pin = parsed_header (header);

  assert_error (&pin->error, CLEVIS_ERR_UNSUPPORTED, "TPM 2.0");
  assert_string_equal (pin->name, "tpm2");
  assert_string_equal (param (pin, "hash"), "sha256");
  assert_string_equal (param (pin, "key"), "ecc");
  assert_string_equal (param (pin, "pcr_bank"), "sha1");
  assert_string_equal (param (pin, "pcr_ids"), "0,1,7");
  assert_null (param (pin, "jwk_priv"));
  assert_int_equal (pin->nr_params, 4);
}

static void
test_params_that_are_not_text (void **state)
{
  CLEANUP_JSON json_t *config = json_pack ("{s:i, s:[i, i]}", "hash", 7,
                                           "pcr_ids", 1, 2);
  CLEANUP_JSON json_t *header = dir_header ("tpm2", config);
  CLEANUP_PIN struct pin *pin = parsed_header (header);

  assert_string_equal (param (pin, "hash"), "7");
  assert_string_equal (param (pin, "pcr_ids"), "[1,2]");
}

static void
assert_uri_shown_as (const char *uri, const char *expected)
{
  CLEANUP_JSON json_t *config = json_pack ("{s:s, s:s}", "uri", uri,
                                           "mechanism", "RSA-PKCS");
  CLEANUP_JSON json_t *header = dir_header ("pkcs11", config);
  CLEANUP_PIN struct pin *pin = parsed_header (header);

  assert_error (&pin->error, CLEVIS_ERR_UNSUPPORTED, "PKCS#11");
  assert_string_equal (param (pin, "uri"), expected);
}

/* A PIN may be in the URI, and is nobody's business. */
static void
test_pkcs11_uri_loses_its_pin (void **state)
{
  assert_uri_shown_as ("pkcs11:object=k;token=t", "pkcs11:object=k;token=t");
  assert_uri_shown_as ("pkcs11:token=t?pin-value=1234", "pkcs11:token=t?");
  assert_uri_shown_as ("pkcs11:token=t?pin-value=1234&module-path=/x",
                       "pkcs11:token=t?&module-path=/x");
  assert_uri_shown_as ("pkcs11:token=t?pin-source=/p&pin-value=12",
                       "pkcs11:token=t?&");
  assert_uri_shown_as ("pkcs11:pin-value=12;token=t;pin-value=34",
                       "pkcs11:;token=t;");
  assert_uri_shown_as ("pin-pin-value=12", "");
}

static void
test_other_unsupported_pins (void **state)
{
  static const struct {
    const char *name, *message;
  } pins[] = {
    { "tpm1", "TPM 1.2" }, { "yubikey", "YubiKey" }, { "file", "initramfs" },
    { "remote", "connect to the guest" }, { "trustee", "attests" },
    { "snake-oil", "not known" }, { "TANG", "not known" },
    { "unsupported", "not known" },
  };
  size_t i;

  for (i = 0; i < sizeof pins / sizeof pins[0]; ++i) {
    CLEANUP_JSON json_t *config = json_pack ("{s:s}", "x", "y");
    CLEANUP_JSON json_t *header = dir_header (pins[i].name, config);

    assert_unusable (header, CLEVIS_ERR_UNSUPPORTED, pins[i].message);
  }
}

/* The null pin. */

static void
test_null (void **state)
{
  CLEANUP_JSON json_t *jwe = encrypt_null (plain, sizeof plain);
  CLEANUP_PIN struct pin *pin = parsed (jwe);

  assert_usable (pin);
  assert_contains (pin->warning, "protects nothing");
  run_pin (pin, NULL);
  assert_int_equal (pin->state, PIN_DONE);
  assert_secret (pin->plaintext, plain, sizeof plain);
}

static void
test_null_with_bad_key (void **state)
{
  static const char *const keys[] = {
    "null", "{}", "\"x\"", "{\"k\": 7}", "{\"k\": \"\"}", "{\"k\": \"AAAA\"}",
    "{\"k\": \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
  };
  size_t i;

  for (i = 0; i < sizeof keys / sizeof keys[0]; ++i) {
    CLEANUP_JSON json_t *config = json_pack (
      "{s:o}", "jwk", json_loads (keys[i], JSON_DECODE_ANY, NULL));
    CLEANUP_JSON json_t *header = dir_header ("null", config);

    assert_unusable (header, CLEVIS_ERR_TOKEN, "holds no key");
  }
}

static void
test_null_that_does_not_decrypt (void **state)
{
  CLEANUP_JSON json_t *jwe = encrypt_null (plain, sizeof plain);
  CLEANUP_PIN struct pin *pin = NULL;

  json_object_set_new (jwe, "tag", json_string ("AAAAAAAAAAAAAAAAAAAAAA"));
  pin = parsed (jwe);
  run_pin (pin, NULL);
  assert_int_equal (pin->state, PIN_FAILED);
  assert_error (&pin->error, CLEVIS_ERR_DECRYPT, "does not decrypt");
  assert_null (pin->plaintext);
}

/* The sss pin. */

/* 2^255 - 19. */
static const char some_prime[] =
  "f________________________________________-0";

/* A header with n children that are null pins. */
static json_t *
sss_header (int t, size_t n)
{
  CLEANUP_JSON json_t *child = encrypt_null ("x", 1), *config = NULL;
  CLEANUP_JSON json_t *jwes = json_array ();
  size_t i;

  for (i = 0; i < n; ++i)
    json_array_append_new (jwes, compact (child));
  config = json_pack ("{s:i, s:s, s:O}", "t", t, "p", some_prime, "jwe",
                      jwes);
  return dir_header ("sss", config);
}

static json_t *
sss_config (json_t *header)
{
  return json_object_get (json_object_get (header, "clevis"), "sss");
}

static void
test_sss (void **state)
{
  CLEANUP_JSON json_t *header = sss_header (2, 3);
  CLEANUP_PIN struct pin *pin = parsed_header (header);
  size_t i;
  char path[32];

  assert_usable (pin);
  assert_string_equal (pin->path, "sss");
  assert_int_equal (pin->threshold, 2);
  assert_int_equal (pin->nr_children, 3);
  for (i = 0; i < 3; ++i) {
    snprintf (path, sizeof path, "sss[%zu].null", i);
    assert_string_equal (pin->children[i]->path, path);
    assert_ptr_equal (pin->children[i]->parent, pin);
    assert_usable (pin->children[i]);
  }
}

static void
test_sss_threshold (void **state)
{
  static const char *const values[] = {
    "0", "-1", "4", "4294967297", "9223372036854775807", "\"2\"", "1.0",
    "null", "[]", "true",
  };
  CLEANUP_JSON json_t *header = sss_header (1, 3);
  size_t i;

  for (i = 0; i < sizeof values / sizeof values[0]; ++i) {
    json_object_set_new (sss_config (header), "t",
                         json_loads (values[i], JSON_DECODE_ANY, NULL));
    assert_unusable (header, CLEVIS_ERR_TOKEN, "threshold");
  }
}

static void
test_sss_prime (void **state)
{
  static const struct {
    const char *p, *message;
  } cases[] = {
    { "null", "p is not a number" }, { "7", "p is not a number" },
    { "\"\"", "p is not a number" }, { "\"A\"", "p is not a number" },
    { "\"AA\"", "odd prime" }, { "\"AQ\"", "odd prime" },
    { "\"Ag\"", "odd prime" }, { "\"_w\"", "odd prime" },
    { "\"APs\"", "odd prime" },
  };
  CLEANUP_JSON json_t *header = sss_header (1, 1);
  size_t i;

  for (i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    json_object_set_new (sss_config (header), "p",
                         json_loads (cases[i].p, JSON_DECODE_ANY, NULL));
    assert_unusable (header, CLEVIS_ERR_TOKEN, cases[i].message);
  }
}

/* Under valgrind: p is not taken from memory that was never written. */
static void
test_sss_prime_that_is_not_base64url (void **state)
{
  CLEANUP_JSON json_t *header = sss_header (1, 1);
  char p[44] = { 0 };

  memset (p, '!', sizeof p - 1);
  json_object_set_new (sss_config (header), "p", json_string (p));
  assert_unusable (header, CLEVIS_ERR_TOKEN, "p is not");
}

static void
test_sss_prime_of_any_length (void **state)
{
  static const size_t lengths[] = { 67, 128, 1000, 100000 };
  CLEANUP_JSON json_t *header = sss_header (1, 1);
  unsigned char *p = malloc (100000);
  size_t i;

  memset (p, 0xff, 100000);
  for (i = 0; i < sizeof lengths / sizeof lengths[0]; ++i) {
    json_object_set_new (sss_config (header), "p",
                         jose_b64_enc (p, lengths[i]));
    assert_unusable (header, CLEVIS_ERR_TOKEN, "at most 521 bits");
  }
  free (p);
}

static void
test_sss_children (void **state)
{
  static const char *const values[] = { "null", "[]", "{}", "\"x\"", "7" };
  CLEANUP_JSON json_t *header = sss_header (1, 1);
  size_t i;

  for (i = 0; i < sizeof values / sizeof values[0]; ++i) {
    json_object_set_new (sss_config (header), "jwe",
                         json_loads (values[i], JSON_DECODE_ANY, NULL));
    assert_unusable (header, CLEVIS_ERR_TOKEN, "0 pins, not 1 to 64");
  }
}

static void
test_sss_most_children (void **state)
{
  CLEANUP_JSON json_t *most = sss_header (64, BOUND_PIN_CHILDREN);
  CLEANUP_JSON json_t *more = sss_header (1, BOUND_PIN_CHILDREN + 1);
  CLEANUP_PIN struct pin *pin = parsed_header (most);

  assert_usable (pin);
  assert_int_equal (pin->nr_children, BOUND_PIN_CHILDREN);
  assert_unusable (more, CLEVIS_ERR_LIMIT, "65 pins, not 1 to 64");
}

/* What is wrong with a child is kept in it. */
static void
test_sss_with_broken_children (void **state)
{
  CLEANUP_JSON json_t *header = sss_header (1, 1), *foreign = NULL;
  CLEANUP_JSON json_t *config = json_object (), *jwe = NULL;
  CLEANUP_PIN struct pin *pin = NULL;
  json_t *jwes = json_object_get (sss_config (header), "jwe");

  foreign = dir_header ("tpm2", config);
  jwe = jwe_of (foreign);
  json_array_append_new (jwes, json_string ("not a JWE"));
  json_array_append_new (jwes, json_null ());
  json_array_append_new (jwes, compact (jwe));
  pin = parsed_header (header);
  assert_usable (pin);
  assert_int_equal (pin->nr_children, 4);
  assert_usable (pin->children[0]);
  assert_error (&pin->children[1]->error, CLEVIS_ERR_TOKEN, "malformed");
  assert_string_equal (pin->children[1]->path, "sss[1]");
  assert_error (&pin->children[2]->error, CLEVIS_ERR_TOKEN, "malformed");
  assert_error (&pin->children[3]->error, CLEVIS_ERR_UNSUPPORTED, NULL);
  assert_string_equal (pin->children[3]->path, "sss[3].tpm2");
}

/* A child that exceeds a limit of its own is broken, but the tree is not. */
static void
test_sss_with_child_over_a_limit (void **state)
{
  CLEANUP_JSON json_t *header = sss_header (1, 1);
  CLEANUP_JSON json_t *key = tang_key ("P-256"), *tang = NULL, *jwe = NULL;
  CLEANUP_PIN struct pin *pin = NULL;
  char url[BOUND_URL + 100];

  memset (url, 'a', sizeof url);
  url[sizeof url - 1] = '\0';
  tang = whole_tang_header (url, key);
  jwe = jwe_of (tang);
  json_array_append_new (json_object_get (sss_config (header), "jwe"),
                         compact (jwe));
  pin = parsed_header (header);
  assert_usable (pin);
  assert_error (&pin->children[1]->error, CLEVIS_ERR_LIMIT, "longer than");
}

/* Limits of the tree. */

/* A tree of sss pins, depth levels deep; the innermost holds a null pin. */
static json_t *
nested (size_t depth)
{
  CLEANUP_JSON json_t *inner = NULL, *header = NULL;
  json_t *jwes;

  if (depth == 1)
    return encrypt_null ("x", 1);
  inner = nested (depth - 1);
  header = sss_header (1, 1);
  jwes = json_object_get (sss_config (header), "jwe");
  json_array_set_new (jwes, 0, compact (inner));
  return jwe_of (header);
}

static void
test_depth (void **state)
{
  CLEANUP_JSON json_t *deepest = nested (BOUND_PIN_DEPTH);
  CLEANUP_JSON json_t *deeper = nested (BOUND_PIN_DEPTH + 1);
  CLEANUP_JSON json_t *abyss = nested (BOUND_PIN_DEPTH + 4);
  CLEANUP_PIN struct pin *pin = parsed (deepest), *bad = NULL, *worst = NULL;

  assert_usable (pin);
  assert_int_equal (pin->nr_pins, BOUND_PIN_DEPTH);
  bad = parsed (deeper);
  assert_error (&bad->error, CLEVIS_ERR_LIMIT, "deeper than 8");
  assert_int_equal (bad->state, PIN_FAILED);
  worst = parsed (abyss);
  assert_error (&worst->error, CLEVIS_ERR_LIMIT, "deeper than 8");
}

/* A root with the given numbers of grandchildren. */
static json_t *
bushy (const size_t *grandchildren, size_t n)
{
  CLEANUP_JSON json_t *header = sss_header (1, n);
  json_t *jwes = json_object_get (sss_config (header), "jwe");
  size_t i;

  for (i = 0; i < n; ++i) {
    CLEANUP_JSON json_t *child = sss_header (1, grandchildren[i]);
    CLEANUP_JSON json_t *jwe = jwe_of (child);

    json_array_set_new (jwes, i, compact (jwe));
  }
  return jwe_of (header);
}

static void
test_total (void **state)
{
  static const size_t most[] = { 64, 64, 64, 59 };
  static const size_t more[] = { 64, 64, 64, 60 };
  CLEANUP_JSON json_t *largest = bushy (most, 4), *larger = bushy (more, 4);
  CLEANUP_PIN struct pin *pin = parsed (largest), *bad = NULL;

  assert_usable (pin);
  assert_int_equal (pin->nr_pins, BOUND_PIN_TOTAL);
  bad = parsed (larger);
  assert_error (&bad->error, CLEVIS_ERR_LIMIT, "more than 256 pins");
  assert_int_equal (bad->state, PIN_FAILED);
}

/* A tree that is too large is not run in part. */
static void
test_too_large_tree_is_not_run (void **state)
{
  CLEANUP_JSON json_t *jwe = nested (BOUND_PIN_DEPTH + 1);
  CLEANUP_PIN struct pin *pin = parsed (jwe);

  run_pin (pin, NULL);
  assert_int_equal (pin->state, PIN_FAILED);
  assert_error (&pin->error, CLEVIS_ERR_LIMIT, "deeper than 8");
}

/* One sss pin too many, in whatever places. */
static void
test_sss_total (void **state)
{
  static const size_t ones[BOUND_PIN_SSS] = { 1, 1, 1, 1, 1, 1, 1, 1 };
  CLEANUP_JSON json_t *most = bushy (ones, BOUND_PIN_SSS - 1);
  CLEANUP_JSON json_t *more = bushy (ones, BOUND_PIN_SSS);
  CLEANUP_PIN struct pin *pin = parsed (most), *bad = NULL;

  assert_usable (pin);
  bad = parsed (more);
  assert_error (&bad->error, CLEVIS_ERR_LIMIT, "more than 8 sss pins");
  assert_int_equal (bad->state, PIN_FAILED);
}

/* The size of what would be recovered is known from the JWE, so that no locked
 * memory is taken for more than a passphrase or a share.
 */
static void
test_size_of_passphrase (void **state)
{
  static const char text[BOUND_PASSPHRASE + 1] = "secret";
  CLEANUP_JSON json_t *most = encrypt_null (text, BOUND_PASSPHRASE);
  CLEANUP_JSON json_t *more = encrypt_null (text, BOUND_PASSPHRASE + 1);
  CLEANUP_PIN struct pin *pin = parsed (most), *bad = parsed (more);

  run_pin (pin, NULL);
  assert_int_equal (pin->state, PIN_DONE);
  assert_secret (pin->plaintext, text, BOUND_PASSPHRASE);
  assert_int_equal (bad->state, PIN_FAILED);
  assert_error (&bad->error, CLEVIS_ERR_LIMIT,
                "holds 513 bytes, more than the 512");
}

static void
test_size_of_share (void **state)
{
  CLEANUP_JSON json_t *header = sss_header (1, 2);
  json_t *jwes = json_object_get (sss_config (header), "jwe");
  static const char text[65];
  CLEANUP_JSON json_t *more = encrypt_null (text, 65);
  CLEANUP_PIN struct pin *pin = NULL;

  json_array_set_new (jwes, 1, compact (more));
  pin = parsed_header (header);
  assert_usable (pin);
  assert_usable (pin->children[0]);
  assert_error (&pin->children[1]->error, CLEVIS_ERR_LIMIT,
                "holds 65 bytes, and a share has 64");
}

/* Running a tree. */

/* For encrypt_sss: what each child is to be, one letter each: (n)ull pin,
 * (b)roken JWE, null pin whose (t)ag is wrong, (f)oreign pin, null pin with
 * (g)arbage for a share, with a share that is too (s)hort, or with the same
 * share as the child before it (=).
 */
struct plan {
  const char *letters;
  unsigned char before[SHARE_MAX];
};

static json_t *
planned_child (size_t i, const unsigned char *share, size_t len, void *opaque)
{
  struct plan *plan = opaque;
  CLEANUP_JSON json_t *config = json_object (), *header = NULL;
  unsigned char same[SHARE_MAX];
  json_t *jwe;

  memcpy (same, plan->before, sizeof same);
  memcpy (plan->before, share, len);
  switch (plan->letters[i]) {
  case 'b':
    return json_string ("not a JWE");
  case 'f':
    header = dir_header ("tpm2", config);
    return jwe_of (header);
  case 't':
    jwe = encrypt_null (share, len);
    json_object_set_new (jwe, "tag", json_string ("AAAAAAAAAAAAAAAAAAAAAA"));
    return jwe;
  case 'g':
    memset (same, 0xff, sizeof same);
    return encrypt_null (same, len);
  case 's':
    return encrypt_null (share, len - 1);
  case '=':
    return encrypt_null (same, len);
  default:
    return encrypt_null (share, len);
  }
}

/* Run an sss pin with these children. */
static struct pin *
run_plan (int t, const char *letters)
{
  struct plan plan = { .letters = letters };
  CLEANUP_JSON json_t *jwe = encrypt_sss (t, strlen (letters), planned_child,
                                          &plan, plain, sizeof plain);
  struct pin *pin = parsed (jwe);

  run_pin (pin, NULL);
  return pin;
}

static void
test_run_sss (void **state)
{
  static const struct {
    int t;
    const char *letters;
  } cases[] = {
    { 1, "n" }, { 1, "nn" }, { 2, "nn" }, { 2, "nnn" }, { 3, "nnn" },
    { 1, "bn" }, { 1, "nb" }, { 2, "nbn" }, { 1, "tn" }, { 1, "ftbn" },
    { 2, "ngn" }, { 2, "nsn" }, { 2, "n=n" }, { 3, "gnsnfbn" },
    { 10, "nnnnnnnnnn" },
  };
  size_t i;

  for (i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    CLEANUP_PIN struct pin *pin = run_plan (cases[i].t, cases[i].letters);

    if (pin->state != PIN_DONE)
      fail_msg ("%d of %s: %s", cases[i].t, cases[i].letters,
                pin->error.message);
    assert_secret (pin->plaintext, plain, sizeof plain);
  }
}

static void
test_run_sss_with_too_few_shares (void **state)
{
  static const struct {
    int t;
    const char *letters;
    const char *message;
  } cases[] = {
    { 1, "b", "1 of 1 pins are needed, and 1 failed" },
    { 1, "ff", "1 of 2 pins are needed, and 2 failed" },
    { 2, "nb", "2 of 2 pins are needed, and 1 failed" },
    { 2, "nt", "2 of 2 pins are needed, and 1 failed" },
    { 2, "n=", "2 of 2 pins are needed, and 1 failed" },
    { 2, "sg", "2 of 2 pins are needed, and 1 failed" },
    { 3, "bnft", "3 of 4 pins are needed, and 2 failed" },
  };
  size_t i;

  for (i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    CLEANUP_PIN struct pin *pin = run_plan (cases[i].t, cases[i].letters);

    assert_int_equal (pin->state, PIN_FAILED);
    assert_error (&pin->error, CLEVIS_ERR_THRESHOLD, cases[i].message);
    assert_null (pin->plaintext);
  }
}

static void
test_run_sss_keeps_the_reasons (void **state)
{
  CLEANUP_PIN struct pin *pin = run_plan (4, "ntgs");

  assert_int_equal (pin->state, PIN_FAILED);
  assert_error (&pin->children[1]->error, CLEVIS_ERR_DECRYPT, NULL);
}

static void
test_run_sss_names_a_bad_share (void **state)
{
  CLEANUP_PIN struct pin *pin = run_plan (1, "gsn");

  assert_int_equal (pin->state, PIN_DONE);
  assert_error (&pin->children[0]->error, CLEVIS_ERR_TOKEN, "not a point");
  assert_error (&pin->children[1]->error, CLEVIS_ERR_TOKEN, "63 bytes");
  assert_int_equal (pin->children[0]->state, PIN_FAILED);
}

/* What is not needed is not even begun. */
static void
test_run_sss_stops_when_it_has_enough (void **state)
{
  CLEANUP_PIN struct pin *pin = run_plan (2, "nnnn");

  assert_int_equal (pin->state, PIN_DONE);
  assert_int_equal (pin->children[1]->state, PIN_DONE);
  assert_int_equal (pin->children[2]->state, PIN_CANCELLED);
  assert_null (pin->children[2]->plaintext);
  assert_int_equal (pin->children[3]->state, PIN_CANCELLED);
}

/* Shares do not stay in memory after they were used. */
static void
test_run_sss_drops_shares (void **state)
{
  CLEANUP_PIN struct pin *pin = run_plan (2, "nn");

  assert_null (pin->children[0]->plaintext);
  assert_null (pin->children[1]->plaintext);
}

/* Shares of two different sharings combine to something, which then does not
 * decrypt.
 */
static json_t *
random_share (size_t i, const unsigned char *share, size_t len, void *opaque)
{
  struct sharing *s = sharing_new (2, 250);
  unsigned char other[SHARE_MAX];
  json_t *jwe;

  sharing_share (s, i + 1, other);
  sharing_free (s);
  jwe = encrypt_null (other, len);
  return jwe;
}

static void
test_run_sss_with_shares_of_another_secret (void **state)
{
  CLEANUP_JSON json_t *jwe = encrypt_sss (2, 2, random_share, NULL, plain,
                                          sizeof plain);
  CLEANUP_PIN struct pin *pin = parsed (jwe);

  run_pin (pin, NULL);
  assert_int_equal (pin->state, PIN_FAILED);
  assert_error (&pin->error, CLEVIS_ERR_DECRYPT, "does not decrypt");
}

/* An sss pin as the child of an sss pin, down to the deepest level. */
static json_t *
sss_child (size_t i, const unsigned char *share, size_t len, void *opaque)
{
  const int *depth = opaque;
  int less = *depth - 1;

  if (less == 0 || i > 0)
    return encrypt_null (share, len);
  return encrypt_sss (2, 2, sss_child, &less, share, len);
}

static void
test_run_nested_sss (void **state)
{
  int depth = BOUND_PIN_DEPTH - 1;
  CLEANUP_JSON json_t *jwe = encrypt_sss (2, 2, sss_child, &depth, plain,
                                          sizeof plain);
  CLEANUP_PIN struct pin *pin = parsed (jwe);

  run_pin (pin, NULL);
  assert_int_equal (pin->nr_pins, 15);
  assert_int_equal (pin->state, PIN_DONE);
  assert_secret (pin->plaintext, plain, sizeof plain);
}

static void
count_leaf (struct pin *leaf, void *opaque)
{
  char *paths = opaque;

  strcat (paths, leaf->path);
  strcat (paths, " ");
}

static void
test_leaves_in_order (void **state)
{
  int depth = 2;
  CLEANUP_JSON json_t *jwe = encrypt_sss (2, 3, sss_child, &depth, plain,
                                          sizeof plain);
  CLEANUP_PIN struct pin *pin = parsed (jwe);
  char paths[256] = "";

  pin_foreach_leaf (pin, count_leaf, paths);
  assert_string_equal (paths, "sss[0].sss[0].null sss[0].sss[1].null "
                       "sss[1].null sss[2].null ");
}

static void
test_run_of_unusable_root (void **state)
{
  CLEANUP_JSON json_t *config = json_object ();
  CLEANUP_JSON json_t *header = dir_header ("tpm2", config);
  CLEANUP_PIN struct pin *pin = parsed_header (header);

  run_pin (pin, NULL);
  assert_int_equal (pin->state, PIN_FAILED);
  assert_error (&pin->error, CLEVIS_ERR_UNSUPPORTED, NULL);
}

static void
test_free_of_null (void **state)
{
  pin_free (NULL);
}

int
main (void)
{
  const struct CMUnitTest pin[] = {
    cmocka_unit_test (test_tang),
    cmocka_unit_test (test_tang_with_sha1_thumbprint),
    cmocka_unit_test (test_tang_finds_its_key_among_others),
    cmocka_unit_test (test_tang_url),
    cmocka_unit_test (test_tang_with_long_url),
    cmocka_unit_test (test_tang_kid),
    cmocka_unit_test (test_tang_kid_that_names_no_key),
    cmocka_unit_test (test_tang_without_advertisement),
    cmocka_unit_test (test_tang_with_too_many_keys),
    cmocka_unit_test (test_tang_key_is_for_signing),
    cmocka_unit_test (test_tang_key_without_purpose),
    cmocka_unit_test (test_tang_key_of_another_kind),
    cmocka_unit_test (test_tang_epk),
    cmocka_unit_test (test_tang_with_another_algorithm),
    cmocka_unit_test (test_tang_request_and_reply),
    cmocka_unit_test (test_tang_reply_to_another_request),
    cmocka_unit_test (test_tang_reply_that_is_no_object),
    cmocka_unit_test (test_root_that_names_no_pin),
    cmocka_unit_test (test_name_of_pin_is_bounded),
    cmocka_unit_test (test_root_that_is_no_jwe),
    cmocka_unit_test (test_pins_without_configuration),
    cmocka_unit_test (test_tpm2),
    cmocka_unit_test (test_params_that_are_not_text),
    cmocka_unit_test (test_pkcs11_uri_loses_its_pin),
    cmocka_unit_test (test_other_unsupported_pins),
    cmocka_unit_test (test_null),
    cmocka_unit_test (test_null_with_bad_key),
    cmocka_unit_test (test_null_that_does_not_decrypt),
    cmocka_unit_test (test_sss),
    cmocka_unit_test (test_sss_threshold),
    cmocka_unit_test (test_sss_prime),
    cmocka_unit_test (test_sss_prime_that_is_not_base64url),
    cmocka_unit_test (test_sss_prime_of_any_length),
    cmocka_unit_test (test_sss_children),
    cmocka_unit_test (test_sss_most_children),
    cmocka_unit_test (test_sss_with_broken_children),
    cmocka_unit_test (test_sss_with_child_over_a_limit),
    cmocka_unit_test (test_depth),
    cmocka_unit_test (test_total),
    cmocka_unit_test (test_too_large_tree_is_not_run),
    cmocka_unit_test (test_sss_total),
    cmocka_unit_test (test_size_of_passphrase),
    cmocka_unit_test (test_size_of_share),
    cmocka_unit_test (test_run_sss),
    cmocka_unit_test (test_run_sss_with_too_few_shares),
    cmocka_unit_test (test_run_sss_keeps_the_reasons),
    cmocka_unit_test (test_run_sss_names_a_bad_share),
    cmocka_unit_test (test_run_sss_stops_when_it_has_enough),
    cmocka_unit_test (test_run_sss_drops_shares),
    cmocka_unit_test (test_run_sss_with_shares_of_another_secret),
    cmocka_unit_test (test_run_nested_sss),
    cmocka_unit_test (test_leaves_in_order),
    cmocka_unit_test (test_run_of_unusable_root),
    cmocka_unit_test (test_free_of_null),
  };

  return run_unit_tests (pin);
}
