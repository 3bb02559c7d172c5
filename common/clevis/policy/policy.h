/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * May this server be asked, and how?  The disk names servers, the user
 * decides.  The policy is asked twice: about the URL before anything is
 * resolved, and about the address that is really being connected to.
 */

#ifndef CLEVIS_POLICY_H
#define CLEVIS_POLICY_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/clevis-error.h"
#include "base/url.h"

struct policy;

/* How servers are asked.  Strings are owned by the policy (malloc), NULL is
 * "not set"; times are in milliseconds and never 0.
 */
struct policy_settings {
  long timeout;            /* one request, start to whole reply (10 000) */
  long connect_timeout;    /* of it, until the connection stands (5 000) */
  long deadline;           /* the whole exchange (60 000) */
  int retries;             /* further tries of a request (2) */
  int parallel;            /* requests to one server at a time (16) */
  char *proxy;             /* URL; NULL: the environment decides */
  char *no_proxy;          /* as the environment's no_proxy; "*": no proxy */
  char *cacert;            /* PEM file; NULL: the system's trust store */
  char *cert, *key;        /* PEM files of a client certificate, for servers
                              that the user names */
  char *share;             /* folder that runs share; NULL: none (share.h) */
};

/* The default policy: http and https, any host, but no address in a loopback,
 * link-local, unspecified, multicast or broadcast range, nor the metadata
 * service of a cloud, nor an address of this host.  Returns NULL if memory is
 * short.
 */
extern struct policy *policy_new (void);

/* One more who frees it: it lives until the last one does. */
extern struct policy *policy_hold (const struct policy *policy);
extern void policy_free (struct policy *policy);

extern struct policy_settings *policy_settings (struct policy *policy);
extern const struct policy_settings *
policy_get_settings (const struct policy *policy);

/* Allow the servers that match a pattern.  Once a pattern is given, only
 * servers that match one may be asked.
 *
 *   [SCHEME://]HOST[:PORT]
 *
 * where HOST is a name, "*.DOMAIN" (any name below DOMAIN), an IPv4 address
 * or a bracketed IPv6 address, either with an optional /LENGTH.  Names are as
 * hostname.h has them, are compared without regard to case or a final dot,
 * and admit no address that the default policy forbids (a name server is not
 * the user), but "localhost" admits loopback.  Address patterns admit any
 * address in them, of their own family: 0.0.0.0/0 any IPv4 address, also one
 * that is written as ::ffff:192.0.2.1, and [::]/0 any other.
 *
 * Returns 0, or -1: CLEVIS_ERR_POLICY if the pattern cannot be parsed.
 */
extern int policy_allow (struct policy *policy, const char *pattern,
                         struct clevis_error *err);

/* Is there any pattern, so that every server that may be asked is one that the
 * user names?
 */
extern bool policy_is_list (const struct policy *policy);

/* Ask another server than the one that a token names: "FROM=TO".
 *
 *   FROM  [SCHEME://]HOST[:PORT][/PATH]; what is left out matches anything,
 *         but with a scheme and no port the scheme's own port is meant
 *   TO    the URL that takes the place of the matching part
 *
 * Both are what url_parse takes.
 * The first map that matches is used.  TO is the user's word, so it is
 * allowed.  Returns 0, or -1: CLEVIS_ERR_POLICY if it cannot be parsed.
 */
extern int policy_map (struct policy *policy, const char *map,
                       struct clevis_error *err);

/* Resolve a name as the user says: "HOST:PORT:ADDRESS", as curl --resolve has
 * it, with one address.  Returns 0, or -1: CLEVIS_ERR_POLICY if it cannot be
 * parsed.
 */
extern int policy_resolve (struct policy *policy, const char *entry,
                           struct clevis_error *err);

/* All entries of policy_resolve, with HOST as hostname_normalise makes it; NULL
 * terminated, borrowed.
 */
extern const char *const *policy_resolves (const struct policy *policy);

/* Where the server that a token calls url is really asked.
 *
 *   mapped  set to the URL to ask, which the caller frees, or to NULL if no
 *           map matches and url itself is to be asked
 *
 * Returns 0, or -1 with CLEVIS_ERR_SYSTEM.
 */
extern int policy_apply_maps (const struct policy *policy,
                              const struct url *url, struct url **mapped,
                              struct clevis_error *err);

/* What the policy judges; strings are borrowed. */
struct policy_target {
  const char *scheme;      /* "http" or "https" */
  const char *host;        /* as in the URL, IPv6 without brackets */
  int port;
  bool proxied;            /* a proxy will resolve the name, so there is no
                              address to be judged later */
};

/* What is judged of a URL; borrows from it. */
extern struct policy_target policy_target_of (const struct url *url);

/* Could any address of this server be allowed?  Behind a proxy a name is only
 * allowed by a pattern that names it.  Returns 0 if so, or -1:
 * CLEVIS_ERR_POLICY with advice.
 */
extern int policy_check_target (const struct policy *policy,
                                const struct policy_target *target,
                                struct clevis_error *err);

/* May this server be connected to at this address?  IPv4 addresses inside
 * IPv6 (mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP) are
 * judged as IPv4.  Returns as above.
 */
extern int policy_check_address (const struct policy *policy,
                                 const struct policy_target *target,
                                 const struct sockaddr *address,
                                 struct clevis_error *err);

/* The proxy to be used for a server, from the settings or the environment
 * (http_proxy, https_proxy, all_proxy, no_proxy as curl(1) reads them), or
 * NULL if it is to be asked directly.
 */
extern const char *policy_proxy (const struct policy *policy,
                                 const struct policy_target *target);

/* All that decides how a server is asked and what may come of it, but for its
 * name: a text for the eyes of nobody, which is the same for two policies if the
 * one learns nothing from the server that the other does not.
 *
 *   trusted  it is asked by the user's word: a map
 *
 * The caller frees it.  Returns NULL with CLEVIS_ERR_SYSTEM.
 */
extern char *policy_way (const struct policy *policy,
                         const struct policy_target *target, bool trusted,
                         struct clevis_error *err);

#endif /* CLEVIS_POLICY_H */
