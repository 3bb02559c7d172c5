/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What libjose and OpenSSL open late.
 */

#include <config.h>

#include "base/prepare.h"
#include "jose/jose-prepare.h"

void
jose_prepare (void)
{
  base_prepare ();
}
