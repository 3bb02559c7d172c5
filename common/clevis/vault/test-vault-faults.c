/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of a vault that dies or lies because of a device (testlib-inside.c has
 * how): that device fails, by its name, and all else goes on.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/clock.h"
#include "exchange/exchange.h"
#include "exchange/preflight.h"
#include "testlib/testlib-jwe.h"
#include "testlib/testlib-luks.h"
#include "testlib/testlib-server.h"
#include "testlib/testlib-vault.h"
#include "testlib/testlib-inside.h"
#include "vault/vault-private.h"

static const char *const passphrases[] = { "admin", "one", NULL };

/* Where a fault shows. */
enum stage { LOAD, LIST, RUN, QUICKEN, USE, EXTENT, DECRYPT };

struct fixture {
  struct vault *v;
  struct server *server;
  json_t *key;
  struct policy *policy;
  const char *file;
  char *device;            /* the name of the one with a fault */
  bool is_late;            /* which shows when time is over */
  struct vault_luks *earlier, *good[2], *bad;
  struct vault_key *recovered, *from_file, *typed, *bad_key;
  unsigned char plain[512];
  bool has_plain;
};

/* To make one takes valgrind a second, so it is made once. */
static const char *
new_disk (void)
{
  static const char *made;
  const char *file = tmp_path ("disk.img");
  CLEANUP_FREE char *data = NULL;
  size_t len;

  if (made == NULL) {
    made = tmp_path ("made.img");
    make_luks2 (made, passphrases, 16 * KIB);
  }
  data = read_file (made, &len);
  write_file (file, data, len);
  return file;
}

/* The first vault is forked before the server has its thread. */
static int
setup (void **state)
{
  struct fixture *f = calloc (1, sizeof *f);

  watch_children ();
  vault_patience.answer = 180;
  vault_patience.point = 20;
  vault_patience.grace = 20;
  exploit.program = getpid ();
  f->v = new_vault ();
  f->key = tang_key ("P-256");
  f->server = server_start (f->key, FAULT_NONE);
  f->policy = loopback_policy ();
  policy_settings (f->policy)->retries = 0;
  f->file = new_disk ();
  bind_luks_tang (f->file, 1, f->key, server_url (f->server), "one");
  *state = f;
  return 0;
}

static int
teardown (void **state)
{
  struct fixture *f = *state;

  vault_free (f->v);
  policy_free (f->policy);
  server_stop (f->server);
  json_decref (f->key);
  free (f->device);
  free (f);
  assert_no_children ();
  return 0;
}

/* Who does not answer is not waited for that long.  All others have the time
 * that they need on a slow machine: impatience begins with what has a fault,
 * and ends with it.
 */
static void
be_patient (struct fixture *f, bool patient)
{
  if (!f->is_late)
    return;
  policy_settings (f->policy)->deadline = patient ? 180000 : 300;
  vault_patience.answer = patient ? 180 : 0.3;
  vault_patience.point = patient ? 20 : 0.3;
  vault_patience.grace = patient ? 20 : 0.1;
}

static struct vault_run *
new_run (struct fixture *f)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct vault_run *run = vault_exchange_new (f->v, f->policy, &err);

  assert_no_error (&err);
  return run;
}

static void
add (struct vault_run *run, struct vault_luks *luks)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  vault_run_add (run, luks, &err);
  assert_no_error (&err);
}

static void
finish (struct vault_run *run)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  vault_finish_run (run, &err);
  assert_no_error (&err);
}

/* Take the key of a device that must have been opened. */
static struct vault_key *
take_key (struct vault_run *run, size_t i)
{
  const struct heard_outcome *o = vault_run_outcome (run, i);

  if (o->nr_errors > 0)
    print_error ("%s\n", o->errors[0].message);
  assert_int_equal (o->status, EXCHANGE_UNLOCKED);
  assert_int_equal (o->keyslot, 1);
  return vault_run_take_key (run, i);
}

static struct vault_key *
recover (struct fixture *f, struct vault_luks *luks)
{
  struct vault_run *run = new_run (f);
  struct vault_key *key;

  add (run, luks);
  finish (run);
  key = take_key (run, 0);
  vault_run_free (run);
  return key;
}

