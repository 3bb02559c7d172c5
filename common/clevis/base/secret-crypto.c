/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * OpenSSL's allocator, since it keeps keys in numbers and contexts.
 *
 * OpenSSL has a locked heap of its own (CRYPTO_secure_malloc_init), which is
 * not used: its size is fixed, and OpenSSL takes the memory of argon2 from it,
 * a gigabyte for an ordinary keyslot.
 */

#include <config.h>

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/arena.h"
#include "base/pages.h"
#include "base/secret-private.h"
#include "base/secret.h"

/* A block of OpenSSL's of this size has a mapping of its own, as malloc would
 * give it: the memory of argon2.  Nothing else that OpenSSL does here takes so
 * much.
 */
#define LARGE_BLOCK (128 * 1024)

/* libcryptsetup has an OpenSSL of its own, as it were, which looks everything
 * up for itself and keeps it: some 200 KiB.
 */
#define ROOM (1024 * 1024)

/* How deep this thread is in secret_crypto_begin. */
static _Thread_local int depth;

/* Small blocks that this thread has given back since the outermost begin: each
 * iteration of pbkdf2 takes and gives three, of the same few sizes.
 */
#define SPARE_UNITS 8
#define SPARE_BLOCKS 4

static _Thread_local struct {
  void *blocks[SPARE_BLOCKS];
  unsigned n;
} spare[SPARE_UNITS];

/* What is no block any more is released: there is no way on from here, as in
 * free(3).
 */
void
secret_give (void *p)
{
  if (!arena_give (secret_arena, p))
    __builtin_trap ();
}

void
secret_wipe_and_free (void *p)
{
  if (p)
    explicit_bzero (p, malloc_usable_size (p));
  free (p);
}

static void *
arena_alloc (size_t size)
{
  const size_t i = (size - 1) / ARENA_UNIT;
  void *p;

  if (i < SPARE_UNITS && spare[i].n > 0)
    return spare[i].blocks[--spare[i].n];
  p = arena_take (secret_arena, size);
  if (p == NULL) {
    secret_spilled = true;
    p = malloc (size);
  }
  return p;
}

static void
arena_release (void *p)
{
  const size_t size = arena_size (secret_arena, p), i = size / ARENA_UNIT - 1;
  unsigned j;

  if (size == 0 || depth == 0 || i >= SPARE_UNITS ||
      spare[i].n == SPARE_BLOCKS) {
    secret_give (p);
    return;
  }
  for (j = 0; j < spare[i].n; ++j)
    if (spare[i].blocks[j] == p)
      __builtin_trap ();
  explicit_bzero (p, size);
  spare[i].blocks[spare[i].n++] = p;
}

/* What OpenSSL makes when it is first needed and keeps: the random generators
 * of this thread, and what the exchange and libjose look up.  Before the first
 * scope, so that it does not fill a small arena.
 */
static void
warm_up (void)
{
  static const unsigned char zeroes[32];
  unsigned char buf[EVP_MAX_MD_SIZE];
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new ();

  RAND_bytes (buf, 1);
  RAND_priv_bytes (buf, 1);
  EVP_Digest (zeroes, sizeof zeroes, buf, NULL, EVP_sha256 (), NULL);
  if (ctx)
    EVP_DecryptInit_ex (ctx, EVP_aes_256_gcm (), NULL, zeroes, zeroes);
  EVP_CIPHER_CTX_free (ctx);
  ERR_clear_error ();
}

void
secret_crypto_begin (void)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  if (depth == 0)
    pthread_once (&once, warm_up);
  depth++;
}

void
secret_crypto_end (void)
{
  size_t i;

  if (--depth > 0)
    return;
  for (i = 0; i < SPARE_UNITS; ++i)
    while (spare[i].n > 0)
      secret_give (spare[i].blocks[--spare[i].n]);
}

void
secret_crypto_endp (const int *unused)
{
  (void) unused;
  secret_crypto_end ();
}

static bool
has_room (void)
{
  return secret_arena != NULL && arena_total (secret_arena) >= ROOM;
}

