/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of exchange.c: from devices with bindings to verified passphrases,
 * with servers that answer and servers that don't.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <unistd.h>

#include "base/bounds.h"
#include "base/clock.h"
#include "exchange/exchange.h"
#include "luks/luks-cost.h"
#include "testlib/testlib-jwe.h"
#include "testlib/testlib-luks.h"
#include "testlib/testlib-server.h"

/* Milliseconds.  Most tests have a server that answers, so that a timeout is
 * a failure that shows.
 */
#define TIMEOUT 20000
#define SHORT_TIMEOUT (400 * time_factor ())

/* Keyslots 0, 1 and 2. */
static const char *const passphrases[] = { "admin", "one", "two", NULL };

#define MAX_DEVICES 4

struct fixture {
  json_t *key;
  struct server *server, *hole; /* answers, never answers */
  struct policy *policy;
  struct exchange *ex;
  struct luks *luks[MAX_DEVICES];
  int nr;
};

static int
setup (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = calloc (1, sizeof *f);

  f->key = tang_key ("P-256");
  f->server = server_start (f->key, FAULT_NONE);
  f->hole = server_start (f->key, FAULT_BLACK_HOLE);
  f->policy = loopback_policy ();
  policy_settings (f->policy)->timeout = TIMEOUT;
  policy_settings (f->policy)->retries = 0;
  f->ex = direct_exchange (f->policy, &err);
  assert_no_error (&err);
  *state = f;
  return 0;
}

static int
teardown (void **state)
{
  struct fixture *f = *state;
  int i;

  exchange_free (f->ex);
  for (i = 0; i < f->nr; ++i)
    luks_free (f->luks[i]);
  policy_free (f->policy);
  server_stop (f->server);
  server_stop (f->hole);
  json_decref (f->key);
  free (f);
  return 0;
}

/* A device without bindings, made from one that is made once. */
static const char *
new_disk (int version, int i)
{
  static const char *bases[3];
  const char *file = tmp_path ("disk%d.img", i);
  CLEANUP_FREE char *data = NULL;
  size_t len;

  if (bases[version] == NULL) {
    bases[version] = tmp_path ("base%d.img", version);
    if (version == 1)
      make_luks1 (bases[version], passphrases);
    else
      make_luks2 (bases[version], passphrases, 16 * KIB);
  }
  data = read_file (bases[version], &len);
  write_file (file, data, len);
  return file;
}

/* Bind a keyslot to a server, with its passphrase. */
static void
bind_tang (struct fixture *f, const char *file, int keyslot, const char *url)
{
  bind_luks_tang (file, keyslot, f->key, url, passphrases[keyslot]);
}

static void
bind_sss (struct fixture *f, const char *file, int keyslot, int t,
          const char *const *urls, size_t n)
{
  bind_luks_sss (file, keyslot, f->key, t, urls, n, passphrases[keyslot]);
}

static int
add (struct fixture *f, const char *file)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  int i;

  f->luks[f->nr] = ready_luks (file);
  i = exchange_add (f->ex, f->luks[f->nr++], &err);
  assert_no_error (&err);
  return i;
}

/* Run to the end; returns the milliseconds that it took. */
static double
run (struct fixture *f)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  double start = clock_now ();
  int r;

  while ((r = exchange_step (f->ex, 10000, &err)) == 1)
    ;
  assert_no_error (&err);
  assert_int_equal (r, 0);
  return (clock_now () - start) * 1000;
}

static void
assert_unlocked (struct fixture *f, int i, int keyslot)
{
  const struct exchange_device *d = exchange_device (f->ex, i);
  CLEANUP_FREE char *line = clevis_error_line (&d->bindings[0].error);

  if (d->status != EXCHANGE_UNLOCKED)
    print_error ("%s\n", line);
  assert_int_equal (d->status, EXCHANGE_UNLOCKED);
  assert_int_equal (d->keyslot, keyslot);
  assert_secret (d->key, passphrases[keyslot], strlen (passphrases[keyslot]));
  assert_non_null (d->by);
  assert_no_error (&d->error);
}

