/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of a vault that works: what comes out of it is what the library says
 * in this process, for headers, exchanges, preflights, quick headers and keys.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bounds.h"
#include "exchange/exchange.h"
#include "exchange/preflight.h"
#include "luks/luks-data.h"
#include "luks/luks-quick.h"
#include "pins/pin.h"
#include "testlib/testlib-jwe.h"
#include "testlib/testlib-luks.h"
#include "testlib/testlib-server.h"
#include "testlib/testlib-vault.h"
#include "vault/inside.h"
#include "vault/vault-private.h"

static const char *const passphrases[] = { "admin", "one", "two", NULL };

struct fixture {
  struct vault *v;
  struct server *server;
  json_t *key;
  struct policy *policy;
};

static int
setup (void **state)
{
  struct fixture *f = calloc (1, sizeof *f);

  watch_children ();
  f->v = new_vault ();
  f->key = tang_key ("P-256");
  f->server = server_start (f->key, FAULT_NONE);
  f->policy = loopback_policy ();
  policy_settings (f->policy)->retries = 0;
  *state = f;
  return 0;
}

/* All that a test has freed is not in the vault any more. */
static int
teardown (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  struct vault_memory memory;

  vault_forget_answers (f->v, &err);
  assert_no_error (&err);
  while (f->v->keys)
    vault_key_free (f->v->keys);
  while (f->v->headers)
    vault_luks_free (f->v->headers);
  vault_memory (f->v, &memory, &err);
  assert_no_error (&err);
  assert_int_equal (memory.used, 0);
  vault_free (f->v);
  policy_free (f->policy);
  server_stop (f->server);
  json_decref (f->key);
  free (f);
  assert_no_children ();
  return 0;
}

/* Headers. */

static void
assert_same (const char *a, const char *b)
{
  if (a == NULL || b == NULL)
    assert_ptr_equal (a, b);
  else
    assert_string_equal (a, b);
}

/* What need not be there is "" on the other side. */
static void
assert_same_or_empty (const char *heard, const char *text)
{
  assert_same (heard, text ? text : "");
}

static void
assert_same_error (const struct clevis_error *a, const struct clevis_error *b)
{
  assert_int_equal (a->code, b->code);
  assert_same (a->message, b->message);
  assert_same (a->hint, b->hint);
  assert_same (a->device, b->device);
  assert_same (a->pin, b->pin);
  assert_same (a->url, b->url);
  assert_same (a->mapped, b->mapped);
  assert_same (a->address, b->address);
  assert_int_equal (a->token, b->token);
  assert_int_equal (a->keyslot, b->keyslot);
  assert_int_equal (a->http_status, b->http_status);
  assert_int_equal (a->sys_errno, b->sys_errno);
}

static void
assert_same_pin (const struct heard_pin *h, const struct pin *p)
{
  size_t i;

  assert_same_or_empty (h->name, p->name);
  assert_same_or_empty (h->path, p->path);
  assert_int_equal (h->threshold, p->threshold);
  assert_same (h->url, p->url);
  assert_same (h->kid, p->kid);
  assert_same (h->thp_alg, p->thp_alg);
  assert_same (h->curve, p->curve);
  assert_same (h->warning, p->warning);
  assert_int_equal (h->has_failed, p->state == PIN_FAILED);
  if (h->has_failed)
    assert_same_error (&h->error, &p->error);
  assert_int_equal (h->nr_params, p->nr_params);
  for (i = 0; i < p->nr_params; ++i) {
    assert_same (h->params[i].name, p->params[i].name);
    assert_same (h->params[i].value, p->params[i].value);
  }
  assert_int_equal (h->nr_children, p->nr_children);
  for (i = 0; i < p->nr_children; ++i)
    assert_same_pin (&h->children[i], p->children[i]);
}

static void
assert_same_token (const struct heard_token *h, const struct luks_token *t)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct pin *pin = t->jwe ? pin_parse (t->jwe, &err) : NULL;
  size_t i;

  assert_int_equal (h->id, t->id);
  assert_same (h->kind, t->type);
  assert_same (h->stale, t->stale);
  assert_int_equal (h->nr_keyslots, t->nr_keyslots);
  for (i = 0; i < t->nr_keyslots; ++i)
    assert_int_equal (h->keyslots[i], t->keyslots[i]);
  assert_int_equal (h->has_pin, pin != NULL);
  assert_int_equal (h->is_broken, t->jwe && pin == NULL);
  if (h->is_broken)
    assert_same_error (&h->error, &err);
  if (pin)
    assert_same_pin (&h->pin, pin);
  pin_free (pin);
}

static void
assert_same_keyslot (const struct heard_keyslot *h,
                     const struct luks_keyslot *k)
{
  assert_int_equal (h->slot, k->slot);
  assert_int_equal (h->key_size, k->key_size);
  assert_int_equal (h->iterations, k->iterations);
  assert_int_equal (h->memory, k->memory);
  assert_int_equal (h->threads, k->threads);
  assert_same (h->kdf, k->kdf);
  assert_same (h->hash, k->hash);
  assert_same (h->cipher, k->cipher);
  assert_same (h->priority, k->priority);
  assert_same (h->refused, k->refused);
}

static void
assert_same_list (const struct heard_luks *h, const struct luks *luks)
{
  const struct luks_info *info = luks_info (luks);
  const struct luks_keyslot *keyslots;
  const struct luks_token *tokens;
  size_t n, i;

  assert_int_equal (h->version, info->version);
  assert_int_equal (h->key_size, info->key_size);
  assert_int_equal (h->sector_size, info->sector_size);
  assert_int_equal (h->data_offset, info->data_offset);
  assert_int_equal (h->is_quick, luks_is_quick (luks));
  assert_same (h->uuid, info->uuid);
  assert_same (h->label, info->label);
  assert_same (h->cipher, info->cipher);
  assert_same (h->note, info->note);
  keyslots = luks_keyslots (luks, &n);
  assert_int_equal (h->nr_keyslots, n);
  for (i = 0; i < n; ++i)
    assert_same_keyslot (&h->keyslots[i], &keyslots[i]);
  tokens = luks_tokens (luks, &n);
  assert_int_equal (h->nr_tokens, n);
  for (i = 0; i < n; ++i)
    assert_same_token (&h->tokens[i], &tokens[i]);
}

/* In the vault and here, extent by extent.  Returns how many tokens there are,
 * or -1 if both say the same error.
 */
static int
compare_headers (struct fixture *f, const char *file)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_ERROR struct clevis_error heard = CLEVIS_ERROR_INIT;
  CLEANUP_FREE char *data = NULL;
  const struct heard_luks *list;
  struct luks_extent a = { 0, 0 }, b = { 0, 0 };
  enum luks_state state;
  struct vault_luks *there;
  struct luks *here;
  size_t size, len;
  int n = -1;

  data = read_file (file, &size);
  there = vault_luks_new (f->v, "/dev/sda", size, &heard);
  assert_no_error (&heard);
  assert_string_equal (vault_luks_device (there), "/dev/sda");
  here = luks_new ("/dev/sda", size);
  while ((state = luks_next (here, &a, &err)) == LUKS_NEED) {
    assert_int_equal (vault_luks_next (there, &b, &heard), state);
    assert_memory_equal (&a, &b, sizeof a);
    len = a.offset >= size ? 0
      : a.length < size - a.offset ? a.length : size - a.offset;
    luks_supply (here, a.offset, data + (len ? a.offset : 0), len, &err);
    vault_luks_supply (there, a.offset, data + (len ? a.offset : 0), len,
                       &heard);
    assert_no_error (&heard);
  }
  assert_int_equal (vault_luks_next (there, &b, &heard), state);
  if (err.device == NULL && state == LUKS_ERROR)
    err.device = strdup ("/dev/sda");
  assert_same_error (&heard, &err);
  if (state == LUKS_READY) {
    list = vault_luks_list (there, &heard);
    assert_no_error (&heard);
    assert_same_list (list, here);
    assert_ptr_equal (vault_luks_list (there, &heard), list);
    n = list->nr_tokens;
  }
  luks_free (here);
  vault_luks_free (there);
  return n;
}

