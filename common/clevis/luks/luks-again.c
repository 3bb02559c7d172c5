/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A loaded header once more, for another thread: libcryptsetup's contexts may
 * not be shared, and what derives a key may outlive the one who asked for it.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>

#include "base/gettext-compat.h"
#include "luks/luks-load.h"
#include "luks/luks-object.h"

struct luks *
luks_again (const struct luks *luks, struct clevis_error *err)
{
  struct luks *again;

  again = luks_new_over (luks->device, luks->size,
                         fcntl (luks->fd, F_DUPFD_CLOEXEC, 0));
  if (again == NULL) {
    clevis_error_errno (err, errno, _("memory for the header"));
    return NULL;
  }
  again->again = true;
  again->metadata = luks->metadata;
  again->info.version = luks->info.version;
  return again;
}

int
luks_again_load (struct luks *again, struct clevis_error *err)
{
  if (luks_load (again, err) == -1)
    return -1;
  again->nr_wanted = 0;         /* all was supplied */
  return 0;
}

void
luks_adopt (struct luks *luks, struct luks *again)
{
  if (again->volume_key == NULL)
    return;
  secret_free (luks->volume_key);
  luks->volume_key = again->volume_key;
  again->volume_key = NULL;
}
