/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Clevis in the appliance, where libguestfs has it: the appliance asks the
 * servers by itself and no key comes to this host.
 */

#include <config.h>

#include <errno.h>

#include "clevis-stubs.h"

extern value nbde_in_appliance_is_known (value unitv);

value
nbde_in_appliance_is_known (value unitv)
{
  (void) unitv;
#ifdef HAVE_GUESTFS_CLEVIS_LUKS_UNLOCK
  return Val_true;
#else
  return Val_false;
#endif
}

static int
unlock (guestfs_h *g, const char *device, const char *mapname)
{
#ifdef HAVE_GUESTFS_CLEVIS_LUKS_UNLOCK
  return guestfs_clevis_luks_unlock (g, device, mapname);
#else
  (void) g;
  (void) device;
  (void) mapname;
  errno = ENOSYS;
  return -1;
#endif
}

extern value nbde_in_appliance_unlock (value pointerv, value devicev,
                                       value mapnamev);

value
nbde_in_appliance_unlock (value pointerv, value devicev, value mapnamev)
{
  CAMLparam3 (pointerv, devicev, mapnamev);
  guestfs_h *g = (guestfs_h *) (intptr_t) Int64_val (pointerv);
  char *device = caml_stat_strdup (String_val (devicev));
  char *mapname = caml_stat_strdup (String_val (mapnamev));
  int r;

  /* The callbacks of libguestfs expect the runtime lock to be released. */
  caml_enter_blocking_section ();
  r = unlock (g, device, mapname);
  caml_leave_blocking_section ();

  caml_stat_free (device);
  caml_stat_free (mapname);
  if (r == -1)
    stub_raise_guestfs_error (g);
  CAMLreturn (Val_unit);
}