static void
test_luks1 (void **state)
{
  struct fixture *f = *state;
  const char *file = tmp_path ("luks1.img");

  make_luks1 (file, passphrases);
  assert_int_equal (compare_headers (f, file), 0);
  bind_luks_tang (file, 1, f->key, "http://tang.example.com/x", "one");
  assert_int_equal (compare_headers (f, file), 1);
}

/* Tokens of all kinds: good, not for this host, broken, of others, stale. */
static void
test_luks2 (void **state)
{
  static const char *const configs[][2] = {
    { "tpm2", "{\"hash\":\"sha256\",\"pcr_ids\":\"0,7\"}" },
    { "pkcs11", "{\"uri\":\"pkcs11:\"}" },
    { "sss", "{\"t\":9,\"p\":\"AQ\",\"jwe\":[]}" },
    { "tang", "{\"url\":\"ftp://x\"}" },
    { "\033[31m", "{}" },
  };
  static const char *const tokens[] = {
    "{\"type\":\"clevis\",\"keyslots\":[\"1\"],\"jwe\":\"a.b\"}",
    "{\"type\":\"clevis\",\"keyslots\":[]}",
    "{\"type\":\"clevis\",\"keyslots\":[\"2\"],\"jwe\":{\"protected\":7}}",
    "{\"type\":\"systemd-tpm2\",\"keyslots\":[\"0\",\"2\"],\"x\":1}",
  };
  const char *const urls[] = { "http://a", "https://[::1]:8443/b", "c.net" };
  struct fixture *f = *state;
  const char *file = tmp_path ("luks2.img");
  CLEANUP_JSON json_t *null = encrypt_null ("two", 3);
  size_t i;

  make_luks2 (file, passphrases, 64 * KIB);
  assert_int_equal (compare_headers (f, file), 0);
  add_unbound_keyslot (file, 5, "unbound", 64);
  bind_luks_tang (file, 1, f->key, "http://tang.example.com", "one");
  bind_luks_sss (file, 2, f->key, 2, urls, 3, "two");
  bind_luks (file, 2, null);
  for (i = 0; i < sizeof configs / sizeof configs[0]; ++i) {
    CLEANUP_JSON json_t *config = json_loads (configs[i][1], 0, NULL);
    CLEANUP_JSON json_t *header = dir_header (configs[i][0], config);
    CLEANUP_JSON json_t *jwe = jwe_of (header);

    bind_luks (file, 1, jwe);
  }
  for (i = 0; i < sizeof tokens / sizeof tokens[0]; ++i) {
    CLEANUP_JSON json_t *token = json_loads (tokens[i], 0, NULL);

    add_token (file, token);
  }
  assert_int_equal (compare_headers (f, file), 3 + 5 + 4);
  wipe (file, 0, 4096);         /* the second header is used, and said */
  assert_int_equal (compare_headers (f, file), 3 + 5 + 4);
}

/* Numbers of which a disk can have any, but a message cannot: the nearest is
 * said.
 */
static void
set_numbers (json_t *json, void *opaque)
{
  json_t *keyslot = json_object_get (json_object_get (json, "keyslots"), "2");

  json_object_set_new (keyslot, "key_size", json_integer (0xffffffff));
}

static void
test_numbers (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  const char *file = tmp_path ("numbers.img");
  const struct heard_luks *list;

  make_luks2 (file, passphrases, 16 * KIB);
  edit_luks2 (file, set_numbers, NULL);
  list = vault_luks_list (vault_ready_luks (f->v, file, "/dev/sda"), &err);
  assert_no_error (&err);
  assert_int_equal (list->nr_keyslots, 3);
  assert_int_equal (list->keyslots[2].key_size, 0);
}

static void
test_no_luks (void **state)
{
  static const char text[8192] = "no header";
  struct fixture *f = *state;
  const char *file = tmp_path ("none.img");

  write_file (file, text, sizeof text);
  assert_int_equal (compare_headers (f, file), -1);
  write_file (file, "", 0);
  assert_int_equal (compare_headers (f, file), -1);
  make_luks2 (file, passphrases, 16 * KIB);
  wipe (file, 4096, 64 * 1024);
  assert_int_equal (compare_headers (f, file), -1);
}

/* Exchanges. */

static struct vault_run *
new_run (struct fixture *f)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct vault_run *run = vault_exchange_new (f->v, f->policy, &err);

  assert_no_error (&err);
  return run;
}

static void
add (struct vault_run *run, struct vault_luks *luks)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  vault_run_add (run, luks, &err);
  assert_no_error (&err);
}

static void
finish (struct vault_run *run)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  vault_finish_run (run, &err);
  assert_no_error (&err);
}

/* A device with three keyslots. */
static const char *
new_disk (const char *name)
{
  const char *file = tmp_path ("%s.img", name);

  make_luks2 (file, passphrases, 128 * KIB);
  return file;
}

static void
load_and_add (struct fixture *f, struct vault_run *run, const char *file,
              const char *device)
{
  add (run, vault_ready_luks (f->v, file, device));
}

static void
assert_opened (struct vault_run *run, size_t i, int keyslot)
{
  const struct heard_outcome *o = vault_run_outcome (run, i);
  struct vault_key *key;

  if (o->nr_errors > 0)
    print_error ("%s\n", o->errors[0].message);
  assert_int_equal (o->status, EXCHANGE_UNLOCKED);
  assert_int_equal (o->keyslot, keyslot);
  assert_true (o->seconds > 0 && o->verify_seconds > 0);
  assert_int_equal (o->nr_errors, 0);
  key = vault_run_take_key (run, i);
  assert_vault_key (key, passphrases[keyslot]);
  assert_null (vault_run_take_key (run, i));
  vault_key_free (key);
}

static void
test_exchange (void **state)
{
  struct fixture *f = *state;
  struct vault_run *run = new_run (f);
  const char *file = new_disk ("one");
  const struct heard_outcome *o;

  bind_luks_tang (file, 1, f->key, server_url (f->server), "one");
  load_and_add (f, run, file, "/dev/sda");
  finish (run);
  o = vault_run_outcome (run, 0);
  assert_int_equal (o->token, 0);
  assert_int_equal (o->nr_leaves, 1);
  assert_int_equal (o->leaves[0].token, 0);
  assert_true (o->leaves[0].answered);
  assert_false (o->leaves[0].has_failed);
  assert_string_equal (o->leaves[0].pin, "tang");
  assert_string_equal (o->leaves[0].url, server_url (f->server));
  assert_string_equal (o->leaves[0].address, "127.0.0.1");
  assert_int_equal (o->nr_servers, 1);
  assert_string_equal (o->servers[0], server_url (f->server));
  assert_int_equal (o->nr_warnings, 0);
  assert_opened (run, 0, 1);
  assert_int_equal (server_requests (f->server), 1);
  vault_run_free (run);
}