/* The device failed with a code; so did its binding b, for a reason. */
static void
assert_failed (struct fixture *f, int i, enum clevis_code code, size_t b,
               const char *message)
{
  const struct exchange_device *d = exchange_device (f->ex, i);

  assert_int_equal (d->status, EXCHANGE_FAILED);
  assert_null (d->key);
  assert_error (&d->error, code, "could not be unlocked");
  assert_true (b < d->nr_bindings);
  assert_contains (d->bindings[b].error.message, message);
}

static void
test_luks2 (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk (2, 0);
  const struct exchange_device *d;
  struct secret *key;

  bind_tang (f, file, 1, server_url (f->server));
  assert_int_equal (add (f, file), 0);
  assert_int_equal (exchange_nr_devices (f->ex), 1);
  d = exchange_device (f->ex, 0);
  assert_int_equal (d->nr_bindings, 1);
  assert_string_equal (d->bindings[0].pin->url, server_url (f->server));
  assert_int_equal (d->status, EXCHANGE_PENDING);
  run (f);
  assert_unlocked (f, 0, 1);
  assert_ptr_equal (d->by, &d->bindings[0]);
  assert_int_equal (d->by->token->id, 0);
  assert_string_equal (d->by->pin->address, "127.0.0.1");
  assert_true (d->seconds > 0 && d->by->verify_seconds > 0);

  key = exchange_take_key (f->ex, 0);
  assert_secret (key, "one", 3);
  secret_free (key);
  assert_null (exchange_take_key (f->ex, 0));
}

static void
test_luks1 (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk (1, 0);

  bind_tang (f, file, 2, server_url (f->server));
  add (f, file);
  run (f);
  assert_unlocked (f, 0, 2);
}

/* Older versions of Clevis made such keyslots.  OpenSSL's argon2, which newer
 * versions of libcryptsetup have, allocates its memory as if it were a key.
 */
static void
test_argon2_larger_than_locked_memory (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk (2, 0);
  const struct luks_keyslot *k;

  require_program ("cryptsetup");
  bind_tang (f, file, 1, server_url (f->server));
  shell ("echo -n one > pass\n"
         "cryptsetup luksConvertKey -q -S 1 -d pass --pbkdf argon2id "
         "--pbkdf-memory 65536 --pbkdf-parallel 4 "
         "--pbkdf-force-iterations 4 '%s'", file);
  add (f, file);
  k = luks_keyslot (f->luks[0], 1);
  assert_string_equal (k->kdf, "argon2id");
  assert_int_equal (k->memory, 65536);
  run (f);
  assert_unlocked (f, 0, 1);
  assert_false (secret_was_short ());
}

static void
test_no_devices (void **state)
{
  struct fixture *f = *state;

  run (f);
  assert_int_equal (exchange_nr_devices (f->ex), 0);
}

static void
test_device_without_binding (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk (2, 0);
  CLEANUP_JSON json_t *token = json_pack ("{s:s, s:[s]}", "type",
                                          "snake-oil", "keyslots", "0");

  add_token (file, token);
  add (f, file);
  run (f);
  assert_int_equal (exchange_device (f->ex, 0)->status, EXCHANGE_UNBOUND);
  assert_int_equal (exchange_device (f->ex, 0)->nr_bindings, 0);
}

static void
test_passphrase_that_is_not_accepted (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk (2, 0);
  CLEANUP_JSON json_t *jwe = encrypt_tang (server_url (f->server), f->key,
                                           "wrong", 5);
  const struct clevis_error *err;

  bind_luks (file, 1, jwe);
  add (f, file);
  run (f);
  assert_failed (f, 0, CLEVIS_ERR_PASSPHRASE, 0, "not accept");
  err = &exchange_device (f->ex, 0)->bindings[0].error;
  assert_int_equal (err->keyslot, 1);
  assert_int_equal (err->token, 0);
  assert_string_equal (err->device, file);
  assert_contains (err->hint, "clevis luks regen");
}