/* A sector of the device f->earlier is decrypted to what it was before. */
static void
assert_decrypts (struct fixture *f)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  unsigned char data[512] = { 0 }, plain[512];

  /* Once: what another vault has it has by itself. */
  if (!f->has_plain)
    vault_luks_unlock (f->earlier, f->recovered, 1, &err);
  assert_no_error (&err);
  vault_luks_decrypt (f->earlier, 0, data, plain, 512, &err);
  assert_no_error (&err);
  if (f->has_plain)
    assert_memory_equal (plain, f->plain, 512);
  memcpy (f->plain, plain, 512);
  f->has_plain = true;
}

/* What there is before anything goes wrong. */
static void
prepare (struct fixture *f, const char *fault)
{
  assert_int_not_equal (asprintf (&f->device, "/dev/%s", fault), -1);
  f->from_file = key_of_file (f->v, "from a file");
  f->typed = key_of_pipe (f->v, "typed");
  f->earlier = vault_ready_luks (f->v, f->file, "/dev/earlier");
  f->recovered = recover (f, f->earlier);
  assert_decrypts (f);
  f->good[0] = vault_ready_luks (f->v, f->file, "/dev/good");
}

/* The device is named, and what may be the reason. */
static void
assert_death (struct fixture *f, const struct clevis_error *err)
{
  assert_error (err, CLEVIS_ERR_SYSTEM, "the vault");
  assert_non_null (err->device);
  assert_string_equal (err->device, f->device);
  assert_contains (err->hint, "this disk");
  if (strncmp (f->device, "/dev/crash", 10) == 0)
    assert_contains (err->message, "signal 11");
  else
    assert_contains (err->message, "no valid answer");
}

static void
load_bad (struct fixture *f, bool is_fatal)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  enum luks_state state;

  be_patient (f, !is_fatal);
  f->bad = vault_load (f->v, f->file, f->device, &state, &err);
  be_patient (f, true);
  if (is_fatal) {
    assert_int_equal (state, LUKS_ERROR);
    assert_death (f, &err);
    return;
  }
  assert_no_error (&err);
  assert_int_equal (state, LUKS_READY);
  f->good[1] = vault_ready_luks (f->v, f->file, "/dev/good2");
}

static void
assert_no_list (struct fixture *f)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  be_patient (f, false);
  assert_null (vault_luks_list (f->bad, &err));
  be_patient (f, true);
  assert_death (f, &err);
}

/* All are in one exchange, which ends with the vault; then each has its own,
 * the bad one after the first.
 */
static void
finish_bad (struct fixture *f, struct vault_run *run)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  int r, deaths = 0;

  do {
    be_patient (f, deaths > 0 && !(deaths == 1 && vault_run_outcome (
      run, 0)->status == EXCHANGE_UNLOCKED));
    r = vault_run_step (run, 50, &err);
    deaths += f->v->pid == 0;
  } while (r == 1);
  be_patient (f, true);
  assert_no_error (&err);
  assert_int_equal (r, 0);
}

/* Between two others. */
static void
run_bad (struct fixture *f)
{
  struct vault_run *run = new_run (f);
  const struct heard_outcome *o;
  struct vault_key *key;
  size_t i;

  add (run, f->good[0]);
  add (run, f->bad);
  add (run, f->good[1]);
  finish_bad (f, run);
  o = vault_run_outcome (run, 1);
  assert_int_equal (o->status, EXCHANGE_FAILED);
  assert_int_equal (o->nr_errors, 1);
  assert_death (f, &o->errors[0]);
  assert_null (vault_run_take_key (run, 1));
  for (i = 0; i < 3; i += 2) {
    key = take_key (run, i);
    assert_vault_key (key, "one");
    vault_key_free (key);
  }
  vault_run_free (run);
}

static void
quicken_bad (struct fixture *f)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct vault_change *changes;

  f->bad_key = recover (f, f->bad);
  be_patient (f, false);
  assert_int_equal (vault_luks_quicken (f->bad, f->bad_key, 1, &changes,
                                        &err), -1);
  be_patient (f, true);
  assert_death (f, &err);
}

