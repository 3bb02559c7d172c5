/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Locked memory: an arena for keys, and jansson's allocator on top of it, since
 * libjose keeps keys in JSON values.  OpenSSL's allocator is in
 * secret-crypto.c.
 */

#include <config.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/crypto.h>

#include "base/arena.h"
#include "base/gettext-compat.h"
#include "base/pages.h"
#include "base/secret-private.h"
#include "base/secret.h"

/* Room for the keys of some thousand bindings at a time: an ephemeral key is
 * about 1.5 KiB of JSON while its request is under way, a passphrase 64
 * bytes.  Taken from RLIMIT_MEMLOCK, whose default is 8 MiB with current
 * kernels and was 64 KiB before.
 */
#define ARENA_MAX (4 * 1024 * 1024)
#define ARENA_MIN (16 * 1024)

struct arena *secret_arena;

/* How deep this thread is in secret_json_begin. */
static _Thread_local int json_depth;

/* How much of the arena JSON may have; the rest is for keys and numbers. */
static size_t json_share;

/* Some JSON value or some number did not fit. */
atomic_bool secret_spilled;

/* Bytes of secrets and of JSON values in the arena. */
static atomic_size_t used;

/* Take from the arena what is counted. */
static void *
take_counted (size_t size)
{
  void *p = secret_arena ? arena_take (secret_arena, size) : NULL;

  if (p)
    used += arena_size (secret_arena, p);
  return p;
}

static void
give_counted (void *p)
{
  used -= arena_size (secret_arena, p);
  secret_give (p);
}

/* Jansson 2.14 crashes where it gets no memory while it parses, so it gets
 * other memory when its share is full.
 */
static void *
json_alloc (size_t size)
{
  void *p;

  if (json_depth == 0)
    return malloc (size);
  p = arena_used (secret_arena) + size > json_share ? NULL
    : take_counted (size);
  if (p == NULL) {
    secret_spilled = true;
    p = malloc (size);
  }
  return p;
}

static void
json_release (void *p)
{
  if (secret_has (p))
    give_counted (p);
  else if (secret_spilled)
    secret_wipe_and_free (p);
  else
    free (p);
}

/* The largest power of two that may be locked.  Half of the limit is left to
 * libcryptsetup, which locks keys on its own, and to secret-thread.c.
 */
static size_t
choose_size (void)
{
  const size_t limit = pages_limit ();
  size_t size = ARENA_MAX;

  while (size > ARENA_MIN && size > limit / 2)
    size /= 2;
  return size;
}

int
secret_init (void)
{
  const size_t size = choose_size ();

  secret_arena = arena_new (size);
  if (secret_arena == NULL)
    return -1;
  json_share = size / 4 * 3;
  json_set_alloc_funcs (json_alloc, json_release);
  return arena_is_safe (secret_arena) && secret_has_crypto () ? 0 : 1;
}

bool
secret_was_short (void)
{
  return secret_spilled;
}

size_t
secret_used (void)
{
  return used;
}

bool
secret_has (const void *p)
{
  return secret_arena != NULL && arena_has (secret_arena, p);
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
  s->data = len < SIZE_MAX ? take_counted (len + 1) : NULL;
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
  explicit_bzero (s->data + len, s->len - len);
  s->len = len;
}

void
secret_free (struct secret *s)
{
  if (s == NULL)
    return;
  give_counted (s->data);
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
  secret_crypto_begin ();
}

void
secret_json_end (void)
{
  secret_crypto_end ();
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
