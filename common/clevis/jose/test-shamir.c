/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of shamir.c: against vectors worked out by hand, against a sharing
 * that was written apart from it (testlib-jwe.c), and with shares and primes
 * that nobody honest would make.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <openssl/bn.h>

#include "base/bounds.h"
#include "jose/shamir.h"
#include "testlib/testlib-jwe.h"

static void
cleanup_shamir (struct shamir **sh)
{
  shamir_free (*sh);
}

static void
cleanup_sharing (struct sharing **s)
{
  sharing_free (*s);
}

#define CLEANUP_SHAMIR __attribute__ ((cleanup (cleanup_shamir)))
#define CLEANUP_SHARING __attribute__ ((cleanup (cleanup_sharing)))

static int
add (struct shamir *sh, const void *share, size_t len,
     struct clevis_error *err)
{
  CLEANUP_SECRET struct secret *s = secret_copy (share, len);

  return shamir_add (sh, s, err);
}

static void
assert_add (struct shamir *sh, const void *share, size_t len)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  add (sh, share, len, &err);
  assert_no_error (&err);
}

static void
assert_not_added (struct shamir *sh, const void *share, size_t len,
                  const char *message)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  size_t before = shamir_count (sh);

  assert_int_equal (add (sh, share, len, &err), -1);
  assert_error (&err, CLEVIS_ERR_TOKEN, message);
  assert_int_equal (shamir_count (sh), before);
}

static struct shamir *
modulo (const void *p, size_t len)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct shamir *sh = shamir_new (p, len, &err);

  assert_no_error (&err);
  assert_non_null (sh);
  return sh;
}

static void
assert_combines_to (const struct shamir *sh, const void *secret, size_t len)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_SECRET struct secret *s = shamir_combine (sh, &err);

  assert_no_error (&err);
  assert_secret (s, secret, len);
}

/* Modulo 251: 42 + 17 x has the points (1, 59), (2, 76) and (250, 25). */
static void
test_vector_of_degree_one (void **state)
{
  CLEANUP_SHAMIR struct shamir *a = modulo ("\xfb", 1);
  CLEANUP_SHAMIR struct shamir *b = modulo ("\xfb", 1);

  assert_add (a, "\x01\x3b", 2);
  assert_add (a, "\x02\x4c", 2);
  assert_combines_to (a, "\x2a", 1);
  assert_add (b, "\xfa\x19", 2);
  assert_add (b, "\x02\x4c", 2);
  assert_combines_to (b, "\x2a", 1);
}

/* Modulo 251: 200 + 3 x + 7 x^2 has (1, 210), (2, 234), (3, 21), (10, 177). */
static void
test_vector_of_degree_two (void **state)
{
  CLEANUP_SHAMIR struct shamir *sh = modulo ("\xfb", 1);

  assert_add (sh, "\x01\xd2", 2);
  assert_add (sh, "\x0a\xb1", 2);
  assert_add (sh, "\x03\x15", 2);
  assert_combines_to (sh, "\xc8", 1);
}

/* More shares than the threshold lie on the same polynomial. */
static void
test_more_shares_than_needed (void **state)
{
  CLEANUP_SHAMIR struct shamir *sh = modulo ("\xfb", 1);

  assert_add (sh, "\x01\xd2", 2);
  assert_add (sh, "\x02\xea", 2);
  assert_add (sh, "\x03\x15", 2);
  assert_add (sh, "\x0a\xb1", 2);
  assert_combines_to (sh, "\xc8", 1);
}

/* With one share the polynomial is a constant. */
static void
test_threshold_one (void **state)
{
  CLEANUP_SHAMIR struct shamir *sh = modulo ("\xfb", 1);

  assert_add (sh, "\x63\x2a", 2);
  assert_combines_to (sh, "\x2a", 1);
}