/* Many devices; cloned ones ask once.  One of LUKS1, one without a binding. */
static void
test_many (void **state)
{
  enum { N = 12, CLONES = 4 };
  struct fixture *f = *state;
  struct vault_run *run = new_run (f);
  const char *urls[] = { server_url (f->server), server_url (f->server) };
  const char *file;
  size_t i;

  for (i = 0; i < N; ++i) {
    file = new_disk ("many");
    if (i % 2)
      bind_luks_tang (file, 1, f->key, urls[0], "one");
    else
      bind_luks_sss (file, 2, f->key, 2, urls, 2, "two");
    load_and_add (f, run, file, "/dev/sda");
  }
  file = new_disk ("clone");
  bind_luks_tang (file, 1, f->key, urls[0], "one");
  for (i = 0; i < CLONES; ++i)
    load_and_add (f, run, file, "/dev/clone");
  load_and_add (f, run, new_disk ("unbound"), "/dev/unbound");
  file = tmp_path ("luks1.img");
  make_luks1 (file, passphrases);
  bind_luks_tang (file, 1, f->key, urls[0], "one");
  load_and_add (f, run, file, "/dev/old");
  finish (run);
  for (i = 0; i < N; ++i)
    assert_opened (run, i, i % 2 ? 1 : 2);
  for (; i < N + CLONES; ++i)
    assert_opened (run, i, 1);
  assert_int_equal (vault_run_outcome (run, i)->status, EXCHANGE_UNBOUND);
  assert_opened (run, i + 1, 1);
  assert_int_equal (server_requests (f->server), N + N / 2 + 1 + 1);
  vault_run_free (run);
}

/* The reason of each failure is that of an exchange in this process. */
static void
assert_same_failure (const struct heard_outcome *o,
                     const struct exchange_device *d)
{
  assert_int_equal (o->status, d->status);
  assert_int_equal (o->status, EXCHANGE_FAILED);
  assert_int_equal (o->key, 0);
  assert_true (o->nr_errors >= 1 + d->nr_bindings);
  assert_same_error (&o->errors[0], &d->error);
  assert_same_error (&o->errors[1], &d->bindings[0].error);
}

static void
compare_failures (struct fixture *f, const char *file)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct exchange *ex = direct_exchange (f->policy, &err);
  struct vault_run *run = new_run (f);
  struct luks *luks = NULL;
  enum luks_state state;

  luks = load_luks (file, &state, &err);
  assert_no_error (&err);
  exchange_add (ex, luks, &err);
  while (exchange_step (ex, 1000, &err) == 1)
    ;
  assert_no_error (&err);
  load_and_add (f, run, file, luks_device (luks));
  finish (run);
  assert_same_failure (vault_run_outcome (run, 0), exchange_device (ex, 0));
  vault_run_free (run);
  exchange_free (ex);
  luks_free (luks);
}

static void
test_failures (void **state)
{
  static const enum fault faults[] = {
    FAULT_CLOSE, FAULT_NO_KEY, FAULT_ERROR, FAULT_REDIRECT, FAULT_EMPTY,
    FAULT_HTML, FAULT_NO_TYPE, FAULT_NOT_JSON, FAULT_ARRAY, FAULT_CURVE,
    FAULT_OFF_CURVE, FAULT_OTHER_KEY, FAULT_ECHO, FAULT_HUGE,
  };
  struct fixture *f = *state;
  const char *file = new_disk ("failing"), *url = server_url (f->server);
  const char *other = new_disk ("refused");
  CLEANUP_FREE char *map = NULL;
  size_t i;

  bind_luks_tang (file, 1, f->key, url, "one");
  for (i = 0; i < sizeof faults / sizeof faults[0]; ++i) {
    server_set_fault (f->server, faults[i]);
    compare_failures (f, file);
  }
  /* A wrong passphrase, and what the policy forbids. */
  server_set_fault (f->server, FAULT_NONE);
  file = new_disk ("wrong");
  bind_luks_tang (file, 1, f->key, url, "not one");
  compare_failures (f, file);
  bind_luks_tang (other, 1, f->key, "http://169.254.1.1", "one");
  compare_failures (f, other);
  /* Elsewhere, by a map of the user, which the error says. */
  server_set_fault (f->server, FAULT_NO_KEY);
  assert_true (asprintf (&map, "http://169.254.1.1=%s", url) > 0);
  assert_int_equal (policy_map (f->policy, map, NULL), 0);
  compare_failures (f, other);
}

/* The leaves of an sss pin, and which of them failed. */
static void
test_sss (void **state)
{
  struct fixture *f = *state;
  struct vault_run *run = new_run (f);
  const char *file = new_disk ("sss");
  const struct heard_outcome *o;
  const char *urls[3];
  int fd;

  urls[0] = closed_port (&fd);
  urls[1] = server_url (f->server);
  urls[2] = server_url (f->server);
  bind_luks_sss (file, 1, f->key, 2, urls, 3, "one");
  load_and_add (f, run, file, "/dev/sda");
  finish (run);
  o = vault_run_outcome (run, 0);
  assert_int_equal (o->nr_leaves, 3);
  assert_string_equal (o->leaves[0].pin, "sss[0].tang");
  assert_string_equal (o->leaves[0].url, urls[0]);
  assert_int_equal (o->nr_servers, 2);
  assert_true (o->leaves[1].answered && o->leaves[2].answered);
  assert_opened (run, 0, 1);
  vault_run_free (run);

  run = new_run (f);
  file = new_disk ("sss-failing");
  bind_luks_sss (file, 1, f->key, 3, urls, 3, "one");
  load_and_add (f, run, file, "/dev/sdb");
  finish (run);
  o = vault_run_outcome (run, 0);
  assert_int_equal (o->status, EXCHANGE_FAILED);
  if (o->nr_leaves != 3)
    fail_msg ("%s", o->errors[0].message);
  assert_true (o->leaves[0].has_failed);
  assert_error (&o->leaves[0].error, CLEVIS_ERR_UNREACHABLE, "connect");
  assert_string_equal (o->leaves[0].error.url, urls[0]);
  assert_string_equal (o->leaves[0].error.pin, "sss[0].tang");
  assert_string_equal (o->errors[0].device, "/dev/sdb");
  assert_int_equal (o->errors[1].token, 0);
  vault_run_free (run);
  close (fd);
}

/* One device names too many servers; another one asks one of them the same. */

struct children {
  struct fixture *f;
  char *urls[BOUND_ORIGINS + 1];
  json_t *last;
};

static json_t *
make_child (size_t i, const unsigned char *share, size_t len, void *opaque)
{
  struct children *c = opaque;
  json_t *jwe = encrypt_tang (c->urls[i], c->f->key, share, len);

  if (i == BOUND_ORIGINS)
    c->last = json_incref (jwe);
  return jwe;
}