static void
find_bad (struct fixture *f)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct luks_data_extent extent;

  assert_int_equal (vault_luks_data_extent (f->bad, &extent, &err), -1);
  assert_death (f, &err);
}

/* Three pieces, of which the last is not a whole one. */
static void
decrypt_bad (struct fixture *f)
{
  static unsigned char data[2 * DATA_BYTES + 512], plain[sizeof data];
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  f->bad_key = recover (f, f->bad);
  be_patient (f, false);
  if (vault_luks_unlock (f->bad, f->bad_key, 1, &err) == 0)
    assert_int_equal (vault_luks_decrypt (f->bad, 0, data, plain, sizeof data,
                                          &err), -1);
  be_patient (f, true);
  assert_death (f, &err);
  /* It is not tried again. */
  clevis_error_clear (&err);
  assert_int_equal (vault_luks_decrypt (f->bad, 0, data, plain, 512, &err),
                    -1);
  assert_death (f, &err);
}

/* It says that it has a key, and has not. */
static void
use_bad (struct fixture *f)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  f->bad_key = recover (f, f->bad);
  assert_null (vault_key_lend (f->bad_key, &err));
  assert_error (&err, CLEVIS_ERR_SYSTEM, "the vault");
}

/* What was there before still is, but for what cannot be had again. */
static void
assert_rest (struct fixture *f)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const struct heard_luks *list;
  struct vault_change *changes;
  struct vault_memory memory;
  bool equal = true;
  int n;

  assert_vault_key (f->recovered, "one");
  assert_vault_key (f->from_file, "from a file");
  vault_key_equal (f->from_file, f->recovered, &equal, &err);
  assert_no_error (&err);
  assert_false (equal);
  list = vault_luks_list (f->good[0], &err);
  assert_no_error (&err);
  assert_int_equal (list->nr_tokens, 1);
  assert_int_equal (vault_key_chomp (f->typed, &err), -1);
  assert_error (&err, CLEVIS_ERR_SYSTEM, "the key was lost");
  clevis_error_clear (&err);
  assert_decrypts (f);
  n = vault_luks_quicken (f->earlier, f->recovered, 1, &changes, &err);
  assert_no_error (&err);
  assert_true (n > 0);
  vault_changes_free (changes, n);

  vault_key_free (f->recovered);
  vault_key_free (f->from_file);
  vault_key_free (f->typed);
  vault_key_free (f->bad_key);
  vault_luks_free (f->earlier);
  vault_luks_free (f->good[0]);
  vault_luks_free (f->good[1]);
  vault_luks_free (f->bad);
  vault_memory (f->v, &memory, &err);
  assert_no_error (&err);
  assert_int_equal (memory.used, 0);
}

static void
try (struct fixture *f, const char *fault, enum stage stage)
{
  prepare (f, fault);
  load_bad (f, stage == LOAD);
  switch (stage) {
  case LOAD:
    break;
  case LIST:
    assert_no_list (f);
    break;
  case RUN:
    run_bad (f);
    assert_no_list (f);
    break;
  case QUICKEN:
    quicken_bad (f);
    break;
  case USE:
    use_bad (f);
    break;
  case EXTENT:
    find_bad (f);
    break;
  case DECRYPT:
    decrypt_bad (f);
    break;
  }
  assert_rest (f);
}

#define TRY(name, fault, stage)                 \
  static void                                   \
  test_ ## name (void **state)                  \
  {                                             \
    try (*state, fault, stage);                 \
  }

/* What ends only by a limit of time. */
#define TRY_LATE(name, fault, stage)            \
  static void                                   \
  test_ ## name (void **state)                  \
  {                                             \
    if (in_valgrind ())                         \
      return; /* as others, but slower */       \
    ((struct fixture *) *state)->is_late = true; \
    try (*state, fault, stage);                 \
  }

