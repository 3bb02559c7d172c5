/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of preflight.c and advert.c: what servers say of the keys of a device,
 * and what follows for it.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <fcntl.h>
#include <unistd.h>

#include <jose/b64.h>
#include <jose/jose.h>

#include "jose/advert.h"
#include "base/bounds.h"
#include "base/clock.h"
#include "tang/keydir.h"
#include "exchange/preflight.h"
#include "testlib/testlib-jwe.h"
#include "testlib/testlib-luks.h"
#include "testlib/testlib-server.h"

/* Milliseconds; the second is for servers that do answer. */
#define TIMEOUT 400
#define LONG_TIMEOUT 20000

static const char *const passphrases[] = { "admin", "one", "two", NULL };

struct fixture {
  json_t *key;
  struct server *a, *b;         /* both with that key */
  struct policy *policy;
  struct keydir *keydir;
  struct preflight *pf;
  struct luks *luks[4];
  int nr;
};

static int
setup (void **state)
{
  CLEANUP_JSON json_t *adv = NULL;
  struct fixture *f = calloc (1, sizeof *f);

  f->key = tang_key ("P-256");
  adv = tang_advertisement (f->key, true);
  f->a = server_start (f->key, FAULT_NONE);
  f->b = server_start (f->key, FAULT_NONE);
  server_advertise (f->a, adv);
  server_advertise (f->b, adv);
  f->policy = loopback_policy ();
  policy_settings (f->policy)->timeout = LONG_TIMEOUT;
  policy_settings (f->policy)->retries = 0;
  *state = f;
  return 0;
}

static int
teardown (void **state)
{
  struct fixture *f = *state;
  int i;

  preflight_free (f->pf);
  for (i = 0; i < f->nr; ++i)
    luks_free (f->luks[i]);
  policy_free (f->policy);
  keydir_free (f->keydir);
  server_stop (f->a);
  server_stop (f->b);
  json_decref (f->key);
  free (f);
  return 0;
}

static const char *
new_disk (void)
{
  static int n;
  const char *file = tmp_path ("disk%d", n++);

  make_luks2 (file, passphrases, 16 * KIB);
  return file;
}

static void
bind_tang (struct fixture *f, const char *file, int keyslot, const char *url)
{
  bind_luks_tang (file, keyslot, f->key, url, "x");
}

static void
bind_sss (struct fixture *f, const char *file, int t,
          const char *const *urls, size_t n)
{
  bind_luks_sss (file, 1, f->key, t, urls, n, "x");
}

/* Run a preflight of one more device, to the end; returns the device. */
static const struct preflight_device *
fly (struct fixture *f, const char *file, bool probe)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  int i, r;

  preflight_free (f->pf);
  f->pf = direct_preflight (f->policy, f->keydir, probe, &err);
  assert_no_error (&err);
  f->luks[f->nr] = ready_luks (file);
  i = preflight_add (f->pf, f->luks[f->nr++], &err);
  assert_no_error (&err);
  while ((r = preflight_step (f->pf, 1000, &err)) == 1)
    ;
  assert_no_error (&err);
  assert_int_equal (r, 0);
  return preflight_device (f->pf, i);
}

static void
test_advertised (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk ();
  const struct preflight_device *d;

  bind_tang (f, file, 1, server_url (f->a));
  d = fly (f, file, true);
  assert_int_equal (d->nr_leaves, 1);
  assert_int_equal (d->leaves[0].key, PREFLIGHT_ADVERTISED);
  assert_true (d->leaves[0].signatures);
  assert_string_equal (d->leaves[0].address, "127.0.0.1");
  assert_true (d->leaves[0].seconds > 0);
  assert_no_error (&d->leaves[0].error);
  assert_int_equal (d->leaves[0].token, 0);
  /* Nothing was posted. */
  assert_int_equal (server_requests (f->a), 1);
}

static void
test_rotated (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk ();
  CLEANUP_JSON json_t *adv = tang_advertisement (NULL, true);
  const struct preflight_device *d;

  server_advertise (f->a, adv);
  bind_tang (f, file, 1, server_url (f->a));
  d = fly (f, file, true);
  assert_int_equal (d->leaves[0].key, PREFLIGHT_ROTATED);
  assert_int_equal (server_requests (f->a), 2);
  assert_int_equal (d->verdict, PREFLIGHT_NO_SPARE);
}

