/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of url.c: which URLs of tokens are taken, in which one spelling the
 * policy gets to see them, and which are refused.
 */

#include <config.h>

#include "testlib/testlib.h"

#include "base/bounds.h"
#include "base/url.h"

static void
cleanup_url (struct url **url)
{
  url_free (*url);
}

#define CLEANUP_URL __attribute__ ((cleanup (cleanup_url)))

static void
assert_url (const char *text, const char *scheme, const char *host, int port,
            const char *base)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_URL struct url *url = url_parse (text, &err);

  assert_no_error (&err);
  assert_non_null (url);
  assert_string_equal (url->scheme, scheme);
  assert_string_equal (url->host, host);
  assert_int_equal (url->port, port);
  assert_string_equal (url->base, base);
}

/* The host, however it is spelled. */
static void
assert_host (const char *text, const char *host)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_URL struct url *url = url_parse (text, &err);

  assert_no_error (&err);
  assert_string_equal (url->host, host);
}

static void
assert_refused (const char *text, enum clevis_code code, const char *message)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_URL struct url *url = url_parse (text, &err);

  if (url)
    print_error ("\"%s\" was taken for %s\n", text, url->base);
  assert_null (url);
  assert_error (&err, code, message);
}

static void
test_http (void **state)
{
  assert_url ("http://tang.example.com", "http", "tang.example.com", 80,
              "http://tang.example.com");
  assert_url ("http://tang:8080", "http", "tang", 8080, "http://tang:8080");
}

static void
test_https (void **state)
{
  assert_url ("https://tang", "https", "tang", 443, "https://tang");
  assert_url ("https://tang:7500", "https", "tang", 7500,
              "https://tang:7500");
}

/* Real tokens have these. */
static void
test_no_scheme_is_http (void **state)
{
  assert_url ("tang", "http", "tang", 80, "http://tang");
  assert_url ("tang.example.com:8080", "http", "tang.example.com", 8080,
              "http://tang.example.com:8080");
  assert_url ("192.0.2.7", "http", "192.0.2.7", 80, "http://192.0.2.7");
}

static void
test_scheme_in_capitals (void **state)
{
  assert_url ("HTTPS://tang", "https", "tang", 443, "https://tang");
}

static void
test_path_is_kept_without_final_slash (void **state)
{
  assert_url ("http://h/", "http", "h", 80, "http://h");
  assert_url ("http://h/a/b", "http", "h", 80, "http://h/a/b");
  assert_url ("http://h/a/b//", "http", "h", 80, "http://h/a/b");
  assert_url ("http://h/nbde-1/a_b.c~d", "http", "h", 80,
              "http://h/nbde-1/a_b.c~d");
  assert_url ("http://h/.a/..b/...", "http", "h", 80, "http://h/.a/..b/...");
}

/* What curl is given is made of what the policy sees. */
static void
test_base_is_written_anew (void **state)
{
  assert_url ("HTTP://Tang.Example.com:80/", "http", "tang.example.com", 80,
              "http://tang.example.com");
  assert_url ("https://tang:0443/x", "https", "tang", 443, "https://tang/x");
  assert_url ("http://0x7f.1:8080", "http", "127.0.0.1", 8080,
              "http://127.0.0.1:8080");
  assert_url ("http://127.0.0.1.", "http", "127.0.0.1", 80,
              "http://127.0.0.1");
  assert_url ("http://[2001:0DB8:0::7]", "http", "2001:db8::7", 80,
              "http://[2001:db8::7]");
  assert_url ("http://[fe80::1%25eth0]:81", "http", "fe80::1", 81,
              "http://[fe80::1%25eth0]:81");
  assert_url ("http://[fe80::1%eth0]", "http", "fe80::1", 80,
              "http://[fe80::1%25eth0]");
  /* A resolver is not to search the domains of this host for it. */
  assert_url ("http://Tang.example.com.:81/x", "http", "tang.example.com", 81,
              "http://tang.example.com.:81/x");
}

static void
test_host_is_lower_case_without_final_dot (void **state)
{
  assert_host ("http://Tang.EXAMPLE.com", "tang.example.com");
  assert_host ("http://tang.example.com.", "tang.example.com");
  assert_host ("http://127.0.0.1.", "127.0.0.1");
}

/* inet_aton(3) would take all of these for 127.0.0.1, so the policy must see
 * it, too.
 */