TRY (crash_new, "crash-next", LOAD)
TRY (crash_supplied, "crash-supplied", LOAD)
TRY (crash_list, "crash-list", LIST)
TRY (crash_run, "crash-run", RUN)
TRY (crash_asked, "crash-asked", RUN)
TRY (crash_result, "crash-result", RUN)
TRY (crash_quicken, "crash-quicken", QUICKEN)
TRY (crash_quick_read, "crash-quick-read", QUICKEN)
TRY (exit_next, "exit-next", LOAD)
TRY (exit_list, "exit-list", LIST)
TRY (exit_run, "exit-run", RUN)
TRY_LATE (silent_next, "silent-next", LOAD)
TRY_LATE (silent_list, "silent-list", LIST)
TRY_LATE (silent_run, "silent-run", RUN)
TRY_LATE (silent_quicken, "silent-quicken", QUICKEN)
TRY (state, "state", LOAD)
TRY (extent_none, "extent-none", LOAD)
TRY (extent_long, "extent-long", LOAD)
TRY (extent_negative, "extent-negative", LOAD)
TRY (send_none, "send-none", LIST)
TRY (send_few, "send-few", LIST)
TRY (send_many, "send-many", LIST)
TRY (send_flag, "send-flag", LIST)
TRY (send_descriptors, "send-descriptors", LIST)
TRY (list_short, "list-short", LIST)
TRY (list_other, "list-other", LIST)
TRY (list_more, "list-more", LIST)
TRY_LATE (list_drip, "list-drip", LIST)
TRY (list_deep, "list-deep", LIST)
TRY (list_wide, "list-wide", LIST)
TRY (list_many, "list-many", LIST)
TRY (ask_device, "ask-device", RUN)
TRY (ask_number, "ask-number", RUN)
TRY (ask_zero, "ask-zero", RUN)
TRY_LATE (ask_twice, "ask-twice", RUN)
TRY (join_device, "join-device", RUN)
TRY (join_negative, "join-negative", RUN)
TRY (send_point, "send-point", RUN)
TRY (send_garbage, "send-garbage", RUN)
TRY_LATE (no_point, "no-point", RUN)
TRY_LATE (early_done, "early-done", RUN)
TRY_LATE (flood_point, "flood-point", RUN)
TRY (flood_ask, "flood-ask", RUN)
TRY_LATE (flood_where, "flood-where", RUN)
TRY_LATE (flood_cancel, "flood-cancel", RUN)
TRY (flood_join, "flood-join", RUN)
TRY (no_key, "no-key", RUN)
TRY (no_keyslot, "no-keyslot", RUN)
TRY (no_end, "no-end", RUN)
TRY (no_reason, "no-reason", RUN)
TRY (no_leaves, "no-leaves", RUN)
TRY (other_key, "other-key", USE)
TRY (many_extents, "many-extents", QUICKEN)
TRY (long_extent, "long-extent", QUICKEN)
TRY (no_bytes, "no-bytes", QUICKEN)
TRY (more_bytes, "more-bytes", QUICKEN)
TRY (crash_extent, "crash-extent", EXTENT)
TRY (crash_unlock, "crash-unlock", DECRYPT)
TRY (crash_decrypt, "crash-decrypt", DECRYPT)
TRY (crash_second, "crash-second", DECRYPT)
TRY (exit_decrypt, "exit-decrypt", DECRYPT)
TRY_LATE (silent_unlock, "silent-unlock", DECRYPT)
TRY_LATE (silent_decrypt, "silent-decrypt", DECRYPT)
TRY (data_behind, "data-behind", EXTENT)
TRY (data_long, "data-long", EXTENT)
TRY (data_overflow, "data-overflow", EXTENT)
TRY (data_negative, "data-negative", EXTENT)
TRY (data_none, "data-none", EXTENT)
TRY (data_short, "data-short", EXTENT)
TRY (data_tiny, "data-tiny", EXTENT)
TRY (data_huge, "data-huge", EXTENT)
TRY (data_odd, "data-odd", EXTENT)
TRY (data_part, "data-part", EXTENT)
TRY (plain_none, "plain-none", DECRYPT)
TRY (plain_empty, "plain-empty", DECRYPT)
TRY (plain_few, "plain-few", DECRYPT)
TRY (plain_many, "plain-many", DECRYPT)
TRY (plain_elsewhere, "plain-elsewhere", DECRYPT)
TRY (plain_twice, "plain-twice", DECRYPT)
TRY (plain_other, "plain-other", DECRYPT)
TRY (plain_garbage, "plain-garbage", DECRYPT)

