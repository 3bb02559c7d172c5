/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Parsing of URLs with curl's URL API.  It decides nothing about who may be
 * asked; that is policy.c.
 */

#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "bounds.h"
#include "cleanups.h"
#include "gettext-compat.h"
#include "url.h"

/* Since curl 8.8 an empty query ("http://host/?") is only told to those who ask
 * for it.
 */
#ifndef CURLU_GET_EMPTY
#define CURLU_GET_EMPTY 0
#endif

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

static bool
has_part (CURLU *u, CURLUPart part)
{
  CLEANUP_FREE char *value = get_part (u, part, CURLU_GET_EMPTY);

  return value != NULL;
}

/* Does the text begin with "SCHEME://"? */
static bool
has_scheme (const char *text)
{
  size_t n = strspn (text, "abcdefghijklmnopqrstuvwxyz"
                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

  return n > 0 && strncmp (text + n, "://", 3) == 0;
}

static int
check_parts (CURLU *u, const struct url *url, struct clevis_error *err)
{
  if (strcmp (url->scheme, "http") != 0 && strcmp (url->scheme, "https") != 0)
    return clevis_error_set (err, CLEVIS_ERR_POLICY,
                             _("only http and https servers are asked, not "
                               "\"%s\""), url->scheme);
  if (has_part (u, CURLUPART_USER) || has_part (u, CURLUPART_PASSWORD))
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("the URL has a user name, which Tang does not "
                               "have"));
  if (has_part (u, CURLUPART_QUERY) || has_part (u, CURLUPART_FRAGMENT))
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("the URL has a query or fragment"));
  return 0;
}

/* Host names are case insensitive, may end in a dot, and IPv6 addresses have
 * brackets in a URL; the policy wants one spelling.
 */
static void
normalise_host (char *host)
{
  size_t len = strlen (host), i;

  if (len >= 2 && host[0] == '[' && host[len-1] == ']') {
    memmove (host, host + 1, len - 2);
    host[len-2] = '\0';
    len -= 2;
  }
  if (len > 1 && host[len-1] == '.')
    host[len-1] = '\0';
  for (i = 0; host[i]; ++i)
    if (host[i] >= 'A' && host[i] <= 'Z')
      host[i] += 'a' - 'A';
}

/* Whatever the resolver takes for an IPv4 address (decimal, octal, hexadecimal,
 * fewer than four parts), made dotted.  curl does that too, but not for digits
 * that were percent-encoded or have a dot behind them.
 */
static int
make_dotted (char **host)
{
  struct in_addr v4;
  char text[INET_ADDRSTRLEN];
  char *dotted;

  if (inet_aton (*host, &v4) == 0)
    return 0;
  dotted = strdup (inet_ntop (AF_INET, &v4, text, sizeof text));
  if (dotted == NULL)
    return -1;
  free (*host);
  *host = dotted;
  return 0;
}

static int
fill (struct url *url, CURLU *u, struct clevis_error *err)
{
  CLEANUP_FREE char *port = get_part (u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  size_t len;

  url->scheme = get_part (u, CURLUPART_SCHEME, 0);
  if (url->scheme == NULL || check_parts (u, url, err) == -1)
    return -1;
  url->host = get_part (u, CURLUPART_HOST, 0);
  url->base = get_part (u, CURLUPART_URL, 0);
  if (url->host == NULL || url->base == NULL || port == NULL)
    return -1;
  url->port = atoi (port);
  normalise_host (url->host);
  if (make_dotted (&url->host) == -1)
    return clevis_error_errno (err, ENOMEM, _("URL"));
  for (len = strlen (url->base); len > 0 && url->base[len-1] == '/'; --len)
    url->base[len-1] = '\0';
  url->path = url->base + strcspn (url->base, ":");
  url->path += strspn (url->path, ":/");
  url->path += strcspn (url->path, "/");
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
  r = curl_url_set (u, CURLUPART_URL, full, CURLU_NON_SUPPORT_SCHEME);
  if (r != CURLUE_OK) {
    clevis_error_set (err, CLEVIS_ERR_TOKEN, _("the URL is malformed: %s"),
                      curl_url_strerror (r));
    goto error;
  }
  if (fill (url, u, err) == -1) {
    clevis_error_set (err, CLEVIS_ERR_TOKEN, _("the URL has no host"));
    goto error;
  }
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

struct policy_target
url_target (const struct url *url)
{
  return (struct policy_target) {
    .scheme = url->scheme, .host = url->host, .port = url->port
  };
}
