/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of request.c and http.c: what is asked, how often, and what becomes
 * of the answers of servers that misbehave in every way that there is.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/clock.h"
#include "jose/ecmr.h"
#include "tang/keydir.h"
#include "exchange/question.h"
#include "testlib/testlib-jwe.h"
#include "testlib/testlib-server.h"

/* Milliseconds: how long a request may take where it is to take too long, and
 * how much longer it may be until that is noticed; and how long elsewhere.
 */
#define TIMEOUT 400
#define TOLERANCE 500
#define LONG_TIMEOUT 20000

/* curl counts whole milliseconds. */
#define EARLY 10

/* One question and what became of it. */
struct asked {
  json_t *key;                  /* s and S */
  json_t *server, *epk, *k;     /* k: the answer */
  char *kid;
  struct url *url;
  struct waiter *waiter;
  struct clevis_error err;
  char *address;
  int done;                     /* times that done was called */
  size_t device;                /* that asks */
};

/* What each test has. */
struct fixture {
  json_t *key;                  /* of the server */
  struct server *server;
  struct policy *policy;
  struct questions *rs;
};

static int
setup (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = calloc (1, sizeof *f);

  f->key = tang_key ("P-256");
  f->server = server_start (f->key, FAULT_NONE);
  f->policy = loopback_policy ();
  policy_settings (f->policy)->timeout = LONG_TIMEOUT;
  policy_settings (f->policy)->retries = 0;
  f->rs = direct_questions (f->policy, NULL, &err);
  assert_no_error (&err);
  *state = f;
  return 0;
}

static int
teardown (void **state)
{
  struct fixture *f = *state;

  questions_free (f->rs);
  policy_free (f->policy);
  server_stop (f->server);
  json_decref (f->key);
  free (f);
  return 0;
}

/* A question about a random C, for a server at url that has key. */
static struct asked
question (const char *url, const json_t *key)
{
  const struct clevis_error empty = CLEVIS_ERROR_INIT;
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_JSON json_t *c = tang_key (json_string_value (
    json_object_get (key, "crv")));
  struct asked a = { .err = empty };

  a.key = json_deep_copy (key);
  a.server = ecmr_public (key, "key", CLEVIS_ERR_TOKEN, &err);
  a.epk = ecmr_public (c, "epk", CLEVIS_ERR_TOKEN, &err);
  a.kid = thumbprint (key, "S256");
  a.url = url_parse (url, &err);
  assert_no_error (&err);
  return a;
}

static void
cleanup_asked (struct asked *a)
{
  json_decref (a->key);
  json_decref (a->server);
  json_decref (a->epk);
  json_decref (a->k);
  free (a->kid);
  url_free (a->url);
  clevis_error_clear (&a->err);
  free (a->address);
}

#define ASKED __attribute__ ((cleanup (cleanup_asked))) struct asked

static void
done (const json_t *k, const struct clevis_error *err, const char *address,
      void *opaque)
{
  struct asked *a = opaque;

  a->done++;
  a->waiter = NULL;
  a->k = k ? json_deep_copy (k) : NULL;
  clevis_error_copy (&a->err, err);
  a->address = address ? strdup (address) : NULL;
}

static void
ask (struct fixture *f, struct asked *a)
{
  const struct pin_query query = {
    .url = a->url, .kid = a->kid, .server = a->server, .epk = a->epk,
    .device = a->device,
  };

  a->waiter = questions_ask (f->rs, &query, done, a, &a->err);
}

/* Go on until a question has ended. */
static void
wait_for (struct fixture *f, struct asked *a)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  while (a->waiter && questions_step (f->rs, 10000, &err) == 0)
    ;
  assert_no_error (&err);
}

static void
ask_and_wait (struct fixture *f, struct asked *a)
{
  ask (f, a);
  wait_for (f, a);
}

/* K is s·C. */
static void
assert_answered (const struct asked *a)
{
  CLEANUP_JSON json_t *expected = tang_answer (a->key, a->epk);

  assert_no_error (&a->err);
  assert_int_equal (a->done, 1);
  assert_string_equal (json_string_value (json_object_get (a->k, "x")),
                       json_string_value (json_object_get (expected, "x")));
}

static void
assert_failed (const struct asked *a, enum clevis_code code,
               const char *message)
{
  assert_null (a->k);
  assert_error (&a->err, code, message);
}

/* Replace the requests, so that changes of the settings count. */
static void
renew (struct fixture *f)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  questions_free (f->rs);
  f->rs = direct_questions (f->policy, NULL, &err);
  assert_no_error (&err);
}

static void
test_answer (void **state)
{
  struct fixture *f = *state;
  ASKED a = question (server_url (f->server), f->key);
  CLEANUP_FREE char *path = NULL, *expected = NULL;

  ask (f, &a);
  assert_int_equal (a.done, 0);
  wait_for (f, &a);
  assert_answered (&a);
  assert_string_equal (a.address, "127.0.0.1");
  assert_int_equal (server_requests (f->server), 1);
  path = server_path (f->server);
  assert_int_not_equal (asprintf (&expected, "/rec/%s", a.kid), -1);
  assert_string_equal (path, expected);
}

