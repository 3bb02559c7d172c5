/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * How a transfer ended, in words for the user: what curl's codes mean, and what
 * to try.
 */

#include <config.h>

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/bounds.h"
#include "base/gettext-compat.h"
#include "tang/http-private.h"

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
      http_shows_certificate (t) || strcmp (t->base->scheme, "https") != 0)
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
void
http_explain (const struct http_transfer *t, CURLcode result,
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
bool
http_is_temporary (CURLcode result, long status)
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
