/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The error object: filled, copied, put into one line.  This file knows no
 * cause of an error; those are where the errors are raised.
 */

#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanups.h"
#include "base/clevis-error.h"
#include "base/escape.h"
#include "base/gettext-compat.h"

/* Format into a new string.  Where memory is short the string is NULL, and the
 * error then has a code and no words.
 */
static char *
format (const char *fmt, va_list args)
{
  char *str;

  return vasprintf (&str, fmt, args) == -1 ? NULL : str;
}

int
clevis_error_set (struct clevis_error *err, enum clevis_code code,
                  const char *fmt, ...)
{
  va_list args;

  if (err && err->code == CLEVIS_OK) {
    err->code = code;
    va_start (args, fmt);
    err->message = format (fmt, args);
    va_end (args);
  }
  return -1;
}

int
clevis_error_errno (struct clevis_error *err, int errnum,
                    const char *fmt, ...)
{
  CLEANUP_FREE char *what = NULL;
  va_list args;

  if (err && err->code == CLEVIS_OK) {
    va_start (args, fmt);
    what = format (fmt, args);
    va_end (args);
    err->sys_errno = errnum;
    clevis_error_set (err, CLEVIS_ERR_SYSTEM, "%s: %s",
                      what ? what : "", strerror (errnum));
  }
  return -1;
}

void
clevis_error_hint (struct clevis_error *err, const char *fmt, ...)
{
  va_list args;

  if (!err)
    return;
  free (err->hint);
  va_start (args, fmt);
  err->hint = format (fmt, args);
  va_end (args);
}

static void
copy_string (char **to, const char *from)
{
  if (*to == NULL && from != NULL)
    *to = strdup (from);
}

void
clevis_error_copy (struct clevis_error *to, const struct clevis_error *from)
{
  if (!to)
    return;
  if (to->code == CLEVIS_OK)
    to->code = from->code;
  copy_string (&to->message, from->message);
  copy_string (&to->hint, from->hint);
  copy_string (&to->device, from->device);
  copy_string (&to->pin, from->pin);
  copy_string (&to->url, from->url);
  copy_string (&to->mapped, from->mapped);
  copy_string (&to->address, from->address);
  if (to->token == -1)
    to->token = from->token;
  if (to->keyslot == -1)
    to->keyslot = from->keyslot;
  if (to->http_status == 0)
    to->http_status = from->http_status;
  if (to->sys_errno == 0)
    to->sys_errno = from->sys_errno;
}

/* "URL (asked as URL, address)", or what of it is known. */
static void
write_server (FILE *fp, const struct clevis_error *err)
{
  if (err->url) {
    escape_write (fp, err->url);
    if (err->mapped) {
      fprintf (fp, " (%s ", _("asked as"));
      escape_write (fp, err->mapped);
    }
    if (err->address) {
      fputs (err->mapped ? ", " : " (", fp);
      escape_write (fp, err->address);
    }
    fputs (err->mapped || err->address ? "): " : ": ", fp);
  }
  else if (err->address) {
    escape_write (fp, err->address);
    fputs (": ", fp);
  }
}

char *
clevis_error_line (const struct clevis_error *err)
{
  char *line = NULL;
  size_t len;
  FILE *fp;

  fp = open_memstream (&line, &len);
  if (fp == NULL)
    return NULL;
  if (err->device) {
    escape_write (fp, err->device);
    fputs (": ", fp);
  }
  if (err->token >= 0)
    fprintf (fp, _("token %d: "), err->token);
  if (err->keyslot >= 0)
    fprintf (fp, _("keyslot %d: "), err->keyslot);
  if (err->pin) {
    escape_write (fp, err->pin);
    fputs (": ", fp);
  }
  write_server (fp, err);
  escape_write (fp, err->message ? err->message : clevis_code_name (err->code));
  if (fclose (fp) == EOF) {
    free (line);
    return NULL;
  }
  return line;
}

const char *
clevis_code_name (enum clevis_code code)
{
  static const char *const names[] = {
    [CLEVIS_OK] = "ok",
    [CLEVIS_ERR_SYSTEM] = "system",
    [CLEVIS_ERR_HEADER] = "header",
    [CLEVIS_ERR_TOKEN] = "token",
    [CLEVIS_ERR_LIMIT] = "limit",
    [CLEVIS_ERR_UNSUPPORTED] = "unsupported",
    [CLEVIS_ERR_POLICY] = "policy",
    [CLEVIS_ERR_UNREACHABLE] = "unreachable",
    [CLEVIS_ERR_HTTP] = "http",
    [CLEVIS_ERR_NO_KEY] = "no-key",
    [CLEVIS_ERR_REPLY] = "reply",
    [CLEVIS_ERR_DECRYPT] = "decrypt",
    [CLEVIS_ERR_PASSPHRASE] = "passphrase",
    [CLEVIS_ERR_THRESHOLD] = "threshold",
    [CLEVIS_ERR_CANCELLED] = "cancelled",
  };

  return names[code];
}

void
clevis_error_clear (struct clevis_error *err)
{
  const struct clevis_error empty = CLEVIS_ERROR_INIT;

  free (err->message);
  free (err->hint);
  free (err->device);
  free (err->pin);
  free (err->url);
  free (err->mapped);
  free (err->address);
  *err = empty;
}