/* The secret has as many bytes as p, with zeroes in front. */
static void
test_small_secret_is_padded (void **state)
{
  static const unsigned char p[4] = { 0xff, 0xff, 0xff, 0xfb };
  static const unsigned char share[8] = { 0, 0, 0, 1, 0, 0, 0, 7 };
  CLEANUP_SHAMIR struct shamir *sh = modulo (p, sizeof p);

  assert_add (sh, share, sizeof share);
  assert_combines_to (sh, "\0\0\0\7", 4);
}

static void
test_random_sharings (void **state)
{
  static const int bits[] = { 256, 64, 521, 128, 257, 384 };
  unsigned char share[SHARE_MAX];
  const unsigned char *p;
  int i, j, t;
  size_t len;

  for (i = 0; i < 48; ++i) {
    CLEANUP_SHARING struct sharing *s = NULL;
    CLEANUP_SHAMIR struct shamir *sh = NULL;

    t = 1 + i % 16;
    s = sharing_new (t, bits[i % 6]);
    p = sharing_prime (s, &len);
    sh = modulo (p, len);
    for (j = 0; j < t; ++j) {
      sharing_share (s, 0, share);
      assert_add (sh, share, 2 * len);
    }
    assert_int_equal (shamir_count (sh), t);
    assert_combines_to (sh, sharing_secret (s), len);
  }
}

/* Fewer shares than the threshold give something, but not the secret. */
static void
test_too_few_shares (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_SHARING struct sharing *s = sharing_new (3, 256);
  CLEANUP_SHAMIR struct shamir *sh = NULL;
  CLEANUP_SECRET struct secret *got = NULL;
  unsigned char share[SHARE_MAX];
  size_t len;

  sh = modulo (sharing_prime (s, &len), 32);
  sharing_share (s, 1, share);
  assert_add (sh, share, 2 * len);
  sharing_share (s, 2, share);
  assert_add (sh, share, 2 * len);
  got = shamir_combine (sh, &err);
  assert_non_null (got);
  assert_memory_not_equal (got->data, sharing_secret (s), len);
}

/* As many as an sss pin may have children, and not one more. */
static void
test_most_shares (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_SHARING struct sharing *s = sharing_new (BOUND_PIN_CHILDREN, 256);
  CLEANUP_SHAMIR struct shamir *sh = NULL;
  unsigned char share[SHARE_MAX];
  const unsigned char *p;
  size_t i, len;

  p = sharing_prime (s, &len);
  sh = modulo (p, len);
  for (i = 1; i <= BOUND_PIN_CHILDREN; ++i) {
    sharing_share (s, i, share);
    assert_add (sh, share, 2 * len);
  }
  assert_combines_to (sh, sharing_secret (s), len);
  sharing_share (s, i, share);
  assert_int_equal (add (sh, share, 2 * len, &err), -1);
  assert_error (&err, CLEVIS_ERR_LIMIT, "too many");
}

static void
test_share_of_wrong_length (void **state)
{
  CLEANUP_SHAMIR struct shamir *sh = modulo ("\xfb", 1);

  assert_not_added (sh, "", 0, "0 bytes instead of 2");
  assert_not_added (sh, "\x01", 1, "1 bytes instead of 2");
  assert_not_added (sh, "\x01\x02\x03", 3, "3 bytes instead of 2");
}

/* At 0 is the secret itself. */
static void
test_x_zero (void **state)
{
  CLEANUP_SHAMIR struct shamir *sh = modulo ("\xfb", 1);

  assert_not_added (sh, "\x00\x05", 2, "not a point");
}

static void
test_same_x_twice (void **state)
{
  CLEANUP_SHAMIR struct shamir *sh = modulo ("\xfb", 1);

  assert_add (sh, "\x01\x05", 2);
  assert_not_added (sh, "\x01\x05", 2, "not a point");
  assert_not_added (sh, "\x01\x06", 2, "not a point");
}