/* Nothing of a passphrase is kept that no keyslot wants. */
static void
test_refused_passphrase_is_freed (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk (2, 0);
  CLEANUP_JSON json_t *jwe = encrypt_null ("wrong", 5);

  bind_luks (file, 1, jwe);
  add (f, file);
  run (f);
  assert_failed (f, 0, CLEVIS_ERR_PASSPHRASE, 0, "not accept");
  assert_int_equal (exchange_device (f->ex, 0)->bindings[0].pin->state,
                    PIN_DONE);
  assert_null (exchange_device (f->ex, 0)->bindings[0].pin->plaintext);
}

/* A token may name several keyslots. */
static void
test_second_keyslot_of_a_token (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk (2, 0);
  CLEANUP_JSON json_t *jwe = encrypt_tang (server_url (f->server), f->key,
                                           "two", 3), *token = NULL;

  token = json_pack ("{s:s, s:[s, s, s], s:O}", "type", "clevis", "keyslots",
                     "0", "1", "2", "jwe", jwe);
  add_token (file, token);
  add (f, file);
  run (f);
  assert_unlocked (f, 0, 2);
}

/* Tokens that cannot serve do not keep another from serving. */
static void
test_broken_tokens_beside_a_good_one (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk (2, 0);
  CLEANUP_JSON json_t *a = json_pack ("{s:s, s:[s]}", "type", "clevis",
                                      "keyslots", "1");
  CLEANUP_JSON json_t *b = json_pack ("{s:s, s:[s], s:s}", "type", "clevis",
                                      "keyslots", "1", "jwe", "not a JWE");
  CLEANUP_JSON json_t *null = encrypt_null ("x", 1);
  CLEANUP_JSON json_t *c = json_pack ("{s:s, s:[], s:O}", "type", "clevis",
                                      "keyslots", "jwe", null);
  const struct exchange_device *d;

  add_token (file, a);
  add_token (file, b);
  add_token (file, c);
  bind_tang (f, file, 1, server_url (f->server));
  add (f, file);
  run (f);
  assert_unlocked (f, 0, 1);
  d = exchange_device (f->ex, 0);
  assert_int_equal (d->nr_bindings, 4);
  assert_error (&d->bindings[0].error, CLEVIS_ERR_TOKEN, "no JWE");
  assert_error (&d->bindings[1].error, CLEVIS_ERR_TOKEN, "five parts");
  assert_error (&d->bindings[2].error, CLEVIS_ERR_TOKEN, "stale");
  assert_int_equal (d->by->token->id, 3);
}

static void
test_only_broken_tokens (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk (2, 0);
  CLEANUP_JSON json_t *a = json_pack ("{s:s, s:[s], s:s}", "type", "clevis",
                                      "keyslots", "1", "jwe", "not a JWE");

  add_token (file, a);
  add (f, file);
  run (f);
  assert_failed (f, 0, CLEVIS_ERR_TOKEN, 0, "five parts");
}

static void
test_pin_that_cannot_be_answered (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk (2, 0);
  CLEANUP_JSON json_t *config = json_object ();
  CLEANUP_JSON json_t *header = dir_header ("tpm2", config);
  CLEANUP_JSON json_t *jwe = jwe_of (header);

  bind_luks (file, 1, jwe);
  add (f, file);
  run (f);
  assert_failed (f, 0, CLEVIS_ERR_UNSUPPORTED, 0, "TPM 2.0");
}

/* A pin that needs no server. */
static void
test_null_pin (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk (2, 0);
  CLEANUP_JSON json_t *jwe = encrypt_null ("one", 3);

  bind_luks (file, 1, jwe);
  add (f, file);
  run (f);
  assert_unlocked (f, 0, 1);
}

static void
test_error_line_says_everything (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk (2, 0);
  CLEANUP_FREE char *line = NULL, *expected = NULL;
  int fd;
  const char *url = closed_port (&fd);

  bind_tang (f, file, 1, url);
  add (f, file);
  run (f);
  close (fd);
  line = clevis_error_line (&exchange_device (f->ex, 0)->bindings[0].error);
  assert_int_not_equal (asprintf (&expected, "%s: token 0: tang: %s "
                                  "(127.0.0.1): cannot connect", file, url),
                        -1);
  assert_contains (line, expected);
}

