/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * IP addresses: the ranges that no disk may name, and which are this host's.
 */

#include <config.h>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policy/address.h"
#include "base/cleanups.h"
#include "base/gettext-compat.h"

/* Ranges that no server on a network has.  A disk that names one wants this
 * host to talk to itself or to the machine that it runs on.
 */
static const struct range {
  const char *net;         /* IPv6 or IPv4-mapped */
  int prefix;
  const char *what;
} forbidden[] = {
  { "::ffff:0.0.0.0", 96 + 8, N_("unspecified") },
  { "::ffff:127.0.0.0", 96 + 8, N_("loopback") },
  { "::ffff:169.254.0.0", 96 + 16, N_("link-local") },
  { "::ffff:224.0.0.0", 96 + 4, N_("multicast") },
  { "::ffff:255.255.255.255", 128, N_("broadcast") },
  { "::", 128, N_("unspecified") },
  { "::1", 128, N_("loopback") },
  { "fe80::", 10, N_("link-local") },
  { "ff00::", 8, N_("multicast") },
  /* Metadata services of clouds outside of the link-local range. */
  { "fd00:ec2::", 32, N_("cloud metadata") },
  { "fd20:ce::254", 128, N_("cloud metadata") },
  { "fd00:c1::a9fe:a9fe", 128, N_("cloud metadata") },
  { "fd00:42::42", 128, N_("cloud metadata") },
  { "::ffff:100.100.100.200", 128, N_("cloud metadata") },
  { "::ffff:192.0.0.192", 128, N_("cloud metadata") },
  { "::ffff:168.63.129.16", 128, N_("cloud metadata") },
};

/* Forms of IPv6 that carry an IPv4 address which a gateway would connect to:
 * at which byte it is, and what its bytes are combined with.
 */
static const struct carrier {
  const char *net;
  int prefix;
  int at;
  uint8_t xor;
} carriers[] = {
  { "::", 96, 12, 0 },          /* IPv4-compatible, RFC 4291 2.5.5.1 */
  { "::ffff:0:0:0", 96, 12, 0 }, /* IPv4-translated, RFC 2765 2.1 */
  { "64:ff9b::", 96, 12, 0 },   /* NAT64, RFC 6052 */
  { "64:ff9b:1::", 48, 12, 0 }, /* NAT64 of a site, RFC 8215, as /96 */
  { "2002::", 16, 2, 0 },       /* 6to4, RFC 3056 */
  { "2001::", 32, 4, 0 },       /* Teredo's server, RFC 4380 4 */
  { "2001::", 32, 12, 0xff },   /* Teredo's client */
};

static void
map_ipv4 (struct address *a, const void *v4)
{
  memset (a->bytes, 0, 10);
  memset (a->bytes + 10, 0xff, 2);
  memcpy (a->bytes + 12, v4, 4);
}

bool
address_is_ipv4 (const struct address *a)
{
  static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

  return memcmp (a->bytes, mapped, sizeof mapped) == 0;
}

bool
address_parse (struct address *a, const char *text)
{
  uint8_t v4[4];

  if (inet_pton (AF_INET6, text, a->bytes) == 1)
    return true;
  if (inet_pton (AF_INET, text, v4) != 1)
    return false;
  map_ipv4 (a, v4);
  return true;
}

bool
address_of_sockaddr (struct address *a, const struct sockaddr *sa)
{
  switch (sa->sa_family) {
  case AF_INET:
    map_ipv4 (a, &((const struct sockaddr_in *) sa)->sin_addr);
    return true;
  case AF_INET6:
    memcpy (a->bytes, &((const struct sockaddr_in6 *) sa)->sin6_addr, 16);
    return true;
  default:
    return false;
  }
}

void
address_text (const struct address *a, char buf[INET6_ADDRSTRLEN])
{
  if (address_is_ipv4 (a))
    inet_ntop (AF_INET, a->bytes + 12, buf, INET6_ADDRSTRLEN);
  else
    inet_ntop (AF_INET6, a->bytes, buf, INET6_ADDRSTRLEN);
}

bool
address_in_net (const struct address *a, const struct address *net, int prefix)
{
  int whole = prefix / 8, rest = prefix % 8;

  /* IPv4 is in no net of IPv6, not even in the one that has all of it. */
  if (prefix < 96 && address_is_ipv4 (a))
    return false;
  if (memcmp (a->bytes, net->bytes, whole) != 0)
    return false;
  return rest == 0 ||
    (a->bytes[whole] ^ net->bytes[whole]) >> (8 - rest) == 0;
}

