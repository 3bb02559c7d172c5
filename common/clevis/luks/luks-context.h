/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A context of libcryptsetup for a header in a memory file: opened and closed
 * from several threads, and quiet.
 */

#ifndef CLEVIS_LUKS_CONTEXT_H
#define CLEVIS_LUKS_CONTEXT_H

#include <libcryptsetup.h>

struct luks_context {
  struct crypt_device *cd;   /* NULL before it is opened */
  char *log;                 /* last error message of libcryptsetup, or NULL */
};

/* Tell libcryptsetup, once in a process, how it is used here. */
extern void luks_context_setup (void);

/* Open the memory file fd as a LUKS device of this version (1 or 2).  The
 * context stays where it is until it is closed.
 *
 * Returns as crypt_load does; cd is NULL if it is crypt_init that failed.
 */
extern int luks_context_open (struct luks_context *context, int fd,
                              int version);

/* Release it, but for its log. */
extern void luks_context_close (struct luks_context *context);

#endif /* CLEVIS_LUKS_CONTEXT_H */
