/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The tang pin: a leaf that one server answers.  Its header and its request
 * and reply are understood here; the points are ecmr.c's, the wire is
 * http.c's.  Source: clevis-encrypt-tang(1), tang(8) "PROTOCOL".
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jose/jose.h>

#include "bounds.h"
#include "cleanups.h"
#include "ecmr.h"
#include "exchange-private.h"
#include "gettext-compat.h"
#include "http.h"
#include "jose-quiet.h"
#include "pin.h"
#include "pin-tang.h"
#include "url.h"

/* Thumbprint algorithms and the length of one in base64url. */
static const struct thp_alg {
  const char *name;
  size_t len;
} thp_algs[] = {
  { "S256", 43 }, { "S1", 27 },
};

struct tang {
  struct url *url;
  json_t *epk;             /* C */
  json_t *server;          /* S */
  json_t *ephemeral;       /* E, while a request is under way */
  struct exchange *ex;
  struct http_transfer *transfer; /* NULL if none is under way */
};

static const struct thp_alg *
thp_alg_of (const char *kid)
{
  size_t i;

  for (i = 0; i < sizeof thp_algs / sizeof thp_algs[0]; ++i)
    if (strlen (kid) == thp_algs[i].len)
      return &thp_algs[i];
  return NULL;
}

/* The key in the advertisement whose thumbprint is kid; borrowed. */
static const json_t *
find_key (const json_t *keys, const char *kid, const char *alg)
{
  const char *thp;
  const json_t *key;
  size_t i;

  for (i = 0; i < json_array_size (keys); ++i) {
    CLEANUP_JSON json_t *computed = NULL;

    key = json_array_get (keys, i);
    computed = jose_jwk_thp (jose_quiet_cfg (), key, alg);
    thp = json_string_value (computed);
    if (thp && strcmp (thp, kid) == 0)
      return key;
  }
  return NULL;
}

static int
parse_server_key (struct pin *pin, struct tang *tang, const json_t *config,
                  struct clevis_error *err)
{
  const json_t *keys = json_object_get (json_object_get (config, "adv"),
                                        "keys");
  const char *kid = json_string_value (json_object_get (pin->jwe->header,
                                                        "kid"));
  const struct thp_alg *alg = kid ? thp_alg_of (kid) : NULL;
  const json_t *key;

  if (alg == NULL)
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("the JWE has no kid that is a thumbprint"));
  pin->kid = strdup (kid);
  pin->thp_alg = alg->name;
  if (pin->kid == NULL)
    return clevis_error_errno (err, errno, _("tang pin"));
  if (strcmp (alg->name, "S1") == 0 && pin->warning == NULL)
    pin->warning = strdup (_("the key is named by a SHA-1 thumbprint, which "
                             "is deprecated"));
  if (!json_is_array (keys))
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("the pin has no advertisement"));
  if (json_array_size (keys) > BOUND_ADV_KEYS)
    return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                             _("the advertisement has more than %d keys"),
                             BOUND_ADV_KEYS);
  key = find_key (keys, kid, alg->name);
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

const struct url *
pin_tang_url (const struct pin *pin)
{
  const struct tang *tang = pin->data;

  return tang->url;
}

char *
pin_tang_request (struct pin *pin, struct clevis_error *err)
{
  struct tang *tang = pin->data;
  CLEANUP_JSON json_t *x = NULL;
  char *body;

  json_decref (tang->ephemeral);
  tang->ephemeral = NULL;
  x = ecmr_blind (tang->epk, &tang->ephemeral, err);
  if (x == NULL)
    return NULL;
  body = json_dumps (x, JSON_COMPACT | JSON_SORT_KEYS);
  if (body == NULL)
    clevis_error_errno (err, ENOMEM, _("tang request"));
  return body;
}

struct secret *
pin_tang_finish (struct pin *pin, const char *body, size_t len,
                 struct clevis_error *err)
{
  SECRET_JSON_SCOPE;
  struct tang *tang = pin->data;
  CLEANUP_JSON json_t *reply = json_loadb (body, len, JSON_REJECT_DUPLICATES,
                                           NULL);
  CLEANUP_JSON json_t *k = NULL;
  struct secret *plain;

