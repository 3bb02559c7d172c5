/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of messages: of each kind one that is good, and each way in which it
 * can be none.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <math.h>

#include "exchange/exchange.h"
#include "exchange/preflight.h"
#include "tang/asker.h"
#include "vault/message.h"

static struct message *m;

static int
setup (void **state)
{
  m = malloc (sizeof *m);
  return 0;
}

static int
teardown (void **state)
{
  free (m);
  return 0;
}

/* How many descriptors come with it. */
static size_t
nr_fds (uint32_t tag)
{
  switch (tag) {
  case MESSAGE_OFFLINE_LOAD:
    return 2;
  case MESSAGE_KEY_READ:
  case MESSAGE_KEY_WRITE:
  case MESSAGE_KEYDIR_ADD:
  case MESSAGE_OFFLINE_WRITE:
    return 1;
  default:
    return 0;
  }
}

static const char kid[] = "0123456789-_abcdefghijklmnopqrstuvwxyzABCDE";

/* The least that a message must have. */
static void
make (uint32_t tag)
{
  message_init (m, tag, 7);
  switch (tag) {
  case MESSAGE_LUKS_NEW:
  case MESSAGE_KEYDIR_NEW:
  case MESSAGE_KEYDIR_ADD:
  case MESSAGE_OFFLINE_WRITE:
  case MESSAGE_OFFLINE_NAME:
  case MESSAGE_OFFLINE_LOAD:
  case MESSAGE_TEXT:
  case MESSAGE_WHERE:
    message_set (m->text.text, "text");
    break;
  case MESSAGE_FAILED:
  case MESSAGE_ERROR:
    m->error.code = CLEVIS_ERR_SYSTEM;
    break;
  case MESSAGE_INFO:
    m->info.version = 1;
    break;
  case MESSAGE_ASK:
    message_set (m->ask.url, "http://x");
    message_set (m->ask.kid, kid);
    break;
  default:
    break;
  }
}

static bool
is_valid (void)
{
  return message_is_valid (m, message_size (m->tag), nr_fds (m->tag));
}

static void
test_sizes (void **state)
{
  uint32_t tag, other;
  size_t size, fds;

  for (tag = MESSAGE_NONE + 1; tag < MESSAGE_LAST; ++tag) {
    make (tag);
    size = message_size (tag);
    assert_true (size > offsetof (struct message, plain));
    assert_true (size <= sizeof *m);
    if (!is_valid ())
      fail_msg ("message %u is not valid", tag);
    for (fds = 0; fds <= MESSAGE_FDS + 1; ++fds)
      assert_int_equal (message_is_valid (m, size, fds), fds == nr_fds (tag));
    assert_false (message_is_valid (m, size - 1, nr_fds (tag)));
    assert_false (message_is_valid (m, size + 1, nr_fds (tag)));
    assert_false (message_is_valid (m, 0, nr_fds (tag)));
    assert_false (message_is_valid (m, 4, nr_fds (tag)));
    assert_false (message_is_valid (m, 8, nr_fds (tag)));
    assert_false (message_is_valid (m, SIZE_MAX, nr_fds (tag)));
    for (other = MESSAGE_NONE; other <= MESSAGE_LAST; ++other)
      if (message_size (other) != size)
        assert_false (message_is_valid (m, message_size (other),
                                        nr_fds (tag)));
  }
}

static void
test_tags (void **state)
{
  static const uint32_t tags[] = {
    MESSAGE_NONE, MESSAGE_LAST, MESSAGE_LAST + 1, 1000, INT32_MAX,
    (uint32_t) INT32_MAX + 1, UINT32_MAX,
  };
  size_t i, size;

  for (i = 0; i < sizeof tags / sizeof tags[0]; ++i) {
    memset (m, 0, sizeof *m);
    m->tag = tags[i];
    assert_int_equal (message_size (tags[i]), 0);
    for (size = 0; size < 100; ++size)
      assert_false (message_is_valid (m, size, 0));
    assert_false (message_is_valid (m, sizeof *m, 0));
  }
}