static const char *
direct_range (const struct address *a)
{
  struct address net;
  size_t i;

  for (i = 0; i < sizeof forbidden / sizeof forbidden[0]; ++i) {
    inet_pton (AF_INET6, forbidden[i].net, net.bytes);
    if (address_in_net (a, &net, forbidden[i].prefix))
      return _(forbidden[i].what);
  }
  return NULL;
}

/* Carriers, ISATAP, and the address itself. */
#define MAX_MEANINGS (sizeof carriers / sizeof carriers[0] + 2)

/* What an address may stand for: itself, and IPv4 addresses inside of it.
 * Returns how many there are.
 */
static size_t
find_meanings (const struct address *a, struct address meanings[MAX_MEANINGS])
{
  static const uint8_t isatap[] = { 0x00, 0x5e, 0xfe };
  struct address net;
  size_t n = 0, i, j;

  meanings[n++] = *a;
  for (i = 0; i < sizeof carriers / sizeof carriers[0]; ++i) {
    inet_pton (AF_INET6, carriers[i].net, net.bytes);
    if (!address_in_net (a, &net, carriers[i].prefix))
      continue;
    map_ipv4 (&meanings[n], a->bytes + carriers[i].at);
    for (j = 12; j < sizeof meanings[n].bytes; ++j)
      meanings[n].bytes[j] ^= carriers[i].xor;
    n++;
  }
  /* ISATAP, RFC 5214 6.1: the interface identifier, below any prefix. */
  if ((a->bytes[8] & 0xfc) == 0 &&
      memcmp (a->bytes + 9, isatap, sizeof isatap) == 0)
    map_ipv4 (&meanings[n++], a->bytes + 12);
  return n;
}

const char *
address_forbidden (const struct address *a)
{
  struct address meanings[MAX_MEANINGS];
  const size_t n = find_meanings (a, meanings);
  const char *what = NULL;
  size_t i;

  for (i = 0; what == NULL && i < n; ++i)
    what = direct_range (&meanings[i]);
  return what;
}

static bool
interfaces_have (const struct ifaddrs *list, const struct address *a)
{
  struct address own;

  for (; list; list = list->ifa_next)
    if (list->ifa_addr && address_of_sockaddr (&own, list->ifa_addr) &&
        memcmp (own.bytes, a->bytes, sizeof own.bytes) == 0)
      return true;
  return false;
}

/* Would a packet to the address come back to this host?  Then the address is
 * also where it would come from.  Linux can be told so of whole networks (ip
 * route add local) without an interface that has their addresses.  Connecting
 * a datagram socket sends nothing.
 */
static bool
routed_to_itself (const struct address *a)
{
  struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons (9) };
  struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
                             .sin6_port = htons (9) };
  const bool is_v4 = address_is_ipv4 (a);
  struct sockaddr_storage from;
  socklen_t len = sizeof from;
  struct address own;
  CLEANUP_CLOSE int fd = socket (is_v4 ? AF_INET : AF_INET6,
                                 SOCK_DGRAM | SOCK_CLOEXEC, 0);

  memcpy (&v4.sin_addr, a->bytes + 12, sizeof v4.sin_addr);
  memcpy (&v6.sin6_addr, a->bytes, sizeof v6.sin6_addr);
  return fd != -1 &&
    connect (fd, is_v4 ? (struct sockaddr *) &v4 : (struct sockaddr *) &v6,
             is_v4 ? sizeof v4 : sizeof v6) == 0 &&
    getsockname (fd, (struct sockaddr *) &from, &len) == 0 &&
    address_of_sockaddr (&own, (struct sockaddr *) &from) &&
    memcmp (own.bytes, a->bytes, sizeof own.bytes) == 0;
}

int
address_is_own (const struct address *a)
{
  struct address meanings[MAX_MEANINGS];
  const size_t n = find_meanings (a, meanings);
  struct ifaddrs *list;
  bool own = false;
  size_t i;

  if (getifaddrs (&list) == -1)
    return -1;
  for (i = 0; !own && i < n; ++i)
    own = interfaces_have (list, &meanings[i]) ||
      routed_to_itself (&meanings[i]);
  freeifaddrs (list);
  return own;
}

bool
address_is_loopback (const struct address *a)
{
  struct address net;

  address_parse (&net, "127.0.0.0");
  if (address_in_net (a, &net, 96 + 8))
    return true;
  address_parse (&net, "::1");
  return address_in_net (a, &net, 128);
}
