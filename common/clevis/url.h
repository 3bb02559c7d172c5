/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * URLs of Tang servers, parsed by the same parser that libcurl connects with,
 * so that the policy and the connection cannot disagree about the host.
 */

#ifndef CLEVIS_URL_H
#define CLEVIS_URL_H

#include "clevis-error.h"
#include "policy.h"

struct url {
  char *base;              /* normalised, without a final slash */
  char *scheme;            /* "http" or "https" */
  char *host;              /* lower case, no brackets; numeric IPv4 spellings
                              (decimal, octal) are made dotted */
  int port;
  const char *path;        /* "/tang" or "", within base */
};

/* Parse the URL of a token.  A URL without a scheme is http, as curl would take
 * it, since real tokens have those.  User info, query and fragment are
 * refused: Tang has no use for them, and "/rec/KID" is appended.
 * Returns NULL: CLEVIS_ERR_TOKEN, _LIMIT, _POLICY (a scheme other than http
 * and https) or _SYSTEM.
 */
extern struct url *url_parse (const char *text, struct clevis_error *err);
extern void url_free (struct url *url);

/* What the policy judges; borrows from url. */
extern struct policy_target url_target (const struct url *url);

#endif /* CLEVIS_URL_H */
