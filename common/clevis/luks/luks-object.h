/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A header as an object: what is known of it, and who frees that.  Only the
 * files of this folder include it.  They are, each calling only those above:
 *
 *   luks-kdf luks-context luks-area   know no struct luks
 *   luks.c                            the object
 *   luks1.c luks2.c                   what is in a header that was loaded
 *   luks-load.c                       load it, or say what is wrong with it
 *   luks-collect.c luks-again.c       which bytes it takes; once more
 *   luks-cost.c                       what a keyslot costs
 *   luks-verify.c verify.c            try a keyslot; in threads
 *   luks-digest.c luks-quick.c        the quick header
 *   luks-data.c                       what is encrypted with the volume key
 *   luks-prepare.c                    what all of it opens
 */

#ifndef CLEVIS_LUKS_OBJECT_H
#define CLEVIS_LUKS_OBJECT_H

#include "luks/luks-context.h"
#include "luks/luks.h"

/* LUKS2 has at most 32 of each (LUKS2_KEYSLOTS_MAX, LUKS2_TOKENS_MAX). */
#define LUKS_KEYSLOTS_MAX 32
#define LUKS_TOKENS_MAX 32

/* How far luks_next has come. */
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
  struct luks_context context;
  enum luks_step step;
  uint64_t secondary;      /* offset being looked at in STEP_SECONDARY */
  uint64_t metadata;       /* bytes of a LUKS2 metadata area */

  /* Extents still to be fetched, in order; next to come is wanted[0]. */
  struct luks_extent *wanted;
  size_t nr_wanted;

  json_t *json;            /* LUKS2 metadata, as libcryptsetup read it */

  struct luks_info info;
  struct luks_keyslot keyslots[LUKS_KEYSLOTS_MAX];
  size_t nr_keyslots;
  struct luks_token tokens[LUKS_TOKENS_MAX];
  size_t nr_tokens;
  uint32_t digest_iterations; /* largest of the header's digests */
  double digest_seconds;   /* what the dearest of them costs, see luks_cost */

  /* The data: bytes, 0 if they go to the end of the device; and what keeps them
   * from being decrypted by us, or NULL.  luks-data.c has more to say of it.
   */
  uint64_t data_size;
  const char *data_obstacle;

  /* The volume key, if a keyslot has been verified and it, or the digest, is
   * not cheap: the quick header needs it, and would pay for the keyslot once
   * more.  Of others it is kept from the first time that data are decrypted.
   */
  struct secret *volume_key;

  /* Owners of strings and arrays that info, keyslots and tokens point to. */
  void **owned;
  size_t nr_owned;
};

/* A new object over a memory file, which it owns from now on (also if this
 * fails; -1 is taken for a failure).  Returns NULL with errno.
 */
extern struct luks *luks_new_over (const char *device, uint64_t size, int fd);

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

/* luks_verify, after which the volume key is there whatever it has cost. */
extern int luks_verify_and_keep (struct luks *luks, int slot,
                                 const struct secret *passphrase,
                                 struct clevis_error *err);

/* Note a digest of the volume key: pbkdf2 with this hash.  hash may be NULL. */
extern void luks_note_digest (struct luks *luks, const char *hash,
                              uint32_t iterations);

#endif /* CLEVIS_LUKS_OBJECT_H */
