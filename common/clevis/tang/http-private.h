/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What the files http*.c share.  Nobody else includes this.
 */

#ifndef CLEVIS_HTTP_PRIVATE_H
#define CLEVIS_HTTP_PRIVATE_H

#include <netdb.h>

#include <curl/curl.h>

#include "tang/http.h"

struct http {
  const struct policy *policy;
  CURLM *multi;
  struct curl_slist *headers;
  struct curl_slist *resolves;
  struct http_transfer *transfers;      /* list of all that are running */
  size_t nr_transfers;
  int watched_fd;          /* or -1 */
};

struct http_transfer {
  struct http *http;
  struct http_transfer *next, **prev;
  CURL *easy;
  const struct url *base;
  bool trusted;
  const char *proxy;                    /* NULL: the server itself */
  char *body;                           /* of the request; NULL: GET */
  char *reply;                          /* of the server, so far */
  size_t reply_len, headers_len;
  bool headers_ended;                   /* all of them have come */
  char address[NI_MAXHOST];             /* tried last; "" if none */
  bool tried;                           /* the policy let an address pass */
  struct clevis_error refused;          /* by the policy, at connect time */
  char detail[CURL_ERROR_SIZE];         /* curl's own words */
  http_done_fn done;
  void *opaque;
};

/* May the server see the user's certificate? */
extern bool http_shows_certificate (const struct http_transfer *t);

/* What curl's result means for the user; does nothing for CURLE_OK. */
extern void http_explain (const struct http_transfer *t, CURLcode result,
                          struct clevis_error *err);

/* Might the same request succeed a moment later? */
extern bool http_is_temporary (CURLcode result, long status);

#endif /* CLEVIS_HTTP_PRIVATE_H */
