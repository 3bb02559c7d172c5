/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The verdict on a device.
 */

#include <config.h>

#include <string.h>

#include "base/url.h"
#include "exchange/verdict.h"

static bool
leaf_works (const struct preflight_leaf *leaf)
{
  return leaf->key == PREFLIGHT_ADVERTISED ||
    leaf->key == PREFLIGHT_ROTATED || leaf->key == PREFLIGHT_LOCAL;
}

/* Is it the same server, whatever the path? */
static bool
same_server (const struct url *a, const struct url *b)
{
  return a && b && strcmp (a->scheme, b->scheme) == 0 &&
    strcmp (a->host, b->host) == 0 && a->port == b->port;
}

/* Does the leaf work if this server fails?  NULL: none fails. */
static bool
leaf_works_without (const struct preflight_device *d, const struct pin *pin,
                    const struct url *failed)
{
  size_t i;

  for (i = 0; i < d->nr_leaves; ++i)
    if (d->leaves[i].pin == pin)
      return leaf_works (&d->leaves[i]) &&
        !same_server (d->leaves[i].at, failed);
  return false;
}

static bool
pin_works_without (const struct preflight_device *d, const struct pin *pin,
                   const struct url *failed)
{
  size_t i, n = 0;

  if (pin->error.code != CLEVIS_OK)
    return false;
  if (pin->nr_children == 0)
    return leaf_works_without (d, pin, failed);
  for (i = 0; i < pin->nr_children; ++i)
    n += pin_works_without (d, pin->children[i], failed);
  return n >= (size_t) pin->threshold;
}

static bool
opens_without (const struct preflight_device *d, const struct url *failed)
{
  size_t i;

  for (i = 0; i < d->nr_roots; ++i)
    if (pin_works_without (d, d->roots[i], failed))
      return true;
  return false;
}

void
preflight_judge (struct preflight_device *d)
{
  size_t i;

  if (d->verdict == PREFLIGHT_UNBOUND || !opens_without (d, NULL))
    return;
  d->verdict = PREFLIGHT_OPENS;
  for (i = 0; i < d->nr_leaves; ++i)
    if (d->leaves[i].at && !opens_without (d, d->leaves[i].at))
      d->verdict = PREFLIGHT_NO_SPARE;
}
