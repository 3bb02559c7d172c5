/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The policy: which servers may be asked.  It resolves and connects to
 * nothing; it is told what is about to be connected to.
 */

#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cleanups.h"
#include "gettext-compat.h"
#include "policy.h"

#define DEFAULT_TIMEOUT_MS 10000

/* An address without its port.  IPv4 is kept as IPv4-mapped IPv6, so that one
 * comparison serves both.
 */
struct address {
  uint8_t bytes[16];
};

/* What a pattern of --tang-allow says; NULL and 0 mean any. */
struct pattern {
  char *scheme;
  char *name;              /* of a host, or of a domain with wildcard */
  bool wildcard;
  struct address net;      /* if name is NULL */
  int prefix;              /* bits of net that count */
  int port;
};

struct policy {
  struct pattern *patterns;
  size_t nr_patterns;
  long timeout_ms;
};

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
  { "fd00:ec2::254", 128, N_("cloud metadata") },
  { "::ffff:100.100.100.200", 128, N_("cloud metadata") },
  { "::ffff:192.0.0.192", 128, N_("cloud metadata") },
  { "::ffff:168.63.129.16", 128, N_("cloud metadata") },
};

/* Forms of IPv6 that carry an IPv4 address which a gateway would connect to:
 * at which byte it is.
 */
static const struct carrier {
  const char *net;
  int prefix;
  int at;
} carriers[] = {
  { "::", 96, 12 },             /* IPv4-compatible, RFC 4291 2.5.5.1 */
  { "64:ff9b::", 96, 12 },      /* NAT64, RFC 6052 */
  { "2002::", 16, 2 },          /* 6to4, RFC 3056 */
};

static void
map_ipv4 (struct address *a, const void *v4)
{
  memset (a->bytes, 0, 10);
  memset (a->bytes + 10, 0xff, 2);
  memcpy (a->bytes + 12, v4, 4);
}

static bool
is_ipv4 (const struct address *a)
{
  static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

  return memcmp (a->bytes, mapped, sizeof mapped) == 0;
}

static bool
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

static bool
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

static void
address_text (const struct address *a, char buf[INET6_ADDRSTRLEN])
{
  if (is_ipv4 (a))
    inet_ntop (AF_INET, a->bytes + 12, buf, INET6_ADDRSTRLEN);
  else
    inet_ntop (AF_INET6, a->bytes, buf, INET6_ADDRSTRLEN);
}

static bool
in_net (const struct address *a, const struct address *net, int prefix)
{
  int whole = prefix / 8, rest = prefix % 8;

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
    if (in_net (a, &net, forbidden[i].prefix))
      return forbidden[i].what;
  }
  return NULL;
}

/* The name of the forbidden range that an address is in, itself or by the
 * IPv4 address that it carries; NULL if in none.
 */
static const char *
forbidden_range (const struct address *a)
{
  const char *what = direct_range (a);
  struct address net, carried;
  size_t i;

  for (i = 0; what == NULL && i < sizeof carriers / sizeof carriers[0]; ++i) {
    inet_pton (AF_INET6, carriers[i].net, net.bytes);
    if (!in_net (a, &net, carriers[i].prefix))
      continue;
    map_ipv4 (&carried, a->bytes + carriers[i].at);
    what = direct_range (&carried);
  }
  return what;
}

struct policy *
policy_new (void)
{
  struct policy *policy = calloc (1, sizeof *policy);

  if (policy)
    policy->timeout_ms = DEFAULT_TIMEOUT_MS;
  return policy;
}

void
policy_free (struct policy *policy)
{
  size_t i;

  if (policy == NULL)
    return;
  for (i = 0; i < policy->nr_patterns; ++i) {
    free (policy->patterns[i].scheme);
    free (policy->patterns[i].name);
  }
  free (policy->patterns);
  free (policy);
}

void
policy_set_timeout (struct policy *policy, long ms)
{
  policy->timeout_ms = ms;
}

long
policy_timeout (const struct policy *policy)
{
  return policy->timeout_ms;
}