/* Servers that give another key than the right one. */
static void
test_answers_that_do_not_decrypt (void **state)
{
  static const enum fault kinds[] = { FAULT_OTHER_KEY, FAULT_ECHO };
  struct fixture *f = *state;
  int i;

  for (i = 0; i < 2; ++i) {
    const char *file = new_disk (2, i);

    bind_tang (f, file, 1, server_url (f->server));
    add (f, file);
  }
  server_fault_for (f->server, 1, kinds[0], kinds[1]);
  run (f);
  for (i = 0; i < 2; ++i) {
    assert_failed (f, i, CLEVIS_ERR_DECRYPT, 0, "does not decrypt");
    assert_contains (exchange_device (f->ex, i)->bindings[0].error.hint,
                     "another key");
  }
}

/* The code of a fault is that of the device. */
static void
test_codes_of_devices (void **state)
{
  static const struct {
    enum fault fault;
    enum clevis_code code;
  } cases[] = {
    { FAULT_NO_KEY, CLEVIS_ERR_NO_KEY },
    { FAULT_ERROR, CLEVIS_ERR_HTTP },
    { FAULT_HTML, CLEVIS_ERR_REPLY },
    { FAULT_CLOSE, CLEVIS_ERR_UNREACHABLE },
  };
  size_t i;

  for (i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    void *own = NULL;
    const char *file = new_disk (2, 0);
    struct fixture *f;

    setup (&own);
    f = own;
    bind_tang (f, file, 1, server_url (f->server));
    add (f, file);
    server_set_fault (f->server, cases[i].fault);
    run (f);
    assert_failed (f, 0, cases[i].code, 0, "");
    teardown (&own);
  }
}

/* If one binding might work later, the device might. */
static void
test_unreachable_comes_first (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk (2, 0);
  int fd;

  bind_tang (f, file, 1, server_url (f->server));
  bind_tang (f, file, 2, closed_port (&fd));
  server_set_fault (f->server, FAULT_NO_KEY);
  add (f, file);
  run (f);
  close (fd);
  assert_failed (f, 0, CLEVIS_ERR_UNREACHABLE, 0, "does not have the key");
  assert_failed (f, 0, CLEVIS_ERR_UNREACHABLE, 1, "cannot connect");
  assert_contains (exchange_device (f->ex, 0)->error.message, "all of its 2");
}

/* One dead server costs nothing where another one suffices. */

static void
test_black_hole_beside_a_good_token (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk (2, 0);
  const struct exchange_device *d;

  bind_tang (f, file, 1, server_url (f->hole));
  bind_tang (f, file, 2, server_url (f->server));
  add (f, file);
  assert_true (run (f) < TIMEOUT / 2);
  assert_unlocked (f, 0, 2);
  d = exchange_device (f->ex, 0);
  assert_int_equal (d->bindings[0].pin->state, PIN_CANCELLED);
}

static void
test_black_hole_in_sss (void **state)
{
  struct fixture *f = *state;
  const char *urls[] = {
    server_url (f->hole), server_url (f->server), server_url (f->server),
  };
  const char *one = new_disk (2, 0), *two = new_disk (2, 1);

  bind_sss (f, one, 1, 1, urls, 2);
  bind_sss (f, two, 1, 2, urls, 3);
  add (f, one);
  add (f, two);
  assert_true (run (f) < TIMEOUT / 2);
  assert_unlocked (f, 0, 1);
  assert_unlocked (f, 1, 1);
}

static void
test_closed_port_in_sss (void **state)
{
  struct fixture *f = *state;
  int fd;
  const char *urls[] = { closed_port (&fd), server_url (f->server) };
  const char *file = new_disk (2, 0);

  bind_sss (f, file, 1, 1, urls, 2);
  add (f, file);
  assert_true (run (f) < TIMEOUT / 2);
  close (fd);
  assert_unlocked (f, 0, 1);
}

