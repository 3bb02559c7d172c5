/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The binary header of a LUKS2 metadata area as it is on the device (LUKS2
 * On-Disk Format Specification 1.1.1, section 2.1).  There are two areas, the
 * second right behind the first; in each, JSON text follows the header.  All
 * numbers are big endian.
 */

#ifndef CLEVIS_LUKS2_FORMAT_H
#define CLEVIS_LUKS2_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define LUKS2_MAGIC "LUKS\xba\xbe"
#define LUKS2_MAGIC_SECONDARY "SKUL\xba\xbe"

/* The least size of an area; others are this times a power of two. */
#define LUKS2_METADATA_MIN (16 * 1024)

struct luks2_header {
  char magic[6];
  uint16_t version;
  uint64_t size;                        /* bytes of the area */
  uint64_t sequence;
  char label[48];                       /* texts end with a zero byte */
  char checksum_hash[32];
  unsigned char salt[64];
  char uuid[40];
  char subsystem[48];
  uint64_t offset;                      /* bytes from the device's start */
  char padding[184];
  unsigned char checksum[64];           /* over the area, itself as zeroes */
  char more_padding[7 * 512];
};

/* Where the JSON begins in an area. */
#define LUKS2_JSON_OFFSET (sizeof (struct luks2_header))

_Static_assert (offsetof (struct luks2_header, checksum_hash) == 72 &&
                offsetof (struct luks2_header, offset) == 256 &&
                offsetof (struct luks2_header, checksum) == 448 &&
                LUKS2_JSON_OFFSET == 4096,
                "a LUKS2 binary header has no gaps");

#endif /* CLEVIS_LUKS2_FORMAT_H */
