/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The fault matrix: each way in which a server can fail, for each kind of
 * binding.  One exchange takes a row of it: a device that is bound to the
 * faulty server alone, two whose sss pins have enough healthy servers beside
 * it, and two whose sss pins don't.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <unistd.h>

#include "base/bounds.h"
#include "base/clock.h"
#include "exchange/exchange.h"
#include "testlib/testlib-jwe.h"
#include "testlib/testlib-luks.h"
#include "testlib/testlib-server.h"

/* Milliseconds, multiplied by time_factor: for the whole exchange, how much
 * later than that it may end, how long one request may take where that is
 * what ends it, and until when healthy servers have opened a device.
 */
#define DEADLINE 1500
#define TOLERANCE 500
#define TIMEOUT 300
#define PROMPT 1000

/* Keyslots 0 and 1, of which the second is bound. */
static const char *const passphrases[] = { "admin", "one", NULL };

/* A fault and what is to come of it for a tang pin. */
struct row {
  enum fault fault;
  const char *name;
  enum clevis_code code;   /* CLEVIS_OK: a healthy one in spite of it */
  const char *message;
  bool refused;            /* nobody listens; the fault is FAULT_NONE */
  long timeout;            /* 0: longer than the deadline */
  int tries;               /* of each question; 0: not counted */
};

#define DEADLINE_PASSED "no answer within the deadline of"
#define CLOSED "closed the connection before a whole reply"

