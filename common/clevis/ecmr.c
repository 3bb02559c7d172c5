/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The exchange on elliptic curves.  libjose chooses the operation by which key
 * has a private part, so each key is rebuilt from the members that are
 * wanted before it gets there.  See jose_jwk_exc in jose/jwk.h.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jose/b64.h>
#include <jose/jose.h>

#include "cleanups.h"
#include "ecmr.h"
#include "gettext-compat.h"
#include "jose-quiet.h"
#include "secret.h"

/* Curves and the bytes of a coordinate (RFC 7518, section 6.2.1.2). */
static const struct curve {
  const char *name;
  size_t bytes;
} curves[] = {
  { "P-256", 32 }, { "P-384", 48 }, { "P-521", 66 },
};

static const struct curve *
find_curve (const json_t *jwk)
{
  const char *crv = ecmr_curve (jwk);
  size_t i;

  for (i = 0; crv && i < sizeof curves / sizeof curves[0]; ++i)
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

/* A new private key in locked memory. */
static json_t *
generate (const char *curve, struct clevis_error *err)
{
  SECRET_JSON_SCOPE;
  json_t *key = json_pack ("{s:s, s:s}", "alg", "ECMR", "crv", curve);

  if (key == NULL || !jose_jwk_gen (jose_quiet_cfg (), key)) {
    json_decref (key);
    clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                      _("cannot make an ephemeral key"));
    return NULL;
  }
  /* Made by jose_jwk_gen; exchange is all that this key is for. */
  json_object_del (key, "key_ops");
  return key;
}

json_t *
ecmr_random (const char *curve, struct clevis_error *err)
{
  CLEANUP_JSON json_t *key = generate (curve, err);

  return key ? ecmr_public (key, "", CLEVIS_ERR_SYSTEM, err) : NULL;
}

json_t *
ecmr_blind (const json_t *epk, json_t **eph, struct clevis_error *err)
{
  json_t *key = generate (ecmr_curve (epk), err), *x;

  if (key == NULL)
    return NULL;

  x = jose_jwk_exc (jose_quiet_cfg (), epk, key);
  if (x == NULL) {
    clevis_error_set (err, CLEVIS_ERR_TOKEN,
                      _("epk is not a point of its curve"));
    json_decref (key);
    return NULL;
  }
  *eph = key;
  return x;
}

json_t *
ecmr_unblind (const json_t *server, const json_t *eph, const json_t *reply,
              struct clevis_error *err)
{
  SECRET_JSON_SCOPE;
  CLEANUP_JSON json_t *y = ecmr_public (reply, _("the reply"),
                                        CLEVIS_ERR_REPLY, err);
  CLEANUP_JSON json_t *es = NULL;
  json_t *k;

  if (y == NULL)
    return NULL;
  if (strcmp (ecmr_curve (y), ecmr_curve (server)) != 0) {
    clevis_error_set (err, CLEVIS_ERR_REPLY,
                      _("the reply is on curve %s, the key on %s"),
                      ecmr_curve (y), ecmr_curve (server));
    return NULL;
  }
  es = jose_jwk_exc (jose_quiet_cfg (), eph, server);
  k = es ? jose_jwk_exc (jose_quiet_cfg (), y, es) : NULL;
  if (k == NULL)
    clevis_error_set (err, CLEVIS_ERR_REPLY,
                      _("the reply is not a usable point of %s"),
                      ecmr_curve (server));
  return k;
}