/* Nothing of what was there before is sent. */
static void
test_init (void **state)
{
  const unsigned char *bytes = (const unsigned char *) m;
  uint32_t tag;
  size_t i;

  for (tag = MESSAGE_NONE + 1; tag < MESSAGE_LAST; ++tag) {
    memset (m, 0xa5, sizeof *m);
    message_init (m, tag, 0);
    assert_int_equal (m->tag, tag);
    for (i = sizeof m->tag; i < message_size (tag); ++i)
      assert_int_equal (bytes[i], 0);
  }
}

/* Each text: missing, empty, full, without an end, and a flag that is none. */

static const struct text {
  enum message_tag tag;
  size_t flag, text, size;
  bool needed;             /* it may not be missing */
} texts[] = {
#define TEXT(tag, member, name, needed)                                     \
  { tag, offsetof (struct message, member.name.is_there),                   \
    offsetof (struct message, member.name.text),                            \
    sizeof ((struct message *) 0)->member.name.text, needed }
  TEXT (MESSAGE_LUKS_NEW, text, text, true),
  TEXT (MESSAGE_KEYDIR_NEW, text, text, true),
  TEXT (MESSAGE_KEYDIR_ADD, text, text, true),
  TEXT (MESSAGE_OFFLINE_WRITE, text, text, true),
  TEXT (MESSAGE_OFFLINE_NAME, text, text, true),
  TEXT (MESSAGE_OFFLINE_LOAD, text, text, true),
  TEXT (MESSAGE_TEXT, text, text, true),
  TEXT (MESSAGE_WHERE, text, text, true),
  TEXT (MESSAGE_WHERE_IS, text, text, false),
  TEXT (MESSAGE_FAILED, error, message, false),
  TEXT (MESSAGE_ERROR, error, message, false),
  TEXT (MESSAGE_ERROR, error, hint, false),
  TEXT (MESSAGE_ERROR, error, device, false),
  TEXT (MESSAGE_ERROR, error, pin, false),
  TEXT (MESSAGE_ERROR, error, url, false),
  TEXT (MESSAGE_ERROR, error, mapped, false),
  TEXT (MESSAGE_ERROR, error, address, false),
  TEXT (MESSAGE_INFO, info, uuid, false),
  TEXT (MESSAGE_INFO, info, label, false),
  TEXT (MESSAGE_INFO, info, cipher, false),
  TEXT (MESSAGE_INFO, info, note, false),
  TEXT (MESSAGE_KEYSLOT, keyslot, kdf, false),
  TEXT (MESSAGE_KEYSLOT, keyslot, hash, false),
  TEXT (MESSAGE_KEYSLOT, keyslot, cipher, false),
  TEXT (MESSAGE_KEYSLOT, keyslot, priority, false),
  TEXT (MESSAGE_KEYSLOT, keyslot, refused, false),
  TEXT (MESSAGE_TOKEN, token, kind, false),
  TEXT (MESSAGE_TOKEN, token, stale, false),
  TEXT (MESSAGE_PIN, pin, name, false),
  TEXT (MESSAGE_PIN, pin, path, false),
  TEXT (MESSAGE_PIN, pin, url, false),
  TEXT (MESSAGE_PIN, pin, kid, false),
  TEXT (MESSAGE_PIN, pin, thp_alg, false),
  TEXT (MESSAGE_PIN, pin, curve, false),
  TEXT (MESSAGE_PIN, pin, warning, false),
  TEXT (MESSAGE_PARAM, param, name, false),
  TEXT (MESSAGE_PARAM, param, value, false),
  TEXT (MESSAGE_LEAF, leaf, pin, false),
  TEXT (MESSAGE_LEAF, leaf, url, false),
  TEXT (MESSAGE_LEAF, leaf, address, false),
  TEXT (MESSAGE_CHECKED, checked, pin, false),
  TEXT (MESSAGE_CHECKED, checked, address, false),
  TEXT (MESSAGE_CHECKED, checked, certificate_expiry, false),
  TEXT (MESSAGE_ASK, ask, url, true),
  TEXT (MESSAGE_ANSWER, answer, content_type, false),
  TEXT (MESSAGE_ANSWER, answer, address, false),
  TEXT (MESSAGE_ANSWER, answer, mapped, false),
  TEXT (MESSAGE_ANSWER, answer, certificate_expiry, false),
};

