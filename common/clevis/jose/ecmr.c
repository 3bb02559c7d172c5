/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The exchange on elliptic curves, with OpenSSL's arithmetic.  libjose can do
 * it, too (jose_jwk_exc), but makes and checks its keys anew for every step,
 * with a multiplication each; here a binding costs the two that it needs.
 */

#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>

#include <jose/b64.h>

#include "base/cleanups.h"
#include "jose/ecmr.h"
#include "base/gettext-compat.h"
#include "base/secret.h"

#define MAX_COORDINATE 66               /* bytes, of P-521 */

/* Curves, the bytes of a coordinate (RFC 7518, section 6.2.1.2) and of a
 * private key (section 6.2.2.1), which are the same on these.
 */
static const struct curve {
  const char *name;
  size_t bytes;
  int nid;
} curves[] = {
  { "P-256", 32, NID_X9_62_prime256v1 },
  { "P-384", 48, NID_secp384r1 },
  { "P-521", 66, NID_secp521r1 },
};
#define NR_CURVES (sizeof curves / sizeof curves[0])

static const struct curve *
find_curve (const json_t *jwk)
{
  const char *crv = ecmr_curve (jwk);
  size_t i;

  for (i = 0; crv && i < NR_CURVES; ++i)
    if (strcmp (crv, curves[i].name) == 0)
      return &curves[i];
  return NULL;
}

const char *
ecmr_curve (const json_t *jwk)
{
  return json_string_value (json_object_get (jwk, "crv"));
}

json_t *
ecmr_public (const json_t *jwk, const char *what, enum clevis_code code,
             struct clevis_error *err)
{
  const char *kty = json_string_value (json_object_get (jwk, "kty"));
  const json_t *x = json_object_get (jwk, "x");
  const json_t *y = json_object_get (jwk, "y");
  const struct curve *curve = find_curve (jwk);
  json_t *copy;

  if (kty == NULL || strcmp (kty, "EC") != 0 || curve == NULL) {
    clevis_error_set (err, code,
                      _("%s is not a key on P-256, P-384 or P-521"), what);
    return NULL;
  }
  if (!json_is_string (x) || jose_b64_dec (x, NULL, 0) != curve->bytes ||
      !json_is_string (y) || jose_b64_dec (y, NULL, 0) != curve->bytes) {
    clevis_error_set (err, code, _("%s has no coordinates of %s"), what,
                      curve->name);
    return NULL;
  }
  copy = json_pack ("{s:s, s:s, s:s, s:O, s:O}", "kty", "EC", "alg", "ECMR",
                    "crv", curve->name, "x", x, "y", y);
  if (copy == NULL)
    clevis_error_errno (err, ENOMEM, "JWK");
  return copy;
}

/* Making a group takes a tenth of the time of a multiplication, so it is done
 * once.  Groups are only read afterwards.
 */
static EC_GROUP *groups[NR_CURVES];

static void
make_groups (void)
{
  size_t i;

  for (i = 0; i < NR_CURVES; ++i)
    groups[i] = EC_GROUP_new_by_curve_name (curves[i].nid);
}

/* What one computation needs: a curve, and room for numbers in locked memory
 * that is wiped at the end.
 */
struct calc {
  const struct curve *curve;
  const EC_GROUP *group;
  BN_CTX *ctx;
  bool begun;
  bool exhausted;               /* no point is wrong, memory was short */
};

static int
calc_begin (struct calc *calc, const json_t *key)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  pthread_once (&once, make_groups);
  ERR_clear_error ();
  secret_crypto_begin ();
  calc->begun = true;
  calc->curve = find_curve (key);
  calc->group = calc->curve ? groups[calc->curve - curves] : NULL;
  calc->ctx = calc->group ? BN_CTX_secure_new () : NULL;
  if (calc->ctx == NULL)
    return -1;
  BN_CTX_start (calc->ctx);
  return 0;
}

/* Why did OpenSSL fail since calc_begin?  It says "not on the curve" and the
 * like in the same way as that memory was short.
 */
static bool
was_short_of_memory (const struct calc *calc)
{
  bool r = calc->exhausted;
  unsigned long e;

  while ((e = ERR_get_error ()) != 0)
    r |= ERR_GET_REASON (e) == ERR_R_MALLOC_FAILURE ||
      (ERR_GET_LIB (e) == ERR_LIB_CRYPTO &&
       ERR_GET_REASON (e) == CRYPTO_R_SECURE_MALLOC_FAILURE);
  return r;
}

