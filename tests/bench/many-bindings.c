/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Many tang pins on several servers in one run of the event loop, without
 * devices: what questions, servers and the pins cost by themselves.
 *
 *   many-bindings NUMBER PARALLEL URL EXCHANGE-KEY.jwk [URL KEY.jwk]...
 *
 * Makes the bindings (in turn for each server), then recovers all and compares
 * the plaintext.  Prints "SECONDS KIB": time of the recovery, and how much
 * larger the program became by it.
 */

#include <config.h>

#include <errno.h>
#include <error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <jose/jose.h>

#include "base/cleanups.h"
#include "base/clock.h"
#include "exchange/question.h"
#include "pins/pin.h"
#include "policy/policy.h"
#include "tang/servers.h"

static const char plaintext[] = "the passphrase of a device, 40 characters";

/* In the place of exchange.c: it only counts. */
struct counter {
  struct pin_run run;
  struct questions *questions;
  size_t running, failed;
};

static struct waiter *
ask (struct pin_run *run, const struct pin_query *query, pin_answer_fn done,
     void *opaque, struct clevis_error *err)
{
  return questions_ask (((struct counter *) run)->questions, query, done,
                        opaque, err);
}

static void
ended (struct pin_run *run, struct pin *root)
{
  struct counter *counter = (struct counter *) run;

  counter->running--;
  if (root->state == PIN_DONE && root->plaintext->len == sizeof plaintext &&
      memcmp (root->plaintext->data, plaintext, sizeof plaintext) == 0)
    return;
  if (counter->failed++ == 0) {
    char *line = clevis_error_line (&root->error);

    fprintf (stderr, "%s\n", line);
    free (line);
  }
}

/* What clevis encrypt tang makes, for a public exchange key. */
static json_t *
bind_to (const char *url, const char *file)
{
  CLEANUP_JSON json_t *key = json_load_file (file, 0, NULL);
  CLEANUP_JSON json_t *thp = NULL;
  CLEANUP_JSON json_t *bare = NULL;
  json_t *jwe;

  if (key == NULL || !jose_jwk_pub (NULL, key))
    error (EXIT_FAILURE, 0, "%s is not a JWK", file);
  thp = jose_jwk_thp (NULL, key, "S256");
  bare = json_deep_copy (key);
  json_object_del (bare, "key_ops");
  json_object_del (bare, "alg");
  jwe = json_pack ("{s:{s:s, s:s, s:O, s:{s:s, s:{s:s, s:{s:[O]}}}}}",
                   "protected", "alg", "ECDH-ES", "enc", "A256GCM",
                   "kid", thp, "clevis", "pin", "tang", "tang",
                   "url", url, "adv", "keys", key);
  if (!jose_jwe_enc (NULL, jwe, NULL, bare, plaintext, sizeof plaintext))
    error (EXIT_FAILURE, 0, "%s: not an exchange key", file);
  return jwe;
}

static long
size_kib (void)
{
  struct rusage usage;

  getrusage (RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

int
main (int argc, char *argv[])
{
  struct clevis_error err = CLEVIS_ERROR_INIT;
  static const struct answers none = { .keydir = NULL };
  struct counter counter = {
    .run = { .ask = ask, .forget = question_forget, .ended = ended },
  };
  struct policy *policy;
  struct pin **pins;
  json_t **jwes;
  double start;
  long before;
  size_t i, n, servers;

  if (argc < 5 || secret_init () == -1)
    error (EXIT_FAILURE, 0, "usage: NUMBER PARALLEL URL KEY [URL KEY]...");
  n = atoi (argv[1]);
  servers = (argc - 3) / 2;
  policy = policy_new ();
  policy_allow (policy, "127.0.0.0/8", &err);
  policy_settings (policy)->parallel = atoi (argv[2]);
  counter.questions = questions_new (servers_new (policy, &err), &none, &err);
  jwes = calloc (n, sizeof *jwes);
  pins = calloc (n, sizeof *pins);
  for (i = 0; i < n; ++i)
    jwes[i] = bind_to (argv[3 + 2 * (i % servers)],
                       argv[4 + 2 * (i % servers)]);

  before = size_kib ();
  start = clock_now ();
  for (i = 0; i < n; ++i) {
    pins[i] = pin_parse (jwes[i], &err);
    if (pins[i] == NULL)
      error (EXIT_FAILURE, 0, "%s", err.message);
    counter.running++;
    pin_start (pins[i], &counter.run);
  }
  while (counter.running > 0)
    if (questions_step (counter.questions, 1000, &err) == -1)
      error (EXIT_FAILURE, 0, "%s", err.message);
  printf ("%.6f %ld\n", clock_now () - start, size_kib () - before);

  for (i = 0; i < n; ++i) {
    pin_free (pins[i]);
    json_decref (jwes[i]);
  }
  free (pins);
  free (jwes);
  questions_free (counter.questions);
  policy_free (policy);
  return counter.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