static void
test_too_many_servers (void **state)
{
  enum { N = BOUND_ORIGINS + 1 };
  struct fixture *f = *state;
  const char *large = tmp_path ("large.img"), *small = new_disk ("small");
  struct children c = { .f = f };
  CLEANUP_JSON json_t *jwe = NULL;
  const struct heard_outcome *o;
  struct vault_run *run;
  int fds[N], i, order;

  for (i = 0; i < N - 1; ++i)
    c.urls[i] = strdup (closed_port (&fds[i]));
  c.urls[N-1] = strdup (server_url (f->server));
  jwe = encrypt_sss (1, N, make_child, &c, "one", 3);
  make_luks2 (large, passphrases, MIB);
  bind_luks (large, 1, jwe);
  bind_luks (small, 1, c.last);
  /* Who is answered before all is looked at is told, too. */
  server_set_fault (f->server, FAULT_BUSY_FIRST);
  policy_settings (f->policy)->retries = 1;
  for (order = 0; order < 2; ++order) {
    run = new_run (f);
    load_and_add (f, run, order ? small : large, order ? "small" : "large");
    load_and_add (f, run, order ? large : small, order ? "large" : "small");
    finish (run);
    o = vault_run_outcome (run, order);
    assert_int_equal (o->nr_leaves, N);
    /* If the other one asks first, this one names that server before its own:
     * then it is one of those that is too much.
     */
    assert_int_equal (o->status,
                      order ? EXCHANGE_UNLOCKED : EXCHANGE_FAILED);
    if (order == 0) {
      assert_error (&o->leaves[0].error, CLEVIS_ERR_UNREACHABLE, "connect");
      assert_error (&o->leaves[N-1].error, CLEVIS_ERR_LIMIT,
                    "names more than 32 servers");
      assert_contains (o->leaves[N-1].error.hint, "--tang-allow");
    }
    /* A share is no passphrase, but it was answered. */
    o = vault_run_outcome (run, !order);
    assert_true (o->leaves[0].answered);
    assert_error (&o->errors[1], CLEVIS_ERR_PASSPHRASE, NULL);
    assert_int_equal (server_requests (f->server), 2 * (order + 1));
    vault_run_free (run);
  }
  for (i = 0; i < N; ++i)
    free (c.urls[i]);
  for (i = 0; i < N - 1; ++i)
    close (fds[i]);
  json_decref (c.last);
}

/* While a server is waited for the vault sleeps, behind its wall.  Then the
 * run is given up.
 */
static void
test_waiting (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  struct vault_run *run = new_run (f);
  const char *file = new_disk ("waiting");
  CLEANUP_FREE char *stat_line = NULL;
  struct vault_key *key = key_of_file (f->v, "x");
  struct vault_luks *luks;
  struct vault_memory memory;
  int i;

  server_set_fault (f->server, FAULT_BLACK_HOLE);
  bind_luks_tang (file, 1, f->key, server_url (f->server), "one");
  luks = vault_ready_luks (f->v, file, "/dev/sda");
  add (run, luks);
  while (server_requests (f->server) == 0)
    assert_int_equal (vault_run_step (run, 20, &err), 1);
  for (i = 0; i < 1000; ++i) {
    free (stat_line);
    stat_line = shell_output ("sed -n 's/^State:.\\(.\\).*/\\1/p; "
                              "s/^Seccomp:.*\\(.\\)$/\\1/p' /proc/%d/status "
                              "| tr -d '\\n'", (int) f->v->pid);
    if (stat_line[0] == 'S')
      break;
  }
  assert_string_equal (stat_line, in_valgrind () ? "S0" : "S2");
  /* It takes no commands now. */
  assert_int_equal (vault_key_chomp (key, &err), -1);
  assert_error (&err, CLEVIS_ERR_SYSTEM, "in an exchange");
  clevis_error_clear (&err);
  assert_int_equal (vault_memory (f->v, &memory, &err), -1);
  clevis_error_clear (&err);
  vault_run_free (run);

  /* All that was there is again. */
  server_set_fault (f->server, FAULT_NONE);
  assert_vault_key (key, "x");
  run = new_run (f);
  add (run, luks);
  finish (run);
  assert_opened (run, 0, 1);
  vault_run_free (run);
}

/* What is freed while there is a run is freed when it has ended. */
static void
test_freed_meanwhile (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  struct vault_run *run = new_run (f);
  const char *file = new_disk ("meanwhile");
  struct vault_key *key = key_of_file (f->v, "x");
  struct vault_luks *other;
  const pid_t pid = f->v->pid;

  server_set_fault (f->server, FAULT_BLACK_HOLE);
  policy_settings (f->policy)->timeout = 500;
  bind_luks_tang (file, 1, f->key, server_url (f->server), "one");
  other = vault_ready_luks (f->v, file, "/dev/other");
  load_and_add (f, run, file, "/dev/sda");
  while (server_requests (f->server) == 0)
    assert_int_equal (vault_run_step (run, 20, &err), 1);
  vault_key_free (key);
  vault_luks_free (other);
  finish (run);
  assert_int_equal (vault_run_outcome (run, 0)->status, EXCHANGE_FAILED);
  assert_int_equal (f->v->pid, pid);
  assert_null (f->v->keys);
  vault_run_free (run);
}

/* Preflights. */

static void
compare_preflight (struct fixture *f, const char *file, bool probe)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct preflight *pf = direct_preflight (f->policy, NULL, probe, &err);
  struct vault_run *run = vault_preflight_new (f->v, f->policy, probe, &err);
  const struct preflight_device *d;
  const struct heard_outcome *o;
  struct luks *luks = ready_luks (file);
  size_t i;

  preflight_add (pf, luks, &err);
  while (preflight_step (pf, 1000, &err) == 1)
    ;
  load_and_add (f, run, file, luks_device (luks));
  finish (run);
  assert_no_error (&err);
  d = preflight_device (pf, 0);
  o = vault_run_outcome (run, 0);
  assert_int_equal (o->status, d->verdict);
  assert_int_equal (o->nr_leaves, d->nr_leaves);
  assert_null (vault_run_take_key (run, 0));
  for (i = 0; i < d->nr_leaves; ++i) {
    assert_int_equal (o->leaves[i].token, d->leaves[i].token);
    assert_int_equal (o->leaves[i].key, d->leaves[i].key);
    assert_int_equal (o->leaves[i].signatures, d->leaves[i].signatures);
    assert_same (o->leaves[i].pin, d->leaves[i].pin->path);
    assert_same (o->leaves[i].address, d->leaves[i].address);
    assert_int_equal (o->leaves[i].has_failed,
                      d->leaves[i].error.code != CLEVIS_OK);
    if (o->leaves[i].has_failed)
      assert_same_error (&o->leaves[i].error, &d->leaves[i].error);
  }
  vault_run_free (run);
  preflight_free (pf);
  luks_free (luks);
}

/* Runs with the same folder: what a preflight was replied is used again, what
 * recovers a key is not, and never gets into the folder.
 */