static void
calc_end (struct calc *calc)
{
  if (calc->ctx) {
    BN_CTX_end (calc->ctx);
    BN_CTX_free (calc->ctx);
  }
  if (calc->begun)
    secret_crypto_end ();
}

#define CALC __attribute__ ((cleanup (calc_end))) struct calc

static void
cleanup_point (EC_POINT **point)
{
  EC_POINT_clear_free (*point);
}

#define CLEANUP_POINT __attribute__ ((cleanup (cleanup_point)))

/* A member of a JWK that is as long as it must be.  Returns a number that
 * belongs to the calculation, or NULL.
 */
static BIGNUM *
get_number (struct calc *calc, const json_t *jwk, const char *member)
{
  CLEANUP_SECRET struct secret *bytes = secret_new (MAX_COORDINATE);
  BIGNUM *number = BN_CTX_get (calc->ctx);
  const json_t *text = json_object_get (jwk, member);

  if (bytes == NULL || number == NULL)
    calc->exhausted = true;
  else if (json_is_string (text) &&
           jose_b64_dec (text, NULL, 0) == calc->curve->bytes &&
           jose_b64_dec (text, bytes->data, bytes->len) ==
           calc->curve->bytes) {
    number = BN_bin2bn (bytes->data, (int) calc->curve->bytes, number);
    calc->exhausted |= number == NULL;
    return number;
  }
  return NULL;
}

static bool
put_number (const struct calc *calc, json_t *jwk, const char *member,
            const BIGNUM *number)
{
  const size_t len = calc->curve->bytes;
  CLEANUP_SECRET struct secret *bytes = secret_new (MAX_COORDINATE);

  return bytes != NULL &&
    BN_bn2binpad (number, bytes->data, (int) len) == (int) len &&
    json_object_set_new (jwk, member, jose_b64_enc (bytes->data, len)) == 0;
}

/* The point of a public key.  OpenSSL accepts coordinates only of points on
 * the curve; as the cofactor of these curves is 1, that is all there is to
 * check (SP 800-56A, section 5.6.2.3.4).
 */
static EC_POINT *
get_point (struct calc *calc, const json_t *jwk)
{
  const BIGNUM *x = get_number (calc, jwk, "x");
  const BIGNUM *y = get_number (calc, jwk, "y");
  EC_POINT *point = EC_POINT_new (calc->group);

  if (x == NULL || y == NULL || point == NULL ||
      EC_POINT_set_affine_coordinates (calc->group, point, x, y,
                                       calc->ctx) != 1) {
    EC_POINT_free (point);
    return NULL;
  }
  return point;
}

/* The JWK of a point, or NULL, also for the point at infinity. */
static json_t *
put_point (struct calc *calc, const EC_POINT *point)
{
  json_t *jwk = json_pack ("{s:s, s:s}", "kty", "EC",
                           "crv", calc->curve->name);
  BIGNUM *x = BN_CTX_get (calc->ctx);
  BIGNUM *y = BN_CTX_get (calc->ctx);

  if (jwk == NULL || y == NULL ||
      EC_POINT_get_affine_coordinates (calc->group, point, x, y,
                                       calc->ctx) != 1 ||
      !put_number (calc, jwk, "x", x) || !put_number (calc, jwk, "y", y)) {
    json_decref (jwk);
    return NULL;
  }
  return jwk;
}

/* A new private key d and its point.  Returns the point, or NULL. */
static EC_POINT *
generate (struct calc *calc, BIGNUM *d)
{
  EC_POINT *point = EC_POINT_new (calc->group);

  do {
    if (point == NULL || d == NULL ||
        BN_priv_rand_range (d, EC_GROUP_get0_order (calc->group)) != 1) {
      EC_POINT_free (point);
      return NULL;
    }
  } while (BN_is_zero (d));
  if (EC_POINT_mul (calc->group, point, d, NULL, NULL, calc->ctx) != 1) {
    EC_POINT_clear_free (point);
    return NULL;
  }
  return point;
}

/* The ephemeral key with its private part.  Only that goes to locked memory,
 * of which there may be little for many keys.
 */