static const struct row rows[] = {
  { FAULT_NONE, "healthy", CLEVIS_OK, NULL, .tries = 1 },
  { FAULT_NONE, "connection refused", CLEVIS_ERR_UNREACHABLE,
    "cannot connect: Connection refused", .refused = true },
  { FAULT_BLACK_HOLE, "no answer", CLEVIS_ERR_UNREACHABLE, DEADLINE_PASSED,
    .tries = 1 },
  { FAULT_BLACK_HOLE, "no answer, small timeout", CLEVIS_ERR_UNREACHABLE,
    "no whole reply within", .timeout = TIMEOUT, .tries = 2 },
  { FAULT_SLOW, "byte by byte", CLEVIS_ERR_UNREACHABLE, DEADLINE_PASSED,
    .tries = 1 },
  { FAULT_SLOW, "byte by byte, small timeout", CLEVIS_ERR_UNREACHABLE,
    "no whole reply within", .timeout = TIMEOUT, .tries = 2 },
  { FAULT_CLOSE, "closes before the status line", CLEVIS_ERR_UNREACHABLE,
    CLOSED, .tries = 2 },
  { FAULT_RESET, "resets before the status line", CLEVIS_ERR_UNREACHABLE,
    CLOSED, .tries = 2 },
  { FAULT_CLOSE_STATUS, "closes within the status line",
    CLEVIS_ERR_UNREACHABLE, CLOSED, .tries = 2 },
  { FAULT_CLOSE_HEADERS, "closes within the headers", CLEVIS_ERR_UNREACHABLE,
    CLOSED, .tries = 2 },
  { FAULT_PARTIAL, "closes within the body", CLEVIS_ERR_UNREACHABLE, CLOSED,
    .tries = 2 },
  { FAULT_HUGE, "oversize reply", CLEVIS_ERR_REPLY, "larger than 65536 bytes",
    .tries = 1 },
  { FAULT_ENDLESS_BODY, "endless reply", CLEVIS_ERR_REPLY,
    "larger than 65536 bytes", .tries = 1 },
  { FAULT_ENDLESS_HEADERS, "endless headers", CLEVIS_ERR_REPLY,
    "larger than 65536 bytes", .tries = 1 },
  { FAULT_LONG_HEADER, "endless header", CLEVIS_ERR_REPLY,
    "a header of the reply is too long", .tries = 1 },
  { FAULT_1XX_FLOOD, "1xx flood", CLEVIS_ERR_REPLY, "larger than 65536 bytes",
    .tries = 1 },
  { FAULT_REDIRECT, "redirect", CLEVIS_ERR_HTTP,
    "HTTP status 302: the server redirects, which is not followed",
    .tries = 1 },
  { FAULT_REDIRECT_LOOP, "redirect loop", CLEVIS_ERR_HTTP,
    "HTTP status 302: the server redirects, which is not followed",
    .tries = 1 },
  { FAULT_HTML, "another content type", CLEVIS_ERR_REPLY,
    "content type \"text/html\"", .tries = 1 },
  { FAULT_NO_TYPE, "no content type", CLEVIS_ERR_REPLY, "content type \"\"",
    .tries = 1 },
  { FAULT_LENGTH_LONG, "Content-Length too large", CLEVIS_ERR_UNREACHABLE,
    DEADLINE_PASSED, .tries = 1 },
  { FAULT_LENGTH_SHORT, "Content-Length too small", CLEVIS_ERR_REPLY,
    "the reply is not a JSON object", .tries = 1 },
  { FAULT_LENGTH_BAD, "Content-Length of -1", CLEVIS_ERR_REPLY,
    "Content-Length", .tries = 1 },
  { FAULT_BUSY_LONG, "429, Retry-After beyond the deadline", CLEVIS_ERR_HTTP,
    "HTTP status 429", .tries = 1 },
  { FAULT_BUSY_FIRST, "429, Retry-After of a second", CLEVIS_OK, NULL,
    .tries = 2 },
  { FAULT_ERROR, "500", CLEVIS_ERR_HTTP, "HTTP status 500", .tries = 2 },
  { FAULT_NO_KEY, "404", CLEVIS_ERR_NO_KEY, "does not have the key",
    .tries = 1 },
  { FAULT_NOT_HTTP, "another protocol", CLEVIS_ERR_REPLY,
    "the server did not answer with HTTP", .tries = 1 },
  { FAULT_NOT_TEXT, "bytes", CLEVIS_ERR_REPLY,
    "the server did not answer with HTTP", .tries = 1 },
  { FAULT_EMPTY, "empty body", CLEVIS_ERR_REPLY,
    "the reply is not a JSON object", .tries = 1 },
  { FAULT_NOT_JSON, "not JSON", CLEVIS_ERR_REPLY,
    "the reply is not a JSON object", .tries = 1 },
  { FAULT_ARRAY, "a JSON array", CLEVIS_ERR_REPLY,
    "the reply is not a JSON object", .tries = 1 },
  { FAULT_GZIP, "compressed", CLEVIS_ERR_REPLY,
    "the reply is not a JSON object", .tries = 1 },
  { FAULT_CURVE, "another curve", CLEVIS_ERR_REPLY,
    "the reply is on curve P-384, the key on P-256", .tries = 1 },
  { FAULT_INFINITY, "point at infinity", CLEVIS_ERR_REPLY,
    "the reply has no coordinates of P-256", .tries = 1 },
  { FAULT_ZERO, "coordinates of zero", CLEVIS_ERR_REPLY,
    "the reply is not a usable point of P-256", .tries = 1 },
  { FAULT_OFF_CURVE, "point off the curve", CLEVIS_ERR_REPLY,
    "the reply is not a usable point of P-256", .tries = 1 },
  { FAULT_OWN_D, "reply with a private part", CLEVIS_OK, NULL, .tries = 1 },
  { FAULT_OTHER_KEY, "answer of another key", CLEVIS_ERR_DECRYPT,
    "does not decrypt", .tries = 1 },
  { FAULT_ECHO, "the question as the answer", CLEVIS_ERR_DECRYPT,
    "does not decrypt", .tries = 1 },
};
#define NR_ROWS (sizeof rows / sizeof rows[0])

/* The kinds of bindings: faulty servers are the first children. */
static const struct column {
  const char *name;
  int t;                   /* 0: a tang pin */
  size_t faulty, healthy;
} columns[] = {
  { "tang", 0, 1, 0 },
  { "sss 1 of 2, one faulty", 1, 1, 1 },
  { "sss 2 of 3, one faulty", 2, 1, 2 },
  { "sss 1 of 2, both faulty", 1, 2, 0 },
  { "sss 2 of 3, two faulty", 2, 2, 1 },
};
#define NR_COLUMNS (sizeof columns / sizeof columns[0])

#define MAX_CHILDREN 3

/* Disks without a binding, which are the same for each row. */
static const char *base;

struct matrix {
  const struct row *row;
  struct server *faulty[2], *healthy[2];
  int closed[2];           /* instead of faulty, where nobody listens */
  char *faulty_urls[2];
  struct policy *policy;
  struct exchange *ex;
  struct luks *luks[NR_COLUMNS];
};

