/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of secret.c: that keys are locked, kept out of core dumps and wiped,
 * those in JSON values too.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>


static const char text[] = "correct horse battery staple, and more of it";

/* What secret_init returned in a process that may lock nothing. */
static int unlocked_result;

static void
test_memory_is_locked (void **state)
{
  CLEANUP_SECRET struct secret *s = secret_copy (text, sizeof text);
  char flags[256];

  vm_flags (s->data, flags, sizeof flags);
  assert_contains (flags, " lo");
}

static void
test_memory_is_not_dumped (void **state)
{
  CLEANUP_SECRET struct secret *s = secret_copy (text, sizeof text);
  char flags[256];

  vm_flags (s->data, flags, sizeof flags);
  assert_contains (flags, " dd");
}

/* The two tests above could not fail if the flags were always there. */
static void
test_other_memory_is_neither (void **state)
{
  CLEANUP_FREE char *p = strdup (text);
  char flags[256];

  vm_flags (p, flags, sizeof flags);
  assert_contains (flags, " rd");
  assert_null (strstr (flags, " lo"));
  assert_null (strstr (flags, " dd"));
}

static void
test_new_is_zero (void **state)
{
  static const unsigned char zeroes[100];
  CLEANUP_SECRET struct secret *s = secret_new (sizeof zeroes);

  assert_secret (s, zeroes, sizeof zeroes);
}

static void
test_empty (void **state)
{
  CLEANUP_SECRET struct secret *s = secret_copy (NULL, 0);

  assert_secret (s, "", 0);
  assert_int_equal (s->data[0], '\0');
}

static void
test_nul_follows_data (void **state)
{
  CLEANUP_SECRET struct secret *s = secret_copy (text, 10);

  assert_int_equal (s->len, 10);
  assert_int_equal (s->data[10], '\0');
}

/* libguestfs forks to start a program. */
static void
test_memory_is_empty_in_a_child (void **state)
{
  CLEANUP_SECRET struct secret *s = secret_copy (text, sizeof text);
  int status;
  pid_t pid;
  size_t i;

  fflush (NULL);
  pid = fork ();
  if (pid == 0) {
    for (i = 0; i < sizeof text; ++i)
      if (s->data[i] != 0)
        _exit (EXIT_FAILURE);
    _exit (EXIT_SUCCESS);
  }
  assert_int_equal (waitpid (pid, &status, 0), pid);
  assert_int_equal (status, 0);
  assert_secret (s, text, sizeof text);
}

/* The memory stays mapped, since it is one mapping. */
static void
test_free_wipes (void **state)
{
  struct secret *s = secret_copy (text, sizeof text);
  const volatile unsigned char *old = s->data;
  size_t i;

  assert_int_equal (old[20], text[20]);
  secret_free (s);
  for (i = 0; i < sizeof text; ++i)
    assert_int_equal (old[i], 0);
}

static void
test_free_of_null (void **state)
{
  secret_free (NULL);
}

/* A copy of a secret that is freed for the second time. */
static void
test_free_twice_ends_the_process (void **state)
{
  struct secret *s = secret_copy (text, sizeof text);
  struct secret *again = malloc (sizeof *again);
  int status;
  pid_t pid;

  *again = *s;
  secret_free (s);
  fflush (NULL);
  pid = fork ();
  if (pid == 0) {
    const struct rlimit none = { 0, 0 };

    /* cmocka catches it. */
    signal (SIGILL, SIG_DFL);
    setrlimit (RLIMIT_CORE, &none);
    secret_free (again);
    _exit (EXIT_SUCCESS);
  }
  assert_int_equal (waitpid (pid, &status, 0), pid);
  assert_int_not_equal (status, 0);
  free (again);
}

static void
test_used (void **state)
{
  const size_t before = secret_used ();
  struct secret *s = secret_new (100);
  json_t *json;

  assert_in_range (secret_used () - before, 101, 200);
  secret_free (s);
  assert_int_equal (secret_used (), before);
  secret_json_begin ();
  json = json_string (text);
  secret_json_end ();
  assert_in_range (secret_used () - before, sizeof text, 400);
  json_decref (json);
  assert_int_equal (secret_used (), before);
}

