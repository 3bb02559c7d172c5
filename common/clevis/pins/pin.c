/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The tree of pins: how it is made from a JWE, and how the end of a pin
 * passes up to its parent.  What each kind of pin does is in pin-NAME.c.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "base/clock.h"
#include "base/gettext-compat.h"
#include "pins/pin.h"
#include "pins/run.h"

static const struct pin_type *const types[] = {
  &pin_tang_type, &pin_sss_type, &pin_null_type,
};

static const struct pin_type *
find_type (const char *name)
{
  size_t i;

  for (i = 0; i < sizeof types / sizeof types[0]; ++i)
    if (strcmp (types[i]->name, name) == 0)
      return types[i];
  return &pin_unsupported_type;
}

static struct pin *
root_of (struct pin *pin)
{
  while (pin->parent)
    pin = pin->parent;
  return pin;
}

static size_t
depth_of (const struct pin *pin)
{
  size_t depth = 1;

  for (; pin->parent; pin = pin->parent)
    depth++;
  return depth;
}

/* The path is "sss[1].tang"; with a parent it begins with the parent's. */
static int
set_names (struct pin *pin, const char *name, size_t i)
{
  pin->name = strdup (name);
  if (pin->name == NULL)
    return -1;
  free (pin->path);
  if (pin->parent == NULL)
    pin->path = strdup (name);
  else if (asprintf (&pin->path, "%s[%zu].%s", pin->parent->path, i,
                     name) == -1)
    pin->path = NULL;
  return pin->path ? 0 : -1;
}

/* What a pin recovers is a share of its parent's prime or a passphrase, and how
 * large it would be is known before anybody is asked.
 */
static int
check_size (const struct pin *pin, struct clevis_error *err)
{
  const size_t most = pin->parent ? pin->parent->share_size : BOUND_PASSPHRASE;
  const size_t len = pin->jwe->ciphertext_len;

  if (len <= most)
    return 0;
  return clevis_error_set (err, CLEVIS_ERR_LIMIT, pin->parent
                           ? _("the JWE holds %zu bytes, and a share has %zu")
                           : _("the JWE holds %zu bytes, more than the %zu "
                               "that a passphrase may have"), len, most);
}

/* Read the pin's JWE: which kind, and what that kind has to say. */
static int
read_jwe (struct pin *pin, const json_t *json, size_t i,
          struct clevis_error *err)
{
  const json_t *clevis;
  const char *name;

  pin->jwe = jwe_parse (json, err);
  if (pin->jwe == NULL)
    return -1;
  clevis = json_object_get (pin->jwe->header, "clevis");
  name = json_string_value (json_object_get (clevis, "pin"));
  if (name == NULL || *name == '\0')
    return clevis_error_set (err, CLEVIS_ERR_TOKEN,
                             _("the JWE does not name a Clevis pin"));
  if (strlen (name) > BOUND_PIN_NAME)
    return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                             _("the name of the pin has more than %d bytes"),
                             BOUND_PIN_NAME);
  if (set_names (pin, name, i) == -1)
    return clevis_error_errno (err, ENOMEM, _("pin"));
  pin->type = find_type (name);
  if (pin->type->alg && (jwe_check (pin->jwe, pin->type->alg, err) == -1 ||
                         check_size (pin, err) == -1))
    return -1;
  return pin->type->parse (pin, json_object_get (clevis, name), err);
}

static struct pin *
new_pin (struct pin *parent, size_t i)
{
  const struct clevis_error empty = CLEVIS_ERROR_INIT;
  struct pin *pin = calloc (1, sizeof *pin);

  if (pin == NULL)
    return NULL;
  pin->parent = parent;
  pin->type = &pin_unsupported_type;
  pin->error = empty;
  if (parent && asprintf (&pin->path, "%s[%zu]", parent->path, i) == -1) {
    free (pin);
    return NULL;
  }
  return pin;
}

struct pin *
pin_parse (const json_t *jwe, struct clevis_error *err)
{
  struct pin *pin = new_pin (NULL, 0);

  if (pin == NULL) {
    clevis_error_errno (err, ENOMEM, _("pin"));
    return NULL;
  }
  pin->nr_pins = 1;
  if (read_jwe (pin, jwe, 0, &pin->error) == 0)
    return pin;
  if (pin->name) {              /* known, but not usable */
    pin->state = PIN_FAILED;
    return pin;
  }
  clevis_error_copy (err, &pin->error);
  pin_free (pin);
  return NULL;
}

int
pin_add_child (struct pin *parent, const json_t *jwe, size_t i,
               struct clevis_error *err)
{
  struct pin *root = root_of (parent), *pin;
  struct pin **children;

