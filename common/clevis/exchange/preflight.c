/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Asking servers for what they have, and what follows for each device.
 * Servers are asked once for each key, however many tokens name it.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jose/advert.h"
#include "base/cleanups.h"
#include "jose/ecmr.h"
#include "base/gettext-compat.h"
#include "tang/keydir.h"
#include "pins/pin-tang.h"
#include "exchange/preflight.h"
#include "exchange/verdict.h"
#include "base/secret.h"

/* One key of one server. */
struct check {
  struct preflight *pf;
  struct check *next;
  size_t device;           /* number of the first one that asks */
  char *name;              /* base URL and kid */
  char *url;               /* of the token */
  char *kid;
  const char *curve;       /* of the key */
  struct asked *asked;     /* NULL: nothing is under way */
  size_t nr_askers;        /* devices that have it asked */
  char *mapped;            /* URL that was asked, if it is not that */
  struct url *at;          /* the one that was asked, when all has ended */

  enum preflight_key key;
  bool signatures;
  double seconds;
  char *address, *certificate_expiry;
  struct clevis_error error;
  struct refusal *refusals;
};

/* A device that may not have a server asked. */
struct refusal {
  struct refusal *next;
  size_t device;
  struct clevis_error error;
};

struct checked_device {
  struct preflight_device pub; /* what callers see */
  struct check **checks;   /* one for each leaf; NULL if nobody is asked */
};

struct preflight {
  struct asker *asker;
  const struct keydir *keydir;
  bool probe;
  bool started;
  struct check *checks;
  size_t nr_running;
  struct checked_device **devices;
  size_t nr_devices;
};

struct preflight *
preflight_new (struct asker *asker, const struct keydir *keydir, bool probe,
               struct clevis_error *err)
{
  struct preflight *pf = asker ? calloc (1, sizeof *pf) : NULL;

  if (pf == NULL) {
    clevis_error_errno (err, ENOMEM, _("preflight"));
    asker_free (asker);
    return NULL;
  }
  pf->asker = asker;
  pf->keydir = keydir;
  pf->probe = probe;
  return pf;
}

static void
check_free (struct check *check)
{
  struct refusal *refusal;

  asker_cancel (check->pf->asker, check->asked);
  while ((refusal = check->refusals) != NULL) {
    check->refusals = refusal->next;
    clevis_error_clear (&refusal->error);
    free (refusal);
  }
  free (check->name);
  free (check->url);
  free (check->kid);
  free (check->mapped);
  url_free (check->at);
  free (check->address);
  free (check->certificate_expiry);
  clevis_error_clear (&check->error);
  free (check);
}

static void
device_free (struct checked_device *device)
{
  size_t i;

  for (i = 0; i < device->pub.nr_leaves; ++i) {
    free (device->pub.leaves[i].address);
    free (device->pub.leaves[i].certificate_expiry);
    clevis_error_clear (&device->pub.leaves[i].error);
  }
  for (i = 0; i < device->pub.nr_roots; ++i)
    pin_free (device->pub.roots[i]);
  free (device->pub.leaves);
  free (device->pub.roots);
  free (device->checks);
  free (device);
}

void
preflight_free (struct preflight *pf)
{
  struct check *check;
  size_t i;

  if (pf == NULL)
    return;
  while ((check = pf->checks) != NULL) {
    pf->checks = check->next;
    check_free (check);
  }
  for (i = 0; i < pf->nr_devices; ++i)
    device_free (pf->devices[i]);
  free (pf->devices);
  asker_free (pf->asker);
  free (pf);
}

size_t
preflight_nr_devices (const struct preflight *pf)
{
  return pf->nr_devices;
}

const struct preflight_device *
preflight_device (const struct preflight *pf, size_t i)
{
  return &pf->devices[i]->pub;
}

/* The check for what a tang pin asks; an earlier one if it is the same. */
static struct check *
find_check (struct preflight *pf, const struct pin *pin,
            struct clevis_error *err)
{
  const struct clevis_error empty = CLEVIS_ERROR_INIT;
  const struct pin_query query = pin_tang_query (pin);
  CLEANUP_FREE char *name = NULL;
  struct check *check;

