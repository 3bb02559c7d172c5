/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What the fuzz targets have in common.  Each is a program of libFuzzer that
 * gives the library what a hostile disk or server could.  Built with
 * PLANTED_FAULT it has a fault that the fuzzer must find, which proves that
 * it gets far enough to find others.
 */

#ifndef CLEVIS_FUZZ_H
#define CLEVIS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanups.h"
#include "base/clevis-error.h"
#include "base/secret.h"

extern int LLVMFuzzerInitialize (int *argc, char ***argv);
extern int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* Something that must never be is. */
#define fuzz_assert(condition)                                          \
  do {                                                                  \
    if (!(condition)) {                                                 \
      fprintf (stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__,     \
               #condition);                                             \
      abort ();                                                         \
    }                                                                   \
  } while (0)

/* The fault that is to be found. */
#ifdef PLANTED_FAULT
#define fuzz_planted(condition) fuzz_assert (!(condition))
#else
#define fuzz_planted(condition) ((void) (condition))
#endif

static inline void
fuzz_initialize (void)
{
  fuzz_assert (secret_init () != -1);
}

/* An error can be shown whatever the disk has put into it. */
static inline void
fuzz_check_error (const struct clevis_error *err)
{
  CLEANUP_FREE char *line = clevis_error_line (err);

  fuzz_assert (line != NULL);
  fuzz_assert (strpbrk (line, "\n\r\033\177") == NULL);
}

#endif /* CLEVIS_FUZZ_H */