static void
test_texts (void **state)
{
  uint8_t *flag;
  char *text;
  size_t i;

  for (i = 0; i < sizeof texts / sizeof texts[0]; ++i) {
    const struct text *t = &texts[i];

    make (t->tag);
    flag = (uint8_t *) m + t->flag;
    text = (char *) m + t->text;
    *flag = 0;
    memset (text, 'x', t->size);
    assert_int_equal (is_valid (), !t->needed);
    *flag = 1;
    assert_false (is_valid ());
    *flag = 2;
    text[t->size-1] = '\0';
    assert_false (is_valid ());
    *flag = 255;
    assert_false (is_valid ());
    *flag = 1;
    assert_true (is_valid ());
    text[0] = '\0';
    assert_true (is_valid ());
  }
}

static void
test_set (void **state)
{
  char text[2 * TEXT_NAME];

  memset (text, 'x', sizeof text);
  text[sizeof text-1] = '\0';
  make (MESSAGE_INFO);
  message_set (m->info.uuid, NULL);
  message_set (m->info.label, text);
  message_set (m->info.cipher, "");
  assert_null (message_get (m->info.uuid));
  assert_int_equal (strlen (m->info.label.text), TEXT_NAME - 1);
  assert_string_equal (message_get (m->info.cipher), "");
  assert_true (is_valid ());
}

/* Flags. */
static const struct {
  enum message_tag tag;
  size_t offset;
} flags[] = {
#define FLAG(tag, name) { tag, offsetof (struct message, name) }
  FLAG (MESSAGE_LUKS_NEW, text.a), FLAG (MESSAGE_OFFLINE_WRITE, text.a),
  FLAG (MESSAGE_WHERE_IS, text.a), FLAG (MESSAGE_TEXT, text.a),
  FLAG (MESSAGE_INFO, info.is_quick), FLAG (MESSAGE_TOKEN, token.has_pin),
  FLAG (MESSAGE_TOKEN, token.is_broken), FLAG (MESSAGE_PIN, pin.has_failed),
  FLAG (MESSAGE_LEAF, leaf.answered), FLAG (MESSAGE_LEAF, leaf.has_failed),
  FLAG (MESSAGE_CHECKED, checked.signatures),
  FLAG (MESSAGE_CHECKED, checked.has_failed),
  FLAG (MESSAGE_ANSWER, answer.has_failed), FLAG (MESSAGE_ASK, ask.what),
};

static void
test_flags (void **state)
{
  size_t i;
  int n;

  for (i = 0; i < sizeof flags / sizeof flags[0]; ++i)
    for (n = 0; n < 256; ++n) {
      make (flags[i].tag);
      ((uint8_t *) m)[flags[i].offset] = n;
      assert_int_equal (is_valid (), n <= 1);
    }
}

