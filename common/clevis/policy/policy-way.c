/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The way in which a server is asked, as a text: two runs whose texts are the
 * same would learn the same from it.  Nobody reads the text.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/gettext-compat.h"
#include "policy/policy-private.h"

static const char *
or_any (const char *text)
{
  return text ? text : "*";
}

/* Who the user is to a proxy is in no name of a file, not even as a digest. */
static void
tell_proxy (FILE *out, const char *proxy)
{
  const char *authority = proxy ? strstr (proxy, "://") : NULL;
  const char *user = authority ? strrchr (authority, '@') : NULL;

  if (user)
    fprintf (out, "proxy %.*s://%s\n", (int) (authority - proxy), proxy, user);
  else
    fprintf (out, "proxy %s\n", or_any (proxy));
}

static void
tell_pattern (FILE *out, const struct policy_pattern *p)
{
  size_t i;

  fprintf (out, "allow %s %s %d %d %d ", or_any (p->scheme), or_any (p->name),
           p->wildcard, p->prefix, p->port);
  if (p->name == NULL)
    for (i = 0; i < sizeof p->net.bytes; ++i)
      fprintf (out, "%02x", p->net.bytes[i]);
  fprintf (out, "\n");
}

/* A file that has been replaced is another one. */
static void
tell_file (FILE *out, const char *what, const char *name)
{
  struct stat st;

  fprintf (out, "%s %s", what, or_any (name));
  if (name && stat (name, &st) == 0)
    fprintf (out, " %llu %lld %lld.%09ld", (unsigned long long) st.st_ino,
             (long long) st.st_size, (long long) st.st_mtim.tv_sec,
             st.st_mtim.tv_nsec);
  fprintf (out, "\n");
}

char *
policy_way (const struct policy *policy, const struct policy_target *target,
            bool trusted, struct clevis_error *err)
{
  const struct policy_settings *s = &policy->settings;
  char *text = NULL;
  size_t len, i;
  FILE *out = open_memstream (&text, &len);

  if (out == NULL) {
    clevis_error_errno (err, errno, _("policy"));
    return NULL;
  }
  fprintf (out, "times %ld %ld %ld %d\n", s->timeout, s->connect_timeout,
           s->deadline, s->retries);
  fprintf (out, "trusted %d\n", trusted);
  tell_proxy (out, policy_proxy (policy, target));
  for (i = 0; i < policy->nr_patterns; ++i)
    tell_pattern (out, &policy->patterns[i]);
  for (i = 0; i < policy->nr_resolves; ++i)
    fprintf (out, "resolve %s\n", policy->resolves[i]);
  tell_file (out, "cacert", s->cacert);
  tell_file (out, "cert", s->cert);
  tell_file (out, "key", s->key);
  if (ferror (out) | fclose (out)) {
    free (text);
    clevis_error_errno (err, ENOMEM, _("policy"));
    return NULL;
  }
  return text;
}
