/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Contexts of libcryptsetup.
 */

#include <config.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "luks/luks-context.h"

/* libcryptsetup counts its contexts without a lock. */
static pthread_mutex_t contexts = PTHREAD_MUTEX_INITIALIZER;

static void
keep_log (int level, const char *msg, void *opaque)
{
  struct luks_context *context = opaque;
  const size_t len = strcspn (msg, "\n");

  if (level != CRYPT_LOG_ERROR || context == NULL)
    return;
  free (context->log);
  context->log = strndup (msg, len);
}

/* libcryptsetup would lock in /run, which protects a device from another
 * process; our memory file has no other process.  And it would load a plugin
 * for each type of token that the header names.
 */
void
luks_context_setup (void)
{
  static bool done;

  if (done)
    return;
  crypt_set_log_callback (NULL, keep_log, NULL);
  crypt_metadata_locking (NULL, 0);
  crypt_token_external_disable ();
  done = true;
}

/* For new keyslots, unless it is set to something else: so libcryptsetup need
 * not work out a default with each header, from files in /proc and /sys.
 */
static const struct crypt_pbkdf_type pbkdf = {
  .type = CRYPT_KDF_PBKDF2,
  .hash = "sha256",
  .iterations = 1000,
  .flags = CRYPT_PBKDF_NO_BENCHMARK,
};

int
luks_context_open (struct luks_context *context, int fd, int version)
{
  char path[64];
  int r;

  snprintf (path, sizeof path, "/proc/self/fd/%d", fd);
  pthread_mutex_lock (&contexts);
  r = crypt_init (&context->cd, path);
  pthread_mutex_unlock (&contexts);
  if (r < 0)
    return r;
  crypt_set_log_callback (context->cd, keep_log, context);
  crypt_set_pbkdf_type (context->cd, &pbkdf);
  return crypt_load (context->cd, version == 1 ? CRYPT_LUKS1 : CRYPT_LUKS2,
                     NULL);
}

void
luks_context_close (struct luks_context *context)
{
  pthread_mutex_lock (&contexts);
  crypt_free (context->cd);
  pthread_mutex_unlock (&contexts);
  context->cd = NULL;
}
