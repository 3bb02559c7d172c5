/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * HTTP on libcurl's multi interface.  The policy is asked about each address
 * at the moment a socket is made for it, so neither a name server nor a
 * redirect can lead a request elsewhere.
 */

#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "tang/http-private.h"

#define USER_AGENT "virt-nbde-unlock/" PACKAGE_VERSION

void
http_prepare (void)
{
  static bool done;

  if (!done)
    curl_global_init (CURL_GLOBAL_ALL);
  done = true;
}

static int
add_resolve (struct http *http, const char *entry)
{
  struct curl_slist *list = curl_slist_append (http->resolves, entry);

  if (list == NULL)
    return -1;
  http->resolves = list;
  return 0;
}

/* curl compares names as they are written: with and without the dot of the
 * root.
 */
static int
add_resolves (struct http *http)
{
  const char *const *entry;

  for (entry = policy_resolves (http->policy); *entry; ++entry) {
    const int len = strcspn (*entry, ":");
    CLEANUP_FREE char *rooted = NULL;

    if (asprintf (&rooted, "%.*s.%s", len, *entry, *entry + len) == -1) {
      rooted = NULL;
      return -1;
    }
    if (add_resolve (http, *entry) == -1 || add_resolve (http, rooted) == -1)
      return -1;
  }
  return 0;
}

