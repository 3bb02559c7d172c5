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
 * Exit status: 0 if each file was unlocked (or would be, or was exported), 4
 * if one was not and might be later, 2 if it will not be, 1 for other errors.
 * Standard error says why, a line for each device, binding and leaf, and one
 * for its hint.
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
#include "exchange/preflight.h"
#include "vault/vault.h"

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
  { "share", required_argument, NULL, 'S' },
  { "keydir", required_argument, NULL, 'D' },
  { "export", required_argument, NULL, 'e' },
  { "import", required_argument, NULL, 'i' },
  { "state", required_argument, NULL, 's' },
  { "preflight", no_argument, NULL, 'P' },
  { "no-probe", no_argument, NULL, 'N' },
  { NULL, 0, NULL, 0 }
};

struct options {
  struct vault *vault;
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
  case 'S': s->share = strdup (arg); break;
  case 'D':
    r = vault_use_keydir (o->vault, arg, &err);
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
set_offline (struct options *o)
{
  struct clevis_error err = CLEVIS_ERROR_INIT;

  if (o->export == NULL && o->import == NULL)
    return;
  if (o->state == NULL)
    error (EXIT_FAILURE, 0, "--state is needed");
  if ((o->export ? vault_collect_requests (o->vault, &err)
       : vault_use_replies (o->vault, o->state, o->import, &err)) == -1)
    die (&err);
}

/* Read a header from a file; exits if there is none. */
static struct vault_luks *
read_header (struct vault *vault, const char *file)
{
  CLEANUP_CLOSE int fd = open (file, O_RDONLY | O_CLOEXEC);
  CLEANUP_FREE char *buf = NULL;
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct luks_extent ext;
  enum luks_state state;
  struct vault_luks *luks;
  struct stat st;
  ssize_t r;

  if (fd == -1 || fstat (fd, &st) == -1)
    error (EXIT_FAILURE, errno, "%s", file);
  luks = vault_luks_new (vault, file, st.st_size, &err);
  if (luks == NULL)
    die (&err);
  while ((state = vault_luks_next (luks, &ext, &err)) == LUKS_NEED) {
    buf = realloc (buf, ext.length);
    r = pread (fd, buf, ext.length, ext.offset);
    if (r == -1 || vault_luks_supply (luks, ext.offset, buf, r, &err) == -1)
      error (EXIT_FAILURE, errno, "%s", file);
  }
  if (state == LUKS_ERROR)
    die (&err);
  if (state != LUKS_READY)
    error (EXIT_FAILURE, 0, "%s: no LUKS header", file);
  return luks;
}

/* Print the passphrase, or why there is none. */
static int
show_device (struct vault_run *run, size_t i)
{
  const struct heard_outcome *o = vault_run_outcome (run, i);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct vault_key *key;
  size_t j;

  if (o->status == EXCHANGE_UNLOCKED) {
    key = vault_run_take_key (run, i);
    fflush (stdout);
    if (vault_key_write (key, STDOUT_FILENO, false, &err) == -1)
      die (&err);
    putchar ('\n');
    return EXIT_SUCCESS;
  }
  for (j = 0; j < o->nr_errors; ++j)
    show_error (&o->errors[j]);
  return o->nr_errors > 0 && o->errors[0].code == CLEVIS_ERR_UNREACHABLE
    ? EXIT_LATER : EXIT_LOCKED;
}

/* A new file; if there is one already, first is removed again. */
static int
new_file (const char *name, const char *first)
{
  const int fd = open (name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const int code = errno;

  if (fd == -1 && first)
    unlink (first);
  if (fd == -1)
    error (EXIT_FAILURE, code, "%s", name);
  return fd;
}

static int
write_requests (const struct options *o)
{
  CLEANUP_CLOSE int state = new_file (o->state, NULL);
  CLEANUP_CLOSE int requests = new_file (o->export, o->state);
  struct clevis_error err = CLEVIS_ERROR_INIT;
  size_t n;

  if (vault_dump_state (o->vault, state, o->state, &err) == -1 ||
      vault_dump_requests (o->vault, o->policy, requests, o->export,
                           &err) == -1 ||
      vault_nr_requests (o->vault, &n, &err) == -1)
    die (&err);
  printf ("%zu requests\n", n);
  return EXIT_SUCCESS;
}

/* To the end, with all headers. */
static void
finish (struct vault_run *run, struct vault_luks **headers, size_t n)
{
  struct clevis_error err = CLEVIS_ERROR_INIT;
  size_t i;
  int r;

  for (i = 0; i < n; ++i)
    if (vault_run_add (run, headers[i], &err) == -1)
      die (&err);
  while ((r = vault_run_step (run, 1000, &err)) == 1)
    ;
  if (r == -1)
    die (&err);
}

static int
unlock (const struct options *o, struct vault_luks **headers, size_t n)
{
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct vault_run *run = vault_exchange_new (o->vault, o->policy, &err);
  int r, status = EXIT_SUCCESS;
  size_t i;

  if (run == NULL)
    die (&err);
  finish (run, headers, n);
  for (i = 0; i < n && !o->export; ++i) {
    r = show_device (run, i);
    if (status != EXIT_LOCKED && r != EXIT_SUCCESS)
      status = r;
  }
  vault_run_free (run);
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
show_preflight (const struct heard_outcome *o)
{
  size_t i;

  printf ("%s\n", verdict_name (o->status));
  for (i = 0; i < o->nr_leaves; ++i) {
    const struct heard_leaf *leaf = &o->leaves[i];

    printf ("%s: %s, signatures %s%s%s\n", leaf->pin,
            key_name (leaf->key), leaf->signatures ? "good" : "not good",
            leaf->certificate_expiry ? ", expires " : "",
            leaf->certificate_expiry ? leaf->certificate_expiry : "");
    if (leaf->has_failed)
      show_error (&leaf->error);
  }
  return o->status == PREFLIGHT_CLOSED ? EXIT_LOCKED : EXIT_SUCCESS;
}

static int
preflight (const struct options *o, struct vault_luks **headers, size_t n)
{
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct vault_run *run = vault_preflight_new (o->vault, o->policy, o->probe,
                                               &err);
  int status = EXIT_SUCCESS;
  size_t i;

  if (run == NULL)
    die (&err);
  finish (run, headers, n);
  for (i = 0; i < n; ++i)
    if (show_preflight (vault_run_outcome (run, i)) != EXIT_SUCCESS)
      status = EXIT_LOCKED;
  vault_run_free (run);
  return status;
}

int
main (int argc, char *argv[])
{
  struct options o = { .probe = true };
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct vault_luks **headers;
  int c, status;
  size_t i, n;

  o.vault = vault_new (true, &err);
  if (o.vault == NULL)
    die (&err);
  if (secret_init () == -1)
    error (EXIT_FAILURE, ENOMEM, "unlock-file");
  o.policy = policy_new ();
  if (o.policy == NULL)
    error (EXIT_FAILURE, ENOMEM, "unlock-file");
  while ((c = getopt_long (argc, argv, "a:m:t:", long_options, NULL)) != -1)
    set_option (&o, c, optarg);
  set_offline (&o);
  n = argc - optind;
  headers = calloc (n + 1, sizeof *headers);
  if (headers == NULL)
    error (EXIT_FAILURE, errno, "unlock-file");
  for (i = 0; i < n; ++i)
    headers[i] = read_header (o.vault, argv[optind + i]);
  status = o.preflight ? preflight (&o, headers, n) : unlock (&o, headers, n);
  for (i = 0; i < n; ++i)
    vault_luks_free (headers[i]);
  free (headers);
  policy_free (o.policy);
  vault_free (o.vault);
  if (fclose (stdout) != 0)
    status = EXIT_FAILURE;
  return status;
}
