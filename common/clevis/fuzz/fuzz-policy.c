/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Fuzz target: a URL from a token, and a policy with options that say
 * something about it.  The input is lines:
 *
 *   URL
 *   a PATTERN      --tang-allow
 *   m FROM=TO      --tang-map
 *   r ENTRY        --tang-resolve
 *   p PROXY        a proxy
 *   n LIST         no_proxy
 *
 * Whatever they are, the default policy admits no loopback address.
 */

#include <config.h>

#include "fuzz.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/bounds.h"
#include "policy/policy.h"
#include "base/url.h"

int
LLVMFuzzerInitialize (int *argc, char ***argv)
{
  fuzz_initialize ();
  return 0;
}

static void
take_option (struct policy *policy, const char *line)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct policy_settings *settings = policy_settings (policy);
  const char *value = line + 2;
  int r = 0;

  if (line[0] == '\0' || line[1] != ' ')
    return;
  switch (line[0]) {
  case 'a':
    r = policy_allow (policy, value, &err);
    break;
  case 'm':
    r = policy_map (policy, value, &err);
    break;
  case 'r':
    r = policy_resolve (policy, value, &err);
    break;
  case 'p':
    free (settings->proxy);
    settings->proxy = strdup (value);
    break;
  case 'n':
    free (settings->no_proxy);
    settings->no_proxy = strdup (value);
    break;
  }
  fuzz_assert ((r == -1) == (err.code != CLEVIS_OK));
  fuzz_check_error (&err);
}

/* Judged by arithmetic that is not policy.c's. */
static void
check_default (const struct url *url)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct policy_target target = policy_target_of (url);
  struct policy *policy = policy_new ();
  struct in6_addr v6;
  struct in_addr v4;
  uint32_t a;

  if (policy_check_target (policy, &target, &err) == 0) {
    if (inet_pton (AF_INET, url->host, &v4) == 1) {
      a = ntohl (v4.s_addr);
      fuzz_assert (a >> 24 != 127 && a >> 24 != 0 && a >> 16 != 0xa9fe &&
                   a >> 28 != 14 && a != 0xffffffff);
    }
    if (inet_pton (AF_INET6, url->host, &v6) == 1) {
      fuzz_assert (!IN6_IS_ADDR_LOOPBACK (&v6));
      fuzz_assert (!IN6_IS_ADDR_LINKLOCAL (&v6));
      fuzz_assert (!IN6_IS_ADDR_MULTICAST (&v6));
      fuzz_assert (!IN6_IS_ADDR_UNSPECIFIED (&v6));
      if (IN6_IS_ADDR_V4MAPPED (&v6) || IN6_IS_ADDR_V4COMPAT (&v6))
        fuzz_assert (v6.s6_addr[12] != 127);
    }
  }
  fuzz_check_error (&err);
  policy_free (policy);
}

#define ALNUM "abcdefghijklmnopqrstuvwxyz0123456789"
#define HOST ALNUM "-_.:"
#define PATH ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZ-._~/"
#define BASE PATH ":[]%"

static bool
is_address (const char *host)
{
  struct in_addr v4;

  return inet_pton (AF_INET, host, &v4) == 1;
}

static void
check_url (const struct url *url)
{
  fuzz_assert (strcmp (url->scheme, "http") == 0 ||
               strcmp (url->scheme, "https") == 0);
  fuzz_assert (url->port >= 1 && url->port <= 65535);
  fuzz_assert (url->host[0] != '\0');
  fuzz_assert (strpbrk (url->host, "@/\\ \r\n\t") == NULL);
  fuzz_assert (url->host[strspn (url->host, HOST)] == '\0');
  fuzz_assert (strchr (url->host, ':') || is_address (url->host) ||
               strspn (url->host, "0123456789.") < strlen (url->host));
  fuzz_assert (url->base[strspn (url->base, BASE)] == '\0');
  fuzz_assert (url->path[strspn (url->path, PATH)] == '\0');
  fuzz_assert (strstr (url->path, "//") == NULL);
  fuzz_assert (strstr (url->path, "/../") == NULL);
  fuzz_assert (strncmp (url->base, url->scheme, strlen (url->scheme)) == 0);
  fuzz_planted (url->port == 81);
}

/* The same URL is taken for the same again. */
static void
check_again (const struct url *url)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct url *again = url_parse (url->base, &err);

  /* A number that becomes four may make it longer than it was. */
  if (again == NULL) {
    fuzz_assert (err.code == CLEVIS_ERR_LIMIT);
    return;
  }
  fuzz_assert (strcmp (url->host, again->host) == 0);
  fuzz_assert (url->port == again->port);
  fuzz_assert (strcmp (url->base, again->base) == 0);
  url_free (again);
}

static void
check_policy (const struct policy *policy, const struct url *url)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct policy_target target = policy_target_of (url);
  struct sockaddr_in sa = { .sin_family = AF_INET };
  struct url *mapped = NULL;
  int r;

  target.proxied = policy_proxy (policy, &target) != NULL;
  r = policy_check_target (policy, &target, &err);
  fuzz_assert ((r == -1) == (err.code == CLEVIS_ERR_POLICY));
  fuzz_check_error (&err);
  clevis_error_clear (&err);
  sa.sin_addr.s_addr = htonl (0xc0000201);
  policy_check_address (policy, &target, (struct sockaddr *) &sa, &err);
  fuzz_check_error (&err);
  clevis_error_clear (&err);
  if (policy_apply_maps (policy, url, &mapped, &err) == 0 && mapped)
    check_url (mapped);
  fuzz_check_error (&err);
  url_free (mapped);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_FREE char *text = strndup ((const char *) data, size);
  char *rest = strchr (text, '\n'), *save, *line;
  struct policy *policy = policy_new ();
  struct url *url;

  if (rest)
    *rest++ = '\0';
  for (line = rest ? strtok_r (rest, "\n", &save) : NULL; line;
       line = strtok_r (NULL, "\n", &save))
    take_option (policy, line);
  url = url_parse (text, &err);
  fuzz_assert ((url == NULL) == (err.code != CLEVIS_OK));
  fuzz_check_error (&err);
  if (url) {
    check_url (url);
    check_again (url);
    check_default (url);
    check_policy (policy, url);
  }
  url_free (url);
  policy_free (policy);
  return 0;
}