static void
test_every_curve (void **state)
{
  static const char *const curves[] = { "P-256", "P-384", "P-521" };
  struct fixture *f = *state;
  size_t i;

  for (i = 0; i < 3; ++i) {
    CLEANUP_JSON json_t *key = tang_key (curves[i]);
    struct server *server = server_start (key, FAULT_NONE);
    ASKED a = question (server_url (server), key);

    ask_and_wait (f, &a);
    server_stop (server);
    assert_answered (&a);
  }
}

static void
test_path_of_the_url_is_kept (void **state)
{
  struct fixture *f = *state;
  char url[128];
  CLEANUP_FREE char *path = NULL;

  snprintf (url, sizeof url, "%s/a/b/", server_url (f->server));
  {
    ASKED a = question (url, f->key);

    ask_and_wait (f, &a);
    assert_answered (&a);
  }
  path = server_path (f->server);
  assert_int_equal (strncmp (path, "/a/b/rec/", 9), 0);
}

/* Faults, what is to be said of them, and whether they last as long as the
 * timeout.
 */
static const struct {
  enum fault fault;
  enum clevis_code code;
  const char *message;
  bool times_out;
} faults[] = {
  { FAULT_BLACK_HOLE, CLEVIS_ERR_UNREACHABLE,
    "no whole reply within 0.4 seconds", true },
  { FAULT_SLOW, CLEVIS_ERR_UNREACHABLE, "no whole reply", true },
  { FAULT_CLOSE, CLEVIS_ERR_UNREACHABLE, "closed the connection", false },
  { FAULT_RESET, CLEVIS_ERR_UNREACHABLE, "closed the connection", false },
  { FAULT_CLOSE_STATUS, CLEVIS_ERR_UNREACHABLE, "closed the connection",
    false },
  { FAULT_CLOSE_HEADERS, CLEVIS_ERR_UNREACHABLE, "closed the connection",
    false },
  { FAULT_PARTIAL, CLEVIS_ERR_UNREACHABLE, "closed the connection", false },
  { FAULT_NO_KEY, CLEVIS_ERR_NO_KEY, "does not have the key", false },
  { FAULT_ERROR, CLEVIS_ERR_HTTP, "HTTP status 500", false },
  { FAULT_BUSY, CLEVIS_ERR_HTTP, "HTTP status 503", false },
  { FAULT_REDIRECT, CLEVIS_ERR_HTTP, "redirects, which is not followed",
    false },
  { FAULT_EMPTY, CLEVIS_ERR_REPLY, "not a JSON object", false },
  { FAULT_HTML, CLEVIS_ERR_REPLY, "content type \"text/html\"", false },
  { FAULT_NO_TYPE, CLEVIS_ERR_REPLY, "content type \"\"", false },
  { FAULT_TYPE_SUFFIX, CLEVIS_ERR_REPLY, "content type", false },
  { FAULT_NOT_HTTP, CLEVIS_ERR_REPLY, "did not answer with HTTP", false },
  { FAULT_NOT_TEXT, CLEVIS_ERR_REPLY, "did not answer with HTTP", false },
  { FAULT_HUGE, CLEVIS_ERR_REPLY, "larger than 65536", false },
  { FAULT_ENDLESS_BODY, CLEVIS_ERR_REPLY, "larger than 65536", false },
  { FAULT_ONE_MORE, CLEVIS_ERR_REPLY, "larger than 65536", false },
  { FAULT_ENDLESS_HEADERS, CLEVIS_ERR_REPLY, "larger than 65536", false },
  { FAULT_LONG_HEADER, CLEVIS_ERR_REPLY, "header of the reply is too long",
    false },
  { FAULT_1XX_FLOOD, CLEVIS_ERR_REPLY, "larger than 65536", false },
  { FAULT_NOT_JSON, CLEVIS_ERR_REPLY, "not a JSON object", false },
  { FAULT_ARRAY, CLEVIS_ERR_REPLY, "not a JSON object", false },
  { FAULT_CURVE, CLEVIS_ERR_REPLY, "on curve P-384, the key on P-256",
    false },
  { FAULT_OFF_CURVE, CLEVIS_ERR_REPLY, "not a usable point", false },
  { FAULT_GZIP, CLEVIS_ERR_REPLY, "not a JSON object", false },
};

/* Ask a server with fault i; returns the milliseconds that it took. */
static double
ask_faulty (struct fixture *f, size_t i)
{
  ASKED a = question (server_url (f->server), f->key);
  int before = server_requests (f->server);
  double start = clock_now (), ms;

  policy_settings (f->policy)->timeout =
    faults[i].times_out ? TIMEOUT : LONG_TIMEOUT;
  server_set_fault (f->server, faults[i].fault);
  ask_and_wait (f, &a);
  ms = (clock_now () - start) * 1000;
  if (a.err.code != faults[i].code)
    print_error ("fault %d\n", (int) faults[i].fault);
  assert_failed (&a, faults[i].code, faults[i].message);
  /* Nothing of a reply's body is shown. */
  assert_null (strstr (a.err.message, "Log in"));
  assert_null (strstr (a.err.message, "SSH"));
  assert_int_equal (a.done, 1);
  assert_int_equal (server_requests (f->server), before + 1);
  if (faults[i].times_out)
    assert_true (ms >= TIMEOUT - EARLY);
  return ms;
}

/* A machine that has much else to do may be late once, not three times. */
static void
test_faults (void **state)
{
  size_t i, late;
  double ms;

  for (i = 0; i < sizeof faults / sizeof faults[0]; ++i)
    for (late = 0;; ++late) {
      ms = ask_faulty (*state, i);
      if (ms <= TIMEOUT + TOLERANCE)
        break;
      if (late == 2)
        fail_msg ("fault %d took %.0f ms", (int) faults[i].fault, ms);
    }
}

