/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Exchanges and preflights in the vault.  All devices are in one; if the vault
 * dies, each is in one of its own, one after another, so that the one that is
 * to blame is the only one that fails.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/gettext-compat.h"
#include "exchange/exchange.h"
#include "exchange/preflight.h"
#include "vault/vault-private.h"

/* A device of a run. */
struct part {
  struct vault_luks *luks;
  struct heard_outcome outcome;
  struct vault_key *key;
  struct vault_key *lost;  /* not of the run: a key that is recovered again */
  bool is_done;
};

enum phase { IDLE, RUNNING, ENDED };

struct vault_run {
  struct vault *v;
  struct policy *policy;
  bool is_preflight, probe;
  struct part *parts;
  size_t nr_parts;         /* those of the caller come first */
  bool alone;              /* a vault has died: one at a time */
  size_t first, nr;        /* what is running */
  enum phase phase;
  struct vault_ask *va;
  double start;            /* of what is running, of the clock */
};

static struct vault_run *
new_run (struct vault *v, const struct policy *policy,
         struct clevis_error *err)
{
  struct vault_run *run = calloc (1, sizeof *run);

  if (run == NULL) {
    clevis_error_errno (err, errno, _("exchange"));
    return NULL;
  }
  run->v = v;
  run->policy = policy_hold (policy);
  return run;
}

struct vault_run *
vault_exchange_new (struct vault *v, const struct policy *policy,
                    struct clevis_error *err)
{
  return new_run (v, policy, err);
}

struct vault_run *
vault_preflight_new (struct vault *v, const struct policy *policy,
                     bool probe, struct clevis_error *err)
{
  struct vault_run *run = new_run (v, policy, err);

  if (run) {
    run->is_preflight = true;
    run->probe = probe;
  }
  return run;
}

void
vault_run_free (struct vault_run *run)
{
  size_t i;

  if (run == NULL)
    return;
  if (run->phase == RUNNING)
    vault_died (run->v, NULL, NULL);
  if (run->v->run == run)
    vault_run_ended (run->v);
  vault_ask_free (run->va);
  for (i = 0; i < run->nr_parts; ++i) {
    heard_outcome_clear (&run->parts[i].outcome);
    vault_key_free (run->parts[i].key);
  }
  policy_free (run->policy);
  free (run->parts);
  free (run);
}

static int
add_part (struct vault_run *run, struct vault_luks *luks,
          struct vault_key *lost, struct clevis_error *err)
{
  struct part *parts = reallocarray (run->parts, run->nr_parts + 1,
                                     sizeof *parts);

  if (parts == NULL)
    return clevis_error_errno (err, errno, _("exchange"));
  run->parts = parts;
  memset (&parts[run->nr_parts], 0, sizeof *parts);
  parts[run->nr_parts].luks = luks;
  parts[run->nr_parts++].lost = lost;
  return 0;
}

int
vault_run_add (struct vault_run *run, struct vault_luks *luks,
               struct clevis_error *err)
{
  return add_part (run, luks, NULL, err);
}

/* A device at which a vault has died fails; the others go on. */
static int
fail_part (struct part *part, const struct clevis_error *err)
{
  const struct clevis_error empty = CLEVIS_ERROR_INIT;
  struct heard_outcome *o = &part->outcome;

  heard_outcome_clear (o);
  part->is_done = true;
  o->status = EXCHANGE_FAILED;
  o->keyslot = o->token = -1;
  o->errors = calloc (1, sizeof *o->errors);
  if (o->errors == NULL)
    return -1;
  o->errors[0] = empty;
  clevis_error_copy (&o->errors[0], err);
  o->nr_errors = 1;
  return 0;
}

/* A preflight has no errors but those of leaves: it is closed, and says why
 * in the words of a leaf that no token has.
 */
static int
fail_checked (struct part *part, const struct clevis_error *err)
{
  struct heard_outcome *o = &part->outcome;
  const struct clevis_error empty = CLEVIS_ERROR_INIT;

  heard_outcome_clear (o);
  part->is_done = true;
  o->status = PREFLIGHT_CLOSED;
  o->keyslot = o->token = -1;
  o->leaves = calloc (1, sizeof *o->leaves);
  if (o->leaves == NULL || (o->leaves[0].pin = strdup ("")) == NULL)
    return -1;
  o->leaves[0].has_failed = true;
  o->leaves[0].error = empty;
  clevis_error_copy (&o->leaves[0].error, err);
  o->nr_leaves = 1;
  return 0;
}

static int
fail (struct vault_run *run, struct part *part,
      const struct clevis_error *why, struct clevis_error *err)
{
  return (run->is_preflight ? fail_checked : fail_part) (part, why) == 0 ? 0
    : clevis_error_errno (err, ENOMEM, _("exchange"));
}