static json_t *
private_jwk (struct calc *calc, const EC_POINT *point, const BIGNUM *d)
{
  json_t *jwk = put_point (calc, point);

  if (jwk != NULL &&
      json_object_set_new (jwk, "alg", json_string ("ECMR")) == 0) {
    SECRET_JSON_SCOPE;

    if (put_number (calc, jwk, "d", d))
      return jwk;
  }
  json_decref (jwk);
  return NULL;
}

json_t *
ecmr_random (const char *curve, struct clevis_error *err)
{
  CLEANUP_JSON json_t *jwk = json_pack ("{s:s}", "crv", curve);
  CALC calc = { .ctx = NULL };
  CLEANUP_POINT EC_POINT *point = NULL;
  json_t *key = NULL;

  if (calc_begin (&calc, jwk) == 0 &&
      (point = generate (&calc, BN_CTX_get (calc.ctx))) != NULL)
    key = put_point (&calc, point);
  if (key == NULL)
    clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                      _("cannot make an ephemeral key"));
  return key;
}

json_t *
ecmr_blind (const json_t *epk, json_t **eph, struct clevis_error *err)
{
  CALC calc = { .ctx = NULL };
  CLEANUP_POINT EC_POINT *c = NULL;
  CLEANUP_POINT EC_POINT *e = NULL;
  json_t *key, *request = NULL;
  BIGNUM *d;

  if (calc_begin (&calc, epk) == -1 ||
      (d = BN_CTX_get (calc.ctx)) == NULL ||
      (e = generate (&calc, d)) == NULL ||
      (key = private_jwk (&calc, e, d)) == NULL) {
    clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                      _("cannot make an ephemeral key"));
    return NULL;
  }
  c = get_point (&calc, epk);
  if (c != NULL && EC_POINT_add (calc.group, c, c, e, calc.ctx) == 1)
    request = put_point (&calc, c);
  if (request == NULL) {
    if (was_short_of_memory (&calc))
      secret_error (err);
    else
      clevis_error_set (err, CLEVIS_ERR_TOKEN,
                        _("epk is not a point of its curve"));
    json_decref (key);
    return NULL;
  }
  *eph = key;
  return request;
}

/* Y - e*S, in locked memory, or NULL. */
static json_t *
unblind (struct calc *calc, const json_t *server, const json_t *eph,
         const json_t *y)
{
  SECRET_JSON_SCOPE;
  CLEANUP_POINT EC_POINT *s = get_point (calc, server);
  CLEANUP_POINT EC_POINT *k = get_point (calc, y);
  const BIGNUM *d = get_number (calc, eph, "d");
  json_t *jwk = NULL;

  if (s == NULL || k == NULL || d == NULL)
    return NULL;
  if (EC_POINT_mul (calc->group, s, NULL, s, d, calc->ctx) == 1 &&
      EC_POINT_invert (calc->group, s, calc->ctx) == 1 &&
      EC_POINT_add (calc->group, k, k, s, calc->ctx) == 1) {
    if (EC_POINT_is_at_infinity (calc->group, k))
      return NULL;
    jwk = put_point (calc, k);
  }
  calc->exhausted |= jwk == NULL;
  return jwk;
}

json_t *
ecmr_unblind (const json_t *server, const json_t *eph, const json_t *reply,
              struct clevis_error *err)
{
  CLEANUP_JSON json_t *y = ecmr_public (reply, _("the reply"),
                                        CLEVIS_ERR_REPLY, err);
  CALC calc = { .ctx = NULL };
  json_t *k = NULL;

  if (y == NULL)
    return NULL;
  if (strcmp (ecmr_curve (y), ecmr_curve (server)) != 0) {
    clevis_error_set (err, CLEVIS_ERR_REPLY,
                      _("the reply is on curve %s, the key on %s"),
                      ecmr_curve (y), ecmr_curve (server));
    return NULL;
  }
  if (calc_begin (&calc, server) == 0)
    k = unblind (&calc, server, eph, y);
  else
    calc.exhausted = true;
  if (k == NULL && was_short_of_memory (&calc))
    secret_error (err);
  else if (k == NULL)
    clevis_error_set (err, CLEVIS_ERR_REPLY,
                      _("the reply is not a usable point of %s"),
                      ecmr_curve (server));
  return k;
}
