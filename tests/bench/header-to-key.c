/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * From a LUKS device or header file to its verified passphrase, with nothing
 * but the library: the part of virt-nbde-unlock that clevis-luks-pass(1) also
 * does, so that the two can be compared.
 *
 *   header-to-key [-a PATTERN]... [-t SECONDS] [-v] FILE...
 *
 * Prints the passphrases to stdout, as they are, each followed by a newline,
 * so it is for tests and benchmarks only.
 */

#include <config.h>

#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanups.h"
#include "exchange/exchange.h"
#include "vault/vault.h"

/* Read a header from a file; exits if there is none. */
static struct vault_luks *
read_header (struct vault *vault, const char *file)
{
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct luks_extent ext;
  enum luks_state state;
  struct vault_luks *luks;
  struct stat st;
  char *buf = NULL;
  ssize_t r;
  int fd;

  fd = open (file, O_RDONLY | O_CLOEXEC);
  if (fd == -1 || fstat (fd, &st) == -1)
    error (EXIT_FAILURE, errno, "%s", file);
  luks = vault_luks_new (vault, file, st.st_size, &err);
  if (luks == NULL)
    error (EXIT_FAILURE, 0, "%s", err.message);
  while ((state = vault_luks_next (luks, &ext, &err)) == LUKS_NEED) {
    buf = realloc (buf, ext.length);
    r = pread (fd, buf, ext.length, ext.offset);
    if (r == -1 || vault_luks_supply (luks, ext.offset, buf, r, &err) == -1)
      error (EXIT_FAILURE, errno, "%s", file);
  }
  free (buf);
  close (fd);
  if (state != LUKS_READY)
    error (EXIT_FAILURE, 0, "%s: %s", file,
           err.message ? err.message : "no LUKS header");
  return luks;
}

static void
show_error (const struct clevis_error *err)
{
  char *line = clevis_error_line (err);

  fprintf (stderr, "%s\n", line);
  free (line);
}

static int
show (struct vault_run *run, size_t i, int verbose)
{
  const struct heard_outcome *o = vault_run_outcome (run, i);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  size_t j;

  for (j = 0; verbose && j < o->nr_leaves; ++j)
    fprintf (stderr, "token %d: %s: %s, %.1f ms\n", o->leaves[j].token,
             o->leaves[j].pin, o->leaves[j].answered ? "answered" : "no answer",
             o->leaves[j].seconds * 1000);
  for (j = 0; j < o->nr_errors; ++j)
    show_error (&o->errors[j]);
  if (o->status != EXCHANGE_UNLOCKED)
    return -1;
  if (verbose)
    fprintf (stderr, "keyslot %d, %.1f ms, verified in %.1f ms\n", o->keyslot,
             o->seconds * 1000, o->verify_seconds * 1000);
  fflush (stdout);
  if (vault_key_write (vault_run_take_key (run, i), STDOUT_FILENO, false,
                       &err) == -1)
    error (EXIT_FAILURE, 0, "%s", err.message);
  putchar ('\n');
  return 0;
}

int
main (int argc, char *argv[])
{
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct vault *vault = vault_new (true, &err);
  struct policy *policy;
  struct vault_run *run;
  struct vault_luks **headers;
  int c, r, verbose = 0, status = EXIT_SUCCESS;
  size_t i, n;

  if (vault == NULL)
    error (EXIT_FAILURE, 0, "%s", err.message);
  if (secret_init () == -1)
    error (EXIT_FAILURE, 0, "no locked memory");
  policy = policy_new ();
  while ((c = getopt (argc, argv, "a:t:v")) != -1)
    switch (c) {
    case 'a':
      if (policy_allow (policy, optarg, &err) == -1)
        error (EXIT_FAILURE, 0, "%s", err.message);
      break;
    case 't':
      policy_settings (policy)->timeout = atof (optarg) * 1000;
      break;
    case 'v':
      verbose = 1;
      break;
    default:
      exit (EXIT_FAILURE);
    }
  n = argc - optind;
  headers = calloc (n + 1, sizeof *headers);
  run = vault_exchange_new (vault, policy, &err);
  for (i = 0; i < n; ++i) {
    headers[i] = read_header (vault, argv[optind+i]);
    if (vault_run_add (run, headers[i], &err) == -1)
      error (EXIT_FAILURE, 0, "%s", err.message);
  }
  while ((r = vault_run_step (run, 1000, &err)) == 1)
    ;
  if (r == -1)
    error (EXIT_FAILURE, 0, "%s", err.message);
  for (i = 0; i < n; ++i)
    if (show (run, i, verbose) == -1)
      status = 2;
  vault_run_free (run);
  policy_free (policy);
  free (headers);
  vault_free (vault);
  if (fflush (stdout) != 0)
    status = EXIT_FAILURE;
  return status;
}