/* The sss pin fails as soon as too few can still answer. */
static void
test_sss_fails_early (void **state)
{
  struct fixture *f = *state;
  int fd;
  const char *urls[] = { server_url (f->hole), closed_port (&fd) };
  const char *file = new_disk (2, 0);
  const struct exchange_device *d;

  bind_sss (f, file, 1, 2, urls, 2);
  add (f, file);
  assert_true (run (f) < TIMEOUT / 2);
  close (fd);
  assert_failed (f, 0, CLEVIS_ERR_UNREACHABLE, 0,
                 "2 of 2 pins are needed, and 1 failed");
  d = exchange_device (f->ex, 0);
  assert_int_equal (d->bindings[0].pin->children[0]->state, PIN_CANCELLED);
  assert_error (&d->bindings[0].pin->children[1]->error,
                CLEVIS_ERR_UNREACHABLE, "cannot connect");
  assert_string_equal (d->bindings[0].pin->children[1]->error.pin,
                       "sss[1].tang");
}

/* That would not be better later. */
static void
test_sss_that_never_works_again (void **state)
{
  struct fixture *f = *state;
  const char *urls[] = { server_url (f->server), server_url (f->server) };
  const char *file = new_disk (2, 0);

  bind_sss (f, file, 1, 1, urls, 2);
  server_set_fault (f->server, FAULT_NO_KEY);
  add (f, file);
  run (f);
  assert_failed (f, 0, CLEVIS_ERR_THRESHOLD, 0, "2 failed");
}

/* Dead servers are waited for at the same time, not one after the other, which
 * would take three times as long.  A machine that has much else to do may be
 * late once.
 */
static void
test_dead_servers_together (void **state)
{
  size_t late;
  double ms;

  for (late = 0;; ++late) {
    void *own = NULL;
    struct fixture *f;
    const char *one = new_disk (2, 0), *two = new_disk (2, 1);

    setup (&own);
    f = own;
    policy_settings (f->policy)->timeout = SHORT_TIMEOUT;
    bind_tang (f, one, 1, server_url (f->hole));
    bind_tang (f, one, 2, server_url (f->hole));
    bind_tang (f, two, 1, server_url (f->hole));
    add (f, one);
    add (f, two);
    ms = run (f);
    assert_failed (f, 0, CLEVIS_ERR_UNREACHABLE, 0, "no whole reply");
    assert_failed (f, 1, CLEVIS_ERR_UNREACHABLE, 0, "no whole reply");
    teardown (&own);
    assert_true (ms >= SHORT_TIMEOUT - 10);    /* curl counts whole ones */
    if (ms < 2 * SHORT_TIMEOUT)
      break;
    if (late == 2)
      fail_msg ("took %.0f ms", ms);
  }
}

/* A new run of the first device; returns the pins below its first one. */
static struct pin *const *
run_again (struct fixture *f)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  f->ex = direct_exchange (f->policy, &err);
  assert_int_equal (exchange_add (f->ex, f->luks[0], &err), 0);
  run (f);
  return exchange_device (f->ex, 0)->bindings[0].pin->children;
}

/* More servers than a device may name: the rest is not asked.  Those that the
 * user maps to another one, or does not allow, do not count.
 */