  if (asprintf (&name, "%s %s", query.url->base, query.kid) == -1) {
    name = NULL;
    clevis_error_errno (err, ENOMEM, _("preflight"));
    return NULL;
  }
  for (check = pf->checks; check; check = check->next)
    if (strcmp (check->name, name) == 0)
      return check;

  check = calloc (1, sizeof *check);
  if (check == NULL) {
    clevis_error_errno (err, errno, _("preflight"));
    return NULL;
  }
  check->pf = pf;
  check->device = query.device;
  check->error = empty;
  check->kid = strdup (query.kid);
  check->name = name;
  name = NULL;
  check->url = strdup (query.url->base);
  check->curve = ecmr_curve (query.server);
  if (check->url == NULL || check->kid == NULL) {
    clevis_error_errno (err, ENOMEM, _("preflight"));
    check_free (check);
    return NULL;
  }
  check->next = pf->checks;
  pf->checks = check;
  return check;
}

/* What can be said of a leaf without asking anybody.  True if that is all. */
static bool
is_local (const struct preflight *pf, struct preflight_leaf *leaf)
{
  const struct keydir *keydir = pf->keydir;
  const struct pin *pin = leaf->pin;

  if (pin->error.code != CLEVIS_OK) {
    clevis_error_copy (&leaf->error, &pin->error);
    return true;
  }
  if (pin->type != &pin_tang_type)
    leaf->key = PREFLIGHT_LOCAL;
  else if (keydir)
    leaf->key = keydir_has (keydir, pin->kid) ? PREFLIGHT_LOCAL
      : PREFLIGHT_GONE;
  else
    return false;
  return true;
}

/* While the leaves of a device are collected. */
struct collect {
  struct preflight *pf;
  struct checked_device *device;
  int token;
  struct clevis_error *err;
  int r;
};

static void
collect_leaf (struct pin *pin, void *opaque)
{
  const struct clevis_error empty = CLEVIS_ERROR_INIT;
  struct collect *c = opaque;
  struct preflight_device *d = &c->device->pub;
  struct preflight_leaf *leaves, *leaf;
  struct check **checks;

  if (c->r == -1)
    return;
  leaves = reallocarray (d->leaves, d->nr_leaves + 1, sizeof *leaves);
  if (leaves)
    d->leaves = leaves;
  checks = reallocarray (c->device->checks, d->nr_leaves + 1, sizeof *checks);
  if (checks)
    c->device->checks = checks;
  if (leaves == NULL || checks == NULL) {
    c->r = clevis_error_errno (c->err, ENOMEM, _("preflight"));
    return;
  }
  leaf = &leaves[d->nr_leaves];
  memset (leaf, 0, sizeof *leaf);
  leaf->error = empty;
  leaf->token = c->token;
  leaf->pin = pin;
  checks[d->nr_leaves] = NULL;
  d->nr_leaves++;
  if (!is_local (c->pf, leaf)) {
    checks[d->nr_leaves-1] = find_check (c->pf, pin, c->err);
    if (checks[d->nr_leaves-1] == NULL)
      c->r = -1;
  }
}

/* The tree of one token.  A token that cannot be read or has no keyslot counts
 * as none; --list says why.
 */
static int
add_token (struct preflight *pf, struct checked_device *device,
           const struct luks_token *token, struct clevis_error *err)
{
  struct collect c = {
    .pf = pf, .device = device, .token = token->id, .err = err,
  };
  struct pin *root;

  if (token->jwe == NULL || token->stale)
    return 0;
  root = pin_parse (token->jwe, NULL);
  if (root == NULL)
    return 0;
  device->pub.roots[device->pub.nr_roots++] = root;
  root->device = pf->nr_devices - 1;
  pin_foreach_leaf (root, collect_leaf, &c);
  return c.r;
}

int
preflight_add (struct preflight *pf, struct luks *luks,
               struct clevis_error *err)
{
  struct checked_device *device = calloc (1, sizeof *device), **devices;
  const struct luks_token *tokens;
  size_t nr, i;

