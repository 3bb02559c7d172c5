/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The sss pin: a node that needs t of its n children.  Each child's plaintext
 * is a share; t shares give the content key.  All children are started at
 * once, the rest is cancelled when t are there, and the pin fails as soon
 * as too few can still answer.  Source: clevis-encrypt-sss(1).
 */

#include <config.h>

#include <stdlib.h>
#include <string.h>

#include <jose/b64.h>
#include <openssl/crypto.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "pins/pin.h"
#include "jose/shamir.h"

/* Bytes of the largest prime. */
#define PRIME_BYTES ((BOUND_SSS_PRIME_BITS + 7) / 8)

static int
parse_prime (struct pin *pin, const json_t *config, struct clevis_error *err)
{
  const json_t *p = json_object_get (config, "p");
  unsigned char buf[PRIME_BYTES];
  size_t len = json_is_string (p) ? jose_b64_dec (p, NULL, 0) : SIZE_MAX;

  /* The size is known without looking at the characters. */
  if (len == 0 || len > sizeof buf || jose_b64_dec (p, buf, len) != len)
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("p is not a number of at most %d bits"),
                             BOUND_SSS_PRIME_BITS);
  pin->data = shamir_new (buf, len, err);
  pin->share_size = 2 * len;
  return pin->data ? 0 : -1;
}

static int
parse (struct pin *pin, const json_t *config, struct clevis_error *err)
{
  const json_t *t = json_object_get (config, "t");
  const json_t *jwes = json_object_get (config, "jwe");
  size_t n = json_array_size (jwes), i;

  if (pin_count_sss (pin, err) == -1)
    return -1;
  if (n < 1 || n > BOUND_PIN_CHILDREN)
    return clevis_error_set (err, n < 1 ? CLEVIS_ERR_TOKEN : CLEVIS_ERR_LIMIT,
                             _("the sss pin has %zu pins, not 1 to %d"), n,
                             BOUND_PIN_CHILDREN);
  if (!json_is_integer (t) || json_integer_value (t) < 1 ||
      json_integer_value (t) > (json_int_t) n)
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("the threshold of the sss pin is not between "
                               "1 and its %zu pins"), n);
  pin->threshold = json_integer_value (t);
  if (parse_prime (pin, config, err) == -1)
    return -1;
  for (i = 0; i < n; ++i)
    if (pin_add_child (pin, json_array_get (jwes, i), i, err) == -1)
      return -1;
  return 0;
}

/* The content key of t shares as a JWK, and with it the plaintext. */
static struct secret *
combine (struct pin *pin, struct clevis_error *err)
{
  SECRET_JSON_SCOPE;
  CLEANUP_SECRET struct secret *cek = shamir_combine (pin->data, err);
  CLEANUP_JSON json_t *jwk = NULL;

  if (cek == NULL)
    return NULL;
  jwk = json_pack ("{s:s, s:o}", "kty", "oct",
                   "k", jose_b64_enc (cek->data, cek->len));
  if (jwk == NULL) {
    secret_error (err);
    return NULL;
  }
  return jwe_decrypt (pin->jwe, jwk, err);
}

static void
got_share (struct pin *pin, struct pin *child, struct pin_run *run)
{
  struct secret *plain;

  if (shamir_add (pin->data, child->plaintext, &child->error) == -1) {
    child->state = PIN_FAILED;
    pin->type->child_ended (pin, child, run);
    return;
  }
  secret_free (child->plaintext);
  child->plaintext = NULL;
  if (shamir_count (pin->data) < (size_t) pin->threshold)
    return;

  plain = combine (pin, &pin->error);
  shamir_free (pin->data);      /* the shares */
  pin->data = NULL;
  if (plain)
    pin_done (pin, run, plain);
  else
    pin_fail (pin, run);
}

/* Would it be worth while to try again later? */
static bool
is_temporary (const struct pin *child)
{
  return child->error.code == CLEVIS_ERR_UNREACHABLE;
}

static void
lost_share (struct pin *pin, struct pin_run *run)
{
  size_t failed = 0, temporary = 0, t = pin->threshold, n = pin->nr_children;
  size_t i;

  for (i = 0; i < n; ++i)
    if (pin->children[i]->state == PIN_FAILED) {
      failed++;
      temporary += is_temporary (pin->children[i]);
    }
  if (n - failed >= t)
    return;

  clevis_error_set (&pin->error, n - failed + temporary >= t
                    ? CLEVIS_ERR_UNREACHABLE : CLEVIS_ERR_THRESHOLD,
                    _("%zu of %zu pins are needed, and %zu failed"),
                    t, n, failed);
  pin_fail (pin, run);
}

static void
child_ended (struct pin *pin, struct pin *child, struct pin_run *run)
{
  if (child->state == PIN_DONE)
    got_share (pin, child, run);
  else
    lost_share (pin, run);
}

/* A child may end while it is started, and the pin with it. */
static void
start (struct pin *pin, struct pin_run *run)
{
  size_t i;

  for (i = 0; i < pin->nr_children && pin->state == PIN_RUNNING; ++i)
    pin_start (pin->children[i], run);
}

static void
sss_free (struct pin *pin)
{
  shamir_free (pin->data);
}

const struct pin_type pin_sss_type = {
  .name = "sss",
  .alg = "dir",
  .parse = parse,
  .start = start,
  .child_ended = child_ended,
  .free = sss_free,
};