/* Numbers of 32 bits, from the least to the most that they may be. */
static const struct number {
  enum message_tag tag;
  size_t offset;
  int64_t least, most;
  bool is_signed;
} numbers[] = {
#define NUMBER(tag, name, least, most) \
  { tag, offsetof (struct message, name), least, most, true }
#define COUNT(tag, name, most) \
  { tag, offsetof (struct message, name), 0, most, false }
#define LAST_SLOT (MESSAGE_KEYSLOTS - 1)
#define LEAVES (MESSAGE_KEYSLOTS * BOUND_PIN_TOTAL)
  NUMBER (MESSAGE_ERROR, error.code, CLEVIS_ERR_SYSTEM, CLEVIS_ERR_CANCELLED),
  NUMBER (MESSAGE_FAILED, error.code, CLEVIS_ERR_SYSTEM,
          CLEVIS_ERR_CANCELLED),
  NUMBER (MESSAGE_ERROR, error.token, -1, 1 << 16),
  NUMBER (MESSAGE_ERROR, error.keyslot, -1, 1 << 16),
  NUMBER (MESSAGE_INFO, info.version, 1, 2),
  NUMBER (MESSAGE_INFO, info.key_size, 0, 1 << 16),
  NUMBER (MESSAGE_INFO, info.sector_size, 0, 1 << 16),
  COUNT (MESSAGE_INFO, info.nr_keyslots, MESSAGE_KEYSLOTS),
  COUNT (MESSAGE_INFO, info.nr_tokens, MESSAGE_KEYSLOTS),
  NUMBER (MESSAGE_KEYSLOT, keyslot.slot, 0, LAST_SLOT),
  NUMBER (MESSAGE_KEYSLOT, keyslot.key_size, 0, INT32_MAX),
  NUMBER (MESSAGE_TOKEN, token.id, 0, LAST_SLOT),
  COUNT (MESSAGE_TOKEN, token.nr_keyslots, MESSAGE_KEYSLOTS),
  NUMBER (MESSAGE_PIN, pin.threshold, 0, BOUND_PIN_CHILDREN),
  COUNT (MESSAGE_PIN, pin.nr_children, BOUND_PIN_CHILDREN),
  COUNT (MESSAGE_PIN, pin.nr_params, 16),
  NUMBER (MESSAGE_OUTCOME, outcome.status, 0, EXCHANGE_UNBOUND),
  NUMBER (MESSAGE_OUTCOME, outcome.keyslot, -1, LAST_SLOT),
  NUMBER (MESSAGE_OUTCOME, outcome.token, -1, LAST_SLOT),
  COUNT (MESSAGE_OUTCOME, outcome.nr_errors, LEAVES + MESSAGE_KEYSLOTS + 1),
  COUNT (MESSAGE_OUTCOME, outcome.nr_leaves, LEAVES),
  COUNT (MESSAGE_OUTCOME, outcome.nr_servers, LEAVES),
  COUNT (MESSAGE_OUTCOME, outcome.nr_warnings, LEAVES + MESSAGE_KEYSLOTS),
  NUMBER (MESSAGE_LEAF, leaf.token, 0, LAST_SLOT),
  NUMBER (MESSAGE_CHECKED, checked.token, 0, LAST_SLOT),
  NUMBER (MESSAGE_CHECKED, checked.key, 0, PREFLIGHT_LOCAL),
  COUNT (MESSAGE_ANSWER, answer.len, BOUND_REPLY_BODY),
  COUNT (MESSAGE_LUKS_DATA, data.len, DATA_BYTES),
  COUNT (MESSAGE_LUKS_DECRYPT, data.len, DATA_BYTES),
  COUNT (MESSAGE_BODY, data.len, DATA_BYTES),
};

static void
check_number (const struct number *n, int64_t value, bool expected)
{
  const uint32_t number = value;

  /* What cannot be said in 32 bits is another number. */
  if (n->is_signed ? value != (int32_t) value : value != number)
    return;
  make (n->tag);
  memcpy ((char *) m + n->offset, &number, sizeof number);
  if (is_valid () != expected)
    fail_msg ("message %d, byte %zu: %lld", n->tag, n->offset,
              (long long) value);
}

