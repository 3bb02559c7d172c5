/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Parsing of URLs.  curl's parser takes them apart, but it takes more than
 * Tang needs, and decodes and maps some of it later, when it connects.  So
 * what is not plain is refused first, and the URL that curl will be given is
 * put together again from the parts that the policy sees.  Who may be asked
 * is not decided here; that is the policy.
 */

#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "base/hostname.h"
#include "base/url.h"

static void
cleanup_curlu (CURLU **u)
{
  curl_url_cleanup (*u);
}

#define CLEANUP_CURLU __attribute__ ((cleanup (cleanup_curlu)))

/* A part of the URL as a string of ours, or NULL if it has none. */
static char *
get_part (CURLU *u, CURLUPart part, unsigned flags)
{
  char *value = NULL, *copy;

  if (curl_url_get (u, part, &value, flags) != CURLUE_OK)
    return NULL;
  copy = strdup (value);
  curl_free (value);
  return copy;
}

/* Does the text begin with "SCHEME://"? */
static bool
has_scheme (const char *text)
{
  size_t n = strspn (text, "abcdefghijklmnopqrstuvwxyz"
                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

  return n > 0 && strncmp (text + n, "://", 3) == 0;
}

/* The part of a URL between "//" and the path, which it ends with len bytes
 * later.
 */
static const char *
find_authority (const char *full, size_t *len)
{
  const char *authority = strstr (full, "://") + strlen ("://");

  *len = strcspn (authority, "/?#\\");
  return authority;
}

static int
refuse_host (const char *host, const char *problem, struct clevis_error *err)
{
  clevis_error_set (err, CLEVIS_ERR_TOKEN, _("the host \"%s\" is refused: %s"),
                    host, problem);
  if (hostname_is_foreign (host))
    clevis_error_hint (err, "%s", hostname_advice ());
  return -1;
}

/* What curl would decode or map.  A percent sign is only taken before the zone
 * of an IPv6 address.
 */
static int
check_authority (const char *authority, size_t len, struct clevis_error *err)
{
  CLEANUP_FREE char *text = strndup (authority, len);

  if (text == NULL)
    return clevis_error_errno (err, errno, _("URL"));
  if (strchr (text, '@'))
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("the URL has a user name, which Tang does not "
                               "have"));
  if (hostname_is_foreign (text))
    return refuse_host (text, hostname_problem (text), err);
  if (text[0] != '[' && strchr (text, '%'))
    return refuse_host (text, _("it is percent-encoded"), err);
  return 0;
}

/* The text, before anybody else reads it. */
static int
check_text (const char *full, struct clevis_error *err)
{
  size_t len;
  const char *authority = find_authority (full, &len), *p;

  if (check_authority (authority, len, err) == -1)
    return -1;
  for (p = full; *p; ++p)
    if (*p <= ' ' || *p >= 0x7f || strchr ("\"<>\\^`{|}", *p))
      return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                               _("the URL is malformed: it has a character "
                                 "that is in no URL"));
  if (strpbrk (authority + len, "?#"))
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("the URL has a query or fragment"));
  return 0;
}

/* Segments of a path that no server and no proxy on the way to it takes for
 * others: not decoded, not a step up, not empty.
 */
static int
check_path (const char *path, struct clevis_error *err)
{
  size_t len;

  if (path[strspn (path, "abcdefghijklmnopqrstuvwxyz"
                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/")] != '\0')
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("the path of the URL is refused: it has "
                               "characters other than letters, digits, and "
                               "-._~/"));
  while (*path == '/') {
    path++;
    len = strcspn (path, "/");
    if (len == 0 || (len <= 2 && strspn (path, ".") == len))
      return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                               _("the path of the URL is refused: a part of "
                                 "it is empty, or a step up"));
    path += len;
  }
  return 0;
}

/* The scheme, which must be one of two. */
static int
fill_scheme (struct url *url, CURLU *u, struct clevis_error *err)
{
  url->scheme = get_part (u, CURLUPART_SCHEME, 0);
  if (url->scheme == NULL)
    return clevis_error_errno (err, ENOMEM, _("URL"));
  if (strcmp (url->scheme, "http") != 0 && strcmp (url->scheme, "https") != 0)
    return clevis_error_set (err, CLEVIS_ERR_POLICY,
                             _("only http and https servers are asked, not "
                               "\"%s\""), url->scheme);
  return 0;
}

static int
fill_port (struct url *url, CURLU *u, struct clevis_error *err)
{
  CLEANUP_FREE char *port = get_part (u, CURLUPART_PORT, CURLU_DEFAULT_PORT);

  url->port = port ? atoi (port) : 0;
  if (url->port < 1 || url->port > 65535)
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("the URL is malformed: port 0"));
  return 0;
}

