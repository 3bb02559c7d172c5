/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What the files luks*.c share.  Nobody else includes this.
 */

#ifndef CLEVIS_LUKS_PRIVATE_H
#define CLEVIS_LUKS_PRIVATE_H

#include <libcryptsetup.h>

#include "luks/luks.h"

/* LUKS2 has at most 32 of each (LUKS2_KEYSLOTS_MAX, LUKS2_TOKENS_MAX). */
#define LUKS_KEYSLOTS_MAX 32
#define LUKS_TOKENS_MAX 32

enum luks_step {
  STEP_START,              /* nothing was asked for yet */
  STEP_PRIMARY,            /* the first 4 KiB */
  STEP_SECONDARY,          /* 4 KiB at each place of a secondary header */
  STEP_LOAD,               /* the metadata is here: load it */
  STEP_READY,              /* bindings known, keyslot areas are here */
  STEP_NONE,
};

struct luks {
  char *device;
  uint64_t size;           /* bytes of the device */
  int fd;                  /* sparse memory file, a copy of the header */
  bool again;              /* a copy of one that was loaded */
  struct crypt_device *cd;
  enum luks_step step;
  uint64_t secondary;      /* offset being looked at in STEP_SECONDARY */
  uint64_t metadata;       /* bytes of a LUKS2 metadata area */

  /* Extents still to be fetched, in order; next to come is wanted[0]. */
  struct luks_extent *wanted;
  size_t nr_wanted;

  json_t *json;            /* LUKS2 metadata, as libcryptsetup read it */
  char *log;               /* last error message of libcryptsetup */

  struct luks_info info;
  struct luks_keyslot keyslots[LUKS_KEYSLOTS_MAX];
  size_t nr_keyslots;
  struct luks_token tokens[LUKS_TOKENS_MAX];
  size_t nr_tokens;
  uint32_t digest_iterations; /* largest of the header's digests */
  double digest_seconds;   /* what the dearest of them costs, see luks_cost */

  /* The volume key, if a keyslot has been verified and it, or the digest, is not
   * cheap: the quick header needs it, and would pay for the keyslot once more.
   */
  struct secret *volume_key;

  /* Owners of strings and arrays that info, keyslots and tokens point to. */
  void **owned;
  size_t nr_owned;
};

/* Put the extent on the list of those to fetch, in pieces.  Returns -1 with
 * CLEVIS_ERR_SYSTEM.
 */
extern int luks_want (struct luks *luks, uint64_t offset, uint64_t length,
                      struct clevis_error *err);

/* Let luks own p, so that it is freed with it.  Returns p; NULL (and p freed)
 * if memory is short.
 */
extern void *luks_own (struct luks *luks, void *p);
extern const char *luks_own_printf (struct luks *luks, const char *fmt, ...)
  __attribute__ ((format (printf, 2, 3)));

/* Let libcryptsetup load the header that was collected, and read it. */
extern int luks_load (struct luks *luks, struct clevis_error *err);

/* Release what libcryptsetup has of it. */
extern void luks_close (struct luks *luks);

/* A log callback of libcryptsetup, whose opaque is the luks, or NULL. */
extern void luks_keep_log (int level, const char *msg, void *opaque);

/* From a loaded header, fill in info, keyslots and tokens and luks_want the
 * keyslot areas that verification will read.
 */
extern int luks1_read (struct luks *luks, struct clevis_error *err);
extern int luks2_read (struct luks *luks, struct clevis_error *err);

/* Is none of the limits of a keyslot exceeded, so that luks_verify derives a key
 * for it?
 */
extern bool luks_may_be_tried (const struct luks *luks,
                               const struct luks_keyslot *k);

/* Note a digest of the volume key: pbkdf2 with this hash.  hash may be NULL. */
extern void luks_note_digest (struct luks *luks, const char *hash,
                              uint32_t iterations);

/* Is it a hash that every libcryptsetup computes? */
extern bool luks_knows_hash (const char *hash);

/* Does opening this keyslot cost next to nothing?  And the comparison with the
 * header's dearest digest, which follows?
 */
extern bool luks_is_cheap (const struct luks_keyslot *k);
extern bool luks_digest_is_cheap (const struct luks *luks);

/* Mark each Clevis token that cannot serve as stale. */
extern int luks_mark_stale (struct luks *luks, struct clevis_error *err);

#endif /* CLEVIS_LUKS_PRIVATE_H */
