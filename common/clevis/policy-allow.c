/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * --tang-allow: patterns of servers, and what they admit.  Nothing is
 * resolved or connected to here.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cleanups.h"
#include "gettext-compat.h"
#include "policy-private.h"

int
policy_number (const char *text, int lo, int hi)
{
  char *end;
  long v;

  if (*text < '0' || *text > '9')
    return -1;
  v = strtol (text, &end, 10);
  return *end == '\0' && v >= lo && v <= hi ? (int) v : -1;
}

bool
policy_split_host (char *text, char **host, char **length, char **port)
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
parse_net (struct policy_pattern *p, const char *host, const char *length)
{
  int v4;

  if (!address_parse (&p->net, host))
    return false;
  v4 = address_is_ipv4 (&p->net) ? 96 : 0;
  p->prefix = 128;
  if (length) {
    p->prefix = policy_number (length, 0, 128 - v4);
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
parse_name (struct policy_pattern *p, const char *host)
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
parse_pattern (struct policy_pattern *p, char *text)
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
  if (!policy_split_host (text, &host, &length, &port))
    return false;
  if (port) {
    p->port = policy_number (port, 1, 65535);
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
  struct policy_pattern p = { .prefix = 0 }, *patterns;

  if (text == NULL || !parse_pattern (&p, text)) {
    policy_pattern_clear (&p);
    clevis_error_set (err, CLEVIS_ERR_POLICY,
                      _("\"%s\" is not [SCHEME://]HOST[:PORT]"), pattern);
    clevis_error_hint (err, _("HOST is a name, *.DOMAIN, an address or a "
                              "range like 192.0.2.0/24 or [2001:db8::]/32."));
    return -1;
  }
  patterns = reallocarray (policy->patterns, policy->nr_patterns + 1,
                           sizeof *patterns);
  if (patterns == NULL) {
    policy_pattern_clear (&p);
    return clevis_error_errno (err, errno, _("policy"));
  }
  policy->patterns = patterns;
  policy->patterns[policy->nr_patterns++] = p;
  return 0;
}

static bool
name_matches (const struct policy_pattern *p, const char *host)
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
scheme_and_port_match (const struct policy_pattern *p,
                       const struct policy_target *target)
{
  return (p->scheme == NULL || strcasecmp (p->scheme, target->scheme) == 0) &&
    (p->port == 0 || p->port == target->port);
}

/* The user's word "localhost" is a word about loopback. */
static bool
names_loopback (const struct policy_pattern *p, const struct address *a)
{
  return !p->wildcard && strcasecmp (p->name, "localhost") == 0 &&
    address_is_loopback (a);
}

static bool
pattern_admits (const struct policy_pattern *p,
                const struct policy_target *target, const struct address *a)
{
  if (!scheme_and_port_match (p, target))
    return false;
  if (p->name == NULL)
    return address_in_net (a, &p->net, p->prefix);
  return name_matches (p, target->host) &&
    (address_forbidden (a) == NULL || names_loopback (p, a));
}

/* Might the pattern admit an address of a host whose name is all that is
 * known so far?  Behind a proxy nothing more will be known.
 */
static bool
pattern_may_admit (const struct policy_pattern *p,
                   const struct policy_target *target)
{
  return scheme_and_port_match (p, target) &&
    (p->name == NULL ? !target->proxied : name_matches (p, target->host));
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
                      _("not asked: %s is in the %s range"), host, range);
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
  const char *range = address_forbidden (a);
  size_t i;

  if (policy->nr_patterns == 0)
    return range ? refuse (err, target, a, range) : 0;
  for (i = 0; i < policy->nr_patterns; ++i)
    if (pattern_admits (&policy->patterns[i], target, a))
      return 0;
  return refuse (err, target, a, range);
}

/* A name whose address nobody here will see must be one that the user gave. */
static int
refuse_proxied (struct clevis_error *err, const struct policy_target *target)
{
  clevis_error_set (err, CLEVIS_ERR_POLICY,
                    _("not asked: a proxy would resolve the name %s, so its "
                      "address cannot be checked"), target->host);
  clevis_error_hint (err, _("If this is a server of yours, add "
                            "--tang-allow %s."), target->host);
  return -1;
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
    return target->proxied ? refuse_proxied (err, target) : 0;
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

void
policy_pattern_clear (struct policy_pattern *p)
{
  free (p->scheme);
  free (p->name);
}
