/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * HTTP on libcurl's multi interface.  The policy is asked about each address
 * at the moment a socket is made for it, so neither a name server nor a
 * redirect can lead a request elsewhere.
 */

#include <config.h>

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <curl/curl.h>

#include "bounds.h"
#include "cleanups.h"
#include "gettext-compat.h"
#include "http.h"

#define USER_AGENT "virt-nbde-unlock/" PACKAGE_VERSION

struct http {
  const struct policy *policy;
  CURLM *multi;
  struct curl_slist *headers;
  struct http_transfer *transfers;      /* list of all that are running */
  size_t nr_transfers;
};

struct http_transfer {
  struct http *http;
  struct http_transfer *next, **prev;
  CURL *easy;
  const struct url *base;
  char *body;                           /* of the request */
  char *reply;                          /* of the server, so far */
  size_t reply_len, headers_len;
  char address[NI_MAXHOST];             /* tried last; "" if none */
  struct clevis_error refused;          /* by the policy, at connect time */
  http_done_fn done;
  void *opaque;
};

static void
global_init (void)
{
  static bool done;

  if (!done)
    curl_global_init (CURL_GLOBAL_ALL);
  done = true;
}

struct http *
http_new (const struct policy *policy, struct clevis_error *err)
{
  struct http *http = calloc (1, sizeof *http);

  global_init ();
  if (http) {
    http->policy = policy;
    http->multi = curl_multi_init ();
    http->headers = curl_slist_append (NULL,
                                       "Content-Type: application/jwk+json");
  }
  if (http == NULL || http->multi == NULL || http->headers == NULL) {
    clevis_error_errno (err, ENOMEM, "libcurl");
    http_free (http);
    return NULL;
  }
  return http;
}

void
http_free (struct http *http)
{
  if (http == NULL)
    return;
  while (http->transfers)
    http_cancel (http->transfers);
  curl_multi_cleanup (http->multi);
  curl_slist_free_all (http->headers);
  free (http);
}

/* curl asks for a socket to an address that it has resolved: the one place
 * where the address that is really connected to is known.
 */
