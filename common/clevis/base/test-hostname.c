/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of hostname.c: which names are taken, and the one spelling of each
 * host.
 */

#include <config.h>

#include "testlib/testlib.h"

#include "base/bounds.h"
#include "base/hostname.h"

/* So many labels of the longest kind, and one of len letters. */
static char *
long_name (int labels, int len)
{
  char *name = calloc (1, labels * (BOUND_HOST_LABEL + 1) + len + 1);
  char *p = name;

  assert_non_null (name);
  for (; labels > 0; --labels) {
    memset (p, 'a', BOUND_HOST_LABEL);
    p += BOUND_HOST_LABEL;
    *p++ = '.';
  }
  memset (p, 'b', len);
  return name;
}

static void
assert_good (const char *name)
{
  const char *problem = hostname_problem (name);

  if (problem)
    fail_msg ("\"%s\": %s", name, problem);
}

static void
assert_bad (const char *name, const char *expected)
{
  const char *problem = hostname_problem (name);

  if (problem == NULL)
    fail_msg ("\"%s\" was taken for a name", name);
  assert_contains (problem, expected);
}

static void
test_names (void **state)
{
  static const char *const names[] = {
    "tang", "tang.example.com", "tang.example.com.", "TANG.Example.COM",
    "a", "a.", "1a", "a1", "9.example.com", "1-2.example", "tang_1",
    "_tang._tcp.example.com", "a--b.example", "xn--bcher-kva.example",
    "tang.xn--p1ai", "0x.example", "0xfg", "x0",
  };
  size_t i;

  for (i = 0; i < sizeof names / sizeof names[0]; ++i)
    assert_good (names[i]);
}

static void
test_other_characters (void **state)
{
  static const char *const names[] = {
    "b\303\274cher.example", "\357\274\241.example", "tang example",
    "tang\n", "tang\t", "tang/x", "tang:80", "tang@x", "tang%2eexample",
    "tang\\x", "*.example.com", "tang?", "tang#", "tang[", "tang]", "tang,b",
    "tang;b", "a=b", "a+b", "a~b", "a'b", "tang\177", "tang\200",
    "xn--b\303\274cher.example", "127.0.0.1\357\274\232" "80",
    "127.0.0.1\357\274\217.example.com", "tang\343\200\202example.com",
    "t\302\255ang", "tang\342\200\213.example",
  };
  size_t i;

  for (i = 0; i < sizeof names / sizeof names[0]; ++i)
    assert_bad (names[i], "characters other than");
}

static void
test_parts (void **state)
{
  static const char *const empty[] = {
    "", ".", "..", ".tang", "tang..example", "tang..", "a..b.",
  };
  static const char *const hyphens[] = {
    "-", "-tang", "tang-", "tang.-example", "tang-.example", "tang.example-.",
  };
  size_t i;

  for (i = 0; i < sizeof empty / sizeof empty[0]; ++i)
    assert_bad (empty[i], "empty");
  for (i = 0; i < sizeof hyphens / sizeof hyphens[0]; ++i)
    assert_bad (hyphens[i], "hyphen");
}

static void
test_lengths (void **state)
{
  CLEANUP_FREE char *label = long_name (0, BOUND_HOST_LABEL);
  CLEANUP_FREE char *long_label = long_name (0, BOUND_HOST_LABEL + 1);
  CLEANUP_FREE char *longest = long_name (3, 61);
  CLEANUP_FREE char *rooted = NULL;
  CLEANUP_FREE char *too_long = long_name (3, 62);
  CLEANUP_FREE char *rooted_too_long = NULL;

  assert_int_equal (strlen (longest), BOUND_HOST);
  assert_int_not_equal (asprintf (&rooted, "%s.", longest), -1);
  assert_int_not_equal (asprintf (&rooted_too_long, "%s.", too_long), -1);
  assert_good (label);
  assert_good (longest);
  assert_good (rooted);
  assert_bad (long_label, "longer than 63");
  assert_bad (too_long, "longer than 253");
  assert_bad (rooted_too_long, "longer than 253");
}