static bool
suffices (const struct column *column)
{
  return column->healthy >= (column->t > 0 ? (size_t) column->t : 1);
}

static void
start_servers (struct matrix *m, const json_t *key)
{
  size_t i;

  for (i = 0; i < 2; ++i) {
    m->closed[i] = -1;
    m->healthy[i] = server_start (key, FAULT_NONE);
    if (m->row->refused)
      m->faulty_urls[i] = strdup (closed_port (&m->closed[i]));
    else {
      m->faulty[i] = server_start (key, m->row->fault);
      m->faulty_urls[i] = strdup (server_url (m->faulty[i]));
    }
  }
}

static void
set_policy (struct matrix *m)
{
  struct policy_settings *settings;

  m->policy = loopback_policy ();
  settings = policy_settings (m->policy);
  settings->deadline = DEADLINE * time_factor ();
  settings->timeout = m->row->timeout ? m->row->timeout * time_factor ()
    : 10 * settings->deadline;
  settings->retries = 1;
}

/* A disk with one binding of a column's kind. */
static const char *
bound_disk (struct matrix *m, size_t i, const json_t *key)
{
  const struct column *c = &columns[i];
  const char *file = tmp_path ("disk%zu.img", i);
  const char *urls[MAX_CHILDREN];
  CLEANUP_FREE char *data = NULL;
  size_t j, len;

  data = read_file (base, &len);
  write_file (file, data, len);
  for (j = 0; j < c->faulty + c->healthy; ++j)
    urls[j] = j < c->faulty ? m->faulty_urls[j]
      : server_url (m->healthy[j - c->faulty]);
  if (c->t == 0)
    bind_luks_tang (file, 1, key, urls[0], passphrases[1]);
  else
    bind_luks_sss (file, 1, key, c->t, urls, j, passphrases[1]);
  return file;
}

static void
set_up (struct matrix *m)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_JSON json_t *key = tang_key ("P-256");
  size_t i;

  start_servers (m, key);
  set_policy (m);
  m->ex = direct_exchange (m->policy, &err);
  for (i = 0; i < NR_COLUMNS; ++i) {
    m->luks[i] = ready_luks (bound_disk (m, i, key));
    exchange_add (m->ex, m->luks[i], &err);
  }
  assert_no_error (&err);
}

static void
tear_down (struct matrix *m)
{
  size_t i;

  exchange_free (m->ex);
  for (i = 0; i < NR_COLUMNS; ++i)
    luks_free (m->luks[i]);
  policy_free (m->policy);
  for (i = 0; i < 2; ++i) {
    server_stop (m->faulty[i]);
    server_stop (m->healthy[i]);
    free (m->faulty_urls[i]);
    if (m->closed[i] != -1)
      close (m->closed[i]);
  }
}

/* What a device must say if its servers suffice, or there is no fault. */
static void
check_unlocked (const struct matrix *m, size_t i)
{
  const struct exchange_device *d = exchange_device (m->ex, i);
  CLEANUP_FREE char *line = clevis_error_line (&d->bindings[0].error);

  if (d->status != EXCHANGE_UNLOCKED)
    print_error ("%s\n", line);
  assert_int_equal (d->status, EXCHANGE_UNLOCKED);
  assert_int_equal (d->keyslot, 1);
  assert_secret (d->key, passphrases[1], strlen (passphrases[1]));
}

/* The line of a leaf says where and why, and the code of what kind. */
static void
check_leaf (const struct matrix *m, const struct exchange_device *d,
            const struct pin *leaf, const char *url)
{
  CLEANUP_FREE char *line = clevis_error_line (&leaf->error);
  CLEANUP_FREE char *where = NULL;

  assert_int_equal (leaf->state, PIN_FAILED);
  assert_int_not_equal (asprintf (&where, "%s: token 0: %s: %s (127.0.0.1): ",
                                  luks_device (d->luks), leaf->path, url), -1);
  assert_error (&leaf->error, m->row->code, m->row->message);
  assert_contains (line, where);
  assert_contains (line, m->row->message);
}

/* Does the tool say "try again later" (exit status 4)?  It does so for
 * CLEVIS_ERR_UNREACHABLE.
 */