static void
test_servers_of_one_device (void **state)
{
  enum { N = BOUND_ORIGINS + 1 };
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  const char *file = tmp_path ("origins.img"), *urls[N];
  static const char scheme[] = "http://";
  struct pin *const *leaves;
  int i, fds[N];

  make_luks2 (file, passphrases, 1024 * KIB);
  for (i = 0; i < N; ++i)
    urls[i] = strdup (closed_port (&fds[i]));
  bind_sss (f, file, 1, 1, urls, N);
  bind_tang (f, file, 2, urls[0]);
  add (f, file);
  run (f);
  leaves = exchange_device (f->ex, 0)->bindings[0].pin->children;
  assert_error (&leaves[N - 2]->error, CLEVIS_ERR_UNREACHABLE, "connect");
  assert_error (&leaves[N - 1]->error, CLEVIS_ERR_LIMIT,
                "not asked: the device names more than 32 servers");
  assert_contains (leaves[N - 1]->error.hint, "--tang-allow");
  assert_string_equal (leaves[N - 1]->error.url, urls[N - 1]);
  /* One of the first again. */
  assert_error (&exchange_device (f->ex, 0)->bindings[1].pin->error,
                CLEVIS_ERR_UNREACHABLE, "connect");

  exchange_free (f->ex);
  for (i = 0; i < N - 1; ++i) {
    CLEANUP_FREE char *map = NULL;

    assert_true (asprintf (&map, "%s=%s", urls[i], urls[0]) > 0);
    assert_int_equal (policy_map (f->policy, map, &err), 0);
  }
  leaves = run_again (f);
  assert_error (&leaves[N - 1]->error, CLEVIS_ERR_UNREACHABLE, "connect");

  exchange_free (f->ex);
  policy_free (f->policy);
  f->policy = policy_new ();
  policy_settings (f->policy)->no_proxy = strdup ("*");
  policy_settings (f->policy)->retries = 0;
  policy_allow (f->policy, urls[N - 1] + strlen (scheme), &err);
  assert_no_error (&err);
  leaves = run_again (f);
  assert_error (&leaves[0]->error, CLEVIS_ERR_POLICY, "loopback");
  assert_error (&leaves[N - 1]->error, CLEVIS_ERR_UNREACHABLE, "connect");
  for (i = 0; i < N; ++i) {
    close (fds[i]);
    free ((char *) urls[i]);
  }
}

/* Several devices. */

/* The server does not answer before all requests are open. */
static void
test_devices_and_tokens_in_parallel (void **state)
{
  struct fixture *f = *state;
  int i;

  for (i = 0; i < 2; ++i) {
    const char *urls[] = { server_url (f->server), server_url (f->server) };
    const char *file = new_disk (2, i);

    bind_tang (f, file, 1, server_url (f->server));
    bind_sss (f, file, 2, 2, urls, 2);
    add (f, file);
  }
  server_gather (f->server, 6);
  assert_true (run (f) < TIMEOUT / 2);
  for (i = 0; i < 2; ++i)
    assert_int_equal (exchange_device (f->ex, i)->status, EXCHANGE_UNLOCKED);
}

static void
test_one_device_does_not_hold_up_another (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  const char *dead = new_disk (2, 0), *alive = new_disk (2, 1);
  double start = clock_now ();

  bind_tang (f, dead, 1, server_url (f->hole));
  bind_tang (f, alive, 1, server_url (f->server));
  add (f, dead);
  add (f, alive);
  while (exchange_device (f->ex, 1)->status == EXCHANGE_PENDING)
    assert_int_equal (exchange_step (f->ex, 10000, &err), 1);
  assert_true ((clock_now () - start) * 1000 < TIMEOUT / 2);
  assert_unlocked (f, 1, 1);
  assert_int_equal (exchange_device (f->ex, 0)->status, EXCHANGE_PENDING);
}

/* A disk and its clones ask one question. */
static void
test_clones_share_a_request (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk (2, 0), *clone = tmp_path ("clone.img");
  CLEANUP_FREE char *data = NULL;
  size_t len;

  bind_tang (f, file, 1, server_url (f->server));
  data = read_file (file, &len);
  write_file (clone, data, len);
  add (f, file);
  add (f, clone);
  run (f);
  assert_unlocked (f, 0, 1);
  assert_unlocked (f, 1, 1);
  assert_int_equal (server_requests (f->server), 1);
}

static void
set_iterations (json_t *json, void *iterations)
{
  json_t *slot = json_object_get (json_object_get (json, "keyslots"), "1");

  json_object_set_new (json_object_get (slot, "kdf"), "iterations",
                       json_integer (*(int *) iterations));
}

/* Keyslot 1 costs much more, and does not accept its passphrase any more. */
static void
make_slow (const char *file, int iterations)
{
  edit_luks2 (file, set_iterations, &iterations);
}

/* The longest step of an exchange, as a part of the time that verification
 * takes.
 */
