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

/* Read a header from a file; exits if there is none. */
static struct luks *
read_header (const char *file)
{
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct luks_extent ext;
  enum luks_state state;
  struct luks *luks;
  struct stat st;
  char *buf = NULL;
  ssize_t r;
  int fd;

  fd = open (file, O_RDONLY | O_CLOEXEC);
  if (fd == -1 || fstat (fd, &st) == -1)
    error (EXIT_FAILURE, errno, "%s", file);
  luks = luks_new (file, st.st_size);
  while ((state = luks_next (luks, &ext, &err)) == LUKS_NEED) {
    buf = realloc (buf, ext.length);
    r = pread (fd, buf, ext.length, ext.offset);
    if (r == -1 || luks_supply (luks, ext.offset, buf, r, &err) == -1)
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
show_leaf (struct pin *pin, void *opaque)
{
  char *line = clevis_error_line (&pin->error);

  fprintf (stderr, "  %s: state %d, %.1f ms%s%s\n", pin->path, pin->state,
           pin->seconds * 1000, pin->error.code ? ": " : "",
           pin->error.code ? line : "");
  free (line);
}

static int
show (struct exchange *ex, size_t i, int verbose)
{
  const struct exchange_device *d = exchange_device (ex, i);
  size_t j;

  for (j = 0; verbose && j < d->nr_bindings; ++j) {
    char *line = clevis_error_line (&d->bindings[j].error);

    fprintf (stderr, "token %d: %s, verified in %.1f ms\n",
             d->bindings[j].token->id, line,
             d->bindings[j].verify_seconds * 1000);
    free (line);
    if (d->bindings[j].pin)
      pin_foreach_leaf (d->bindings[j].pin, show_leaf, NULL);
  }
  if (d->status != EXCHANGE_UNLOCKED) {
    char *line = clevis_error_line (&d->error);

    fprintf (stderr, "%s\n", line);
    free (line);
    return -1;
  }
  if (verbose)
    fprintf (stderr, "keyslot %d, %.1f ms\n", d->keyslot, d->seconds * 1000);
  fwrite (d->key->data, 1, d->key->len, stdout);
  putchar ('\n');
  return 0;
}

int
main (int argc, char *argv[])
{
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct policy *policy;
  struct exchange *ex;
  struct luks **headers;
  int c, r, verbose = 0, status = EXIT_SUCCESS;
  size_t i, n;

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
  ex = exchange_new (policy, &err);
  for (i = 0; i < n; ++i) {
    headers[i] = read_header (argv[optind+i]);
    if (exchange_add (ex, headers[i], &err) == -1)
      error (EXIT_FAILURE, 0, "%s", err.message);
  }
  while ((r = exchange_step (ex, 1000, &err)) == 1)
    ;
  if (r == -1)
    error (EXIT_FAILURE, 0, "%s", err.message);
  for (i = 0; i < n; ++i)
    if (show (ex, i, verbose) == -1)
      status = 2;
  exchange_free (ex);
  for (i = 0; i < n; ++i)
    luks_free (headers[i]);
  free (headers);
  policy_free (policy);
  if (fflush (stdout) != 0)
    status = EXIT_FAILURE;
  if (exchange_is_left ())
    _exit (status);
  return status;
}
