/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * --tang-map: another server instead of the one that a token names.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cleanups.h"
#include "gettext-compat.h"
#include "policy-private.h"
#include "url.h"

void
policy_map_clear (struct policy_map *m)
{
  free (m->scheme);
  free (m->host);
  free (m->path);
  url_free (m->to);
}

static char *
lower_case (const char *text)
{
  char *copy = strdup (text), *p;

  for (p = copy; p && *p; ++p)
    if (*p >= 'A' && *p <= 'Z')
      *p += 'a' - 'A';
  return copy;
}

/* Take "[SCHEME://]HOST[:PORT][/PATH]" apart; text is changed.  With a scheme
 * and no port the scheme's own port is meant, as in any URL.
 */
static bool
parse_from (struct policy_map *m, char *text)
{
  char *sep = strstr (text, "://"), *slash, *host, *length, *port;
  size_t len;

  if (sep) {
    *sep = '\0';
    if (strcasecmp (text, "http") != 0 && strcasecmp (text, "https") != 0)
      return false;
    m->scheme = lower_case (text);
    m->port = strcasecmp (text, "https") == 0 ? 443 : 80;
    text = sep + 3;
  }
  slash = strchr (text, '/');
  m->path = strdup (slash ? slash : "");
  if (m->path == NULL)
    return false;
  for (len = strlen (m->path); len > 0 && m->path[len-1] == '/'; --len)
    m->path[len-1] = '\0';
  if (slash)
    *slash = '\0';
  if (!policy_split_host (text, &host, &length, &port) || length)
    return false;
  if (port) {
    m->port = policy_number (port, 1, 65535);
    if (m->port == -1)
      return false;
  }
  m->host = lower_case (host);
  return m->host != NULL && (sep == NULL || m->scheme != NULL);
}

int
policy_map (struct policy *policy, const char *map, struct clevis_error *err)
{
  CLEANUP_FREE char *text = strdup (map);
  char *to = text ? strchr (text, '=') : NULL;
  struct policy_map m = { .port = 0 }, *maps;

  if (to)
    *to++ = '\0';
  if (to == NULL || !parse_from (&m, text) ||
      (m.to = url_parse (to, NULL)) == NULL) {
    policy_map_clear (&m);
    clevis_error_set (err, CLEVIS_ERR_POLICY,
                      _("\"%s\" is not FROM=TO with two URLs"), map);
    clevis_error_hint (err, _("For example tang.example.com="
                              "http://192.0.2.7:7500"));
    return -1;
  }
  maps = reallocarray (policy->maps, policy->nr_maps + 1, sizeof *maps);
  if (maps == NULL) {
    policy_map_clear (&m);
    return clevis_error_errno (err, errno, _("policy"));
  }
  policy->maps = maps;
  policy->maps[policy->nr_maps++] = m;
  return 0;
}

/* Does the path begin with prefix, and end there or go on with a slash? */
static bool
path_begins (const char *path, const char *prefix)
{
  size_t len = strlen (prefix);

  return strncmp (path, prefix, len) == 0 &&
    (path[len] == '\0' || path[len] == '/');
}

static bool
map_matches (const struct policy_map *m, const struct url *url)
{
  return (m->scheme == NULL || strcmp (m->scheme, url->scheme) == 0) &&
    strcmp (m->host, url->host) == 0 &&
    (m->port == 0 || m->port == url->port) &&
    path_begins (url->path, m->path);
}

int
policy_apply_maps (const struct policy *policy, const struct url *url,
                   struct url **mapped, struct clevis_error *err)
{
  CLEANUP_FREE char *text = NULL;
  const struct policy_map *m;
  size_t i;

  *mapped = NULL;
  for (i = 0; i < policy->nr_maps; ++i) {
    m = &policy->maps[i];
    if (!map_matches (m, url))
      continue;
    if (asprintf (&text, "%s%s", m->to->base,
                  url->path + strlen (m->path)) == -1) {
      text = NULL;
      return clevis_error_errno (err, ENOMEM, _("policy"));
    }
    *mapped = url_parse (text, err);
    return *mapped ? 0 : -1;
  }
  return 0;
}
