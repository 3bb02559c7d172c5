/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The tang pin: a leaf that one server answers.  Its header is understood
 * here; how the question gets to the server and back is no affair of pins.
 * Source: clevis-encrypt-tang(1).
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jose/jose.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "jose/ecmr.h"
#include "base/gettext-compat.h"
#include "jose/jose-quiet.h"
#include "pins/pin.h"
#include "pins/pin-tang.h"
#include "jose/thumbprint.h"

struct tang {
  struct url *url;
  json_t *epk;             /* C */
  json_t *server;          /* S */
  struct pin_run *run;     /* once it was started */
  struct waiter *waiter;   /* NULL if no question is under way */
};

static int
parse_server_key (struct pin *pin, struct tang *tang, const json_t *config,
                  struct clevis_error *err)
{
  const json_t *keys = json_object_get (json_object_get (config, "adv"),
                                        "keys");
  const char *kid = json_string_value (json_object_get (pin->jwe->header,
                                                        "kid"));
  const char *alg = kid ? thumbprint_alg (kid) : NULL;
  const json_t *key;

  if (alg == NULL)
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("the JWE has no kid that is a thumbprint"));
  pin->kid = strdup (kid);
  pin->thp_alg = alg;
  if (pin->kid == NULL)
    return clevis_error_errno (err, errno, _("tang pin"));
  if (strcmp (alg, "S1") == 0 && pin->warning == NULL)
    pin->warning = strdup (_("the key is named by a SHA-1 thumbprint, which "
                             "is deprecated"));
  if (!json_is_array (keys))
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("the pin has no advertisement"));
  if (json_array_size (keys) > BOUND_ADV_KEYS)
    return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                             _("the advertisement has more than %d keys"),
                             BOUND_ADV_KEYS);
  key = thumbprint_find (keys, kid);
  if (key == NULL)
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("the advertisement has no key with the "
                               "thumbprint %s"), kid);
  if (!jose_jwk_prm (jose_quiet_cfg (), key, true, "deriveKey"))
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("the key %s is not an exchange key"), kid);
  tang->server = ecmr_public (key, _("the exchange key"), CLEVIS_ERR_TOKEN,
                              err);
  return tang->server ? 0 : -1;
}

static int
parse_url (struct pin *pin, struct tang *tang, const json_t *config,
           struct clevis_error *err)
{
  const char *url = json_string_value (json_object_get (config, "url"));

  if (url == NULL)
    return clevis_error_set (err, CLEVIS_ERR_TOKEN, _("the pin has no url"));
  pin->url = strndup (url, BOUND_URL);
  if (pin->url == NULL)
    return clevis_error_errno (err, errno, _("tang pin"));
  tang->url = url_parse (url, err);
  return tang->url ? 0 : -1;
}

static int
parse (struct pin *pin, const json_t *config, struct clevis_error *err)
{
  struct tang *tang = calloc (1, sizeof *tang);

  pin->data = tang;
  if (tang == NULL)
    return clevis_error_errno (err, errno, _("tang pin"));
  if (parse_url (pin, tang, config, err) == -1 ||
      parse_server_key (pin, tang, config, err) == -1)
    return -1;
  tang->epk = ecmr_public (json_object_get (pin->jwe->header, "epk"),
                           _("epk"), CLEVIS_ERR_TOKEN, err);
  if (tang->epk == NULL)
    return -1;
  if (strcmp (ecmr_curve (tang->epk), ecmr_curve (tang->server)) != 0)
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("epk is on curve %s, the exchange key on %s"),
                             ecmr_curve (tang->epk),
                             ecmr_curve (tang->server));
  pin->curve = strdup (ecmr_curve (tang->server));
  return pin->curve ? 0 : clevis_error_errno (err, errno, _("tang pin"));
}

/* K has come, or why it has not. */
static void
answered (const json_t *k, const struct clevis_error *err,
          const char *address, void *opaque)
{
  struct pin *pin = opaque;
  struct tang *tang = pin->data;
  struct secret *plain = NULL;

  tang->waiter = NULL;
  if (address)
    pin->address = strdup (address);
  if (k)
    plain = jwe_decrypt (pin->jwe, k, &pin->error);
  if (plain == NULL)
    clevis_error_copy (&pin->error, err);
  if (k && plain == NULL && pin->error.code == CLEVIS_ERR_DECRYPT)
    clevis_error_hint (&pin->error,
                       _("The server answered with another key than the one "
                         "that the disk was bound to.  If it is another "
                         "server, --tang-map names the right one."));
  if (pin->error.code != CLEVIS_OK && address)
    pin->error.address = strdup (address);
  if (plain)
    pin_done (pin, tang->run, plain);
  else
    pin_fail (pin, tang->run);
}

struct pin_query
pin_tang_query (const struct pin *pin)
{
  const struct tang *tang = pin->data;
  const struct pin *root = pin;

  while (root->parent)
    root = root->parent;
  return (struct pin_query) {
    .url = tang->url,
    .kid = pin->kid,
    .server = tang->server,
    .epk = tang->epk,
    .device = root->device,
  };
}

static void
start (struct pin *pin, struct pin_run *run)
{
  struct tang *tang = pin->data;
  const struct pin_query query = pin_tang_query (pin);

  tang->run = run;
  tang->waiter = run->ask (run, &query, answered, pin, &pin->error);
  if (tang->waiter == NULL)
    pin_fail (pin, run);
}

static void
cancel (struct pin *pin)
{
  struct tang *tang = pin->data;

  if (tang->waiter)
    tang->run->forget (tang->waiter);
  tang->waiter = NULL;
}

static void
tang_free (struct pin *pin)
{
  struct tang *tang = pin->data;

  if (tang == NULL)
    return;
  if (tang->waiter)
    tang->run->forget (tang->waiter);
  url_free (tang->url);
  json_decref (tang->epk);
  json_decref (tang->server);
  free (tang);
}

const struct pin_type pin_tang_type = {
  .name = "tang",
  .alg = "ECDH-ES",
  .parse = parse,
  .start = start,
  .cancel = cancel,
  .free = tang_free,
};