/* Without permission to post anything no more is known. */
static void
test_unadvertised (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk ();
  CLEANUP_JSON json_t *adv = tang_advertisement (NULL, true);
  const struct preflight_device *d;

  server_advertise (f->a, adv);
  bind_tang (f, file, 1, server_url (f->a));
  d = fly (f, file, false);
  assert_int_equal (d->leaves[0].key, PREFLIGHT_UNADVERTISED);
  assert_int_equal (server_requests (f->a), 1);
  assert_int_equal (d->verdict, PREFLIGHT_CLOSED);
}

static void
test_gone (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk ();
  CLEANUP_JSON json_t *adv = tang_advertisement (NULL, true);
  const struct preflight_device *d;
  struct server *gone = server_start (f->key, FAULT_NONE);

  server_advertise (gone, adv);
  server_fault_for (gone, 1, FAULT_NONE, FAULT_NO_KEY);
  bind_tang (f, file, 1, server_url (gone));
  d = fly (f, file, true);
  server_stop (gone);
  assert_int_equal (d->leaves[0].key, PREFLIGHT_GONE);
  assert_int_equal (d->verdict, PREFLIGHT_CLOSED);
}

static void
test_bad_signature (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk ();
  CLEANUP_JSON json_t *adv = tang_advertisement (f->key, false);
  const struct preflight_device *d;

  server_advertise (f->a, adv);
  bind_tang (f, file, 1, server_url (f->a));
  d = fly (f, file, true);
  assert_int_equal (d->leaves[0].key, PREFLIGHT_ADVERTISED);
  assert_false (d->leaves[0].signatures);
}

/* Faults of the server, and what is said of them. */
static void
test_servers_that_do_not_answer (void **state)
{
  static const struct {
    enum fault fault;
    enum clevis_code code;
    const char *message;
  } cases[] = {
    { FAULT_BLACK_HOLE, CLEVIS_ERR_UNREACHABLE, "no whole reply" },
    { FAULT_CLOSE, CLEVIS_ERR_UNREACHABLE, "closed the connection" },
    { FAULT_ERROR, CLEVIS_ERR_HTTP, "HTTP status 500 for the advertisement" },
    { FAULT_REDIRECT, CLEVIS_ERR_HTTP, "HTTP status 302" },
    { FAULT_NOT_JSON, CLEVIS_ERR_REPLY, "not an advertisement" },
    { FAULT_ARRAY, CLEVIS_ERR_REPLY, "not an advertisement" },
    { FAULT_ENDLESS_BODY, CLEVIS_ERR_REPLY, "larger than" },
  };
  const char *file = new_disk ();
  size_t i;

  for (i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    const struct preflight_device *d;
    void *own = NULL;
    struct fixture *f;
    CLEANUP_FREE char *line = NULL;

    file = new_disk ();
    setup (&own);
    f = own;
    if (cases[i].fault == FAULT_BLACK_HOLE)
      policy_settings (f->policy)->timeout = TIMEOUT;
    server_set_fault (f->a, cases[i].fault);
    bind_tang (f, file, 1, server_url (f->a));
    d = fly (f, file, true);
    assert_int_equal (d->leaves[0].key, PREFLIGHT_UNKNOWN);
    assert_error (&d->leaves[0].error, cases[i].code, cases[i].message);
    line = clevis_error_line (&d->leaves[0].error);
    assert_contains (line, "token 0: tang: http://127.0.0.1");
    assert_int_equal (d->verdict, PREFLIGHT_CLOSED);
    teardown (&own);
  }
}

static void
test_policy_counts (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk ();
  const struct preflight_device *d;

  policy_free (f->policy);
  f->policy = policy_new ();
  bind_tang (f, file, 1, server_url (f->a));
  d = fly (f, file, true);
  assert_int_equal (d->leaves[0].key, PREFLIGHT_UNKNOWN);
  assert_error (&d->leaves[0].error, CLEVIS_ERR_POLICY, "loopback");
  assert_int_equal (server_requests (f->a), 0);
}

static void
test_pins_that_need_no_server (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk ();
  CLEANUP_JSON json_t *jwe = encrypt_null ("one", 3);
  const struct preflight_device *d;

  bind_luks (file, 1, jwe);
  d = fly (f, file, true);
  assert_int_equal (d->leaves[0].key, PREFLIGHT_LOCAL);
  assert_int_equal (d->verdict, PREFLIGHT_OPENS);
}