static void
test_http_status_is_in_the_error (void **state)
{
  struct fixture *f = *state;
  ASKED a = question (server_url (f->server), f->key);

  server_set_fault (f->server, FAULT_ERROR);
  ask_and_wait (f, &a);
  assert_int_equal (a.err.http_status, 500);
}

static void
test_not_http_has_a_hint (void **state)
{
  struct fixture *f = *state;
  ASKED a = question (server_url (f->server), f->key);
  char port[32];

  server_set_fault (f->server, FAULT_NOT_HTTP);
  ask_and_wait (f, &a);
  assert_failed (&a, CLEVIS_ERR_REPLY, "did not answer with HTTP");
  snprintf (port, sizeof port, "port %d", server_port (f->server));
  assert_contains (a.err.hint, port);
}

/* The address is known also where a connection is used again. */
static void
test_address_on_a_kept_connection (void **state)
{
  struct fixture *f = *state;
  int i;

  server_keep_alive (f->server);
  server_set_fault (f->server, FAULT_NO_KEY);
  for (i = 0; i < 2; ++i) {
    ASKED a = question (server_url (f->server), f->key);

    ask_and_wait (f, &a);
    assert_failed (&a, CLEVIS_ERR_NO_KEY, NULL);
    assert_string_equal (a.address, "127.0.0.1");
  }
  assert_int_equal (server_requests (f->server), 2);
  assert_int_equal (server_connections (f->server), 1);
}

/* What looks odd but is right. */
static void
test_answers_that_are_taken (void **state)
{
  static const enum fault kinds[] = { FAULT_OWN_D, FAULT_TYPE_PARAMETER };
  struct fixture *f = *state;
  size_t i;

  for (i = 0; i < 2; ++i) {
    ASKED a = question (server_url (f->server), f->key);

    server_set_fault (f->server, kinds[i]);
    ask_and_wait (f, &a);
    assert_answered (&a);
    assert_null (json_object_get (a.k, "d"));
  }
}

/* A point of the curve that is not the answer gives another K; that shows when
 * it does not decrypt.
 */
static void
test_answers_of_another_key (void **state)
{
  static const enum fault kinds[] = { FAULT_OTHER_KEY, FAULT_ECHO };
  struct fixture *f = *state;
  size_t i;

  for (i = 0; i < 2; ++i) {
    ASKED a = question (server_url (f->server), f->key);
    CLEANUP_JSON json_t *k = tang_answer (f->key, a.epk);

    server_set_fault (f->server, kinds[i]);
    ask_and_wait (f, &a);
    assert_no_error (&a.err);
    assert_string_not_equal (
      json_string_value (json_object_get (a.k, "x")),
      json_string_value (json_object_get (k, "x")));
  }
}

static void
test_closed_port (void **state)
{
  struct fixture *f = *state;
  double start = clock_now ();
  int fd;
  ASKED a = question (closed_port (&fd), f->key);

  ask_and_wait (f, &a);
  close (fd);
  assert_failed (&a, CLEVIS_ERR_UNREACHABLE, "refused");
  assert_contains (a.err.hint, "firewall");
  assert_string_equal (a.address, "127.0.0.1");
  assert_true (clock_now () - start < 5);
}

/* The policy. */

static void
test_loopback_is_refused_by_default (void **state)
{
  struct fixture *f = *state;
  ASKED a = question (server_url (f->server), f->key);

  policy_free (f->policy);
  f->policy = policy_new ();
  renew (f);
  ask_and_wait (f, &a);
  assert_failed (&a, CLEVIS_ERR_POLICY, "loopback");
  assert_int_equal (server_requests (f->server), 0);
}

/* A name that leads to an address which only shows when it is connected to. */
static void
ask_by_name (struct fixture *f, const char *allow, struct asked *a)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  char url[64], resolve[64];

  snprintf (url, sizeof url, "http://tang.test:%d", server_port (f->server));
  snprintf (resolve, sizeof resolve, "tang.test:%d:127.0.0.1",
            server_port (f->server));
  policy_free (f->policy);
  f->policy = policy_new ();
  policy_settings (f->policy)->no_proxy = strdup ("*");
  policy_settings (f->policy)->retries = 20;    /* which take a minute */
  policy_resolve (f->policy, resolve, &err);
  if (allow)
    policy_allow (f->policy, allow, &err);
  assert_no_error (&err);
  renew (f);
  *a = question (url, f->key);
  ask_and_wait (f, a);
}

static void
test_address_is_judged_when_it_is_connected_to (void **state)
{
  struct fixture *f = *state;
  ASKED by_default = { .done = 0 }, by_name = { .done = 0 };
  ASKED by_address = { .done = 0 };

  ask_by_name (f, NULL, &by_default);
  assert_failed (&by_default, CLEVIS_ERR_POLICY, "127.0.0.1 is in the "
                 "loopback range");
  ask_by_name (f, "tang.test", &by_name);
  assert_failed (&by_name, CLEVIS_ERR_POLICY, "loopback");
  assert_null (by_default.address);
  assert_null (by_name.address);
  assert_int_equal (server_requests (f->server), 0);
  ask_by_name (f, "127.0.0.0/8", &by_address);
  assert_answered (&by_address);
  /* Not even a connection was made before. */
  assert_int_equal (server_connections (f->server), 1);
}

