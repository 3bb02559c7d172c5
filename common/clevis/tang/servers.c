/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Asks Tang servers from this process.  When and how often a request is sent
 * is the queue's.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "base/clock.h"
#include "base/gettext-compat.h"
#include "base/url.h"
#include "tang/queue.h"
#include "tang/servers.h"

/* Seconds that a step looks at what is new before it listens to servers: a disk
 * can name thousands, and others are to be heard meanwhile.
 */
#define ADMIT_SECONDS 0.0001

/* A device that wants to have something asked, and was not looked at yet. */
struct entry {
  struct entry *next;           /* of the same device */
  struct asked *asked;          /* NULL: it was cancelled */
  struct entry *same;           /* of the same question */
};

/* A device: what it wants, and the servers that it names, by scheme, host and
 * port, as they are asked.  The disk names them, and each costs this host a
 * connection and perhaps a thread that waits for a name server.
 */
struct device {
  size_t number;
  struct entry *first, **last;
  char *names[BOUND_ORIGINS];
  size_t nr_names;
};

struct asked {
  struct servers *servers;
  struct asked *next, **prev;
  struct ask ask;
  struct url *url;              /* to ask: of the token, or mapped; or NULL */
  bool mapped;
  char *path, *body;
  char *shared;                 /* what other runs may have asked, or NULL */
  struct queued *queued;        /* NULL: nobody may have it asked so far */
  struct entry *entries;
};

struct servers {
  struct asker asker;
  const struct policy *policy;
  struct queue *queue;
  struct asked *first;
  struct device **devices;      /* by their number */
  size_t nr_devices, turn;
  size_t nr_entries;            /* of all devices */
};

static void
cancel (struct asked *asked)
{
  struct entry *entry;

  for (entry = asked->entries; entry; entry = entry->same)
    entry->asked = NULL;
  queue_cancel (asked->queued);
  *asked->prev = asked->next;
  if (asked->next)
    asked->next->prev = asked->prev;
  url_free (asked->url);
  free (asked->path);
  free (asked->body);
  free (asked->shared);
  free (asked);
}

/* Where to ask: what the token says, unless the user says otherwise. */
static struct url *
find_url (const struct servers *servers, const char *text, bool *mapped,
          struct clevis_error *err)
{
  struct url *url = url_parse (text, err), *to = NULL;

  *mapped = false;
  if (url && policy_apply_maps (servers->policy, url, &to, err) == -1) {
    url_free (url);
    return NULL;
  }
  if (to == NULL)
    return url;
  url_free (url);
  *mapped = true;
  return to;
}

/* The name of a server that counts for a device, or NULL if it does not: the
 * policy refuses it, which http.c will say.
 */
static char *
origin_of (const struct asked *asked)
{
  const struct http_request request = {
    .base = asked->url, .trusted = asked->mapped,
  };

  return http_check (asked->servers->policy, &request, NULL) == 0
    ? url_origin (asked->url) : NULL;
}

/* Is there room for this server among those of the device?  One that was seen
 * before takes none.
 */
static bool
may_name (struct asked *asked, struct device *device)
{
  CLEANUP_FREE char *name = origin_of (asked);
  size_t i;

  if (name == NULL)
    return true;
  for (i = 0; i < device->nr_names; ++i)
    if (strcmp (device->names[i], name) == 0)
      return true;
  if (device->nr_names == BOUND_ORIGINS)
    return false;
  device->names[device->nr_names++] = name;
  name = NULL;
  return true;
}

static void
replied (const struct http_reply *reply, void *opaque)
{
  struct asked *asked = opaque;
  struct answer answer = {
    .error = CLEVIS_ERROR_INIT, .status = reply->status,
    .content_type = reply->content_type, .body = reply->body,
    .len = reply->len, .address = reply->address, .seconds = reply->seconds,
    .certificate_expiry = reply->certificate_expiry,
    .mapped = asked->mapped ? asked->url->base : NULL,
  };

  asked->queued = NULL;
  clevis_error_copy (&answer.error, &reply->error);
  asked->ask.done (&answer, asked->ask.opaque);
  clevis_error_clear (&answer.error);
  cancel (asked);
}

