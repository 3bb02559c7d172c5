/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Variables that release what they own when they go out of scope.  Always
 * initialise them where they are declared.  Borrowed JSON is const json_t *
 * and has no attribute.
 */

#ifndef CLEVIS_CLEANUPS_H
#define CLEVIS_CLEANUPS_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <jansson.h>

#include "base/clevis-error.h"

static inline void
cleanup_free (void *p)
{
  free (*(void **) p);
}

static inline void
cleanup_json (json_t **p)
{
  json_decref (*p);
}

static inline void
cleanup_close (const int *fd)
{
  if (*fd >= 0)
    close (*fd);
}

#define CLEANUP_FREE __attribute__ ((cleanup (cleanup_free)))
#define CLEANUP_JSON __attribute__ ((cleanup (cleanup_json)))
#define CLEANUP_CLOSE __attribute__ ((cleanup (cleanup_close)))
#define CLEANUP_ERROR __attribute__ ((cleanup (clevis_error_clear)))

#endif /* CLEVIS_CLEANUPS_H */
