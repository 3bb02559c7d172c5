/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * virt-nbde-unlock without appliance, for tests: LUKS devices or headers in
 * files, and the options that say how servers are asked.
 *
 *   unlock-file [OPTION...] FILE...
 *
 * Prints the passphrases to stdout, each followed by a newline; with
 * --preflight what was found out about each leaf of the pins, and the verdict;
 * with --export the number of requests.
 *
 * Exit status: 0 if each file was unlocked (or would be, or was exported), 4 if
 * one was not and might be later, 2 if it will not be, 1 for other errors.
 * Standard error says why, a line for each device, binding and leaf, and one for
 * its hint.
 */

#include <config.h>

#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanups.h"
#include "exchange/exchange.h"
#include "tang/keydir.h"
#include "tang/offline.h"
#include "exchange/preflight.h"

enum {
  EXIT_LOCKED = 2,
  EXIT_LATER = 4,
};

static const struct option long_options[] = {
  { "allow", required_argument, NULL, 'a' },
  { "map", required_argument, NULL, 'm' },
  { "resolve", required_argument, NULL, 'R' },
  { "cacert", required_argument, NULL, 'A' },
  { "cert", required_argument, NULL, 'C' },
  { "key", required_argument, NULL, 'K' },
  { "proxy", required_argument, NULL, 'x' },
  { "no-proxy", required_argument, NULL, 'X' },
  { "timeout", required_argument, NULL, 't' },
  { "connect-timeout", required_argument, NULL, 'c' },
  { "deadline", required_argument, NULL, 'd' },
  { "retries", required_argument, NULL, 'r' },
  { "parallel", required_argument, NULL, 'p' },
  { "keydir", required_argument, NULL, 'D' },
  { "export", required_argument, NULL, 'e' },
  { "import", required_argument, NULL, 'i' },
  { "state", required_argument, NULL, 's' },
  { "preflight", no_argument, NULL, 'P' },
  { "no-probe", no_argument, NULL, 'N' },
  { NULL, 0, NULL, 0 }
};

struct options {
  struct policy *policy;
  const char *export, *import, *state;
  bool preflight, probe;
};

static void
show_error (const struct clevis_error *err)
{
  CLEANUP_FREE char *line = clevis_error_line (err);

  if (err->code != CLEVIS_OK)
    fprintf (stderr, "%s: %s\n", clevis_code_name (err->code), line);
  if (err->hint)
    fprintf (stderr, "hint: %s\n", err->hint);
}

static void
die (const struct clevis_error *err)
{
  show_error (err);
  exit (EXIT_FAILURE);
}

static long
milliseconds (const char *seconds)
{
  return atof (seconds) * 1000;
}

static void
set_option (struct options *o, int c, char *arg)
{
  struct policy_settings *s = policy_settings (o->policy);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  int r = 0;

  switch (c) {
  case 'a': r = policy_allow (o->policy, arg, &err); break;
  case 'm': r = policy_map (o->policy, arg, &err); break;
  case 'R': r = policy_resolve (o->policy, arg, &err); break;
  case 'A': s->cacert = strdup (arg); break;
  case 'C': s->cert = strdup (arg); break;
  case 'K': s->key = strdup (arg); break;
  case 'x': s->proxy = strdup (arg); break;
  case 'X': s->no_proxy = strdup (arg); break;
  case 't': s->timeout = milliseconds (arg); break;
  case 'c': s->connect_timeout = milliseconds (arg); break;
  case 'd': s->deadline = milliseconds (arg); break;
  case 'r': s->retries = atoi (arg); break;
  case 'p': s->parallel = atoi (arg); break;
  case 'D':
    s->keydir = keydir_open (arg, &err);
    r = s->keydir ? 0 : -1;
    break;
  case 'e': o->export = arg; break;
  case 'i': o->import = arg; break;
  case 's': o->state = arg; break;
  case 'P': o->preflight = true; break;
  case 'N': o->probe = false; break;
  default: exit (EXIT_FAILURE);
  }
  if (r == -1)
    die (&err);
}

static void
set_offline (const struct options *o)
{
  struct policy_settings *s = policy_settings (o->policy);
  struct clevis_error err = CLEVIS_ERROR_INIT;

  if (o->export == NULL && o->import == NULL)
    return;
  if (o->state == NULL)
    error (EXIT_FAILURE, 0, "--state is needed");
  s->offline = o->export ? offline_export (&err)
    : offline_import (o->state, o->import, &err);
  if (s->offline == NULL)
    die (&err);
}

/* Read a header from a file; exits if there is none. */
static struct luks *
read_header (const char *file)
{
  CLEANUP_CLOSE int fd = open (file, O_RDONLY | O_CLOEXEC);
  CLEANUP_FREE char *buf = NULL;
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct luks_extent ext;
  enum luks_state state;
  struct luks *luks;
  struct stat st;
  ssize_t r;

  if (fd == -1 || fstat (fd, &st) == -1)
    error (EXIT_FAILURE, errno, "%s", file);
  luks = luks_new (file, st.st_size);
  while ((state = luks_next (luks, &ext, &err)) == LUKS_NEED) {
    buf = realloc (buf, ext.length);
    r = pread (fd, buf, ext.length, ext.offset);
    if (r == -1 || luks_supply (luks, ext.offset, buf, r, &err) == -1)
      error (EXIT_FAILURE, errno, "%s", file);
  }
  if (state == LUKS_ERROR)
    die (&err);
  if (state != LUKS_READY)
    error (EXIT_FAILURE, 0, "%s: no LUKS header", file);
  return luks;
}