static double
longest_step (struct fixture *f)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *file = new_disk (2, 0);
  double start, longest = 0;

  bind_tang (f, file, 1, server_url (f->server));
  make_slow (file, 200000);
  add (f, file);
  do {
    start = clock_now ();
    assert_true (exchange_step (f->ex, 1, &err) >= 0);
    if (clock_now () - start > longest)
      longest = clock_now () - start;
  } while (exchange_device (f->ex, 0)->status == EXCHANGE_PENDING);
  assert_failed (f, 0, CLEVIS_ERR_PASSPHRASE, 0, "not accept");
  return longest / exchange_device (f->ex, 0)->bindings[0].verify_seconds;
}

/* A KDF that takes long does not keep the exchange from hearing servers; but
 * the machine may be busy with something else, once.
 */
static void
test_slow_verification (void **state)
{
  double part = 1;
  int tries;

  for (tries = 0; tries < 3 && part > 0.5; ++tries) {
    void *own = NULL;

    setup (&own);
    part = longest_step (own);
    teardown (&own);
  }
  assert_true (part <= 0.5);
}

/* The keyslot of one token is slow and then does not accept. */
static void
test_slow_keyslot_beside_a_good_one (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk (2, 0);

  bind_tang (f, file, 1, server_url (f->server));
  bind_tang (f, file, 2, server_url (f->server));
  make_slow (file, 50000);
  add (f, file);
  server_gather (f->server, 2);
  run (f);
  assert_unlocked (f, 0, 2);
  assert_int_equal (exchange_device (f->ex, 0)->by->token->id, 1);
}

/* Key derivation counts, too: there are more devices than there is time for, and
 * each says so.
 */
static void
test_deadline_of_key_derivation (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  CLEANUP_JSON json_t *jwe = encrypt_null ("two", 3);
  const char *file = new_disk (2, 0);
  const struct exchange_device *d;
  size_t i, failed = 0, n = 40;
  struct luks *luks[40];

  bind_luks (file, 2, jwe);
  policy_settings (f->policy)->deadline = 20;
  exchange_free (f->ex);
  f->ex = direct_exchange (f->policy, &err);
  for (i = 0; i < n; ++i) {
    luks[i] = ready_luks (file);
    assert_int_equal (exchange_add (f->ex, luks[i], &err), i);
  }
  assert_true (run (f) < 1000 * time_factor ());
  for (i = 0; i < n; ++i) {
    d = exchange_device (f->ex, i);
    if (d->status == EXCHANGE_UNLOCKED)
      continue;
    failed++;
    assert_failed (f, i, CLEVIS_ERR_LIMIT, 0, "deadline");
  }
  assert_true (failed > 0);
  exchange_free (f->ex);
  f->ex = NULL;
  for (i = 0; i < n; ++i)
    luks_free (luks[i]);
  while (exchange_is_left ())
    usleep (1000);
}

/* A device may take its share of the deadline, and a keyslot that would take
 * more is not tried, though there was time for it.
 */
static void
test_share_of_the_deadline (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  CLEANUP_JSON json_t *jwe = encrypt_null ("one", 3);
  const char *file = new_disk (2, 0);
  double cost;

  bind_luks (file, 1, jwe);
  make_slow (file, 20000000);
  f->luks[0] = ready_luks (file);
  f->nr = 1;
  cost = luks_cost (f->luks[0], 1);
  policy_settings (f->policy)->deadline = 1000 * cost * 2;
  exchange_free (f->ex);
  f->ex = direct_exchange (f->policy, &err);
  assert_int_equal (exchange_add (f->ex, f->luks[0], &err), 0);
  run (f);
  assert_failed (f, 0, CLEVIS_ERR_LIMIT, 0, "one device may take");
  assert_true (exchange_device (f->ex, 0)->bindings[0].verify_seconds < cost);
}

