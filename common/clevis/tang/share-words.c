/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Replies and marks as text, a field a line and a reply's body behind them.
 * Who reads one expects anything: a file may be of another version, damaged, or
 * cut where a disk was full or a machine lost its power.
 */

#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanups.h"
#include "tang/share-words.h"

#define REPLY "virt-nbde-unlock reply 1"
#define MARK "virt-nbde-unlock unreachable 2"

/* Seconds that a request may have taken: the largest timeout of the tool. */
#define MOST_SECONDS 86400

/* Can it be a line?  NULL is one, which is empty. */
static bool
is_line (const char *text)
{
  return text == NULL ||
    (strlen (text) < SHARE_LINE && strpbrk (text, "\r\n") == NULL);
}

static const char *
or_empty (const char *text)
{
  return text ? text : "";
}

char *
share_write_reply (const struct http_reply *reply, size_t *len)
{
  const struct clevis_error *error = &reply->error;
  char *text;
  int n;

  if ((error->code != CLEVIS_OK && error->code != CLEVIS_ERR_REPLY) ||
      reply->len > BOUND_REPLY_BODY || !is_line (reply->content_type) ||
      !is_line (reply->address) || !is_line (reply->certificate_expiry) ||
      !is_line (error->message) || !is_line (error->hint) ||
      (error->code != CLEVIS_OK && or_empty (error->message)[0] == '\0'))
    return NULL;
  n = asprintf (&text, REPLY "\n%ld\n%.6f\n%s\n%s\n%s\n%s\n%s\n%zu\n%*s",
                reply->status, reply->seconds, reply->content_type,
                or_empty (reply->address),
                or_empty (reply->certificate_expiry),
                error->code == CLEVIS_OK ? "" : or_empty (error->message),
                error->code == CLEVIS_OK ? "" : or_empty (error->hint),
                reply->len, (int) reply->len, "");
  if (n == -1)
    return NULL;
  *len = n;
  /* A body has any bytes, zeros too. */
  memcpy (text + *len - reply->len, reply->body, reply->len);
  return text;
}

char *
share_write_mark (const struct share_mark *mark, size_t *len)
{
  char *text;
  int n;

  if (!is_line (mark->host) || !is_line (mark->address) ||
      !is_line (mark->why))
    return NULL;
  n = asprintf (&text, MARK "\n%s\n%ld\n%ld\n%s\n%s\n", mark->host, mark->pid,
                mark->seconds, or_empty (mark->address), mark->why);
  if (n == -1)
    return NULL;
  *len = n;
  return text;
}

/* What is left of a file. */
struct rest {
  char *at;
  size_t len;
};

/* Take a line, whose end becomes that of a string; NULL if there is none. */
static char *
next_line (struct rest *rest)
{
  char *line = rest->at, *end = memchr (line, '\n', rest->len);

  if (end == NULL || end - line >= SHARE_LINE)
    return NULL;
  *end = '\0';
  if (strlen (line) != (size_t) (end - line))
    return NULL;
  rest->at = end + 1;
  rest->len -= end + 1 - line;
  return line;
}

static bool
next_is (struct rest *rest, const char *expected)
{
  const char *line = next_line (rest);

  return line && strcmp (line, expected) == 0;
}

/* A whole number from 0 to most. */
static bool
next_number (struct rest *rest, unsigned long most, long *number)
{
  const char *line = next_line (rest);
  unsigned long n;

  /* As many digits as fit. */
  if (line == NULL || line[0] == '\0' || strlen (line) > 18 ||
      strspn (line, "0123456789") != strlen (line))
    return false;
  n = strtoul (line, NULL, 10);
  *number = (long) n;
  return n <= most;
}

/* Digits, a dot, digits; locales have other dots. */
static bool
next_seconds (struct rest *rest, double *seconds)
{
  char *line = next_line (rest), *dot = line ? strchr (line, '.') : NULL;
  struct rest whole = { .at = line }, part = { .at = dot ? dot + 1 : NULL };
  long n = 0, millionths = 0;

  if (dot == NULL || strlen (dot) != 7)
    return false;
  *dot = '\n';
  whole.len = dot + 1 - line;
  part.len = 7;
  dot[7] = '\n';
  if (!next_number (&whole, MOST_SECONDS, &n) ||
      !next_number (&part, 999999, &millionths))
    return false;
  *seconds = n + millionths / 1e6;
  return true;
}

/* A line, or NULL if it is empty; false if there is none. */
static bool
next_text (struct rest *rest, const char **text)
{
  *text = next_line (rest);
  if (*text == NULL)
    return false;
  if ((*text)[0] == '\0')
    *text = NULL;
  return true;
}

bool
share_read_reply (char *text, size_t len, struct http_reply *reply)
{
  struct rest rest = { .at = text, .len = len };
  const struct http_reply none = { .error = CLEVIS_ERROR_INIT };
  const char *type, *message, *hint;
  long body;

  *reply = none;
  if (!next_is (&rest, REPLY) || !next_number (&rest, 999, &reply->status) ||
      !next_seconds (&rest, &reply->seconds) || !next_text (&rest, &type) ||
      !next_text (&rest, &reply->address) ||
      !next_text (&rest, &reply->certificate_expiry) ||
      !next_text (&rest, &message) || !next_text (&rest, &hint) ||
      !next_number (&rest, BOUND_REPLY_BODY, &body) ||
      (size_t) body != rest.len)
    return false;
  reply->content_type = or_empty (type);
  reply->body = rest.at;
  reply->len = rest.len;
  rest.at[rest.len] = '\0';
  if (message)
    clevis_error_set (&reply->error, CLEVIS_ERR_REPLY, "%s", message);
  if (message && hint)
    clevis_error_hint (&reply->error, "%s", hint);
  return true;
}

bool
share_read_mark (char *text, size_t len, struct share_mark *mark)
{
  struct rest rest = { .at = text, .len = len };

  return next_is (&rest, MARK) && next_text (&rest, &mark->host) &&
    next_number (&rest, 1UL << 30, &mark->pid) &&
    next_number (&rest, MOST_SECONDS, &mark->seconds) &&
    next_text (&rest, &mark->address) && next_text (&rest, &mark->why) &&
    mark->host && mark->why && rest.len == 0;
}
