/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A LUKS header, read without its device: the caller fetches the extents that
 * are asked for (from an appliance, a file, a network) and supplies the
 * bytes; they land in a sparse memory file that libcryptsetup opens as if it
 * were the device.  Nothing here reads or writes a guest's disk.
 *
 * Source: LUKS2 On-Disk Format Specification 1.1.1; LUKS On-Disk Format
 * Specification 1.2.3 (LUKS1); the layout of luksmeta(8).
 */

#ifndef CLEVIS_LUKS_H
#define CLEVIS_LUKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>

#include "base/clevis-error.h"
#include "base/secret.h"

struct luks;

/* A piece of the device, in bytes. */
struct luks_extent {
  uint64_t offset;
  uint64_t length;         /* at most 2 MiB, so that it fits in one message */
};

enum luks_state {
  LUKS_ERROR = -1,         /* not usable: err says why */
  LUKS_NEED,               /* fetch the extent and supply it, then ask again */
  LUKS_READY,              /* header loaded; the functions below may be used */
  LUKS_NONE,               /* not a LUKS device */
};

struct luks_keyslot {
  int slot;
  const char *kdf;         /* "pbkdf2", "argon2i", "argon2id" */
  const char *hash;        /* of pbkdf2, NULL for argon2 */
  uint32_t iterations;
  uint32_t memory;         /* KiB; 0 for pbkdf2 */
  uint32_t threads;        /* 0 for pbkdf2 */
  const char *cipher;      /* of the keyslot area: "aes-xts-plain64" */
  int key_size;            /* bytes of the volume key in it */
  uint32_t area_key_size;  /* bytes that the KDF makes, to decrypt its area */
  const char *priority;    /* "normal", "prefer", "ignore" */
  const char *refused;     /* why it is never used (a null cipher), or NULL */
};

struct luks_token {
  int id;                  /* LUKS2 token number or luksmeta slot */
  const char *type;        /* "clevis", "systemd-tpm2", "luks2-keyring", ... */
  const int *keyslots;     /* as the token names them */
  size_t nr_keyslots;
  const json_t *jwe;       /* of a Clevis token: string or object; or NULL */
  const json_t *json;      /* the whole LUKS2 token; NULL for LUKS1 */
  const char *stale;       /* why the token cannot serve ("keyslot 3 does not
                              exist"), or NULL */
};

struct luks_info {
  int version;             /* 1 or 2 */
  const char *uuid;
  const char *label;       /* "" if there is none */
  const char *cipher;      /* of the data: "aes-xts-plain64" */
  int key_size;            /* bytes of the volume key */
  int sector_size;         /* bytes of an encryption sector */
  uint64_t data_offset;    /* bytes from the start of the device */
  const char *note;        /* what is unusual ("primary header damaged, the
                              secondary was used"), or NULL */
};

/* Have libcryptsetup, and what it uses, open what they open when it is first
 * needed: a source of random numbers, the modules of OpenSSL, translations.
 * Afterwards the functions here and in luks-quick.h and verify.h open nothing
 * but memory files, by way of /proc/self/fd.  They make no socket but for a
 * keyslot whose area has a cipher that OpenSSL does not have (serpent,
 * twofish); without that, such a keyslot is an error.
 *
 * For a process that will soon be able to open no file; others need not call
 * it.  In that process itself, and as base_prepare says.  Returns 0, or -1
 * with CLEVIS_ERR_SYSTEM.
 */
extern int luks_prepare (struct clevis_error *err);

/* Start reading the header of a device.
 *
 *   device  its name, for messages only
 *   size    its size in bytes
 *
 * Returns NULL if memory is short.  Release with luks_free.
 */
extern struct luks *luks_new (const char *device, uint64_t size);
extern void luks_free (struct luks *luks);
extern const char *luks_device (const struct luks *luks);

/* What is to be done next.  While it returns LUKS_NEED, *ext is the extent to
 * fetch.  Errors: CLEVIS_ERR_HEADER (damaged, a null cipher, requirements that
 * are not known), CLEVIS_ERR_LIMIT, CLEVIS_ERR_SYSTEM.
 */
extern enum luks_state luks_next (struct luks *luks, struct luks_extent *ext,
                                  struct clevis_error *err);

/* Supply len bytes that start at offset of the device.  Fewer than were asked
 * for means that the device ends there.  The bytes are copied.
 * Returns 0, or -1: CLEVIS_ERR_SYSTEM.
 */
extern int luks_supply (struct luks *luks, uint64_t offset,
                        const void *data, size_t len,
                        struct clevis_error *err);

/* The same in two steps, for bytes that come in pieces: luks_put for each, then
 * luks_supplied when all of the extent is there.
 */
extern int luks_put (struct luks *luks, uint64_t offset, const void *data,
                     size_t len, struct clevis_error *err);
extern void luks_supplied (struct luks *luks);

/* What is in the header.  What is returned belongs to luks.  Only after
 * LUKS_READY.
 */
extern const struct luks_info *luks_info (const struct luks *luks);
extern const struct luks_keyslot *luks_keyslots (const struct luks *luks,
                                                 size_t *nr);
extern const struct luks_keyslot *luks_keyslot (const struct luks *luks,
                                                int slot);
extern const struct luks_token *luks_tokens (const struct luks *luks,
                                             size_t *nr);

/* Does keyslot slot, and no other, accept this passphrase?  Pays the KDF of
 * that keyslot (time and memory) on this host.
 *
 * Returns 0 if it does, -1 with CLEVIS_ERR_PASSPHRASE if it does not, or
 * CLEVIS_ERR_HEADER, CLEVIS_ERR_LIMIT (a KDF cost that no real header has)
 * or CLEVIS_ERR_SYSTEM.  Two threads may call it at a time, but not with
 * the same luks: see luks_again.
 */
extern int luks_verify (struct luks *luks, int slot,
                        const struct secret *passphrase,
                        struct clevis_error *err);

/* About how many seconds luks_verify takes for this keyslot on a processor of
 * today, the comparison with the digest and luks_again_load included.  Nothing
 * is measured, and nothing is derived.  0 for one that luks_verify refuses at
 * once, negative if there is none.
 */
extern double luks_cost (const struct luks *luks, int slot);

/* A loaded header once more, independent of the first one, so that another
 * thread may luks_again_load and luks_verify it.  Takes no time worth speaking
 * of.  Returns NULL with CLEVIS_ERR_SYSTEM.
 */
extern struct luks *luks_again (const struct luks *luks,
                                struct clevis_error *err);

/* Load what luks_again has returned.  Returns 0, or -1 with CLEVIS_ERR_SYSTEM
 * or CLEVIS_ERR_HEADER.
 */
extern int luks_again_load (struct luks *again, struct clevis_error *err);

/* Take what luks_verify found with such a copy, for luks-quick.h. */
extern void luks_adopt (struct luks *luks, struct luks *again);

#endif /* CLEVIS_LUKS_H */
