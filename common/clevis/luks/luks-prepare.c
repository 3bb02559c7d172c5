/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What libcryptsetup opens when it first loads a header: /dev/urandom, and the
 * providers of an OpenSSL of its own.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/gettext-compat.h"
#include "base/prepare.h"
#include "luks/luks-context.h"
#include "luks/luks-cost.h"
#include "luks/luks.h"

/* An empty file is no LUKS device; to find that out, all is opened. */
int
luks_prepare (struct clevis_error *err)
{
  struct luks_context context = { .cd = NULL };
  const int fd = memfd_create ("luks-prepare", MFD_CLOEXEC);
  bool opened;

  base_prepare ();
  if (fd == -1)
    return clevis_error_errno (err, errno, _("memory for the header"));
  luks_memory_limit ();
  luks_context_setup ();
  luks_context_open (&context, fd, 2);
  opened = context.cd != NULL;
  luks_context_close (&context);
  free (context.log);
  close (fd);
  return opened ? 0
    : clevis_error_errno (err, ENOMEM, _("memory for the header"));
}
