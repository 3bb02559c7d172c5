/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Keys by their thumbprint.
 */

#include <config.h>

#include <string.h>

#include <jose/jose.h>

#include "base/cleanups.h"
#include "jose/jose-quiet.h"
#include "jose/thumbprint.h"

/* Algorithms and the length of a thumbprint in base64url. */
static const struct thp_alg {
  const char *name;
  size_t len;
} thp_algs[] = {
  { "S256", 43 }, { "S1", 27 },
};

const char *
thumbprint_alg (const char *kid)
{
  size_t i;

  for (i = 0; i < sizeof thp_algs / sizeof thp_algs[0]; ++i)
    if (strlen (kid) == thp_algs[i].len)
      return thp_algs[i].name;
  return NULL;
}

bool
thumbprint_is (const json_t *key, const char *kid)
{
  const char *alg = thumbprint_alg (kid);
  CLEANUP_JSON json_t *thp = NULL;

  if (alg == NULL)
    return false;
  thp = jose_jwk_thp (jose_quiet_cfg (), key, alg);
  return json_is_string (thp) && strcmp (json_string_value (thp), kid) == 0;
}

const json_t *
thumbprint_find (const json_t *keys, const char *kid)
{
  const json_t *key;
  size_t i;

  for (i = 0; i < json_array_size (keys); ++i) {
    key = json_array_get (keys, i);
    if (thumbprint_is (key, kid))
      return key;
  }
  return NULL;
}
