/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The exchange of all devices: starts the pins of all bindings, sends what
 * they recover to the verifier, and settles each device by the first keyslot
 * that accepts, or by the last binding that fails.
 */

#include <config.h>

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "base/clock.h"
#include "exchange/exchange.h"
#include "base/gettext-compat.h"
#include "exchange/question.h"
#include "pins/run.h"
#include "luks/verify.h"

/* Seconds that a step starts pins before it listens to servers. */
#define START_SECONDS 0.0002

struct bound_device;

static void pin_ended (struct pin_run *run, struct pin *root);

/* What running a binding needs beyond what callers see. */
struct attempt {
  struct bound_device *device;
  struct binding *binding;
  struct verify_job job;
  bool submitted;          /* the job is with the verifier */
  bool ended;              /* the binding has failed or won */
};

struct bound_device {
  struct exchange_device pub; /* what callers see */
  struct verify_account account;
  struct attempt *attempts;        /* one for each binding */
};

struct exchange {
  struct pin_run run;      /* what the pins see of it */
  struct exchange_settings settings;
  struct questions *questions;
  struct verifier *verifier;
  struct bound_device **devices;
  size_t nr_devices;
  size_t nr_pending;       /* devices that are not settled */
  bool started;
  size_t next_device, next_binding; /* to be started */
  bool all_started;
  size_t most_bindings;    /* of a device */
  double start, deadline;  /* of the clock */
};

static void
wake (void *opaque)
{
  questions_wakeup (opaque);
}

static struct exchange *
exchange_of (struct pin_run *run)
{
  return (struct exchange *) ((char *) run - offsetof (struct exchange, run));
}

static struct waiter *
ask (struct pin_run *run, const struct pin_query *query, pin_answer_fn done,
     void *opaque, struct clevis_error *err)
{
  return questions_ask (exchange_of (run)->questions, query, done, opaque,
                        err);
}

struct exchange *
exchange_new (struct asker *asker, const struct exchange_settings *settings,
              struct clevis_error *err)
{
  struct exchange *ex = calloc (1, sizeof *ex);

  if (ex == NULL) {
    asker_free (asker);
    clevis_error_errno (err, ENOMEM, _("exchange"));
    return NULL;
  }
  ex->settings = *settings;
  ex->run.ask = ask;
  ex->run.forget = question_forget;
  ex->run.ended = pin_ended;
  ex->questions = questions_new (asker, &settings->answers, err);
  if (ex->questions)
    ex->verifier = verifier_new (wake, ex->questions, err);
  if (ex->verifier == NULL) {
    exchange_free (ex);
    return NULL;
  }
  return ex;
}

static void
free_device (struct bound_device *device)
{
  size_t i;

  if (device == NULL)
    return;
  for (i = 0; i < device->pub.nr_bindings; ++i) {
    pin_free (device->pub.bindings[i].pin);
    clevis_error_clear (&device->pub.bindings[i].error);
    clevis_error_clear (&device->attempts[i].job.error);
  }
  free (device->pub.bindings);
  free (device->attempts);
  secret_free (device->pub.key);
  clevis_error_clear (&device->pub.error);
  free (device);
}

/* The verifier goes first, since its jobs are the devices'; then the pins,
 * which cancel their requests.
 */
void
exchange_free (struct exchange *ex)
{
  size_t i, j;

  if (ex == NULL)
    return;
  for (i = 0; i < ex->nr_devices; ++i)
    for (j = 0; j < ex->devices[i]->pub.nr_bindings; ++j)
      atomic_store (&ex->devices[i]->attempts[j].job.skip, true);
  verifier_free (ex->verifier);
  for (i = 0; i < ex->nr_devices; ++i)
    free_device (ex->devices[i]);
  free (ex->devices);
  questions_free (ex->questions);
  free (ex);
}

size_t
exchange_nr_devices (const struct exchange *ex)
{
  return ex->nr_devices;
}

const struct exchange_device *
exchange_device (const struct exchange *ex, size_t i)
{
  return &ex->devices[i]->pub;
}

