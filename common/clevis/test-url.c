/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of url.c: which URLs of tokens are taken, in which one spelling the
 * policy gets to see them, and which are refused.
 */

#include <config.h>

#include "testlib.h"

#include "bounds.h"
#include "url.h"

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
test_percent_encoded_host_is_decoded (void **state)
{
  assert_host ("http://%31%32%37.0.0.1", "127.0.0.1");
  assert_host ("http://21%330706433", "127.0.0.1");
  assert_host ("http://0%78%37f.1", "127.0.0.1");
  assert_host ("http://l%6Fcalhost", "localhost");
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
}

static void
test_user_info_is_refused (void **state)
{
  assert_refused ("http://user@h", CLEVIS_ERR_TOKEN, "user name");
  assert_refused ("http://user:pass@h", CLEVIS_ERR_TOKEN, "user name");
  assert_refused ("http://:pass@h", CLEVIS_ERR_TOKEN, "user name");
  assert_refused ("tang.example.com@h", CLEVIS_ERR_TOKEN, "user name");
  assert_refused ("http://h\\@evil", CLEVIS_ERR_TOKEN, "user name");
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
  assert_refused ("http://h%0d%0a", CLEVIS_ERR_TOKEN, "malformed");
  assert_refused ("http://h%00x", CLEVIS_ERR_TOKEN, "malformed");
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

static void
test_target_is_what_the_policy_judges (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_URL struct url *url = url_parse ("https://[::1]:99/x", &err);
  struct policy_target target = url_target (url);

  assert_string_equal (target.scheme, "https");
  assert_string_equal (target.host, "::1");
  assert_int_equal (target.port, 99);
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
    cmocka_unit_test (test_host_is_lower_case_without_final_dot),
    cmocka_unit_test (test_numeric_ipv4_is_made_dotted),
    cmocka_unit_test (test_percent_encoded_host_is_decoded),
    cmocka_unit_test (test_ipv6),
    cmocka_unit_test (test_ipv6_zone_is_not_in_the_host),
    cmocka_unit_test (test_user_info_is_refused),
    cmocka_unit_test (test_query_and_fragment_are_refused),
    cmocka_unit_test (test_other_schemes_are_refused),
    cmocka_unit_test (test_no_host_is_refused),
    cmocka_unit_test (test_bad_ports_are_refused),
    cmocka_unit_test (test_control_characters_are_refused),
    cmocka_unit_test (test_bad_ipv6_is_refused),
    cmocka_unit_test (test_longest_url_is_taken),
    cmocka_unit_test (test_longer_url_is_refused),
    cmocka_unit_test (test_target_is_what_the_policy_judges),
  };

  return run_unit_tests (url);
}
