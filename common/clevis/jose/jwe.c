/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Checking and decrypting JWEs.  The cryptography is libjose's; this file sees
 * to it that libjose gets only what Clevis writes.
 */

#include <config.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jose/b64.h>
#include <jose/jose.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "jose/jose-quiet.h"
#include "jose/jwe.h"

/* The members of a flattened JWE that are text (RFC 7516, section 7.2.2), in
 * the order of the compact serialisation (section 7.1).
 */
static const char *const members[] = {
  "protected", "encrypted_key", "iv", "ciphertext", "tag"
};
#define NR_MEMBERS (sizeof members / sizeof members[0])

static int
malformed (struct clevis_error *err, const char *what)
{
  return clevis_error_set (err, CLEVIS_ERR_TOKEN, _("malformed JWE: %s"),
                           what);
}

/* Five parts separated by dots. */
static int
from_compact (json_t *flat, const char *text, struct clevis_error *err)
{
  size_t i, len;

  for (i = 0; i < NR_MEMBERS; ++i) {
    len = strcspn (text, ".");
    if (json_object_set_new (flat, members[i], json_stringn (text, len)) == -1)
      return malformed (err, _("not UTF-8"));
    text += len;
    if (i < NR_MEMBERS - 1 ? *text != '.' : *text != '\0')
      return malformed (err, _("the compact serialisation does not have five "
                               "parts"));
    text++;
  }
  return 0;
}

/* Copy the members of an object that libjose is to see. */
static int
from_object (json_t *flat, const json_t *json, struct clevis_error *err)
{
  const json_t *value;
  size_t i;

  for (i = 0; i < NR_MEMBERS; ++i) {
    value = json_object_get (json, members[i]);
    if (value == NULL)
      continue;
    if (!json_is_string (value))
      return malformed (err, _("a member that should be text is not"));
    if (json_object_set (flat, members[i], (json_t *) value) == -1)
      return clevis_error_errno (err, ENOMEM, "JWE");
  }
  return 0;
}

/* The general serialisation with one recipient says the same as the flattened
 * one; this returns the object with the recipient's members.
 */
static const json_t *
only_recipient (const json_t *json, struct clevis_error *err)
{
  const json_t *recipients = json_object_get (json, "recipients");

  if (recipients == NULL)
    return json;
  if (json_array_size (recipients) != 1) {
    malformed (err, _("it does not have exactly one recipient"));
    return NULL;
  }
  return json_array_get (recipients, 0);
}

/* Add the members of an unprotected header.  A name that is in two headers is
 * an error (RFC 7516, section 4), so nothing unprotected can replace what
 * is protected.
 */
static int
merge_header (json_t *header, const json_t *more, struct clevis_error *err)
{
  const char *name;
  json_t *value;

  if (more == NULL)
    return 0;
  if (!json_is_object (more))
    return malformed (err, _("an unprotected header is not an object"));
  json_object_foreach ((json_t *) more, name, value) {
    if (json_object_get (header, name))
      return malformed (err, _("a name is in two headers"));
    if (json_object_set (header, name, value) == -1)
      return clevis_error_errno (err, ENOMEM, "JWE");
  }
  return 0;
}

/* base64url with exactly so many bytes in it? */
static bool
is_b64_of (const json_t *value, size_t bytes)
{
  return json_is_string (value) &&
    jose_b64_dec (value, NULL, 0) == bytes;
}

static int
parse (struct jwe *jwe, const json_t *json, struct clevis_error *err)
{
  const json_t *recipient = json;

  if (json_is_string (json)) {
    if (json_string_length (json) > BOUND_JWE)
      return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                               _("the JWE is larger than %llu bytes"),
                               BOUND_JWE);
    if (from_compact (jwe->json, json_string_value (json), err) == -1)
      return -1;
  }
  else if (json_is_object (json)) {
    recipient = only_recipient (json, err);
    if (recipient == NULL || from_object (jwe->json, json, err) == -1)
      return -1;
    if (recipient != json && from_object (jwe->json, recipient, err) == -1)
      return -1;
  }
  else
    return malformed (err, _("neither text nor an object"));

  jwe->header = jose_b64_dec_load (json_object_get (jwe->json, "protected"));
  if (!json_is_object (jwe->header))
    return malformed (err, _("the protected header cannot be decoded"));
  if (json_is_object (json)) {
    if (merge_header (jwe->header, json_object_get (json, "unprotected"),
                      err) == -1 ||
        merge_header (jwe->header, json_object_get (recipient, "header"),
                      err) == -1)
      return -1;
  }
  return 0;
}

/* Size of all text in an object, as a bound for what it decodes to. */
static size_t
text_size (const json_t *json)
{
  size_t i, size = 0;

  for (i = 0; i < NR_MEMBERS; ++i)
    size += json_string_length (json_object_get (json, members[i]));
  return size;
}