  if (!json_is_object (reply)) {
    clevis_error_set (err, CLEVIS_ERR_REPLY, _("the reply is not a JSON "
                                               "object"));
    return NULL;
  }
  k = ecmr_unblind (tang->server, tang->ephemeral, reply, err);
  if (k == NULL)
    return NULL;
  plain = jwe_decrypt (pin->jwe, k, err);
  if (plain == NULL && err->code == CLEVIS_ERR_DECRYPT)
    clevis_error_hint (err, _("The server answered with another key than the "
                              "one that the disk was bound to."));
  return plain;
}

/* Is the reply one of Tang?  404 means that the server does not have the key;
 * anything else but 200 is an error of the server or of something before it.
 */
static int
check_reply (const struct pin *pin, const struct http_reply *reply,
             struct clevis_error *err)
{
  static const char type[] = "application/jwk+json";
  const size_t len = sizeof type - 1;

  err->http_status = reply->status;
  if (reply->status == 404) {
    clevis_error_set (err, CLEVIS_ERR_NO_KEY,
                      _("the server does not have the key %s (HTTP status "
                        "404)"), pin->kid);
    clevis_error_hint (err, _("The key may have been rotated and deleted, or "
                              "this is not the Tang server that the disk was "
                              "bound to."));
    return -1;
  }
  if (reply->status >= 300 && reply->status < 400) {
    clevis_error_set (err, CLEVIS_ERR_HTTP,
                      _("HTTP status %ld: the server redirects, which is not "
                        "followed"), reply->status);
    return -1;
  }
  if (reply->status != 200)
    return clevis_error_set (err, CLEVIS_ERR_HTTP, _("HTTP status %ld"),
                             reply->status);
  if (strncasecmp (reply->content_type, type, len) != 0 ||
      (reply->content_type[len] != '\0' && reply->content_type[len] != ';' &&
       reply->content_type[len] != ' '))
    return clevis_error_set (err, CLEVIS_ERR_REPLY,
                             _("the reply has the content type \"%s\", not "
                               "%s"), reply->content_type, type);
  return 0;
}

/* The server's answer, or why there is none. */
static void
reply_came (const struct http_reply *reply, void *opaque)
{
  struct pin *pin = opaque;
  struct tang *tang = pin->data;
  struct secret *plain = NULL;

  tang->transfer = NULL;
  if (reply->address)
    pin->address = strdup (reply->address);
  if (reply->error.code != CLEVIS_OK)
    clevis_error_copy (&pin->error, &reply->error);
  else if (check_reply (pin, reply, &pin->error) == 0)
    plain = pin_tang_finish (pin, reply->body, reply->len, &pin->error);

  json_decref (tang->ephemeral);
  tang->ephemeral = NULL;
  if (plain)
    pin_done (pin, tang->ex, plain);
  else
    pin_fail (pin, tang->ex);
}

static void
start (struct pin *pin, struct exchange *ex)
{
  struct tang *tang = pin->data;
  CLEANUP_FREE char *body = pin_tang_request (pin, &pin->error);
  CLEANUP_FREE char *path = NULL;

  tang->ex = ex;
  if (body && asprintf (&path, "/rec/%s", pin->kid) == -1) {
    path = NULL;
    clevis_error_errno (&pin->error, ENOMEM, _("tang request"));
  }
  if (path)
    tang->transfer = http_post (exchange_http (ex), tang->url, path, body,
                                reply_came, pin, &pin->error);
  if (tang->transfer == NULL)
    pin_fail (pin, ex);
}

static void
cancel (struct pin *pin)
{
  struct tang *tang = pin->data;

  http_cancel (tang->transfer);
  tang->transfer = NULL;
}

static void
tang_free (struct pin *pin)
{
  struct tang *tang = pin->data;

  if (tang == NULL)
    return;
  http_cancel (tang->transfer);
  url_free (tang->url);
  json_decref (tang->epk);
  json_decref (tang->server);
  json_decref (tang->ephemeral);
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
