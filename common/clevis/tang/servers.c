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
#include "base/gettext-compat.h"
#include "base/url.h"
#include "tang/queue.h"
#include "tang/servers.h"

/* The servers that one device names, by scheme, host and port, as they are
 * asked.  The disk names them, and each costs this host a connection and
 * perhaps a thread that waits for a name server.
 */
struct origins {
  char *names[BOUND_ORIGINS];
  size_t nr;
};

struct asked {
  struct servers *servers;
  struct asked *next, **prev;
  struct ask ask;
  struct url *url;              /* to ask: of the token, or mapped */
  bool mapped;
  char *path, *body;
  struct queued *queued;        /* NULL: nobody may have it asked so far */
  struct clevis_error failed;   /* why it ends without a request */
  size_t *refused;              /* devices that are still to be told so */
  size_t nr_refused;
};

struct servers {
  struct asker asker;
  const struct policy *policy;
  struct queue *queue;
  struct asked *first;
  struct origins *origins;      /* by the number of the device */
  size_t nr_origins;
  bool news;                    /* somebody is to be told something */
};

static void
cancel (struct asked *asked)
{
  queue_cancel (asked->queued);
  *asked->prev = asked->next;
  if (asked->next)
    asked->next->prev = asked->prev;
  url_free (asked->url);
  clevis_error_clear (&asked->failed);
  free (asked->path);
  free (asked->body);
  free (asked->refused);
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
  const struct url *url = asked->url;
  const struct policy *policy = asked->servers->policy;
  struct policy_target target = policy_target_of (url);
  char *name;

  target.proxied = policy_proxy (policy, &target) != NULL;
  if (!asked->mapped && policy_check_target (policy, &target, NULL) == -1)
    return NULL;
  return asprintf (&name, "%s://%s:%d", url->scheme, url->host,
                   url->port) == -1 ? NULL : name;
}

static struct origins *
origins_of (struct servers *servers, size_t device)
{
  struct origins *origins;

  if (device >= servers->nr_origins) {
    origins = reallocarray (servers->origins, device + 1, sizeof *origins);
    if (origins == NULL)
      return NULL;
    memset (&origins[servers->nr_origins], 0,
            (device + 1 - servers->nr_origins) * sizeof *origins);
    servers->origins = origins;
    servers->nr_origins = device + 1;
  }
  return &servers->origins[device];
}

/* Is there room for this server among those of the device?  One that was seen
 * before takes none.
 */
static bool
may_name (struct asked *asked, size_t device)
{
  struct origins *origins = origins_of (asked->servers, device);
  CLEANUP_FREE char *name = origin_of (asked);
  size_t i;

  if (name == NULL)
    return true;
  for (i = 0; origins && i < origins->nr; ++i)
    if (strcmp (origins->names[i], name) == 0)
      return true;
  if (origins == NULL || origins->nr == BOUND_ORIGINS)
    return false;
  origins->names[origins->nr++] = name;
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
end_without (struct asked *asked)
{
  const struct answer answer = {
    .error = asked->failed, .content_type = "", .body = "",
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

static int
put_in_queue (struct asked *asked, size_t device, struct clevis_error *err)
{
  const struct http_request request = {
    .base = asked->url, .trusted = asked->mapped, .path = "/adv",
  };

  asked->queued = queue_add (asked->servers->queue, &request, device, replied,
                             asked, err);
  if (asked->queued == NULL)
    return -1;
  if (asked->ask.what == ASK_RECOVERY)
    queue_prepare (asked->queued, prepare);
  return 0;
}

/* Tell a device, from the next step, that it names too many servers. */
static int
refuse (struct asked *asked, size_t device, struct clevis_error *err)
{
  size_t *refused = reallocarray (asked->refused, asked->nr_refused + 1,
                                  sizeof *refused);

  if (refused == NULL)
    return clevis_error_errno (err, errno, _("request"));
  asked->refused = refused;
  refused[asked->nr_refused++] = device;
  asked->servers->news = true;
  return 0;
}

static int
join (struct asked *asked, size_t device, struct clevis_error *err)
{
  if (asked->failed.code != CLEVIS_OK)
    return 0;
  if (!may_name (asked, device))
    return refuse (asked, device, err);
  return asked->queued ? queue_join (asked->queued, device, err)
    : put_in_queue (asked, device, err);
}

static struct asked *
ask (struct asker *asker, const struct ask *what, struct clevis_error *err)
{
  struct servers *servers = (struct servers *) asker;
  const struct clevis_error empty = CLEVIS_ERROR_INIT;
  struct asked *asked = calloc (1, sizeof *asked);

  if (asked == NULL) {
    clevis_error_errno (err, errno, _("request"));
    return NULL;
  }
  asked->servers = servers;
  asked->ask = *what;
  asked->failed = empty;
  asked->next = servers->first;
  asked->prev = &servers->first;
  if (asked->next)
    asked->next->prev = &asked->next;
  servers->first = asked;

  asked->url = find_url (servers, what->url, &asked->mapped, &asked->failed);
  if (asked->url == NULL)
    servers->news = true;
  else if (join (asked, what->device, err) == -1) {
    cancel (asked);
    return NULL;
  }
  return asked;
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

static void
tell_refused (struct asked *asked)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const size_t device = asked->refused[--asked->nr_refused];

  clevis_error_set (&err, CLEVIS_ERR_LIMIT,
                    _("not asked: the device names more than %d servers"),
                    BOUND_ORIGINS);
  clevis_error_hint (&err, _("Name those that are yours with --tang-allow: "
                             "others are not asked then, and do not count."));
  asked->ask.refused (device, &err, asked->ask.opaque);
}

/* Whoever is told may ask, cancel and join, so the list is looked at anew each
 * time.
 */
static bool
tell_one (struct servers *servers)
{
  struct asked *asked;

  for (asked = servers->first; asked; asked = asked->next) {
    if (asked->nr_refused > 0) {
      tell_refused (asked);
      return true;
    }
    if (asked->failed.code != CLEVIS_OK) {
      end_without (asked);
      return true;
    }
  }
  servers->news = false;
  return false;
}

static int
step (struct asker *asker, int ms, struct clevis_error *err)
{
  struct servers *servers = (struct servers *) asker;

  if (servers->news)
    ms = 0;
  while (servers->news && tell_one (servers))
    ;
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
  size_t i, j;

  while (servers->first)
    cancel (servers->first);
  queue_free (servers->queue);
  for (i = 0; i < servers->nr_origins; ++i)
    for (j = 0; j < servers->origins[i].nr; ++j)
      free (servers->origins[i].names[j]);
  free (servers->origins);
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
