/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What the policy-*.c files share.  Nobody else includes this.
 */

#ifndef CLEVIS_POLICY_PRIVATE_H
#define CLEVIS_POLICY_PRIVATE_H

#include "policy/address.h"
#include "policy/policy.h"

/* What a pattern of --tang-allow says; NULL and 0 mean any. */
struct policy_pattern {
  char *scheme;
  char *name;              /* of a host, or of a domain with wildcard */
  bool wildcard;
  struct address net;      /* if name is NULL */
  int prefix;              /* bits of net that count */
  int port;
};

/* One --tang-map. */
struct policy_map {
  struct url *from;        /* its path is a prefix */
  bool any_scheme, any_port; /* what from has of them does not count */
  struct url *to;
};

struct policy {
  struct policy_settings settings;
  struct policy_pattern *patterns;
  size_t nr_patterns;
  struct policy_map *maps;
  size_t nr_maps;
  char **resolves;         /* NULL terminated, or NULL */
  size_t nr_resolves;
  unsigned holders;        /* besides the first */
};

/* A decimal number from lo to hi and nothing else; -1 if it is not. */
extern int policy_number (const char *text, int lo, int hi);

/* Split "HOST[/LENGTH][:PORT]" in place, where HOST may have brackets around
 * it, and the length may be inside or behind them.  False if it cannot be.
 */
extern bool policy_split_host (char *text, char **host, char **length,
                               char **port);

extern void policy_pattern_clear (struct policy_pattern *p);
extern void policy_map_clear (struct policy_map *m);

#endif /* CLEVIS_POLICY_PRIVATE_H */