static void
test_key_folder (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  CLEANUP_FREE char *text = json_dumps (f->key, 0);
  const char *file = new_disk (), *folder = tmp_path ("keys");
  const struct preflight_device *d;

  shell ("mkdir -p '%s'", folder);
  write_file (tmp_path ("keys/a.jwk"), text, strlen (text));
  f->keydir = keydir_open (folder, &err);
  assert_no_error (&err);
  bind_tang (f, file, 1, server_url (f->a));
  d = fly (f, file, true);
  assert_int_equal (d->leaves[0].key, PREFLIGHT_LOCAL);
  assert_int_equal (server_requests (f->a), 0);
  assert_int_equal (d->verdict, PREFLIGHT_OPENS);
}

/* Verdicts. */

static void
test_unbound (void **state)
{
  struct fixture *f = *state;
  const struct preflight_device *d = fly (f, new_disk (), true);

  assert_int_equal (d->verdict, PREFLIGHT_UNBOUND);
  assert_int_equal (d->nr_leaves, 0);
}

static void
test_token_that_cannot_be_read (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk ();
  CLEANUP_JSON json_t *token = json_pack ("{s:s, s:[s], s:s}", "type",
                                          "clevis", "keyslots", "1", "jwe",
                                          "x");
  const struct preflight_device *d;

  add_token (file, token);
  d = fly (f, file, true);
  assert_int_equal (d->verdict, PREFLIGHT_CLOSED);
}

static void
lose_keyslots (json_t *json, void *opaque)
{
  json_t *token = json_object_get (json_object_get (json, "tokens"), "0");

  json_array_clear (json_object_get (token, "keyslots"));
}

/* Nobody is asked for what opens no keyslot. */
static void
test_stale_token (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk ();
  const struct preflight_device *d;

  bind_tang (f, file, 1, server_url (f->a));
  edit_luks2 (file, lose_keyslots, NULL);
  d = fly (f, file, true);
  assert_int_equal (d->verdict, PREFLIGHT_CLOSED);
  assert_int_equal (d->nr_leaves, 0);
  assert_int_equal (server_requests (f->a), 0);
}

static void
test_verdicts (void **state)
{
  struct fixture *f = *state;
  int fd;
  const char *a = server_url (f->a), *b = server_url (f->b);
  const char *dead = closed_port (&fd);
  const struct {
    int t;
    const char *urls[3];
    size_t n;
    enum preflight_verdict verdict;
  } cases[] = {
    { 1, { a }, 1, PREFLIGHT_NO_SPARE },
    { 1, { dead }, 1, PREFLIGHT_CLOSED },
    { 1, { a, b }, 2, PREFLIGHT_OPENS },
    { 2, { a, b }, 2, PREFLIGHT_NO_SPARE },
    { 2, { a, b, dead }, 3, PREFLIGHT_NO_SPARE },
    { 1, { a, dead }, 2, PREFLIGHT_NO_SPARE },
    { 2, { a, dead }, 2, PREFLIGHT_CLOSED },
    /* Two pins on one server fail together. */
    { 1, { a, a }, 2, PREFLIGHT_NO_SPARE },
    { 2, { a, a, b }, 3, PREFLIGHT_NO_SPARE },
  };
  size_t i;

  for (i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    const char *file = new_disk ();
    const struct preflight_device *d;

    bind_sss (f, file, cases[i].t, cases[i].urls, cases[i].n);
    d = fly (f, file, true);
    if (d->verdict != cases[i].verdict)
      fail_msg ("case %zu: verdict %d", i, (int) d->verdict);
    luks_free (f->luks[--f->nr]);
  }
  close (fd);
}

/* Any one of several tokens opens the device. */
static void
test_two_tokens (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk ();
  const struct preflight_device *d;

  bind_tang (f, file, 1, server_url (f->a));
  bind_tang (f, file, 2, server_url (f->b));
  d = fly (f, file, true);
  assert_int_equal (d->nr_leaves, 2);
  assert_int_equal (d->leaves[1].token, 1);
  assert_int_equal (d->verdict, PREFLIGHT_OPENS);
}

