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
#include "exchange/origins.h"
#include "pins/pin-tang.h"
#include "exchange/preflight.h"
#include "tang/queue.h"
#include "base/secret.h"

/* One key of one server. */
struct check {
  struct preflight *pf;
  struct check *next;
  size_t device;           /* number of the first one that asks */
  char *name;              /* base URL and kid */
  struct url *url;         /* to ask */
  bool mapped;
  char *kid;
  json_t *point;           /* a random one, for the probe */
  char *path, *body;       /* of the probe */
  struct queued *queued;   /* NULL: nothing is under way */

  enum preflight_key key;
  bool signatures;
  double seconds;
  char *address, *certificate_expiry;
  struct clevis_error error;
};

struct device {
  struct preflight_device pub; /* what callers see */
  struct check **checks;   /* one for each leaf; NULL if nobody is asked */
};

struct preflight {
  const struct policy *policy;
  struct queue *queue;
  bool probe;
  bool started;
  struct check *checks;
  size_t nr_running;
  struct device **devices;
  size_t nr_devices;
  struct origins origins;  /* of the device that is being added */
};

struct preflight *
preflight_new (const struct policy *policy, bool probe,
               struct clevis_error *err)
{
  struct preflight *pf = calloc (1, sizeof *pf);

  if (pf == NULL) {
    clevis_error_errno (err, errno, _("preflight"));
    return NULL;
  }
  pf->policy = policy;
  pf->probe = probe;
  pf->queue = queue_new (policy, err);
  if (pf->queue == NULL) {
    free (pf);
    return NULL;
  }
  return pf;
}

static void
check_free (struct check *check)
{
  queue_cancel (check->queued);
  url_free (check->url);
  json_decref (check->point);
  free (check->name);
  free (check->kid);
  free (check->path);
  free (check->body);
  free (check->address);
  free (check->certificate_expiry);
  clevis_error_clear (&check->error);
  free (check);
}