/* The user has one server asked in place of another one.  The connection to it
 * is still there when the disk names it by itself, which it may not.
 */
static void
test_connection_of_the_user_is_not_reused (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  const int port = server_port (f->server);
  char url[64], resolve[64], map[96];
  ASKED mapped = question ("http://tang.example.com", f->key);
  ASKED direct = { .done = 0 };

  snprintf (url, sizeof url, "http://tang.test:%d", port);
  snprintf (resolve, sizeof resolve, "tang.test:%d:127.0.0.1", port);
  snprintf (map, sizeof map, "tang.example.com=%s", url);
  server_keep_alive (f->server);
  policy_free (f->policy);
  f->policy = policy_new ();
  policy_settings (f->policy)->no_proxy = strdup ("*");
  policy_resolve (f->policy, resolve, &err);
  policy_map (f->policy, map, &err);
  assert_no_error (&err);
  renew (f);
  ask_and_wait (f, &mapped);
  assert_answered (&mapped);
  direct = question (url, f->key);
  ask_and_wait (f, &direct);
  assert_failed (&direct, CLEVIS_ERR_POLICY, "loopback");
  assert_int_equal (server_requests (f->server), 1);
}

static void
test_refusal_is_not_tried_again (void **state)
{
  struct fixture *f = *state;
  double start = clock_now ();
  ASKED a = { .done = 0 };

  ask_by_name (f, NULL, &a);
  assert_failed (&a, CLEVIS_ERR_POLICY, "loopback");
  assert_true (clock_now () - start < 5);
}

static void
test_mapped_server (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  CLEANUP_FREE char *map = NULL, *path = NULL;
  ASKED a = question ("https://tang.example.com/old/x", f->key);

  /* The map is the user's word, which needs no other. */
  policy_free (f->policy);
  f->policy = policy_new ();
  policy_settings (f->policy)->no_proxy = strdup ("*");
  assert_int_not_equal (asprintf (&map, "tang.example.com/old=%s/new",
                                  server_url (f->server)), -1);
  policy_map (f->policy, map, &err);
  assert_no_error (&err);
  renew (f);
  ask_and_wait (f, &a);
  assert_answered (&a);
  path = server_path (f->server);
  assert_int_equal (strncmp (path, "/new/x/rec/", 11), 0);
}

/* Through a proxy the server is named in the request line. */
static void
test_proxy (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  CLEANUP_FREE char *path = NULL;
  ASKED refused = question ("http://tang.example.com", f->key);
  ASKED allowed = question ("http://tang.example.com", f->key);
  static const char expected[] = "http://tang.example.com/rec/";

  policy_free (f->policy);
  f->policy = policy_new ();
  policy_settings (f->policy)->proxy = strdup (server_url (f->server));
  policy_settings (f->policy)->no_proxy = strdup ("");
  renew (f);
  ask_and_wait (f, &refused);
  assert_failed (&refused, CLEVIS_ERR_POLICY, "a proxy would resolve");
  assert_int_equal (server_requests (f->server), 0);

  policy_allow (f->policy, "tang.example.com", &err);
  renew (f);
  ask_and_wait (f, &allowed);
  assert_answered (&allowed);
  path = server_path (f->server);
  assert_int_equal (strncmp (path, expected, sizeof expected - 1), 0);
}

/* Further tries. */

static void
test_temporary_faults_are_tried_again (void **state)
{
  static const enum fault kinds[] = {
    FAULT_ERROR, FAULT_CLOSE, FAULT_RESET, FAULT_PARTIAL, FAULT_BLACK_HOLE,
  };
  struct fixture *f = *state;
  size_t i;

  policy_settings (f->policy)->retries = 1;
  for (i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
    ASKED a = question (server_url (f->server), f->key);
    int before = server_requests (f->server);

    if (kinds[i] == FAULT_BLACK_HOLE)
      policy_settings (f->policy)->timeout = TIMEOUT;
    server_fault_for (f->server, 1, kinds[i], FAULT_NONE);
    ask_and_wait (f, &a);
    assert_answered (&a);
    assert_int_equal (server_requests (f->server), before + 2);
  }
}

static void
test_lasting_faults_are_not (void **state)
{
  static const enum fault kinds[] = {
    FAULT_NO_KEY, FAULT_REDIRECT, FAULT_HTML, FAULT_NOT_JSON, FAULT_CURVE,
    FAULT_HUGE, FAULT_NOT_HTTP,
  };
  struct fixture *f = *state;
  size_t i;

  policy_settings (f->policy)->retries = 5;
  for (i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
    ASKED a = question (server_url (f->server), f->key);

    server_set_fault (f->server, kinds[i]);
    ask_and_wait (f, &a);
    assert_null (a.k);
    assert_int_equal (server_requests (f->server), i + 1);
  }
}

static void
test_number_of_tries (void **state)
{
  struct fixture *f = *state;
  int retries;

  for (retries = 0; retries <= 2; ++retries) {
    ASKED a = question (server_url (f->server), f->key);
    int before = server_requests (f->server);

    policy_settings (f->policy)->retries = retries;
    server_set_fault (f->server, FAULT_ERROR);
    ask_and_wait (f, &a);
    assert_failed (&a, CLEVIS_ERR_HTTP, "500");
    assert_int_equal (server_requests (f->server), before + 1 + retries);
  }
}