/* It has ended, though nobody was asked. */
static void
end_without (struct asked *asked, const struct clevis_error *err)
{
  const struct answer answer = {
    .error = *err, .content_type = "", .body = "",
    .mapped = asked->mapped ? asked->url->base : NULL,
  };

  asked->ask.done (&answer, asked->ask.opaque);
  cancel (asked);
}

/* To make a point costs time, so it is done when its turn has come. */
static int
prepare (struct http_request *request, void *opaque, struct clevis_error *err)
{
  struct asked *asked = opaque;
  CLEANUP_JSON json_t *point = asked->ask.point (asked->ask.opaque, err);

  if (point == NULL)
    return -1;
  asked->body = json_dumps (point, JSON_COMPACT | JSON_SORT_KEYS);
  if (asprintf (&asked->path, "/rec/%s", asked->ask.kid) == -1)
    asked->path = NULL;
  if (asked->body == NULL || asked->path == NULL)
    return clevis_error_errno (err, ENOMEM, _("request"));
  request->path = asked->path;
  request->body = asked->body;
  return 0;
}

/* The point of a preflight is a random one, so all ask the same. */
static int
name_shared (struct asked *asked)
{
  const bool is_point = asked->ask.what == ASK_RECOVERY;

  if (asprintf (&asked->shared, is_point ? "/rec/%s" : "/adv",
                asked->ask.kid) == -1)
    asked->shared = NULL;
  return asked->shared ? 0 : -1;
}

static int
put_in_queue (struct asked *asked, size_t device, struct clevis_error *err)
{
  const struct http_request request = {
    .base = asked->url, .trusted = asked->mapped, .path = "/adv",
  };

  if (asked->ask.may_share && asked->shared == NULL &&
      name_shared (asked) == -1)
    return clevis_error_errno (err, ENOMEM, _("request"));
  asked->queued = queue_add (asked->servers->queue, &request, device, replied,
                             asked, err);
  if (asked->queued == NULL)
    return -1;
  if (asked->ask.what == ASK_RECOVERY)
    queue_prepare (asked->queued, prepare);
  queue_share (asked->queued, asked->shared);
  return 0;
}

static struct device *
find_device (struct servers *servers, size_t number)
{
  struct device **devices;

  if (number >= servers->nr_devices) {
    devices = reallocarray (servers->devices, number + 1, sizeof *devices);
    if (devices == NULL)
      return NULL;
    memset (&devices[servers->nr_devices], 0,
            (number + 1 - servers->nr_devices) * sizeof *devices);
    servers->devices = devices;
    servers->nr_devices = number + 1;
  }
  if (servers->devices[number] == NULL) {
    struct device *device = calloc (1, sizeof *device);

    if (device == NULL)
      return NULL;
    device->number = number;
    device->last = &device->first;
    servers->devices[number] = device;
  }
  return servers->devices[number];
}

/* It is looked at when it is the turn of its device. */
static int
join (struct asked *asked, size_t number, struct clevis_error *err)
{
  struct servers *servers = asked->servers;
  struct device *device = find_device (servers, number);
  struct entry *entry = calloc (1, sizeof *entry);

  if (device == NULL || entry == NULL) {
    free (entry);
    return clevis_error_errno (err, ENOMEM, _("request"));
  }
  entry->asked = asked;
  entry->same = asked->entries;
  asked->entries = entry;
  *device->last = entry;
  device->last = &entry->next;
  servers->nr_entries++;
  return 0;
}

static struct asked *
ask (struct asker *asker, const struct ask *what, struct clevis_error *err)
{
  struct servers *servers = (struct servers *) asker;
  struct asked *asked = calloc (1, sizeof *asked);

  if (asked == NULL) {
    clevis_error_errno (err, errno, _("request"));
    return NULL;
  }
  asked->servers = servers;
  asked->ask = *what;
  asked->next = servers->first;
  asked->prev = &servers->first;
  if (asked->next)
    asked->next->prev = &asked->next;
  servers->first = asked;
  if (join (asked, what->device, err) == 0)
    return asked;
  cancel (asked);
  return NULL;
}

