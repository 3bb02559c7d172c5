/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of policy.c: which servers may be asked by default, and what the
 * patterns of --tang-allow admit.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "policy/policy.h"
#include "base/url.h"

/* The host of these tests, in the place of libc's functions: the addresses of
 * its interfaces, and one network that is routed to itself.  Where it has none
 * the kernel cannot say.
 */
static const char *own_addresses[] = { "198.51.100.7", "2001:db8:7::7" };
static bool knows_addresses = true;
#define ROUTED_NET "198.51.101."

static struct ifaddrs interfaces[3];
static struct sockaddr_storage sockaddrs[2];

int
getifaddrs (struct ifaddrs **list)
{
  struct sockaddr_in *v4 = (struct sockaddr_in *) &sockaddrs[0];
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) &sockaddrs[1];

  if (!knows_addresses) {
    errno = EMFILE;
    return -1;
  }
  v4->sin_family = AF_INET;
  assert_int_equal (inet_pton (AF_INET, own_addresses[0], &v4->sin_addr), 1);
  v6->sin6_family = AF_INET6;
  assert_int_equal (inet_pton (AF_INET6, own_addresses[1], &v6->sin6_addr), 1);
  /* The first interface has no address, as those of some tunnels. */
  interfaces[0].ifa_next = &interfaces[1];
  interfaces[1].ifa_next = &interfaces[2];
  interfaces[1].ifa_addr = (struct sockaddr *) v4;
  interfaces[2].ifa_addr = (struct sockaddr *) v6;
  *list = interfaces;
  return 0;
}

void
freeifaddrs (struct ifaddrs *list)
{
  assert_ptr_equal (list, interfaces);
}

static struct sockaddr_in connected;

int
connect (int fd, const struct sockaddr *address, socklen_t len)
{
  char text[INET_ADDRSTRLEN];

  errno = ENETUNREACH;
  if (address->sa_family != AF_INET)
    return -1;
  connected = *(const struct sockaddr_in *) address;
  inet_ntop (AF_INET, &connected.sin_addr, text, sizeof text);
  return strncmp (text, ROUTED_NET, strlen (ROUTED_NET)) == 0 ? 0 : -1;
}

int
getsockname (int fd, struct sockaddr *address, socklen_t *len)
{
  *(struct sockaddr_in *) address = connected;
  *len = sizeof connected;
  return 0;
}

static void
cleanup_policy (struct policy **policy)
{
  policy_free (*policy);
}

#define CLEANUP_POLICY __attribute__ ((cleanup (cleanup_policy)))

/* A policy with these patterns, separated by spaces. */
static struct policy *
policy_with (const char *patterns)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_FREE char *copy = strdup (patterns);
  struct policy *policy = policy_new ();
  char *save, *p;

  assert_non_null (policy);
  for (p = strtok_r (copy, " ", &save); p; p = strtok_r (NULL, " ", &save)) {
    policy_allow (policy, p, &err);
    assert_no_error (&err);
  }
  return policy;
}

/* What the policy says about connecting to an address for a target. */
static int
check_address (const struct policy *policy,
               const struct policy_target *target, const char *address,
               struct clevis_error *err)
{
  struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
  struct sockaddr_in v4 = { .sin_family = AF_INET };

  if (inet_pton (AF_INET, address, &v4.sin_addr) == 1)
    return policy_check_address (policy, target, (struct sockaddr *) &v4, err);
  assert_int_equal (inet_pton (AF_INET6, address, &v6.sin6_addr), 1);
  return policy_check_address (policy, target, (struct sockaddr *) &v6, err);
}

/* Is a URL refused before anything is resolved? */
static bool
url_is_refused (const struct policy *policy, const char *text,
                struct clevis_error *err)
{
  struct url *url = url_parse (text, err);
  struct policy_target target;
  int r = -1;

  if (url) {
    target = policy_target_of (url);
    r = policy_check_target (policy, &target, err);
  }
  url_free (url);
  return r == -1;
}

/* Spellings of addresses that the default policy forbids, one a line with the
 * range that the message is to name.
 */