static enum clevis_code
code_of_device (const struct row *row, const struct column *column)
{
  if (column->t == 0 || row->code == CLEVIS_ERR_UNREACHABLE)
    return row->code;
  return CLEVIS_ERR_THRESHOLD;
}

static void
check_failed (const struct matrix *m, size_t i)
{
  const struct column *c = &columns[i];
  const struct exchange_device *d = exchange_device (m->ex, i);
  const struct binding *b = &d->bindings[0];
  CLEANUP_FREE char *line = clevis_error_line (&b->error), *leaf_line = NULL;
  char needed[64];
  size_t j;

  assert_int_equal (d->status, EXCHANGE_FAILED);
  assert_null (d->key);
  assert_error (&d->error, code_of_device (m->row, c),
                "its Clevis binding failed");
  if (c->t == 0) {
    check_leaf (m, d, b->pin, m->faulty_urls[0]);
    /* The same line, so that it is printed once. */
    leaf_line = clevis_error_line (&b->pin->error);
    assert_string_equal (line, leaf_line);
    return;
  }
  snprintf (needed, sizeof needed, "%d of %zu pins are needed, and %zu failed",
            c->t, c->faulty + c->healthy, c->faulty);
  assert_contains (line, needed);
  for (j = 0; j < c->faulty; ++j)
    check_leaf (m, d, b->pin->children[j], m->faulty_urls[j]);
}

/* Redirects are not followed, and a fault that lasts is not asked about again.
 * Of the questions to the first faulty server, those of the sss pins that have
 * opened without it may have been taken back before they were sent.
 */
static void
check_requests (const struct matrix *m)
{
  const int tries = m->row->tries;
  CLEANUP_FREE char *path = NULL;
  const int surely = m->row->code == CLEVIS_OK ? 1 : 3;
  int n;

  if (tries == 0)
    return;
  n = server_requests (m->faulty[0]);
  assert_in_range (n, surely * tries, NR_COLUMNS * tries);
  path = server_path (m->faulty[0]);
  assert_int_equal (strncmp (path, "/rec/", 5), 0);
}

static void
check_cells (const struct matrix *m)
{
  size_t i;

  for (i = 0; i < NR_COLUMNS; ++i)
    if (suffices (&columns[i]) || m->row->code == CLEVIS_OK)
      check_unlocked (m, i);
    else
      check_failed (m, i);
  check_requests (m);
}

/* Was a cell late?  It is named. */
static bool
is_late (const struct matrix *m)
{
  const double factor = time_factor ();
  double limit, ms;
  bool late = false;
  size_t i;

  for (i = 0; i < NR_COLUMNS; ++i) {
    limit = suffices (&columns[i]) ? PROMPT : DEADLINE + TOLERANCE;
    ms = exchange_device (m->ex, i)->seconds * 1000;
    if (ms <= limit * factor)
      continue;
    print_message ("%s, %s: %.0f ms\n", m->row->name, columns[i].name, ms);
    late = true;
  }
  return late;
}

/* Run one row; returns true if it was late. */
static bool
run_row (const struct row *row)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct matrix m = { .row = row };
  double start, ms;
  bool late;
  int r;

  set_up (&m);
  start = clock_now ();
  while ((r = exchange_step (m.ex, 10000, &err)) == 1)
    ;
  ms = (clock_now () - start) * 1000;
  assert_no_error (&err);
  assert_int_equal (r, 0);
  check_cells (&m);
  late = is_late (&m) || ms > (DEADLINE + TOLERANCE) * time_factor ();
  tear_down (&m);
  return late;
}

/* A machine that has much else to do may be late once, not three times. */
static void
test_row (void **state)
{
  const struct row *row = *state;
  int tries;

  for (tries = 0; tries < 3; ++tries)
    if (!run_row (row))
      return;
  fail_msg ("%s: later than the deadline", row->name);
}

int
main (void)
{
  struct CMUnitTest tests[NR_ROWS];
  int failed;
  size_t i;

  tests_begin ();
  base = tmp_path ("base.img");
  make_luks2 (base, passphrases, 16 * KIB);
  for (i = 0; i < NR_ROWS; ++i)
    tests[i] = (struct CMUnitTest) {
      .name = rows[i].name, .test_func = test_row,
      .initial_state = (void *) &rows[i],
    };
  failed = cmocka_run_group_tests (tests, NULL, NULL);
  return tests_end (failed);
}
