/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Time that only goes forward.
 */

#ifndef CLEVIS_CLOCK_H
#define CLEVIS_CLOCK_H

#include <time.h>

/* Seconds since some moment in the past. */
static inline double
clock_now (void)
{
  struct timespec ts;

  clock_gettime (CLOCK_MONOTONIC, &ts);
  return ts.tv_sec + ts.tv_nsec / 1e9;
}

#endif /* CLEVIS_CLOCK_H */