static void
test_numbers (void **state)
{
  size_t i;

  for (i = 0; i < sizeof numbers / sizeof numbers[0]; ++i) {
    const struct number *n = &numbers[i];

    check_number (n, n->least, true);
    check_number (n, n->most, true);
    check_number (n, n->least - 1, false);
    check_number (n, n->most + 1, false);
    check_number (n, INT32_MIN, false);
    check_number (n, INT32_MAX, n->most == INT32_MAX);
    check_number (n, UINT32_MAX, false);
  }
  make (MESSAGE_INFO);
  m->info.data_offset = INT64_MAX;
  assert_true (is_valid ());
  m->info.data_offset++;
  assert_false (is_valid ());
}

/* Each of its keyslots that are counted, and no other. */
static void
test_token_keyslots (void **state)
{
  uint32_t n, i;

  for (n = 0; n <= MESSAGE_KEYSLOTS; ++n)
    for (i = 0; i < MESSAGE_KEYSLOTS; ++i) {
      make (MESSAGE_TOKEN);
      m->token.nr_keyslots = n;
      m->token.keyslots[i] = -1;
      assert_int_equal (is_valid (), i >= n);
    }
}

/* Times. */
static const struct {
  enum message_tag tag;
  size_t offset;
} times[] = {
  FLAG (MESSAGE_DONE, plain.seconds), FLAG (MESSAGE_RUN, plain.seconds),
  FLAG (MESSAGE_JOIN, plain.seconds), FLAG (MESSAGE_LUKS_NEXT, plain.seconds),
  FLAG (MESSAGE_LUKS_DATA_EXTENT, plain.seconds),
  FLAG (MESSAGE_LUKS_UNLOCK, plain.seconds),
  FLAG (MESSAGE_OUTCOME, outcome.seconds),
  FLAG (MESSAGE_OUTCOME, outcome.verify_seconds),
  FLAG (MESSAGE_LEAF, leaf.seconds), FLAG (MESSAGE_CHECKED, checked.seconds),
  FLAG (MESSAGE_ANSWER, answer.seconds),
};

static void
test_times (void **state)
{
  static const struct {
    double seconds;
    bool is_good;
  } values[] = {
    { 0, true }, { -0.0, true }, { 1e-300, true }, { 60, true },
    { 1e9, false }, { 1e300, false }, { -1, false }, { -1e-9, false },
    { NAN, false }, { -NAN, false }, { INFINITY, false }, { -INFINITY, false },
  };
  size_t i, j;

  for (i = 0; i < sizeof times / sizeof times[0]; ++i)
    for (j = 0; j < sizeof values / sizeof values[0]; ++j) {
      make (times[i].tag);
      memcpy ((char *) m + times[i].offset, &values[j].seconds,
              sizeof (double));
      assert_int_equal (is_valid (), values[j].is_good);
    }
}