/* When it gets its name, there is no object yet. */
static void
test_crash_at_name (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;

  prepare (f, "crash-new");
  assert_null (vault_luks_new (f->v, f->device, 1 << 20, &err));
  assert_death (f, &err);
  assert_rest (f);
}

/* It gets the number of no object. */
static void
test_zero (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;

  prepare (f, "zero");
  assert_null (vault_luks_new (f->v, f->device, 1 << 20, &err));
  assert_death (f, &err);
  assert_rest (f);
}

/* A vault dies, and the one that replaces it needs more than all. */
static void
test_need_again (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;

  prepare (f, "need-again");
  load_bad (f, false);
  kill (f->v->pid, SIGKILL);
  assert_int_equal (vault_key_chomp (f->from_file, &err), -1);
  run_bad (f);
  assert_no_list (f);
  assert_rest (f);
}

/* Two devices that end each vault. */
static void
test_two (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  struct vault_run *run = new_run (f);
  struct vault_luks *luks[4];
  struct vault_key *key;
  size_t i;

  for (i = 0; i < 4; ++i) {
    luks[i] = vault_ready_luks (f->v, f->file,
                                i % 2 ? "/dev/crash-run" : "/dev/good");
    add (run, luks[i]);
  }
  finish (run);
  for (i = 0; i < 4; ++i)
    if (i % 2) {
      assert_int_equal (vault_run_outcome (run, i)->status, EXCHANGE_FAILED);
      assert_string_equal (vault_run_outcome (run, i)->errors[0].device,
                           "/dev/crash-run");
    }
    else {
      key = take_key (run, i);
      assert_vault_key (key, "one");
      vault_key_free (key);
    }
  vault_run_free (run);

  /* Those that are known are not tried again. */
  run = new_run (f);
  add (run, luks[1]);
  add (run, luks[0]);
  finish (run);
  assert_int_equal (vault_run_outcome (run, 0)->status, EXCHANGE_FAILED);
  assert_vault_key (key = take_key (run, 1), "one");
  vault_key_free (key);
  vault_run_free (run);
}

/* A preflight has its own words for it. */
static void
test_preflight (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_JSON json_t *adv = NULL;
  struct fixture *f = *state;
  const struct heard_outcome *o;
  struct vault_luks *good, *bad;
  struct vault_run *run;

  adv = tang_advertisement (f->key, true);
  server_advertise (f->server, adv);
  f->device = strdup ("/dev/crash-asked");
  good = vault_ready_luks (f->v, f->file, "/dev/good");
  bad = vault_ready_luks (f->v, f->file, f->device);
  run = vault_preflight_new (f->v, f->policy, false, &err);
  add (run, bad);
  add (run, good);
  finish (run);
  o = vault_run_outcome (run, 0);
  assert_int_equal (o->status, PREFLIGHT_CLOSED);
  assert_int_equal (o->nr_leaves, 1);
  assert_true (o->leaves[0].has_failed);
  assert_death (f, &o->leaves[0].error);
  o = vault_run_outcome (run, 1);
  assert_int_equal (o->nr_leaves, 1);
  assert_int_equal (o->leaves[0].key, PREFLIGHT_ADVERTISED);
  vault_run_free (run);
}

