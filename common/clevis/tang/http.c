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
#include "tang/http.h"

#define USER_AGENT "virt-nbde-unlock/" PACKAGE_VERSION

struct http {
  const struct policy *policy;
  CURLM *multi;
  struct curl_slist *headers;
  struct curl_slist *resolves;
  struct http_transfer *transfers;      /* list of all that are running */
  size_t nr_transfers;
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

static void
global_init (void)
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

  global_init ();
  if (http) {
    http->policy = policy;
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
  struct policy_target target = url_target (t->base);

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
 * made for somebody else.  That one may have been a server that the user named,
 * of which this disk must not profit.
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
static bool
shows_certificate (const struct http_transfer *t)
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
  if (settings->cert && shows_certificate (t))
    r |= SET (t, SSLCERT, settings->cert);
  if (settings->key && shows_certificate (t))
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

struct http_transfer *
http_start (struct http *http, const struct http_request *request,
            http_done_fn done, void *opaque, struct clevis_error *err)
{
  struct policy_target target = url_target (request->base);
  const char *proxy = policy_proxy (http->policy, &target);
  struct http_transfer *t;

  target.proxied = proxy != NULL;
  if (!request->trusted &&
      policy_check_target (http->policy, &target, err) == -1)
    return NULL;
  t = new_transfer (http, request, proxy);
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

static void
hint_proxy (struct clevis_error *err)
{
  clevis_error_hint (err, _("A proxy is set by --tang-proxy or in the "
                            "environment; --no-proxy does without it."));
}

static void
hint_reachable (const struct http_transfer *t, struct clevis_error *err)
{
  clevis_error_hint (err, _("Is the server running, and does a firewall let "
                            "this host through to port %d?  Try: "
                            "curl -g %s/adv"),
                     t->base->port, t->base->base);
}

/* "cannot connect" with the reason that the system gave. */
static void
explain_connect (const struct http_transfer *t, struct clevis_error *err)
{
  long os_errno = 0;

  curl_easy_getinfo (t->easy, CURLINFO_OS_ERRNO, &os_errno);
  clevis_error_set (err, CLEVIS_ERR_UNREACHABLE,
                    t->proxy ? _("cannot connect to the proxy: %s")
                    : _("cannot connect: %s"),
                    os_errno ? strerror (os_errno) : t->detail);
  if (t->proxy)
    hint_proxy (err);
  else
    hint_reachable (t, err);
}

/* A name that is not there, or that nobody knows just now: curl does not tell
 * one from the other.
 */
static void
explain_name (const struct http_transfer *t, struct clevis_error *err)
{
  clevis_error_set (err, CLEVIS_ERR_UNREACHABLE,
                    _("the name %s cannot be resolved"), t->base->host);
  clevis_error_hint (err, _("Is this host's name server the one that the "
                            "guest's network uses?  --tang-resolve and "
                            "--tang-map can do without it."));
}

static void
explain_timeout (const struct http_transfer *t, struct clevis_error *err)
{
  const struct policy_settings *settings =
    policy_get_settings (t->http->policy);
  const long connect_timeout = settings->connect_timeout < settings->timeout
    ? settings->connect_timeout : settings->timeout;
  double resolved = 0, connected = 0;

  curl_easy_getinfo (t->easy, CURLINFO_NAMELOOKUP_TIME, &resolved);
  curl_easy_getinfo (t->easy, CURLINFO_CONNECT_TIME, &connected);
  if (!t->tried && resolved == 0) {
    clevis_error_set (err, CLEVIS_ERR_UNREACHABLE,
                      t->proxy ? _("the name of the proxy was not resolved "
                                   "within %g seconds")
                      : _("the name was not resolved within %g seconds"),
                      connect_timeout / 1000.0);
    clevis_error_hint (err, _("This host's name server does not answer.  "
                              "--tang-resolve and --tang-map can do without "
                              "it."));
  }
  else if (connected == 0 && settings->connect_timeout < settings->timeout) {
    clevis_error_set (err, CLEVIS_ERR_UNREACHABLE,
                      _("no connection within %g seconds"),
                      settings->connect_timeout / 1000.0);
    hint_reachable (t, err);
  }
  else {
    clevis_error_set (err, CLEVIS_ERR_UNREACHABLE,
                      _("no whole reply within %g seconds"),
                      settings->timeout / 1000.0);
    clevis_error_hint (err, _("A slow server may need a larger "
                              "--tang-timeout."));
  }
}

/* A server that wanted to see the user's certificate and did not may say so in
 * many ways, or just go.
 */
static void
hint_certificate (const struct http_transfer *t, struct clevis_error *err)
{
  if (policy_get_settings (t->http->policy)->cert == NULL ||
      shows_certificate (t) || strcmp (t->base->scheme, "https") != 0)
    return;
  clevis_error_hint (err, _("Add --tang-allow %s if this is a server of yours "
                            "that asks for the certificate of --tang-cert: it "
                            "is not shown to servers that only the disk "
                            "names."), t->base->host);
}

/* Is it the proxy that TLS failed with?  A server behind a proxy is only spoken
 * to after the proxy's answer to CONNECT.
 */
static bool
is_proxy_tls (const struct http_transfer *t)
{
  long answer = 0;

  curl_easy_getinfo (t->easy, CURLINFO_HTTP_CONNECTCODE, &answer);
  return t->proxy && strncasecmp (t->proxy, "https://", 8) == 0 &&
    answer == 0;
}

static void
explain_tls (const struct http_transfer *t, CURLcode result,
             struct clevis_error *err)
{
  const char *detail = t->detail[0] ? t->detail : curl_easy_strerror (result);
  const bool proxy = is_proxy_tls (t);

  clevis_error_set (err, CLEVIS_ERR_UNREACHABLE,
                    proxy ? _("TLS of the proxy: %s") : _("TLS: %s"), detail);
  if (result == CURLE_PEER_FAILED_VERIFICATION)
    clevis_error_hint (err, proxy
                       ? _("If a private CA has signed the proxy's "
                           "certificate, give it with --tang-cacert.")
                       : _("If a private CA has signed the server's "
                           "certificate, give it with --tang-cacert."));
  else if (!proxy)
    hint_certificate (t, err);
}

/* Older versions of curl (before 8.6) say that memory is short when a header
 * exceeds their buffer.
 */
static void
explain_memory (const struct http_transfer *t, struct clevis_error *err)
{
  long sent = 0;

  curl_easy_getinfo (t->easy, CURLINFO_REQUEST_SIZE, &sent);
  if (sent > 0 && t->reply_len == 0)
    clevis_error_set (err, CLEVIS_ERR_REPLY,
                      _("a header of the reply is too long"));
  else
    clevis_error_errno (err, ENOMEM, "libcurl");
}

/* Curl calls a reply that does not begin with a status line HTTP/0.9, which is
 * a protocol that it does not support here.
 */
static void
explain_not_http (const struct http_transfer *t, struct clevis_error *err)
{
  clevis_error_set (err, CLEVIS_ERR_REPLY,
                    _("the server did not answer with HTTP"));
  clevis_error_hint (err, _("Is it a Tang server that listens on port %d, and "
                            "is it spoken to by %s?  Something else may have "
                            "that port.  --tang-map names another port or "
                            "scheme."), t->base->port, t->base->scheme);
}

/* What curl's result means for the user. */
static void
explain (const struct http_transfer *t, CURLcode result,
         struct clevis_error *err)
{
  switch (result) {
  case CURLE_OK:
    break;
  case CURLE_URL_MALFORMAT:     /* a name that IDNA does not have, too */
    clevis_error_set (err, CLEVIS_ERR_TOKEN, _("the URL is malformed: %s"),
                      t->detail[0] ? t->detail : curl_easy_strerror (result));
    break;
  case CURLE_COULDNT_RESOLVE_HOST:
    explain_name (t, err);
    break;
  case CURLE_COULDNT_RESOLVE_PROXY:
    clevis_error_set (err, CLEVIS_ERR_UNREACHABLE,
                      _("the name of the proxy cannot be resolved"));
    hint_proxy (err);
    break;
  case CURLE_COULDNT_CONNECT:
    explain_connect (t, err);
    break;
  case CURLE_OPERATION_TIMEDOUT:
    explain_timeout (t, err);
    break;
  case CURLE_WRITE_ERROR:
    clevis_error_set (err, CLEVIS_ERR_REPLY,
                      _("the reply is larger than %llu bytes"),
                      BOUND_REPLY_BODY);
    break;
#if LIBCURL_VERSION_NUM >= 0x080600
  case CURLE_TOO_LARGE:
#endif
  case CURLE_OUT_OF_MEMORY:
    explain_memory (t, err);
    break;
  case CURLE_GOT_NOTHING:
  case CURLE_SEND_ERROR:
  case CURLE_RECV_ERROR:
  case CURLE_PARTIAL_FILE:
    clevis_error_set (err, CLEVIS_ERR_UNREACHABLE,
                      _("the server closed the connection before a whole "
                        "reply"));
    hint_certificate (t, err);
    break;
  case CURLE_UNSUPPORTED_PROTOCOL:
    explain_not_http (t, err);
    break;
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_SSL_ISSUER_ERROR:
    explain_tls (t, result, err);
    break;
  default:
    clevis_error_set (err, t->proxy ? CLEVIS_ERR_UNREACHABLE
                      : CLEVIS_ERR_REPLY, "%s",
                      t->detail[0] ? t->detail : curl_easy_strerror (result));
  }
}

/* Might the same request succeed a moment later?  A certificate or a name will
 * not have changed.
 */
static bool
is_temporary (CURLcode result, long status)
{
  switch (result) {
  case CURLE_OK:
    return status == 429 || status >= 500;
  case CURLE_COULDNT_CONNECT:
  case CURLE_OPERATION_TIMEDOUT:
  case CURLE_GOT_NOTHING:
  case CURLE_SEND_ERROR:
  case CURLE_RECV_ERROR:
  case CURLE_PARTIAL_FILE:
    return true;
  default:
    return false;
  }
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
  reply->temporary = is_temporary (result, reply->status);
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
    explain (t, result, &reply.error);
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