static void
test_server_says_when_to_come_back (void **state)
{
  struct fixture *f = *state;
  ASKED a = question (server_url (f->server), f->key);
  double start = clock_now ();

  policy_settings (f->policy)->retries = 1;
  server_fault_for (f->server, 1, FAULT_BUSY, FAULT_NONE);
  ask_and_wait (f, &a);
  assert_answered (&a);
  assert_true (clock_now () - start >= 1 - EARLY / 1000.0);
}

/* Time. */

static void
test_deadline (void **state)
{
  struct fixture *f = *state;
  ASKED a = question (server_url (f->server), f->key);
  double start = clock_now (), ms;

  policy_settings (f->policy)->deadline = 300;
  server_set_fault (f->server, FAULT_BLACK_HOLE);
  ask_and_wait (f, &a);
  ms = (clock_now () - start) * 1000;
  assert_failed (&a, CLEVIS_ERR_UNREACHABLE, "deadline of 0.3 seconds");
  assert_string_equal (a.address, "127.0.0.1");
  assert_true (ms >= 300 - EARLY && ms < 5000);
}

/* The server wants to be asked again in a second, when it will be too late. */
static void
test_no_try_beyond_the_deadline (void **state)
{
  struct fixture *f = *state;
  ASKED a = question (server_url (f->server), f->key);

  policy_settings (f->policy)->retries = 1;
  policy_settings (f->policy)->deadline = 950;
  server_set_fault (f->server, FAULT_BUSY);
  ask_and_wait (f, &a);
  assert_failed (&a, CLEVIS_ERR_HTTP, "503");
  assert_int_equal (server_requests (f->server), 1);
}

/* The deadline comes while a further try is under way, or before it: what the
 * last try has ended with decides, not the moment.
 */