static void
test_share (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  CLEANUP_JSON json_t *adv = tang_advertisement (NULL, true);
  const char *file = new_disk ("share"), *folder = tmp_path ("share");
  CLEANUP_FREE char *kept = NULL;
  struct vault_run *run;
  int i;

  server_advertise (f->server, adv);
  bind_luks_tang (file, 1, f->key, server_url (f->server), "one");
  policy_settings (f->policy)->share = strdup (folder);
  for (i = 0; i < 2; ++i) {
    run = new_run (f);
    load_and_add (f, run, file, "/dev/sda");
    finish (run);
    assert_opened (run, 0, 1);
    vault_run_free (run);
  }
  assert_int_equal (server_requests (f->server), 2);
  kept = shell_output ("find '%s' -name 'reply-*'", folder);
  assert_string_equal (kept, "");
  /* The key is not advertised: an advertisement, and a probe. */
  for (i = 0; i < 2; ++i) {
    run = vault_preflight_new (f->v, f->policy, true, &err);
    assert_no_error (&err);
    load_and_add (f, run, file, "/dev/sda");
    finish (run);
    assert_int_equal (vault_run_outcome (run, 0)->leaves[0].key,
                      PREFLIGHT_ROTATED);
    vault_run_free (run);
  }
  assert_int_equal (server_requests (f->server), 4);
  free (kept);
  kept = shell_output ("grep -l '\"kty\"' '%s'/*/* || :", folder);
  assert_string_equal (kept, "");
}

static void
test_preflight (void **state)
{
  struct fixture *f = *state;
  CLEANUP_JSON json_t *adv = tang_advertisement (f->key, true);
  CLEANUP_JSON json_t *unsigned_adv = tang_advertisement (f->key, false);
  CLEANUP_JSON json_t *other = tang_advertisement (NULL, true);
  const char *file = new_disk ("preflight"), *sss = new_disk ("preflight-sss");
  const char *urls[2];
  int fd;

  urls[0] = server_url (f->server);
  urls[1] = closed_port (&fd);
  bind_luks_tang (file, 1, f->key, urls[0], "one");
  bind_luks_sss (sss, 1, f->key, 1, urls, 2, "one");
  compare_preflight (f, file, true);
  server_advertise (f->server, adv);
  compare_preflight (f, file, true);
  compare_preflight (f, sss, true);
  server_advertise (f->server, unsigned_adv);
  compare_preflight (f, file, true);
  server_advertise (f->server, other);
  compare_preflight (f, file, true);
  compare_preflight (f, file, false);
  server_set_fault (f->server, FAULT_NO_KEY);
  compare_preflight (f, file, true);
  compare_preflight (f, new_disk ("preflight-unbound"), true);
  close (fd);
}

/* Answers that are not of servers. */

static const char *
store (const char *name, const json_t *json)
{
  const char *file = tmp_path ("%s", name);
  CLEANUP_FREE char *text = json_dumps (json, JSON_ENCODE_ANY);

  write_file (file, text, strlen (text));
  return file;
}

static void
test_keydir (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  const char *folder = tmp_path ("keydir"), *file = new_disk ("keydir");
  struct vault_run *run = new_run (f);

  mkdir (folder, 0700);
  assert_int_equal (vault_use_keydir (f->v, folder, &err), -1);
  assert_true (err.code != CLEVIS_OK);
  clevis_error_clear (&err);
  assert_int_equal (vault_use_keydir (f->v, tmp_path ("nowhere"), &err), -1);
  assert_error (&err, CLEVIS_ERR_SYSTEM, "nowhere");
  clevis_error_clear (&err);
  store ("keydir/bad.jwk", json_true ());
  assert_int_equal (vault_use_keydir (f->v, folder, &err), -1);
  assert_contains (err.message, "bad.jwk");
  clevis_error_clear (&err);
  unlink (tmp_path ("keydir/bad.jwk"));
  store ("keydir/a.jwk", f->key);
  vault_use_keydir (f->v, folder, &err);
  assert_no_error (&err);
  bind_luks_tang (file, 1, f->key, "http://192.0.2.1", "one");
  load_and_add (f, run, file, "/dev/sda");
  finish (run);
  assert_opened (run, 0, 1);
  vault_run_free (run);
}

/* A folder that could not be read leaves nothing that answers. */
static void
test_keydir_forgotten (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  const char *folder = tmp_path ("half"), *file = new_disk ("half");
  struct vault_run *run = new_run (f);

  mkdir (folder, 0700);
  store ("half/a.jwk", f->key);
  store ("half/z.jwk", json_true ());
  assert_int_equal (vault_use_keydir (f->v, folder, &err), -1);
  bind_luks_tang (file, 1, f->key, server_url (f->server), "one");
  load_and_add (f, run, file, "/dev/sda");
  finish (run);
  assert_opened (run, 0, 1);
  assert_int_equal (server_requests (f->server), 1);
  vault_run_free (run);
}

static json_t *
replies_to (struct fixture *f, const char *requests)
{
  CLEANUP_JSON json_t *doc = json_load_file (requests, 0, NULL);
  json_t *replies = json_array (), *request;
  size_t i;

  json_array_foreach (json_object_get (doc, "requests"), i, request)
    json_array_append_new (
      replies, json_pack ("{s:O, s:o}", "id", json_object_get (request, "id"),
                          "body", tang_answer (
                            f->key, json_object_get (request, "body"))));
  return json_pack ("{s:i, s:o}", "version", 1, "replies", replies);
}

static void
dump (struct fixture *f, const char *name, bool state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_CLOSE int fd = open (name, O_WRONLY | O_CREAT | O_EXCL, 0600);

  if (state)
    vault_dump_state (f->v, fd, name, &err);
  else
    vault_dump_requests (f->v, f->policy, fd, name, &err);
  assert_no_error (&err);
}

static void
test_offline (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  const char *urls[] = { "http://192.0.2.1", "http://tang/x" };
  const char *requests = tmp_path ("requests"), *states = tmp_path ("state");
  const char *file = new_disk ("offline"), *refused = new_disk ("refused");
  CLEANUP_JSON json_t *replies = NULL;
  const struct heard_outcome *o;
  struct vault_run *run = new_run (f);
  struct vault_memory memory;
  size_t n = 0;
  int i;

  policy_allow (f->policy, "192.0.2.1", &err);
  policy_allow (f->policy, "tang", &err);
  bind_luks_sss (file, 1, f->key, 2, urls, 2, "one");
  bind_luks_tang (refused, 1, f->key, "http://127.9.9.9", "one");
  vault_collect_requests (f->v, &err);
  assert_no_error (&err);
  load_and_add (f, run, file, "/dev/sda");
  load_and_add (f, run, refused, "/dev/sdb");
  finish (run);
  o = vault_run_outcome (run, 0);
  assert_error (&o->leaves[0].error, CLEVIS_ERR_CANCELLED, "exported");
  o = vault_run_outcome (run, 1);
  assert_error (&o->leaves[0].error, CLEVIS_ERR_POLICY, NULL);
  vault_nr_requests (f->v, &n, &err);
  assert_int_equal (n, 2);
  dump (f, states, true);
  dump (f, requests, false);
  vault_run_free (run);

  replies = replies_to (f, requests);
  vault_use_replies (f->v, states, store ("replies", replies), &err);
  assert_no_error (&err);
  for (i = 0; i < 2; ++i) {
    run = new_run (f);
    load_and_add (f, run, file, "/dev/sda");
    load_and_add (f, run, refused, "/dev/sdb");
    finish (run);
    assert_opened (run, 0, 1);
    assert_int_equal (vault_run_outcome (run, 1)->status, EXCHANGE_FAILED);
    vault_run_free (run);
    /* Another vault is given the same files, from their beginning. */
    kill (f->v->pid, SIGKILL);
    vault_memory (f->v, &memory, NULL);
  }

  assert_int_equal (vault_use_replies (f->v, requests, states, &err), -1);
  assert_true (err.code != CLEVIS_OK);
  clevis_error_clear (&err);
  assert_int_equal (vault_use_replies (f->v, states, tmp_path ("nowhere"),
                                       &err), -1);
  assert_error (&err, CLEVIS_ERR_SYSTEM, "nowhere");
}

