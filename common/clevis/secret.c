/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Locked memory: the secure heap of OpenSSL (mlock, MADV_DONTDUMP, guard
 * pages, wiped on free), and jansson's allocator on top of it, since libjose
 * keeps keys in JSON values.
 */

#include <config.h>

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <jansson.h>
#include <openssl/crypto.h>

#include "gettext-compat.h"
#include "secret.h"

/* Room for the keys of some thousand bindings at a time: an ephemeral key is
 * about 1.5 KiB of JSON while its request is under way, a passphrase 64
 * bytes.  Taken from RLIMIT_MEMLOCK, whose default is 8 MiB with current
 * kernels and was 64 KiB before.
 */
#define SECURE_HEAP_MAX (4 * 1024 * 1024)
#define SECURE_HEAP_MIN (16 * 1024)

/* Smallest block of the heap (a power of two). */
#define SECURE_HEAP_BLOCK 32

/* How deep this thread is in secret_json_begin. */
static _Thread_local int json_depth;

/* How much of the heap JSON may have; the rest is for keys and numbers. */
static size_t json_share;

/* Some JSON value did not fit into that. */
static atomic_bool json_spilled;

/* Jansson 2.14 crashes where it gets no memory while it parses, so it gets other
 * memory when its share is full.
 */
static void *
json_alloc (size_t size)
{
  void *p;

  if (json_depth == 0)
    return malloc (size);
  p = CRYPTO_secure_used () + size > json_share ? NULL
    : OPENSSL_secure_malloc (size);
  if (p == NULL) {
    json_spilled = true;
    p = malloc (size);
  }
  return p;
}

static void
json_release (void *p)
{
  if (CRYPTO_secure_allocated (p))
    OPENSSL_secure_clear_free (p, OPENSSL_secure_actual_size (p));
  else {
    if (json_spilled && p)
      OPENSSL_cleanse (p, malloc_usable_size (p));
    free (p);
  }
}

/* The largest power of two that may be locked.  Half of the limit is left to
 * libcryptsetup, which locks keys on its own.
 */
static size_t
heap_size (void)
{
  struct rlimit rlim;
  size_t size = SECURE_HEAP_MAX;

  if (getrlimit (RLIMIT_MEMLOCK, &rlim) == -1)
    return SECURE_HEAP_MIN;
  if (rlim.rlim_cur < rlim.rlim_max) {
    rlim.rlim_cur = rlim.rlim_max;
    setrlimit (RLIMIT_MEMLOCK, &rlim);
    getrlimit (RLIMIT_MEMLOCK, &rlim);
  }
  while (size > SECURE_HEAP_MIN && size > rlim.rlim_cur / 2)
    size /= 2;
  return size;
}

int
secret_init (void)
{
  const size_t size = heap_size ();
  int r;

  /* Returns 0 on failure, 1 on success, 2 if the heap is there but could not
   * be locked or kept out of core dumps.
   */
  r = CRYPTO_secure_malloc_init (size, SECURE_HEAP_BLOCK);
  if (r == 0)
    return -1;
  json_share = size / 4 * 3;
  json_set_alloc_funcs (json_alloc, json_release);
  return r == 1 ? 0 : 1;
}

bool
secret_was_short (void)
{
  return json_spilled;
}

int
secret_error (struct clevis_error *err)
{
  clevis_error_errno (err, ENOMEM, _("locked memory"));
  clevis_error_hint (err, _("See ulimit -l for how much may be locked."));
  return -1;
}

struct secret *
secret_new (size_t len)
{
  struct secret *s;

  s = malloc (sizeof *s);
  if (s == NULL)
    return NULL;
  s->len = len;
  s->data = OPENSSL_secure_zalloc (len + 1);
  if (s->data == NULL) {
    free (s);
    return NULL;
  }
  return s;
}

struct secret *
secret_copy (const void *data, size_t len)
{
  struct secret *s = secret_new (len);

  if (s && len > 0)
    memcpy (s->data, data, len);
  return s;
}

void
secret_truncate (struct secret *s, size_t len)
{
  OPENSSL_cleanse (s->data + len, s->len - len);
  s->len = len;
}

void
secret_free (struct secret *s)
{
  if (s == NULL)
    return;
  OPENSSL_secure_clear_free (s->data, s->len + 1);
  free (s);
}

bool
secret_equal (const struct secret *a, const struct secret *b)
{
  return a->len == b->len && CRYPTO_memcmp (a->data, b->data, a->len) == 0;
}

void
secret_json_begin (void)
{
  json_depth++;
}

void
secret_json_end (void)
{
  json_depth--;
}

void
secret_freep (struct secret **s)
{
  secret_free (*s);
}

void
secret_json_endp (const int *unused)
{
  (void) unused;
  secret_json_end ();
}