static char *
where (struct asker *asker, const char *text, struct clevis_error *err)
{
  struct servers *servers = (struct servers *) asker;
  bool mapped;
  struct url *url = find_url (servers, text, &mapped, err);
  struct policy_target target;
  char *base = NULL;

  if (url == NULL)
    return NULL;
  /* Another machine resolves the name, so only what the URL says is judged. */
  target = policy_target_of (url);
  if (mapped || policy_check_target (servers->policy, &target, err) == 0) {
    base = strdup (url->base);
    if (base == NULL)
      clevis_error_errno (err, errno, _("request"));
  }
  url_free (url);
  return base;
}

/* Tell a device that it names too many servers. */
static void
refuse (struct asked *asked, size_t number)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  clevis_error_set (&err, CLEVIS_ERR_LIMIT,
                    _("not asked: the device names more than %d servers"),
                    BOUND_ORIGINS);
  clevis_error_hint (&err, _("Name those that are yours with --tang-allow: "
                             "others are not asked then, and do not count."));
  asked->ask.refused (number, &err, asked->ask.opaque);
}

/* Let a device have it asked, or tell why not: then whoever is told may ask,
 * cancel and join.
 */
static void
admit (struct asked *asked, struct device *device)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  int r = 0;

  if (asked->url == NULL)
    asked->url = find_url (asked->servers, asked->ask.url, &asked->mapped,
                           &err);
  if (asked->url == NULL)
    r = -1;
  else if (!may_name (asked, device)) {
    refuse (asked, device->number);
    return;
  }
  else if (asked->queued)
    r = queue_join (asked->queued, device->number, &err);
  else
    r = put_in_queue (asked, device->number, &err);
  if (r == -1)
    end_without (asked, &err);
}

/* Take the next entry of the device whose turn it is.  NULL: it was
 * cancelled.
 */
static struct asked *
next_entry (struct servers *servers, struct device **device)
{
  struct asked *asked;
  struct entry *entry, **e;

  do {
    servers->turn = (servers->turn + 1) % servers->nr_devices;
    *device = servers->devices[servers->turn];
  } while (*device == NULL || (*device)->first == NULL);
  entry = (*device)->first;
  (*device)->first = entry->next;
  if (entry->next == NULL)
    (*device)->last = &(*device)->first;
  servers->nr_entries--;
  asked = entry->asked;
  if (asked) {
    for (e = &asked->entries; *e != entry; e = &(*e)->same)
      ;
    *e = entry->same;
  }
  free (entry);
  return asked;
}

static int
step (struct asker *asker, int ms, struct clevis_error *err)
{
  struct servers *servers = (struct servers *) asker;
  const double until = clock_now () + ADMIT_SECONDS;
  struct device *device;
  struct asked *asked;

  if (servers->nr_entries > 0)
    ms = 0;
  while (servers->nr_entries > 0 && clock_now () < until) {
    asked = next_entry (servers, &device);
    if (asked)
      admit (asked, device);
  }
  return queue_step (servers->queue, ms, err);
}

static void
wakeup (struct asker *asker)
{
  queue_wakeup (((struct servers *) asker)->queue);
}

void
servers_watch (struct asker *asker, int fd)
{
  queue_watch (((struct servers *) asker)->queue, fd);
}

static void
servers_free (struct asker *asker)
{
  struct servers *servers = (struct servers *) asker;
  struct device *device;
  size_t i, j;

  while (servers->first)
    cancel (servers->first);
  queue_free (servers->queue);
  while (servers->nr_entries > 0)
    next_entry (servers, &device);
  for (i = 0; i < servers->nr_devices; ++i) {
    device = servers->devices[i];
    for (j = 0; device && j < device->nr_names; ++j)
      free (device->names[j]);
    free (device);
  }
  free (servers->devices);
  free (servers);
}

static const struct asker_type servers_type = {
  .ask = ask,
  .join = join,
  .cancel = cancel,
  .where = where,
  .step = step,
  .wakeup = wakeup,
  .free = servers_free,
};

struct asker *
servers_new (const struct policy *policy, struct clevis_error *err)
{
  struct servers *servers = calloc (1, sizeof *servers);

  if (servers == NULL) {
    clevis_error_errno (err, errno, _("requests"));
    return NULL;
  }
  servers->asker.type = &servers_type;
  servers->policy = policy;
  servers->queue = queue_new (policy, err);
  if (servers->queue == NULL) {
    free (servers);
    return NULL;
  }
  return &servers->asker;
}
