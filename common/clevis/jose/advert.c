/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Reading and checking advertisements.
 */

#include <config.h>

#include <stdlib.h>

#include <jose/b64.h>
#include <jose/jose.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "jose/jose-quiet.h"
#include "jose/advert.h"
#include "jose/thumbprint.h"

struct advert {
  json_t *jws;
  json_t *keys;            /* an array */
};

struct advert *
advert_parse (const char *body, size_t len, struct clevis_error *err)
{
  CLEANUP_JSON json_t *jws = json_loadb (body, len, JSON_REJECT_DUPLICATES,
                                         NULL);
  CLEANUP_JSON json_t *payload = NULL;
  struct advert *adv;
  json_t *keys;
  size_t nr;

  payload = jose_b64_dec_load (json_object_get (jws, "payload"));
  keys = json_object_get (payload, "keys");
  if (!json_is_array (keys) || json_array_size (keys) > BOUND_ADV_KEYS) {
    clevis_error_set (err, CLEVIS_ERR_REPLY,
                      _("the reply is not an advertisement of Tang"));
    return NULL;
  }
  nr = json_array_size (json_object_get (jws, "signatures"));
  if (nr > BOUND_ADV_SIGNERS) {
    clevis_error_set (err, CLEVIS_ERR_REPLY,
                      _("the advertisement has %zu signatures, more than %d"),
                      nr, BOUND_ADV_SIGNERS);
    return NULL;
  }
  adv = calloc (1, sizeof *adv);
  if (adv == NULL) {
    clevis_error_set (err, CLEVIS_ERR_SYSTEM, _("out of memory"));
    return NULL;
  }
  adv->jws = json_incref (jws);
  adv->keys = json_incref (keys);
  return adv;
}

void
advert_free (struct advert *adv)
{
  if (adv == NULL)
    return;
  json_decref (adv->jws);
  json_decref (adv->keys);
  free (adv);
}

bool
advert_has_key (const struct advert *adv, const char *kid)
{
  const json_t *key = thumbprint_find (adv->keys, kid);

  return key && jose_jwk_prm (jose_quiet_cfg (), key, true, "deriveKey");
}

bool
advert_is_signed (const struct advert *adv)
{
  CLEANUP_JSON json_t *signers = json_array ();
  json_t *key;
  size_t i;

  json_array_foreach (adv->keys, i, key)
    if (jose_jwk_prm (jose_quiet_cfg (), key, true, "verify"))
      json_array_append (signers, key);
  return json_array_size (signers) > 0 &&
    json_array_size (signers) <= BOUND_ADV_SIGNERS &&
    jose_jws_ver (jose_quiet_cfg (), adv->jws, NULL, signers, true);
}
