/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Lagrange interpolation at 0 with OpenSSL's big numbers, in locked memory.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/err.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "jose/shamir.h"

struct shamir {
  BN_CTX *ctx;
  BIGNUM *p;
  size_t len;                           /* bytes of p */
  BIGNUM *x[BOUND_PIN_CHILDREN];
  BIGNUM *y[BOUND_PIN_CHILDREN];
  size_t n;
};

/* Is n - 1 = d * 2^s, and does base^d become -1 by squaring, or is it 1?
 * (Miller and Rabin.)  base must not be a multiple of n.
 */
static bool
is_strong_probable_prime (const BIGNUM *n, unsigned long base, BN_CTX *ctx)
{
  BIGNUM *minus_1, *d, *x;
  bool prime = false;
  int s = 0, i;

  BN_CTX_start (ctx);
  minus_1 = BN_CTX_get (ctx);
  d = BN_CTX_get (ctx);
  x = BN_CTX_get (ctx);
  if (x && BN_copy (minus_1, n) && BN_sub_word (minus_1, 1) &&
      BN_set_word (x, base)) {
    while (!BN_is_bit_set (minus_1, s))
      s++;
    if (BN_rshift (d, minus_1, s) && BN_mod_exp (x, x, d, n, ctx)) {
      prime = BN_is_one (x) || BN_cmp (x, minus_1) == 0;
      for (i = 1; i < s && !prime && BN_mod_sqr (x, x, n, ctx); ++i)
        prime = BN_cmp (x, minus_1) == 0;
    }
  }
  BN_CTX_end (ctx);
  return prime;
}

/* A binding whose p is no prime does not work, and nobody else is harmed by
 * it, so this finds mistakes and is cheap; BN_check_prime wants to convince in
 * spite of an adversary and takes 30 times as long, and a disk can name
 * hundreds of numbers.
 */
static bool
is_probable_prime (const BIGNUM *n, BN_CTX *ctx)
{
  static const unsigned long bases[] = { 2, 3 };
  size_t i;

  for (i = 0; i < sizeof bases / sizeof bases[0]; ++i)
    if (!BN_is_word (n, bases[i]) &&
        !is_strong_probable_prime (n, bases[i], ctx))
      return false;
  return true;
}

struct shamir *
shamir_new (const unsigned char *p, size_t len, struct clevis_error *err)
{
  struct shamir *sh = calloc (1, sizeof *sh);

  if (sh == NULL || (sh->ctx = BN_CTX_secure_new ()) == NULL ||
      (sh->p = BN_bin2bn (p, len, NULL)) == NULL) {
    clevis_error_errno (err, ENOMEM, "sss");
    shamir_free (sh);
    return NULL;
  }
  sh->len = len;
  /* The length of p fixes that of the shares, so it has no leading zeroes;
   * the size is checked before the primality test, which would take long.
   */
  if (len == 0 || BN_num_bits (sh->p) > BOUND_SSS_PRIME_BITS ||
      (size_t) BN_num_bytes (sh->p) != len || !BN_is_odd (sh->p) ||
      BN_is_one (sh->p) || !is_probable_prime (sh->p, sh->ctx)) {
    clevis_error_set (err, CLEVIS_ERR_TOKEN,
                      _("p is not an odd prime of at most %d bits"),
                      BOUND_SSS_PRIME_BITS);
    shamir_free (sh);
    return NULL;
  }
  return sh;
}

void
shamir_free (struct shamir *sh)
{
  size_t i;

  if (sh == NULL)
    return;
  for (i = 0; i < sh->n; ++i) {
    BN_clear_free (sh->x[i]);
    BN_clear_free (sh->y[i]);
  }
  BN_free (sh->p);
  BN_CTX_free (sh->ctx);
  free (sh);
}

static bool
seen (const struct shamir *sh, const BIGNUM *x)
{
  size_t i;

  for (i = 0; i < sh->n; ++i)
    if (BN_cmp (sh->x[i], x) == 0)
      return true;
  return false;
}