/* A decimal number from lo to hi and nothing else; -1 if it is not. */
static int
number (const char *text, int lo, int hi)
{
  char *end;
  long v;

  if (*text < '0' || *text > '9')
    return -1;
  v = strtol (text, &end, 10);
  return *end == '\0' && v >= lo && v <= hi ? (int) v : -1;
}

/* Split "HOST[/LENGTH][:PORT]" in place, where HOST may have brackets around
 * it, and the length may be inside or behind them.
 */
static bool
split_host (char *text, char **host, char **length, char **port)
{
  char *end;

  *length = *port = NULL;
  *host = text;
  if (*text == '[') {
    end = strchr (text, ']');
    if (end == NULL)
      return false;
    *host = text + 1;
    *end++ = '\0';
    if (*end != '\0' && *end != '/' && *end != ':')
      return false;
  }
  else {
    /* Several colons and no brackets: IPv6 without a port. */
    end = strchr (text, ':');
    end = end && strchr (end + 1, ':') ? strchr (text, '/')
      : text + strcspn (text, "/:");
    end = end ? end : text + strlen (text);
  }
  if (*end == ':') {
    *port = end + 1;
    *end = '\0';
  }
  else if (*end == '/') {
    *length = end + 1;
    *end = '\0';
    end = strchr (*length, ':');
    if (end) {
      *port = end + 1;
      *end = '\0';
    }
  }
  if (*length == NULL && (end = strchr (*host, '/')) != NULL) {
    *length = end + 1;
    *end = '\0';
  }
  return **host != '\0';
}

static bool
parse_net (struct pattern *p, const char *host, const char *length)
{
  int v4;

  if (!address_parse (&p->net, host))
    return false;
  v4 = is_ipv4 (&p->net) ? 96 : 0;
  p->prefix = 128;
  if (length) {
    p->prefix = number (length, 0, 128 - v4);
    if (p->prefix == -1)
      return false;
    p->prefix += v4;
  }
  return true;
}

/* Letters, digits, hyphens, underscores (in use, though not in RFC 1123) and
 * dots.  Digits and dots alone would be an address, and a wrong one.
 */