static void
test_deadline_after_a_failed_try (void **state)
{
  static const enum fault further[] = { FAULT_BLACK_HOLE, FAULT_ERROR };
  struct fixture *f = *state;
  size_t i;

  policy_settings (f->policy)->retries = 100;
  for (i = 0; i < sizeof further / sizeof further[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    ASKED a = question (server_url (f->server), f->key);

    questions_free (f->rs);
    policy_settings (f->policy)->deadline = 1000 * time_factor ();
    f->rs = direct_questions (f->policy, NULL, &err);
    server_fault_for (f->server, 1, FAULT_ERROR, further[i]);
    ask_and_wait (f, &a);
    assert_failed (&a, CLEVIS_ERR_HTTP, "500");
    assert_int_equal (a.err.http_status, 500);
    assert_string_equal (a.address, "127.0.0.1");
  }
}

static void
test_step_waits_no_longer_than_told (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  ASKED a = question (server_url (f->server), f->key);
  double start;

  server_set_fault (f->server, FAULT_BLACK_HOLE);
  ask (f, &a);
  assert_int_equal (questions_step (f->rs, 10, &err), 0);
  start = clock_now ();
  assert_int_equal (questions_step (f->rs, 100, &err), 0);
  assert_true (clock_now () - start < 5);
  assert_int_equal (a.done, 0);
}

static void *
call_wakeup (void *opaque)
{
  struct fixture *f = opaque;

  while (server_requests (f->server) == 0)
    usleep (1000);
  questions_wakeup (f->rs);
  return NULL;
}

static void
test_wakeup (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  ASKED a = question (server_url (f->server), f->key);
  double start = clock_now ();
  pthread_t thread;
  int i;

  policy_settings (f->policy)->deadline = 20000;
  server_set_fault (f->server, FAULT_BLACK_HOLE);
  ask (f, &a);
  assert_int_equal (pthread_create (&thread, NULL, call_wakeup, f), 0);
  /* A few steps are for connecting and sending. */
  for (i = 0; server_requests (f->server) == 0; ++i)
    assert_int_equal (questions_step (f->rs, 20, &err), 0);
  assert_int_equal (questions_step (f->rs, 20000, &err), 0);
  assert_int_equal (pthread_join (thread, NULL), 0);
  assert_true (clock_now () - start < 10);
  assert_int_equal (a.done, 0);
}

/* Several questions. */

static void
test_equal_questions_are_asked_once (void **state)
{
  struct fixture *f = *state;
  ASKED a = question (server_url (f->server), f->key);
  ASKED b = { .done = 0 };

  b = question (server_url (f->server), f->key);
  json_decref (b.epk);
  b.epk = json_deep_copy (a.epk);
  ask (f, &a);
  ask (f, &b);
  wait_for (f, &a);
  wait_for (f, &b);
  assert_answered (&a);
  assert_answered (&b);
  assert_int_equal (server_requests (f->server), 1);
}

static void
test_different_questions_are_not (void **state)
{
  struct fixture *f = *state;
  ASKED a = question (server_url (f->server), f->key);
  ASKED b = question (server_url (f->server), f->key);

  ask (f, &a);
  ask (f, &b);
  wait_for (f, &a);
  wait_for (f, &b);
  assert_answered (&a);
  assert_answered (&b);
  assert_int_equal (server_requests (f->server), 2);
}

/* Servers that are to have the same key do not answer for each other, or the
 * first to answer would speak for all.
 */
static void
test_servers_are_asked_each (void **state)
{
  struct fixture *f = *state;
  struct server *other = server_start (f->key, FAULT_NO_KEY);
  ASKED a = question (server_url (other), f->key);
  ASKED b = question (server_url (f->server), f->key);

  json_decref (b.epk);
  b.epk = json_deep_copy (a.epk);
  ask (f, &a);
  ask (f, &b);
  wait_for (f, &a);
  wait_for (f, &b);
  assert_failed (&a, CLEVIS_ERR_NO_KEY, "does not have the key");
  assert_answered (&b);
  assert_int_equal (server_requests (other), 1);
  assert_int_equal (server_requests (f->server), 1);
  server_stop (other);
}

/* A question that is asked again by the one who is being told. */
struct again {
  struct fixture *f;
  struct asked *first, *second;
};

static void
done_ask_again (const json_t *k, const struct clevis_error *err,
                const char *address, void *opaque)
{
  struct again *again = opaque;

  done (k, err, address, again->first);
  ask (again->f, again->second);
}

/* It is asked of the server again, and not answered with what has come. */
static void
test_asked_again_while_it_is_answered (void **state)
{
  struct fixture *f = *state;
  ASKED a = question (server_url (f->server), f->key);
  ASKED b = question (server_url (f->server), f->key);
  struct again again = { .f = f, .first = &a, .second = &b };
  const struct pin_query query = {
    .url = a.url, .kid = a.kid, .server = a.server, .epk = a.epk,
  };

  json_decref (b.epk);
  b.epk = json_deep_copy (a.epk);
  server_fault_for (f->server, 1, FAULT_ERROR, FAULT_NONE);
  a.waiter = questions_ask (f->rs, &query, done_ask_again, &again, &a.err);
  wait_for (f, &a);
  assert_failed (&a, CLEVIS_ERR_HTTP, "500");
  assert_int_equal (b.done, 0);
  wait_for (f, &b);
  assert_answered (&b);
  assert_int_equal (server_requests (f->server), 2);
}

static void
test_one_of_two_who_ask_the_same_goes_away (void **state)
{
  struct fixture *f = *state;
  ASKED a = question (server_url (f->server), f->key);
  ASKED b = question (server_url (f->server), f->key);

  json_decref (b.epk);
  b.epk = json_deep_copy (a.epk);
  ask (f, &a);
  ask (f, &b);
  question_forget (a.waiter);
  wait_for (f, &b);
  assert_answered (&b);
  assert_int_equal (a.done, 0);
}

static void
test_question_that_nobody_asks_any_more (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  ASKED a = question (server_url (f->server), f->key);
  ASKED b = question (server_url (f->server), f->key);

  ask (f, &a);
  ask (f, &b);
  question_forget (a.waiter);
  question_forget (NULL);
  wait_for (f, &b);
  assert_answered (&b);
  assert_int_equal (server_requests (f->server), 1);

  /* The same while it is under way. */
  server_set_fault (f->server, FAULT_BLACK_HOLE);
  ask (f, &a);
  while (server_requests (f->server) < 2)
    assert_int_equal (questions_step (f->rs, 20, &err), 0);
  question_forget (a.waiter);
  assert_int_equal (questions_step (f->rs, 20, &err), 0);
  assert_int_equal (a.done, 0);
}

/* Then another one has its turn. */
static void
test_question_makes_room (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  ASKED a = question (server_url (f->server), f->key);
  ASKED b = question (server_url (f->server), f->key);

  policy_settings (f->policy)->parallel = 1;
  server_fault_for (f->server, 1, FAULT_BLACK_HOLE, FAULT_NONE);
  ask (f, &a);
  while (server_requests (f->server) < 1)
    assert_int_equal (questions_step (f->rs, 20, &err), 0);
  ask (f, &b);
  question_forget (a.waiter);
  wait_for (f, &b);
  assert_answered (&b);
}

/* They are open at the same time: the server answers none before. */
static void
test_questions_are_asked_in_parallel (void **state)
{
  struct fixture *f = *state;
  struct asked a[8];
  size_t i;

  server_gather (f->server, 8);
  for (i = 0; i < 8; ++i)
    a[i] = question (server_url (f->server), f->key);
  for (i = 0; i < 8; ++i)
    ask (f, &a[i]);
  for (i = 0; i < 8; ++i) {
    wait_for (f, &a[i]);
    assert_answered (&a[i]);
    cleanup_asked (&a[i]);
  }
  assert_int_equal (server_most_open (f->server), 8);
}

/* Three are open at the same time, and no more are sent meanwhile. */
static void
test_a_server_gets_so_many_at_a_time (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  struct asked a[12];
  double start;
  size_t i;

  policy_settings (f->policy)->parallel = 3;
  server_set_fault (f->server, FAULT_BLACK_HOLE);
  for (i = 0; i < 12; ++i)
    a[i] = question (server_url (f->server), f->key);
  for (i = 0; i < 12; ++i)
    ask (f, &a[i]);
  while (server_requests (f->server) < 3)
    assert_int_equal (questions_step (f->rs, 20, &err), 0);
  for (start = clock_now (); clock_now () - start < 0.2;)
    assert_int_equal (questions_step (f->rs, 20, &err), 0);
  assert_int_equal (server_requests (f->server), 3);
  for (i = 0; i < 12; ++i) {
    question_forget (a[i].waiter);
    cleanup_asked (&a[i]);
  }
}

/* Those that wait get their turn. */
static void
test_all_get_their_turn (void **state)
{
  struct fixture *f = *state;
  struct asked a[12];
  size_t i;

  policy_settings (f->policy)->parallel = 3;
  for (i = 0; i < 12; ++i)
    a[i] = question (server_url (f->server), f->key);
  for (i = 0; i < 12; ++i)
    ask (f, &a[i]);
  for (i = 0; i < 12; ++i) {
    wait_for (f, &a[i]);
    assert_answered (&a[i]);
    cleanup_asked (&a[i]);
  }
}

/* Another server does not wait for the busy one. */
static void
test_limit_is_of_each_server (void **state)
{
  struct fixture *f = *state;
  struct server *hole = server_start (NULL, FAULT_BLACK_HOLE);
  ASKED a = question (server_url (hole), f->key);
  ASKED b = question (server_url (f->server), f->key);
  double start = clock_now ();

  policy_settings (f->policy)->parallel = 1;
  ask (f, &a);
  ask (f, &b);
  wait_for (f, &b);
  assert_answered (&b);
  assert_true (clock_now () - start < 10);
  question_forget (a.waiter);
  server_stop (hole);
}

/* Go on until a server has so many requests at a time, and for a moment more. */
static void
assert_most_open (struct fixture *f, struct server *server, int n)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const double until = clock_now () + 60;
  int i;

  while (server_most_open (server) < n && clock_now () < until)
    assert_int_equal (questions_step (f->rs, 5, &err), 0);
  for (i = 0; i < 20; ++i)
    assert_int_equal (questions_step (f->rs, 5, &err), 0);
  assert_int_equal (server_most_open (server), n);
}

