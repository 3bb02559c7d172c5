/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Try a keyslot.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "base/gettext-compat.h"
#include "luks/luks-cost.h"
#include "luks/luks-object.h"

/* Open the keyslot and compare the digest; the volume key that comes out is
 * kept if that was dear, or if it is wanted.  Returns as crypt_volume_key_get
 * does.
 */
static int
try_keyslot (struct luks *luks, const struct luks_keyslot *k,
             const struct secret *passphrase, bool is_wanted)
{
  SECRET_CRYPTSETUP_SCOPE;
  CLEANUP_SECRET struct secret *vk = NULL;
  size_t len = k->key_size;
  int r;

  vk = secret_new (len);
  if (vk == NULL)
    return -ENOMEM;
  r = crypt_volume_key_get (luks->context.cd, k->slot, (char *) vk->data, &len,
                            (const char *) passphrase->data, passphrase->len);
  if (r >= 0 && (is_wanted || !luks_is_cheap (k) ||
                 !luks_digest_is_cheap (luks))) {
    secret_free (luks->volume_key);
    luks->volume_key = vk;
    vk = NULL;
  }
  return r;
}

/* Does libcryptsetup have OpenSSL decrypt an area with this cipher?  For others
 * it makes a socket to the kernel (AF_ALG).
 */
static bool
is_of_openssl (const char *cipher)
{
  static const char *const known[] = {
    "aes-xts-", "aes-cbc-", "aes-ecb", "aes-ctr-", "camellia-cbc-",
  };
  size_t i;

  for (i = 0; i < sizeof known / sizeof known[0]; ++i)
    if (strncmp (cipher, known[i], strlen (known[i])) == 0)
      return true;
  return false;
}

static int
verify (struct luks *luks, int slot, const struct secret *passphrase,
        bool is_wanted, struct clevis_error *err)
{
  const struct luks_keyslot *k = luks_keyslot (luks, slot);
  int r;

  if (k == NULL)
    return clevis_error_set (err, CLEVIS_ERR_HEADER,
                             _("the keyslot does not exist"));
  if (k->refused)
    return clevis_error_set (err, CLEVIS_ERR_HEADER, "%s", k->refused);
  if (luks_check_cost (luks, k, err) == -1)
    return -1;

  r = try_keyslot (luks, k, passphrase, is_wanted);
  if (r >= 0)
    return 0;
  if (r == -EPERM) {
    clevis_error_set (err, CLEVIS_ERR_PASSPHRASE,
                      _("the keyslot does not accept the recovered "
                        "passphrase"));
    clevis_error_hint (err, _("The keyslot was changed after it was bound; "
                              "bind it again with clevis luks regen."));
    return -1;
  }
  clevis_error_set (err,
                    r == -ENOMEM ? CLEVIS_ERR_SYSTEM : CLEVIS_ERR_HEADER,
                    _("the keyslot cannot be read: %s"),
                    luks->context.log ? luks->context.log : strerror (-r));
  if (k->cipher && !is_of_openssl (k->cipher))
    clevis_error_hint (err, _("Its area is encrypted with %s, for which "
                              "libcryptsetup asks the kernel; where disks are "
                              "read, the kernel cannot be asked.  A keyslot "
                              "with aes-xts-plain64 can be bound instead."),
                       k->cipher);
  return -1;
}

int
luks_verify (struct luks *luks, int slot, const struct secret *passphrase,
             struct clevis_error *err)
{
  return verify (luks, slot, passphrase, false, err);
}

int
luks_verify_and_keep (struct luks *luks, int slot,
                      const struct secret *passphrase,
                      struct clevis_error *err)
{
  return verify (luks, slot, passphrase, true, err);
}
