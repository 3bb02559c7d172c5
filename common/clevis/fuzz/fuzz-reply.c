/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Fuzz target: what a Tang server may send.  The first byte of the input says
 * what the rest is:
 *
 *   a  an advertisement
 *   else the body of a reply to a request, with that byte
 *
 * With FUZZ_SEED set in the environment it writes the right reply and an
 * advertisement to the folder of that name and ends.
 */

#include <config.h>

#include "fuzz.h"

#include <jose/b64.h>
#include <jose/jose.h>

#include "jose/advert.h"
#include "jose/ecmr.h"
#include "jose/jose-quiet.h"
#include "exchange/question.h"

static json_t *key, *server, *eph, *answer;
static char *kid;

static json_t *
new_key (const char *alg)
{
  json_t *jwk = json_pack ("{s:s, s:s}", "alg", alg, "crv", "P-256");

  fuzz_assert (jose_jwk_gen (NULL, jwk));
  return jwk;
}

static json_t *
public_part (const json_t *jwk)
{
  json_t *copy = json_deep_copy (jwk);

  fuzz_assert (jose_jwk_pub (NULL, copy));
  return copy;
}

/* An advertisement of the key, signed by a new one. */
static json_t *
make_advertisement (void)
{
  CLEANUP_JSON json_t *signing = new_key ("ES256");
  CLEANUP_JSON json_t *payload = NULL;
  CLEANUP_FREE char *text = NULL;
  json_t *jws;

  payload = json_pack ("{s:[o, o]}", "keys", public_part (signing),
                       public_part (key));
  text = json_dumps (payload, 0);
  jws = json_pack ("{s:o}", "payload", jose_b64_enc (text, strlen (text)));
  fuzz_assert (jose_jws_sig (NULL, jws, NULL, signing));
  return jws;
}

static void
write_seed (const char *folder, const char *name, const char *prefix,
            const json_t *json)
{
  CLEANUP_FREE char *path = NULL;
  FILE *fp;

  fuzz_assert (asprintf (&path, "%s/%s", folder, name) != -1);
  fp = fopen (path, "we");
  fuzz_assert (fp != NULL);
  fputs (prefix, fp);
  json_dumpf (json, fp, 0);
  fuzz_assert (fclose (fp) == 0);
}

int
LLVMFuzzerInitialize (int *argc, char ***argv)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_JSON json_t *c = NULL, *epk = NULL, *x = NULL, *adv = NULL;
  CLEANUP_JSON json_t *thp = NULL;
  const char *seeds = getenv ("FUZZ_SEED");

  fuzz_initialize ();
  key = new_key ("ECMR");
  thp = jose_jwk_thp (NULL, key, "S256");
  kid = strdup (json_string_value (thp));
  server = ecmr_public (key, "key", CLEVIS_ERR_TOKEN, &err);
  c = new_key ("ECMR");
  epk = ecmr_public (c, "epk", CLEVIS_ERR_TOKEN, &err);
  x = ecmr_blind (epk, &eph, &err);
  answer = jose_jwk_exc (jose_quiet_cfg (), key, x);
  fuzz_assert (answer != NULL);
  if (seeds) {
    adv = make_advertisement ();
    write_seed (seeds, "reply", "", answer);
    write_seed (seeds, "advertisement", "a", adv);
    exit (EXIT_SUCCESS);
  }
  return 0;
}

static void
check_advertisement (const uint8_t *data, size_t size)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct advert *adv = advert_parse ((const char *) data, size, &err);

  fuzz_assert ((adv == NULL) == (err.code != CLEVIS_OK));
  if (adv) {
    advert_is_signed (adv);
    advert_has_key (adv, kid);
  }
  advert_free (adv);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_JSON json_t *k = NULL;

  if (size > 0 && data[0] == 'a') {
    check_advertisement (data + 1, size - 1);
    return 0;
  }
  k = question_unblind (server, eph, (const char *) data, size, &err);
  fuzz_assert ((k == NULL) == (err.code != CLEVIS_OK));
  fuzz_assert (k != NULL || err.code == CLEVIS_ERR_REPLY);
  if (k) {
    fuzz_assert (json_object_get (k, "d") == NULL);
    fuzz_assert (strcmp (ecmr_curve (k), "P-256") == 0);
  }
  fuzz_check_error (&err);
  fuzz_planted (err.message && strstr (err.message, "usable point"));
  return 0;
}