static int
command (struct vault_run *run, enum message_tag tag, uint32_t id, int64_t a,
         struct clevis_error *err)
{
  struct message m;

  message_init (&m, tag, id);
  m.plain.a = a;
  return vault_command (run->v, &m, NULL, 0, NULL, err) ? 0 : -1;
}

/* Choose what is to be run next.  False if all is done. */
static bool
choose (struct vault_run *run)
{
  run->first = 0;
  while (run->first < run->nr_parts && run->parts[run->first].is_done)
    run->first++;
  run->nr = run->alone ? 1 : run->nr_parts - run->first;
  return run->first < run->nr_parts;
}

/* Of those that are chosen, one whose header has ended a vault is done. */
static int
drop_fatal (struct vault_run *run, struct clevis_error *err)
{
  struct part *part;
  size_t i;

  for (i = 0; i < run->nr; ++i) {
    part = &run->parts[run->first + i];
    if (!part->is_done && part->luks->id == 0 &&
        fail (run, part, &part->luks->death, err) == -1)
      return -1;
  }
  return 0;
}

/* Those that are chosen and not done, by their number among these. */
static struct part *
chosen (struct vault_run *run, size_t n)
{
  size_t i;

  for (i = run->first; i < run->first + run->nr; ++i)
    if (!run->parts[i].is_done && n-- == 0)
      return &run->parts[i];
  return NULL;
}

/* A vault that does not keep the deadline is not ours any more. */
static double
time_of_end (const struct vault_run *run)
{
  return run->start + policy_get_settings (run->policy)->deadline / 1000.0 +
    vault_patience.grace;
}

static int
begin (struct vault_run *run, struct clevis_error *err)
{
  const long deadline = policy_get_settings (run->policy)->deadline;
  struct part *part;
  struct vault_ask_what what = {
    .policy = run->policy, .is_preflight = run->is_preflight,
    .probe = run->probe,
  };
  struct message m;
  size_t n = 0;

  if (vault_ready (run->v, err) == -1 || drop_fatal (run, err) == -1)
    return -1;
  if (chosen (run, 0) == NULL)
    return 0;
  if (run->is_preflight
      ? command (run, MESSAGE_PREFLIGHT_NEW, 0, run->probe, err) == -1
      : command (run, MESSAGE_EXCHANGE_NEW, 0, deadline, err) == -1)
    return -1;
  while ((part = chosen (run, n)) != NULL) {
    if (command (run, MESSAGE_ADD_DEVICE, part->luks->id, 0, err) == -1)
      return -1;
    n++;
  }
  vault_ask_free (run->va);
  what.nr_devices = n;
  run->va = vault_ask_new (run->v, &what, err);
  if (run->va == NULL)
    return -1;
  message_init (&m, MESSAGE_RUN, 0);
  if (vault_send (run->v, &m, NULL, 0) == -1)
    return vault_died (run->v, NULL, err);
  run->start = clock_now ();
  run->v->until = time_of_end (run);
  run->phase = RUNNING;
  run->v->is_busy = true;
  return 0;
}

/* The key of a device that was opened, or the new number of one that was lost.
 */
static int
keep_key (struct vault_run *run, struct part *part, struct clevis_error *err)
{
  if (part->outcome.key == 0)
    return 0;
  if (part->lost) {
    part->lost->id = part->outcome.key;
    return 0;
  }
  part->key = vault_key_new (run->v, part->outcome.key, err);
  if (part->key == NULL)
    return -1;
  part->key->from = part->luks;
  part->key->policy = policy_hold (run->policy);
  part->key->answers = run->v->answers;
  return 0;
}

/* What became of each that was run. */
static int
collect (struct vault_run *run, struct clevis_error *err)
{
  struct part *part;
  struct message m;
  uint32_t i;
  int r;

  for (i = 0; (part = chosen (run, i)) != NULL; ++i) {
    message_init (&m, MESSAGE_RESULT, i);
    r = vault_send (run->v, &m, NULL, 0);
    if (r == 0)
      r = hear_outcome (&part->outcome, run->is_preflight, vault_next,
                        run->v);
    if (r == -1) {
      if (!run->v->failed || run->v->heard.tag != MESSAGE_FAILED)
        return vault_died (run->v, part->luks->device, err);
      vault_finish (run->v, part->luks->device, err);
      return -1;
    }
    if (vault_finish (run->v, part->luks->device, err) == NULL ||
        keep_key (run, part, err) == -1)
      return -1;
  }
  while ((part = chosen (run, 0)) != NULL)
    part->is_done = true;
  return command (run, MESSAGE_RUN_FREE, 0, 0, err);
}

/* By an exchange as it was; not by servers where they were not asked. */
static bool
can_recover (const struct vault_key *key)
{
  return !key->is_freed && key->from && !key->from->is_freed &&
    !key->from->is_fatal && key->policy && key->answers == key->v->answers;
}