  devices = reallocarray (pf->devices, pf->nr_devices + 1, sizeof *devices);
  if (devices)
    pf->devices = devices;
  if (devices == NULL || device == NULL) {
    free (device);
    return clevis_error_errno (err, ENOMEM, _("preflight"));
  }
  devices[pf->nr_devices++] = device;
  tokens = luks_tokens (luks, &nr);
  device->pub.luks = luks;
  device->pub.verdict = PREFLIGHT_UNBOUND;
  device->pub.roots = calloc (nr + 1, sizeof *device->pub.roots);
  if (device->pub.roots == NULL)
    return clevis_error_errno (err, errno, _("preflight"));
  for (i = 0; i < nr; ++i) {
    if (strcmp (tokens[i].type, "clevis") == 0)
      device->pub.verdict = PREFLIGHT_CLOSED;
    if (add_token (pf, device, &tokens[i], err) == -1)
      return -1;
  }
  return pf->nr_devices - 1;
}

static void
set_address (struct check *check, const char *address)
{
  if (check->address == NULL && address != NULL)
    check->address = strdup (address);
}

static void
keep_mapped (struct check *check, const struct answer *answer)
{
  if (check->mapped == NULL && answer->mapped)
    check->mapped = strdup (answer->mapped);
}

/* The answer to the random point: any answer means that the key is there. */
static void
probed (const struct answer *answer, void *opaque)
{
  struct check *check = opaque;

  check->asked = NULL;
  check->pf->nr_running--;
  set_address (check, answer->address);
  if (answer->error.code != CLEVIS_OK)
    clevis_error_copy (&check->error, &answer->error);
  else if (answer->status == 200)
    check->key = PREFLIGHT_ROTATED;
  else if (answer->status == 404)
    check->key = PREFLIGHT_GONE;
  else {
    clevis_error_set (&check->error, CLEVIS_ERR_HTTP, _("HTTP status %ld"),
                      answer->status);
    check->error.http_status = answer->status;
  }
}

static json_t *
random_point (void *opaque, struct clevis_error *err)
{
  const struct check *check = opaque;

  return ecmr_random (check->curve, err);
}

static void
refused (size_t device, const struct clevis_error *err, void *opaque)
{
  const struct clevis_error empty = CLEVIS_ERROR_INIT;
  struct check *check = opaque;
  struct refusal *refusal = calloc (1, sizeof *refusal);

  if (refusal == NULL)
    return;
  refusal->device = device;
  refusal->error = empty;
  clevis_error_copy (&refusal->error, err);
  refusal->next = check->refusals;
  check->refusals = refusal;
  if (--check->nr_askers > 0)
    return;
  /* Nobody else wants to know. */
  asker_cancel (check->pf->asker, check->asked);
  check->asked = NULL;
  check->pf->nr_running--;
}

/* All devices with that server and key lend the check their turns. */
static int
join_devices (struct check *check, struct clevis_error *err)
{
  struct preflight *pf = check->pf;
  const struct checked_device *device;
  size_t i, j;

  for (i = 0; i < pf->nr_devices; ++i) {
    device = pf->devices[i];
    for (j = 0; j < device->pub.nr_leaves && device->checks[j] != check; ++j)
      ;
    if (j == device->pub.nr_leaves)
      continue;
    check->nr_askers++;
    if (i != check->device &&
        asker_join (pf->asker, check->asked, i, err) == -1)
      return -1;
  }
  return 0;
}

/* Ask.  Its end may be that memory is short. */
static void
ask (struct check *check, enum ask_what what,
     void (*done) (const struct answer *answer, void *opaque))
{
  struct preflight *pf = check->pf;
  const struct ask ask = {
    .what = what, .url = check->url, .kid = check->kid,
    .device = check->device, .may_share = true, .opaque = check,
    .point = random_point, .done = done, .refused = refused,
  };

  check->nr_askers = 0;
  check->asked = asker_ask (pf->asker, &ask, &check->error);
  if (check->asked && join_devices (check, &check->error) == 0) {
    pf->nr_running++;
    return;
  }
  asker_cancel (pf->asker, check->asked);
  check->asked = NULL;
}