void
secret_cryptsetup_begin (void)
{
  if (has_room ())
    secret_crypto_begin ();
}

void
secret_cryptsetup_endp (const int *unused)
{
  (void) unused;
  if (has_room ())
    secret_crypto_end ();
}

/* Large blocks of OpenSSL.  There are few at a time, one for each argon2. */
struct large {
  struct pages pages;
  struct large *next;
};

static struct large *large_blocks;
static atomic_size_t nr_large;
static pthread_mutex_t large_lock = PTHREAD_MUTEX_INITIALIZER;

/* Not locked: it is more than may be, and has no key in it as it is. */
static void *
large_take (size_t size)
{
  struct large *large = malloc (sizeof *large);

  if (large == NULL)
    return NULL;
  if (pages_map (&large->pages, size, 0) == -1) {
    free (large);
    return NULL;
  }
  pthread_mutex_lock (&large_lock);
  large->next = large_blocks;
  large_blocks = large;
  nr_large++;
  pthread_mutex_unlock (&large_lock);
  return large->pages.start;
}

/* The large block at p, or NULL; it is taken off the list if so wanted. */
static struct large *
large_find (const void *p, bool remove)
{
  struct large **at, *large;

  if (p == NULL || nr_large == 0)
    return NULL;
  pthread_mutex_lock (&large_lock);
  for (at = &large_blocks; *at && (*at)->pages.start != p; at = &(*at)->next)
    ;
  large = *at;
  if (large && remove) {
    *at = large->next;
    nr_large--;
  }
  pthread_mutex_unlock (&large_lock);
  return large;
}

/* OpenSSL's allocator.  What it keeps beyond a computation (algorithms that it
 * has looked up, random generators) may get into the arena as well, so what it
 * has there is not counted.  All is wiped: contexts of ciphers and hashes hold
 * keys wherever they are used.
 */
static void *
crypto_alloc (size_t size, const char *file, int line)
{
  (void) file;
  (void) line;
  if (size == 0)
    return NULL;
  if (size >= LARGE_BLOCK)
    return large_take (size);
  return depth > 0 && secret_arena ? arena_alloc (size) : malloc (size);
}

static void
crypto_free (void *p, const char *file, int line)
{
  struct large *large;

  (void) file;
  (void) line;
  if (secret_has (p))
    arena_release (p);
  else if ((large = large_find (p, true)) != NULL) {
    pages_wipe (&large->pages);
    pages_unmap (&large->pages);
    free (large);
  }
  else
    secret_wipe_and_free (p);
}

static size_t
crypto_size (void *p)
{
  const struct large *large;

  if (secret_has (p))
    return arena_size (secret_arena, p);
  large = large_find (p, false);
  return large ? large->pages.size : malloc_usable_size (p);
}

/* Never in its place, since realloc(3) wipes nothing. */
static void *
crypto_realloc (void *p, size_t size, const char *file, int line)
{
  size_t old;
  void *q;

  if (p == NULL)
    return crypto_alloc (size, file, line);
  if (size == 0) {
    crypto_free (p, file, line);
    return NULL;
  }
  q = crypto_alloc (size, file, line);
  if (q == NULL)
    return NULL;
  old = crypto_size (p);
  memcpy (q, p, old < size ? old : size);
  crypto_free (p, file, line);
  return q;
}

/* OpenSSL takes them only before it has allocated anything, which libraries
 * do (libssh, through libguestfs and libvirt) when they are loaded.  What is
 * named in this section runs before that.
 */
static void
set_crypto_functions (void)
{
  CRYPTO_set_mem_functions (crypto_alloc, crypto_realloc, crypto_free);
}

__attribute__ ((section (".preinit_array"), used))
static void (*const preinit) (void) = set_crypto_functions;

bool
secret_has_crypto (void)
{
  CRYPTO_malloc_fn alloc;

  CRYPTO_get_mem_functions (&alloc, NULL, NULL);
  return alloc == crypto_alloc;
}
