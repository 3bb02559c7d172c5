/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The policy as an object: its settings and their defaults, and --tang-resolve.
 * Who may be asked is in policy-allow.c, who is asked instead in policy-map.c,
 * and through what in policy-proxy.c.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "base/hostname.h"
#include "policy/policy-private.h"

struct policy *
policy_new (void)
{
  static const struct policy_settings defaults = {
    .timeout = 10000,
    .connect_timeout = 5000,
    .deadline = 60000,
    .retries = 2,
    .parallel = 16,
  };
  struct policy *policy = calloc (1, sizeof *policy);

  if (policy)
    policy->settings = defaults;
  return policy;
}

/* What it says is not changed by that. */
struct policy *
policy_hold (const struct policy *policy)
{
  struct policy *held = (struct policy *) policy;

  held->holders++;
  return held;
}

void
policy_free (struct policy *policy)
{
  size_t i;

  if (policy == NULL || policy->holders-- > 0)
    return;
  for (i = 0; i < policy->nr_patterns; ++i)
    policy_pattern_clear (&policy->patterns[i]);
  for (i = 0; i < policy->nr_maps; ++i)
    policy_map_clear (&policy->maps[i]);
  for (i = 0; i < policy->nr_resolves; ++i)
    free (policy->resolves[i]);
  free (policy->patterns);
  free (policy->maps);
  free (policy->resolves);
  free (policy->settings.proxy);
  free (policy->settings.no_proxy);
  free (policy->settings.cacert);
  free (policy->settings.cert);
  free (policy->settings.key);
  free (policy->settings.share);
  free (policy);
}

struct policy_settings *
policy_settings (struct policy *policy)
{
  return &policy->settings;
}

const struct policy_settings *
policy_get_settings (const struct policy *policy)
{
  return &policy->settings;
}

struct policy_target
policy_target_of (const struct url *url)
{
  return (struct policy_target) {
    .scheme = url->scheme, .host = url->host, .port = url->port
  };
}

/* HOST, a port, and a numeric address with or without brackets.  Returns the
 * entry with the one spelling of HOST, or NULL; *problem says why if it is the
 * host.
 */
static char *
parse_resolve (const char *entry, const char **problem)
{
  CLEANUP_FREE char *text = strdup (entry), *host = NULL;
  char *port, *addr, *resolve;
  struct address a;
  size_t len;

  if (text == NULL || (port = strchr (text, ':')) == NULL)
    return NULL;
  *port++ = '\0';
  addr = strchr (port, ':');
  if (addr == NULL)
    return NULL;
  *addr++ = '\0';
  len = strlen (addr);
  if (len > 2 && addr[0] == '[' && addr[len-1] == ']') {
    addr[len-1] = '\0';
    addr++;
  }
  if (policy_number (port, 1, 65535) == -1 || !address_parse (&a, addr))
    return NULL;
  host = hostname_normalise (text, problem);
  if (host == NULL || asprintf (&resolve, "%s%s", host,
                                strchr (entry, ':')) == -1)
    return NULL;
  return resolve;
}

static int
refuse_resolve (const char *entry, const char *problem,
                struct clevis_error *err)
{
  clevis_error_set (err, CLEVIS_ERR_POLICY,
                    _("\"%s\" is not HOST:PORT:ADDRESS%s%s"), entry,
                    problem ? ": " : "", problem ? problem : "");
  if (hostname_is_foreign (entry))
    clevis_error_hint (err, "%s", hostname_advice ());
  else
    clevis_error_hint (err, _("For example --tang-resolve "
                              "tang.example.com:80:192.0.2.7"));
  return -1;
}

int
policy_resolve (struct policy *policy, const char *entry,
                struct clevis_error *err)
{
  const char *problem = NULL;
  CLEANUP_FREE char *resolve = parse_resolve (entry, &problem);
  char **resolves;

  if (resolve == NULL)
    return refuse_resolve (entry, problem, err);
  resolves = reallocarray (policy->resolves, policy->nr_resolves + 2,
                           sizeof *resolves);
  if (resolves == NULL)
    return clevis_error_errno (err, errno, _("policy"));
  policy->resolves = resolves;
  resolves[policy->nr_resolves++] = resolve;
  resolves[policy->nr_resolves] = NULL;
  resolve = NULL;
  return 0;
}

const char *const *
policy_resolves (const struct policy *policy)
{
  static const char *const none[] = { NULL };

  return policy->resolves ? (const char *const *) policy->resolves : none;
}