/* Keys. */

static void
assert_length (struct vault_key *key, size_t expected)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  size_t len = 12345;

  vault_key_length (key, &len, &err);
  assert_no_error (&err);
  assert_int_equal (len, expected);
}

static void
assert_has (struct vault_key *key, unsigned char byte, bool expected)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  bool has = !expected;

  vault_key_has_byte (key, byte, &has, &err);
  assert_no_error (&err);
  assert_int_equal (has, expected);
}

static void
assert_equal_keys (struct vault_key *a, struct vault_key *b, bool expected)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  bool equal = !expected;

  vault_key_equal (a, b, &equal, &err);
  assert_no_error (&err);
  assert_int_equal (equal, expected);
}

static void
test_keys (void **state)
{
  static const char bytes[] = "a\0b\xff\n";
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_SECRET struct secret *secret = NULL;
  CLEANUP_CLOSE int fd = -1;
  struct fixture *f = *state;
  const char *file = tmp_path ("bytes");
  struct vault_key *key, *same, *other, *empty;

  write_file (file, bytes, 5);
  fd = open (file, O_RDONLY | O_CLOEXEC);
  key = vault_key_read (f->v, fd, &err);
  assert_no_error (&err);
  assert_length (key, 5);
  assert_has (key, 0, true);
  assert_has (key, 0xff, true);
  assert_has (key, 'c', false);
  secret = vault_key_lend (key, &err);
  assert_secret (secret, bytes, 5);
  vault_key_chomp (key, &err);
  vault_key_chomp (key, &err);
  assert_no_error (&err);
  assert_length (key, 4);
  assert_has (key, '\n', false);
  /* From where it stands. */
  assert_int_equal (lseek (fd, 1, SEEK_SET), 1);
  other = vault_key_read (f->v, fd, &err);
  assert_no_error (&err);
  assert_length (other, 4);
  empty = vault_key_read (f->v, fd, &err);
  assert_no_error (&err);
  assert_length (empty, 0);
  vault_key_chomp (empty, &err);
  assert_no_error (&err);

  same = key_of_pipe (f->v, "text");
  assert_vault_key (same, "text");
  assert_equal_keys (same, same, true);
  assert_equal_keys (same, key, false);
  vault_key_free (other);
  other = key_of_file (f->v, "text");
  assert_equal_keys (same, other, true);
  vault_key_free (same);
  assert_vault_key (other, "text");

  assert_null (vault_key_read (f->v, -1, &err));
  assert_int_equal (err.code, CLEVIS_ERR_SYSTEM);
}

static void
test_lines (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  struct vault_key *key;
  bool is_end = true;
  int fds[2], i;
  static const char *const lines[] = { "one", "", "three", "four" };

  assert_int_equal (pipe2 (fds, O_CLOEXEC), 0);
  assert_int_equal (write (fds[1], "one\n\nthree\nfour", 15), 15);
  close (fds[1]);
  for (i = 0; i < 4; ++i) {
    key = vault_key_read_line (f->v, fds[0], &is_end, &err);
    assert_no_error (&err);
    assert_false (is_end);
    assert_vault_key (key, lines[i]);
    vault_key_free (key);
  }
  assert_null (vault_key_read_line (f->v, fds[0], &is_end, &err));
  assert_no_error (&err);
  assert_true (is_end);
  close (fds[0]);
  /* What cannot be read is not its end. */
  fds[0] = open ("/", O_RDONLY | O_CLOEXEC);
  assert_null (vault_key_read_line (f->v, fds[0], &is_end, &err));
  assert_error (&err, CLEVIS_ERR_SYSTEM, NULL);
  assert_false (is_end);
  close (fds[0]);
}

static void
test_write (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  struct vault_key *key = key_of_file (f->v, "some text");
  const char *file = tmp_path ("written");
  CLEANUP_FREE char *plain = NULL, *base64 = NULL;
  int fd = open (file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

  vault_key_write (key, fd, false, &err);
  assert_no_error (&err);
  plain = read_file (file, NULL);
  assert_string_equal (plain, "some text");
  assert_int_equal (lseek (fd, 0, SEEK_SET), 0);
  vault_key_write (key, fd, true, &err);
  assert_no_error (&err);
  base64 = read_file (file, NULL);
  assert_string_equal (base64, "c29tZSB0ZXh0");
  close (fd);
  fd = open ("/dev/full", O_WRONLY | O_CLOEXEC);
  assert_int_equal (vault_key_write (key, fd, false, &err), -1);
  assert_error (&err, CLEVIS_ERR_SYSTEM, NULL);
  assert_int_equal (err.sys_errno, ENOSPC);
  close (fd);
  assert_vault_key (key, "some text");
}

/* Quick headers. */

static struct vault_key *
recover (struct fixture *f, struct vault_luks *luks)
{
  struct vault_run *run = new_run (f);
  struct vault_key *key;

  add (run, luks);
  finish (run);
  key = vault_run_take_key (run, 0);
  vault_run_free (run);
  assert_non_null (key);
  return key;
}

static void
compare_quick (struct fixture *f, const char *file, int version)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_SECRET struct secret *secret = secret_copy ("one", 3);
  struct vault_luks *there;
  struct vault_key *key;
  struct luks_extent ext[LUKS_QUICK_EXTENTS];
  struct vault_change *changes;
  struct luks *here;
  int i, n, m;

  bind_luks_tang (file, 1, f->key, server_url (f->server), "one");
  there = vault_ready_luks (f->v, file, "/dev/sda");
  key = recover (f, there);
  here = ready_luks (file);
  assert_int_equal (luks_verify (here, 1, secret, &err), 0);
  m = luks_quick (here, 1, secret, ext, &err);
  assert_no_error (&err);
  luks_free (here);
  n = vault_luks_quicken (there, key, 1, &changes, &err);
  assert_no_error (&err);
  assert_int_equal (n, m);
  assert_true (n > 0);
  for (i = 0; i < n; ++i) {
    assert_int_equal (changes[i].extent.offset, ext[i].offset);
    assert_int_equal (changes[i].extent.length, ext[i].length);
    poke (file, ext[i].offset, changes[i].bytes, ext[i].length);
  }
  vault_changes_free (changes, n);
  vault_luks_free (there);
  here = ready_luks (file);
  assert_true (luks_is_quick (here) || version == 2);
  luks_verify (here, 1, secret, &err);
  assert_no_error (&err);
  if (version == 2)
    assert_string_equal (luks_keyslot (here, 1)->priority, "prefer");
  luks_free (here);
}

static void
test_quicken (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  const char *file = new_disk ("quick"), *old = tmp_path ("quick1.img");
  struct vault_change *changes;
  struct vault_luks *luks;

  compare_quick (f, file, 2);
  make_luks1 (old, passphrases);
  compare_quick (f, old, 1);
  /* Its own errors are no death. */
  luks = vault_ready_luks (f->v, file, "/dev/sda");
  assert_int_equal (vault_luks_quicken (luks, key_of_file (f->v, "one"), 30,
                                        &changes, &err), -1);
  assert_true (err.code != CLEVIS_OK);
  assert_true (f->v->pid > 0);
}