/* Whoever takes it for an address must not be contradicted by one who does
 * not.
 */
static void
test_ends_in_a_number (void **state)
{
  static const char *const names[] = {
    "1.2.3.4.5", "192.0.2.256", "tang.1", "tang.example.0", "08.0.0.1",
    "127.0.0.1.1", "a.0x7f", "a.0X7F.", "0x", "a.0x", "tang.00", "1.2.3.09",
    "0x100000000", "4294967296", "127.0.0.0x100",
  };
  size_t i;

  for (i = 0; i < sizeof names / sizeof names[0]; ++i)
    assert_bad (names[i], "ends in a number");
}

static const struct {
  const char *host, *normal;
} spellings[] = {
  { "tang", "tang" },
  { "TANG.Example.Com.", "tang.example.com" },
  { "XN--bcher-KVA.example", "xn--bcher-kva.example" },
  { "127.0.0.1", "127.0.0.1" },
  { "127.0.0.1.", "127.0.0.1" },
  { "2130706433", "127.0.0.1" },
  { "2130706433.", "127.0.0.1" },
  { "0x7F000001", "127.0.0.1" },
  { "0X7f.1", "127.0.0.1" },
  { "017700000001", "127.0.0.1" },
  { "0177.0.0.01", "127.0.0.1" },
  { "000000000000000000000000000000000000000000000177.1", "127.0.0.1" },
  { "0", "0.0.0.0" },
  { "::1", "::1" },
  { "0:0:0:0:0:0:0:1", "::1" },
  { "2001:0DB8:0::7", "2001:db8::7" },
  { "::FFFF:127.0.0.1", "::ffff:127.0.0.1" },
  { "::ffff:7f00:1", "::ffff:127.0.0.1" },
};

static void
test_one_spelling (void **state)
{
  const char *problem;
  size_t i;

  for (i = 0; i < sizeof spellings / sizeof spellings[0]; ++i) {
    CLEANUP_FREE char *normal = hostname_normalise (spellings[i].host,
                                                    &problem);
    CLEANUP_FREE char *again = NULL;

    assert_non_null (normal);
    assert_string_equal (normal, spellings[i].normal);
    again = hostname_normalise (normal, &problem);
    assert_string_equal (again, normal);
  }
}

static void
test_no_spelling (void **state)
{
  static const struct {
    const char *host, *problem;
  } bad[] = {
    { "", "empty" },
    { "127.0.0.1..", "empty" },
    { "127.0.0.1 ", "characters" },
    { "127.0.0.1\n", "characters" },
    { "127.0.0.256", "number" },
    { "::g", "IPv6" },
    { "1::2::3", "IPv6" },
    { "fe80::1%eth0", "IPv6" },
    { "[::1]", "IPv6" },
    { "tang:80", "IPv6" },
    { "\302\265.example", "characters" },
  };
  const char *problem;
  size_t i;

  for (i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    CLEANUP_FREE char *normal = hostname_normalise (bad[i].host, &problem);

    if (normal)
      fail_msg ("\"%s\" was taken for %s", bad[i].host, normal);
    assert_non_null (problem);
    assert_contains (problem, bad[i].problem);
  }
}

static void
test_foreign (void **state)
{
  assert_false (hostname_is_foreign (""));
  assert_false (hostname_is_foreign ("tang.xn--p1ai\177"));
  assert_true (hostname_is_foreign ("b\303\274cher"));
  assert_contains (hostname_advice (), "idn2");
}

int
main (void)
{
  const struct CMUnitTest hostname[] = {
    cmocka_unit_test (test_names),
    cmocka_unit_test (test_other_characters),
    cmocka_unit_test (test_parts),
    cmocka_unit_test (test_lengths),
    cmocka_unit_test (test_ends_in_a_number),
    cmocka_unit_test (test_one_spelling),
    cmocka_unit_test (test_no_spelling),
    cmocka_unit_test (test_foreign),
  };

  return run_unit_tests (hostname);
}
