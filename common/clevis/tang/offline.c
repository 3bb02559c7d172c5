/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Files of requests, replies and ephemeral keys.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jose/b64.h>
#include <openssl/rand.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "jose/ecmr.h"
#include "base/gettext-compat.h"
#include "tang/offline.h"
#include "base/secret.h"

#define FORMAT_VERSION 1

/* Bytes of a request's id, which is random so that a reply to an earlier export
 * is known as such.
 */
#define ID_BYTES 16

struct offline {
  bool import;
  json_t *requests;        /* array; export: as written to the file */
  json_t *state;           /* array, in locked memory */
  json_t *replies;         /* import: id to body */
};

static struct offline *
new_offline (struct clevis_error *err)
{
  struct offline *off = calloc (1, sizeof *off);

  if (off) {
    off->requests = json_array ();
    off->replies = json_object ();
    secret_json_begin ();
    off->state = json_array ();
    secret_json_end ();
  }
  if (off == NULL || off->requests == NULL || off->replies == NULL ||
      off->state == NULL) {
    offline_free (off);
    clevis_error_errno (err, ENOMEM, _("offline exchange"));
    return NULL;
  }
  return off;
}

void
offline_free (struct offline *off)
{
  if (off == NULL)
    return;
  json_decref (off->requests);
  json_decref (off->state);
  json_decref (off->replies);
  free (off);
}

struct offline *
offline_export (struct clevis_error *err)
{
  return new_offline (err);
}

bool
offline_is_import (const struct offline *off)
{
  return off->import;
}

size_t
offline_count (const struct offline *off)
{
  return json_array_size (off->requests);
}

int
offline_add (struct offline *off, const char *question, const char *url,
             const char *kid, const char *body, const json_t *ephemeral,
             struct clevis_error *err)
{
  SECRET_JSON_SCOPE;
  unsigned char bytes[ID_BYTES];
  CLEANUP_JSON json_t *id = NULL;
  json_t *jwk;

  if (RAND_bytes (bytes, sizeof bytes) != 1)
    return clevis_error_set (err, CLEVIS_ERR_SYSTEM, _("no random numbers"));
  id = jose_b64_enc (bytes, sizeof bytes);
  jwk = json_loads (body, 0, NULL);
  if (id == NULL ||
      json_array_append_new (off->requests,
                             json_pack ("{s:O, s:s, s:s, s:o}", "id", id,
                                        "url", url, "kid", kid,
                                        "body", jwk)) == -1 ||
      json_array_append_new (off->state,
                             json_pack ("{s:O, s:s, s:O}", "id", id,
                                        "question", question,
                                        "key", ephemeral)) == -1)
    return clevis_error_errno (err, ENOMEM, _("offline exchange"));
  return 0;
}

static int
dump (const json_t *array, int fd, const char *name, struct clevis_error *err)
{
  SECRET_JSON_SCOPE;
  CLEANUP_JSON json_t *doc = json_pack ("{s:i, s:O}", "version",
                                        FORMAT_VERSION, "requests", array);

  errno = 0;
  if (doc == NULL || json_dumpfd (doc, fd, JSON_INDENT (1)))
    return clevis_error_errno (err, errno ? errno : ENOMEM, "%s", name);
  return 0;
}

int
offline_write_requests (const json_t *requests, int fd, const char *name,
                        struct clevis_error *err)
{
  return dump (requests, fd, name, err);
}

static const char *
member (const json_t *array, size_t i, const char *name)
{
  return json_string_value (json_object_get (json_array_get (array, i), name));
}

/* A question begins with the URL of its token. */
int
offline_request (const struct offline *off, size_t i,
                 struct offline_request *request, struct clevis_error *err)
{
  const char *question = member (off->state, i, "question");

  request->id = member (off->requests, i, "id");
  request->kid = member (off->requests, i, "kid");
  request->body = json_object_get (json_array_get (off->requests, i), "body");
  request->url = question ? strndup (question, strcspn (question, " ")) : NULL;
  return request->url ? 0
    : clevis_error_errno (err, ENOMEM, _("offline exchange"));
}

int
offline_dump_requests (const struct offline *off, int fd, const char *name,
                       struct clevis_error *err)
{
  return dump (off->requests, fd, name, err);
}

int
offline_dump_state (const struct offline *off, int fd, const char *name,
                    struct clevis_error *err)
{
  return dump (off->state, fd, name, err);
}

/* A JSON document of the user's, of the version that we know. */
static json_t *
read_json (const struct offline_file *file, enum clevis_code code,
           struct clevis_error *err)
{
  const char *path = file->name;
  json_error_t jerr;
  struct stat st;
  json_t *doc;

