/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Files in memory, which another program reads a key from.  See
 * memfd_create(2) and F_ADD_SEALS in fcntl(2).
 */

#include <config.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clevis-stubs.h"

extern value nbde_memfile_create (value unitv);
extern value nbde_memfile_seal (value fdv);

value
nbde_memfile_create (value unitv)
{
  const int fd = memfd_create ("key", MFD_CLOEXEC | MFD_ALLOW_SEALING);

  (void) unitv;
  if (fd == -1)
    uerror ("memfd_create", Nothing);
  return Val_int (fd);
}

/* Nobody can change it from now on, and reading begins at its start. */
value
nbde_memfile_seal (value fdv)
{
  const int fd = Int_val (fdv);
  const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;

  if (fcntl (fd, F_ADD_SEALS, seals) == -1 || lseek (fd, 0, SEEK_SET) == -1)
    uerror ("memfd_create", Nothing);
  return Val_unit;
}
