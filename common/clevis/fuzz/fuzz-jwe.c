/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Fuzz target: a JWE and the tree of pins in it.  The first byte of the input
 * says what the rest is:
 *
 *   {  the JSON of a JWE, with the brace
 *   h  the JSON of a protected header, of which a JWE is made.  Where an sss
 *      pin has children that are objects, they are headers as well.
 *   else a JWE in compact serialisation, with that byte
 *
 * Trees without tang pins are run to their end.
 */

#include <config.h>

#include "fuzz.h"

#include <jose/b64.h>

#include "base/bounds.h"
#include "pins/pin.h"
#include "testlib/testlib-run.h"

int
LLVMFuzzerInitialize (int *argc, char ***argv)
{
  fuzz_initialize ();
  return 0;
}

static json_t *make_jwe (json_t *header, int depth);

/* Children that are headers become JWEs. */
static void
make_children (json_t *header, int depth)
{
  json_t *jwes = json_object_get (json_object_get (
    json_object_get (header, "clevis"), "sss"), "jwe");
  json_t *child;
  size_t i;

  json_array_foreach (jwes, i, child)
    if (json_is_object (child) && depth < 12)
      json_array_set_new (jwes, i, make_jwe (child, depth + 1));
}

static json_t *
make_jwe (json_t *header, int depth)
{
  CLEANUP_JSON json_t *protected = NULL;
  json_t *text;

  make_children (header, depth);
  protected = jose_b64_enc_dump (header);
  text = json_sprintf ("%s..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA",
                       json_string_value (protected));
  return text ? text : json_null ();
}

static json_t *
read_input (const uint8_t *data, size_t size)
{
  json_t *header, *jwe;

  if (size == 0 || (data[0] != '{' && data[0] != 'h'))
    return json_stringn ((const char *) data, size);
  if (data[0] == '{')
    return json_loadb ((const char *) data, size, 0, NULL);
  header = json_loadb ((const char *) data + 1, size - 1, 0, NULL);
  if (!json_is_object (header)) {
    json_decref (header);
    return NULL;
  }
  jwe = make_jwe (header, 0);
  json_decref (header);
  return jwe;
}

/* Returns true if there is a tang pin in the tree. */
static bool
check_pin (const struct pin *pin, size_t depth)
{
  bool tang = pin->type == &pin_tang_type && pin->state == PIN_IDLE;
  size_t i;

  fuzz_assert (depth <= BOUND_PIN_DEPTH);
  fuzz_assert (pin->nr_children <= BOUND_PIN_CHILDREN);
  fuzz_assert ((pin->state == PIN_FAILED) == (pin->error.code != CLEVIS_OK));
  fuzz_assert (pin->url == NULL || strlen (pin->url) <= BOUND_URL);
  if (pin->state == PIN_IDLE && pin->type == &pin_sss_type)
    fuzz_assert (pin->threshold >= 1 &&
                 (size_t) pin->threshold <= pin->nr_children);
  if (tang)
    fuzz_assert (pin->url && pin->kid && pin->thp_alg && pin->curve);
  fuzz_planted (pin->type == &pin_unsupported_type && pin->name);
  fuzz_check_error (&pin->error);
  for (i = 0; i < pin->nr_children; ++i) {
    fuzz_assert (pin->children[i]->parent == pin);
    tang |= check_pin (pin->children[i], depth + 1);
  }
  return tang;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_JSON json_t *json = read_input (data, size);
  struct pin *pin = pin_parse (json, &err);

  fuzz_assert ((pin == NULL) == (err.code != CLEVIS_OK));
  fuzz_check_error (&err);
  if (pin && !check_pin (pin, 1)) {
    run_pin (pin, NULL);
    fuzz_assert (pin->state == PIN_DONE || pin->state == PIN_FAILED);
    fuzz_assert ((pin->state == PIN_DONE) == (pin->plaintext != NULL));
    check_pin (pin, 1);
  }
  pin_free (pin);
  return 0;
}