/* Requests that were collected before the vault died are collected again. */
static void
test_export (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  struct vault_run *run = new_run (f);
  const char *file = tmp_path ("other.img");
  size_t n;

  make_luks2 (file, passphrases, 16 * KIB);
  bind_luks_tang (file, 1, f->key, server_url (f->server), "one");
  vault_collect_requests (f->v, &err);
  assert_no_error (&err);
  add (run, vault_ready_luks (f->v, f->file, "/dev/good"));
  add (run, vault_ready_luks (f->v, f->file, "/dev/crash-run"));
  add (run, vault_ready_luks (f->v, file, "/dev/good2"));
  finish (run);
  assert_int_equal (vault_run_outcome (run, 1)->status, EXCHANGE_FAILED);
  assert_string_equal (vault_run_outcome (run, 1)->errors[0].device,
                       "/dev/crash-run");
  vault_nr_requests (f->v, &n, &err);
  assert_no_error (&err);
  assert_int_equal (n, 2);
  vault_run_free (run);
}

/* What another machine is to post is judged here, whatever the vault says.  The
 * last device that was loaded is the one whose fault shows.
 */
static void
test_requests (void **state)
{
  static const char *const faults[] = { "cloud", "argument", "id", "allowed" };
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  const char *file;
  struct vault_luks *luks;
  char device[64];
  struct stat st;
  size_t i;
  int fd, r;

  vault_collect_requests (f->v, &err);
  assert_no_error (&err);
  for (i = 0; i < sizeof faults / sizeof faults[0]; ++i) {
    snprintf (device, sizeof device, "/dev/list-%s", faults[i]);
    luks = vault_ready_luks (f->v, f->file, device);
    file = tmp_path ("%s", faults[i]);
    fd = open (file, O_WRONLY | O_CREAT | O_EXCL, 0600);
    r = vault_dump_requests (f->v, f->policy, fd, file, &err);
    assert_int_equal (fstat (fd, &st), 0);
    close (fd);
    if (i < 3) {
      assert_int_equal (r, -1);
      assert_int_equal (st.st_size, 0);
      assert_true (err.code != CLEVIS_OK);
    }
    else {
      assert_no_error (&err);
      assert_true (st.st_size > 0);
    }
    clevis_error_clear (&err);
    vault_luks_free (luks);
  }
}

/* What was not in a key when it was looked at is not in what is written. */
static void
test_key_changes (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  struct vault_key *key = recover (f, vault_ready_luks (f->v, f->file,
                                                        "/dev/change-key"));
  const char *file = tmp_path ("written");
  const int fd = open (file, O_RDWR | O_CREAT | O_EXCL, 0600);
  bool has = true;
  struct stat st;

  vault_key_has_byte (key, '\n', &has, &err);
  assert_no_error (&err);
  assert_false (has);
  assert_int_equal (vault_key_write (key, fd, false, &err), -1);
  assert_error (&err, CLEVIS_ERR_SYSTEM, "no valid answer");
  assert_int_equal (fstat (fd, &st), 0);
  assert_int_equal (st.st_size, 0);
  close (fd);
}

/* A vault is killed from outside: nobody is to blame. */
static void
test_killed (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  struct vault_key *line;
  int i;

  prepare (f, "none");
  line = key_of_file (f->v, "a line\n");
  vault_key_chomp (line, &err);
  assert_no_error (&err);
  for (i = 0; i < 3; ++i) {
    kill (f->v->pid, SIGKILL);
    assert_int_equal (vault_key_chomp (f->from_file, &err), -1);
    assert_error (&err, CLEVIS_ERR_SYSTEM, "no valid answer");
    clevis_error_clear (&err);
    assert_vault_key (f->from_file, "from a file");
    assert_vault_key (line, "a line");
    assert_vault_key (f->recovered, "one");
  }
}

/* A key is not recovered from servers if it did not come from them. */
static void
test_answers_forgotten (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *folder = tmp_path ("keys"), *file = tmp_path ("keys/a.jwk");
  struct fixture *f = *state;
  CLEANUP_FREE char *text = json_dumps (f->key, 0);
  struct vault_key *key;

  mkdir (folder, 0700);
  write_file (file, text, strlen (text));
  vault_use_keydir (f->v, folder, &err);
  assert_no_error (&err);
  key = recover (f, vault_ready_luks (f->v, f->file, "/dev/good"));
  assert_int_equal (server_requests (f->server), 0);
  kill (f->v->pid, SIGKILL);
  vault_key_lend (key, NULL);
  assert_vault_key (key, "one");
  assert_int_equal (server_requests (f->server), 0);

  vault_forget_answers (f->v, &err);
  assert_no_error (&err);
  kill (f->v->pid, SIGKILL);
  vault_key_lend (key, NULL);
  assert_null (vault_key_lend (key, &err));
  assert_error (&err, CLEVIS_ERR_SYSTEM, "the key was lost");
  assert_int_equal (server_requests (f->server), 0);
}