/* Of what a path of a request is made. */
static void
test_kid (void **state)
{
  char text[TEXT_KID];
  size_t len;
  int c;

  for (len = 0; len < TEXT_KID; ++len) {
    make (MESSAGE_ASK);
    memset (text, 'A', len);
    text[len] = '\0';
    message_set (m->ask.kid, text);
    assert_int_equal (is_valid (), len == 43 || len == 27);
  }
  for (c = 1; c < 256; ++c) {
    make (MESSAGE_ASK);
    m->ask.kid.text[20] = c;
    assert_int_equal (is_valid (), c == '-' || c == '_' ||
                      (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                      (c >= 'a' && c <= 'z'));
  }
  make (MESSAGE_ASK);
  message_set (m->ask.kid, NULL);
  assert_false (is_valid ());
  /* Without an end. */
  make (MESSAGE_ASK);
  memset (m->ask.kid.text, 'A', TEXT_KID);
  assert_false (is_valid ());
}

static void
make_point (const char *curve, size_t x, size_t y)
{
  message_init (m, MESSAGE_POINT, 1);
  message_set (m->point.curve, curve);
  m->point.x.is_there = m->point.y.is_there = 1;
  memset (m->point.x.text, 'a', x);
  memset (m->point.y.text, 'b', y);
}

static void
test_point (void **state)
{
  static const struct {
    const char *curve;
    size_t len;
  } curves[] = {
    { "P-256", 43 }, { "P-384", 64 }, { "P-521", 88 },
  };
  static const char bad[] = "+/= \n\"\\.\x80";
  size_t i, len;

  for (i = 0; i < 3; ++i) {
    for (len = 0; len < TEXT_COORDINATE; ++len) {
      make_point (curves[i].curve, len, curves[i].len);
      assert_int_equal (is_valid (), len == curves[i].len);
      make_point (curves[i].curve, curves[i].len, len);
      assert_int_equal (is_valid (), len == curves[i].len);
    }
    for (len = 0; bad[len]; ++len) {
      make_point (curves[i].curve, curves[i].len, curves[i].len);
      m->point.x.text[5] = bad[len];
      assert_false (is_valid ());
      make_point (curves[i].curve, curves[i].len, curves[i].len);
      m->point.y.text[5] = bad[len];
      assert_false (is_valid ());
    }
    make_point (curves[i].curve, curves[i].len, curves[i].len);
    m->point.x.is_there = 0;
    assert_false (is_valid ());
    make_point (curves[i].curve, curves[i].len, curves[i].len);
    m->point.y.is_there = 0;
    assert_false (is_valid ());
    make_point (curves[i].curve, curves[i].len, curves[i].len);
    m->point.curve.is_there = 0;
    assert_false (is_valid ());
    m->point.curve.is_there = 2;
    assert_false (is_valid ());
  }
  make_point ("P-256K", 43, 43);
  assert_false (is_valid ());
  make_point ("", 43, 43);
  assert_false (is_valid ());
  make_point ("P-256", TEXT_COORDINATE, 43);
  assert_false (is_valid ());
  message_init (m, MESSAGE_POINT, 1);
  assert_true (is_valid ());
}

/* An error and back. */
static void
test_errors (void **state)
{
  CLEANUP_ERROR struct clevis_error back = CLEVIS_ERROR_INIT;
  struct clevis_error err = {
    .code = CLEVIS_ERR_HTTP, .message = (char *) "m", .hint = (char *) "h",
    .device = (char *) "d", .pin = (char *) "p", .url = (char *) "u",
    .mapped = (char *) "x", .address = (char *) "a", .token = 3,
    .keyslot = -1, .http_status = 404, .sys_errno = 5,
  };

  memset (m, 0xa5, sizeof *m);
  message_of_error (m, MESSAGE_FAILED, 1, &err);
  assert_true (is_valid ());
  message_to_error (m, &back);
  assert_error (&back, CLEVIS_ERR_HTTP, "m");
  assert_string_equal (back.hint, "h");
  assert_string_equal (back.device, "d");
  assert_string_equal (back.pin, "p");
  assert_string_equal (back.url, "u");
  assert_string_equal (back.mapped, "x");
  assert_string_equal (back.address, "a");
  assert_int_equal (back.token, 3);
  assert_int_equal (back.keyslot, -1);
  assert_int_equal (back.http_status, 404);
  assert_int_equal (back.sys_errno, 5);

  /* One that was not filled in is one all the same. */
  err.code = CLEVIS_OK;
  err.message = NULL;
  message_of_error (m, MESSAGE_ERROR, 1, &err);
  assert_true (is_valid ());
  message_to_error (m, NULL);
}

#define TEST(name) \
  cmocka_unit_test_setup_teardown (test_ ## name, setup, teardown)

int
main (void)
{
  const struct CMUnitTest tests[] = {
    TEST (sizes), TEST (tags), TEST (init), TEST (texts), TEST (set),
    TEST (flags), TEST (numbers), TEST (token_keyslots), TEST (times),
    TEST (kid), TEST (point), TEST (errors),
  };

  return run_unit_tests (tests);
}