  if (depth_of (parent) >= BOUND_PIN_DEPTH) {
    root->too_large = true;
    return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                             _("pins are nested deeper than %d"),
                             BOUND_PIN_DEPTH);
  }
  if (++root->nr_pins > BOUND_PIN_TOTAL) {
    root->too_large = true;
    return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                             _("the binding has more than %d pins"),
                             BOUND_PIN_TOTAL);
  }
  children = reallocarray (parent->children, parent->nr_children + 1,
                           sizeof *children);
  if (children == NULL)
    return clevis_error_errno (err, errno, _("pin"));
  parent->children = children;
  pin = new_pin (parent, i);
  if (pin == NULL)
    return clevis_error_errno (err, errno, _("pin"));
  parent->children[parent->nr_children++] = pin;

  if (read_jwe (pin, jwe, i, &pin->error) == -1) {
    pin->state = PIN_FAILED;
    if (root->too_large) {
      clevis_error_copy (err, &pin->error);
      return -1;
    }
  }
  return 0;
}

int
pin_count_sss (struct pin *pin, struct clevis_error *err)
{
  struct pin *root = root_of (pin);

  if (++root->nr_sss <= BOUND_PIN_SSS)
    return 0;
  root->too_large = true;
  return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                           _("the binding has more than %d sss pins"),
                           BOUND_PIN_SSS);
}

int
pin_add_param (struct pin *pin, const char *name, const char *value,
               struct clevis_error *err)
{
  struct pin_param *params;

  params = reallocarray (pin->params, pin->nr_params + 1, sizeof *params);
  if (params == NULL)
    return clevis_error_errno (err, errno, _("pin"));
  pin->params = params;
  params[pin->nr_params].name = strdup (name);
  params[pin->nr_params].value = strdup (value);
  pin->nr_params++;
  if (params[pin->nr_params-1].name == NULL ||
      params[pin->nr_params-1].value == NULL)
    return clevis_error_errno (err, ENOMEM, _("pin"));
  return 0;
}

void
pin_free (struct pin *pin)
{
  size_t i;

  if (pin == NULL)
    return;
  for (i = 0; i < pin->nr_children; ++i)
    pin_free (pin->children[i]);
  if (pin->type->free)
    pin->type->free (pin);
  for (i = 0; i < pin->nr_params; ++i) {
    free (pin->params[i].name);
    free (pin->params[i].value);
  }
  free (pin->params);
  free (pin->children);
  free (pin->name);
  free (pin->path);
  free (pin->url);
  free (pin->kid);
  free (pin->curve);
  free (pin->warning);
  free (pin->address);
  jwe_free (pin->jwe);
  secret_free (pin->plaintext);
  clevis_error_clear (&pin->error);
  free (pin);
}

static void
tell_parent (struct pin *pin, struct pin_run *run)
{
  pin->seconds = pin->started > 0 ? clock_now () - pin->started : 0;
  if (pin->parent == NULL)
    run->ended (run, pin);
  else if (pin->parent->state == PIN_RUNNING)
    pin->parent->type->child_ended (pin->parent, pin, run);
}

void
pin_start (struct pin *pin, struct pin_run *run)
{
  if (pin->state == PIN_FAILED)         /* when it was parsed */
    tell_parent (pin, run);
  if (pin->state != PIN_IDLE)
    return;
  pin->state = PIN_RUNNING;
  pin->started = clock_now ();
  pin->type->start (pin, run);
}

void
pin_cancel (struct pin *pin)
{
  size_t i;

  if (pin->state != PIN_IDLE && pin->state != PIN_RUNNING)
    return;
  pin->state = PIN_CANCELLED;
  if (pin->started > 0)
    pin->seconds = clock_now () - pin->started;
  for (i = 0; i < pin->nr_children; ++i)
    pin_cancel (pin->children[i]);
  if (pin->type->cancel)
    pin->type->cancel (pin);
}

static void
cancel_children (struct pin *pin)
{
  size_t i;

  for (i = 0; i < pin->nr_children; ++i)
    pin_cancel (pin->children[i]);
}

void
pin_done (struct pin *pin, struct pin_run *run, struct secret *plaintext)
{
  pin->state = PIN_DONE;
  pin->plaintext = plaintext;
  cancel_children (pin);
  tell_parent (pin, run);
}

void
pin_fail (struct pin *pin, struct pin_run *run)
{
  pin->state = PIN_FAILED;
  cancel_children (pin);
  tell_parent (pin, run);
}

void
pin_foreach_leaf (struct pin *pin,
                  void (*fn) (struct pin *leaf, void *opaque), void *opaque)
{
  size_t i;

  if (pin->nr_children == 0)
    fn (pin, opaque);
  for (i = 0; i < pin->nr_children; ++i)
    pin_foreach_leaf (pin->children[i], fn, opaque);
}
