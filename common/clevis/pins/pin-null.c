/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The null pin: the key of the JWE lies in clear in its header.  Clevis has
 * it for its own tests; a disk that carries one is protected by nothing.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include <jose/b64.h>

#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "pins/pin.h"

#define A256GCM_KEY_BYTES 32

static int
parse (struct pin *pin, const json_t *config, struct clevis_error *err)
{
  const json_t *jwk = json_object_get (config, "jwk");

  pin->warning = strdup (_("the key lies in clear in the header: this pin "
                           "protects nothing"));
  if (pin->warning == NULL)
    return clevis_error_errno (err, errno, _("null pin"));
  /* clevis encrypt null '{"fail":true}' leaves the key out. */
  if (jose_b64_dec (json_object_get (jwk, "k"), NULL, 0) != A256GCM_KEY_BYTES)
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("the null pin holds no key"));
  return 0;
}

static void
start (struct pin *pin, struct pin_run *run)
{
  SECRET_JSON_SCOPE;
  const json_t *config = json_object_get (json_object_get (pin->jwe->header,
                                                           "clevis"), "null");
  CLEANUP_JSON json_t *jwk = json_pack (
    "{s:s, s:O}", "kty", "oct",
    "k", json_object_get (json_object_get (config, "jwk"), "k"));
  struct secret *plain = NULL;

  if (jwk)
    plain = jwe_decrypt (pin->jwe, jwk, &pin->error);
  else
    clevis_error_errno (&pin->error, ENOMEM, _("null pin"));
  if (plain)
    pin_done (pin, run, plain);
  else
    pin_fail (pin, run);
}

const struct pin_type pin_null_type = {
  .name = "null",
  .alg = "dir",
  .parse = parse,
  .start = start,
};
