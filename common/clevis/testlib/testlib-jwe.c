/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Bindings and answers for the unit tests; see testlib-jwe.h.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <jose/b64.h>
#include <jose/jose.h>
#include <openssl/bn.h>
#include <openssl/rand.h>

#include "jose/jose-quiet.h"
#include "testlib/testlib-jwe.h"

json_t *
tang_key (const char *curve)
{
  json_t *key = json_pack ("{s:s, s:s}", "alg", "ECMR", "crv", curve);

  assert_true (jose_jwk_gen (jose_quiet_cfg (), key));
  return key;
}

json_t *
public_part (const json_t *key)
{
  json_t *copy = json_deep_copy (key);

  assert_true (jose_jwk_pub (jose_quiet_cfg (), copy));
  return copy;
}

char *
thumbprint (const json_t *key, const char *alg)
{
  CLEANUP_JSON json_t *thp = jose_jwk_thp (jose_quiet_cfg (), key, alg);

  assert_non_null (thp);
  return strdup (json_string_value (thp));
}

json_t *
tang_advertisement (const json_t *key, bool signed_well)
{
  CLEANUP_JSON json_t *signing = json_pack ("{s:s}", "alg", "ES256");
  CLEANUP_JSON json_t *other = json_pack ("{s:s}", "alg", "ES256");
  CLEANUP_JSON json_t *payload = NULL;
  CLEANUP_FREE char *text = NULL;
  json_t *jws;

  assert_true (jose_jwk_gen (jose_quiet_cfg (), signing));
  assert_true (jose_jwk_gen (jose_quiet_cfg (), other));
  payload = json_pack ("{s:[o]}", "keys", public_part (signing));
  if (key)
    json_array_append_new (json_object_get (payload, "keys"),
                           public_part (key));
  text = json_dumps (payload, 0);
  jws = json_pack ("{s:o}", "payload", jose_b64_enc (text, strlen (text)));
  assert_true (jose_jws_sig (jose_quiet_cfg (), jws, NULL,
                             signed_well ? signing : other));
  return jws;
}

json_t *
tang_answer (const json_t *key, const json_t *x)
{
  return jose_jwk_exc (jose_quiet_cfg (), key, x);
}

json_t *
tang_header (const char *url, const json_t *key)
{
  CLEANUP_FREE char *kid = thumbprint (key, "S256");
  json_t *header;

  header = json_pack ("{s:s, s:s, s:s, s:{s:s, s:{s:s, s:{s:[o]}}}}",
                      "alg", "ECDH-ES", "enc", "A256GCM", "kid", kid,
                      "clevis", "pin", "tang", "tang", "url", url,
                      "adv", "keys", public_part (key));
  assert_non_null (header);
  return header;
}

json_t *
dir_header (const char *pin, const json_t *config)
{
  json_t *header;

  header = json_pack ("{s:s, s:s, s:{s:s, s:O}}", "alg", "dir",
                      "enc", "A256GCM", "clevis", "pin", pin, pin, config);
  assert_non_null (header);
  return header;
}

json_t *
jwe_of (const json_t *header)
{
  static const unsigned char zeroes[40];
  json_t *jwe;

  jwe = json_pack ("{s:o, s:s, s:o, s:o, s:o}",
                   "protected", jose_b64_enc_dump (header),
                   "encrypted_key", "", "iv", jose_b64_enc (zeroes, 12),
                   "ciphertext", jose_b64_enc (zeroes, 40),
                   "tag", jose_b64_enc (zeroes, 16));
  assert_non_null (jwe);
  return jwe;
}

/* Of LeakSanitizer, where a test is built with it. */
extern void __lsan_disable (void) __attribute__ ((weak));
extern void __lsan_enable (void) __attribute__ ((weak));

/* jose 14 forgets the header that it decodes here (handle_zip_enc); for valgrind
 * the file leaks.valgrind says so.
 */
void
encrypt_content (json_t *jwe, const json_t *cek, const void *plain, size_t len)
{
  bool encrypted;

  if (__lsan_disable)
    __lsan_disable ();
  encrypted = jose_jwe_enc_cek (jose_quiet_cfg (), jwe, cek, plain, len);
  if (__lsan_enable)
    __lsan_enable ();
  assert_true (encrypted);
}

/* libjose puts "epk" in an unprotected header, while jose jwe enc -c, which
 * Clevis calls, moves it to the protected one before that is authenticated.
 */
json_t *
encrypt_header (const json_t *header, const json_t *jwk, const void *plain,
                size_t len)
{
  json_t *jwe = json_pack ("{s:o}", "protected", json_deep_copy (header));
  CLEANUP_JSON json_t *cek = json_object ();
  const json_t *epk;

  assert_true (jose_jwe_enc_jwk (jose_quiet_cfg (), jwe, NULL, jwk, cek));
  epk = json_object_get (json_object_get (jwe, "header"), "epk");
  if (epk) {
    json_object_set (json_object_get (jwe, "protected"), "epk",
                     (json_t *) epk);
    json_object_del (jwe, "header");
  }
  encrypt_content (jwe, cek, plain, len);
  return jwe;
}

