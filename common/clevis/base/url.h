/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * URLs of Tang servers: what the policy sees and what curl is given are made of
 * the same parts, so that they cannot disagree about the host.
 */

#ifndef CLEVIS_URL_H
#define CLEVIS_URL_H

#include "base/clevis-error.h"

struct url {
  char *base;              /* for curl, made of the parts below; without a
                              final slash */
  char *scheme;            /* "http" or "https" */
  char *host;              /* as hostname_normalise makes it: lower case, no
                              brackets, no final dot, IPv4 dotted */
  int port;                /* 1 to 65535 */
  const char *path;        /* "/tang" or "", within base */
};

/* Parse the URL of a token or of an option.  A URL without a scheme is http, as
 * curl would take it, since real tokens have those.  These are refused:
 *
 * - user info, query and fragment: Tang has no use for them, and "/rec/KID" is
 *   appended;
 * - hosts other than names of letters, digits, hyphens and underscores
 *   (hostname.h) and numeric addresses, percent-encoding in the host, and zones
 *   other than the name of an interface behind a link-local address;
 * - paths with other characters than letters, digits and "-._~", with empty
 *   segments (slashes at the end are taken off) and with the segments "." and
 *   "..": what a server or a proxy decodes is not the path that was compared
 *   with a map.
 *
 * Returns NULL: CLEVIS_ERR_TOKEN, _LIMIT, _POLICY (a scheme other than http
 * and https) or _SYSTEM.  Sources: RFC 3986, RFC 6874.
 */
extern struct url *url_parse (const char *text, struct clevis_error *err);
extern void url_free (struct url *url);

/* What tells servers apart, "scheme://host:port", which the caller frees; NULL if
 * memory is short.
 */
extern char *url_origin (const struct url *url);

#endif /* CLEVIS_URL_H */
