/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Pins that this host cannot answer, because what they ask is inside the
 * machine that the guest runs on (a TPM, a smart card) or is not known.  They
 * are shown with their public parameters; sss pins may do without them.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "pins/pin.h"

/* For each known pin: why it cannot be answered, and those of its parameters
 * that are no key material.  Others are never shown.
 */
static const struct unsupported {
  const char *name;
  const char *why;
  const char *params[6];
} unsupported[] = {
  { "tpm2", N_("it asks the TPM 2.0 of the machine that the guest was bound "
               "on"),
    { "hash", "key", "pcr_bank", "pcr_ids", "pcr_digest" } },
  { "tpm1", N_("it asks the TPM 1.2 of the machine that the guest was bound "
               "on"),
    { "hash", "key", "pcr_bank", "pcr_ids" } },
  { "pkcs11", N_("it asks a PKCS#11 token of the machine that the guest was "
                 "bound on"),
    { "uri", "mechanism" } },
  { "yubikey", N_("it asks a YubiKey"), { "slot", "type" } },
  { "file", N_("it reads a file of the guest's initramfs, and no path of a "
               "disk is opened here"),
    { "name" } },
  { "remote", N_("it waits for a server to connect to the guest"),
    { "port" } },
  { "trustee", N_("it attests the machine that the guest runs on"),
    { "servers", "path" } },
};

static const struct unsupported *
find_unsupported (const char *name)
{
  size_t i;

  for (i = 0; i < sizeof unsupported / sizeof unsupported[0]; ++i)
    if (strcmp (unsupported[i].name, name) == 0)
      return &unsupported[i];
  return NULL;
}

/* Cut the PIN out of a PKCS#11 URI (RFC 7512: pin-value, pin-source). */
static void
cut_pin (char *uri)
{
  char *pin, *end;

  while ((pin = strstr (uri, "pin-")) != NULL) {
    end = pin + strcspn (pin, ";?&");
    memmove (pin, end, strlen (end) + 1);
    /* What is left must not match again. */
    uri = pin;
  }
}

static int
show_param (struct pin *pin, const char *name, const json_t *value,
            struct clevis_error *err)
{
  CLEANUP_FREE char *text = NULL;

  text = json_is_string (value) ? strdup (json_string_value (value))
    : json_dumps (value, JSON_ENCODE_ANY | JSON_COMPACT);
  if (text == NULL)
    return clevis_error_errno (err, errno, _("pin"));
  if (strcmp (name, "uri") == 0)
    cut_pin (text);
  return pin_add_param (pin, name, text, err);
}

static int
parse (struct pin *pin, const json_t *config, struct clevis_error *err)
{
  const struct unsupported *f = find_unsupported (pin->name);
  const json_t *value;
  size_t i;

  for (i = 0; f && f->params[i]; ++i) {
    value = json_object_get (config, f->params[i]);
    if (value && show_param (pin, f->params[i], value, err) == -1)
      return -1;
  }
  return clevis_error_set (err, CLEVIS_ERR_UNSUPPORTED,
                           _("the pin \"%s\" cannot be answered here: %s"),
                           pin->name, f ? _(f->why) : _("it is not known"));
}

const struct pin_type pin_unsupported_type = {
  .name = "unsupported",
  .parse = parse,
};