/* What was recovered before, and went with the vault, is recovered again; not
 * that of a preflight, which recovers nothing.
 */
static int
add_lost (struct vault_run *run, struct clevis_error *err)
{
  struct vault_key *key;
  size_t i;

  for (key = run->v->keys; key && !run->is_preflight; key = key->next) {
    if (key->id > 0 || !can_recover (key))
      continue;
    for (i = 0; i < run->nr_parts && run->parts[i].lost != key &&
           run->parts[i].key != key; ++i)
      ;
    if (i == run->nr_parts &&
        add_part (run, key->from, key, err) == -1)
      return -1;
  }
  return 0;
}

/* What is not done begins anew, and so does what had a key, or a request that
 * was collected, which went with the vault.
 */
static void
forget_outcomes (struct vault_run *run)
{
  struct part *part;
  size_t i;

  for (i = 0; i < run->nr_parts; ++i) {
    part = &run->parts[i];
    if (part->is_done && part->outcome.key == 0 &&
        run->v->answers != ANSWERS_COLLECTED)
      continue;
    vault_key_free (part->key);
    part->key = NULL;
    part->is_done = false;
    heard_outcome_clear (&part->outcome);
  }
}

/* The vault has died, for the reason in why. */
static int
go_on (struct vault_run *run, const struct clevis_error *why,
       struct clevis_error *err)
{
  struct part *part;

  run->phase = IDLE;
  if (run->alone || run->nr_parts == 1) {
    part = &run->parts[run->first];
    part->luks->is_fatal = true;
    clevis_error_copy (&part->luks->death, why);
    if (part->luks->death.device == NULL)
      part->luks->death.device = strdup (part->luks->device);
    if (fail (run, part, &part->luks->death, err) == -1)
      return -1;
  }
  run->alone = true;
  forget_outcomes (run);
  return add_lost (run, err) == -1 ? -1 : 1;
}

/* Returns 1 if there is more to do, 0 if not, -1 on an error, which may be
 * that the vault has died.
 */
static int
step (struct vault_run *run, int ms, struct clevis_error *err)
{
  int r;

  if (run->phase == IDLE) {
    if (!choose (run))
      return 0;
    return begin (run, err) == -1 ? -1 : 1;
  }
  r = vault_ask_step (run->va, ms, err);
  if (r == -1 || (r == 1 && clock_now () > time_of_end (run)))
    return vault_died (run->v, NULL, err);
  if (r == 1)
    return 1;
  run->phase = IDLE;
  run->v->is_busy = false;
  vault_ask_free (run->va);
  run->va = NULL;
  if (vault_finish (run->v, NULL, err) == NULL)
    return -1;
  return collect (run, err) == -1 ? -1 : 1;
}

int
vault_run_step (struct vault_run *run, int ms, struct clevis_error *err)
{
  struct clevis_error why = CLEVIS_ERROR_INIT;
  int r;

  if (run->phase == ENDED)
    return 0;
  if (run->v->ended)
    return vault_ready (run->v, err);
  if (run->v->run && run->v->run != run)
    return clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                             _("the vault is in an exchange"));
  run->v->run = run;
  r = step (run, ms, &why);
  if (r == -1 && run->v->pid == 0 && !run->v->ended)
    r = go_on (run, &why, err);
  else if (r == -1)
    clevis_error_copy (err, &why);
  if (r == 0) {
    run->phase = ENDED;
    vault_run_ended (run->v);
  }
  clevis_error_clear (&why);
  return r;
}

const struct heard_outcome *
vault_run_outcome (struct vault_run *run, size_t i)
{
  return &run->parts[i].outcome;
}

struct vault_key *
vault_run_take_key (struct vault_run *run, size_t i)
{
  struct vault_key *key = run->parts[i].key;

  run->parts[i].key = NULL;
  return key;
}

/* One that cannot be had is told by its death, or by why no server answers. */
int
vault_key_recover (struct vault_key *key, struct clevis_error *err)
{
  struct vault_run *run;
  int r;

  if (!can_recover (key)) {
    if (key->from->is_fatal)
      clevis_error_copy (err, &key->from->death);
    return clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                             _("the key was lost with the vault that had "
                               "it"));
  }
  run = vault_exchange_new (key->v, key->policy, err);
  if (run == NULL)
    return -1;
  run->alone = true;
  r = add_part (run, key->from, key, err);
  while (r != -1 && (r = vault_run_step (run, 1000, err)) == 1)
    ;
  if (r == 0 && key->id == 0) {
    if (run->parts[0].outcome.nr_errors > 0)
      clevis_error_copy (err, &run->parts[0].outcome.errors[0]);
    r = clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                          _("the key could not be recovered again"));
  }
  vault_run_free (run);
  return r;
}
