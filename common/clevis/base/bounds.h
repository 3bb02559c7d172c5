/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The limits on what a disk or a server may say, in one place.  Each number
 * from outside is compared with one of these before it is used.  They are
 * above anything that the reference tools write, and below what could hurt.
 */

#ifndef CLEVIS_BOUNDS_H
#define CLEVIS_BOUNDS_H

#define KIB 1024ULL
#define MIB (1024 * KIB)

/* LUKS2 has two metadata areas of 16 KiB to 4 MiB each (section 2.1). */
#define BOUND_LUKS2_METADATA (4 * MIB)

/* JSON values in both metadata areas together.  32 keyslots and 32 tokens of
 * Clevis have some two thousand; each takes 700 bytes of memory once it is
 * read, so that 4 MiB of them would take a gigabyte.
 */
#define BOUND_LUKS2_VALUES 16384

/* Least bytes of a digest of the volume key: those of LUKS1 have 20. */
#define BOUND_DIGEST_MIN 20

/* Largest keyslots area that cryptsetup makes (LUKS2_MAX_KEYSLOTS_SIZE). */
#define BOUND_LUKS2_KEYSLOTS (128 * MIB)

/* A LUKS1 header with eight keyslots is 2 MiB; alignment of the payload can
 * make the gap larger.
 */
#define BOUND_LUKS1_HEADER (16 * MIB)

/* One extent to fetch; a message of libguestfs holds less than 4 MiB. */
#define BOUND_EXTENT (2 * MIB)

/* Data of an opened device that are decrypted in one call.  Labels, tables and
 * superblocks, which is what is looked for, are within some hundred KiB.
 */
#define BOUND_DECRYPT (1 * MIB)

/* Bytes of a volume key: cryptsetup makes at most 64, and accepts no more than
 * 512 (MAX_KEY_SIZE in its LUKS code).
 */
#define BOUND_VOLUME_KEY 512

/* Cost of one keyslot.  cryptsetup calibrates for 2 seconds, which gives
 * some 10 million pbkdf2 iterations on the fastest processors of today and
 * argon2 with at most 1 GiB; 4 GiB is the maximum of the format.  The
 * argon2 product (passes times memory) bounds the time.
 */
#define BOUND_PBKDF2_ITERATIONS 200000000U
#define BOUND_ARGON2_MEMORY (4 * 1024 * 1024U)          /* KiB */
#define BOUND_ARGON2_WORK (256 * 1024 * 1024ULL)        /* KiB x passes */

/* The part of the deadline that the key derivation of one device may take: one
 * third, so that one whose turn comes after the dearest keyslot of another
 * still has the same time.  With the default deadline that is 20 seconds, some
 * ten times what cryptsetup makes a keyslot cost.
 */
#define BOUND_KDF_SHARE 3

/* A JWE of a tang pin is about 2 KiB, and sss nests them in base64. */
#define BOUND_JWE (1 * MIB)

/* Bytes of a passphrase in a binding.  Clevis makes about 40, cryptsetup takes
 * at most 512 from a terminal.  Locked memory (4 MiB) has room for those of a
 * hundred devices with 32 bindings each.  A share of an sss pin has exactly
 * twice the size of its prime.
 */
#define BOUND_PASSPHRASE 512

/* The pin tree. */
#define BOUND_PIN_DEPTH 8
#define BOUND_PIN_CHILDREN 64
#define BOUND_PIN_TOTAL 256
#define BOUND_PIN_NAME 64
#define BOUND_URL 2048
#define BOUND_ADV_KEYS 64
#define BOUND_SSS_PRIME_BITS 521

/* sss pins in one binding: each costs a test of its prime when the token is
 * read (a third of a millisecond).  A tree as deep as it may be has seven.
 */
#define BOUND_PIN_SSS 8

/* Keys that sign an advertisement, and its signatures.  Tang has one signing
 * key, and a second one while keys are rotated.  Each signature is tried with
 * each key, so the square of this, times half a millisecond, is how long a
 * server can keep the event loop from others.
 */
#define BOUND_ADV_SIGNERS 8

/* The name of a host as text and one of its labels (RFC 1035 section 2.3.4),
 * and the name of a network interface in an address's zone (IFNAMSIZ - 1).
 */
#define BOUND_HOST 253
#define BOUND_HOST_LABEL 63
#define BOUND_ZONE 15

/* Servers (by scheme, host and port) that one device may have asked.  Ten
 * times what anybody binds a disk to; each may take a thread for the resolver
 * and wait for all of its timeouts.  Those that the policy refuses do not
 * count.
 */
#define BOUND_ORIGINS 32

/* Requests under way in one run, of all devices together.  Each takes up to
 * three descriptors (a socket, and a pair for the resolver's thread); with the
 * usual limit of 1024 that leaves room for the disks and the appliance.
 */
#define BOUND_TRANSFERS 128
#define BOUND_TRANSFER_FILES 3

/* What a server may send. */
#define BOUND_REPLY_BODY (64 * KIB)
#define BOUND_REPLY_HEADERS (64 * KIB)
#define BOUND_RETRY_AFTER 3600  /* seconds */

/* A folder with Tang's keys: the user's own, so these catch mistakes. */
#define BOUND_KEY_FILE (64 * KIB)
#define BOUND_KEY_FILES 1024

/* A file of offline requests or replies; one takes about 500 bytes. */
#define BOUND_OFFLINE_FILE (64 * MIB)

/* Requests in such a file. */
#define BOUND_REQUESTS (64 * 1024)

#endif /* CLEVIS_BOUNDS_H */
