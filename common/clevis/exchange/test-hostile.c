/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A hostile device beside an honest one, which has a real tangd: the honest one
 * is opened in at most 1.2 times the time that it takes alone.  The two are run
 * in turn, and the lowest times are compared, so that whatever else the
 * machine does meets both; the ratios are printed.
 *
 * alone
 */

#include <config.h>

#include "testlib/testlib.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jose/b64.h>
#include <jose/jose.h>

#include "base/bounds.h"
#include "base/clock.h"
#include "exchange/exchange.h"
#include "exchange/preflight.h"
#include "testlib/testlib-jwe.h"
#include "testlib/testlib-luks.h"
#include "testlib/testlib-server.h"

#define ROUNDS 12
#define TRIES 12
#define MOST 1.2

#define LEAVES 64               /* of an sss pin */
#define TOKENS 18               /* of 64 leaves: 1152 servers */

static const char *const passphrases[] = { "admin", "one", "two", NULL };

/* What all tests have: an honest device, and a key for hostile ones. */
static struct {
  const char *honest;
  json_t *key;
  struct policy *policy;
} all;

static struct policy *
new_policy (void)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct policy *policy = loopback_policy ();

  policy_allow (policy, "*.test", &err);
  policy_settings (policy)->timeout = 4000;
  policy_settings (policy)->connect_timeout = 3000;
  return policy;
}

/* A name server that never answers, for this process and its children; -1 where
 * there can be none.
 */
static int silent_names = -1;

static void
silence_names (void)
{
  const struct sockaddr_in dns = {
    .sin_family = AF_INET, .sin_port = htons (53),
    .sin_addr.s_addr = htonl (INADDR_LOOPBACK),
  };

  if (unshare (CLONE_NEWNS | CLONE_NEWNET) == -1)
    return;
  /* In a chroot whose root is no mountpoint what is mounted might be seen by
   * others.
   */
  if (mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1) {
    shell ("ip link set lo up");
    return;
  }
  shell ("ip link set lo up\n"
         "echo nameserver 127.0.0.1 > resolv.conf");
  silent_names = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (bind (silent_names, (const struct sockaddr *) &dns, sizeof dns) == -1)
    fail_msg ("port 53: %s", strerror (errno));
  shell ("mount --bind resolv.conf /etc/resolv.conf");
}

/* Called by each test, as one that is skipped must be skipped by itself. */
static void
prepare (void)
{
  static const char *const programs[] = {
    "clevis", "clevis-luks-bind", "tangd", "socat", "cryptsetup",
  };
  CLEANUP_FREE char *url = NULL;
  size_t i;

  for (i = 0; i < sizeof programs / sizeof programs[0]; ++i)
    require_program (programs[i]);
  if (time_factor () > 1)
    skip_test ("with a sanitizer it would be measured what that does");
  if (all.honest)
    return;
  silence_names ();
  all.key = tang_key ("P-256");
  all.policy = new_policy ();
  all.honest = tmp_path ("honest.img");
  make_luks2 (all.honest, passphrases, 16 * KIB);
  url = shell_output ("'%s/tests/guests/serve-tang.sh' tang 0 tang.pid",
                      top_srcdir ());
  shell ("echo -n admin > pass\n"
         "clevis luks bind -y -k pass -d '%s' tang '{\"url\":\"%s\"}'",
         all.honest, url);
}

/* The time from the start of an exchange until the honest device is open, in
 * milliseconds; beside a hostile one if that is not NULL, which comes first.
 */
static double
open_honest (const char *hostile)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct exchange *ex = direct_exchange (all.policy, &err);
  struct luks *a = hostile ? ready_luks (hostile) : NULL;
  struct luks *b = ready_luks (all.honest);
  const struct exchange_device *d;
  double ms;
  int i;

  if (a)
    assert_int_equal (exchange_add (ex, a, &err), 0);
  i = exchange_add (ex, b, &err);
  d = exchange_device (ex, i);
  while (d->status == EXCHANGE_PENDING)
    assert_true (exchange_step (ex, 1000, &err) >= 0);
  if (d->status != EXCHANGE_UNLOCKED) {
    CLEANUP_FREE char *line = clevis_error_line (&d->bindings[0].error);

    fail_msg ("the honest device was not opened: %s", line);
  }
  ms = d->seconds * 1000;
  exchange_free (ex);
  while (exchange_is_left ())
    usleep (1000);
  luks_free (a);
  luks_free (b);
  return ms;
}

/* Is one of them, compared in turn, at most so much slower?  A machine that has
 * much else to do may spoil some tries, so there is a pause between them.
 */