/* Where in the world an error happened, as far as it does not know. */
static void
add_context (struct clevis_error *err, const struct exchange_device *device,
             const struct binding *binding)
{
  if (err->code == CLEVIS_OK)
    return;
  if (err->device == NULL)
    err->device = strdup (luks_device (device->luks));
  if (err->token == -1)
    err->token = binding->token->id;
}

/* Parse the tokens of a device that Clevis made. */
static int
add_bindings (struct exchange *ex, struct bound_device *device,
              const struct luks_token *tokens, size_t nr)
{
  const struct clevis_error empty = CLEVIS_ERROR_INIT;
  struct binding *b;
  size_t i;

  device->pub.bindings = calloc (nr + 1, sizeof *device->pub.bindings);
  device->attempts = calloc (nr + 1, sizeof *device->attempts);
  if (device->pub.bindings == NULL || device->attempts == NULL)
    return -1;
  for (i = 0; i < nr; ++i) {
    if (strcmp (tokens[i].type, "clevis") != 0)
      continue;
    b = &device->pub.bindings[device->pub.nr_bindings];
    b->error = empty;
    b->token = &tokens[i];
    device->attempts[device->pub.nr_bindings].job.error = empty;
    device->pub.nr_bindings++;
    if (tokens[i].jwe)
      b->pin = pin_parse (tokens[i].jwe, &b->error);
    if (b->pin)
      b->pin->device = ex->nr_devices;
    if (tokens[i].stale)
      clevis_error_set (&b->error, CLEVIS_ERR_TOKEN,
                        _("stale token: %s"), tokens[i].stale);
    else if (tokens[i].jwe == NULL)
      clevis_error_set (&b->error, CLEVIS_ERR_TOKEN,
                        _("the token has no JWE"));
    add_context (&b->error, &device->pub, b);
  }
  return 0;
}

int
exchange_add (struct exchange *ex, struct luks *luks,
              struct clevis_error *err)
{
  const struct clevis_error empty = CLEVIS_ERROR_INIT;
  struct bound_device *device = calloc (1, sizeof *device), **devices;
  const struct luks_token *tokens;
  size_t nr;

  devices = reallocarray (ex->devices, ex->nr_devices + 1, sizeof *devices);
  if (devices)
    ex->devices = devices;
  if (device) {
    device->pub.luks = luks;
    device->pub.keyslot = -1;
    device->pub.error = empty;
    tokens = luks_tokens (luks, &nr);
  }
  if (devices == NULL || device == NULL ||
      add_bindings (ex, device, tokens, nr) == -1) {
    free_device (device);
    return clevis_error_errno (err, ENOMEM, _("exchange"));
  }
  ex->devices[ex->nr_devices] = device;
  return ex->nr_devices++;
}

static void
leaf_context (struct pin *leaf, void *opaque)
{
  struct attempt *attempt = opaque;

  if (leaf->error.code == CLEVIS_OK)
    return;
  add_context (&leaf->error, &attempt->device->pub, attempt->binding);
  if (leaf->error.pin == NULL)
    leaf->error.pin = strdup (leaf->path);
  if (leaf->error.url == NULL && leaf->url)
    leaf->error.url = strdup (leaf->url);
  if (leaf->error.address == NULL && leaf->address)
    leaf->error.address = strdup (leaf->address);
}

/* Nothing of this device is needed any more. */
static void
settle (struct exchange *ex, struct bound_device *device,
        enum exchange_status status)
{
  size_t i;

  device->pub.status = status;
  device->pub.seconds = clock_now () - ex->start;
  ex->nr_pending--;
  for (i = 0; i < device->pub.nr_bindings; ++i) {
    if (device->pub.bindings[i].pin) {
      pin_cancel (device->pub.bindings[i].pin);
      pin_foreach_leaf (device->pub.bindings[i].pin, leaf_context,
                        &device->attempts[i]);
    }
    atomic_store (&device->attempts[i].job.skip, true);
  }
}

