/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * An allocator for small secrets in one mapping of pages.h, which does not
 * grow.  What it notes of its blocks is elsewhere, so a block that is
 * overrun cannot mislead it.  May be used by several threads.
 */

#ifndef CLEVIS_ARENA_H
#define CLEVIS_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena;

/* Blocks are multiples of so many bytes, and so aligned. */
#define ARENA_UNIT 32

/* A new arena of size bytes, or NULL if there is no memory. */
extern struct arena *arena_new (size_t size);

/* Unmap it; what was in it is wiped.  May be NULL. */
extern void arena_free (struct arena *arena);

/* Is all of it locked, left out of dumps and empty in child processes? */
extern bool arena_is_safe (const struct arena *arena);

/* size zero bytes, or NULL if that is more than there is in one piece.  No
 * bytes are a block, too.
 */
extern void *arena_take (struct arena *arena, size_t size);

/* Wipe a block and give it back.  Returns false, and does nothing, if p is not
 * a block: it was given back before, or is none of ours.
 */
extern bool arena_give (struct arena *arena, void *p);

/* Is p in this arena? */
extern bool arena_has (const struct arena *arena, const void *p);

/* Bytes of a block of the caller's, at least what was asked for; 0 if p is not
 * a block.
 */
extern size_t arena_size (const struct arena *arena, const void *p);

/* Bytes of the whole arena. */
extern size_t arena_total (const struct arena *arena);

/* Bytes of all blocks. */
extern size_t arena_used (struct arena *arena);

#endif /* CLEVIS_ARENA_H */
