/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The allocator.  The mapping is a row of runs of units; each run is either a
 * block or free, and no two free runs are neighbours.  Free runs are in lists
 * by the logarithm of their length, so that one which is long enough is found
 * at once, except among those of nearly the same length.
 */

#include <config.h>

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/pages.h"

#if defined __has_feature
# if __has_feature (address_sanitizer)
#  define WITH_ASAN 1
# endif
#endif
#if defined __SANITIZE_ADDRESS__
# define WITH_ASAN 1
#endif
#if defined WITH_ASAN
# include <sanitizer/lsan_interface.h>
#endif

#define NR_LISTS 32

/* No unit: the end of a list. */
#define NONE UINT32_MAX

/* What is known of a unit.  All is zero unless a run begins or ends here. */
struct unit {
  uint32_t length;         /* of the run that begins here, in units */
  uint32_t behind;         /* of the run that ends here */
  uint32_t next, prev;     /* of a free run that begins here: its list */
  bool used;               /* the run that begins here is a block */
};

struct arena {
  pthread_mutex_t lock;
  struct pages pages;
  struct unit *units;
  uint32_t nr_units;
  uint32_t lists[NR_LISTS];
  size_t used;             /* bytes */
};

static unsigned
list_of (uint32_t length)
{
  return 31 - __builtin_clz (length);
}

/* Note a run.  Its units were those of other runs, which were forgotten. */
static void
note (struct arena *arena, uint32_t first, uint32_t length, bool used)
{
  arena->units[first].length = length;
  arena->units[first].used = used;
  arena->units[first + length - 1].behind = length;
}

static void
forget (struct arena *arena, uint32_t first)
{
  struct unit *unit = &arena->units[first];

  arena->units[first + unit->length - 1].behind = 0;
  unit->length = 0;
  unit->used = false;
}

static void
list_add (struct arena *arena, uint32_t first)
{
  struct unit *unit = &arena->units[first];
  uint32_t *head = &arena->lists[list_of (unit->length)];

  unit->prev = NONE;
  unit->next = *head;
  if (*head != NONE)
    arena->units[*head].prev = first;
  *head = first;
}

static void
list_remove (struct arena *arena, uint32_t first)
{
  const struct unit *unit = &arena->units[first];

  if (unit->next != NONE)
    arena->units[unit->next].prev = unit->prev;
  if (unit->prev != NONE)
    arena->units[unit->prev].next = unit->next;
  else
    arena->lists[list_of (unit->length)] = unit->next;
}

static void
add_free (struct arena *arena, uint32_t first, uint32_t length)
{
  note (arena, first, length, false);
  list_add (arena, first);
}

struct arena *
arena_new (size_t size)
{
  struct arena *arena = calloc (1, sizeof *arena);
  unsigned i;

  if (arena == NULL)
    return NULL;
  if (size > UINT32_MAX || pages_map (&arena->pages, size, size) == -1) {
    free (arena);
    return NULL;
  }
  arena->nr_units = arena->pages.size / ARENA_UNIT;
  arena->units = calloc (arena->nr_units, sizeof *arena->units);
  if (arena->units == NULL) {
    pages_unmap (&arena->pages);
    free (arena);
    return NULL;
  }
  pthread_mutex_init (&arena->lock, NULL);
  for (i = 0; i < NR_LISTS; ++i)
    arena->lists[i] = NONE;
  add_free (arena, 0, arena->nr_units);
#if defined WITH_ASAN
  __lsan_register_root_region (arena->pages.start, arena->pages.size);
#endif
  return arena;
}

void
arena_free (struct arena *arena)
{
  if (arena == NULL)
    return;
#if defined WITH_ASAN
  __lsan_unregister_root_region (arena->pages.start, arena->pages.size);
#endif
  pages_wipe (&arena->pages);
  pages_unmap (&arena->pages);
  pthread_mutex_destroy (&arena->lock);
  free (arena->units);
  free (arena);
}

bool
arena_is_safe (const struct arena *arena)
{
  return arena->pages.hidden && arena->pages.locked == arena->pages.size;
}

/* The first free run that has so many units, or NONE. */
static uint32_t
find (const struct arena *arena, uint32_t length)
{
  unsigned list = list_of (length);
  uint32_t first = arena->lists[list];

  while (first != NONE && arena->units[first].length < length)
    first = arena->units[first].next;
  while (first == NONE && ++list < NR_LISTS)
    first = arena->lists[list];
  return first;
}

static uint32_t
take (struct arena *arena, uint32_t length)
{
  const uint32_t first = find (arena, length);
  uint32_t rest;

  if (first == NONE)
    return NONE;
  rest = arena->units[first].length - length;
  list_remove (arena, first);
  forget (arena, first);
  note (arena, first, length, true);
  if (rest > 0)
    add_free (arena, first + length, rest);
  arena->used += (size_t) length * ARENA_UNIT;
  return first;
}

void *
arena_take (struct arena *arena, size_t size)
{
  const size_t length = size == 0 ? 1 : (size - 1) / ARENA_UNIT + 1;
  uint32_t first;

  if (length > arena->nr_units)
    return NULL;
  pthread_mutex_lock (&arena->lock);
  first = take (arena, length);
  pthread_mutex_unlock (&arena->lock);
  return first == NONE ? NULL
    : arena->pages.start + (size_t) first * ARENA_UNIT;
}

bool
arena_has (const struct arena *arena, const void *p)
{
  const uintptr_t start = (uintptr_t) arena->pages.start;

  return (uintptr_t) p >= start && (uintptr_t) p - start < arena->pages.size;
}

/* The unit where the block p begins, or NONE. */
static uint32_t
block_at (const struct arena *arena, const void *p)
{
  size_t offset;

  if (!arena_has (arena, p))
    return NONE;
  offset = (const unsigned char *) p - arena->pages.start;
  if (offset % ARENA_UNIT != 0 || !arena->units[offset / ARENA_UNIT].used)
    return NONE;
  return offset / ARENA_UNIT;
}

/* Make the units free, as one run with the free runs beside them. */
static void
give (struct arena *arena, uint32_t first)
{
  uint32_t length = arena->units[first].length;
  uint32_t other = first + length;

  arena->used -= (size_t) length * ARENA_UNIT;
  forget (arena, first);
  if (other < arena->nr_units && !arena->units[other].used) {
    length += arena->units[other].length;
    list_remove (arena, other);
    forget (arena, other);
  }
  if (first > 0) {
    other = first - arena->units[first - 1].behind;
    if (!arena->units[other].used) {
      length += first - other;
      list_remove (arena, other);
      forget (arena, other);
      first = other;
    }
  }
  add_free (arena, first, length);
}

bool
arena_give (struct arena *arena, void *p)
{
  uint32_t first;

  pthread_mutex_lock (&arena->lock);
  first = block_at (arena, p);
  if (first != NONE) {
    explicit_bzero (p, (size_t) arena->units[first].length * ARENA_UNIT);
    give (arena, first);
  }
  pthread_mutex_unlock (&arena->lock);
  return first != NONE;
}

/* Without the lock: nobody else changes what is noted of a block. */
size_t
arena_size (const struct arena *arena, const void *p)
{
  const uint32_t first = block_at (arena, p);

  return first == NONE ? 0 : (size_t) arena->units[first].length * ARENA_UNIT;
}

size_t
arena_total (const struct arena *arena)
{
  return arena->pages.size;
}

size_t
arena_used (struct arena *arena)
{
  size_t used;

  pthread_mutex_lock (&arena->lock);
  used = arena->used;
  pthread_mutex_unlock (&arena->lock);
  return used;
}