static void
test_truncate_wipes_the_rest (void **state)
{
  CLEANUP_SECRET struct secret *s = secret_copy (text, sizeof text);
  size_t i;

  secret_truncate (s, 7);
  assert_secret (s, text, 7);
  for (i = 7; i < sizeof text; ++i)
    assert_int_equal (s->data[i], 0);
}

static void
test_equal (void **state)
{
  CLEANUP_SECRET struct secret *a = secret_copy (text, 20);
  CLEANUP_SECRET struct secret *b = secret_copy (text, 20);
  CLEANUP_SECRET struct secret *shorter = secret_copy (text, 19);
  CLEANUP_SECRET struct secret *other = secret_copy (text, 20);

  other->data[19] ^= 1;
  assert_true (secret_equal (a, b));
  assert_false (secret_equal (a, shorter));
  assert_false (secret_equal (a, other));
  /* Nor with a NUL at its end, as every secret has one that does not count. */
  other->data[19] = '\0';
  secret_truncate (shorter, 19);
  assert_false (secret_equal (other, shorter));
  assert_false (secret_equal (shorter, other));
}

static void
test_too_large (void **state)
{
  assert_null (secret_new (64 * 1024 * 1024));
}

/* When the arena is full there is no key in other memory, and what is freed
 * can be used again.
 */
static void
test_exhaustion (void **state)
{
  struct secret **all = calloc (1 << 16, sizeof *all), *last;
  size_t n = 0;

  while (n < 1 << 16 && (all[n] = secret_new (4000)) != NULL)
    assert_true (secret_has (all[n++]->data));
  assert_in_range (n, 2, (1 << 16) - 1);
  secret_free (all[--n]);
  last = secret_new (4000);
  assert_non_null (last);
  secret_free (last);
  while (n > 0)
    secret_free (all[--n]);
  free (all);
}

/* Jansson would crash if it got no memory. */
static void
test_json_when_the_arena_is_full (void **state)
{
  struct secret **all = calloc (1 << 16, sizeof *all);
  CLEANUP_JSON json_t *s = NULL;
  size_t n = 0;

  while (n < 1 << 16 && (all[n] = secret_new (4000)) != NULL)
    n++;
  assert_false (secret_was_short ());
  {
    SECRET_JSON_SCOPE;
    s = json_loads ("{\"a\": {\"b\": [\"c\"]}}", 0, NULL);
  }
  assert_non_null (s);
  assert_false (secret_has (s));
  assert_true (secret_was_short ());
  while (n > 0)
    secret_free (all[--n]);
  free (all);
}

static void
test_json_in_scope_is_locked (void **state)
{
  CLEANUP_JSON json_t *s = NULL;

  {
    SECRET_JSON_SCOPE;
    s = json_string (text);
  }
  assert_true (secret_has (json_string_value (s)));
}

static void
test_json_outside_is_not (void **state)
{
  CLEANUP_JSON json_t *before = json_string (text);
  CLEANUP_JSON json_t *after = NULL;

  {
    SECRET_JSON_SCOPE;
  }
  after = json_string (text);
  assert_false (secret_has (json_string_value (before)));
  assert_false (secret_has (json_string_value (after)));
}

static void
test_json_scopes_nest (void **state)
{
  CLEANUP_JSON json_t *s = NULL;
  SECRET_JSON_SCOPE;

  secret_json_begin ();
  secret_json_end ();
  s = json_string (text);
  assert_true (secret_has (json_string_value (s)));
}

static void
test_json_is_wiped (void **state)
{
  const volatile char *old;
  json_t *s;
  size_t i;

  secret_json_begin ();
  s = json_string (text);
  secret_json_end ();
  old = json_string_value (s);
  assert_int_equal (old[20], text[20]);
  json_decref (s);
  for (i = 0; i < sizeof text; ++i)
    assert_int_equal (old[i], 0);
}

static void *
make_json (void *unused)
{
  return json_string (text);
}

