/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Hosts as a URL or an option may name them, and the one spelling in which
 * they are compared and connected to.
 */

#ifndef CLEVIS_HOSTNAME_H
#define CLEVIS_HOSTNAME_H

#include <stdbool.h>

/* What is wrong with a name, or NULL if it is one that everybody reads alike:
 * parts of letters, digits, hyphens and underscores, separated by dots, with
 * or without a final dot (RFC 1123 2.1, and the lengths of RFC 1035 2.3.4;
 * underscores are in no RFC about hosts, but in use).  Other letters are only
 * taken in their xn-- form: programs do not agree on what they map to (RFC
 * 5895, UTS 46), and some of them map to a dot, a colon or a slash.  A last
 * part that is a number is refused, since it is meant for an IPv4 address.
 *
 * The text is translated and goes on from "the host NAME is refused: ".
 */
extern const char *hostname_problem (const char *name);

/* The one spelling of a host: names in lower case without a final dot; IPv4
 * addresses dotted, from whatever inet_aton(3) reads (decimal, octal,
 * hexadecimal, fewer than four parts); IPv6 addresses, which come without
 * brackets and zone, as inet_ntop(3) writes them.
 *
 * Returns a string that the caller frees, or NULL: *problem is as above, or
 * NULL if memory is short.
 */
extern char *hostname_normalise (const char *host, const char **problem);

/* Does it have bytes that are not ASCII, so that there may be an xn-- form? */
extern bool hostname_is_foreign (const char *text);

/* Advice for that case, translated. */
extern const char *hostname_advice (void);

#endif /* CLEVIS_HOSTNAME_H */
