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

#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "base/hostname.h"
#include "policy/policy-private.h"

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

/* An address, perhaps with a length, which counts the bits of what is written:
 * ::ffff:192.0.2.0/120 is 192.0.2.0/24.
 */
static bool
parse_net (struct policy_pattern *p, const char *host, const char *length)
{
  const int unwritten = strchr (host, ':') ? 0 : 96;

  if (!address_parse (&p->net, host))
    return false;
  p->prefix = 128;
  if (length) {
    p->prefix = policy_number (length, 0, 128 - unwritten);
    if (p->prefix == -1)
      return false;
    p->prefix += unwritten;
  }
  return true;
}

static bool
parse_name (struct policy_pattern *p, const char *host, const char **problem)
{
  size_t len;

  p->wildcard = strncmp (host, "*.", 2) == 0;
  if (p->wildcard)
    host += 2;
  *problem = hostname_problem (host);
  if (*problem)
    return false;
  len = strlen (host);
  p->name = strndup (host, host[len-1] == '.' ? len - 1 : len);
  return p->name != NULL;
}

/* Returns false; *problem says why if it is the host. */
static bool
parse_pattern (struct policy_pattern *p, char *text, const char **problem)
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
    (length == NULL && parse_name (p, host, problem));
}

static int
refuse_pattern (const char *pattern, const char *problem,
                struct clevis_error *err)
{
  clevis_error_set (err, CLEVIS_ERR_POLICY,
                    _("\"%s\" is not [SCHEME://]HOST[:PORT]%s%s"), pattern,
                    problem ? ": " : "", problem ? problem : "");
  if (hostname_is_foreign (pattern))
    clevis_error_hint (err, "%s", hostname_advice ());
  else
    clevis_error_hint (err, _("HOST is a name, *.DOMAIN, an address or a "
                              "range like 192.0.2.0/24 or [2001:db8::]/32."));
  return -1;
}

int
policy_allow (struct policy *policy, const char *pattern,
              struct clevis_error *err)
{
  CLEANUP_FREE char *text = strdup (pattern);
  struct policy_pattern p = { .prefix = 0 }, *patterns;
  const char *problem = NULL;

  if (text == NULL || !parse_pattern (&p, text, &problem)) {
    policy_pattern_clear (&p);
    return refuse_pattern (pattern, problem, err);
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

bool
policy_is_list (const struct policy *policy)
{
  return policy->nr_patterns > 0;
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

/* Is it an address that only the user may name?  It is taken for one of this
 * host if nobody can say that it is none.
 */
static bool
is_barred (const struct address *a)
{
  return address_forbidden (a) != NULL || address_is_own (a) != 0;
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
    (names_loopback (p, a) || !is_barred (a));
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

/* The advice that ends most searches, with a pattern that can be copied. */
static void
hint_allow (struct clevis_error *err, const char *host)
{
  clevis_error_hint (err, _("Add --tang-allow %s if this is a server of "
                            "yours."), host);
}

static int
refuse_name (struct clevis_error *err, const struct policy_target *target)
{
  clevis_error_set (err, CLEVIS_ERR_POLICY,
                    _("not asked: %s is not among the servers that "
                      "--tang-allow names"), target->host);
  hint_allow (err, target->host);
  return -1;
}

static int
refuse_address (struct clevis_error *err, const struct address *a)
{
  const char *range = address_forbidden (a);
  const int own = range ? 0 : address_is_own (a);
  const int own_errno = errno;
  char text[INET6_ADDRSTRLEN];

  address_text (a, text);
  if (range)
    clevis_error_set (err, CLEVIS_ERR_POLICY,
                      _("not asked: %s is in the %s range"), text, range);
  else if (own == 1)
    clevis_error_set (err, CLEVIS_ERR_POLICY,
                      _("not asked: %s is an address of this host"), text);
  else if (own == -1)
    clevis_error_set (err, CLEVIS_ERR_POLICY,
                      _("not asked: whether %s is an address of this host "
                        "cannot be found out: %s"), text,
                      strerror (own_errno));
  else
    clevis_error_set (err, CLEVIS_ERR_POLICY,
                      _("not asked: %s is not among the servers that "
                        "--tang-allow names"), text);
  hint_allow (err, text);
  return -1;
}

static int
check (const struct policy *policy, const struct policy_target *target,
       const struct address *a, struct clevis_error *err)
{
  size_t i;

  if (policy->nr_patterns == 0)
    return is_barred (a) ? refuse_address (err, a) : 0;
  for (i = 0; i < policy->nr_patterns; ++i)
    if (pattern_admits (&policy->patterns[i], target, a))
      return 0;
  return refuse_address (err, a);
}

/* A name whose address nobody here will see must be one that the user gave. */
static int
refuse_proxied (struct clevis_error *err, const struct policy_target *target)
{
  clevis_error_set (err, CLEVIS_ERR_POLICY,
                    _("not asked: a proxy would resolve the name %s, so its "
                      "address cannot be checked"), target->host);
  hint_allow (err, target->host);
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
  return refuse_name (err, target);
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