static bool
parse_name (struct pattern *p, const char *host)
{
  size_t len;

  p->wildcard = strncmp (host, "*.", 2) == 0;
  if (p->wildcard)
    host += 2;
  len = strspn (host, "abcdefghijklmnopqrstuvwxyz"
                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
  if (len == 0 || host[len] != '\0' || *host == '.' ||
      strspn (host, "0123456789.") == len)
    return false;
  if (host[len-1] == '.')
    len--;
  p->name = strndup (host, len);
  return p->name != NULL;
}

static bool
parse_pattern (struct pattern *p, char *text)
{
  char *sep = strstr (text, "://"), *host, *length, *port;

  if (sep) {
    *sep = '\0';
    if (strcasecmp (text, "http") != 0 && strcasecmp (text, "https") != 0)
      return false;
    p->scheme = strdup (text);
    if (p->scheme == NULL)
      return false;
    text = sep + 3;
  }
  if (!split_host (text, &host, &length, &port))
    return false;
  if (port) {
    p->port = number (port, 1, 65535);
    if (p->port == -1)
      return false;
  }
  return parse_net (p, host, length) ||
    (length == NULL && parse_name (p, host));
}

int
policy_allow (struct policy *policy, const char *pattern,
              struct clevis_error *err)
{
  CLEANUP_FREE char *text = strdup (pattern);
  struct pattern p = { .prefix = 0 }, *patterns;

  if (text == NULL || !parse_pattern (&p, text)) {
    free (p.scheme);
    free (p.name);
    clevis_error_set (err, CLEVIS_ERR_POLICY,
                      _("\"%s\" is not [SCHEME://]HOST[:PORT]"), pattern);
    clevis_error_hint (err, _("HOST is a name, *.DOMAIN, an address or a "
                              "range like 192.0.2.0/24 or [2001:db8::]/32."));
    return -1;
  }
  patterns = reallocarray (policy->patterns, policy->nr_patterns + 1,
                           sizeof *patterns);
  if (patterns == NULL) {
    free (p.scheme);
    free (p.name);
    return clevis_error_errno (err, errno, _("policy"));
  }
  policy->patterns = patterns;
  policy->patterns[policy->nr_patterns++] = p;
  return 0;
}

static bool
name_matches (const struct pattern *p, const char *host)
{
  size_t len = strlen (host), n = strlen (p->name);

  if (len > 0 && host[len-1] == '.')
    len--;
  if (!p->wildcard)
    return len == n && strncasecmp (host, p->name, n) == 0;
  return len > n + 1 && host[len-n-1] == '.' &&
    strncasecmp (host + len - n, p->name, n) == 0;
}

static bool
scheme_and_port_match (const struct pattern *p,
                       const struct policy_target *target)
{
  return (p->scheme == NULL || strcasecmp (p->scheme, target->scheme) == 0) &&
    (p->port == 0 || p->port == target->port);
}

/* The user's word "localhost" is a word about loopback. */
static bool
names_loopback (const struct pattern *p, const char *range)
{
  return !p->wildcard && strcasecmp (p->name, "localhost") == 0 &&
    strcmp (range, "loopback") == 0;
}

static bool
pattern_admits (const struct pattern *p, const struct policy_target *target,
                const struct address *a)
{
  const char *range;

  if (!scheme_and_port_match (p, target))
    return false;
  if (p->name == NULL)
    return in_net (a, &p->net, p->prefix);
  if (!name_matches (p, target->host))
    return false;
  range = forbidden_range (a);
  return range == NULL || names_loopback (p, range);
}

/* Might the pattern admit an address of a host whose name is all that is
 * known so far?
 */
static bool
pattern_may_admit (const struct pattern *p,
                   const struct policy_target *target)
{
  return scheme_and_port_match (p, target) &&
    (p->name == NULL || name_matches (p, target->host));
}

static int
refuse (struct clevis_error *err, const struct policy_target *target,
        const struct address *a, const char *range)
{
  char text[INET6_ADDRSTRLEN];
  const char *host = target->host;
  CLEANUP_FREE char *pattern = NULL;
  bool v6;

  if (a) {
    address_text (a, text);
    host = text;
  }
  v6 = strchr (host, ':') != NULL;
  if (asprintf (&pattern, "%s%s%s", v6 ? "[" : "", host, v6 ? "]" : "") == -1)
    pattern = NULL;
  if (range)
    clevis_error_set (err, CLEVIS_ERR_POLICY,
                      _("not asked: %s is in the %s range"), host,
                      _(range));
  else
    clevis_error_set (err, CLEVIS_ERR_POLICY,
                      _("not asked: %s is not among the servers that "
                        "--tang-allow names"), host);
  clevis_error_hint (err, _("If this is a server of yours, add "
                            "--tang-allow %s."), pattern ? pattern : host);
  return -1;
}

static int
check (const struct policy *policy, const struct policy_target *target,
       const struct address *a, struct clevis_error *err)
{
  const char *range = forbidden_range (a);
  size_t i;

  if (policy->nr_patterns == 0)
    return range ? refuse (err, target, a, range) : 0;
  for (i = 0; i < policy->nr_patterns; ++i)
    if (pattern_admits (&policy->patterns[i], target, a))
      return 0;
  return refuse (err, target, a, range);
}

int
policy_check_target (const struct policy *policy,
                     const struct policy_target *target,
                     struct clevis_error *err)
{
  struct address a;
  size_t i;

  if (address_parse (&a, target->host))
    return check (policy, target, &a, err);
  if (policy->nr_patterns == 0)
    return 0;
  for (i = 0; i < policy->nr_patterns; ++i)
    if (pattern_may_admit (&policy->patterns[i], target))
      return 0;
  return refuse (err, target, NULL, NULL);
}

int
policy_check_address (const struct policy *policy,
                      const struct policy_target *target,
                      const struct sockaddr *address,
                      struct clevis_error *err)
{
  struct address a;

  if (!address_of_sockaddr (&a, address))
    return clevis_error_set (err, CLEVIS_ERR_POLICY,
                             _("not asked: an address that is neither IPv4 "
                               "nor IPv6"));
  return check (policy, target, &a, err);
}