static void
compare (const char *what, double (*measure) (const char *hostile),
         const char *hostile)
{
  double alone, beside, ms;
  int i, try;

  for (try = 0; try < TRIES; ++try) {
    alone = beside = 1e9;
    for (i = 0; i < ROUNDS; ++i) {
      ms = measure (NULL);
      alone = ms < alone ? ms : alone;
      ms = measure (hostile);
      beside = ms < beside ? ms : beside;
      if (ms > 20 * alone && ms > 1000)
        break;                  /* no noise */
    }
    print_message ("%s: alone %.1f ms, beside it %.1f ms, ratio %.2f\n", what,
                   alone, beside, beside / alone);
    if (beside <= MOST * alone)
      return;
    usleep (250 * 1000);
  }
  fail_msg ("%s: more than %g times as slow", what, MOST);
}

static void
set_iterations (json_t *json, void *unused)
{
  const char *name;
  json_t *slot;

  json_object_foreach (json_object_get (json, "keyslots"), name, slot)
    json_object_set_new (json_object_get (slot, "kdf"), "iterations",
                         json_integer (1000000));
}

/* As many keyslots as can be tried, each of half a second. */
static void
test_endless_key_derivation (void **state)
{
  const char *file = tmp_path ("kdf.img");
  CLEANUP_JSON json_t *jwe = encrypt_null ("wrong", 5);
  CLEANUP_JSON json_t *token = json_pack ("{s:s, s:[s, s, s], s:O}", "type",
                                          "clevis", "keyslots", "0", "1", "2",
                                          "jwe", jwe);
  int i;

  prepare ();
  make_luks2 (file, passphrases, 64 * KIB);
  for (i = 0; i < 32; ++i)
    add_token (file, token);
  edit_luks2 (file, set_iterations, NULL);
  compare ("endless key derivation", open_honest, file);
}

static void
fill_header (json_t *json, void *unused)
{
  json_t *values = json_array ();
  const char *name;
  json_t *part;
  int i;

  json_object_foreach (json_object_get (json, "keyslots"), name, part)
    json_object_set_new (json_object_get (part, "kdf"), "iterations",
                         json_integer (1000));
  for (i = 0; i < BOUND_LUKS2_VALUES / 5; ++i)
    json_array_append_new (values, json_array ());
  json_object_set_new (json_object_get (json_object_get (json, "tokens"), "0"),
                       "x", values);
}

/* A header that takes long to read, and is read for each of many keyslots that
 * cost nothing themselves.
 */
static void
test_long_header (void **state)
{
  const char *file = tmp_path ("header.img");
  CLEANUP_JSON json_t *jwe = encrypt_null ("wrong", 5);
  CLEANUP_JSON json_t *token = json_pack ("{s:s, s:[s, s, s], s:O}", "type",
                                          "clevis", "keyslots", "0", "1", "2",
                                          "jwe", jwe);
  int i;

  prepare ();
  make_luks2 (file, passphrases, 4 * MIB);
  for (i = 0; i < 32; ++i)
    add_token (file, token);
  edit_luks2 (file, fill_header, NULL);
  compare ("long header", open_honest, file);
}

/* Servers that are connected to and never answer: a child process that listens
 * on so many ports.  Returns its process ID.
 */
static pid_t
silent_servers (int *ports, int n)
{
  int fds[2], i, fd;
  pid_t pid;

  assert_int_equal (pipe (fds), 0);
  pid = fork ();
  if (pid == 0) {
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    for (i = 0; i < n; ++i) {
      struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK),
      };
      socklen_t len = sizeof a;

      fd = socket (AF_INET, SOCK_STREAM, 0);
      if (bind (fd, (struct sockaddr *) &a, len) == -1 ||
          listen (fd, 64) == -1 ||
          getsockname (fd, (struct sockaddr *) &a, &len) == -1)
        _exit (1);
      ports[i] = ntohs (a.sin_port);
      if (write (fds[1], &ports[i], sizeof ports[i]) != sizeof ports[i])
        _exit (1);
    }
    for (;;)
      pause ();
  }
  for (i = 0; i < n; ++i)
    assert_int_equal (read (fds[0], &ports[i], sizeof ports[i]),
                      sizeof ports[i]);
  close (fds[0]);
  close (fds[1]);
  return pid;
}

/* A device that is bound to so many servers, 64 in a token. */
static const char *
bound_to (const char *name, char *const *urls)
{
  const char *file = tmp_path ("%s.img", name);
  int i;

  make_luks2 (file, passphrases, 4 * MIB);
  for (i = 0; i < TOKENS; ++i)
    bind_luks_sss (file, 1, all.key, 1,
                   (const char *const *) urls + i * LEAVES, LEAVES, "one");
  return file;
}

static void
test_many_origins (void **state)
{
  enum { N = TOKENS * LEAVES };
  static int ports[N];
  static char *urls[N];
  const struct rlimit usual = { 1024, 1024 };
  struct rlimit files, less;
  const char *file;
  pid_t pid;
  int i;

  prepare ();
  getrlimit (RLIMIT_NOFILE, &files);
  if (files.rlim_cur < N + 100)
    skip_test ("it takes more open files than are allowed");
  pid = silent_servers (ports, N);
  for (i = 0; i < N; ++i)
    assert_true (asprintf (&urls[i], "http://127.0.0.1:%d", ports[i]) > 0);
  file = bound_to ("origins", urls);
  less = files;
  less.rlim_cur = usual.rlim_cur;
  setrlimit (RLIMIT_NOFILE, &less);
  compare ("1152 origins", open_honest, file);
  setrlimit (RLIMIT_NOFILE, &files);
  kill (pid, SIGKILL);
  waitpid (pid, NULL, 0);
  for (i = 0; i < N; ++i)
    free (urls[i]);
}

