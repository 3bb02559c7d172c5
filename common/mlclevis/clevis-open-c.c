/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A key for libguestfs: the one moment at which this process has it, and the
 * one place where a key leaves locked memory.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/secret.h"
#include "clevis-stubs.h"

/* From this version on a Key parameter may say how it is encoded. */
static const struct guestfs_version prefixes_since = {
  .major = 1, .minor = 59, .release = 7,
};

static bool
takes_prefixes (const struct guestfs_version *version)
{
  const struct guestfs_version *since = &prefixes_since;

  if (version->major != since->major)
    return version->major > since->major;
  if (version->minor != since->minor)
    return version->minor > since->minor;
  return version->release >= since->release;
}

static bool
begins_with (const struct secret *key, const char *prefix)
{
  const size_t len = strlen (prefix);

  return key->len >= len && memcmp (key->data, prefix, len) == 0;
}

static struct secret *
prefixed (const struct secret *key, const char *prefix)
{
  const size_t len = strlen (prefix);
  struct secret *r = secret_new (len + key->len);

  if (r != NULL) {
    memcpy (r->data, prefix, len);
    memcpy (r->data + len, key->data, key->len);
  }
  return r;
}

static struct secret *
in_base64 (const struct secret *key)
{
  static const char prefix[] = "base64:";
  const size_t len = sizeof prefix - 1;
  struct secret *r = secret_new (len + 4 * ((key->len + 2) / 3));

  if (r != NULL) {
    memcpy (r->data, prefix, len);
    EVP_EncodeBlock (r->data + len, key->data, key->len);
  }
  return r;
}

/* The key in the form that this libguestfs takes for it: most often just its
 * bytes.  Returns NULL with CLEVIS_ERR_UNSUPPORTED or _SYSTEM.
 */
static struct secret *
key_for_guestfs (guestfs_h *g, const struct secret *key,
                 struct clevis_error *err)
{
  const bool has_nul = memchr (key->data, '\0', key->len) != NULL;
  const bool ambiguous = begins_with (key, "text:") ||
    begins_with (key, "base64:");
  struct guestfs_version *version;
  struct secret *r;

  if (!has_nul && !ambiguous)
    r = secret_copy (key->data, key->len);
  else {
    version = guestfs_version (g);
    if (version == NULL) {
      clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                        "the version of libguestfs is not known");
      return NULL;
    }
    if (takes_prefixes (version))
      r = has_nul ? in_base64 (key) : prefixed (key, "text:");
    else if (has_nul) {
      clevis_error_set (err, CLEVIS_ERR_UNSUPPORTED,
                        "the passphrase contains a NUL byte, which libguestfs"
                        " %d.%d.%d does not take (1.59.7 does)",
                        (int) version->major, (int) version->minor,
                        (int) version->release);
      guestfs_free_version (version);
      return NULL;
    } else
      r = secret_copy (key->data, key->len);
    guestfs_free_version (version);
  }

  if (r == NULL)
    clevis_error_set (err, CLEVIS_ERR_SYSTEM, "locked memory is exhausted");
  return r;
}

static int
open_device (guestfs_h *g, const char *key, bool readonly, const char *device,
             const char *mapname)
{
#ifdef HAVE_GUESTFS_CRYPTSETUP_OPEN
  return guestfs_cryptsetup_open (g, device, key, mapname,
                                  GUESTFS_CRYPTSETUP_OPEN_READONLY,
                                  (int) readonly,
                                  GUESTFS_CRYPTSETUP_OPEN_CRYPTTYPE, "luks",
                                  -1);
#else
  return readonly ?
    guestfs_luks_open_ro (g, device, key, mapname) :
    guestfs_luks_open (g, device, key, mapname);
#endif
}

extern value nbde_key_open_device (value pointerv, value keyv, value readonlyv,
                                   value devicev, value mapnamev);

value
nbde_key_open_device (value pointerv, value keyv, value readonlyv,
                      value devicev, value mapnamev)
{
  CAMLparam5 (pointerv, keyv, readonlyv, devicev, mapnamev);
  guestfs_h *g = (guestfs_h *) (intptr_t) Int64_val (pointerv);
  struct vault_key *key = stub_get_key (keyv);
  const bool readonly = Bool_val (readonlyv);
  char *device = caml_stat_strdup (String_val (devicev));
  char *mapname = caml_stat_strdup (String_val (mapnamev));
  struct clevis_error err = CLEVIS_ERROR_INIT;
  struct secret *lent, *copy = NULL;
  int r = -1;

  /* The callbacks of libguestfs expect the runtime lock to be released. */
  caml_enter_blocking_section ();
  lent = vault_key_lend (key, &err);
  if (lent != NULL)
    copy = key_for_guestfs (g, lent, &err);
  secret_free (lent);
  if (copy != NULL)
    r = open_device (g, (const char *) copy->data, readonly, device, mapname);
  secret_free (copy);
  if (err.code != CLEVIS_OK && err.device == NULL)
    err.device = strdup (device);
  caml_leave_blocking_section ();

  caml_stat_free (device);
  caml_stat_free (mapname);
  if (err.code != CLEVIS_OK)
    stub_raise_error (&err);
  if (r == -1)
    stub_raise_guestfs_error (g);
  CAMLreturn (Val_unit);
}