static void
test_coordinates_not_below_p (void **state)
{
  CLEANUP_SHAMIR struct shamir *sh = modulo ("\xfb", 1);

  assert_not_added (sh, "\xfb\x05", 2, "not a point");
  assert_not_added (sh, "\xfc\x05", 2, "not a point");
  assert_not_added (sh, "\x05\xfb", 2, "not a point");
  assert_not_added (sh, "\x05\xff", 2, "not a point");
  assert_add (sh, "\xfa\xfa", 2);
}

static void
assert_bad_prime (const void *p, size_t len)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  assert_null (shamir_new (p, len, &err));
  assert_error (&err, CLEVIS_ERR_TOKEN, "not an odd prime");
}

static void
test_bad_primes (void **state)
{
  assert_bad_prime ("", 0);
  assert_bad_prime ("\x00", 1);
  assert_bad_prime ("\x01", 1);
  assert_bad_prime ("\x02", 1);               /* prime, but even */
  assert_bad_prime ("\xfa", 1);
  assert_bad_prime ("\xff", 1);               /* 3 * 5 * 17 */
  assert_bad_prime ("\x02\x31", 2);           /* 561, Carmichael number */
  assert_bad_prime ("\x00\xfb", 2);           /* prime, with a leading zero */
}

/* The product of two large primes has no small factor to give it away. */
static void
test_composite_of_large_primes (void **state)
{
  BIGNUM *p = BN_new (), *q = BN_new ();
  BN_CTX *ctx = BN_CTX_new ();
  unsigned char buf[32];

  assert_true (BN_generate_prime_ex (p, 128, 0, NULL, NULL, NULL));
  assert_true (BN_generate_prime_ex (q, 128, 0, NULL, NULL, NULL));
  assert_true (BN_mul (p, p, q, ctx));
  BN_bn2binpad (p, buf, sizeof buf);
  BN_free (p);
  BN_free (q);
  BN_CTX_free (ctx);
  assert_bad_prime (buf, sizeof buf);
}

/* 2^521 - 1 is the largest that is taken; 2^1279 - 1 is prime, too. */
/* 1373653 = 829 * 1657 passes for a prime; two points whose distance has no
 * inverse then do not combine, for which nobody's memory is to blame.
 */
static void
test_points_without_inverse (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_SHAMIR struct shamir *sh = modulo ("\x14\xf5\xd5", 3);

  assert_add (sh, "\0\0\1\0\0\5", 6);
  assert_add (sh, "\0\3\x3e\0\0\7", 6);
  assert_null (shamir_combine (sh, &err));
  assert_error (&err, CLEVIS_ERR_TOKEN, "p is not prime");
}

static void
test_largest_prime (void **state)
{
  unsigned char p[160];
  CLEANUP_SHAMIR struct shamir *sh = NULL;

  memset (p, 0xff, sizeof p);
  p[0] = 0x01;
  sh = modulo (p, 66);
  p[0] = 0x7f;
  assert_bad_prime (p, 160);
}

static void
test_free_of_null (void **state)
{
  shamir_free (NULL);
}

int
main (void)
{
  const struct CMUnitTest shamir[] = {
    cmocka_unit_test (test_vector_of_degree_one),
    cmocka_unit_test (test_vector_of_degree_two),
    cmocka_unit_test (test_more_shares_than_needed),
    cmocka_unit_test (test_threshold_one),
    cmocka_unit_test (test_small_secret_is_padded),
    cmocka_unit_test (test_random_sharings),
    cmocka_unit_test (test_too_few_shares),
    cmocka_unit_test (test_most_shares),
    cmocka_unit_test (test_share_of_wrong_length),
    cmocka_unit_test (test_x_zero),
    cmocka_unit_test (test_same_x_twice),
    cmocka_unit_test (test_coordinates_not_below_p),
    cmocka_unit_test (test_bad_primes),
    cmocka_unit_test (test_composite_of_large_primes),
    cmocka_unit_test (test_points_without_inverse),
    cmocka_unit_test (test_largest_prime),
    cmocka_unit_test (test_free_of_null),
  };

  return run_unit_tests (shamir);
}