/* What is inside. */

/* A device of two MiB and a half of anything, bound to the server. */
static const char *
data_disk (struct fixture *f, const char *name, int version)
{
  const char *file = tmp_path ("%s.img", name);
  CLEANUP_FREE unsigned char *data = malloc (2560 * KIB);
  uint32_t x = 1;
  size_t i;

  if (version == 1)
    make_luks1 (file, passphrases);
  else
    make_luks2 (file, passphrases, 16 * KIB);
  bind_luks_tang (file, 1, f->key, server_url (f->server), "one");
  for (i = 0; i < 2560 * KIB; ++i) {
    x = x * 1664525 + 1013904223;
    data[i] = x >> 24;
  }
  poke (file, version == 1 ? 2 * MIB : 1056 * KIB, data, 2560 * KIB);
  return file;
}

/* The same with a digest as installers make it, which is dear. */
static const char *
dear_disk (struct fixture *f, const char *name)
{
  const char *file = tmp_path ("%s.img", name);

  require_program ("cryptsetup");
  shell ("echo -n admin > admin; echo -n one > one; truncate -s 8M '%s'\n"
         "cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --iter-time 1 "
         "-s 256 --sector-size 512 --luks2-keyslots-size 1m -d admin '%s'\n"
         "cryptsetup luksAddKey -q --pbkdf pbkdf2 --iter-time 1 -S 1 "
         "-d admin '%s' one", file, file, file);
  bind_luks_tang (file, 1, f->key, server_url (f->server), "one");
  return file;
}

/* A piece of the device, as it is and as the vault says. */
static unsigned char *
decrypt (struct vault_luks *luks, const char *file, uint64_t offset,
         size_t len, struct clevis_error *err)
{
  CLEANUP_FREE char *data = NULL;
  unsigned char *plain = malloc (len);
  struct luks_data_extent e;
  size_t size;

  data = read_file (file, &size);
  vault_luks_data_extent (luks, &e, err);
  assert_no_error (err);
  assert_int_equal (e.offset + e.length, size);
  assert_true (offset <= e.length && len <= e.length - offset);
  if (vault_luks_decrypt (luks, offset, data + e.offset + offset, plain, len,
                          err) == 0)
    return plain;
  free (plain);
  return NULL;
}

/* In the vault and here. */
static void
compare_data (struct fixture *f, const char *file)
{
  static const struct {
    uint64_t offset;
    size_t len;
  } pieces[] = {
    { 0, 512 }, { 0, DATA_BYTES }, { 512, DATA_BYTES }, { 512, 1024 },
    { 0, BOUND_DECRYPT }, { 1536, BOUND_DECRYPT }, { BOUND_DECRYPT, 512 },
    { 7 * 512, DATA_BYTES + 512 }, { 0, 2 * DATA_BYTES },
  };
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_SECRET struct secret *secret = secret_copy ("one", 3);
  struct vault_luks *there = vault_ready_luks (f->v, file, "/dev/sda");
  struct vault_key *key = recover (f, there);
  struct luks *here = ready_luks (file);
  CLEANUP_FREE char *data = NULL;
  struct luks_data_extent a, b;
  size_t i, size;

  data = read_file (file, &size);
  assert_int_equal (luks_verify (here, 1, secret, &err), 0);
  luks_unlock (here, 1, secret, &err);
  luks_data_extent (here, &a, &err);
  assert_no_error (&err);
  vault_luks_data_extent (there, &b, &err);
  assert_no_error (&err);
  assert_int_equal (a.offset, b.offset);
  assert_int_equal (a.length, b.length);
  assert_int_equal (a.sector_size, b.sector_size);
  vault_luks_unlock (there, key, 1, &err);
  assert_no_error (&err);
  for (i = 0; i < sizeof pieces / sizeof pieces[0]; ++i) {
    const size_t len = pieces[i].len;
    CLEANUP_FREE unsigned char *x = malloc (len);
    CLEANUP_FREE unsigned char *y = NULL;

    luks_decrypt (here, pieces[i].offset,
                  data + a.offset + pieces[i].offset, x, len, &err);
    assert_no_error (&err);
    y = decrypt (there, file, pieces[i].offset, len, &err);
    assert_no_error (&err);
    assert_memory_equal (x, y, len);
  }
  luks_free (here);
}

static void
test_decrypt (void **state)
{
  struct fixture *f = *state;

  compare_data (f, data_disk (f, "data1", 1));
  compare_data (f, data_disk (f, "data2", 2));
  compare_data (f, dear_disk (f, "dear"));
}

static void
set_cipher (json_t *json, void *opaque)
{
  json_t *segment = json_object_get (json_object_get (json, "segments"), "0");

  json_object_set_new (segment, "encryption",
                       json_string ("serpent-xts-plain64"));
}

/* Its own errors are no death. */
static void
test_decrypt_errors (void **state)
{
  static unsigned char data[BOUND_DECRYPT + 512], plain[BOUND_DECRYPT + 512];
  static const struct {
    uint64_t offset;
    size_t len;
    int keyslot;
    enum clevis_code code;
    const char *text;
  } bad[] = {
    { 0, 0, 1, CLEVIS_ERR_LIMIT, "whole sectors" },
    { 0, 511, 1, CLEVIS_ERR_LIMIT, "whole sectors" },
    { 1, 512, 1, CLEVIS_ERR_LIMIT, "whole sectors" },
    { 0, BOUND_DECRYPT + 512, 1, CLEVIS_ERR_LIMIT, "too many" },
    { UINT64_MAX - 511, 512, 1, CLEVIS_ERR_LIMIT, "whole sectors" },
    { 2560 * KIB, 512, 1, CLEVIS_ERR_LIMIT, "within the data" },
    /* The first pieces are, the later ones are not. */
    { 2048 * KIB, BOUND_DECRYPT, 1, CLEVIS_ERR_LIMIT, "within the data" },
    { 0, 512, 0, CLEVIS_ERR_PASSPHRASE, "does not accept" },
    { 0, 512, 30, CLEVIS_ERR_HEADER, "does not exist" },
    { 0, 512, -1, CLEVIS_ERR_HEADER, "does not exist" },
  };
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  const char *file = data_disk (f, "errors", 2);
  struct luks_data_extent e;
  struct vault_luks *luks;
  struct vault_key *key;
  size_t i;

  for (i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    const pid_t pid = f->v->pid;

    luks = vault_ready_luks (f->v, file, "/dev/sda");
    key = recover (f, luks);
    if (vault_luks_unlock (luks, key, bad[i].keyslot, &err) == 0)
      assert_int_equal (vault_luks_decrypt (luks, bad[i].offset, data, plain,
                                            bad[i].len, &err), -1);
    assert_error (&err, bad[i].code, bad[i].text);
    clevis_error_clear (&err);
    vault_luks_unlock (luks, key, 1, &err);
    assert_no_error (&err);
    vault_luks_decrypt (luks, 0, data, plain, 512, &err);
    assert_no_error (&err);
    assert_true (pid == 0 || f->v->pid == pid);
    vault_luks_free (luks);
    vault_key_free (key);
  }
  edit_luks2 (file, set_cipher, NULL);
  luks = vault_ready_luks (f->v, file, "/dev/sda");
  key = recover (f, luks);
  assert_int_equal (vault_luks_data_extent (luks, &e, &err), -1);
  assert_error (&err, CLEVIS_ERR_UNSUPPORTED, "serpent");
  clevis_error_clear (&err);
  assert_int_equal (vault_luks_decrypt (luks, 0, data, plain, 512, &err), -1);
  assert_error (&err, CLEVIS_ERR_SYSTEM, "volume key");
  clevis_error_clear (&err);
  vault_luks_unlock (luks, key, 1, &err);
  assert_no_error (&err);
  assert_int_equal (vault_luks_decrypt (luks, 0, data, plain, BOUND_DECRYPT,
                                        &err), -1);
  assert_error (&err, CLEVIS_ERR_UNSUPPORTED, "serpent");
  assert_true (f->v->pid > 0);
}

