/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * May this server be asked?  The disk names servers, the user decides.  The
 * policy is asked twice: about the URL before anything is resolved, and about
 * the address that is really being connected to.
 */

#ifndef CLEVIS_POLICY_H
#define CLEVIS_POLICY_H

#include <stdbool.h>
#include <sys/socket.h>

#include "clevis-error.h"

struct policy;

/* The default policy: http and https, any host, but no address in a loopback,
 * link-local, unspecified, multicast or broadcast range.  Timeouts as below.
 * Returns NULL if memory is short.
 */
extern struct policy *policy_new (void);
extern void policy_free (struct policy *policy);

/* Allow the servers that match a pattern.  Once a pattern is given, only
 * servers that match one may be asked.
 *
 *   [SCHEME://]HOST[:PORT]
 *
 * where HOST is a name, "*.DOMAIN" (any name below DOMAIN), an IPv4 address or
 * a bracketed IPv6 address, either with an optional /LENGTH.  Names are
 * compared without regard to case or a final dot, and admit no address of the
 * ranges that the default policy forbids (a name server is not the user), but
 * "localhost" admits loopback.  Address patterns admit any address in them.
 *
 * Returns 0, or -1: CLEVIS_ERR_POLICY if the pattern cannot be parsed.
 */
extern int policy_allow (struct policy *policy, const char *pattern,
                         struct clevis_error *err);

/* Time for one request, from start to whole reply, in milliseconds
 * (default 10 000).  0 is not allowed.
 */
extern void policy_set_timeout (struct policy *policy, long ms);
extern long policy_timeout (const struct policy *policy);

/* The parts of a URL that the policy judges; strings are borrowed. */
struct policy_target {
  const char *scheme;      /* "http" or "https" */
  const char *host;        /* as in the URL, IPv6 without brackets */
  int port;
};

/* Could any address of this server be allowed?  Returns 0 if so, or -1:
 * CLEVIS_ERR_POLICY with advice.
 */
extern int policy_check_target (const struct policy *policy,
                                const struct policy_target *target,
                                struct clevis_error *err);

/* May this server be connected to at this address?  IPv4 addresses inside
 * IPv6 (mapped, NAT64, 6to4) are judged as IPv4.  Returns as above.
 */
extern int policy_check_address (const struct policy *policy,
                                 const struct policy_target *target,
                                 const struct sockaddr *address,
                                 struct clevis_error *err);

#endif /* CLEVIS_POLICY_H */