/* However many tokens name a key, its server is asked once. */
static void
test_server_is_asked_once (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk ();
  const struct preflight_device *d;

  bind_tang (f, file, 1, server_url (f->a));
  bind_tang (f, file, 2, server_url (f->a));
  d = fly (f, file, true);
  assert_int_equal (d->nr_leaves, 2);
  assert_int_equal (d->leaves[1].key, PREFLIGHT_ADVERTISED);
  assert_int_equal (server_requests (f->a), 1);
  assert_int_equal (d->verdict, PREFLIGHT_NO_SPARE);
}

static void
test_deadline (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk ();
  const struct preflight_device *d;
  double start;

  policy_settings (f->policy)->deadline = 300;
  server_set_fault (f->a, FAULT_BLACK_HOLE);
  bind_tang (f, file, 1, server_url (f->a));
  start = clock_now ();
  d = fly (f, file, true);
  assert_true (clock_now () - start < 5);
  assert_error (&d->leaves[0].error, CLEVIS_ERR_UNREACHABLE, "deadline");
  assert_string_equal (d->leaves[0].error.address, "127.0.0.1");
}

/* A fault that may pass is not the last word, for the advertisement and for the
 * probe; one that lasts is.
 */
static void
test_temporary_faults_are_tried_again (void **state)
{
  static const struct {
    int good;                   /* requests before the fault */
    enum fault fault;
    int requests;
    enum preflight_key key;
  } cases[] = {
    { 0, FAULT_ERROR, 2, PREFLIGHT_ADVERTISED },
    { 0, FAULT_CLOSE, 2, PREFLIGHT_ADVERTISED },
    { 0, FAULT_NO_KEY, 1, PREFLIGHT_UNKNOWN },
    { 1, FAULT_ERROR, 3, PREFLIGHT_UNADVERTISED },
    { 1, FAULT_NO_KEY, 2, PREFLIGHT_GONE },
  };
  CLEANUP_JSON json_t *none = tang_advertisement (NULL, true);
  size_t i;

  for (i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    const char *file = new_disk ();
    const struct preflight_device *d;
    void *own = NULL;
    struct fixture *f;

    setup (&own);
    f = own;
    policy_settings (f->policy)->retries = 1;
    if (cases[i].good > 0) {
      server_advertise (f->a, none);
      server_fault_for (f->a, cases[i].good, FAULT_NONE, cases[i].fault);
    }
    else
      server_fault_for (f->a, 1, cases[i].fault, FAULT_NONE);
    bind_tang (f, file, 1, server_url (f->a));
    d = fly (f, file, true);
    assert_int_equal (d->leaves[0].key, cases[i].key);
    assert_int_equal (server_requests (f->a), cases[i].requests);
    teardown (&own);
  }
}

/* Eight keys of one server, by its URL and a path each. */
static void
bind_eight (struct fixture *f, const char *file)
{
  char url[64];
  int i;

  for (i = 0; i < 8; ++i) {
    snprintf (url, sizeof url, "%s/%d", server_url (f->a), i);
    bind_tang (f, file, 1, url);
  }
}

/* Eight checks of one server, of which three may be under way: no more are
 * sent while it does not answer.
 */
static void
test_a_server_gets_so_many_at_a_time (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  const char *file = new_disk ();
  double start;

  bind_eight (f, file);
  policy_settings (f->policy)->parallel = 3;
  server_set_fault (f->a, FAULT_BLACK_HOLE);
  f->pf = direct_preflight (f->policy, f->keydir, true, &err);
  f->luks[f->nr++] = ready_luks (file);
  assert_int_equal (preflight_add (f->pf, f->luks[0], &err), 0);
  while (server_requests (f->a) < 3)
    assert_int_equal (preflight_step (f->pf, 20, &err), 1);
  for (start = clock_now (); clock_now () - start < 0.2;)
    assert_int_equal (preflight_step (f->pf, 20, &err), 1);
  assert_int_equal (server_requests (f->a), 3);
}

/* Those that wait get their turn. */
static void
test_all_get_their_turn (void **state)
{
  struct fixture *f = *state;
  const char *file = new_disk ();
  const struct preflight_device *d;
  size_t i;

  bind_eight (f, file);
  policy_settings (f->policy)->parallel = 3;
  d = fly (f, file, true);
  assert_int_equal (d->nr_leaves, 8);
  for (i = 0; i < 8; ++i)
    assert_int_equal (d->leaves[i].key, PREFLIGHT_ADVERTISED);
  assert_in_range (server_most_open (f->a), 1, 3);
}