static void
test_numeric_ipv4_is_made_dotted (void **state)
{
  assert_host ("http://2130706433", "127.0.0.1");
  assert_host ("http://0x7f000001", "127.0.0.1");
  assert_host ("http://017700000001", "127.0.0.1");
  assert_host ("http://127.1", "127.0.0.1");
  assert_host ("http://127.0.1", "127.0.0.1");
  assert_host ("http://0x7f.1", "127.0.0.1");
  assert_host ("http://0177.0.0.01", "127.0.0.1");
  assert_host ("http://0x7f.0x0.0x0.0x1", "127.0.0.1");
  assert_host ("http://2130706433.", "127.0.0.1");
  assert_host ("http://0", "0.0.0.0");
}

static void
test_percent_encoded_host_is_refused (void **state)
{
  static const char *const urls[] = {
    "http://%31%32%37.0.0.1", "http://21%330706433", "http://0%78%37f.1",
    "http://l%6Fcalhost", "http://127%2e0%2e0%2e1", "http://tang%2f.example",
    "http://tang%00.example", "http://tang%252e.example", "http://tang%",
    "http://tang%3a80", "http://%5b::1%5d", "%74ang", "http://tang:%38%30",
    "http://127.0.0.1%ef%bc%9a80",
  };
  size_t i;

  for (i = 0; i < sizeof urls / sizeof urls[0]; ++i)
    assert_refused (urls[i], CLEVIS_ERR_TOKEN, "percent-encoded");
}

/* curl would map these (IDNA), to ASCII letters, dots, colons and slashes among
 * others; the advice names what does not need mapping.
 */