static void
test_json_scope_is_of_one_thread (void **state)
{
  CLEANUP_JSON json_t *s = NULL;
  pthread_t thread;
  void *made;
  SECRET_JSON_SCOPE;

  assert_int_equal (pthread_create (&thread, NULL, make_json, NULL), 0);
  assert_int_equal (pthread_join (thread, &made), 0);
  s = made;
  assert_false (secret_has (json_string_value (s)));
}

static void
test_numbers_in_scope_are_locked (void **state)
{
  const size_t before = secret_used ();
  BIGNUM *inside, *outside;
  void *p;

  {
    SECRET_CRYPTO_SCOPE;
    inside = BN_secure_new ();
    p = OPENSSL_malloc (100);
  }
  outside = BN_secure_new ();
  assert_true (secret_has (inside));
  assert_true (secret_has (p));
  assert_false (secret_has (outside));
  assert_int_equal (secret_used (), before);
  /* Also where JSON is. */
  secret_json_begin ();
  BN_free (outside);
  outside = BN_secure_new ();
  secret_json_end ();
  assert_true (secret_has (outside));
  BN_free (outside);
  BN_free (inside);
  OPENSSL_free (p);
}

/* Contexts of OpenSSL hold keys, in whatever memory. */
static void
test_crypto_memory_is_wiped (void **state)
{
  const volatile unsigned char *old;
  unsigned char *p;
  size_t i;

  {
    SECRET_CRYPTO_SCOPE;
    p = OPENSSL_malloc (sizeof text);
  }
  memcpy (p, text, sizeof text);
  old = p;
  OPENSSL_free (p);
  for (i = 0; i < sizeof text; ++i)
    assert_int_equal (old[i], 0);
}

/* What is given back within a scope is kept for the next one who takes as much,
 * without what is in it: a scope can last for as long as a key derivation.
 */
static void
test_crypto_memory_is_wiped_in_scope (void **state)
{
  const volatile unsigned char *old;
  unsigned char *p;
  size_t i;
  SECRET_CRYPTO_SCOPE;

  p = OPENSSL_malloc (sizeof text);
  memcpy (p, text, sizeof text);
  old = p;
  OPENSSL_free (p);
  for (i = 0; i < sizeof text; ++i)
    assert_int_equal (old[i], 0);
  p = OPENSSL_malloc (sizeof text);
  assert_ptr_equal (p, old);
  OPENSSL_free (p);
}

/* Every way from one kind of memory to another. */
static void
test_crypto_realloc (void **state)
{
  static const size_t sizes[] = { 10, 40, 20, 500000, 300000, 16, 0 };
  const size_t nr = sizeof sizes / sizeof sizes[0];
  unsigned char *p;
  size_t i, j, scope;

  for (scope = 0; scope < 4; ++scope) {
    p = OPENSSL_memdup (text, 10);
    for (i = 0; i < nr; ++i) {
      if (scope & (1 << (i & 1)))
        secret_crypto_begin ();
      p = OPENSSL_realloc (p, sizes[i]);
      if (scope & (1 << (i & 1)))
        secret_crypto_end ();
      for (j = 0; j < 10 && sizes[i] > 0; ++j)
        assert_int_equal (p[j], text[j]);
    }
    assert_null (p);
  }
}

/* As for argon2, wherever it is needed. */
static void
test_large_blocks_have_a_mapping (void **state)
{
  const size_t size = 64 * 1024 * 1024;
  unsigned char *p, *q, *old;
  char flags[256];

  {
    SECRET_CRYPTO_SCOPE;
    p = OPENSSL_secure_zalloc (size);
  }
  q = OPENSSL_malloc (size);
  assert_non_null (p);
  assert_non_null (q);
  assert_false (secret_has (p));
  p[0] = p[size - 1] = q[size - 1] = 1;
  vm_flags (p, flags, sizeof flags);
  assert_contains (flags, " dd");
  assert_contains (flags, " wf");
  vm_flags (q, flags, sizeof flags);
  assert_contains (flags, " dd");
  old = p;
  OPENSSL_secure_clear_free (p, size);
  vm_flags (old, flags, sizeof flags);
  assert_string_equal (flags, "");
  assert_int_equal (q[size - 1], 1);
  OPENSSL_free (q);
  assert_false (secret_was_short ());
}