static void
settle_failed (struct exchange *ex, struct bound_device *device)
{
  const struct binding *b, *chosen = &device->pub.bindings[0];
  struct clevis_error *err = &device->pub.error;
  size_t i, n = device->pub.nr_bindings;

  for (i = 0; i < n; ++i) {
    b = &device->pub.bindings[i];
    if (b->error.code == CLEVIS_ERR_UNREACHABLE) {
      chosen = b;
      break;
    }
  }
  if (n == 1)
    clevis_error_set (err, chosen->error.code,
                      _("could not be unlocked: its Clevis binding failed"));
  else
    clevis_error_set (err, chosen->error.code,
                      _("could not be unlocked: all of its %zu Clevis "
                        "bindings failed"), n);
  err->device = strdup (luks_device (device->pub.luks));
  settle (ex, device, EXCHANGE_FAILED);
}

/* A binding has failed for the reason in its error. */
static void
binding_failed (struct exchange *ex, struct attempt *attempt)
{
  struct bound_device *device = attempt->device;
  size_t i;

  attempt->ended = true;
  add_context (&attempt->binding->error, &device->pub, attempt->binding);
  if (device->pub.status != EXCHANGE_PENDING)
    return;
  for (i = 0; i < device->pub.nr_bindings; ++i)
    if (!device->attempts[i].ended)
      return;
  settle_failed (ex, device);
}

static void
submit (struct exchange *ex, struct attempt *attempt)
{
  struct verify_job *job = &attempt->job;

  job->luks = attempt->device->pub.luks;
  job->keyslots = attempt->binding->token->keyslots;
  job->nr_keyslots = attempt->binding->token->nr_keyslots;
  job->passphrase = attempt->binding->pin->plaintext;
  job->account = &attempt->device->account;
  job->opaque = attempt;
  attempt->submitted =
    verifier_submit (ex->verifier, job, &attempt->binding->error) == 0;
  if (!attempt->submitted)
    binding_failed (ex, attempt);
}

static void
pin_ended (struct pin_run *run, struct pin *root)
{
  struct exchange *ex = exchange_of (run);
  struct attempt *attempt = root->owner;

  if (attempt->device->pub.status != EXCHANGE_PENDING || attempt->ended)
    return;
  pin_foreach_leaf (root, leaf_context, attempt);
  if (root->state == PIN_DONE)
    submit (ex, attempt);
  else {
    clevis_error_copy (&attempt->binding->error, &root->error);
    attempt->binding->is_of_pin = true;
    if (attempt->binding->error.pin == NULL)
      attempt->binding->error.pin = strdup (root->path);
    binding_failed (ex, attempt);
  }
}

/* A passphrase was tried on its keyslots. */
static void
verified (struct exchange *ex, struct attempt *attempt)
{
  struct bound_device *device = attempt->device;
  struct verify_job *job = &attempt->job;
  struct pin *pin = attempt->binding->pin;

  attempt->submitted = false;
  attempt->binding->verify_seconds = job->seconds;
  if (device->pub.status != EXCHANGE_PENDING || job->keyslot == -1) {
    secret_free (pin->plaintext);
    pin->plaintext = NULL;
  }
  if (device->pub.status != EXCHANGE_PENDING)
    return;
  if (job->keyslot == -1) {
    clevis_error_copy (&attempt->binding->error, &job->error);
    binding_failed (ex, attempt);
    return;
  }
  device->pub.key = pin->plaintext;
  pin->plaintext = NULL;
  device->pub.keyslot = job->keyslot;
  device->pub.by = attempt->binding;
  settle (ex, device, EXCHANGE_UNLOCKED);
}

/* Prepare the bindings of a device to be started. */
static void
ready_device (struct exchange *ex, struct bound_device *device)
{
  struct attempt *attempt;
  size_t i;

  if (device->pub.nr_bindings == 0)
    settle (ex, device, EXCHANGE_UNBOUND);
  for (i = 0; i < device->pub.nr_bindings; ++i) {
    attempt = &device->attempts[i];
    attempt->device = device;
    attempt->binding = &device->pub.bindings[i];
  }
}