static const struct {
  const char *url;
  const char *range;
} forbidden_urls[] = {
  { "http://127.0.0.1", "loopback" },
  { "http://127.0.0.1:8080/x", "loopback" },
  { "https://127.0.0.1", "loopback" },
  { "127.0.0.1", "loopback" },
  { "http://127.255.255.254", "loopback" },
  { "http://127.0.0.1.", "loopback" },
  { "http://127.1", "loopback" },
  { "http://127.0.1", "loopback" },
  { "http://2130706433", "loopback" },
  { "http://0x7f000001", "loopback" },
  { "http://0X7F000001", "loopback" },
  { "http://017700000001", "loopback" },
  { "http://0x7f.1", "loopback" },
  { "http://0177.0.0.1", "loopback" },
  { "http://0x7f.0.0x0.1", "loopback" },
  { "http://[::1]", "loopback" },
  { "http://[0:0:0:0:0:0:0:1]", "loopback" },
  { "http://[0000::0001]:80", "loopback" },
  { "http://[::ffff:127.0.0.1]", "loopback" },
  { "http://[::FFFF:7f00:1]", "loopback" },
  { "http://[0:0:0:0:0:ffff:7f00:0001]", "loopback" },
  { "http://[::127.0.0.1]", "loopback" },
  { "http://[::7f00:1]", "loopback" },
  { "http://[64:ff9b::127.0.0.1]", "loopback" },
  { "http://[64:ff9b::7f00:1]", "loopback" },
  { "http://[2002:7f00:1::]", "loopback" },
  { "http://[2002:7f12:3456:1::2]", "loopback" },
  { "http://[::ffff:0:127.0.0.1]", "loopback" },
  { "http://[64:ff9b:1::127.0.0.1]", "loopback" },
  { "http://[2001:0:7f00:1::]", "loopback" },
  { "http://[2001:0:c000:201::80ff:fffe]", "loopback" },
  { "http://[2001:db8::5efe:127.0.0.1]", "loopback" },
  { "http://[2001:db8::200:5efe:127.0.0.1]", "loopback" },
  { "http://0.0.0.0", "unspecified" },
  { "http://0", "unspecified" },
  { "http://0x0", "unspecified" },
  { "http://0.1.2.3", "unspecified" },
  { "http://[::]", "unspecified" },
  { "http://[::ffff:0.0.0.0]", "unspecified" },
  { "http://[64:ff9b::]", "unspecified" },
  { "http://169.254.169.254", "link-local" },
  { "http://169.254.169.254.", "link-local" },
  { "http://2852039166", "link-local" },
  { "http://0xa9fea9fe", "link-local" },
  { "http://0251.0376.0251.0376", "link-local" },
  { "http://169.254.43518", "link-local" },
  { "http://[::ffff:169.254.169.254]", "link-local" },
  { "http://[::ffff:a9fe:a9fe]", "link-local" },
  { "http://[64:ff9b::169.254.169.254]", "link-local" },
  { "http://[2002:a9fe:a9fe::1]", "link-local" },
  { "http://[fe80::1]", "link-local" },
  { "http://[fe80::1%25eth0]", "link-local" },
  { "http://[fe80::1%eth0]", "link-local" },
  { "http://[febf:ffff::1]", "link-local" },
  { "http://224.0.0.1", "multicast" },
  { "http://239.255.255.255", "multicast" },
  { "http://[ff02::1]", "multicast" },
  { "http://[::ffff:224.0.0.1]", "multicast" },
  { "http://255.255.255.255", "broadcast" },
  { "http://4294967295", "broadcast" },
  { "http://[fd00:ec2::254]", "cloud metadata" },
  { "http://[fd00:ec2::23]", "cloud metadata" },
  { "http://[fd20:ce::254]", "cloud metadata" },
  { "http://[fd00:c1::a9fe:a9fe]", "cloud metadata" },
  { "http://[fd00:c1:0:0::169.254.169.254]", "cloud metadata" },
  { "http://[fd00:42::42]", "cloud metadata" },
  { "http://100.100.100.200", "cloud metadata" },
  { "http://168.63.129.16", "cloud metadata" },
};

