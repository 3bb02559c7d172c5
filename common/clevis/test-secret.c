/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of secret.c: that keys are locked, kept out of core dumps and wiped,
 * those in JSON values too.
 */

#include <config.h>

#include "testlib.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/crypto.h>

static const char text[] = "correct horse battery staple, and more of it";

/* What secret_init returned in a process that may lock nothing. */
static int unlocked_result;

/* Fill flags with the VmFlags of the mapping that p is in (proc(5)). */
static void
vm_flags (const void *p, char *flags, size_t size)
{
  FILE *fp = fopen ("/proc/self/smaps", "re");
  unsigned long start, end;
  bool inside = false;
  char line[512];

  flags[0] = '\0';
  assert_non_null (fp);
  while (fgets (line, sizeof line, fp)) {
    if (sscanf (line, "%lx-%lx ", &start, &end) == 2 && line[0] != ' ')
      inside = (uintptr_t) p >= start && (uintptr_t) p < end;
    if (inside && strncmp (line, "VmFlags:", 8) == 0)
      snprintf (flags, size, "%.200s", line + 8);
  }
  fclose (fp);
}

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

/* The memory stays mapped, since the heap is one mapping.  Its first bytes
 * link the free blocks.
 */
static void
test_free_wipes (void **state)
{
  struct secret *s = secret_copy (text, sizeof text);
  const volatile unsigned char *old = s->data;
  size_t i;

  assert_int_equal (old[20], text[20]);
  secret_free (s);
  for (i = 2 * sizeof (void *); i < sizeof text; ++i)
    assert_int_equal (old[i], 0);
}

static void
test_free_of_null (void **state)
{
  secret_free (NULL);
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
}

static void
test_too_large (void **state)
{
  assert_null (secret_new (64 * 1024 * 1024));
}

/* When the heap is full there is no key in other memory, and what is freed
 * can be used again.
 */
static void
test_exhaustion (void **state)
{
  struct secret **all = calloc (1 << 16, sizeof *all), *last;
  size_t n = 0;

  while (n < 1 << 16 && (all[n] = secret_new (4000)) != NULL)
    assert_int_equal (CRYPTO_secure_allocated (all[n++]->data), 1);
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
test_json_when_the_heap_is_full (void **state)
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
  assert_int_equal (CRYPTO_secure_allocated (s), 0);
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
  assert_int_equal (CRYPTO_secure_allocated (json_string_value (s)), 1);
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
  assert_int_equal (CRYPTO_secure_allocated (json_string_value (before)), 0);
  assert_int_equal (CRYPTO_secure_allocated (json_string_value (after)), 0);
}

static void
test_json_scopes_nest (void **state)
{
  CLEANUP_JSON json_t *s = NULL;
  SECRET_JSON_SCOPE;

  secret_json_begin ();
  secret_json_end ();
  s = json_string (text);
  assert_int_equal (CRYPTO_secure_allocated (json_string_value (s)), 1);
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
  for (i = 2 * sizeof (void *); i < sizeof text; ++i)
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
  assert_int_equal (CRYPTO_secure_allocated (json_string_value (s)), 0);
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
    cmocka_unit_test (test_new_is_zero),
    cmocka_unit_test (test_empty),
    cmocka_unit_test (test_nul_follows_data),
    cmocka_unit_test (test_free_wipes),
    cmocka_unit_test (test_free_of_null),
    cmocka_unit_test (test_truncate_wipes_the_rest),
    cmocka_unit_test (test_equal),
    cmocka_unit_test (test_too_large),
    cmocka_unit_test (test_exhaustion),
    cmocka_unit_test (test_json_when_the_heap_is_full),
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