int
shamir_add (struct shamir *sh, const struct secret *share,
            struct clevis_error *err)
{
  SECRET_CRYPTO_SCOPE;
  BIGNUM *x, *y;

  if (share->len != 2 * sh->len)
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("a share has %zu bytes instead of %zu"),
                             share->len, 2 * sh->len);
  if (sh->n == BOUND_PIN_CHILDREN)
    return clevis_error_set (err, CLEVIS_ERR_LIMIT, _("too many shares"));
  x = BN_secure_new ();
  y = BN_secure_new ();
  if (x == NULL || y == NULL ||
      BN_bin2bn (share->data, sh->len, x) == NULL ||
      BN_bin2bn (share->data + sh->len, sh->len, y) == NULL) {
    BN_clear_free (x);
    BN_clear_free (y);
    return secret_error (err);
  }
  if (BN_is_zero (x) || BN_cmp (x, sh->p) >= 0 || BN_cmp (y, sh->p) >= 0 ||
      seen (sh, x)) {
    BN_clear_free (x);
    BN_clear_free (y);
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("a share is not a point of its own modulo p"));
  }
  sh->x[sh->n] = x;
  sh->y[sh->n] = y;
  sh->n++;
  return 0;
}

size_t
shamir_count (const struct shamir *sh)
{
  return sh->n;
}

/* term = y_j times the product over m != j of x_m / (x_m - x_j), modulo p. */
static bool
lagrange_term (const struct shamir *sh, size_t j, BIGNUM *term)
{
  BIGNUM *num, *den, *diff;
  bool ok;
  size_t m;

  BN_CTX_start (sh->ctx);
  num = BN_CTX_get (sh->ctx);
  den = BN_CTX_get (sh->ctx);
  diff = BN_CTX_get (sh->ctx);
  ok = diff != NULL && BN_one (num) && BN_one (den);
  for (m = 0; ok && m < sh->n; ++m)
    ok = m == j ||
      (BN_mod_mul (num, num, sh->x[m], sh->p, sh->ctx) &&
       BN_mod_sub (diff, sh->x[m], sh->x[j], sh->p, sh->ctx) &&
       BN_mod_mul (den, den, diff, sh->p, sh->ctx));
  ok = ok && BN_mod_inverse (den, den, sh->p, sh->ctx) != NULL &&
    BN_mod_mul (term, num, den, sh->p, sh->ctx) &&
    BN_mod_mul (term, term, sh->y[j], sh->p, sh->ctx);
  BN_CTX_end (sh->ctx);
  return ok;
}

/* sum, which is 0 before, becomes the value at 0. */
static bool
interpolate (const struct shamir *sh, BIGNUM *sum, BIGNUM *term,
             struct secret *out)
{
  size_t j;

  for (j = 0; j < sh->n; ++j)
    if (!lagrange_term (sh, j, term) ||
        !BN_mod_add (sum, sum, term, sh->p, sh->ctx))
      return false;
  return BN_bn2binpad (sum, out->data, sh->len) == (int) sh->len;
}

struct secret *
shamir_combine (const struct shamir *sh, struct clevis_error *err)
{
  SECRET_CRYPTO_SCOPE;
  struct secret *out = secret_new (sh->len);
  BIGNUM *sum, *term;
  bool ok;

  BN_CTX_start (sh->ctx);
  sum = BN_CTX_get (sh->ctx);
  term = BN_CTX_get (sh->ctx);
  ok = out != NULL && term != NULL;
  if (ok)
    BN_zero (sum);
  else
    secret_error (err);
  if (ok && !interpolate (sh, sum, term, out)) {
    ERR_clear_error ();
    clevis_error_set (err, CLEVIS_ERR_TOKEN,
                      _("the shares cannot be combined: p is not prime, or "
                        "they do not belong together"));
    ok = false;
  }
  BN_CTX_end (sh->ctx);
  if (!ok) {
    secret_free (out);
    return NULL;
  }
  return out;
}