static void
test_free_while_it_runs (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  const char *file = new_disk (2, 0), *other = new_disk (2, 1);

  bind_tang (f, file, 1, server_url (f->hole));
  bind_tang (f, other, 1, server_url (f->server));
  make_slow (other, 50000);
  add (f, file);
  add (f, other);
  while (server_requests (f->server) + server_requests (f->hole) < 2)
    assert_int_equal (exchange_step (f->ex, 20, &err), 1);
  exchange_step (f->ex, 20, &err);
  exchange_free (f->ex);
  f->ex = NULL;
}

static void
test_free_before_it_runs (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk (2, 0);

  bind_tang (f, file, 1, server_url (f->server));
  add (f, file);
  exchange_free (f->ex);
  exchange_free (NULL);
  f->ex = NULL;
  assert_int_equal (server_requests (f->server), 0);
}

/* With the real clevis and the real tangd. */

static void
start_tangd (const char *name, char **url)
{
  *url = shell_output ("'%s/tests/guests/serve-tang.sh' %s 0 %s.pid",
                       top_srcdir (), name, name);
}

static void
stop_tangd (const char *name)
{
  shell ("'%s/tests/guests/serve-tang.sh' --stop %s.pid", top_srcdir (),
         name);
}

static void
test_reference_implementation (void **state)
{
  static const char *const programs[] = {
    "clevis", "clevis-luks-bind", "tangd", "socat", "luksmeta", "cryptsetup",
  };
  struct fixture *f = *state;
  CLEANUP_FREE char *url = NULL, *dead = NULL;
  const char *luks1 = new_disk (1, 0), *luks2 = new_disk (2, 1);
  const struct exchange_device *d;
  size_t i;

  for (i = 0; i < sizeof programs / sizeof programs[0]; ++i)
    require_program (programs[i]);
  start_tangd ("tang", &url);
  start_tangd ("dead", &dead);
  shell ("echo -n admin > pass\n"
         "luksmeta init -f -d '%s'\n"
         "clevis luks bind -y -k pass -d '%s' tang '{\"url\":\"%s\"}'\n"
         "clevis luks bind -y -k pass -d '%s' sss '{\"t\":1,\"pins\":{"
         "\"tang\":[{\"url\":\"%s\"},{\"url\":\"%s\"}]}}'",
         luks1, luks1, url, luks2, dead, url);
  stop_tangd ("dead");
  add (f, luks1);
  add (f, luks2);
  run (f);
  stop_tangd ("tang");
  for (i = 0; i < 2; ++i) {
    d = exchange_device (f->ex, i);
    assert_int_equal (d->status, EXCHANGE_UNLOCKED);
    assert_int_equal (d->keyslot, 3);
  }
}

#define test(name) cmocka_unit_test_setup_teardown (name, setup, teardown)

int
main (void)
{
  const struct CMUnitTest exchange[] = {
    test (test_luks2),
    test (test_luks1),
    test (test_argon2_larger_than_locked_memory),
    test (test_no_devices),
    test (test_device_without_binding),
    test (test_passphrase_that_is_not_accepted),
    test (test_refused_passphrase_is_freed),
    test (test_second_keyslot_of_a_token),
    test (test_broken_tokens_beside_a_good_one),
    test (test_only_broken_tokens),
    test (test_pin_that_cannot_be_answered),
    test (test_null_pin),
    test (test_error_line_says_everything),
    test (test_answers_that_do_not_decrypt),
    test (test_codes_of_devices),
    test (test_unreachable_comes_first),
    test (test_black_hole_beside_a_good_token),
    test (test_black_hole_in_sss),
    test (test_closed_port_in_sss),
    test (test_sss_fails_early),
    test (test_sss_that_never_works_again),
    test (test_dead_servers_together),
    test (test_servers_of_one_device),
    test (test_devices_and_tokens_in_parallel),
    test (test_one_device_does_not_hold_up_another),
    test (test_clones_share_a_request),
    test (test_slow_verification),
    test (test_slow_keyslot_beside_a_good_one),
    test (test_deadline_of_key_derivation),
    test (test_share_of_the_deadline),
    test (test_free_while_it_runs),
    test (test_free_before_it_runs),
    test (test_reference_implementation),
  };

  return run_unit_tests (exchange);
}