/* A new vault that cannot have the folder of keys is none: it would ask. */
static void
test_answers_gone (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *folder = tmp_path ("gone"), *file = tmp_path ("gone/a.jwk");
  struct fixture *f = *state;
  CLEANUP_FREE char *text = json_dumps (f->key, 0);
  struct vault_luks *luks;
  struct vault_run *run;
  int i;

  mkdir (folder, 0700);
  write_file (file, text, strlen (text));
  vault_use_keydir (f->v, folder, &err);
  assert_no_error (&err);
  luks = vault_ready_luks (f->v, f->file, "/dev/good");
  unlink (file);
  rmdir (folder);
  kill (f->v->pid, SIGKILL);
  vault_luks_list (luks, NULL);
  luks = f->v->headers;
  for (i = 0; i < 2; ++i) {
    run = new_run (f);
    add (run, luks);
    vault_finish_run (run, &err);
    vault_run_free (run);
    clevis_error_clear (&err);
  }
  assert_int_equal (server_requests (f->server), 0);
}

/* A vault asks, in an exchange or a preflight.  Returns how many requests came
 * to the server.
 */
static int
asked (struct fixture *f, const char *fault, bool is_preflight, bool probe)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const int before = server_requests (f->server);
  struct vault_luks *luks = vault_ready_luks (f->v, f->file, fault);
  struct vault_run *run = is_preflight
    ? vault_preflight_new (f->v, f->policy, probe, &err)
    : vault_exchange_new (f->v, f->policy, &err);
  const struct heard_outcome *o;

  assert_no_error (&err);
  add (run, luks);
  finish (run);
  o = vault_run_outcome (run, 0);
  assert_error (is_preflight ? &o->leaves[0].error : &o->errors[0],
                CLEVIS_ERR_SYSTEM, "gave no valid answer");
  vault_run_free (run);
  vault_luks_free (luks);
  return server_requests (f->server) - before;
}

/* A vault that was taken over asks no more than what the user has asked for,
 * and only for devices that there are.
 */
static void
test_asks_more (void **state)
{
  static const char advertisement[] = "/dev/ask-advertisement";
  static const char recovery[] = "/dev/ask-recovery";
  static const char next_device[] = "/dev/ask-next-device";
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *folder = tmp_path ("all"), *file = tmp_path ("all/a.jwk");
  struct fixture *f = *state;
  CLEANUP_FREE char *text = json_dumps (f->key, 0);

  mkdir (folder, 0700);
  write_file (file, text, strlen (text));
  /* The vault that there is knows nothing of the server. */
  exploit.port = server_port (f->server);
  vault_free (f->v);
  f->v = new_vault ();

  /* What may be asked, so that a request would be seen. */
  assert_int_equal (asked (f, recovery, false, false), 1);
  assert_int_equal (asked (f, recovery, true, true), 1);
  assert_int_equal (asked (f, advertisement, true, false), 1);
  assert_int_equal (asked (f, advertisement, false, false), 0);
  assert_int_equal (asked (f, recovery, true, false), 0);
  assert_int_equal (asked (f, next_device, false, false), 0);
  assert_int_equal (asked (f, next_device, true, true), 0);

  vault_use_keydir (f->v, folder, &err);
  assert_no_error (&err);
  assert_int_equal (asked (f, recovery, false, false), 0);
  assert_int_equal (asked (f, recovery, true, true), 0);
  assert_int_equal (asked (f, advertisement, true, true), 0);
  vault_forget_answers (f->v, &err);
  assert_no_error (&err);
  vault_collect_requests (f->v, &err);
  assert_no_error (&err);
  assert_int_equal (asked (f, recovery, false, false), 0);
  assert_int_equal (asked (f, advertisement, false, false), 0);
}

