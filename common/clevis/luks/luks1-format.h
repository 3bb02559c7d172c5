/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A LUKS1 header as it is on the device (LUKS On-Disk Format Specification
 * 1.2.3, section 2.1.1), and what Clevis adds to it.  All numbers are big
 * endian.
 */

#ifndef CLEVIS_LUKS1_FORMAT_H
#define CLEVIS_LUKS1_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define LUKS1_MAGIC "LUKS\xba\xbe"
#define LUKS1_KEYSLOTS 8
#define LUKS1_SECTOR 512                /* bytes; offsets are in these */

#define LUKS1_KEYSLOT_ACTIVE 0x00ac71f3
#define LUKS1_KEYSLOT_INACTIVE 0x0000dead

struct luks1_keyslot {
  uint32_t active;                      /* one of the two above */
  uint32_t iterations;
  unsigned char salt[32];
  uint32_t area_offset;                 /* sectors */
  uint32_t stripes;
};

struct luks1_header {
  char magic[6];
  uint16_t version;
  char cipher[32];                      /* texts end with a zero byte */
  char cipher_mode[32];
  char hash[32];
  uint32_t payload_offset;              /* sectors; 0: a detached header */
  uint32_t key_size;                    /* bytes */
  unsigned char digest[20];             /* of the volume key */
  unsigned char digest_salt[32];
  uint32_t digest_iterations;
  char uuid[40];
  struct luks1_keyslot keyslots[LUKS1_KEYSLOTS];
};

_Static_assert (offsetof (struct luks1_header, payload_offset) == 104 &&
                offsetof (struct luks1_header, digest_iterations) == 164 &&
                offsetof (struct luks1_header, keyslots) == 208 &&
                sizeof (struct luks1_keyslot) == 48 &&
                sizeof (struct luks1_header) == 592,
                "a LUKS1 header has no gaps");

/* Marks what Clevis keeps in luksmeta (clevis-luks-bind(1)):
 * cb6e8904-81ff-40da-a84a-07ab9ab5715e.
 */
#define LUKS1_CLEVIS_UUID {                                             \
    0xcb, 0x6e, 0x89, 0x04, 0x81, 0xff, 0x40, 0xda,                     \
    0xa8, 0x4a, 0x07, 0xab, 0x9a, 0xb5, 0x71, 0x5e                      \
  }

#endif /* CLEVIS_LUKS1_FORMAT_H */