/* Many questions of device 0 to a server that never answers. */
static void
ask_in_vain (struct fixture *f, struct asked *asked, int n,
             const struct server *hole)
{
  int i;

  for (i = 0; i < n; ++i) {
    asked[i] = question (server_url (hole), f->key);
    ask (f, &asked[i]);
  }
}

/* Renew, where there are descriptors for so many requests at a time. */
static void
renew_for (struct fixture *f, int n)
{
  struct rlimit files, less;

  assert_int_equal (getrlimit (RLIMIT_NOFILE, &files), 0);
  less = files;
  less.rlim_cur = BOUND_TRANSFER_FILES * 2 * n + 3;
  assert_int_equal (setrlimit (RLIMIT_NOFILE, &less), 0);
  renew (f);
  setrlimit (RLIMIT_NOFILE, &files);
}

/* There is a limit for the whole run, however many a server may get. */
static void
test_limit_of_the_run (void **state)
{
  struct fixture *f = *state;
  struct server *hole = server_start (f->key, FAULT_BLACK_HOLE);
  struct asked asked[BOUND_TRANSFERS + 20];
  size_t i;
  int n = BOUND_TRANSFERS + 20;

  policy_settings (f->policy)->parallel = 256;
  ask_in_vain (f, asked, n, hole);
  assert_most_open (f, hole, BOUND_TRANSFERS);
  server_stop (hole);

  /* With fewer descriptors it is less. */
  renew_for (f, 10);
  hole = server_start (f->key, FAULT_BLACK_HOLE);
  for (i = 0; i < (size_t) n; ++i)
    cleanup_asked (&asked[i]);
  ask_in_vain (f, asked, n, hole);
  assert_most_open (f, hole, 10);
  questions_free (f->rs);
  f->rs = NULL;
  for (i = 0; i < (size_t) n; ++i)
    cleanup_asked (&asked[i]);
  server_stop (hole);
}

/* Each device may have one under way, but not if there are more devices than
 * that.
 */
static void
test_limit_of_the_run_for_many_devices (void **state)
{
  enum { LIMIT = 10, N = 30 };
  struct fixture *f = *state;
  struct server *hole = server_start (f->key, FAULT_BLACK_HOLE);
  struct asked asked[N];
  size_t i;

  renew_for (f, LIMIT);
  for (i = 0; i < N; ++i) {
    asked[i] = question (server_url (hole), f->key);
    asked[i].device = i;
    ask (f, &asked[i]);
  }
  assert_most_open (f, hole, LIMIT);
  questions_free (f->rs);
  f->rs = NULL;
  for (i = 0; i < N; ++i)
    cleanup_asked (&asked[i]);
  server_stop (hole);
}

/* A device that has as much as it can get under way gets no more while another
 * one waits for an answer, too.
 */
static void
test_part_of_a_device (void **state)
{
  enum { LIMIT = 10, N = 20 };
  struct fixture *f = *state;
  struct server *hole = server_start (f->key, FAULT_BLACK_HOLE);
  struct server *other = server_start (f->key, FAULT_BLACK_HOLE);
  ASKED waits = question (server_url (other), f->key);
  struct asked asked[N];
  int i;

  renew_for (f, LIMIT);
  waits.device = 1;
  ask (f, &waits);
  assert_most_open (f, other, 1);
  ask_in_vain (f, asked, N, hole);
  assert_most_open (f, hole, LIMIT / 2);
  questions_free (f->rs);
  f->rs = NULL;
  for (i = 0; i < N; ++i)
    cleanup_asked (&asked[i]);
  server_stop (hole);
  server_stop (other);
}

/* Each device gets its part of that, whoever came first; also for a question
 * that another one has asked already.
 */