/* An interface is only meant where an address is not unique without it. */
static int
check_zone (const char *zone, const char *host, struct clevis_error *err)
{
  struct in6_addr v6;

  if (inet_pton (AF_INET6, host, &v6) != 1 || !IN6_IS_ADDR_LINKLOCAL (&v6))
    return refuse_host (host, _("only link-local addresses have a zone"), err);
  if (strlen (zone) > BOUND_ZONE ||
      zone[strspn (zone, "abcdefghijklmnopqrstuvwxyz"
                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")] != '\0')
    return refuse_host (host, _("its zone is not the name of a network "
                                "interface"), err);
  return 0;
}

/* The host for the policy, and how it is written in the URL for curl: with the
 * final dot of a name, which tells resolvers not to search other domains.
 */
static int
fill_host (struct url *url, CURLU *u, char **written,
           struct clevis_error *err)
{
  CLEANUP_FREE char *raw = get_part (u, CURLUPART_HOST, 0);
  CLEANUP_FREE char *zone = get_part (u, CURLUPART_ZONEID, 0);
  const char *problem;
  size_t len = raw ? strlen (raw) : 0;
  struct in_addr v4;
  bool v6, rooted;

  if (len == 0)
    return clevis_error_set (err, CLEVIS_ERR_TOKEN, _("the URL has no host"));
  v6 = raw[0] == '[' && raw[len-1] == ']';
  if (v6) {
    raw[len-1] = '\0';
    memmove (raw, raw + 1, len - 1);
  }
  url->host = hostname_normalise (raw, &problem);
  if (url->host == NULL)
    return problem ? refuse_host (raw, problem, err)
      : clevis_error_errno (err, ENOMEM, _("URL"));
  if (zone && check_zone (zone, url->host, err) == -1)
    return -1;
  rooted = !v6 && raw[len-1] == '.' &&
    inet_pton (AF_INET, url->host, &v4) != 1;
  if (asprintf (written, "%s%s%s%s%s", v6 ? "[" : "", url->host,
                zone ? "%25" : rooted ? "." : "", zone ? zone : "",
                v6 ? "]" : "") == -1) {
    *written = NULL;
    return clevis_error_errno (err, ENOMEM, _("URL"));
  }
  return 0;
}

/* All parts, and the URL made of them. */
static int
fill (struct url *url, CURLU *u, struct clevis_error *err)
{
  CLEANUP_FREE char *host = NULL, *path = get_part (u, CURLUPART_PATH, 0);
  char port[sizeof ":65535"] = "";
  size_t len;

  if (path == NULL)
    return clevis_error_errno (err, ENOMEM, _("URL"));
  for (len = strlen (path); len > 0 && path[len-1] == '/'; --len)
    path[len-1] = '\0';
  if (fill_scheme (url, u, err) == -1 || fill_port (url, u, err) == -1 ||
      fill_host (url, u, &host, err) == -1 || check_path (path, err) == -1)
    return -1;
  if (url->port != (strcmp (url->scheme, "https") == 0 ? 443 : 80))
    snprintf (port, sizeof port, ":%u", (unsigned short) url->port);
  if (asprintf (&url->base, "%s://%s%s%s", url->scheme, host, port,
                path) == -1) {
    url->base = NULL;
    return clevis_error_errno (err, ENOMEM, _("URL"));
  }
  url->path = url->base + strlen (url->base) - strlen (path);
  return 0;
}

struct url *
url_parse (const char *text, struct clevis_error *err)
{
  CLEANUP_CURLU CURLU *u = curl_url ();
  CLEANUP_FREE char *full = NULL;
  struct url *url = calloc (1, sizeof *url);
  CURLUcode r;

  if (u == NULL || url == NULL ||
      asprintf (&full, "%s%s", has_scheme (text) ? "" : "http://",
                text) == -1) {
    full = NULL;
    clevis_error_errno (err, ENOMEM, _("URL"));
    goto error;
  }
  if (strlen (full) > BOUND_URL) {
    clevis_error_set (err, CLEVIS_ERR_LIMIT, _("the URL is longer than %d "
                                               "bytes"), BOUND_URL);
    goto error;
  }
  if (check_text (full, err) == -1)
    goto error;
  r = curl_url_set (u, CURLUPART_URL, full,
                    CURLU_NON_SUPPORT_SCHEME | CURLU_PATH_AS_IS);
  if (r != CURLUE_OK) {
    clevis_error_set (err, CLEVIS_ERR_TOKEN, _("the URL is malformed: %s"),
                      curl_url_strerror (r));
    goto error;
  }
  if (fill (url, u, err) == -1)
    goto error;
  return url;

error:
  url_free (url);
  return NULL;
}

void
url_free (struct url *url)
{
  if (url == NULL)
    return;
  free (url->base);
  free (url->scheme);
  free (url->host);
  free (url);
}

char *
url_origin (const struct url *url)
{
  char *origin;

  return asprintf (&origin, "%s://%s:%d", url->scheme, url->host,
                   url->port) == -1 ? NULL : origin;
}
