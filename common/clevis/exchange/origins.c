/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * How many servers a device may have asked.
 */

#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "exchange/origins.h"
#include "pins/pin-tang.h"

void
origins_clear (struct origins *origins)
{
  size_t i;

  for (i = 0; i < origins->nr; ++i)
    free (origins->names[i]);
  memset (origins, 0, sizeof *origins);
}

/* The server that would really be asked, or NULL if none would be: the user maps
 * it, or the policy refuses it, which is said when it is started.
 */
static char *
origin_of (const struct policy *policy, const struct url *token)
{
  struct url *mapped = NULL;
  const struct url *url;
  struct policy_target target;
  char *name = NULL;

  if (policy_apply_maps (policy, token, &mapped, NULL) == -1)
    return NULL;
  url = mapped ? mapped : token;
  target = url_target (url);
  target.proxied = policy_proxy (policy, &target) != NULL;
  if ((mapped || policy_check_target (policy, &target, NULL) == 0) &&
      asprintf (&name, "%s://%s:%d", url->scheme, url->host, url->port) == -1)
    name = NULL;
  url_free (mapped);
  return name;
}

/* Is there room for it?  An origin that was seen before takes none. */
static bool
take (struct origins *origins, char *name)
{
  size_t i;

  for (i = 0; i < origins->nr; ++i)
    if (strcmp (origins->names[i], name) == 0) {
      free (name);
      return true;
    }
  if (origins->nr < BOUND_ORIGINS) {
    origins->names[origins->nr++] = name;
    return true;
  }
  free (name);
  return false;
}

static void
limit_leaf (struct pin *leaf, void *opaque)
{
  struct origins *origins = opaque;
  char *name;

  if (leaf->type != &pin_tang_type || leaf->state != PIN_IDLE)
    return;
  name = origin_of (origins->policy, pin_tang_query (leaf).url);
  if (name == NULL || take (origins, name))
    return;
  clevis_error_set (&leaf->error, CLEVIS_ERR_LIMIT,
                    _("not asked: the device names more than %d servers"),
                    BOUND_ORIGINS);
  clevis_error_hint (&leaf->error,
                     _("Name those that are yours with --tang-allow: others "
                       "are not asked then, and do not count."));
  leaf->state = PIN_FAILED;
}

void
origins_limit (struct origins *origins, const struct policy *policy,
               struct pin *root)
{
  const struct policy_settings *settings = policy_get_settings (policy);

  origins->policy = policy;
  if (settings->keydir == NULL && settings->offline == NULL)
    pin_foreach_leaf (root, limit_leaf, origins);
}