/* It keeps what it has looked up, and nothing of what it did. */
static void
test_what_crypto_keeps_is_not_counted (void **state)
{
  const size_t before = secret_used ();
  unsigned char digest[32];
  SECRET_CRYPTO_SCOPE;

  assert_int_equal (PKCS5_PBKDF2_HMAC (text, 10, digest, 8, 2, EVP_sha256 (),
                                       sizeof digest, digest), 1);
  assert_int_equal (secret_used (), before);
}

static void
test_numbers_when_the_arena_is_full (void **state)
{
  struct secret **all = calloc (1 << 16, sizeof *all);
  unsigned char *p;
  size_t n = 0;

  while (n < 1 << 16 && (all[n] = secret_new (4000)) != NULL)
    n++;
  {
    SECRET_CRYPTO_SCOPE;
    p = OPENSSL_malloc (8000);
  }
  assert_non_null (p);
  assert_false (secret_has (p));
  assert_true (secret_was_short ());
  OPENSSL_free (p);
  while (n > 0)
    secret_free (all[--n]);
  free (all);
}

/* Where the system allows no locking, keys can still be used. */
static void
test_init_without_locking (void **state)
{
  assert_int_equal (unlocked_result, 1);
}

static int
init_without_locking (void)
{
  const struct rlimit none = { 0, 0 };
  struct secret *s;
  int status, r;
  pid_t pid;

  fflush (NULL);
  pid = fork ();
  if (pid == 0) {
    if (setrlimit (RLIMIT_MEMLOCK, &none) == -1 ||
        (geteuid () == 0 && setuid (65534) == -1))
      _exit (100);
    r = secret_init ();
    s = secret_copy (text, sizeof text);
    if (s == NULL || memcmp (s->data, text, sizeof text) != 0)
      _exit (101);
    secret_free (s);
    _exit (r == -1 ? 102 : r);
  }
  if (waitpid (pid, &status, 0) != pid || !WIFEXITED (status))
    return -1;
  return WEXITSTATUS (status);
}

int
main (void)
{
  const struct CMUnitTest secret[] = {
    cmocka_unit_test (test_memory_is_locked),
    cmocka_unit_test (test_memory_is_not_dumped),
    cmocka_unit_test (test_other_memory_is_neither),
    cmocka_unit_test (test_memory_is_empty_in_a_child),
    cmocka_unit_test (test_new_is_zero),
    cmocka_unit_test (test_empty),
    cmocka_unit_test (test_nul_follows_data),
    cmocka_unit_test (test_free_wipes),
    cmocka_unit_test (test_free_of_null),
    cmocka_unit_test (test_free_twice_ends_the_process),
    cmocka_unit_test (test_used),
    cmocka_unit_test (test_truncate_wipes_the_rest),
    cmocka_unit_test (test_equal),
    cmocka_unit_test (test_too_large),
    cmocka_unit_test (test_numbers_in_scope_are_locked),
    cmocka_unit_test (test_crypto_memory_is_wiped),
    cmocka_unit_test (test_crypto_memory_is_wiped_in_scope),
    cmocka_unit_test (test_crypto_realloc),
    cmocka_unit_test (test_large_blocks_have_a_mapping),
    cmocka_unit_test (test_what_crypto_keeps_is_not_counted),
    cmocka_unit_test (test_exhaustion),
    cmocka_unit_test (test_json_when_the_arena_is_full),
    cmocka_unit_test (test_numbers_when_the_arena_is_full),
    cmocka_unit_test (test_json_in_scope_is_locked),
    cmocka_unit_test (test_json_outside_is_not),
    cmocka_unit_test (test_json_scopes_nest),
    cmocka_unit_test (test_json_is_wiped),
    cmocka_unit_test (test_json_scope_is_of_one_thread),
    cmocka_unit_test (test_init_without_locking),
  };

  unlocked_result = init_without_locking ();
  return run_unit_tests (secret);
}
