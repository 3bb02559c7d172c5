/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What is opened late by the C library, jansson and OpenSSL.
 */

#include <config.h>

#include <pthread.h>
#include <stddef.h>

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/gettext-compat.h"
#include "base/prepare.h"

/* Ask each catalog for its header, which all have: that opens the catalog, and
 * what converts it to the character set of the locale.
 */
static void
open_messages (void)
{
  static const char header[] = "";      /* no literal, which is for xgettext */

  _(header);
  gettext (header);             /* of libraries that ask for no domain */
  dgettext ("libc", header);    /* of strerror */
}

/* Hash tables of JSON objects have a random seed. */
static void
open_json (void)
{
  json_object_seed (0);
}

static void *
end_thread (void *unused)
{
  pthread_exit (NULL);
}

/* pthread_exit, which argon2 calls, loads libgcc_s and aborts if it cannot. */
static void
open_unwinder (void)
{
  pthread_t thread;

  if (pthread_create (&thread, NULL, end_thread, NULL) == 0)
    pthread_join (thread, NULL);
}

/* The first algorithm that is looked up brings the default provider with it.
 * Where a library has done so already, as libjose 11 does when it is loaded, it
 * costs nothing.
 */
static void
open_crypto (void)
{
  OPENSSL_init_crypto (OPENSSL_INIT_LOAD_CONFIG |
                       OPENSSL_INIT_LOAD_CRYPTO_STRINGS |
                       OPENSSL_INIT_ADD_ALL_CIPHERS |
                       OPENSSL_INIT_ADD_ALL_DIGESTS, NULL);
  EVP_MD_free (EVP_MD_fetch (NULL, "SHA256", NULL));
}

void
base_prepare (void)
{
  open_messages ();
  open_json ();
  open_unwinder ();
  open_crypto ();
}