struct jwe *
jwe_parse (const json_t *json, struct clevis_error *err)
{
  struct jwe *jwe = calloc (1, sizeof *jwe);

  if (jwe == NULL || (jwe->json = json_object ()) == NULL)
    clevis_error_errno (err, ENOMEM, "JWE");
  else if (json_is_object (json) && text_size (json) > BOUND_JWE)
    clevis_error_set (err, CLEVIS_ERR_LIMIT,
                      _("the JWE is larger than %llu bytes"), BOUND_JWE);
  else if (parse (jwe, json, err) == 0)
    return jwe;

  jwe_free (jwe);
  return NULL;
}

void
jwe_free (struct jwe *jwe)
{
  if (jwe == NULL)
    return;
  json_decref (jwe->json);
  json_decref (jwe->header);
  free (jwe);
}

static int
check_header (const json_t *header, const char *alg, struct clevis_error *err)
{
  static const char *const refused[] = { "zip", "p2c", "p2s", "crit" };
  const char *has_alg = json_string_value (json_object_get (header, "alg"));
  const char *has_enc = json_string_value (json_object_get (header, "enc"));
  size_t i;

  if (has_alg == NULL || strcmp (has_alg, alg) != 0)
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("the JWE has the algorithm \"%s\" where this "
                               "pin has \"%s\""),
                             has_alg ? has_alg : "", alg);
  if (has_enc == NULL || strcmp (has_enc, "A256GCM") != 0)
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("the JWE has the encryption \"%s\" where "
                               "Clevis has \"A256GCM\""),
                             has_enc ? has_enc : "");
  for (i = 0; i < sizeof refused / sizeof refused[0]; ++i)
    if (json_object_get (header, refused[i]))
      return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                               _("the JWE header \"%s\" is refused"),
                               refused[i]);
  return 0;
}

int
jwe_check (struct jwe *jwe, const char *alg, struct clevis_error *err)
{
  const json_t *key = json_object_get (jwe->json, "encrypted_key");

  if (check_header (jwe->header, alg, err) == -1)
    return -1;
  if (key && json_string_length (key) > 0)
    return malformed (err, _("its encrypted_key is not empty"));
  if (!is_b64_of (json_object_get (jwe->json, "iv"), 12) ||
      !is_b64_of (json_object_get (jwe->json, "tag"), 16))
    return malformed (err, _("iv or tag is not what A256GCM needs"));
  jwe->ciphertext_len = jose_b64_dec (json_object_get (jwe->json,
                                                       "ciphertext"), NULL, 0);
  if (jwe->ciphertext_len == SIZE_MAX)
    return malformed (err, _("the ciphertext is not base64url"));
  return 0;
}

/* The content key: for ECDH-ES derived from the exchange (RFC 7518, section
 * 4.6), for dir the JWK itself.  The merged header stands in for those that
 * are not protected; libjose reads "epk" from there.
 */
static json_t *
content_key (const struct jwe *jwe, const json_t *jwk)
{
  CLEANUP_JSON json_t *recipient = json_pack ("{s:O}", "header", jwe->header);

  if (recipient == NULL)
    return NULL;
  return jose_jwe_dec_jwk (jose_quiet_cfg (), jwe->json, recipient, jwk);
}

struct secret *
jwe_decrypt (const struct jwe *jwe, const json_t *jwk,
             struct clevis_error *err)
{
  SECRET_JSON_SCOPE;
  CLEANUP_SECRET struct secret *plain = secret_new (jwe->ciphertext_len);
  CLEANUP_JSON json_t *cek = NULL;
  jose_io_auto_t *sink = NULL;
  jose_io_auto_t *gcm = NULL;
  jose_io_auto_t *b64 = NULL;
  const json_t *ct = json_object_get (jwe->json, "ciphertext");
  struct secret *ret;
  size_t len = jwe->ciphertext_len;

  if (plain == NULL) {
    secret_error (err);
    return NULL;
  }
  cek = content_key (jwe, jwk);
  if (cek) {
    sink = jose_io_buffer (jose_quiet_cfg (), plain->data, &len);
    gcm = sink ? jose_jwe_dec_cek_io (jose_quiet_cfg (), jwe->json, cek, sink)
      : NULL;
    b64 = gcm ? jose_b64_dec_io (gcm) : NULL;
  }
  if (b64 == NULL || !b64->feed (b64, json_string_value (ct),
                                 json_string_length (ct)) ||
      !b64->done (b64)) {
    clevis_error_set (err, CLEVIS_ERR_DECRYPT,
                      _("the recovered key does not decrypt the JWE"));
    return NULL;
  }
  secret_truncate (plain, len);
  ret = plain;
  plain = NULL;
  return ret;
}
