/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Mapping, locking and wiping pages.
 */

#include <config.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/pages.h"

static size_t
page_size (void)
{
  return sysconf (_SC_PAGESIZE);
}

size_t
pages_limit (void)
{
  struct rlimit rlim;

  if (getrlimit (RLIMIT_MEMLOCK, &rlim) == -1)
    return 0;
  if (rlim.rlim_cur < rlim.rlim_max) {
    rlim.rlim_cur = rlim.rlim_max;
    setrlimit (RLIMIT_MEMLOCK, &rlim);
    getrlimit (RLIMIT_MEMLOCK, &rlim);
  }
  return rlim.rlim_cur > SIZE_MAX ? SIZE_MAX : rlim.rlim_cur;
}

/* A child, which libguestfs forks to start a program, gets empty pages: it
 * could still read others for as long as it lives, and they are not locked in
 * it.  Not MADV_DONTFORK, which would have a child crash that releases what it
 * has inherited; that is for kernels before 4.14.
 */
static bool
hide (const struct pages *pages)
{
  return madvise (pages->start, pages->size, MADV_DONTDUMP) == 0 &&
    (madvise (pages->start, pages->size, MADV_WIPEONFORK) == 0 ||
     madvise (pages->start, pages->size, MADV_DONTFORK) == 0);
}

/* Each page when it is first touched: there is nothing in it before, and most
 * never are.  Kernels before 4.4, and valgrind, know only all at once.
 */
static bool
lock (void *p, size_t size)
{
  if (mlock2 (p, size, MLOCK_ONFAULT) == 0)
    return true;
  return (errno == ENOSYS || errno == EINVAL) && mlock (p, size) == 0;
}

static size_t
lock_end (const struct pages *pages, size_t most)
{
  const size_t page = page_size ();
  size_t size = most < pages->size ? most : pages->size;

  for (size -= size % page; size > 0; size = size / 2 - size / 2 % page)
    if (lock (pages->start + pages->size - size, size))
      return size;
  return 0;
}

int
pages_map (struct pages *pages, size_t size, size_t most)
{
  const size_t page = page_size ();
  unsigned char *p;

  pages->start = NULL;
  if (size > SIZE_MAX - 3 * page) {
    errno = ENOMEM;
    return -1;
  }
  pages->size = size == 0 ? page : (size + page - 1) / page * page;
  p = mmap (NULL, pages->size + 2 * page, PROT_NONE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED)
    return -1;
  if (mprotect (p + page, pages->size, PROT_READ | PROT_WRITE) == -1) {
    munmap (p, pages->size + 2 * page);
    return -1;
  }
  pages->start = p + page;
  pages->hidden = hide (pages);
  pages->locked = lock_end (pages, most);
  return 0;
}

void
pages_wipe (struct pages *pages)
{
  explicit_bzero (pages->start, pages->size);
}

/* To unmap unlocks. */
void
pages_unmap (struct pages *pages)
{
  const size_t page = page_size ();

  munmap (pages->start - page, pages->size + 2 * page);
  pages->start = NULL;
}
