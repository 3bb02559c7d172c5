/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A LUKS2 metadata area: a binary header (luks2-format.h), of which the
 * checksum matters here, and the JSON text behind it, filled up with zeroes
 * (LUKS2 on-disk format, section 2.2).  An area is aligned as calloc(3) does
 * it.
 */

#ifndef CLEVIS_LUKS_AREA_H
#define CLEVIS_LUKS_AREA_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

/* Is the checksum of this area of size bytes right?  The area is changed. */
extern bool luks_area_is_sound (unsigned char *area, size_t size);

/* At least so many JSON values are in size bytes, whatever they are: braces,
 * brackets, colons and commas are counted, those in strings as well.
 */
extern size_t luks_area_values (const unsigned char *area, size_t size);

/* The JSON of this area, which the caller releases; NULL if there is none. */
extern json_t *luks_area_json (const unsigned char *area, size_t size);

/* Set the checksum of this area, of the kind that it names.  Returns false if
 * OpenSSL does not know that.
 */
extern bool luks_area_seal (unsigned char *area, size_t size);

#endif /* CLEVIS_LUKS_AREA_H */
