/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What stands in files of --tang-share: replies and marks, as text.
 */

#ifndef CLEVIS_SHARE_WORDS_H
#define CLEVIS_SHARE_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bounds.h"
#include "tang/http.h"

/* Bytes of one line of such a file: an error's message is the longest.  There
 * are fewer than ten.
 */
#define SHARE_LINE 1024
#define SHARE_FILE (10 * SHARE_LINE + BOUND_REPLY_BODY)

/* A reply as the text of a file, which the caller frees; *len is set to its
 * bytes.  NULL: it is none to be kept, or memory is short.
 */
extern char *share_write_reply (const struct http_reply *reply, size_t *len);

/* The reply in the len bytes of a file, which are changed and which it borrows,
 * with one byte behind them that may be written; its error is released with
 * clevis_error_clear.  False, and there is nothing to release, if that is none.
 */
extern bool share_read_reply (char *text, size_t len,
                              struct http_reply *reply);

/* Who could not reach a server, and why; strings are borrowed. */
struct share_mark {
  const char *host;        /* where the process is */
  long pid;
  const char *address;     /* that was tried last; or NULL */
  const char *why;
  long seconds;            /* for which it is believed */
};

/* As above. */
extern char *share_write_mark (const struct share_mark *mark, size_t *len);
extern bool share_read_mark (char *text, size_t len, struct share_mark *mark);

#endif /* CLEVIS_SHARE_WORDS_H */
