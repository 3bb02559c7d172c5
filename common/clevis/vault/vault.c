/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The vault as the program sees it: commands and answers, and a new vault when
 * one has died.
 */

#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/gettext-compat.h"
#include "tang/http.h"
#include "vault/inside.h"
#include "vault/vault-private.h"

struct vault_patience vault_patience = {
  .answer = 180, .point = 20, .grace = 20,
};

static int
start (struct vault *v, struct clevis_error *err)
{
  int fd;

  if (nursery_fork (v->nursery, &v->pid, &fd, &v->wall, err) == -1) {
    v->pid = 0;
    return -1;
  }
  channel_init (&v->ch, fd);
  v->ch.takes_no_fds = true;
  return 0;
}

struct vault *
vault_new (bool walled, struct clevis_error *err)
{
  struct vault *v = calloc (1, sizeof *v);

  if (v == NULL) {
    clevis_error_errno (err, errno, _("the vault cannot be made"));
    return NULL;
  }
  v->fds[0] = v->fds[1] = -1;
  v->ch.fd = -1;
  v->ch.last = &v->ch.first;
  v->nursery = nursery_new (inside_work, walled, err);
  if (v->nursery == NULL) {
    vault_free (v);
    return NULL;
  }
  /* While the vault gets ready there is time for it. */
  http_prepare ();
  return v;
}

const struct wall *
vault_wall (struct vault *v, struct clevis_error *err)
{
  return vault_ready (v, err) == -1 ? NULL : &v->wall;
}

void
vault_end (struct vault *v)
{
  if (v == NULL || v->ended)
    return;
  v->ended = true;
  v->run = NULL;
  channel_close (&v->ch);
  if (v->pid > 0 && !nursery_has_first (v->nursery, v->pid))
    nursery_end (v->nursery, v->pid);
  v->pid = 0;
  nursery_free (v->nursery);
  v->nursery = NULL;
}

void
vault_free (struct vault *v)
{
  if (v == NULL)
    return;
  vault_end (v);
  while (v->headers)
    vault_luks_free (v->headers);
  while (v->keys)
    vault_key_free (v->keys);
  vault_answers_clear (v);
  free (v);
}

/* Nothing that it had is there any more. */
static void
forget_numbers (struct vault *v)
{
  struct vault_luks *luks;
  struct vault_key *key;

  for (luks = v->headers; luks; luks = luks->next) {
    luks->id = 0;
    luks->is_unlocked = false;
  }
  for (key = v->keys; key; key = key->next)
    key->id = 0;
}

int
vault_died (struct vault *v, const char *device, struct clevis_error *err)
{
  int status = 0;

  channel_close (&v->ch);
  if (v->pid > 0)
    status = nursery_end (v->nursery, v->pid);
  v->pid = 0;
  v->is_busy = false;
  v->until = 0;
  forget_numbers (v);
  if (WIFSIGNALED (status) && WTERMSIG (status) != SIGKILL)
    clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                      _("the vault, which reads headers and has the keys, "
                        "was ended by signal %d (%s)"), WTERMSIG (status),
                      strsignal (WTERMSIG (status)));
  else
    clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                      _("the vault, which reads headers and has the keys, "
                        "gave no valid answer and was ended"));
  clevis_error_hint (err, _("What is on this disk may have crashed a library. "
                            "Please report it, if you can with the header of "
                            "the disk."));
  if (err && device && err->device == NULL)
    err->device = strdup (device);
  return -1;
}

/* A header that ends each vault is left out; the others are told anew, as long
 * as there is a vault.
 */
static void
renew_all (struct vault *v)
{
  struct vault_luks *luks;
  struct vault_key *key;

  for (luks = v->headers; luks && v->pid != 0; luks = luks->next)
    if (!luks->is_fatal && !luks->is_freed && luks->id == 0)
      vault_luks_renew (luks);
  for (key = v->keys; key && v->pid != 0; key = key->next)
    if (!key->is_freed && key->id == 0)
      vault_key_renew (key);
}

int
vault_ready (struct vault *v, struct clevis_error *err)
{
  if (v->ended)
    return clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                             _("the vault has been ended"));
  if (v->is_busy)
    return clevis_error_set (err, CLEVIS_ERR_SYSTEM,
                             _("the vault is in an exchange"));
  /* Each turn that fails by the death of a vault finds one more header or key
   * that is fatal.
   */
  while (v->pid == 0) {
    if (start (v, err) == -1)
      return -1;
    renew_all (v);
    /* One without them would have servers asked. */
    if (v->pid != 0 && vault_answers_renew (v, err) == -1)
      return vault_died (v, NULL, NULL);
  }
  return 0;
}

void
vault_run_ended (struct vault *v)
{
  struct vault_luks *luks, *next_luks;
  struct vault_key *key, *next_key;

  v->run = NULL;
  for (key = v->keys; key; key = next_key) {
    next_key = key->next;
    if (key->is_freed)
      vault_key_free (key);
  }
  for (luks = v->headers; luks; luks = next_luks) {
    next_luks = luks->next;
    if (luks->is_freed)
      vault_luks_free (luks);
  }
}

/* Milliseconds that are left for a command, which may begin now.  They are for
 * all of its messages: a vault must not be able to have us wait for each.
 */
static int
patience (struct vault *v)
{
  const double now = clock_now ();

  if (v->until == 0)
    v->until = now + vault_patience.answer;
  return v->until > now ? (v->until - now) * 1000 + 1 : 0;
}

int
vault_send (struct vault *v, const struct message *m, const int *fds,
            size_t nr_fds)
{
  v->failed = false;
  return channel_send (&v->ch, m, fds, nr_fds, patience (v));
}

const struct message *
vault_next (void *opaque)
{
  struct vault *v = opaque;
  struct message_fds fds;
  int r;

  if (v->failed)
    return NULL;
  do
    r = channel_recv (&v->ch, &v->heard, &fds, patience (v));
  while (r == -1 && errno == EINTR);
  if (r == 1 && v->heard.tag != MESSAGE_DONE &&
      v->heard.tag != MESSAGE_FAILED)
    return &v->heard;
  if (r != 1)
    v->heard.tag = MESSAGE_NONE;
  v->failed = true;
  return NULL;
}

const struct message *
vault_finish (struct vault *v, const char *device, struct clevis_error *err)
{
  if (!v->failed && vault_next (v) != NULL)
    v->heard.tag = MESSAGE_NONE; /* there is more than belongs to it */
  v->until = 0;
  if (v->heard.tag == MESSAGE_DONE)
    return &v->heard;
  if (v->heard.tag == MESSAGE_FAILED)
    message_to_error (&v->heard, err);
  else
    vault_died (v, device, err);
  return NULL;
}

const struct message *
vault_command (struct vault *v, const struct message *m, const int *fds,
               size_t nr_fds, const char *device, struct clevis_error *err)
{
  if (vault_send (v, m, fds, nr_fds) == -1) {
    vault_died (v, device, err);
    return NULL;
  }
  return vault_finish (v, device, err);
}

int
vault_memory (struct vault *v, struct vault_memory *memory,
              struct clevis_error *err)
{
  const struct message *done;
  struct message m;

  memset (memory, 0, sizeof *memory);
  if (v->ended)
    return 0;
  if (vault_ready (v, err) == -1)
    return -1;
  message_init (&m, MESSAGE_STATUS, 0);
  done = vault_command (v, &m, NULL, 0, NULL, err);
  if (done == NULL)
    return -1;
  memory->used = done->plain.a;
  memory->was_short = done->plain.b;
  memory->is_busy = done->plain.other;
  return 0;
}