json_t *
encrypt_tang (const char *url, const json_t *key, const void *plain,
              size_t len)
{
  CLEANUP_JSON json_t *header = tang_header (url, key);
  CLEANUP_JSON json_t *jwk = public_part (key);

  json_object_del (jwk, "alg");
  json_object_del (jwk, "key_ops");
  return encrypt_header (header, jwk, plain, len);
}

json_t *
content_jwk (const unsigned char *key, size_t len)
{
  return json_pack ("{s:s, s:o}", "kty", "oct", "k", jose_b64_enc (key, len));
}

json_t *
encrypt_null (const void *plain, size_t len)
{
  unsigned char key[32];
  CLEANUP_JSON json_t *jwk = NULL, *config = NULL, *header = NULL;

  RAND_bytes (key, sizeof key);
  jwk = content_jwk (key, sizeof key);
  config = json_pack ("{s:O}", "jwk", jwk);
  header = dir_header ("null", config);
  return encrypt_header (header, jwk, plain, len);
}

json_t *
compact (const json_t *jwe)
{
  const char *parts[5];
  static const char *const names[] = {
    "protected", "encrypted_key", "iv", "ciphertext", "tag"
  };
  size_t i;

  for (i = 0; i < 5; ++i) {
    parts[i] = json_string_value (json_object_get (jwe, names[i]));
    if (parts[i] == NULL)
      parts[i] = "";
  }
  return json_sprintf ("%s.%s.%s.%s.%s", parts[0], parts[1], parts[2],
                       parts[3], parts[4]);
}

struct sharing {
  int t;
  size_t len;                   /* bytes of p */
  BN_CTX *ctx;
  BIGNUM *p;
  BIGNUM *coefficients[64];     /* the secret is the first */
  unsigned char prime[SHARE_MAX / 2], secret[SHARE_MAX / 2];
};

/* A prime of so many bits, one that is known if there is one. */
static BIGNUM *
prime_of (int bits)
{
  const BIGNUM *known = bits == 256 ? BN_get0_nist_prime_256 ()
    : bits == 384 ? BN_get0_nist_prime_384 ()
    : bits == 521 ? BN_get0_nist_prime_521 () : NULL;
  BIGNUM *p = known ? BN_dup (known) : BN_new ();

  if (known == NULL)
    assert_true (BN_generate_prime_ex (p, bits, 0, NULL, NULL, NULL));
  return p;
}

struct sharing *
sharing_new (int t, int bits)
{
  struct sharing *s = calloc (1, sizeof *s);
  int i;

  s->t = t;
  s->len = (bits + 7) / 8;
  s->ctx = BN_CTX_new ();
  s->p = prime_of (bits);
  for (i = 0; i < t; ++i) {
    s->coefficients[i] = BN_new ();
    assert_true (BN_rand_range (s->coefficients[i], s->p));
  }
  BN_bn2binpad (s->p, s->prime, s->len);
  BN_bn2binpad (s->coefficients[0], s->secret, s->len);
  return s;
}

void
sharing_free (struct sharing *s)
{
  int i;

  for (i = 0; i < s->t; ++i)
    BN_free (s->coefficients[i]);
  BN_free (s->p);
  BN_CTX_free (s->ctx);
  free (s);
}

const unsigned char *
sharing_prime (const struct sharing *s, size_t *len)
{
  *len = s->len;
  return s->prime;
}

const unsigned char *
sharing_secret (const struct sharing *s)
{
  return s->secret;
}

/* Horner's rule: y = ((c3 x + c2) x + c1) x + c0. */
void
sharing_share (const struct sharing *s, unsigned long at,
               unsigned char share[SHARE_MAX])
{
  BIGNUM *x = BN_new (), *y = BN_new ();
  int i;

  if (at > 0)
    BN_set_word (x, at);
  else
    do
      assert_true (BN_rand_range (x, s->p));
    while (BN_is_zero (x));
  BN_zero (y);
  for (i = s->t - 1; i >= 0; --i) {
    assert_true (BN_mod_mul (y, y, x, s->p, s->ctx));
    assert_true (BN_mod_add (y, y, s->coefficients[i], s->p, s->ctx));
  }
  BN_bn2binpad (x, share, s->len);
  BN_bn2binpad (y, share + s->len, s->len);
  BN_free (x);
  BN_free (y);
}

json_t *
encrypt_sss (int t, size_t n, child_fn child, void *opaque,
             const void *plain, size_t len)
{
  struct sharing *s = sharing_new (t, 256);
  CLEANUP_JSON json_t *jwes = json_array (), *config = NULL, *header = NULL;
  CLEANUP_JSON json_t *jwk = content_jwk (s->secret, s->len);
  unsigned char share[SHARE_MAX];
  json_t *jwe, *single;
  size_t i;

  for (i = 0; i < n; ++i) {
    sharing_share (s, 0, share);
    jwe = child (i, share, 2 * s->len, opaque);
    single = json_is_object (jwe) ? compact (jwe) : json_incref (jwe);
    json_array_append_new (jwes, single);
    json_decref (jwe);
  }
  config = json_pack ("{s:i, s:o, s:O}", "t", t,
                      "p", jose_b64_enc (s->prime, s->len), "jwe", jwes);
  header = dir_header ("sss", config);
  sharing_free (s);
  return encrypt_header (header, jwk, plain, len);
}
