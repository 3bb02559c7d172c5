/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Keys by their thumbprint (RFC 7638), as "kid" of a tang pin has it: SHA-256,
 * or SHA-1 in old bindings, in base64url.
 *
 * Not to be called between secret_json_begin and secret_json_end, since libjose
 * releases a text that jansson has made with free.
 */

#ifndef CLEVIS_THUMBPRINT_H
#define CLEVIS_THUMBPRINT_H

#include <stdbool.h>
#include <jansson.h>

/* "S256" or "S1" by the length of kid, or NULL if it is no thumbprint. */
extern const char *thumbprint_alg (const char *kid);

/* Does the key have this thumbprint? */
extern bool thumbprint_is (const json_t *key, const char *kid);

/* The key of an array that has it; borrowed, or NULL. */
extern const json_t *thumbprint_find (const json_t *keys, const char *kid);

#endif /* CLEVIS_THUMBPRINT_H */