  if (fstat (file->fd, &st) == -1) {
    clevis_error_errno (err, errno, "%s", path);
    return NULL;
  }
  if (S_ISREG (st.st_mode) && (size_t) st.st_size > BOUND_OFFLINE_FILE) {
    clevis_error_set (err, CLEVIS_ERR_LIMIT,
                      _("%s is larger than %llu bytes"), path,
                      BOUND_OFFLINE_FILE);
    return NULL;
  }
  doc = json_loadfd (file->fd, JSON_REJECT_DUPLICATES, &jerr);
  if (json_integer_value (json_object_get (doc, "version")) !=
      FORMAT_VERSION) {
    clevis_error_set (err, code, _("%s is not a file of version %d of this "
                                   "kind%s%s"), path, FORMAT_VERSION,
                      doc ? "" : ": ", doc ? "" : jerr.text);
    json_decref (doc);
    return NULL;
  }
  return doc;
}

/* The entry of the state for an id or a question; borrowed. */
static const json_t *
find_state (const struct offline *off, const char *name, const char *value)
{
  const char *s;
  const json_t *entry;
  size_t i;

  for (i = 0; i < json_array_size (off->state); ++i) {
    entry = json_array_get (off->state, i);
    s = json_string_value (json_object_get (entry, name));
    if (s && strcmp (s, value) == 0)
      return entry;
  }
  return NULL;
}

static int
take_replies (struct offline *off, const char *path, const json_t *doc,
              struct clevis_error *err)
{
  const json_t *replies = json_object_get (doc, "replies"), *reply;
  json_t *body;
  const char *id;
  size_t i;

  if (!json_is_array (replies))
    return clevis_error_set (err, CLEVIS_ERR_REPLY, _("%s has no replies"),
                             path);
  for (i = 0; i < json_array_size (replies); ++i) {
    reply = json_array_get (replies, i);
    id = json_string_value (json_object_get (reply, "id"));
    body = json_object_get (reply, "body");
    if (id == NULL || !json_is_object (body))
      return clevis_error_set (err, CLEVIS_ERR_REPLY,
                               _("%s: reply %zu has no id or body"), path, i);
    if (find_state (off, "id", id) == NULL) {
      clevis_error_set (err, CLEVIS_ERR_REPLY,
                        _("%s: reply %zu answers none of the requests"),
                        path, i);
      clevis_error_hint (err, _("Replies belong to the export that made their "
                                "requests, and to no other.  "
                                "--requests-state names the file that it "
                                "wrote."));
      return -1;
    }
    if (json_object_get (off->replies, id))
      return clevis_error_set (err, CLEVIS_ERR_REPLY,
                               _("%s: reply %zu answers a request for the "
                                 "second time"), path, i);
    if (json_object_set (off->replies, id, body) == -1)
      return clevis_error_errno (err, ENOMEM, "%s", path);
  }
  return 0;
}

struct offline *
offline_load (const struct offline_file *state,
              const struct offline_file *replies, struct clevis_error *err)
{
  CLEANUP_JSON json_t *doc = NULL;
  struct offline *off = new_offline (err);
  json_t *array;

  if (off == NULL)
    return NULL;
  off->import = true;
  {
    SECRET_JSON_SCOPE;
    CLEANUP_JSON json_t *secrets = read_json (state, CLEVIS_ERR_TOKEN, err);

    array = json_object_get (secrets, "requests");
    if (json_is_array (array)) {
      json_decref (off->state);
      off->state = json_incref (array);
    }
    else
      clevis_error_set (err, CLEVIS_ERR_TOKEN, _("%s has no requests"),
                        state->name);
  }
  if (json_is_array (array))
    doc = read_json (replies, CLEVIS_ERR_REPLY, err);
  if (doc && take_replies (off, replies->name, doc, err) == 0)
    return off;
  offline_free (off);
  return NULL;
}

struct offline *
offline_import (const char *state, const char *replies,
                struct clevis_error *err)
{
  CLEANUP_CLOSE int s = open (state, O_RDONLY | O_CLOEXEC);
  CLEANUP_CLOSE int r = s == -1 ? -1 : open (replies, O_RDONLY | O_CLOEXEC);

  if (r == -1) {
    clevis_error_errno (err, errno, "%s", s == -1 ? state : replies);
    return NULL;
  }
  return offline_load (&(struct offline_file) { s, state },
                       &(struct offline_file) { r, replies }, err);
}

json_t *
offline_answer (const struct offline *off, const char *question,
                const json_t *server, struct clevis_error *err)
{
  const json_t *entry = find_state (off, "question", question), *reply;
  const char *id = json_string_value (json_object_get (entry, "id"));

  if (id == NULL) {
    clevis_error_set (err, CLEVIS_ERR_UNREACHABLE,
                      _("no request was exported for this binding"));
    clevis_error_hint (err, _("The disk was bound anew since, or is another "
                              "one: export once more with --export-requests."));
    return NULL;
  }
  reply = json_object_get (off->replies, id);
  if (reply == NULL) {
    clevis_error_set (err, CLEVIS_ERR_UNREACHABLE,
                      _("the replies do not answer this request"));
    return NULL;
  }
  return ecmr_unblind (server, json_object_get (entry, "key"), reply, err);
}
