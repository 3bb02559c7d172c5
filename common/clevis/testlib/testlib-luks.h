/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * For the unit tests: LUKS devices in files, made by libcryptsetup and
 * libluksmeta in the process, with keyslots that cost next to nothing; and
 * what can be done to them with an editor of bytes.
 */

#ifndef CLEVIS_TESTLIB_LUKS_H
#define CLEVIS_TESTLIB_LUKS_H

#include <jansson.h>

#include "luks/luks.h"

/* Make a device.  Each passphrase (up to NULL) gets the next keyslot.
 *
 *   metadata  bytes of a LUKS2 metadata area: 16 KiB, 32 KiB, ... 4 MiB
 */
extern void make_luks1 (const char *file, const char *const *passphrases);
extern void make_luks2 (const char *file, const char *const *passphrases,
                        uint64_t metadata);

/* Add a LUKS2 keyslot whose key is not that of the data. */
extern void add_unbound_keyslot (const char *file, int slot,
                                 const char *passphrase, size_t key_size);

/* Put a JWE on a device as clevis-luks-bind(1) does: in a LUKS2 token, or in
 * the luksmeta slot of the keyslot.
 */
extern void bind_luks (const char *file, int keyslot, const json_t *jwe);

/* The same for a JWE of a passphrase with a tang pin, or with an sss pin over a
 * tang pin for each URL.  All servers have that key.
 */
extern void bind_luks_tang (const char *file, int keyslot, const json_t *key,
                            const char *url, const char *passphrase);
extern void bind_luks_sss (const char *file, int keyslot, const json_t *key,
                           int t, const char *const *urls, size_t n,
                           const char *passphrase);

/* Add any LUKS2 token. */
extern void add_token (const char *file, const json_t *token);

/* Change the JSON of both LUKS2 headers and put their checksums right. */
extern void edit_luks2 (const char *file,
                        void (*edit) (json_t *json, void *opaque),
                        void *opaque);

/* Write bytes at an offset of a file; the second reads one. */
extern void poke (const char *file, uint64_t offset, const void *data,
                  size_t len);
extern unsigned char peek_byte (const char *file, uint64_t offset);

/* Fill with zeroes. */
extern void wipe (const char *file, uint64_t offset, size_t len);

/* Read a header as a caller of luks.h does, until something else than
 * LUKS_NEED is returned.  luks_free it.
 */
extern struct luks *load_luks (const char *file, enum luks_state *state,
                               struct clevis_error *err);

/* The same for one that must be good. */
extern struct luks *ready_luks (const char *file);

#endif /* CLEVIS_TESTLIB_LUKS_H */