/* With the vault the volume key is gone, and had again with the key. */
static void
check_again (struct fixture *f, const char *file)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct vault_luks *luks = vault_ready_luks (f->v, file, "/dev/sda");
  struct vault_key *key = recover (f, luks);
  CLEANUP_FREE unsigned char *before = NULL, *after = NULL;
  const int asked = server_requests (f->server);
  struct vault_memory memory;

  vault_luks_unlock (luks, key, 1, &err);
  assert_no_error (&err);
  before = decrypt (luks, file, 1024, 3 * DATA_BYTES, &err);
  assert_no_error (&err);
  assert_int_equal (server_requests (f->server), asked);
  kill (f->v->pid, SIGKILL);
  assert_int_equal (vault_key_chomp (key, NULL), -1);
  after = decrypt (luks, file, 1024, 3 * DATA_BYTES, &err);
  assert_no_error (&err);
  assert_memory_equal (before, after, 3 * DATA_BYTES);
  assert_int_equal (server_requests (f->server), asked + 1);
  /* Without the key as long as there is a vault. */
  vault_key_free (key);
  free (decrypt (luks, file, 1024, 512, &err));
  assert_no_error (&err);
  kill (f->v->pid, SIGKILL);
  assert_int_equal (vault_memory (f->v, &memory, NULL), -1);
  assert_null (decrypt (luks, file, 1024, 512, &err));
  assert_error (&err, CLEVIS_ERR_SYSTEM, "volume key");
  vault_luks_free (luks);
}

static void
test_decrypt_again (void **state)
{
  struct fixture *f = *state;

  check_again (f, data_disk (f, "again1", 1));
  check_again (f, data_disk (f, "again2", 2));
  check_again (f, dear_disk (f, "again-dear"));
}

/* The volume key goes with its header, and nothing else does. */
static void
test_decrypt_memory (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  const char *file = data_disk (f, "memory", 2);
  struct vault_luks *luks = vault_ready_luks (f->v, file, "/dev/sda");
  struct vault_key *key = recover (f, luks);
  struct vault_memory memory;
  size_t used;

  vault_memory (f->v, &memory, &err);
  used = memory.used;
  vault_luks_unlock (luks, key, 1, &err);
  assert_no_error (&err);
  free (decrypt (luks, file, 0, BOUND_DECRYPT, &err));
  assert_no_error (&err);
  vault_memory (f->v, &memory, &err);
  assert_true (memory.used > used);
  vault_luks_free (luks);
  vault_memory (f->v, &memory, &err);
  assert_no_error (&err);
  assert_int_equal (memory.used, used);
}

/* Of the process. */

static void
test_wall (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  const struct wall *wall = vault_wall (f->v, &err);

  assert_no_error (&err);
  assert_int_equal (wall->system_calls, !in_valgrind ());
  if (!wall->files && !in_valgrind ())
    skip_test ("this kernel has no Landlock");
}

/* Objects of one that was ended may only be freed. */
static void
test_end (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct vault *v = new_vault ();
  struct vault_key *key = key_of_file (v, "x");
  const char *file = new_disk ("end");
  struct vault_luks *luks = vault_ready_luks (v, file, "/dev/sda");
  struct vault_memory memory;

  vault_memory (v, &memory, &err);
  assert_true (memory.used > 0);
  assert_false (memory.is_busy);
  vault_end (v);
  vault_end (v);
  assert_int_equal (vault_key_chomp (key, &err), -1);
  assert_error (&err, CLEVIS_ERR_SYSTEM, "has been ended");
  clevis_error_clear (&err);
  assert_null (vault_luks_list (luks, &err));
  assert_error (&err, CLEVIS_ERR_SYSTEM, "has been ended");
  clevis_error_clear (&err);
  assert_int_equal (vault_memory (v, &memory, &err), 0);
  assert_int_equal (memory.used, 0);
  vault_key_free (key);
  vault_free (v);
  vault_free (NULL);
  vault_end (NULL);

  v = new_vault ();             /* one of which nothing was asked */
  vault_free (v);
}

/* The reply to a question of an exchange that has ended is not written into a
 * header that has the same number.  Who waits for a point is told that there is
 * none.
 */
static void
test_late_answer (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  const char *file = new_disk ("late");
  struct vault_luks *luks = vault_ready_luks (f->v, file, "/dev/sda");
  struct message *m = malloc (sizeof *m);
  struct vault_run *run = new_run (f);
  const pid_t pid = f->v->pid;
  const struct message *point;
  uint32_t id;

  bind_luks_tang (file, 1, f->key, server_url (f->server), "one");
  for (id = luks->id; id < luks->id + 2; ++id) {
    message_init (m, MESSAGE_ERROR, id);
    m->error.code = CLEVIS_ERR_HTTP;
    m->error.token = m->error.keyslot = -1;
    assert_int_equal (vault_send (f->v, m, NULL, 0), 0);
    message_init (m, MESSAGE_ANSWER, id);
    m->answer.len = DATA_BYTES;
    assert_int_equal (vault_send (f->v, m, NULL, 0), 0);
    message_init (m, MESSAGE_BODY, id);
    m->data.len = DATA_BYTES;
    assert_int_equal (vault_send (f->v, m, NULL, 0), 0);
    message_init (m, MESSAGE_MAKE_POINT, id);
    assert_int_equal (vault_send (f->v, m, NULL, 0), 0);
    point = vault_next (f->v);
    assert_non_null (point);
    assert_int_equal (point->tag, MESSAGE_POINT);
    assert_int_equal (point->id, id);
    assert_false (point->point.curve.is_there);
  }
  free (m);
  vault_luks_list (luks, &err);
  assert_no_error (&err);
  load_and_add (f, run, file, "/dev/sdb");
  finish (run);
  assert_opened (run, 0, 1);
  assert_int_equal (f->v->pid, pid);
  vault_run_free (run);
}

#define TEST(name) \
  cmocka_unit_test_setup_teardown (test_ ## name, setup, teardown)

int
main (void)
{
  const struct CMUnitTest tests[] = {
    TEST (luks1), TEST (luks2), TEST (numbers), TEST (no_luks),
    TEST (exchange), TEST (many),
    TEST (failures), TEST (sss), TEST (too_many_servers), TEST (waiting),
    TEST (freed_meanwhile), TEST (preflight), TEST (share), TEST (keydir),
    TEST (keydir_forgotten), TEST (offline), TEST (keys), TEST (lines),
    TEST (write), TEST (quicken), TEST (decrypt), TEST (decrypt_errors),
    TEST (decrypt_again), TEST (decrypt_memory), TEST (wall), TEST (end),
    TEST (late_answer),
  };

  return run_unit_tests (tests);
}