static curl_socket_t
open_socket (void *opaque, curlsocktype purpose, struct curl_sockaddr *addr)
{
  struct http_transfer *t = opaque;
  struct policy_target target = url_target (t->base);

  if (getnameinfo (&addr->addr, addr->addrlen, t->address, sizeof t->address,
                   NULL, 0, NI_NUMERICHOST) != 0)
    t->address[0] = '\0';
  clevis_error_clear (&t->refused);
  if (policy_check_address (t->http->policy, &target, &addr->addr,
                            &t->refused) == -1)
    return CURL_SOCKET_BAD;
  return socket (addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
}

/* Returning less than was given makes curl stop with an error. */
static size_t
take_body (char *data, size_t size, size_t nmemb, void *opaque)
{
  struct http_transfer *t = opaque;
  size_t len = size * nmemb;
  char *reply;

  if (len > BOUND_REPLY_BODY - t->reply_len)
    return 0;
  reply = realloc (t->reply, t->reply_len + len + 1);
  if (reply == NULL)
    return 0;
  memcpy (reply + t->reply_len, data, len);
  t->reply = reply;
  t->reply_len += len;
  return len;
}

/* Headers are only counted, those of 1xx replies too. */
static size_t
take_header (char *data, size_t size, size_t nmemb, void *opaque)
{
  struct http_transfer *t = opaque;
  size_t len = size * nmemb;

  if (len > BOUND_REPLY_HEADERS - t->headers_len)
    return 0;
  t->headers_len += len;
  return len;
}

/* Options as curl_easy_setopt(3) has them; 0 if all were taken. */
static int
set_options (struct http_transfer *t, const char *url)
{
  const struct http *http = t->http;
  long ms = policy_timeout (http->policy);
  int r = 0;

#define SET(option, value) \
  r |= curl_easy_setopt (t->easy, CURLOPT_##option, value) != CURLE_OK
  SET (URL, url);
#if LIBCURL_VERSION_NUM >= 0x075500
  SET (PROTOCOLS_STR, "http,https");
#else
  SET (PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  SET (FOLLOWLOCATION, 0L);
  SET (PROXY, "");
  SET (NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
  SET (QUICK_EXIT, 1L);         /* do not wait for a slow name server */
#endif
  SET (TIMEOUT_MS, ms);
  SET (CONNECTTIMEOUT_MS, ms);
  SET (USERAGENT, USER_AGENT);
  SET (HTTPHEADER, http->headers);
  SET (POSTFIELDS, t->body);
  SET (POSTFIELDSIZE, (long) strlen (t->body));
  SET (SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
  SET (OPENSOCKETFUNCTION, open_socket);
  SET (OPENSOCKETDATA, t);
  SET (WRITEFUNCTION, take_body);
  SET (WRITEDATA, t);
  SET (HEADERFUNCTION, take_header);
  SET (HEADERDATA, t);
  SET (PRIVATE, t);
#undef SET
  return r;
}

/* Unlink and free.  The easy handle may or may not be in the multi. */
static void
transfer_free (struct http_transfer *t)
{
  if (t->easy) {
    curl_multi_remove_handle (t->http->multi, t->easy);
    curl_easy_cleanup (t->easy);
  }
  if (t->prev) {
    *t->prev = t->next;
    if (t->next)
      t->next->prev = t->prev;
    t->http->nr_transfers--;
  }
  clevis_error_clear (&t->refused);
  free (t->body);
  free (t->reply);
  free (t);
}

static void
link_transfer (struct http *http, struct http_transfer *t)
{
  t->next = http->transfers;
  t->prev = &http->transfers;
  if (t->next)
    t->next->prev = &t->next;
  http->transfers = t;
  http->nr_transfers++;
}

struct http_transfer *
http_post (struct http *http, const struct url *base, const char *path,
           const char *body, http_done_fn done, void *opaque,
           struct clevis_error *err)
{
  const struct clevis_error empty = CLEVIS_ERROR_INIT;
  struct policy_target target = url_target (base);
  CLEANUP_FREE char *url = NULL;
  struct http_transfer *t;

  if (policy_check_target (http->policy, &target, err) == -1)
    return NULL;
  if (asprintf (&url, "%s%s", base->base, path) == -1) {
    url = NULL;
    clevis_error_errno (err, ENOMEM, "libcurl");
    return NULL;
  }
  t = calloc (1, sizeof *t);
  if (t == NULL) {
    clevis_error_errno (err, errno, "libcurl");
    return NULL;
  }
  t->http = http;
  t->base = base;
  t->refused = empty;
  t->done = done;
  t->opaque = opaque;
  t->body = strdup (body);
  t->easy = curl_easy_init ();
  if (t->body == NULL || t->easy == NULL || set_options (t, url) != 0 ||
      curl_multi_add_handle (http->multi, t->easy) != CURLM_OK) {
    clevis_error_set (err, CLEVIS_ERR_SYSTEM, _("libcurl cannot make a "
                                                "request"));
    transfer_free (t);
    return NULL;
  }
  link_transfer (http, t);
  return t;
}

void
http_cancel (struct http_transfer *transfer)
{
  if (transfer)
    transfer_free (transfer);
}

/* What curl's result means for the user. */
static void
explain (const struct http_transfer *t, CURLcode result,
         struct clevis_error *err)
{
  const double seconds = policy_timeout (t->http->policy) / 1000.0;
  long os_errno = 0;

  switch (result) {
  case CURLE_OK:
    break;
  case CURLE_COULDNT_RESOLVE_HOST:
    clevis_error_set (err, CLEVIS_ERR_UNREACHABLE,
                      _("the name %s cannot be resolved"), t->base->host);
    clevis_error_hint (err, _("Is this host's name server the one that the "
                              "guest's network uses?"));
    break;
  case CURLE_COULDNT_CONNECT:
    curl_easy_getinfo (t->easy, CURLINFO_OS_ERRNO, &os_errno);
    clevis_error_set (err, CLEVIS_ERR_UNREACHABLE, _("cannot connect: %s"),
                      os_errno ? strerror (os_errno)
                      : curl_easy_strerror (result));
    clevis_error_hint (err, _("Is the server running, and does a firewall let "
                              "this host through to port %d?"), t->base->port);
    break;
  case CURLE_OPERATION_TIMEDOUT:
    clevis_error_set (err, CLEVIS_ERR_UNREACHABLE,
                      _("no whole reply within %g seconds"), seconds);
    clevis_error_hint (err, _("A slow server may need a larger "
                              "--tang-timeout."));
    break;
  case CURLE_WRITE_ERROR:
    clevis_error_set (err, CLEVIS_ERR_REPLY,
                      _("the reply is larger than %llu bytes"),
                      BOUND_REPLY_BODY);
    break;
  case CURLE_OUT_OF_MEMORY:
    clevis_error_errno (err, ENOMEM, "libcurl");
    break;
  case CURLE_GOT_NOTHING:
  case CURLE_SEND_ERROR:
  case CURLE_RECV_ERROR:
  case CURLE_PARTIAL_FILE:
    clevis_error_set (err, CLEVIS_ERR_UNREACHABLE,
                      _("the server closed the connection before a whole "
                        "reply"));
    break;
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CONNECT_ERROR:
    clevis_error_set (err, CLEVIS_ERR_UNREACHABLE, "TLS: %s",
                      curl_easy_strerror (result));
    break;
  default:
    clevis_error_set (err, CLEVIS_ERR_REPLY, "%s",
                      curl_easy_strerror (result));
  }
}

/* Tell the owner of a transfer that it has ended, and free it. */
static void
finish (struct http_transfer *t, CURLcode result)
{
  CLEANUP_ERROR struct clevis_error none = CLEVIS_ERROR_INIT;
  struct http_reply reply = { .error = none, .content_type = "", .body = "" };
  char *type = NULL;

  if (t->refused.code != CLEVIS_OK && result != CURLE_OK)
    clevis_error_copy (&reply.error, &t->refused);
  else
    explain (t, result, &reply.error);

  curl_easy_getinfo (t->easy, CURLINFO_RESPONSE_CODE, &reply.status);
  if (curl_easy_getinfo (t->easy, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK &&
      type)
    reply.content_type = type;
  if (t->reply) {
    t->reply[t->reply_len] = '\0';
    reply.body = t->reply;
    reply.len = t->reply_len;
  }
  reply.address = t->address[0] ? t->address : NULL;
  if (reply.address && reply.error.code != CLEVIS_OK)
    reply.error.address = strdup (reply.address);
  t->done (&reply, t->opaque);
  clevis_error_clear (&reply.error);
  transfer_free (t);
}

/* Reports that curl queued; done may cancel other transfers, whose reports curl
 * then drops.
 */
static void
finish_all (struct http *http)
{
  struct http_transfer *t;
  CURLMsg *msg;
  int left;

  while ((msg = curl_multi_info_read (http->multi, &left)) != NULL)
    if (msg->msg == CURLMSG_DONE &&
        curl_easy_getinfo (msg->easy_handle, CURLINFO_PRIVATE,
                           (char **) &t) == CURLE_OK)
      finish (t, msg->data.result);
}

int
http_step (struct http *http, int ms, struct clevis_error *err)
{
  size_t nr = http->nr_transfers;
  CURLMcode r;
  int running;

  /* Wait only if nothing has ended: curl counts as running what has not. */
  r = curl_multi_perform (http->multi, &running);
  if (r == CURLM_OK && (size_t) running == nr) {
    r = curl_multi_poll (http->multi, NULL, 0, ms, NULL);
    if (r == CURLM_OK)
      r = curl_multi_perform (http->multi, &running);
  }
  if (r != CURLM_OK)
    return clevis_error_set (err, CLEVIS_ERR_SYSTEM, "libcurl: %s",
                             curl_multi_strerror (r));
  finish_all (http);
  return 0;
}

void
http_wakeup (struct http *http)
{
  curl_multi_wakeup (http->multi);
}
