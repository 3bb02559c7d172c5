/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of arena.c and pages.c: that blocks are where they should be, do not
 * overlap, are wiped, and become one again; and what the kernel says of the
 * pages.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/pages.h"

#define SIZE (64 * 1024)
#define NR_UNITS (SIZE / ARENA_UNIT)

static void
cleanup_arena (struct arena **arena)
{
  arena_free (*arena);
}

#define ARENA __attribute__ ((cleanup (cleanup_arena))) struct arena

static void
test_blocks_are_aligned (void **state)
{
  ARENA *arena = arena_new (SIZE);
  size_t size;

  for (size = 1; size < 200; ++size)
    assert_int_equal ((uintptr_t) arena_take (arena, size) % ARENA_UNIT, 0);
}

static void
test_blocks_are_zero (void **state)
{
  ARENA *arena = arena_new (SIZE);
  unsigned char *p = arena_take (arena, 100), zeroes[100] = { 0 };

  memset (p, 'x', 100);
  assert_true (arena_give (arena, p));
  assert_ptr_equal (arena_take (arena, 100), p);
  assert_memory_equal (p, zeroes, 100);
}

static void
test_used_and_size (void **state)
{
  ARENA *arena = arena_new (SIZE);
  void *p, *q;

  assert_int_equal (arena_used (arena), 0);
  p = arena_take (arena, ARENA_UNIT + 1);
  q = arena_take (arena, 0);
  assert_int_equal (arena_size (arena, p), 2 * ARENA_UNIT);
  assert_int_equal (arena_size (arena, q), ARENA_UNIT);
  assert_int_equal (arena_used (arena), 3 * ARENA_UNIT);
  assert_true (arena_give (arena, p));
  assert_int_equal (arena_used (arena), ARENA_UNIT);
  assert_int_equal (arena_size (arena, p), 0);
  assert_true (arena_give (arena, q));
  assert_int_equal (arena_used (arena), 0);
}

static void
test_all_of_it_in_one_piece (void **state)
{
  ARENA *arena = arena_new (SIZE);
  void *p = arena_take (arena, SIZE);

  assert_non_null (p);
  assert_null (arena_take (arena, 1));
  assert_true (arena_give (arena, p));
  assert_null (arena_take (arena, SIZE + 1));
  assert_null (arena_take (arena, SIZE_MAX));
  assert_non_null (arena_take (arena, SIZE));
}

