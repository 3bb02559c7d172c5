/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * libjose without messages.
 */

#include <config.h>

#include <stdarg.h>

#include "jose/jose-quiet.h"

static void
be_quiet (void *misc, const char *file, int line, uint64_t err,
          const char *fmt, va_list args)
{
}

jose_cfg_t *
jose_quiet_cfg (void)
{
  static jose_cfg_t *cfg;

  if (cfg == NULL) {
    cfg = jose_cfg ();
    if (cfg)
      jose_cfg_set_err_func (cfg, be_quiet, NULL);
  }
  return cfg;
}