static void
device_free (struct device *device)
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
  origins_clear (&pf->origins);
  queue_free (pf->queue);
  free (pf);
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
  const struct request_query query = pin_tang_query (pin);
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
  if (policy_apply_maps (pf->policy, query.url, &check->url, err) == 0) {
    check->mapped = check->url != NULL;
    if (!check->mapped)
      check->url = url_parse (query.url->base, err);
    check->point = ecmr_random (ecmr_curve (query.server), err);
  }
  if (check->url == NULL || check->kid == NULL || check->point == NULL) {
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
  const struct keydir *keydir = policy_get_settings (pf->policy)->keydir;
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
  struct device *device;
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
add_token (struct preflight *pf, struct device *device,
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
  origins_limit (&pf->origins, pf->policy, root);
  pin_foreach_leaf (root, collect_leaf, &c);
  return c.r;
}

int
preflight_add (struct preflight *pf, struct luks *luks,
               struct clevis_error *err)
{
  struct device *device = calloc (1, sizeof *device), **devices;
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
  origins_clear (&pf->origins);
  for (i = 0; i < nr; ++i) {
    if (strcmp (tokens[i].type, "clevis") == 0)
      device->pub.verdict = PREFLIGHT_CLOSED;
    if (add_token (pf, device, &tokens[i], err) == -1)
      return -1;
  }
  return pf->nr_devices - 1;
}

static void
end (struct check *check)
{
  check->pf->nr_running--;
}

static void
set_address (struct check *check, const char *address)
{
  if (check->address == NULL && address != NULL)
    check->address = strdup (address);
}

/* The answer to the random point: any answer means that the key is there. */
static void
probed (const struct http_reply *reply, void *opaque)
{
  struct check *check = opaque;

  check->queued = NULL;
  set_address (check, reply->address);
  if (reply->error.code != CLEVIS_OK)
    clevis_error_copy (&check->error, &reply->error);
  else if (reply->status == 200)
    check->key = PREFLIGHT_ROTATED;
  else if (reply->status == 404)
    check->key = PREFLIGHT_GONE;
  else {
    clevis_error_set (&check->error, CLEVIS_ERR_HTTP, _("HTTP status %ld"),
                      reply->status);
    check->error.http_status = reply->status;
  }
  end (check);
}

/* All devices with that server and key lend the check their turns. */
static int
join_devices (struct check *check, struct clevis_error *err)
{
  const struct preflight *pf = check->pf;
  const struct device *device;
  size_t i, j;

  for (i = 0; i < pf->nr_devices; ++i) {
    device = pf->devices[i];
    for (j = 0; j < device->pub.nr_leaves && device->checks[j] != check; ++j)
      ;
    if (j < device->pub.nr_leaves && queue_join (check->queued, i, err) == -1)
      return -1;
  }
  return 0;
}

/* Put a request into the queue.  Its end may be that memory is short. */
static void
ask (struct check *check, const char *path, const char *body,
     http_done_fn done)
{
  const struct http_request request = {
    .base = check->url, .trusted = check->mapped, .path = path, .body = body,
  };

  check->queued = queue_add (check->pf->queue, &request, check->device, done,
                             check, &check->error);
  if (check->queued && join_devices (check, &check->error) == 0)
    return;
  queue_cancel (check->queued);
  check->queued = NULL;
  end (check);
}

static void
probe (struct check *check)
{
  check->body = json_dumps (check->point, JSON_COMPACT);
  if (asprintf (&check->path, "/rec/%s", check->kid) == -1)
    check->path = NULL;
  if (check->body && check->path)
    ask (check, check->path, check->body, probed);
  else {
    clevis_error_errno (&check->error, ENOMEM, _("preflight"));
    end (check);
  }
}

static void
advertised (const struct http_reply *reply, void *opaque)
{
  struct check *check = opaque;
  struct advert *adv = NULL;

  check->queued = NULL;
  check->seconds = reply->seconds;
  set_address (check, reply->address);
  if (reply->certificate_expiry)
    check->certificate_expiry = strdup (reply->certificate_expiry);
  if (reply->error.code != CLEVIS_OK)
    clevis_error_copy (&check->error, &reply->error);
  else if (reply->status != 200) {
    clevis_error_set (&check->error, CLEVIS_ERR_HTTP,
                      _("HTTP status %ld for the advertisement"),
                      reply->status);
    check->error.http_status = reply->status;
  }
  else
    adv = advert_parse (reply->body, reply->len, &check->error);

  if (adv == NULL) {
    end (check);
    return;
  }
  check->signatures = advert_is_signed (adv);
  check->key = advert_has_key (adv, check->kid) ? PREFLIGHT_ADVERTISED
    : PREFLIGHT_UNADVERTISED;
  advert_free (adv);
  if (check->key == PREFLIGHT_UNADVERTISED && check->pf->probe)
    probe (check);
  else
    end (check);
}

static void
start_all (struct preflight *pf)
{
  struct check *check;

  for (check = pf->checks; check; check = check->next) {
    pf->nr_running++;
    ask (check, "/adv", NULL, advertised);
  }
}

/* ---- Verdicts ---- */

static bool
leaf_works (const struct preflight_leaf *leaf)
{
  return leaf->key == PREFLIGHT_ADVERTISED ||
    leaf->key == PREFLIGHT_ROTATED || leaf->key == PREFLIGHT_LOCAL;
}

/* Is it the same server, whatever the path? */
static bool
same_server (const struct check *a, const struct check *b)
{
  return a && b && strcmp (a->url->scheme, b->url->scheme) == 0 &&
    strcmp (a->url->host, b->url->host) == 0 && a->url->port == b->url->port;
}

/* Does the leaf work if this server fails?  NULL: none fails. */
static bool
leaf_works_without (const struct device *device, const struct pin *pin,
                    const struct check *failed)
{
  size_t i;

  for (i = 0; i < device->pub.nr_leaves; ++i)
    if (device->pub.leaves[i].pin == pin)
      return leaf_works (&device->pub.leaves[i]) &&
        !same_server (device->checks[i], failed);
  return false;
}

static bool
pin_works_without (const struct device *device, const struct pin *pin,
                   const struct check *failed)
{
  size_t i, n = 0;

  if (pin->error.code != CLEVIS_OK)
    return false;
  if (pin->nr_children == 0)
    return leaf_works_without (device, pin, failed);
  for (i = 0; i < pin->nr_children; ++i)
    n += pin_works_without (device, pin->children[i], failed);
  return n >= (size_t) pin->threshold;
}

static bool
opens_without (const struct device *device, const struct check *failed)
{
  size_t i;

  for (i = 0; i < device->pub.nr_roots; ++i)
    if (pin_works_without (device, device->pub.roots[i], failed))
      return true;
  return false;
}

static void
judge (struct device *device)
{
  struct preflight_device *d = &device->pub;
  size_t i;

  if (d->verdict == PREFLIGHT_UNBOUND || !opens_without (device, NULL))
    return;
  d->verdict = PREFLIGHT_OPENS;
  for (i = 0; i < d->nr_leaves; ++i)
    if (device->checks[i] && !opens_without (device, device->checks[i]))
      d->verdict = PREFLIGHT_NO_SPARE;
}

/* What was found out about a server is said of each leaf that names it. */
static void
fill_leaf (const struct preflight_device *d, struct preflight_leaf *leaf,
           const struct check *check)
{
  if (check) {
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
    leaf->error.mapped = strdup (check->url->base);
  if (leaf->error.address == NULL && leaf->address)
    leaf->error.address = strdup (leaf->address);
  leaf->error.token = leaf->token;
}

static void
conclude (struct preflight *pf)
{
  struct device *device;
  size_t i, j;

  for (i = 0; i < pf->nr_devices; ++i) {
    device = pf->devices[i];
    for (j = 0; j < device->pub.nr_leaves; ++j)
      fill_leaf (&device->pub, &device->pub.leaves[j], device->checks[j]);
    judge (device);
  }
}

int
preflight_step (struct preflight *pf, int ms, struct clevis_error *err)
{
  if (!pf->started) {
    pf->started = true;
    start_all (pf);
  }
  if (pf->nr_running > 0 && queue_step (pf->queue, ms, err) == -1)
    return -1;
  if (pf->nr_running > 0)
    return 1;
  conclude (pf);
  return 0;
}