/* Start one binding.  One that is broken has failed before. */
static void
start_binding (struct exchange *ex, struct attempt *attempt)
{
  if (attempt->device->pub.status != EXCHANGE_PENDING)
    return;
  if (attempt->binding->error.code != CLEVIS_OK) {
    binding_failed (ex, attempt);
    return;
  }
  attempt->binding->pin->owner = attempt;
  pin_start (attempt->binding->pin, &ex->run);
}

/* Start bindings for a moment: the first one of each device, then the second
 * one of each.  A device can have thousands of pins, and others are to be
 * heard meanwhile.  Without servers nobody is.
 */
static void
start_some (struct exchange *ex)
{
  const double until = clock_now () + START_SECONDS;
  const bool all = ex->settings.answers.offline != NULL;
  struct bound_device *device;

  while (!ex->all_started && (all || clock_now () < until)) {
    device = ex->devices[ex->next_device];
    if (ex->next_binding < device->pub.nr_bindings)
      start_binding (ex, &device->attempts[ex->next_binding]);
    if (++ex->next_device < ex->nr_devices)
      continue;
    ex->next_device = 0;
    ex->all_started = ++ex->next_binding >= ex->most_bindings;
  }
}

static void
begin (struct exchange *ex)
{
  const double seconds = ex->settings.deadline / 1000.0;
  size_t i;

  ex->started = true;
  ex->start = clock_now ();
  ex->deadline = ex->start + seconds;
  ex->nr_pending = ex->nr_devices;
  verifier_set_deadline (ex->verifier, ex->deadline);
  for (i = 0; i < ex->nr_devices; ++i) {
    ex->devices[i]->account.allowed = seconds / BOUND_KDF_SHARE;
    ready_device (ex, ex->devices[i]);
    if (ex->devices[i]->pub.nr_bindings > ex->most_bindings)
      ex->most_bindings = ex->devices[i]->pub.nr_bindings;
  }
  ex->all_started = ex->most_bindings == 0;
}

static void
take_verified (struct exchange *ex)
{
  struct verify_job *job;

  while ((job = verifier_next (ex->verifier)) != NULL)
    verified (ex, job->opaque);
}

/* A passphrase whose keyslots were not tried in time. */
static void
expire_verification (struct exchange *ex, struct attempt *attempt)
{
  if (!attempt->submitted || attempt->ended)
    return;
  atomic_store (&attempt->job.skip, true);
  clevis_error_set (&attempt->binding->error, CLEVIS_ERR_LIMIT,
                    _("key derivation was not done within the deadline of %g "
                      "seconds"), ex->deadline - ex->start);
  binding_failed (ex, attempt);
}

/* The time is over: for questions the asker knows it by itself. */
static void
expire_all (struct exchange *ex)
{
  struct bound_device *device;
  size_t i, j;

  for (i = 0; i < ex->nr_devices; ++i) {
    device = ex->devices[i];
    for (j = 0; j < device->pub.nr_bindings &&
           device->pub.status == EXCHANGE_PENDING; ++j)
      expire_verification (ex, &device->attempts[j]);
  }
}

/* Milliseconds until the deadline, at most ms. */
static int
time_to_wait (const struct exchange *ex, int ms)
{
  const double due = (ex->deadline - clock_now ()) * 1000 + 1;

  return due < 0 ? 0 : due < ms ? (int) due : ms;
}

/* A job that is still being worked on when all devices are settled belongs to
 * a device that another binding has opened, or to one that had no more time.
 */
int
exchange_step (struct exchange *ex, int ms, struct clevis_error *err)
{
  if (!ex->started)
    begin (ex);
  start_some (ex);
  take_verified (ex);
  if (ex->nr_pending == 0)
    return 0;
  if (!ex->all_started)
    ms = 0;
  if (questions_step (ex->questions, time_to_wait (ex, ms), err) == -1)
    return -1;
  take_verified (ex);
  if (clock_now () >= ex->deadline)
    expire_all (ex);
  return ex->nr_pending > 0;
}

bool
exchange_is_left (void)
{
  return verifier_is_left ();
}

struct secret *
exchange_take_key (struct exchange *ex, size_t i)
{
  struct secret *key = ex->devices[i]->pub.key;

  ex->devices[i]->pub.key = NULL;
  return key;
}