static void
test_foreign_host_is_refused (void **state)
{
  static const char *const urls[] = {
    "http://b\303\274cher.example", "b\303\274cher.example:8080",
    "http://127\343\200\202" "0.0.1", "http://127.0.0.1\357\274\232" "80",
    "http://127.0.0.1\357\274\232" "80\357\274\217.example.com",
    "http://\357\274\221\357\274\222\357\274\227.0.0.1",
    "http://\342\221\240\342\221\241\342\221\246.0.0.1",
    "http://tang\342\200\213.example", "http://tang\302\255.example",
    "http://\342\204\252elvin.example", "http://lo\305\277t.example",
    "http://[::\357\274\221]", "http://tang\377", "http://tang\200:80/x",
    "http://tang:\357\274\230", "https://tang.\320\274\320\276\321\201/x",
  };
  size_t i;

  for (i = 0; i < sizeof urls / sizeof urls[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    CLEANUP_URL struct url *url = url_parse (urls[i], &err);

    if (url)
      fail_msg ("\"%s\" was taken for %s", urls[i], url->base);
    assert_error (&err, CLEVIS_ERR_TOKEN, "characters other than a-z");
    assert_contains (err.hint, "xn--");
  }
}

static void
test_odd_names_are_refused (void **state)
{
  assert_refused ("http://tang*.example", CLEVIS_ERR_TOKEN, NULL);
  assert_refused ("http://tang,b", CLEVIS_ERR_TOKEN, NULL);
  assert_refused ("http://tang;b", CLEVIS_ERR_TOKEN, NULL);
  assert_refused ("http://tang..example", CLEVIS_ERR_TOKEN, "empty");
  assert_refused ("http://.tang", CLEVIS_ERR_TOKEN, "empty");
  assert_refused ("http://127.0.0.1..", CLEVIS_ERR_TOKEN, "empty");
  assert_refused ("http://-tang", CLEVIS_ERR_TOKEN, "hyphen");
  assert_refused ("http://127.0.0.1.1", CLEVIS_ERR_TOKEN, "number");
  assert_refused ("http://tang.256", CLEVIS_ERR_TOKEN, "number");
  assert_refused ("http://08.0.0.1", CLEVIS_ERR_TOKEN, "number");
  assert_host ("http://tang_1.example", "tang_1.example");
  assert_host ("http://XN--BCHER-kva.example", "xn--bcher-kva.example");
}

static void
test_ipv6 (void **state)
{
  assert_url ("http://[2001:db8::7]:8080", "http", "2001:db8::7", 8080,
              "http://[2001:db8::7]:8080");
  assert_host ("http://[::FFFF:127.0.0.1]", "::ffff:127.0.0.1");
  assert_host ("[::1]:80", "::1");
}

static void
test_ipv6_zone_is_not_in_the_host (void **state)
{
  assert_host ("http://[fe80::1%25eth0]", "fe80::1");
  assert_host ("http://[fe80::1%eth0]", "fe80::1");
  assert_host ("http://[fe80::1%25br-lan.1_x]", "fe80::1");
}

static void
test_odd_zones_are_refused (void **state)
{
  assert_refused ("http://[::1%25lo]", CLEVIS_ERR_TOKEN, "zone");
  assert_refused ("http://[2001:db8::1%25eth0]", CLEVIS_ERR_TOKEN, "zone");
  assert_refused ("http://[::ffff:127.0.0.1%25lo]", CLEVIS_ERR_TOKEN, "zone");
  assert_refused ("http://[fe80::1%25a23456789b123456]", CLEVIS_ERR_TOKEN,
                  NULL);
  assert_refused ("http://[fe80::1%25eth%30]", CLEVIS_ERR_TOKEN, NULL);
  assert_refused ("http://[fe80::1%25eth/0]", CLEVIS_ERR_TOKEN, NULL);
  assert_refused ("http://[fe80::1%25eth0]%2e", CLEVIS_ERR_TOKEN, NULL);
  assert_refused ("http://x[fe80::1%25eth0]", CLEVIS_ERR_TOKEN, NULL);
}

static void
test_user_info_is_refused (void **state)
{
  assert_refused ("http://user@h", CLEVIS_ERR_TOKEN, "user name");
  assert_refused ("http://user:pass@h", CLEVIS_ERR_TOKEN, "user name");
  assert_refused ("http://:pass@h", CLEVIS_ERR_TOKEN, "user name");
  assert_refused ("tang.example.com@h", CLEVIS_ERR_TOKEN, "user name");
  assert_refused ("http://%66oo@h", CLEVIS_ERR_TOKEN, "user name");
  assert_refused ("http://@h", CLEVIS_ERR_TOKEN, "user name");
}

/* Some take it for a slash. */
static void
test_backslash_is_refused (void **state)
{
  assert_refused ("http://h\\@evil", CLEVIS_ERR_TOKEN, "malformed");
  assert_refused ("http://h\\evil", CLEVIS_ERR_TOKEN, "malformed");
  assert_refused ("http:\\\\h", CLEVIS_ERR_TOKEN, "malformed");
  assert_refused ("http://h/a\\..\\b", CLEVIS_ERR_TOKEN, "malformed");
}

/* A path is compared with that of a map, and what a server or a proxy makes of
 * it must be the same.
 */
static void
test_paths_that_climb_are_refused (void **state)
{
  static const char *const urls[] = {
    "http://h/..", "http://h/../x", "http://h/a/../b", "http://h/a/..",
    "http://h/a/../", "http://h/.", "http://h/./a", "http://h/a/./b",
    "http://h//a", "http://h/a//b", "http:////a",
  };
  static const char *const coded[] = {
    "http://h/%2e%2e", "http://h/a/%2E%2E/b", "http://h/a/.%2e/b",
    "http://h/a/%2e./b", "http://h/a%2f..%2fb", "http://h/a%2Fb",
    "http://h/%252e%252e/b", "http://h/a/%252f", "http://h/a%5cb",
    "http://h/%c0%ae%c0%ae/b", "http://h/%u002e%u002e/b", "http://h/a%00b",
    "http://h/%61", "http://h/a%", "http://h/a/..;/b", "http://h/a;x=/b",
    "http://h/a:b", "http://h/a@b", "http://h/a+b", "http://h/a,b",
    "http://h/a=b", "http://h/a&b", "http://h/a*b", "http://h/a'b",
    "http://h/(a)", "http://h/a!b", "http://h/$a",
  };
  size_t i;

  for (i = 0; i < sizeof urls / sizeof urls[0]; ++i)
    assert_refused (urls[i], CLEVIS_ERR_TOKEN, NULL);
  for (i = 0; i < sizeof coded / sizeof coded[0]; ++i)
    assert_refused (coded[i], CLEVIS_ERR_TOKEN, "path");
  assert_refused ("http://h/\303\274", CLEVIS_ERR_TOKEN, "malformed");
  assert_refused ("http://h/\357\274\217..", CLEVIS_ERR_TOKEN, "malformed");
}

static void
test_query_and_fragment_are_refused (void **state)
{
  assert_refused ("http://h?x", CLEVIS_ERR_TOKEN, "query");
  assert_refused ("http://h/?x=/rec", CLEVIS_ERR_TOKEN, "query");
  assert_refused ("http://h/?", CLEVIS_ERR_TOKEN, "query");
  assert_refused ("http://h#x", CLEVIS_ERR_TOKEN, "fragment");
}

static void
test_other_schemes_are_refused (void **state)
{
  static const char *const urls[] = {
    "file:///etc/passwd", "gopher://h:70/_x", "ftp://h", "ftps://h",
    "dict://h:2628/x", "ldap://h", "smb://h/x", "telnet://h", "tftp://h",
    "unix:///run/x.sock", "ws://h", "httpx://h", "scp://h", "smtp://h",
    "imap://h", "rtsp://h", "mqtt://h", "FILE:///etc/passwd", "data://h",
  };
  size_t i;

  for (i = 0; i < sizeof urls / sizeof urls[0]; ++i)
    assert_refused (urls[i], CLEVIS_ERR_POLICY, "only http and https");
}

static void
test_no_host_is_refused (void **state)
{
  assert_refused ("", CLEVIS_ERR_TOKEN, NULL);
  assert_refused ("http://", CLEVIS_ERR_TOKEN, "No host");
  assert_refused ("http:///", CLEVIS_ERR_TOKEN, "No host");
  assert_refused ("http://:80", CLEVIS_ERR_TOKEN, NULL);
}

static void
test_bad_ports_are_refused (void **state)
{
  assert_refused ("http://h:65536", CLEVIS_ERR_TOKEN, "Port number");
  assert_refused ("http://h:0", CLEVIS_ERR_TOKEN, "port 0");
  assert_refused ("http://h:-1", CLEVIS_ERR_TOKEN, "Port number");
  assert_refused ("http://h:80x", CLEVIS_ERR_TOKEN, "Port number");
  assert_refused ("http://h:99999999999999999999", CLEVIS_ERR_TOKEN,
                  "Port number");
}

/* What could become another header or another request. */
static void
test_control_characters_are_refused (void **state)
{
  assert_refused ("http://h\r\nX: y", CLEVIS_ERR_TOKEN, "malformed");
  assert_refused ("http://h/\r\nX: y", CLEVIS_ERR_TOKEN, "malformed");
  assert_refused ("http://h/a b", CLEVIS_ERR_TOKEN, "malformed");
  assert_refused ("http://h h", CLEVIS_ERR_TOKEN, "malformed");
  assert_refused ("http://h/\177", CLEVIS_ERR_TOKEN, "malformed");
  assert_refused ("http://h\001", CLEVIS_ERR_TOKEN, "malformed");
}

static void
test_bad_ipv6_is_refused (void **state)
{
  assert_refused ("http://[::1", CLEVIS_ERR_TOKEN, "malformed");
  assert_refused ("http://[::g]", CLEVIS_ERR_TOKEN, "malformed");
  assert_refused ("http://[::1]x", CLEVIS_ERR_TOKEN, "malformed");
}

/* A URL of len bytes. */
static char *
long_url (size_t len)
{
  static const char start[] = "http://h/";
  char *url = malloc (len + 1);

  memset (url, 'a', len);
  memcpy (url, start, sizeof start - 1);
  url[len] = '\0';
  return url;
}

static void
test_longest_url_is_taken (void **state)
{
  CLEANUP_FREE char *url = long_url (BOUND_URL);

  assert_host (url, "h");
}

static void
test_longer_url_is_refused (void **state)
{
  CLEANUP_FREE char *url = long_url (BOUND_URL + 1);
  CLEANUP_FREE char *huge = long_url (9 * 1000 * 1000);

  assert_refused (url, CLEVIS_ERR_LIMIT, "longer than 2048");
  assert_refused (huge, CLEVIS_ERR_LIMIT, "longer than 2048");
}

int
main (void)
{
  const struct CMUnitTest url[] = {
    cmocka_unit_test (test_http),
    cmocka_unit_test (test_https),
    cmocka_unit_test (test_no_scheme_is_http),
    cmocka_unit_test (test_scheme_in_capitals),
    cmocka_unit_test (test_path_is_kept_without_final_slash),
    cmocka_unit_test (test_base_is_written_anew),
    cmocka_unit_test (test_host_is_lower_case_without_final_dot),
    cmocka_unit_test (test_numeric_ipv4_is_made_dotted),
    cmocka_unit_test (test_percent_encoded_host_is_refused),
    cmocka_unit_test (test_foreign_host_is_refused),
    cmocka_unit_test (test_odd_names_are_refused),
    cmocka_unit_test (test_ipv6),
    cmocka_unit_test (test_ipv6_zone_is_not_in_the_host),
    cmocka_unit_test (test_odd_zones_are_refused),
    cmocka_unit_test (test_user_info_is_refused),
    cmocka_unit_test (test_backslash_is_refused),
    cmocka_unit_test (test_paths_that_climb_are_refused),
    cmocka_unit_test (test_query_and_fragment_are_refused),
    cmocka_unit_test (test_other_schemes_are_refused),
    cmocka_unit_test (test_no_host_is_refused),
    cmocka_unit_test (test_bad_ports_are_refused),
    cmocka_unit_test (test_control_characters_are_refused),
    cmocka_unit_test (test_bad_ipv6_is_refused),
    cmocka_unit_test (test_longest_url_is_taken),
    cmocka_unit_test (test_longer_url_is_refused),
  };

  return run_unit_tests (url);
}
