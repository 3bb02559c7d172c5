/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Whether a server is asked through a proxy.  curl could read the environment
 * itself, but then nobody would know whose address it connects to.  Source:
 * curl(1) "ENVIRONMENT".
 */

#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanups.h"
#include "policy/policy-private.h"

/* An entry of no_proxy: a name, which also stands for what is below it, with
 * or without a dot before it; an address; or a range of addresses.
 */
static bool
entry_matches (const char *entry, size_t len, const char *host)
{
  size_t n = strlen (host);
  CLEANUP_FREE char *text = NULL;
  struct address a, net;
  char *slash;
  int prefix = 128;

  while (len > 0 && *entry == '.')
    entry++, len--;
  text = strndup (entry, len);
  if (len == 0 || text == NULL)
    return false;
  if (address_parse (&a, host)) {
    slash = strchr (text, '/');
    if (slash) {
      *slash++ = '\0';
      prefix = policy_number (slash, 0, 128);
    }
    if (prefix == -1 || !address_parse (&net, text))
      return false;
    if (slash && address_is_ipv4 (&net))
      prefix += 96;
    return prefix <= 128 && address_in_net (&a, &net, prefix);
  }
  return n >= len && strcasecmp (host + n - len, text) == 0 &&
    (n == len || host[n-len-1] == '.');
}

static bool
is_excepted (const char *list, const char *host)
{
  static const char separators[] = ", \t";
  size_t len;

  if (list == NULL)
    return false;
  if (strcmp (list, "*") == 0)
    return true;
  for (; *list; list += len) {
    list += strspn (list, separators);
    len = strcspn (list, separators);
    if (entry_matches (list, len, host))
      return true;
  }
  return false;
}

static const char *
environment (const char *lower, const char *upper)
{
  const char *value = getenv (lower);

  if (value == NULL && upper)
    value = getenv (upper);
  return value && *value ? value : NULL;
}

const char *
policy_proxy (const struct policy *policy, const struct policy_target *target)
{
  const char *proxy = policy->settings.proxy;
  const char *except = policy->settings.no_proxy;

  /* HTTP_PROXY is not read, since a CGI program would get it from a client. */
  if (proxy == NULL)
    proxy = strcmp (target->scheme, "https") == 0
      ? environment ("https_proxy", "HTTPS_PROXY")
      : environment ("http_proxy", NULL);
  if (proxy == NULL)
    proxy = environment ("all_proxy", "ALL_PROXY");
  if (except == NULL)
    except = environment ("no_proxy", "NO_PROXY");
  return proxy && !is_excepted (except, target->host) ? proxy : NULL;
}
