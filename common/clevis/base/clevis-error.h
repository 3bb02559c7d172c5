/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The one error object of the library: what failed, where, and what to
 * try.  It is filled where the failure is first known and gains context
 * (device, token, server) on its way up.  It never holds a secret.
 */

#ifndef CLEVIS_ERROR_H
#define CLEVIS_ERROR_H

/* What kind of failure it is.  The tool's exit status and the advice that it
 * prints depend on this, never on the text of a message.
 */
enum clevis_code {
  CLEVIS_OK = 0,
  CLEVIS_ERR_SYSTEM,       /* a system call or an allocation failed */
  CLEVIS_ERR_HEADER,       /* LUKS header damaged, or refused */
  CLEVIS_ERR_TOKEN,        /* token, JWE or pin configuration malformed */
  CLEVIS_ERR_LIMIT,        /* a number on the disk exceeds a limit of ours */
  CLEVIS_ERR_UNSUPPORTED,  /* a pin or feature that this host cannot answer */
  CLEVIS_ERR_POLICY,       /* the policy forbids to ask this server */
  CLEVIS_ERR_UNREACHABLE,  /* no answer: name, connection, TLS, deadline */
  CLEVIS_ERR_HTTP,         /* the server answered with an HTTP error */
  CLEVIS_ERR_NO_KEY,       /* the server does not have this key (404) */
  CLEVIS_ERR_REPLY,        /* the reply is not what Tang replies */
  CLEVIS_ERR_DECRYPT,      /* the reply does not decrypt the JWE */
  CLEVIS_ERR_PASSPHRASE,   /* the keyslot does not accept the passphrase */
  CLEVIS_ERR_THRESHOLD,    /* too few shares of an sss pin */
  CLEVIS_ERR_CANCELLED,    /* no longer needed, or interrupted */
};

/* Initialise with CLEVIS_ERROR_INIT, release with clevis_error_clear.
 * Strings are owned by the object; NULL and -1 mean "not known".
 */
struct clevis_error {
  enum clevis_code code;
  char *message;           /* the cause, without context, no newline */
  char *hint;              /* what to try, a full sentence */
  char *device;            /* as the user knows it: /dev/sda2 */
  char *pin;               /* path in the pin tree: sss[1].tang */
  char *url;               /* URL of the server, as in the token */
  char *mapped;            /* URL that the user maps it to, which was asked */
  char *address;           /* numeric address that was connected to */
  int token;               /* LUKS2 token or luksmeta slot */
  int keyslot;
  long http_status;
  int sys_errno;           /* errno of CLEVIS_ERR_SYSTEM */
};

#define CLEVIS_ERROR_INIT \
  { .code = CLEVIS_OK, .token = -1, .keyslot = -1 }

/* Set code and message, once: an error that is already set is kept, since
 * the first cause is the one to report.  err may be NULL.  Always returns
 * -1, so that callers can write "return clevis_error_set (...)".
 */
extern int clevis_error_set (struct clevis_error *err, enum clevis_code code,
                             const char *fmt, ...)
  __attribute__ ((format (printf, 3, 4)));

/* The same for a failed system call: appends strerror (errnum) and keeps
 * errnum in sys_errno.
 */
extern int clevis_error_errno (struct clevis_error *err, int errnum,
                               const char *fmt, ...)
  __attribute__ ((format (printf, 3, 4)));

/* Add advice.  Replaces earlier advice. */
extern void clevis_error_hint (struct clevis_error *err, const char *fmt, ...)
  __attribute__ ((format (printf, 2, 3)));

/* Copy what the error object to lacks from another, which is left as it is.  to
 * may be NULL.
 */
extern void clevis_error_copy (struct clevis_error *to,
                               const struct clevis_error *from);

/* The whole error as one line: context, then cause, for example
 *
 *   /dev/sda2: token 0: sss[1].tang: http://tang2 (192.0.2.7): HTTP status
 *   500 Internal Server Error
 *
 * or, by a map of the user, http://tang2 (asked as http://tang9, 192.0.2.9).
 *
 * Control characters are escaped, since names come from the disk.  Returns
 * a string that the caller frees, or NULL if memory is short.
 */
extern char *clevis_error_line (const struct clevis_error *err);

/* Stable name of a code for programs: "unreachable", "policy", ... */
extern const char *clevis_code_name (enum clevis_code code);

/* Release the strings; the object is then as after CLEVIS_ERROR_INIT. */
extern void clevis_error_clear (struct clevis_error *err);

#endif /* CLEVIS_ERROR_H */