/* An asker that refuses some devices what all ask, one a step, and then has an
 * answer for the others.
 */
struct picky {
  struct asker asker;
  struct ask ask;               /* what is asked last */
  size_t refused, nr;           /* devices that are refused: first ones */
  size_t joined;
  bool is_under_way, was_cancelled;
  const char *body;             /* of the answer */
};

static struct asked *
picky_ask (struct asker *asker, const struct ask *ask,
           struct clevis_error *err)
{
  struct picky *p = (struct picky *) asker;

  p->ask = *ask;
  p->is_under_way = true;
  return (struct asked *) p;
}

static int
picky_join (struct asked *asked, size_t device, struct clevis_error *err)
{
  ((struct picky *) asked)->joined++;
  return 0;
}

static void
picky_cancel (struct asked *asked)
{
  struct picky *p = (struct picky *) asked;

  p->is_under_way = false;
  p->was_cancelled = true;
}

static int
picky_step (struct asker *asker, int ms, struct clevis_error *err)
{
  CLEANUP_ERROR struct clevis_error why = CLEVIS_ERROR_INIT;
  struct picky *p = (struct picky *) asker;
  const struct answer answer = {
    .error = CLEVIS_ERROR_INIT, .status = 200, .content_type = "",
    .body = p->body, .len = strlen (p->body),
  };

  assert_true (p->is_under_way);
  if (p->refused < p->nr) {
    clevis_error_set (&why, CLEVIS_ERR_LIMIT, "too many servers");
    p->ask.refused (p->refused++, &why, p->ask.opaque);
    return 0;
  }
  p->is_under_way = false;
  p->ask.done (&answer, p->ask.opaque);
  return 0;
}

static void
picky_free (struct asker *asker)
{
}

static const struct asker_type picky_type = {
  .ask = picky_ask, .join = picky_join, .cancel = picky_cancel,
  .step = picky_step, .free = picky_free,
};

/* Three devices have the same server asked, which may be refused to some.  It
 * is asked for the others; and for nobody if it is refused to all.
 */
static void
test_refused_to_some (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  static struct picky picky;
  struct fixture *f = *state;
  CLEANUP_JSON json_t *adv = tang_advertisement (f->key, true);
  CLEANUP_FREE char *body = json_dumps (adv, 0);
  const char *file = new_disk ();
  const struct preflight_leaf *leaf;
  size_t n, i;
  int r;

  bind_tang (f, file, 1, "http://192.0.2.1");
  for (i = 0; i < 3; ++i)
    f->luks[f->nr++] = ready_luks (file);
  for (n = 0; n <= 3; ++n) {
    picky = (struct picky) {
      .asker.type = &picky_type, .nr = n, .body = body,
    };
    f->pf = preflight_new (&picky.asker, NULL, true, &err);
    assert_no_error (&err);
    for (i = 0; i < 3; ++i)
      assert_int_equal (preflight_add (f->pf, f->luks[i], &err), i);
    while ((r = preflight_step (f->pf, 1000, &err)) == 1)
      ;
    assert_int_equal (r, 0);
    assert_int_equal (picky.joined, 2);
    assert_int_equal (picky.refused, n);
    assert_int_equal (picky.was_cancelled, n == 3);
    for (i = 0; i < 3; ++i) {
      leaf = &preflight_device (f->pf, i)->leaves[0];
      if (i < n)
        assert_error (&leaf->error, CLEVIS_ERR_LIMIT, "too many servers");
      else
        assert_no_error (&leaf->error);
      assert_int_equal (leaf->key, i < n ? PREFLIGHT_UNKNOWN
                        : PREFLIGHT_ADVERTISED);
    }
    preflight_free (f->pf);
    f->pf = NULL;
  }
}

static void
test_free_before_it_runs (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  const char *file = new_disk ();

  bind_tang (f, file, 1, server_url (f->a));
  f->luks[f->nr++] = ready_luks (file);
  f->pf = direct_preflight (f->policy, f->keydir, true, &err);
  assert_int_equal (preflight_add (f->pf, f->luks[0], &err), 0);
  preflight_free (f->pf);
  preflight_free (NULL);
  f->pf = NULL;
  assert_int_equal (server_requests (f->a), 0);
}