static void
show_leaf (struct pin *leaf, void *opaque)
{
  show_error (&leaf->error);
}

/* Print the passphrase, or why there is none. */
static int
show_device (const struct exchange_device *d)
{
  size_t i;

  if (d->status == EXCHANGE_UNLOCKED) {
    fwrite (d->key->data, 1, d->key->len, stdout);
    putchar ('\n');
    return EXIT_SUCCESS;
  }
  show_error (&d->error);
  for (i = 0; i < d->nr_bindings; ++i) {
    show_error (&d->bindings[i].error);
    if (d->bindings[i].pin)
      pin_foreach_leaf (d->bindings[i].pin, show_leaf, NULL);
  }
  return d->error.code == CLEVIS_ERR_UNREACHABLE ? EXIT_LATER : EXIT_LOCKED;
}

static int
write_requests (const struct options *o)
{
  const struct offline *off = policy_get_settings (o->policy)->offline;
  struct clevis_error err = CLEVIS_ERROR_INIT;

  if (offline_write (off, o->export, o->state, false, &err) == -1)
    die (&err);
  printf ("%zu requests\n", offline_count (off));
  return EXIT_SUCCESS;
}

static int
unlock (const struct options *o, struct luks **headers, size_t n)
{
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct exchange *ex = exchange_new (o->policy, &err);
  int r, status = EXIT_SUCCESS;
  size_t i;

  if (ex == NULL)
    die (&err);
  for (i = 0; i < n; ++i)
    if (exchange_add (ex, headers[i], &err) == -1)
      die (&err);
  while ((r = exchange_step (ex, 1000, &err)) == 1)
    ;
  if (r == -1)
    die (&err);
  for (i = 0; i < n && !o->export; ++i) {
    r = show_device (exchange_device (ex, i));
    if (status != EXIT_LOCKED && r != EXIT_SUCCESS)
      status = r;
  }
  exchange_free (ex);
  return o->export ? write_requests (o) : status;
}

static const char *
verdict_name (enum preflight_verdict verdict)
{
  switch (verdict) {
  case PREFLIGHT_CLOSED: return "closed";
  case PREFLIGHT_NO_SPARE: return "no spare";
  case PREFLIGHT_OPENS: return "opens";
  case PREFLIGHT_UNBOUND: break;
  }
  return "unbound";
}

static const char *
key_name (enum preflight_key key)
{
  switch (key) {
  case PREFLIGHT_UNKNOWN: break;
  case PREFLIGHT_ADVERTISED: return "advertised";
  case PREFLIGHT_ROTATED: return "rotated";
  case PREFLIGHT_UNADVERTISED: return "unadvertised";
  case PREFLIGHT_GONE: return "gone";
  case PREFLIGHT_LOCAL: return "local";
  }
  return "unknown";
}

static int
show_preflight (const struct preflight_device *d)
{
  size_t i;

  printf ("%s\n", verdict_name (d->verdict));
  for (i = 0; i < d->nr_leaves; ++i) {
    const struct preflight_leaf *leaf = &d->leaves[i];

    printf ("%s: %s, signatures %s%s%s\n", leaf->pin->path,
            key_name (leaf->key), leaf->signatures ? "good" : "not good",
            leaf->certificate_expiry ? ", expires " : "",
            leaf->certificate_expiry ? leaf->certificate_expiry : "");
    show_error (&leaf->error);
  }
  return d->verdict == PREFLIGHT_CLOSED ? EXIT_LOCKED : EXIT_SUCCESS;
}

static int
preflight (const struct options *o, struct luks **headers, size_t n)
{
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct preflight *pf = preflight_new (o->policy, o->probe, &err);
  int r, status = EXIT_SUCCESS;
  size_t i;

  if (pf == NULL)
    die (&err);
  for (i = 0; i < n; ++i)
    if (preflight_add (pf, headers[i], &err) == -1)
      die (&err);
  while ((r = preflight_step (pf, 1000, &err)) == 1)
    ;
  if (r == -1)
    die (&err);
  for (i = 0; i < n; ++i)
    if (show_preflight (preflight_device (pf, i)) != EXIT_SUCCESS)
      status = EXIT_LOCKED;
  preflight_free (pf);
  return status;
}

int
main (int argc, char *argv[])
{
  struct options o = { .probe = true };
  struct luks **headers;
  int c, status;
  size_t i, n;

  if (secret_init () == -1 || (o.policy = policy_new ()) == NULL)
    error (EXIT_FAILURE, ENOMEM, "unlock-file");
  while ((c = getopt_long (argc, argv, "a:m:t:", long_options, NULL)) != -1)
    set_option (&o, c, optarg);
  set_offline (&o);
  n = argc - optind;
  headers = calloc (n + 1, sizeof *headers);
  if (headers == NULL)
    error (EXIT_FAILURE, errno, "unlock-file");
  for (i = 0; i < n; ++i)
    headers[i] = read_header (argv[optind + i]);
  status = o.preflight ? preflight (&o, headers, n) : unlock (&o, headers, n);
  for (i = 0; i < n; ++i)
    luks_free (headers[i]);
  free (headers);
  policy_free (o.policy);
  if (fclose (stdout) != 0)
    status = EXIT_FAILURE;
  if (exchange_is_left ())
    _exit (status);
  return status;
}