static void
test_forbidden_in_every_spelling (void **state)
{
  CLEANUP_POLICY struct policy *policy = policy_new ();
  size_t i;

  for (i = 0; i < sizeof forbidden_urls / sizeof forbidden_urls[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

    if (!url_is_refused (policy, forbidden_urls[i].url, &err))
      fail_msg ("%s was not refused", forbidden_urls[i].url);
    assert_error (&err, CLEVIS_ERR_POLICY, forbidden_urls[i].range);
    assert_contains (err.hint, "--tang-allow");
  }
}

/* The same ranges at the moment of connecting, whatever name led there. */
static void
test_forbidden_addresses_of_names (void **state)
{
  static const char *const addresses[] = {
    "127.0.0.1", "127.255.255.255", "0.0.0.0", "0.255.255.255",
    "169.254.0.0", "169.254.255.255", "224.0.0.0", "239.255.255.255",
    "255.255.255.255", "::", "::1", "fe80::1", "febf::1", "ff02::1",
    "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
    "::ffff:169.254.169.254", "fd00:ec2::254", "192.0.0.192",
  };
  CLEANUP_POLICY struct policy *policy = policy_new ();
  const struct policy_target target = {
    .scheme = "http", .host = "tang.example.com", .port = 80
  };
  size_t i;

  for (i = 0; i < sizeof addresses / sizeof addresses[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

    if (check_address (policy, &target, addresses[i], &err) == 0)
      fail_msg ("%s was not refused", addresses[i]);
    assert_error (&err, CLEVIS_ERR_POLICY, "range");
  }
}

static void
test_other_addresses_are_allowed (void **state)
{
  static const char *const addresses[] = {
    "1.0.0.0", "10.0.0.1", "126.255.255.255", "128.0.0.0",
    "169.253.255.255", "169.255.0.0", "172.16.0.1", "192.168.1.1",
    "223.255.255.255", "255.255.255.254", "2001:db8::1", "fc00::1",
    "fd12::254", "fd00:42::43", "fd00:c1::a9fe:a9ff", "fe7f::1", "fec0::1", "::ffff:10.0.0.1",
    "64:ff9b::10.0.0.1", "2002:a00:1::", "2003:7f00:1::", "::10.0.0.1",
    "::ffff:0:10.0.0.1", "64:ff9b:1::10.0.0.1", "64:ff9c::127.0.0.1",
    "2001:0:c000:201::f5ff:fffe", "2001:1::7f00:1", "fd00:ec3::254",
    "2001:db8::5efe:10.0.0.1", "2001:db8::5eff:127.0.0.1",
  };
  CLEANUP_POLICY struct policy *policy = policy_new ();
  const struct policy_target target = {
    .scheme = "http", .host = "tang.example.com", .port = 80
  };
  size_t i;

  for (i = 0; i < sizeof addresses / sizeof addresses[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

    check_address (policy, &target, addresses[i], &err);
    assert_no_error (&err);
  }
}

/* An address of this host is as loopback, however it is written or found. */
static void
test_own_addresses_are_refused (void **state)
{
  static const char *const urls[] = {
    "http://198.51.100.7", "http://0xc6336407:8080", "http://198.51.25607",
    "http://[::ffff:198.51.100.7]", "http://[64:ff9b::198.51.100.7]",
    "http://[2002:c633:6407::1]", "http://[2001:db8:7::7]",
    "http://[2001:DB8:7:0::7]", "http://198.51.101.1",
    "http://[::ffff:198.51.101.77]",
  };
  static const char *const addresses[] = {
    "198.51.100.7", "2001:db8:7::7", "::ffff:198.51.100.7", "198.51.101.1",
  };
  static const char *const patterns[] = { "", "tang", "*.example 192.0.2.1" };
  const struct policy_target target = {
    .scheme = "http", .host = "tang", .port = 80
  };
  size_t i, j;

  for (j = 0; j < sizeof patterns / sizeof patterns[0]; ++j) {
    CLEANUP_POLICY struct policy *policy = policy_with (patterns[j]);

    for (i = 0; i < sizeof urls / sizeof urls[0]; ++i) {
      CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

      if (!url_is_refused (policy, urls[i], &err))
        fail_msg ("%s was not refused", urls[i]);
      assert_error (&err, CLEVIS_ERR_POLICY, "is an address of this host");
      assert_contains (err.hint, "--tang-allow");
    }
    for (i = 0; i < sizeof addresses / sizeof addresses[0]; ++i) {
      CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

      if (check_address (policy, &target, addresses[i], &err) == 0)
        fail_msg ("%s was not refused", addresses[i]);
      assert_error (&err, CLEVIS_ERR_POLICY, "is an address of this host");
    }
  }
}

static void
test_own_address_that_is_allowed (void **state)
{
  static const char *const patterns[] = {
    "198.51.100.7", "198.51.100.0/24", "0.0.0.0/0", "tang 198.51.100.7",
  };
  const struct policy_target target = {
    .scheme = "http", .host = "tang", .port = 80
  };
  size_t i;

  for (i = 0; i < sizeof patterns / sizeof patterns[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    CLEANUP_POLICY struct policy *policy = policy_with (patterns[i]);

    assert_false (url_is_refused (policy, "http://198.51.100.7", &err));
    check_address (policy, &target, "198.51.100.7", &err);
    assert_no_error (&err);
    assert_true (url_is_refused (policy, "http://[2001:db8:7::7]", &err));
  }
}

/* Then nobody is asked but whom the user named by address. */
static void
test_own_addresses_are_not_known (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_ERROR struct clevis_error none = CLEVIS_ERROR_INIT;
  CLEANUP_POLICY struct policy *policy = policy_new ();
  CLEANUP_POLICY struct policy *list = policy_with ("192.0.2.1");

  knows_addresses = false;
  assert_true (url_is_refused (policy, "http://192.0.2.1", &err));
  assert_error (&err, CLEVIS_ERR_POLICY, strerror (EMFILE));
  assert_false (url_is_refused (list, "http://192.0.2.1", &none));
  knows_addresses = true;
}

/* --tang-cert is for a policy that names servers. */
static void
test_is_list (void **state)
{
  CLEANUP_POLICY struct policy *policy = policy_new ();
  CLEANUP_POLICY struct policy *list = policy_with ("tang");

  assert_false (policy_is_list (policy));
  assert_true (policy_is_list (list));
}

/* Before a name is resolved nothing can be said about it. */
static void
test_names_are_not_judged_early (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_POLICY struct policy *policy = policy_new ();

  assert_false (url_is_refused (policy, "http://tang.example.com", &err));
  assert_false (url_is_refused (policy, "http://localhost", &err));
}

static void
test_neither_ipv4_nor_ipv6 (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_POLICY struct policy *policy = policy_new ();
  const struct policy_target target = {
    .scheme = "http", .host = "h", .port = 80
  };
  const struct sockaddr unix_address = { .sa_family = AF_UNIX };

  assert_int_equal (policy_check_address (policy, &target, &unix_address,
                                          &err), -1);
  assert_error (&err, CLEVIS_ERR_POLICY, "neither IPv4 nor IPv6");
}

/* Patterns of --tang-allow, a server that is asked for, the address that it
 * has, and whether that is allowed.
 */
static const struct {
  const char *patterns;
  const char *url;
  const char *address;
  bool allowed;
} cases[] = {
  /* Names. */
  { "tang.example.com", "http://tang.example.com", "192.0.2.1", true },
  { "tang.example.com", "https://tang.example.com:99", "192.0.2.1", true },
  { "tang.example.com", "http://TANG.example.COM.", "192.0.2.1", true },
  { "TANG.Example.com.", "http://tang.example.com", "192.0.2.1", true },
  { "tang.example.com", "http://tang.example.org", "192.0.2.1", false },
  { "tang.example.com", "http://a.tang.example.com", "192.0.2.1", false },
  { "tang.example.com", "http://xtang.example.com", "192.0.2.1", false },
  { "tang.example.com", "http://tang.example.com.evil", "192.0.2.1", false },
  { "tang", "http://tang", "10.0.0.1", true },
  { "tang_1", "http://tang_1", "10.0.0.1", true },
  /* A name server is not the user. */
  { "tang.example.com", "http://tang.example.com", "127.0.0.1", false },
  { "tang.example.com", "http://tang.example.com", "169.254.169.254", false },
  { "tang.example.com", "http://tang.example.com", "::1", false },
  { "tang.example.com", "http://tang.example.com", "::ffff:127.0.0.1",
    false },
  /* The word localhost is about loopback, and about nothing else. */
  { "localhost", "http://localhost", "127.0.0.1", true },
  { "localhost", "http://localhost:8080", "::1", true },
  { "localhost", "http://localhost", "169.254.169.254", false },
  { "localhost", "http://tang", "127.0.0.1", false },
  { "localhost", "http://127.0.0.1", "127.0.0.1", false },
  { "*.localhost", "http://a.localhost", "127.0.0.1", false },
  /* Domains. */
  { "*.example.com", "http://tang.example.com", "192.0.2.1", true },
  { "*.example.com", "http://a.b.example.com", "192.0.2.1", true },
  { "*.EXAMPLE.com", "http://tang.example.com.", "192.0.2.1", true },
  { "*.example.com", "http://example.com", "192.0.2.1", false },
  { "*.example.com", "http://tangexample.com", "192.0.2.1", false },
  { "*.example.com", "http://tang.example.com.evil", "192.0.2.1", false },
  { "*.example.com", "http://tang.example.com", "127.0.0.1", false },
  /* Addresses admit what the default forbids, for names as well. */
  { "127.0.0.1", "http://127.0.0.1", "127.0.0.1", true },
  { "127.0.0.1", "http://127.0.0.1:8080", "127.0.0.1", true },
  { "127.0.0.1", "http://localhost", "127.0.0.1", true },
  { "127.0.0.1", "http://2130706433", "127.0.0.1", true },
  { "127.0.0.1", "http://127.0.0.2", "127.0.0.2", false },
  { "127.0.0.1", "http://[::1]", "::1", false },
  { "127.0.0.1", "http://[::ffff:127.0.0.1]", "::ffff:127.0.0.1", true },
  { "[::ffff:127.0.0.1]", "http://127.0.0.1", "127.0.0.1", true },
  { "127.0.0.1", "http://[64:ff9b::7f00:1]", "64:ff9b::7f00:1", false },
  { "[::1]", "http://[::1]", "::1", true },
  { "::1", "http://[::1]:8080", "::1", true },
  { "[::1]", "http://[0:0::1]", "::1", true },
  { "192.0.2.1", "http://tang.example.com", "192.0.2.1", true },
  { "192.0.2.1", "http://tang.example.com", "192.0.2.2", false },
  /* Ranges. */
  { "192.0.2.0/24", "http://192.0.2.255", "192.0.2.255", true },
  { "192.0.2.0/24", "http://192.0.3.0", "192.0.3.0", false },
  { "192.0.2.77/24", "http://192.0.2.1", "192.0.2.1", true },
  { "192.0.2.128/25", "http://192.0.2.127", "192.0.2.127", false },
  { "192.0.2.128/25", "http://192.0.2.128", "192.0.2.128", true },
  { "192.0.2.1/32", "http://192.0.2.1", "192.0.2.1", true },
  { "192.0.2.1/32", "http://192.0.2.0", "192.0.2.0", false },
  { "0.0.0.0/0", "http://127.0.0.1", "127.0.0.1", true },
  { "0.0.0.0/0", "http://[2001:db8::1]", "2001:db8::1", false },
  { "[2001:db8::]/32", "http://[2001:db8:1::2]", "2001:db8:1::2", true },
  { "2001:db8::/32", "http://[2001:db9::]", "2001:db9::", false },
  { "[2001:db8::/32]", "http://[2001:db8::1]", "2001:db8::1", true },
  { "[2001:db8::]/127", "http://[2001:db8::2]", "2001:db8::2", false },
  /* Each family is its own, however an address is written. */
  { "[::]/0", "http://[2001:db8::1]", "2001:db8::1", true },
  { "[::]/0", "http://192.0.2.1", "192.0.2.1", false },
  { "[::]/0", "http://127.0.0.1", "127.0.0.1", false },
  { "[::]/0", "http://[::ffff:127.0.0.1]", "::ffff:127.0.0.1", false },
  { "[::]/0", "http://tang", "127.0.0.1", false },
  { "[::]/80", "http://127.0.0.1", "127.0.0.1", false },
  { "[::]/95", "http://127.0.0.1", "127.0.0.1", false },
  { "[::fffe:0:0]/95", "http://127.0.0.1", "127.0.0.1", false },
  { "[::ffff:0:0]/32", "http://127.0.0.1", "127.0.0.1", false },
  { "[::ffff:127.0.0.1]/8", "http://127.0.0.1", "127.0.0.1", false },
  { "[::ffff:0:0]/96", "http://127.0.0.1", "127.0.0.1", true },
  { "[::ffff:192.0.2.0]/120", "http://192.0.2.255", "192.0.2.255", true },
  { "[::ffff:192.0.2.0]/120", "http://192.0.3.0", "192.0.3.0", false },
  { "0.0.0.0/0", "http://[::ffff:192.0.2.1]", "::ffff:192.0.2.1", true },
  { "0.0.0.0/0", "http://[64:ff9b::c000:201]", "64:ff9b::c000:201", false },
  { "0.0.0.0/0", "http://[::1]", "::1", false },
  { "0.0.0.0/0 [::]/0", "http://[::1]", "::1", true },
  /* Schemes and ports. */
  { "https://tang", "https://tang", "192.0.2.1", true },
  { "https://tang", "http://tang", "192.0.2.1", false },
  { "HTTP://tang", "http://tang", "192.0.2.1", true },
  { "tang:8080", "http://tang:8080", "192.0.2.1", true },
  { "tang:8080", "http://tang", "192.0.2.1", false },
  { "http://tang:80", "http://tang", "192.0.2.1", true },
  { "https://127.0.0.1:443", "https://127.0.0.1", "127.0.0.1", true },
  { "127.0.0.1:81", "http://127.0.0.1:80", "127.0.0.1", false },
  { "127.0.0.0/8:81", "http://127.0.0.9:81", "127.0.0.9", true },
  { "[::1]:81", "http://[::1]:81", "::1", true },
  { "[::1]:81", "http://[::1]:82", "::1", false },
  { "[2001:db8::]/32:81", "http://[2001:db8::1]:81", "2001:db8::1", true },
  { "[2001:db8::]/32:81", "http://[2001:db8::1]:82", "2001:db8::1", false },
  { "http://*.example.com:81", "http://a.example.com:81", "192.0.2.1", true },
  { "http://*.example.com:81", "https://a.example.com:81", "192.0.2.1",
    false },
  /* Several: one is enough. */
  { "tang1 tang2", "http://tang2", "192.0.2.1", true },
  { "tang1 tang2", "http://tang3", "192.0.2.1", false },
  { "tang1 127.0.0.0/8", "http://tang1", "127.0.0.1", true },
  { "tang1:81 tang1:82", "http://tang1:82", "192.0.2.1", true },
};

static void
test_patterns (void **state)
{
  size_t i;

  for (i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    CLEANUP_POLICY struct policy *policy = policy_with (cases[i].patterns);
    struct url *url = url_parse (cases[i].url, &err);
    struct policy_target target;
    bool allowed;

    assert_no_error (&err);
    target = policy_target_of (url);
    allowed = policy_check_target (policy, &target, &err) == 0 &&
      check_address (policy, &target, cases[i].address, &err) == 0;
    url_free (url);
    if (allowed != cases[i].allowed)
      fail_msg ("--tang-allow %s: %s (%s) is %s", cases[i].patterns,
                cases[i].url, cases[i].address,
                allowed ? "allowed" : "refused");
    if (!allowed)
      assert_error (&err, CLEVIS_ERR_POLICY, "not asked");
  }
}

static void
test_bad_patterns (void **state)
{
  static const char *const patterns[] = {
    "", "*", "*.", "*.*", "a*.example.com", "tang.*", "http://", "ftp://tang",
    "file:///etc", "tang:", "tang:0", "tang:65536", "tang:x", "tang:-1",
    "tang:80:81", "tang/24", "tang/path", "192.0.2.1/33", "192.0.2.1/-1",
    "192.0.2.1/", "192.0.2.1/x", "192.0.2.256", "192.0.2", "1", "1.2.3.4.5",
    "[::1", "[::1]x", "[]", "[tang", "::1/129", "[::1]/129", "::g",
    "http://user@tang", "tang tang", "tang\n", ".example.com", "http:tang",
    "http//tang", "[::ffff:1.2.3.4]/97x", "192.0.2.0/24/24", "127.1",
    "0x7f000001", "tang.1", "-tang", "tang-", "a..b", "*.a..b", "*.-a",
    "%74ang", "[fe80::1%eth0]",
  };
  CLEANUP_POLICY struct policy *policy = policy_new ();
  size_t i;

  for (i = 0; i < sizeof patterns / sizeof patterns[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

    if (policy_allow (policy, patterns[i], &err) == 0)
      fail_msg ("\"%s\" was taken for a pattern", patterns[i]);
    assert_error (&err, CLEVIS_ERR_POLICY, "[SCHEME://]HOST[:PORT]");
    assert_contains (err.hint, "HOST is");
  }
}

/* What another program would map to ASCII is not taken for a name, but there is
 * advice for those who need it.
 */
static void
test_foreign_names_in_options (void **state)
{
  static const struct {
    int (*set) (struct policy *, const char *, struct clevis_error *);
    const char *value;
  } options[] = {
    { policy_allow, "b\303\274cher.example" },
    { policy_allow, "*.b\303\274cher.example" },
    { policy_allow, "https://b\303\274cher.example:81" },
    { policy_map, "b\303\274cher.example=http://tang" },
    { policy_map, "tang=http://b\303\274cher.example/x" },
    { policy_map, "https://tang=b\303\274cher.example:81" },
    { policy_resolve, "b\303\274cher.example:80:192.0.2.1" },
  };
  size_t i;

  for (i = 0; i < sizeof options / sizeof options[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    CLEANUP_POLICY struct policy *policy = policy_new ();

    if (options[i].set (policy, options[i].value, &err) == 0)
      fail_msg ("\"%s\" was taken", options[i].value);
    assert_error (&err, CLEVIS_ERR_POLICY, "characters other than a-z");
    assert_contains (err.hint, "xn--");
  }
}

/* A pattern that was not understood restricts nothing by accident, and allows
 * nothing.
 */
static void
test_bad_pattern_changes_nothing (void **state)
{
  CLEANUP_ERROR struct clevis_error bad = CLEVIS_ERROR_INIT;
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_POLICY struct policy *policy = policy_new ();

  assert_int_equal (policy_allow (policy, "127.0.0.1/40", &bad), -1);
  assert_false (url_is_refused (policy, "http://192.0.2.1", &err));
  assert_true (url_is_refused (policy, "http://127.0.0.1", &err));
}

/* The advice, when followed to the letter, helps. */
static void
assert_hint_helps (const char *patterns, const char *url_text)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_ERROR struct clevis_error none = CLEVIS_ERROR_INIT;
  CLEANUP_POLICY struct policy *policy = policy_with (patterns);
  CLEANUP_FREE char *pattern = NULL;
  const char *p;

  assert_true (url_is_refused (policy, url_text, &err));
  p = strstr (err.hint, "--tang-allow ");
  assert_non_null (p);
  p += strlen ("--tang-allow ");
  pattern = strndup (p, strcspn (p, " "));
  policy_allow (policy, pattern, &none);
  assert_no_error (&none);
  assert_false (url_is_refused (policy, url_text, &none));
}

static void
test_hint_helps (void **state)
{
  assert_hint_helps ("", "http://127.0.0.1");
  assert_hint_helps ("", "http://127.1:8080");
  assert_hint_helps ("", "http://[::1]");
  assert_hint_helps ("", "http://[fe80::1]:8080");
  assert_hint_helps ("tang1", "http://tang2");
  assert_hint_helps ("tang1", "https://192.0.2.1");
  assert_hint_helps ("", "http://198.51.100.7");
  assert_hint_helps ("tang1", "http://[2001:db8:7::7]");
}

/* --tang-map: a map, a URL of a token, and the URL that is asked; NULL if the
 * map does not match.
 */
static const struct {
  const char *map, *url, *mapped;
} maps[] = {
  { "tang=http://192.0.2.7", "http://tang", "http://192.0.2.7" },
  { "tang=192.0.2.7:7500", "http://tang", "http://192.0.2.7:7500" },
  { "tang=https://other/x", "http://tang/y", "https://other/x/y" },
  { "tang=http://i/", "http://tang/y", "http://i/y" },
  { "TANG.example.com=http://i", "http://tang.Example.com.", "http://i" },
  { "tang=http://i", "https://tang:99", "http://i" },
  { "tang=http://i", "http://tang.example.com", NULL },
  { "tang=http://i", "http://xtang", NULL },
  { "tang:80=http://i", "http://tang", "http://i" },
  { "tang:80=http://i", "http://tang:81", NULL },
  { "tang:443=http://i", "https://tang", "http://i" },
  { "https://tang=http://i", "https://tang", "http://i" },
  { "https://tang=http://i", "http://tang", NULL },
  { "https://tang=http://i", "http://tang:443", NULL },
  { "http://tang:8080=http://i", "https://tang:8080", NULL },
  { "http://tang=http://i", "http://tang:8080", NULL },
  { "http://tang:8080=http://i", "http://tang:8080", "http://i" },
  { "tang/a=http://i", "http://tang/a", "http://i" },
  { "tang/a=http://i", "http://tang/a/b", "http://i/b" },
  { "tang/a/=http://i/c", "http://tang/a/b", "http://i/c/b" },
  { "tang/a=http://i", "http://tang/ab", NULL },
  { "tang/a=http://i", "http://tang/b", NULL },
  { "tang/a=http://i", "http://tang", NULL },
  { "[2001:db8::1]=http://i", "http://[2001:db8::1]:80", "http://i" },
  { "[2001:DB8:0::1]=http://i", "http://[2001:db8::1]", "http://i" },
  { "[2001:db8::1]:81=http://i", "http://[2001:db8::1]:80", NULL },
  { "[2001:db8::1]:80/a=http://i", "http://[2001:db8::1]/a", "http://i" },
  { "127.0.0.1=http://i", "http://2130706433", "http://i" },
  { "127.1=http://i", "http://127.0.0.1", "http://i" },
  { "tang.=http://i", "http://tang", "http://i" },
  { "tang=http://127.0.0.1:1", "http://tang", "http://127.0.0.1:1" },
};

static void
test_maps (void **state)
{
  size_t i;

  for (i = 0; i < sizeof maps / sizeof maps[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    CLEANUP_POLICY struct policy *policy = policy_new ();
    struct url *url = url_parse (maps[i].url, &err), *mapped = NULL;

    policy_map (policy, maps[i].map, &err);
    assert_no_error (&err);
    assert_int_equal (policy_apply_maps (policy, url, &mapped, &err), 0);
    if (maps[i].mapped == NULL && mapped)
      fail_msg ("%s: %s is mapped to %s", maps[i].map, maps[i].url,
                mapped->base);
    if (maps[i].mapped && mapped == NULL)
      fail_msg ("%s: %s is not mapped", maps[i].map, maps[i].url);
    if (mapped)
      assert_string_equal (mapped->base, maps[i].mapped);
    url_free (url);
    url_free (mapped);
  }
}

static void
test_first_map_is_used (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_POLICY struct policy *policy = policy_new ();
  struct url *url = url_parse ("http://tang/a", &err), *mapped = NULL;

  policy_map (policy, "other=http://h0", &err);
  policy_map (policy, "tang/a=http://h1", &err);
  policy_map (policy, "tang=http://h2", &err);
  assert_int_equal (policy_apply_maps (policy, url, &mapped, &err), 0);
  assert_no_error (&err);
  assert_string_equal (mapped->base, "http://h1");
  url_free (url);
  url_free (mapped);
}

static void
test_bad_maps (void **state)
{
  static const char *const bad[] = {
    "", "=", "tang", "tang=", "=http://i", "tang:x=http://i",
    "tang:0=http://i", "tang:65536=http://i", "ftp://tang=http://i",
    "tang=file:///etc/passwd", "tang=http://", "tang=http://u@i",
    "tang=http://i?x", "[::1=http://i", "tang/..=http://i",
    "tang/%2e=http://i", "tang=http://i/%2e%2e", "tang=http://i/a/../b",
    "u@tang=http://i", "ta%6eg=http://i", "*=http://i", "tang.1=http://i",
  };
  size_t i;

  for (i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    CLEANUP_POLICY struct policy *policy = policy_new ();

    if (policy_map (policy, bad[i], &err) == 0)
      fail_msg ("\"%s\" was taken for a map", bad[i]);
    assert_error (&err, CLEVIS_ERR_POLICY, "is not FROM=TO");
  }
}

static void
test_resolves (void **state)
{
  static const char *const good[] = {
    "tang:80:192.0.2.1", "tang.example.com:8080:2001:db8::1",
    "tang:80:[2001:db8::1]", "tang:65535:127.0.0.1",
    "TANG.example.:80:192.0.2.1",
  };
  static const char *const kept[] = {
    "tang:80:192.0.2.1", "tang.example.com:8080:2001:db8::1",
    "tang:80:[2001:db8::1]", "tang:65535:127.0.0.1",
    "tang.example:80:192.0.2.1",
  };
  static const char *const bad[] = {
    "", "tang", "tang:80", "tang:80:", ":80:192.0.2.1", "tang::192.0.2.1",
    "tang:0:192.0.2.1", "tang:65536:192.0.2.1", "tang:x:192.0.2.1",
    "tang:80:other", "tang:80:192.0.2", "tang:80:[2001:db8::1",
    "-tang:80", "+tang:80:192.0.2.1x", "tang:80:192.0.2.1,192.0.2.2",
    "+tang:80:192.0.2.1", "*:80:192.0.2.1", "ta%6eg:80:192.0.2.1",
    "tang..example:80:192.0.2.1", "[::1]:80:192.0.2.1",
  };
  CLEANUP_POLICY struct policy *policy = policy_new ();
  const char *const *entries;
  size_t i;

  assert_null (policy_resolves (policy)[0]);
  for (i = 0; i < sizeof good / sizeof good[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

    policy_resolve (policy, good[i], &err);
    assert_no_error (&err);
  }
  for (i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

    if (policy_resolve (policy, bad[i], &err) == 0)
      fail_msg ("\"%s\" was taken", bad[i]);
    assert_error (&err, CLEVIS_ERR_POLICY, "HOST:PORT:ADDRESS");
  }
  entries = policy_resolves (policy);
  for (i = 0; i < sizeof good / sizeof good[0]; ++i)
    assert_string_equal (entries[i], kept[i]);
  assert_null (entries[i]);
}

/* Proxies: what the options and the environment say, a URL, and the proxy
 * through which it is asked.
 */
static const struct {
  const char *proxy, *no_proxy; /* options */
  const char *environment;      /* NAME=VALUE, separated by spaces */
  const char *url, *expected;
} proxies[] = {
  { NULL, NULL, "", "http://tang", NULL },
  { "http://p:1", NULL, "", "http://tang", "http://p:1" },
  { "http://p:1", NULL, "", "https://tang", "http://p:1" },
  { "http://p:1", NULL, "http_proxy=http://q", "http://tang", "http://p:1" },
  { NULL, NULL, "http_proxy=http://q", "http://tang", "http://q" },
  { NULL, NULL, "http_proxy=http://q", "https://tang", NULL },
  { NULL, NULL, "https_proxy=http://q", "https://tang", "http://q" },
  { NULL, NULL, "HTTPS_PROXY=http://q", "https://tang", "http://q" },
  { NULL, NULL, "HTTP_PROXY=http://q", "http://tang", NULL },
  { NULL, NULL, "all_proxy=http://q", "http://tang", "http://q" },
  { NULL, NULL, "ALL_PROXY=http://q", "https://tang", "http://q" },
  { NULL, NULL, "http_proxy= all_proxy=http://q", "http://tang", "http://q" },
  { "http://p", "*", "", "http://tang", NULL },
  { NULL, "*", "http_proxy=http://q", "http://tang", NULL },
  { "http://p", "tang", "", "http://tang", NULL },
  { "http://p", "tang", "", "http://TANG.", NULL },
  { "http://p", "example.com", "", "http://tang.example.com", NULL },
  { "http://p", ".example.com", "", "http://tang.example.com", NULL },
  { "http://p", "example.com", "", "http://tangexample.com", "http://p" },
  { "http://p", "tang.example.com", "", "http://example.com", "http://p" },
  { "http://p", "a, b,tang c", "", "http://tang", NULL },
  { "http://p", "a,b", "", "http://tang", "http://p" },
  { "http://p", "192.0.2.1", "", "http://192.0.2.1", NULL },
  { "http://p", "192.0.2.0/24", "", "http://192.0.2.200", NULL },
  { "http://p", "192.0.2.0/24", "", "http://192.0.3.1", "http://p" },
  { "http://p", "192.0.2.0/33", "", "http://192.0.2.1", "http://p" },
  { "http://p", "192.0.2.0/x", "", "http://192.0.2.0", "http://p" },
  { "http://p", "2001:db8::/32", "", "http://[2001:db8::1]", NULL },
  { "http://p", "::/0", "", "http://192.0.2.1", "http://p" },
  { "http://p", "2.1", "", "http://192.0.2.1", "http://p" },
  { NULL, NULL, "http_proxy=http://q no_proxy=tang", "http://tang", NULL },
  { NULL, NULL, "http_proxy=http://q NO_PROXY=tang", "http://tang", NULL },
  { NULL, "other", "http_proxy=http://q no_proxy=tang", "http://tang",
    "http://q" },
};

static void
clear_environment (void)
{
  static const char *const names[] = {
    "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy",
    "ALL_PROXY", "no_proxy", "NO_PROXY",
  };
  size_t i;

  for (i = 0; i < sizeof names / sizeof names[0]; ++i)
    unsetenv (names[i]);
}

static void
set_environment (const char *text)
{
  CLEANUP_FREE char *copy = strdup (text);
  char *save, *p, *value;

  clear_environment ();
  for (p = strtok_r (copy, " ", &save); p; p = strtok_r (NULL, " ", &save)) {
    value = strchr (p, '=');
    *value++ = '\0';
    setenv (p, value, 1);
  }
}

static void
test_proxies (void **state)
{
  size_t i;

  for (i = 0; i < sizeof proxies / sizeof proxies[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    CLEANUP_POLICY struct policy *policy = policy_new ();
    struct policy_settings *settings = policy_settings (policy);
    struct url *url = url_parse (proxies[i].url, &err);
    struct policy_target target = policy_target_of (url);
    const char *proxy;

    set_environment (proxies[i].environment);
    if (proxies[i].proxy)
      settings->proxy = strdup (proxies[i].proxy);
    if (proxies[i].no_proxy)
      settings->no_proxy = strdup (proxies[i].no_proxy);
    proxy = policy_proxy (policy, &target);
    if (strcmp (proxy ? proxy : "none",
                proxies[i].expected ? proxies[i].expected : "none") != 0)
      fail_msg ("%s, --tang-proxy %s, no_proxy %s, %s: %s", proxies[i].url,
                proxies[i].proxy ? proxies[i].proxy : "none",
                proxies[i].no_proxy ? proxies[i].no_proxy : "none",
                proxies[i].environment, proxy ? proxy : "none");
    url_free (url);
  }
  clear_environment ();
}

/* Behind a proxy the address of a name is not seen, so the user must have
 * named it.
 */
static void
test_names_behind_a_proxy (void **state)
{
  static const struct {
    const char *patterns, *host;
    bool allowed;
  } behind[] = {
    { "", "tang", false },
    { "", "192.0.2.1", true },
    { "", "127.0.0.1", false },
    { "", "198.51.100.7", false },
    { "tang", "tang", true },
    { "*.example.com", "tang.example.com", true },
    { "192.0.2.0/24", "tang", false },
    { "192.0.2.0/24", "192.0.2.1", true },
    { "0.0.0.0/0 tang", "tang", true },
    { "localhost", "localhost", true },
  };
  size_t i;

  for (i = 0; i < sizeof behind / sizeof behind[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    CLEANUP_POLICY struct policy *policy = policy_with (behind[i].patterns);
    const struct policy_target target = {
      .scheme = "http", .host = behind[i].host, .port = 80, .proxied = true
    };
    bool allowed = policy_check_target (policy, &target, &err) == 0;

    if (allowed != behind[i].allowed)
      fail_msg ("--tang-allow %s: %s is %s", behind[i].patterns,
                behind[i].host, allowed ? "allowed" : "refused");
  }
}

static void
test_defaults (void **state)
{
  CLEANUP_POLICY struct policy *policy = policy_new ();
  const struct policy_settings *settings = policy_get_settings (policy);

  assert_int_equal (settings->timeout, 10000);
  assert_int_equal (settings->connect_timeout, 5000);
  assert_int_equal (settings->deadline, 60000);
  assert_int_equal (settings->retries, 2);
  assert_int_equal (settings->parallel, 16);
  assert_null (settings->proxy);
  policy_settings (policy)->timeout = 250;
  assert_int_equal (settings->timeout, 250);
}

static void
test_target_is_what_the_policy_judges (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct url *url = url_parse ("https://[::1]:99/x", &err);
  struct policy_target target = policy_target_of (url);

  assert_string_equal (target.scheme, "https");
  assert_string_equal (target.host, "::1");
  assert_int_equal (target.port, 99);
  url_free (url);
}

int
main (void)
{
  const struct CMUnitTest policy[] = {
    cmocka_unit_test (test_target_is_what_the_policy_judges),
    cmocka_unit_test (test_forbidden_in_every_spelling),
    cmocka_unit_test (test_forbidden_addresses_of_names),
    cmocka_unit_test (test_other_addresses_are_allowed),
    cmocka_unit_test (test_own_addresses_are_refused),
    cmocka_unit_test (test_own_address_that_is_allowed),
    cmocka_unit_test (test_own_addresses_are_not_known),
    cmocka_unit_test (test_is_list),
    cmocka_unit_test (test_names_are_not_judged_early),
    cmocka_unit_test (test_neither_ipv4_nor_ipv6),
    cmocka_unit_test (test_patterns),
    cmocka_unit_test (test_bad_patterns),
    cmocka_unit_test (test_foreign_names_in_options),
    cmocka_unit_test (test_bad_pattern_changes_nothing),
    cmocka_unit_test (test_hint_helps),
    cmocka_unit_test (test_maps),
    cmocka_unit_test (test_first_map_is_used),
    cmocka_unit_test (test_bad_maps),
    cmocka_unit_test (test_resolves),
    cmocka_unit_test (test_proxies),
    cmocka_unit_test (test_names_behind_a_proxy),
    cmocka_unit_test (test_defaults),
  };

  return run_unit_tests (policy);
}
