/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * --tang-map: another server instead of the one that a token names.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "policy/policy-private.h"
#include "base/url.h"

void
policy_map_clear (struct policy_map *m)
{
  url_free (m->from);
  url_free (m->to);
}

/* Has "HOST[:PORT][/PATH]" a port?  The colons of IPv6 are in brackets. */
static bool
has_port (const char *text)
{
  const char *bracket = *text == '[' ? strchr (text, ']') : NULL;

  text = bracket ? bracket : text;
  return text[strcspn (text, ":/")] == ':';
}

/* "[SCHEME://]HOST[:PORT][/PATH]" is a URL, of which it is remembered what it
 * did not say.  With a scheme and no port the scheme's own port is meant, as in
 * any URL.
 */
static int
parse_from (struct policy_map *m, const char *text, struct clevis_error *err)
{
  m->any_scheme = strstr (text, "://") == NULL;
  m->any_port = m->any_scheme && !has_port (text);
  m->from = url_parse (text, err);
  return m->from ? 0 : -1;
}

static int
parse_map (struct policy_map *m, char *text, struct clevis_error *err)
{
  char *to = strchr (text, '=');

  if (to == NULL)
    return -1;
  *to++ = '\0';
  if (parse_from (m, text, err) == -1)
    return -1;
  m->to = url_parse (to, err);
  return m->to ? 0 : -1;
}

/* why may be empty. */
static int
refuse_map (const char *map, const struct clevis_error *why,
            struct clevis_error *err)
{
  clevis_error_set (err, CLEVIS_ERR_POLICY,
                    _("\"%s\" is not FROM=TO with two URLs%s%s"), map,
                    why->message ? ": " : "",
                    why->message ? why->message : "");
  if (why->hint)
    clevis_error_hint (err, "%s", why->hint);
  else
    clevis_error_hint (err, _("For example --tang-map tang.example.com="
                              "http://192.0.2.7:7500"));
  return -1;
}

int
policy_map (struct policy *policy, const char *map, struct clevis_error *err)
{
  CLEANUP_ERROR struct clevis_error why = CLEVIS_ERROR_INIT;
  CLEANUP_FREE char *text = strdup (map);
  struct policy_map m = { .from = NULL }, *maps;

  if (text == NULL)
    return clevis_error_errno (err, errno, _("policy"));
  if (parse_map (&m, text, &why) == -1) {
    policy_map_clear (&m);
    return refuse_map (map, &why, err);
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
  return (m->any_scheme || strcmp (m->from->scheme, url->scheme) == 0) &&
    strcmp (m->from->host, url->host) == 0 &&
    (m->any_port || m->from->port == url->port) &&
    path_begins (url->path, m->from->path);
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
                  url->path + strlen (m->from->path)) == -1) {
      text = NULL;
      return clevis_error_errno (err, ENOMEM, _("policy"));
    }
    *mapped = url_parse (text, err);
    return *mapped ? 0 : -1;
  }
  return 0;
}