/* Advertisements. */

static struct advert *
parsed (const json_t *json)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_FREE char *text = json_dumps (json, 0);
  struct advert *adv = advert_parse (text, strlen (text), &err);

  assert_no_error (&err);
  assert_non_null (adv);
  return adv;
}

static void
test_advertisement (void **state)
{
  struct fixture *f = *state;
  CLEANUP_JSON json_t *json = tang_advertisement (f->key, true);
  CLEANUP_JSON json_t *other = tang_key ("P-256");
  CLEANUP_FREE char *s256 = thumbprint (f->key, "S256");
  CLEANUP_FREE char *s1 = thumbprint (f->key, "S1");
  CLEANUP_FREE char *unknown = thumbprint (other, "S256");
  struct advert *adv = parsed (json);

  assert_true (advert_is_signed (adv));
  assert_true (advert_has_key (adv, s256));
  assert_true (advert_has_key (adv, s1));
  assert_false (advert_has_key (adv, unknown));
  assert_false (advert_has_key (adv, ""));
  advert_free (adv);
  advert_free (NULL);
}

/* The key with that thumbprint must be for the exchange. */
static void
test_advertised_signing_key (void **state)
{
  struct fixture *f = *state;
  CLEANUP_JSON json_t *json = tang_advertisement (f->key, true);
  CLEANUP_JSON json_t *payload = jose_b64_dec_load (json_object_get (
    json, "payload"));
  CLEANUP_FREE char *kid = thumbprint (json_array_get (json_object_get (
    payload, "keys"), 0), "S256");
  struct advert *adv = parsed (json);

  assert_false (advert_has_key (adv, kid));
  advert_free (adv);
}

static void
test_advertisement_without_signing_key (void **state)
{
  struct fixture *f = *state;
  CLEANUP_JSON json_t *json = tang_advertisement (f->key, true);
  CLEANUP_JSON json_t *payload = json_pack ("{s:[o]}", "keys",
                                            public_part (f->key));
  struct advert *adv;

  json_object_set_new (json, "payload", jose_b64_enc_dump (payload));
  adv = parsed (json);
  assert_false (advert_is_signed (adv));
  advert_free (adv);
}

/* n times the signature of the only signing key, which is advertised m times. */
static json_t *
much_signed (size_t n, size_t m)
{
  CLEANUP_JSON json_t *signing = json_pack ("{s:s}", "alg", "ES256");
  CLEANUP_JSON json_t *keys = json_array (), *payload = NULL, *text = NULL;
  json_t *jws, *all = json_array ();
  size_t i;

  assert_true (jose_jwk_gen (NULL, signing));
  for (i = 0; i < m; ++i)
    json_array_append_new (keys, public_part (signing));
  payload = json_pack ("{s:O}", "keys", keys);
  text = jose_b64_enc_dump (payload);
  jws = json_pack ("{s:O}", "payload", text);
  assert_true (jose_jws_sig (NULL, jws, NULL, signing));
  for (i = 0; i < n; ++i)
    json_array_append_new (all, json_pack (
      "{s:O, s:O}", "protected", json_object_get (jws, "protected"),
      "signature", json_object_get (jws, "signature")));
  json_object_del (jws, "protected");
  json_object_del (jws, "signature");
  json_object_set_new (jws, "signatures", all);
  return jws;
}

/* Each signature is tried with each key, so both are limited. */
static void
test_advertisement_with_many_signatures (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_JSON json_t *most = much_signed (BOUND_ADV_SIGNERS, BOUND_ADV_SIGNERS);
  CLEANUP_JSON json_t *signers = much_signed (1, BOUND_ADV_SIGNERS + 1);
  CLEANUP_JSON json_t *more = much_signed (BOUND_ADV_SIGNERS + 1, 1);
  CLEANUP_FREE char *text = json_dumps (more, 0);
  struct advert *adv = parsed (most);

  assert_true (advert_is_signed (adv));
  advert_free (adv);
  adv = parsed (signers);
  assert_false (advert_is_signed (adv));
  advert_free (adv);
  assert_null (advert_parse (text, strlen (text), &err));
  assert_error (&err, CLEVIS_ERR_REPLY, "9 signatures, more than 8");
}

static json_t *
signing_key (void)
{
  json_t *key = json_pack ("{s:s}", "alg", "ES256");

  assert_true (jose_jwk_gen (NULL, key));
  return key;
}