/* What somebody could do outside who has taken the vault over: 1 is to read a
 * file and write it to another, 2 to connect to a server.
 */
static int
exploited (bool walled)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *file = tmp_path ("disk.img");
  struct server *server;
  struct vault_luks *luks;
  enum luks_state state;
  struct vault *v;
  struct stat st;
  int connections;

  server = server_start (NULL, FAULT_CLOSE);
  exploit.to_read = "/etc/passwd";
  exploit.to_make = tmp_path (walled ? "made" : "made-without");
  exploit.port = server_port (server);
  vault_patience.answer = 2 * time_factor ();
  v = vault_new (walled, &err);
  assert_no_error (&err);
  luks = vault_load (v, file, "/dev/exploit", &state, &err);
  assert_no_error (&err);
  assert_null (vault_luks_list (luks, &err));
  assert_string_equal (err.device, "/dev/exploit");
  vault_free (v);
  /* Connections are accepted in their order: that of a request comes last. */
  shell ("curl -s '%s' || :", server_url (server));
  while (server_requests (server) == 0)
    usleep (1000);
  connections = server_connections (server) - 1;
  server_stop (server);
  return (stat (exploit.to_make, &st) == 0 && st.st_size > 0) +
    2 * (connections > 0);
}

static void
test_exploit (void **state)
{
  assert_int_equal (exploited (false), 1 + 2);
  if (!in_valgrind ())
    assert_int_equal (exploited (true), 0);
}

#define TEST(name) \
  cmocka_unit_test_setup_teardown (test_ ## name, setup, teardown)

int
main (void)
{
  const struct CMUnitTest tests[] = {
    TEST (crash_new), TEST (crash_at_name), TEST (zero), TEST (need_again),
    TEST (crash_supplied),
    TEST (crash_list), TEST (crash_run), TEST (crash_asked),
    TEST (crash_result), TEST (crash_quicken), TEST (crash_quick_read),
    TEST (exit_next), TEST (exit_list), TEST (exit_run), TEST (silent_next),
    TEST (silent_list), TEST (silent_run), TEST (silent_quicken),
    TEST (state), TEST (extent_none), TEST (extent_long),
    TEST (extent_negative), TEST (send_none), TEST (send_few),
    TEST (send_many), TEST (send_flag), TEST (send_descriptors),
    TEST (list_short), TEST (list_other), TEST (list_more),
    TEST (list_drip), TEST (list_deep),
    TEST (list_wide), TEST (list_many), TEST (ask_device),
    TEST (ask_number), TEST (ask_zero),
    TEST (ask_twice), TEST (join_device), TEST (join_negative),
    TEST (send_point), TEST (send_garbage), TEST (no_point),
    TEST (early_done), TEST (flood_point), TEST (flood_ask),
    TEST (flood_where), TEST (flood_cancel), TEST (flood_join),
    TEST (no_key), TEST (no_keyslot), TEST (no_end), TEST (no_reason),
    TEST (no_leaves), TEST (other_key), TEST (many_extents),
    TEST (long_extent), TEST (no_bytes), TEST (more_bytes),
    TEST (crash_extent), TEST (crash_unlock), TEST (crash_decrypt),
    TEST (crash_second), TEST (exit_decrypt), TEST (silent_unlock),
    TEST (silent_decrypt), TEST (data_behind), TEST (data_long),
    TEST (data_overflow), TEST (data_negative), TEST (data_none),
    TEST (data_short), TEST (data_tiny), TEST (data_huge), TEST (data_odd),
    TEST (data_part), TEST (plain_none), TEST (plain_empty), TEST (plain_few),
    TEST (plain_many), TEST (plain_elsewhere), TEST (plain_twice),
    TEST (plain_other), TEST (plain_garbage),
    TEST (two),
    TEST (preflight), TEST (export), TEST (requests), TEST (key_changes),
    TEST (killed),
    TEST (answers_forgotten), TEST (answers_gone), TEST (asks_more),
    TEST (exploit),
  };

  return run_unit_tests (tests);
}