static void
test_silent_names (void **state)
{
  enum { N = TOKENS * LEAVES };
  static char *urls[N];
  const char *file;
  int i;

  prepare ();
  if (silent_names == -1)
    skip_test ("no name server can be replaced");
  for (i = 0; i < N; ++i)
    assert_true (asprintf (&urls[i], "http://host%d.test", i) > 0);
  file = bound_to ("names", urls);
  compare ("silent names", open_honest, file);
  for (i = 0; i < N; ++i)
    free (urls[i]);
}

static void
test_big_plaintexts (void **state)
{
  const char *file = tmp_path ("plain.img");
  CLEANUP_FREE char *text = calloc (1, 80 * KIB);
  CLEANUP_JSON json_t *jwe = encrypt_null (text, 80 * KIB);
  CLEANUP_JSON json_t *token = json_pack ("{s:s, s:[s], s:O}", "type",
                                          "clevis", "keyslots", "1", "jwe",
                                          jwe);
  int i;

  prepare ();
  make_luks2 (file, passphrases, 4 * MIB);
  for (i = 0; i < 32; ++i)
    add_token (file, token);
  compare ("big plaintexts", open_honest, file);
}

/* An advertisement of 64 keys, one of which has signed it 192 times. */
static json_t *
big_advertisement (void)
{
  CLEANUP_JSON json_t *signing = json_pack ("{s:s}", "alg", "ES256");
  CLEANUP_JSON json_t *keys = json_array (), *payload = NULL, *text = NULL;
  json_t *jws, *signatures = json_array ();
  int i;

  for (i = 0; i < 63; ++i) {
    CLEANUP_JSON json_t *other = json_pack ("{s:s}", "alg", "ES256");

    assert_true (jose_jwk_gen (NULL, other));
    json_array_append_new (keys, public_part (other));
  }
  assert_true (jose_jwk_gen (NULL, signing));
  json_array_append_new (keys, public_part (signing));
  payload = json_pack ("{s:O}", "keys", keys);
  text = jose_b64_enc_dump (payload);
  jws = json_pack ("{s:O}", "payload", text);
  assert_true (jose_jws_sig (NULL, jws, NULL, signing));
  for (i = 0; i < 192; ++i)
    json_array_append_new (signatures, json_pack (
      "{s:O, s:O}", "protected", json_object_get (jws, "protected"),
      "signature", json_object_get (jws, "signature")));
  json_object_del (jws, "protected");
  json_object_del (jws, "signature");
  json_object_set_new (jws, "signatures", signatures);
  return jws;
}

/* The time of a preflight of the honest device. */
static double
preflight_honest (const char *hostile)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct preflight *pf = direct_preflight (all.policy, NULL, false, &err);
  struct luks *a = hostile ? ready_luks (hostile) : NULL;
  struct luks *b = ready_luks (all.honest);
  double start;
  int i;

  if (a)
    assert_int_equal (preflight_add (pf, a, &err), 0);
  i = preflight_add (pf, b, &err);
  start = clock_now ();
  while (preflight_step (pf, 1000, &err) == 1)
    ;
  start = clock_now () - start;
  assert_int_equal (preflight_device (pf, i)->verdict, PREFLIGHT_NO_SPARE);
  preflight_free (pf);
  luks_free (a);
  luks_free (b);
  return start * 1000;
}

static void
test_big_advertisement (void **state)
{
  const char *file = tmp_path ("advertisement.img");
  CLEANUP_JSON json_t *adv = NULL;
  struct server *server;

  prepare ();
  adv = big_advertisement ();
  server = server_start (all.key, FAULT_NONE);
  server_advertise (server, adv);
  make_luks2 (file, passphrases, 16 * KIB);
  bind_luks_tang (file, 1, all.key, server_url (server), "one");
  compare ("big advertisement", preflight_honest, file);
  server_stop (server);
}

static void
test_end (void **state)
{
  if (all.honest)
    shell ("'%s/tests/guests/serve-tang.sh' --stop tang.pid", top_srcdir ());
  json_decref (all.key);
  policy_free (all.policy);
}

int
main (void)
{
  const struct CMUnitTest hostile[] = {
    cmocka_unit_test (test_endless_key_derivation),
    cmocka_unit_test (test_long_header),
    cmocka_unit_test (test_big_plaintexts),
    cmocka_unit_test (test_big_advertisement),
    cmocka_unit_test (test_many_origins),
    cmocka_unit_test (test_silent_names),
    cmocka_unit_test (test_end),
  };

  return run_unit_tests (hostile);
}
