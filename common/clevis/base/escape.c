/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Escaping of hostile names.  Decides byte sequences, prints nothing.
 */

#include <config.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/escape.h"

/* Decode one UTF-8 character (RFC 3629).  Returns its length and sets *cp, or
 * 0 if the bytes are not valid.
 */
static size_t
decode (const unsigned char *s, size_t len, uint32_t *cp)
{
  static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
  size_t n, i;

  if (s[0] < 0x80) {
    *cp = s[0];
    return 1;
  }
  if ((s[0] & 0xe0) == 0xc0)
    n = 2;
  else if ((s[0] & 0xf0) == 0xe0)
    n = 3;
  else if ((s[0] & 0xf8) == 0xf0)
    n = 4;
  else
    return 0;
  if (n > len)
    return 0;

  *cp = s[0] & (0xff >> (n + 1));
  for (i = 1; i < n; ++i) {
    if ((s[i] & 0xc0) != 0x80)
      return 0;
    *cp = *cp << 6 | (s[i] & 0x3f);
  }
  if (*cp < least[n] || *cp > 0x10ffff || (*cp >= 0xd800 && *cp <= 0xdfff))
    return 0;
  return n;
}

static bool
harmless (uint32_t cp)
{
  return cp >= 0x20 && !(cp >= 0x7f && cp <= 0x9f) && /* C0, DEL, C1 */
    cp != 0x061c && cp != 0x200e && cp != 0x200f &&   /* direction marks */
    !(cp >= 0x2028 && cp <= 0x202e) &&                /* separators, bidi */
    !(cp >= 0x2066 && cp <= 0x2069) &&                /* isolates */
    cp != 0xfeff;
}

void
escape_write (FILE *fp, const char *str)
{
  const unsigned char *s = (const unsigned char *) str;
  size_t len = strlen (str), n, i;
  uint32_t cp;

  for (; len > 0; s += n, len -= n) {
    n = decode (s, len, &cp);
    if (n == 1 && cp == '\\')
      fputs ("\\\\", fp);
    else if (n > 0 && harmless (cp))
      fwrite (s, 1, n, fp);
    else {
      n = n > 0 ? n : 1;
      for (i = 0; i < n; ++i)
        fprintf (fp, "\\x%02x", s[i]);
    }
  }
}