struct http *
http_new (const struct policy *policy, struct clevis_error *err)
{
  struct http *http = calloc (1, sizeof *http);

  http_prepare ();
  if (http) {
    http->policy = policy;
    http->watched_fd = -1;
    http->multi = curl_multi_init ();
    http->headers = curl_slist_append (NULL,
                                       "Content-Type: application/jwk+json");
  }
  if (http == NULL || http->multi == NULL || http->headers == NULL ||
      add_resolves (http) == -1) {
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
  curl_slist_free_all (http->resolves);
  free (http);
}

/* May the server be spoken to at this address?  A proxy and a mapped server are
 * the user's word.  The first refusal is kept.
 */
static bool
admits (struct http_transfer *t, const struct sockaddr *address)
{
  struct policy_target target = policy_target_of (t->base);

  return t->trusted || t->proxy ||
    policy_check_address (t->http->policy, &target, address,
                          &t->refused) == 0;
}

/* curl asks for a socket to an address that it has resolved: the one place
 * where the address that is really connected to is known.
 */
static curl_socket_t
open_socket (void *opaque, curlsocktype purpose, struct curl_sockaddr *addr)
{
  struct http_transfer *t = opaque;

  if (!admits (t, &addr->addr))
    return CURL_SOCKET_BAD;
  if (getnameinfo (&addr->addr, addr->addrlen, t->address, sizeof t->address,
                   NULL, 0, NI_NUMERICHOST) != 0)
    t->address[0] = '\0';
  t->tried = true;
  return socket (addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
}

/* curl is about to send a request on a connection that it has just made or has
 * made for somebody else.  That may be one to a server that the user named, which
 * a disk must not reuse.
 */
static int
check_connection (void *opaque, char *primary, char *local, int primary_port,
                  int local_port)
{
  struct http_transfer *t = opaque;
  struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
  struct sockaddr_in v4 = { .sin_family = AF_INET };
  const struct sockaddr *address = NULL;

  if (inet_pton (AF_INET, primary, &v4.sin_addr) == 1)
    address = (const struct sockaddr *) &v4;
  else if (inet_pton (AF_INET6, primary, &v6.sin6_addr) == 1)
    address = (const struct sockaddr *) &v6;
  if (address && admits (t, address)) {
    snprintf (t->address, sizeof t->address, "%s", primary);
    t->tried = true;
    return CURL_PREREQFUNC_OK;
  }
  t->tried = false;
  return CURL_PREREQFUNC_ABORT;
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

/* Headers are only counted, those of 1xx replies too; and it is noted whether
 * there was an empty line behind the last status line.
 */
static size_t
take_header (char *data, size_t size, size_t nmemb, void *opaque)
{
  struct http_transfer *t = opaque;
  size_t len = size * nmemb;

  if (len > BOUND_REPLY_HEADERS - t->headers_len)
    return 0;
  t->headers_len += len;
  if (len >= 5 && memcmp (data, "HTTP/", 5) == 0)
    t->headers_ended = false;
  else if (len > 0 && (data[0] == '\r' || data[0] == '\n'))
    t->headers_ended = true;
  return len;
}

/* Set an option; 0 if curl takes it. */
#define SET(t, option, value) \
  (curl_easy_setopt ((t)->easy, CURLOPT_##option, value) != CURLE_OK)

/* May the server see who asks?  Only one that the user named: his certificate
 * is nothing to show to whomever a disk names.
 */
bool
http_shows_certificate (const struct http_transfer *t)
{
  return t->trusted || policy_is_list (t->http->policy);
}

/* TLS: the system's trust store or the user's CA, for servers and proxies; and
 * his certificate, for some servers and no proxy.
 */
static int
set_tls (struct http_transfer *t, const struct policy_settings *settings)
{
  int r = SET (t, SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);

  r |= SET (t, PROXY_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
  if (settings->cacert) {
    r |= SET (t, CAINFO, settings->cacert);
    r |= SET (t, CAPATH, NULL);
    r |= SET (t, PROXY_CAINFO, settings->cacert);
    r |= SET (t, PROXY_CAPATH, NULL);
  }
  if (settings->cert && http_shows_certificate (t))
    r |= SET (t, SSLCERT, settings->cert);
  if (settings->key && http_shows_certificate (t))
    r |= SET (t, SSLKEY, settings->key);
  if (t->body == NULL)          /* preflight wants to know the expiry */
    r |= SET (t, CERTINFO, 1L);
  return r;
}

/* What may be spoken, to whom, and how long. */
static int
set_limits (struct http_transfer *t, const struct policy_settings *settings)
{
  int r = 0;

#if LIBCURL_VERSION_NUM >= 0x075500
  r |= SET (t, PROTOCOLS_STR, "http,https");
#else
  r |= SET (t, PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  r |= SET (t, FOLLOWLOCATION, 0L);
  r |= SET (t, PROXY, t->proxy ? t->proxy : "");
  r |= SET (t, NOPROXY, "");
  r |= SET (t, NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
  r |= SET (t, QUICK_EXIT, 1L); /* do not wait for a slow name server */
#endif
  r |= SET (t, TIMEOUT_MS, settings->timeout);
  r |= SET (t, CONNECTTIMEOUT_MS, settings->connect_timeout);
  if (t->http->resolves)
    r |= SET (t, RESOLVE, t->http->resolves);
  return r;
}

static int
set_request (struct http_transfer *t, const char *url)
{
  int r = SET (t, URL, url);

  r |= SET (t, USERAGENT, USER_AGENT);
  if (t->body) {
    r |= SET (t, HTTPHEADER, t->http->headers);
    r |= SET (t, POSTFIELDS, t->body);
    r |= SET (t, POSTFIELDSIZE, (long) strlen (t->body));
  }
  r |= SET (t, OPENSOCKETFUNCTION, open_socket);
  r |= SET (t, OPENSOCKETDATA, t);
  r |= SET (t, PREREQFUNCTION, check_connection);
  r |= SET (t, PREREQDATA, t);
  r |= SET (t, WRITEFUNCTION, take_body);
  r |= SET (t, WRITEDATA, t);
  r |= SET (t, HEADERFUNCTION, take_header);
  r |= SET (t, HEADERDATA, t);
  r |= SET (t, ERRORBUFFER, t->detail);
  r |= SET (t, PRIVATE, t);
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

/* The transfer, ready to be added to the multi handle; NULL if memory is
 * short.
 */
static struct http_transfer *
new_transfer (struct http *http, const struct http_request *request,
              const char *proxy)
{
  const struct policy_settings *settings = policy_get_settings (http->policy);
  const struct clevis_error empty = CLEVIS_ERROR_INIT;
  struct http_transfer *t = calloc (1, sizeof *t);
  CLEANUP_FREE char *url = NULL;

  if (t == NULL)
    return NULL;
  t->http = http;
  t->base = request->base;
  t->trusted = request->trusted;
  t->proxy = proxy;
  t->refused = empty;
  t->body = request->body ? strdup (request->body) : NULL;
  t->easy = curl_easy_init ();
  if (asprintf (&url, "%s%s", request->base->base, request->path) == -1)
    url = NULL;
  if (url == NULL || t->easy == NULL || (request->body && t->body == NULL) ||
      set_request (t, url) || set_limits (t, settings) ||
      set_tls (t, settings)) {
    transfer_free (t);
    return NULL;
  }
  return t;
}

int
http_check (const struct policy *policy, const struct http_request *request,
            struct clevis_error *err)
{
  struct policy_target target = policy_target_of (request->base);

  target.proxied = policy_proxy (policy, &target) != NULL;
  return request->trusted ? 0 : policy_check_target (policy, &target, err);
}

struct http_transfer *
http_start (struct http *http, const struct http_request *request,
            http_done_fn done, void *opaque, struct clevis_error *err)
{
  const struct policy_target target = policy_target_of (request->base);
  struct http_transfer *t;

  if (http_check (http->policy, request, err) == -1)
    return NULL;
  t = new_transfer (http, request, policy_proxy (http->policy, &target));
  if (t == NULL ||
      curl_multi_add_handle (http->multi, t->easy) != CURLM_OK) {
    if (t)
      transfer_free (t);
    clevis_error_set (err, CLEVIS_ERR_SYSTEM, _("libcurl cannot make a "
                                                "request"));
    return NULL;
  }
  t->done = done;
  t->opaque = opaque;
  link_transfer (http, t);
  return t;
}

const char *
http_address (const struct http_transfer *t)
{
  return t->address[0] ? t->address : NULL;
}

void
http_cancel (struct http_transfer *transfer)
{
  if (transfer)
    transfer_free (transfer);
}

/* "Expire date" of the server's own certificate. */
static const char *
certificate_expiry (const struct http_transfer *t)
{
  static const char label[] = "Expire date:";
  struct curl_certinfo *info = NULL;
  const struct curl_slist *line;

  if (curl_easy_getinfo (t->easy, CURLINFO_CERTINFO, &info) != CURLE_OK ||
      info == NULL || info->num_of_certs < 1)
    return NULL;
  for (line = info->certinfo[0]; line; line = line->next)
    if (strncmp (line->data, label, sizeof label - 1) == 0)
      return line->data + sizeof label - 1;
  return NULL;
}

static void
fill_reply (const struct http_transfer *t, CURLcode result,
            struct http_reply *reply)
{
  curl_off_t retry_after = 0;
  char *type = NULL;

  curl_easy_getinfo (t->easy, CURLINFO_RESPONSE_CODE, &reply->status);
  curl_easy_getinfo (t->easy, CURLINFO_CONTENT_TYPE, &type);
  curl_easy_getinfo (t->easy, CURLINFO_RETRY_AFTER, &retry_after);
  curl_easy_getinfo (t->easy, CURLINFO_TOTAL_TIME, &reply->seconds);
  reply->content_type = type ? type : "";
  reply->retry_after = retry_after < BOUND_RETRY_AFTER ? retry_after
    : BOUND_RETRY_AFTER;
  reply->temporary = http_is_temporary (result, reply->status);
  reply->certificate_expiry = certificate_expiry (t);
  reply->address = http_address (t);
  reply->body = t->reply ? t->reply : "";
  reply->len = t->reply_len;
}

/* Tell the owner of a transfer that it has ended, and free it. */
static void
finish (struct http_transfer *t, CURLcode result)
{
  struct http_reply reply = { .error = CLEVIS_ERROR_INIT };

  if (t->reply)
    t->reply[t->reply_len] = '\0';
  /* curl takes the end of the connection for that of the headers. */
  if (result == CURLE_OK && !t->headers_ended)
    result = CURLE_PARTIAL_FILE;
  fill_reply (t, result, &reply);
  /* A refused address does not count if another one could be tried. */
  if (t->refused.code != CLEVIS_OK && !t->tried && result != CURLE_OK) {
    clevis_error_copy (&reply.error, &t->refused);
    reply.temporary = false;
  }
  else
    http_explain (t, result, &reply.error);
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
  struct curl_waitfd watched = {
    .fd = http->watched_fd, .events = CURL_WAIT_POLLIN,
  };
  size_t nr = http->nr_transfers;
  CURLMcode r;
  int running;

  /* Wait only if nothing has ended: curl counts as running what has not. */
  r = curl_multi_perform (http->multi, &running);
  if (r == CURLM_OK && (size_t) running == nr) {
    r = curl_multi_poll (http->multi, &watched, watched.fd >= 0, ms, NULL);
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
http_watch (struct http *http, int fd)
{
  http->watched_fd = fd;
}

void
http_wakeup (struct http *http)
{
  curl_multi_wakeup (http->multi);
}