static void
advertised (const struct answer *answer, void *opaque)
{
  struct check *check = opaque;
  struct advert *adv = NULL;

  check->asked = NULL;
  check->pf->nr_running--;
  check->seconds = answer->seconds;
  set_address (check, answer->address);
  keep_mapped (check, answer);
  if (answer->certificate_expiry)
    check->certificate_expiry = strdup (answer->certificate_expiry);
  if (answer->error.code != CLEVIS_OK)
    clevis_error_copy (&check->error, &answer->error);
  else if (answer->status != 200) {
    clevis_error_set (&check->error, CLEVIS_ERR_HTTP,
                      _("HTTP status %ld for the advertisement"),
                      answer->status);
    check->error.http_status = answer->status;
  }
  else
    adv = advert_parse (answer->body, answer->len, &check->error);

  if (adv == NULL)
    return;
  check->signatures = advert_is_signed (adv);
  check->key = advert_has_key (adv, check->kid) ? PREFLIGHT_ADVERTISED
    : PREFLIGHT_UNADVERTISED;
  advert_free (adv);
  if (check->key == PREFLIGHT_UNADVERTISED && check->pf->probe)
    ask (check, ASK_RECOVERY, probed);
}

static void
start_all (struct preflight *pf)
{
  struct check *check;

  for (check = pf->checks; check; check = check->next)
    ask (check, ASK_ADVERTISEMENT, advertised);
}

/* Why a device may not have it asked, or NULL. */
static const struct clevis_error *
refusal_of (const struct check *check, size_t device)
{
  const struct refusal *refusal = check ? check->refusals : NULL;

  while (refusal && refusal->device != device)
    refusal = refusal->next;
  return refusal ? &refusal->error : NULL;
}

/* What was found out about a server is said of each leaf that names it. */
static void
fill_leaf (const struct checked_device *device, size_t i, size_t number)
{
  const struct preflight_device *d = &device->pub;
  struct preflight_leaf *leaf = &d->leaves[i];
  const struct check *check = device->checks[i];
  const struct clevis_error *refusal = refusal_of (check, number);

  if (refusal)
    clevis_error_copy (&leaf->error, refusal);
  else if (check) {
    leaf->at = check->at;
    leaf->key = check->key;
    leaf->signatures = check->signatures;
    leaf->seconds = check->seconds;
    leaf->address = check->address ? strdup (check->address) : NULL;
    leaf->certificate_expiry = check->certificate_expiry
      ? strdup (check->certificate_expiry) : NULL;
    clevis_error_copy (&leaf->error, &check->error);
  }
  if (leaf->error.code == CLEVIS_OK)
    return;
  if (leaf->error.device == NULL)
    leaf->error.device = strdup (luks_device (d->luks));
  if (leaf->error.pin == NULL)
    leaf->error.pin = strdup (leaf->pin->path);
  if (leaf->error.url == NULL && leaf->pin->url)
    leaf->error.url = strdup (leaf->pin->url);
  if (check && check->mapped)
    leaf->error.mapped = strdup (check->mapped);
  if (leaf->error.address == NULL && leaf->address)
    leaf->error.address = strdup (leaf->address);
  leaf->error.token = leaf->token;
}

static void
conclude (struct preflight *pf)
{
  struct check *check;
  struct checked_device *device;
  size_t i, j;

  for (check = pf->checks; check; check = check->next)
    check->at = check->at ? check->at
      : url_parse (check->mapped ? check->mapped : check->url, NULL);
  for (i = 0; i < pf->nr_devices; ++i) {
    device = pf->devices[i];
    for (j = 0; j < device->pub.nr_leaves; ++j)
      fill_leaf (device, j, i);
    preflight_judge (&device->pub);
  }
}

int
preflight_step (struct preflight *pf, int ms, struct clevis_error *err)
{
  if (!pf->started) {
    pf->started = true;
    start_all (pf);
  }
  if (pf->nr_running > 0 && asker_step (pf->asker, ms, err) == -1)
    return -1;
  if (pf->nr_running > 0)
    return 1;
  conclude (pf);
  return 0;
}