/* Who has one of the signing keys cannot put the other into an advertisement:
 * both have to sign.
 */
static void
test_advertisement_of_two_signers (void **state)
{
  CLEANUP_JSON json_t *one = signing_key (), *two = signing_key ();
  CLEANUP_JSON json_t *payload = json_pack ("{s:[o,o]}", "keys",
                                            public_part (one),
                                            public_part (two));
  CLEANUP_JSON json_t *text = jose_b64_enc_dump (payload);
  CLEANUP_JSON json_t *jws = json_pack ("{s:O}", "payload", text);
  json_t *all;
  struct advert *adv;

  assert_true (jose_jws_sig (NULL, jws, NULL, one));
  adv = parsed (jws);
  assert_false (advert_is_signed (adv));
  advert_free (adv);

  assert_true (jose_jws_sig (NULL, jws, NULL, two));
  adv = parsed (jws);
  assert_true (advert_is_signed (adv));
  advert_free (adv);

  /* The second signature is that of the first key, once more. */
  all = json_object_get (jws, "signatures");
  json_array_set (all, 1, json_array_get (all, 0));
  adv = parsed (jws);
  assert_false (advert_is_signed (adv));
  advert_free (adv);
}

/* Nothing that a server says gets to the terminal past what escapes it: libjose
 * would name an algorithm that it does not know.
 */
static void
test_advertisement_is_not_shown (void **state)
{
  CLEANUP_JSON json_t *jws = much_signed (1, 1);
  CLEANUP_JSON json_t *header = json_pack ("{s:s}", "alg", "\033[2Jhello");
  const char *file = tmp_path ("stderr");
  const int before = dup (STDERR_FILENO);
  const int fd = open (file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  CLEANUP_FREE char *written = NULL;
  struct advert *adv;
  bool is_signed;
  size_t len;

  json_object_set_new (json_array_get (json_object_get (jws, "signatures"), 0),
                       "protected", jose_b64_enc_dump (header));
  adv = parsed (jws);
  fflush (stderr);
  assert_true (dup2 (fd, STDERR_FILENO) != -1);
  is_signed = advert_is_signed (adv);
  fflush (stderr);
  dup2 (before, STDERR_FILENO);
  close (before);
  close (fd);
  advert_free (adv);
  assert_false (is_signed);
  written = read_file (file, &len);
  assert_string_equal (written, "");
}

static void
test_bad_advertisements (void **state)
{
  static const char *const texts[] = {
    "", "x", "[]", "{}", "{\"payload\":7}", "{\"payload\":\"!!!!\"}",
    "{\"payload\":\"e30\"}", "{\"payload\":\"W10\"}",
    "{\"payload\":\"eyJrZXlzIjp7fX0\"}",
    "{\"payload\":\"e30\",\"payload\":\"e30\"}",
  };
  size_t i;

  for (i = 0; i < sizeof texts / sizeof texts[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

    assert_null (advert_parse (texts[i], strlen (texts[i]), &err));
    assert_error (&err, CLEVIS_ERR_REPLY, "not an advertisement");
  }
}

#define test(name) cmocka_unit_test_setup_teardown (name, setup, teardown)

int
main (void)
{
  const struct CMUnitTest preflight[] = {
    test (test_advertised),
    test (test_rotated),
    test (test_unadvertised),
    test (test_gone),
    test (test_bad_signature),
    test (test_servers_that_do_not_answer),
    test (test_policy_counts),
    test (test_pins_that_need_no_server),
    test (test_key_folder),
    test (test_unbound),
    test (test_token_that_cannot_be_read),
    test (test_stale_token),
    test (test_verdicts),
    test (test_two_tokens),
    test (test_server_is_asked_once),
    test (test_deadline),
    test (test_temporary_faults_are_tried_again),
    test (test_a_server_gets_so_many_at_a_time),
    test (test_all_get_their_turn),
    test (test_refused_to_some),
    test (test_free_before_it_runs),
    test (test_advertisement),
    test (test_advertised_signing_key),
    test (test_advertisement_without_signing_key),
    test (test_advertisement_with_many_signatures),
    test (test_advertisement_of_two_signers),
    test (test_advertisement_is_not_shown),
    test (test_bad_advertisements),
  };

  return run_unit_tests (preflight);
}