/* Whichever of three neighbours goes last, they are one run again. */
static void
test_neighbours_become_one (void **state)
{
  static const int orders[][3] = {
    { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
    { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
  };
  ARENA *arena = arena_new (SIZE);
  void *p[3];
  size_t i, j;

  for (i = 0; i < 6; ++i) {
    for (j = 0; j < 3; ++j)
      assert_non_null (p[j] = arena_take (arena, SIZE / 4));
    for (j = 0; j < 3; ++j)
      assert_true (arena_give (arena, p[orders[i][j]]));
    assert_non_null (p[0] = arena_take (arena, SIZE));
    assert_true (arena_give (arena, p[0]));
  }
}

static void
test_exhaustion (void **state)
{
  ARENA *arena = arena_new (SIZE);
  void *p[NR_UNITS];
  size_t i;

  for (i = 0; i < NR_UNITS; ++i)
    assert_non_null (p[i] = arena_take (arena, ARENA_UNIT));
  assert_null (arena_take (arena, 1));
  assert_int_equal (arena_used (arena), SIZE);
  /* There is as much again, but not in one piece. */
  for (i = 0; i < NR_UNITS; i += 2)
    assert_true (arena_give (arena, p[i]));
  assert_null (arena_take (arena, ARENA_UNIT + 1));
  assert_non_null (p[0] = arena_take (arena, ARENA_UNIT));
}

static void
test_not_a_block (void **state)
{
  ARENA *arena = arena_new (SIZE);
  unsigned char *p = arena_take (arena, 10 * ARENA_UNIT);
  unsigned char *q = arena_take (arena, ARENA_UNIT), outside;

  memset (p, 'x', 10 * ARENA_UNIT);
  assert_false (arena_give (arena, p + 1));
  assert_false (arena_give (arena, p + ARENA_UNIT));
  assert_false (arena_give (arena, p + 9 * ARENA_UNIT));
  assert_false (arena_give (arena, NULL));
  assert_false (arena_give (arena, &outside));
  assert_false (arena_has (arena, &outside));
  assert_true (arena_has (arena, p + 1));
  assert_int_equal (p[9 * ARENA_UNIT], 'x');
  assert_true (arena_give (arena, p));
  assert_false (arena_give (arena, p));
  /* Also when it has become part of another run. */
  assert_true (arena_give (arena, q));
  assert_false (arena_give (arena, q));
  assert_int_equal (arena_used (arena), 0);
}

/* Random sizes at random times: blocks keep what is in them, and at the end
 * nothing is lost.
 */
static void
random_work (struct arena *arena, unsigned seed)
{
  struct { unsigned char *p, c; size_t size; } blocks[200] = { { NULL, 0, 0 } };
  size_t i, j, round;

  for (round = 0; round < 20000; ++round) {
    i = rand_r (&seed) % 200;
    if (blocks[i].p) {
      for (j = 0; j < blocks[i].size; ++j)
        if (blocks[i].p[j] != blocks[i].c)
          __builtin_trap ();
      if (!arena_give (arena, blocks[i].p))
        __builtin_trap ();
      blocks[i].p = NULL;
    }
    else {
      blocks[i].size = 1 + rand_r (&seed) % 900;
      blocks[i].c = 1 + rand_r (&seed) % 255;
      blocks[i].p = arena_take (arena, blocks[i].size);
      for (j = 0; blocks[i].p && j < blocks[i].size; ++j)
        if (blocks[i].p[j] != 0)
          __builtin_trap ();
      if (blocks[i].p)
        memset (blocks[i].p, blocks[i].c, blocks[i].size);
    }
  }
  for (i = 0; i < 200; ++i)
    if (blocks[i].p)
      arena_give (arena, blocks[i].p);
}

static void *
random_thread (void *arena)
{
  random_work (arena, (unsigned) (uintptr_t) &arena);
  return NULL;
}

static void
test_random_work (void **state)
{
  ARENA *arena = arena_new (SIZE);

  random_work (arena, 42);
  assert_int_equal (arena_used (arena), 0);
  assert_non_null (arena_take (arena, SIZE));
}

static void
test_threads (void **state)
{
  ARENA *arena = arena_new (4 * SIZE);
  pthread_t threads[3];
  size_t i;

  for (i = 0; i < 3; ++i)
    assert_int_equal (pthread_create (&threads[i], NULL, random_thread, arena),
                      0);
  for (i = 0; i < 3; ++i)
    pthread_join (threads[i], NULL);
  assert_int_equal (arena_used (arena), 0);
  assert_non_null (arena_take (arena, 4 * SIZE));
}

static void
test_pages_are_locked_and_hidden (void **state)
{
  ARENA *arena = arena_new (SIZE);
  char flags[256];

  vm_flags (arena_take (arena, 1), flags, sizeof flags);
  assert_contains (flags, " lo");
  assert_contains (flags, " dd");
  assert_contains (flags, " wf");
  assert_true (arena_is_safe (arena));
}

static void
test_only_the_end_is_locked (void **state)
{
  struct pages pages;
  char flags[256];

  assert_int_equal (pages_map (&pages, 16 * 4096, 4096), 0);
  assert_int_equal (pages.locked, 4096);
  vm_flags (pages.start + pages.size - 1, flags, sizeof flags);
  assert_contains (flags, " lo");
  vm_flags (pages.start, flags, sizeof flags);
  assert_null (strstr (flags, " lo"));
  assert_contains (flags, " dd");
  pages_unmap (&pages);
  assert_null (pages.start);
}

/* How a child ends that does this with the pages. */
static int
child_status (void (*function) (const struct pages *pages),
              const struct pages *pages)
{
  int status;
  pid_t pid;

  fflush (NULL);
  pid = fork ();
  if (pid == 0) {
    signal (SIGSEGV, SIG_DFL);
    function (pages);
    _exit (EXIT_SUCCESS);
  }
  assert_int_equal (waitpid (pid, &status, 0), pid);
  return status;
}

static void
find_zeroes (const struct pages *pages)
{
  size_t i;

  for (i = 0; i < pages->size; ++i)
    if (pages->start[i] != 0)
      _exit (EXIT_FAILURE);
}

static void
write_before (const struct pages *pages)
{
  *(volatile unsigned char *) (pages->start - 1) = 1;
}

static void
write_after (const struct pages *pages)
{
  *(volatile unsigned char *) (pages->start + pages->size) = 1;
}

static void
test_pages_are_empty_in_a_child (void **state)
{
  struct pages pages;

  assert_int_equal (pages_map (&pages, 4096, 4096), 0);
  memset (pages.start, 'x', pages.size);
  assert_int_equal (child_status (find_zeroes, &pages), 0);
  assert_int_equal (pages.start[0], 'x');
  pages_unmap (&pages);
}

/* A sanitizer exits instead. */
static void
test_guard_pages (void **state)
{
  struct pages pages;

  assert_int_equal (pages_map (&pages, 100, 0), 0);
  pages.start[pages.size - 1] = 1;
  assert_int_not_equal (child_status (write_before, &pages), 0);
  assert_int_not_equal (child_status (write_after, &pages), 0);
  pages_unmap (&pages);
}

static void
test_too_many_pages (void **state)
{
  struct pages pages;

  assert_int_equal (pages_map (&pages, SIZE_MAX - 5000, 0), -1);
  assert_null (pages.start);
}

int
main (void)
{
  const struct CMUnitTest arena[] = {
    cmocka_unit_test (test_blocks_are_aligned),
    cmocka_unit_test (test_blocks_are_zero),
    cmocka_unit_test (test_used_and_size),
    cmocka_unit_test (test_all_of_it_in_one_piece),
    cmocka_unit_test (test_neighbours_become_one),
    cmocka_unit_test (test_exhaustion),
    cmocka_unit_test (test_not_a_block),
    cmocka_unit_test (test_random_work),
    cmocka_unit_test (test_threads),
    cmocka_unit_test (test_pages_are_locked_and_hidden),
    cmocka_unit_test (test_only_the_end_is_locked),
    cmocka_unit_test (test_pages_are_empty_in_a_child),
    cmocka_unit_test (test_guard_pages),
    cmocka_unit_test (test_too_many_pages),
  };

  return run_unit_tests (arena);
}
