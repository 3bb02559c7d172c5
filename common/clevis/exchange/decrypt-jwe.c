/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * clevis-decrypt(1) by this library, for tests: a JWE on standard input, its
 * plaintext on standard output.
 *
 *   decrypt-jwe [-a PATTERN]... [-t SECONDS]
 *
 * Exit status: 0 if it could be decrypted, else 1, and standard error says
 * why, each pin that failed on a line of its own.
 */

#include <config.h>

#include <errno.h>
#include <error.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "pins/pin.h"
#include "policy/policy.h"
#include "base/secret.h"
#include "testlib/testlib-run.h"

/* Standard input as a JSON string, or an object if it begins like one. */
static json_t *
read_jwe (void)
{
  const size_t size = 2 * BOUND_JWE;
  CLEANUP_FREE char *buf = malloc (size);
  size_t len;

  if (buf == NULL)
    error (EXIT_FAILURE, errno, "malloc");
  len = fread (buf, 1, size, stdin);
  if (len > 0 && buf[len-1] == '\n')
    len--;
  if (len > 0 && buf[0] == '{')
    return json_loadb (buf, len, JSON_REJECT_DUPLICATES, NULL);
  return json_stringn (buf, len);
}

static void
show_error (const struct clevis_error *err)
{
  CLEANUP_FREE char *line = clevis_error_line (err);

  fprintf (stderr, "%s: %s\n", clevis_code_name (err->code),
           line ? line : "");
}

static void
show_leaf (struct pin *leaf, void *opaque)
{
  if (leaf->error.code != CLEVIS_OK)
    show_error (&leaf->error);
}

static int
decrypt (const struct policy *policy)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_JSON json_t *jwe = read_jwe ();
  struct pin *pin = pin_parse (jwe, &err);
  int status = EXIT_FAILURE;

  if (pin == NULL) {
    show_error (&err);
    return EXIT_FAILURE;
  }
  run_pin (pin, policy);
  if (pin->state == PIN_DONE) {
    fwrite (pin->plaintext->data, 1, pin->plaintext->len, stdout);
    status = fclose (stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
  }
  else {
    show_error (&pin->error);
    if (pin->nr_children > 0)
      pin_foreach_leaf (pin, show_leaf, NULL);
  }
  pin_free (pin);
  return status;
}

int
main (int argc, char *argv[])
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct policy *policy;
  int c, status;

  if (secret_init () == -1 || (policy = policy_new ()) == NULL)
    error (EXIT_FAILURE, ENOMEM, "decrypt-jwe");
  while ((c = getopt (argc, argv, "a:t:")) != -1)
    switch (c) {
    case 'a':
      if (policy_allow (policy, optarg, &err) == -1)
        error (EXIT_FAILURE, 0, "%s", err.message);
      break;
    case 't':
      policy_settings (policy)->timeout = atof (optarg) * 1000;
      break;
    default:
      exit (EXIT_FAILURE);
    }
  status = decrypt (policy);
  policy_free (policy);
  return status;
}