static void
test_devices_get_the_same_part (void **state)
{
  struct fixture *f = *state;
  struct server *hole = server_start (f->key, FAULT_BLACK_HOLE);
  ASKED shared = question (server_url (f->server), f->key);
  ASKED second = question (server_url (f->server), f->key);
  ASKED earlier = question (server_url (f->server), f->key);
  ASKED later = question (server_url (f->server), f->key);
  ASKED own = question (server_url (f->server), f->key);
  struct asked asked[BOUND_TRANSFERS + 20];
  int i, n = BOUND_TRANSFERS + 20;

  policy_settings (f->policy)->parallel = 256;
  ask_in_vain (f, asked, n, hole);
  ask (f, &shared);
  json_decref (second.epk);
  second.epk = json_deep_copy (shared.epk);
  json_decref (later.epk);
  later.epk = json_deep_copy (earlier.epk);
  second.device = earlier.device = own.device = 1;
  ask (f, &second);
  ask (f, &earlier);
  ask (f, &later);
  ask (f, &own);
  wait_for (f, &own);
  wait_for (f, &second);
  wait_for (f, &earlier);
  assert_answered (&own);
  assert_answered (&second);
  assert_answered (&earlier);
  assert_answered (&later);
  assert_int_equal (server_requests (f->server), 3);
  assert_true (server_most_open (hole) <= BOUND_TRANSFERS / 2);
  questions_free (f->rs);
  f->rs = NULL;
  for (i = 0; i < n; ++i)
    cleanup_asked (&asked[i]);
  server_stop (hole);
}

static void
test_free_with_questions_under_way (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  ASKED a = question (server_url (f->server), f->key);
  ASKED b = question (server_url (f->server), f->key);

  server_set_fault (f->server, FAULT_BLACK_HOLE);
  ask (f, &a);
  questions_step (f->rs, 20, &err);
  ask (f, &b);
  renew (f);
  assert_int_equal (a.done + b.done, 0);
}

/* A point that is none is not asked about. */
static void
test_epk_off_the_curve (void **state)
{
  struct fixture *f = *state;
  ASKED a = question (server_url (f->server), f->key);

  json_object_set (a.epk, "y", json_object_get (a.epk, "x"));
  ask_and_wait (f, &a);
  assert_failed (&a, CLEVIS_ERR_TOKEN, "not a point of its curve");
  assert_int_equal (server_requests (f->server), 0);
}

/* Tang's own keys instead of the server. */
static void
test_key_folder (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  struct answers answers = { .keydir = NULL };
  CLEANUP_JSON json_t *other = tang_key ("P-256");
  CLEANUP_FREE char *text = json_dumps (f->key, 0);
  const char *folder = tmp_path ("keys");
  ASKED a = question (server_url (f->server), f->key);
  ASKED b = question (server_url (f->server), other);

  shell ("mkdir -p '%s'", folder);
  write_file (tmp_path ("keys/a.jwk"), text, strlen (text));
  answers.keydir = keydir_open (folder, &err);
  assert_no_error (&err);
  questions_free (f->rs);
  f->rs = direct_questions (f->policy, &answers, &err);
  ask_and_wait (f, &a);
  assert_answered (&a);
  assert_null (a.address);
  ask_and_wait (f, &b);
  assert_failed (&b, CLEVIS_ERR_NO_KEY, "does not have the key");
  assert_int_equal (server_requests (f->server), 0);
  keydir_free ((struct keydir *) answers.keydir);
}

#define test(name) cmocka_unit_test_setup_teardown (name, setup, teardown)

int
main (void)
{
  const struct CMUnitTest request[] = {
    test (test_answer),
    test (test_every_curve),
    test (test_path_of_the_url_is_kept),
    test (test_faults),
    test (test_http_status_is_in_the_error),
    test (test_not_http_has_a_hint),
    test (test_address_on_a_kept_connection),
    test (test_answers_that_are_taken),
    test (test_answers_of_another_key),
    test (test_closed_port),
    test (test_loopback_is_refused_by_default),
    test (test_address_is_judged_when_it_is_connected_to),
    test (test_connection_of_the_user_is_not_reused),
    test (test_refusal_is_not_tried_again),
    test (test_mapped_server),
    test (test_proxy),
    test (test_temporary_faults_are_tried_again),
    test (test_lasting_faults_are_not),
    test (test_number_of_tries),
    test (test_server_says_when_to_come_back),
    test (test_deadline),
    test (test_no_try_beyond_the_deadline),
    test (test_deadline_after_a_failed_try),
    test (test_step_waits_no_longer_than_told),
    test (test_wakeup),
    test (test_equal_questions_are_asked_once),
    test (test_different_questions_are_not),
    test (test_servers_are_asked_each),
    test (test_asked_again_while_it_is_answered),
    test (test_one_of_two_who_ask_the_same_goes_away),
    test (test_question_that_nobody_asks_any_more),
    test (test_question_makes_room),
    test (test_questions_are_asked_in_parallel),
    test (test_a_server_gets_so_many_at_a_time),
    test (test_all_get_their_turn),
    test (test_limit_is_of_each_server),
    test (test_limit_of_the_run),
    test (test_limit_of_the_run_for_many_devices),
    test (test_part_of_a_device),
    test (test_devices_get_the_same_part),
    test (test_free_with_questions_under_way),
    test (test_epk_off_the_curve),
    test (test_key_folder),
  };

  return run_unit_tests (request);
}
