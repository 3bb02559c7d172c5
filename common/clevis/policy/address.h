/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * IP addresses: the ranges that no disk may name, and which are this host's.
 */

#ifndef CLEVIS_ADDRESS_H
#define CLEVIS_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* An address without its port.  IPv4 is kept as IPv4-mapped IPv6, so that one
 * comparison serves both.
 */
struct address {
  uint8_t bytes[16];
};

/* From "192.0.2.1" or "2001:db8::1"; false if it is neither. */
extern bool address_parse (struct address *a, const char *text);

/* False if it is neither IPv4 nor IPv6. */
extern bool address_of_sockaddr (struct address *a, const struct sockaddr *sa);

extern void address_text (const struct address *a,
                          char buf[INET6_ADDRSTRLEN]);
extern bool address_is_ipv4 (const struct address *a);

/* Are the first prefix bits (0 to 128) those of net?  IPv4 addresses are only
 * in nets of IPv4, which have a prefix of 96 and more: "::", 0 has none of
 * them.
 */
extern bool address_in_net (const struct address *a,
                            const struct address *net, int prefix);

/* The name of the forbidden range that an address is in, itself or by the IPv4
 * address that it carries (mapped, compatible, NAT64, 6to4); NULL if in none.
 * The name is translated.
 */
extern const char *address_forbidden (const struct address *a);

/* Is it, or an IPv4 address that it carries, one of this host: of an interface,
 * or routed to the host itself?  Asked of the kernel each time, since addresses
 * come and go.  Returns 1, 0, or -1 if that cannot be found out (errno of
 * getifaddrs(3)).
 */
extern int address_is_own (const struct address *a);

/* Is it a loopback address, of either family? */
extern bool address_is_loopback (const struct address *a);

#endif /* CLEVIS_ADDRESS_H */
