/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Hosts as a URL or an option may name them; see hostname.h.  Nothing is
 * resolved here, and nothing decided about who may be asked.
 */

#include <config.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bounds.h"
#include "base/gettext-compat.h"
#include "base/hostname.h"

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static const char *
label_problem (const char *label, size_t len)
{
  if (len == 0)
    return _("a part of it is empty");
  if (len > BOUND_HOST_LABEL)
    return _("a part of it is longer than 63 characters");
  if (label[0] == '-' || label[len-1] == '-')
    return _("a part of it begins or ends with a hyphen");
  return NULL;
}

/* Is it what inet_aton(3) would take for a number: decimal, octal, or
 * hexadecimal with 0x before it?
 */
static bool
is_number (const char *label, size_t len)
{
  if (strspn (label, DIGITS) >= len)
    return true;
  return len >= 2 && strncasecmp (label, "0x", 2) == 0 &&
    strspn (label + 2, DIGITS "abcdefABCDEF") >= len - 2;
}

const char *
hostname_problem (const char *name)
{
  size_t len = strlen (name);
  const char *problem;

  if (name[strspn (name, LETTERS DIGITS "-_.")] != '\0')
    return _("it has characters other than a-z, 0-9, hyphen, underscore and "
             "dot");
  if (len > 0 && name[len-1] == '.')
    len--;
  if (len > BOUND_HOST)
    return _("it is longer than 253 characters");
  for (;; name += len + 1) {
    len = strcspn (name, ".");
    problem = label_problem (name, len);
    if (problem)
      return problem;
    /* The last one, or the last before the dot of the root. */
    if (name[len] == '\0' || name[len+1] == '\0')
      return is_number (name, len)
        ? _("it ends in a number, and is no IPv4 address") : NULL;
  }
}

static char *
normal_name (const char *name, const char **problem)
{
  size_t len = strlen (name), i;
  char *copy;

  *problem = hostname_problem (name);
  if (*problem)
    return NULL;
  copy = strndup (name, name[len-1] == '.' ? len - 1 : len);
  for (i = 0; copy && copy[i]; ++i)
    if (copy[i] >= 'A' && copy[i] <= 'Z')
      copy[i] += 'a' - 'A';
  return copy;
}

/* inet_aton(3), but with nothing behind the address and perhaps a dot. */
static bool
read_ipv4 (const char *host, struct in_addr *v4)
{
  char text[BOUND_HOST + 1];
  size_t len = strlen (host);

  if (len > 0 && host[len-1] == '.')
    len--;
  if (len == 0 || len >= sizeof text)
    return false;
  memcpy (text, host, len);
  text[len] = '\0';
  return strspn (text, DIGITS "abcdefABCDEFxX.") == len &&
    inet_aton (text, v4) != 0;
}

char *
hostname_normalise (const char *host, const char **problem)
{
  char text[INET6_ADDRSTRLEN];
  struct in6_addr v6;
  struct in_addr v4;

  *problem = NULL;
  if (read_ipv4 (host, &v4))
    return strdup (inet_ntop (AF_INET, &v4, text, sizeof text));
  if (inet_pton (AF_INET6, host, &v6) == 1)
    return strdup (inet_ntop (AF_INET6, &v6, text, sizeof text));
  if (strchr (host, ':')) {
    *problem = _("it is no IPv6 address");
    return NULL;
  }
  return normal_name (host, problem);
}

bool
hostname_is_foreign (const char *text)
{
  for (; *text; ++text)
    if ((unsigned char) *text >= 0x80)
      return true;
  return false;
}

const char *
hostname_advice (void)
{
  return _("Names with other letters have an xn-- form, which the command "
           "idn2 prints.");
}
