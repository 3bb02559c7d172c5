/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of offline.c: requests that leave in a file, replies that come back in
 * one, and replies that belong to something else.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <jose/b64.h>
#include <openssl/crypto.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bounds.h"
#include "exchange/exchange.h"
#include "tang/offline.h"
#include "tang/servers.h"
#include "testlib/testlib-jwe.h"
#include "testlib/testlib-luks.h"

static const char *const passphrases[] = { "admin", "one", "two", NULL };

/* Files of one export, and what is needed to answer it. */
struct fixture {
  json_t *key;
  const char *disk, *requests, *state, *replies;
};

static int
setup (void **state)
{
  static int n;
  struct fixture *f = calloc (1, sizeof *f);

  n++;
  f->key = tang_key ("P-256");
  f->disk = tmp_path ("disk%d", n);
  f->requests = tmp_path ("requests%d", n);
  f->state = tmp_path ("state%d", n);
  f->replies = tmp_path ("replies%d", n);
  make_luks2 (f->disk, passphrases, 16 * KIB);
  *state = f;
  return 0;
}

static int
teardown (void **state)
{
  struct fixture *f = *state;

  json_decref (f->key);
  free (f);
  return 0;
}

static void
bind_tang (struct fixture *f, int keyslot, const char *url)
{
  bind_luks_tang (f->disk, keyslot, f->key, url, passphrases[keyslot]);
}

static json_t *
load (const char *path)
{
  json_t *json = json_load_file (path, 0, NULL);

  assert_non_null (json);
  return json;
}

static void
store (const char *path, const json_t *json)
{
  assert_int_equal (json_dump_file (json, path, 0), 0);
}

/* Write both files. */
static void
dump (struct fixture *f, const struct offline *off)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_CLOSE int r = open (f->requests, O_WRONLY | O_CREAT | O_EXCL, 0600);
  CLEANUP_CLOSE int s = open (f->state, O_WRONLY | O_CREAT | O_EXCL, 0600);

  assert_int_equal (offline_dump_requests (off, r, f->requests, &err), 0);
  assert_int_equal (offline_dump_state (off, s, f->state, &err), 0);
}

/* Run an exchange of the disk with an offline object, which is freed.  Returns
 * the status, and the key's text and the first binding's error.
 */
static enum exchange_status
run (struct fixture *f, struct offline *off, struct clevis_error *binding,
     char key[64], size_t *count)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct policy *policy = policy_new ();
  struct exchange *ex;
  struct luks *luks = ready_luks (f->disk);
  const struct exchange_device *d;
  enum exchange_status status;
  const struct exchange_settings settings = {
    .deadline = 60000, .answers.offline = off,
  };

  ex = exchange_new (servers_new (policy, &err), &settings, &err);
  assert_int_equal (exchange_add (ex, luks, &err), 0);
  while (exchange_step (ex, 1000, &err) == 1)
    ;
  assert_no_error (&err);
  d = exchange_device (ex, 0);
  status = d->status;
  if (d->key)
    snprintf (key, 64, "%.*s", (int) d->key->len, (char *) d->key->data);
  clevis_error_copy (binding, &d->bindings[0].error);
  if (count) {
    *count = offline_count (off);
    dump (f, off);
  }
  exchange_free (ex);
  luks_free (luks);
  policy_free (policy);
  offline_free (off);
  return status;
}

/* Export all requests of the disk; returns how many there are. */
static size_t
export (struct fixture *f, enum clevis_code code)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_ERROR struct clevis_error binding = CLEVIS_ERROR_INIT;
  struct offline *off = offline_export (&err);
  char key[64] = "";
  size_t n;

  assert_false (offline_is_import (off));
  assert_int_equal (run (f, off, &binding, key, &n), EXCHANGE_FAILED);
  assert_int_equal (binding.code, code);
  return n;
}

/* What the other machine does. */
static json_t *
answers (struct fixture *f)
{
  CLEANUP_JSON json_t *doc = load (f->requests);
  json_t *replies = json_array (), *request;
  size_t i;

  json_array_foreach (json_object_get (doc, "requests"), i, request)
    json_array_append_new (
      replies, json_pack ("{s:O, s:o}", "id", json_object_get (request, "id"),
                          "body", tang_answer (
                            f->key, json_object_get (request, "body"))));
  return json_pack ("{s:i, s:o}", "version", 1, "replies", replies);
}

static enum exchange_status
import (struct fixture *f, struct clevis_error *binding, char key[64])
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct offline *off = offline_import (f->state, f->replies, &err);

  assert_no_error (&err);
  assert_true (offline_is_import (off));
  return run (f, off, binding, key, NULL);
}

/* The files cannot be imported. */
static void
assert_not_imported (struct fixture *f, enum clevis_code code,
                     const char *message)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct offline *off = offline_import (f->state, f->replies, &err);

  assert_null (off);
  assert_error (&err, code, message);
}

static void
test_there_and_back (void **state)
{
  CLEANUP_ERROR struct clevis_error binding = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  CLEANUP_JSON json_t *replies = NULL;
  char key[64] = "";

  bind_tang (f, 1, "http://tang.example.com");
  assert_int_equal (export (f, CLEVIS_ERR_CANCELLED), 1);
  replies = answers (f);
  store (f->replies, replies);
  assert_int_equal (import (f, &binding, key), EXCHANGE_UNLOCKED);
  assert_string_equal (key, "one");
}

static json_t *
tang_child (size_t i, const unsigned char *share, size_t len, void *opaque)
{
  struct fixture *f = opaque;
  char url[64];

  snprintf (url, sizeof url, "http://tang%zu.example.com", i);
  return encrypt_tang (url, f->key, share, len);
}

static void
test_sss (void **state)
{
  CLEANUP_ERROR struct clevis_error binding = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  CLEANUP_JSON json_t *jwe = encrypt_sss (2, 3, tang_child, f, "two", 3);
  CLEANUP_JSON json_t *replies = NULL;
  char key[64] = "";

  bind_luks (f->disk, 2, jwe);
  assert_int_equal (export (f, CLEVIS_ERR_THRESHOLD), 3);
  replies = answers (f);
  /* One of three did not answer. */
  json_array_remove (json_object_get (replies, "replies"), 0);
  store (f->replies, replies);
  assert_int_equal (import (f, &binding, key), EXCHANGE_UNLOCKED);
  assert_string_equal (key, "two");
}

static void
test_files (void **state)
{
  struct fixture *f = *state;
  CLEANUP_JSON json_t *doc = NULL, *secrets = NULL;
  CLEANUP_FREE char *text = NULL, *kid = thumbprint (f->key, "S256");
  CLEANUP_FREE char *url = NULL;
  const json_t *request;
  struct stat st;

  bind_tang (f, 1, "http://tang.example.com/x");
  export (f, CLEVIS_ERR_CANCELLED);
  assert_int_equal (stat (f->requests, &st), 0);
  assert_int_equal (st.st_mode & 07777, 0600);
  assert_int_equal (stat (f->state, &st), 0);
  assert_int_equal (st.st_mode & 07777, 0600);
  doc = load (f->requests);
  assert_int_equal (json_integer_value (json_object_get (doc, "version")), 1);
  request = json_array_get (json_object_get (doc, "requests"), 0);
  assert_int_not_equal (asprintf (&url, "http://tang.example.com/x/rec/%s",
                                  kid), -1);
  assert_string_equal (json_string_value (json_object_get (request, "url")),
                       url);
  assert_string_equal (json_string_value (json_object_get (request, "kid")),
                       kid);
  /* What is private is in the state, and nowhere else. */
  text = read_file (f->requests, NULL);
  assert_null (strstr (text, "\"d\""));
  secrets = load (f->state);
  assert_non_null (json_object_get (json_object_get (json_array_get (
    json_object_get (secrets, "requests"), 0), "key"), "d"));
}

/* A server that the policy forbids is not to be asked by somebody else. */
static void
test_policy_counts (void **state)
{
  struct fixture *f = *state;

  bind_tang (f, 1, "http://127.0.0.1");
  assert_int_equal (export (f, CLEVIS_ERR_POLICY), 0);
}

static void
test_reply_is_missing (void **state)
{
  CLEANUP_ERROR struct clevis_error binding = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  CLEANUP_JSON json_t *replies = NULL;
  char key[64] = "";

  bind_tang (f, 1, "http://tang.example.com");
  export (f, CLEVIS_ERR_CANCELLED);
  replies = json_pack ("{s:i, s:[]}", "version", 1, "replies");
  store (f->replies, replies);
  assert_int_equal (import (f, &binding, key), EXCHANGE_FAILED);
  assert_error (&binding, CLEVIS_ERR_UNREACHABLE, "do not answer");
}

/* The disk was bound anew since. */
static void
test_request_was_not_exported (void **state)
{
  CLEANUP_ERROR struct clevis_error binding = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  CLEANUP_JSON json_t *replies = NULL;
  char key[64] = "";

  bind_tang (f, 1, "http://tang.example.com");
  export (f, CLEVIS_ERR_CANCELLED);
  replies = answers (f);
  store (f->replies, replies);
  make_luks2 (f->disk, passphrases, 16 * KIB);
  bind_tang (f, 1, "http://tang.example.com");
  assert_int_equal (import (f, &binding, key), EXCHANGE_FAILED);
  assert_error (&binding, CLEVIS_ERR_UNREACHABLE, "no request was exported");
}

static void
test_reply_off_the_curve (void **state)
{
  CLEANUP_ERROR struct clevis_error binding = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  CLEANUP_JSON json_t *replies = NULL;
  json_t *body;
  char key[64] = "";

  bind_tang (f, 1, "http://tang.example.com");
  export (f, CLEVIS_ERR_CANCELLED);
  replies = answers (f);
  body = json_object_get (json_array_get (json_object_get (
    replies, "replies"), 0), "body");
  json_object_set (body, "y", json_object_get (body, "x"));
  store (f->replies, replies);
  assert_int_equal (import (f, &binding, key), EXCHANGE_FAILED);
  assert_error (&binding, CLEVIS_ERR_REPLY, "not a usable point");
}

static void
test_replies_of_another_export (void **state)
{
  struct fixture *f = *state;
  CLEANUP_JSON json_t *replies = NULL;

  bind_tang (f, 1, "http://tang.example.com");
  export (f, CLEVIS_ERR_CANCELLED);
  replies = answers (f);
  store (f->replies, replies);
  unlink (f->requests);
  unlink (f->state);
  export (f, CLEVIS_ERR_CANCELLED);
  assert_not_imported (f, CLEVIS_ERR_REPLY, "answers none of the requests");
}

static void
test_reply_twice (void **state)
{
  struct fixture *f = *state;
  CLEANUP_JSON json_t *replies = NULL;
  json_t *array;

  bind_tang (f, 1, "http://tang.example.com");
  export (f, CLEVIS_ERR_CANCELLED);
  replies = answers (f);
  array = json_object_get (replies, "replies");
  json_array_append (array, json_array_get (array, 0));
  store (f->replies, replies);
  assert_not_imported (f, CLEVIS_ERR_REPLY, "second time");
}

static void
test_bad_replies (void **state)
{
  static const struct {
    const char *text, *message;
  } cases[] = {
    { "", "not a file of version 1" },
    { "x", "not a file of version 1" },
    { "[]", "not a file of version 1" },
    { "{}", "not a file of version 1" },
    { "{\"version\":2,\"replies\":[]}", "not a file of version 1" },
    { "{\"version\":\"1\",\"replies\":[]}", "not a file of version 1" },
    { "{\"version\":1}", "has no replies" },
    { "{\"version\":1,\"replies\":{}}", "has no replies" },
    { "{\"version\":1,\"replies\":[7]}", "no id or body" },
    { "{\"version\":1,\"replies\":[{\"id\":7,\"body\":{}}]}",
      "no id or body" },
    { "{\"version\":1,\"replies\":[{\"id\":\"x\",\"body\":[]}]}",
      "no id or body" },
    { "{\"version\":1,\"replies\":[{\"id\":\"x\",\"body\":{}}]}",
      "answers none" },
  };
  struct fixture *f = *state;
  size_t i;

  bind_tang (f, 1, "http://tang.example.com");
  export (f, CLEVIS_ERR_CANCELLED);
  for (i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    write_file (f->replies, cases[i].text, strlen (cases[i].text));
    assert_not_imported (f, CLEVIS_ERR_REPLY, cases[i].message);
  }
  unlink (f->replies);
  assert_not_imported (f, CLEVIS_ERR_SYSTEM, "No such file");
}

static void
test_bad_state (void **state)
{
  static const char *const texts[] = {
    "", "{}", "{\"version\":1}", "{\"version\":1,\"requests\":{}}",
    "{\"version\":2,\"requests\":[]}",
  };
  struct fixture *f = *state;
  size_t i;

  write_file (f->replies, "{\"version\":1,\"replies\":[]}", 26);
  for (i = 0; i < sizeof texts / sizeof texts[0]; ++i) {
    write_file (f->state, texts[i], strlen (texts[i]));
    assert_not_imported (f, CLEVIS_ERR_TOKEN, NULL);
  }
  unlink (f->state);
  assert_not_imported (f, CLEVIS_ERR_SYSTEM, "No such file");
}

/* A state that somebody wrote by hand. */
static void
test_odd_state (void **state)
{
  static const char *const entries[] = {
    "7", "{}", "{\"id\":7,\"question\":\"q\",\"key\":{}}",
    "{\"id\":\"x\",\"key\":{}}",
  };
  struct fixture *f = *state;
  char key[64] = "";
  size_t i;

  bind_tang (f, 1, "http://tang.example.com");
  write_file (f->replies, "{\"version\":1,\"replies\":[]}", 26);
  for (i = 0; i < sizeof entries / sizeof entries[0]; ++i) {
    CLEANUP_ERROR struct clevis_error binding = CLEVIS_ERROR_INIT;
    CLEANUP_FREE char *text = NULL;

    assert_int_not_equal (asprintf (&text, "{\"version\":1,\"requests\":[%s]}",
                                    entries[i]), -1);
    write_file (f->state, text, strlen (text));
    assert_int_equal (import (f, &binding, key), EXCHANGE_FAILED);
    assert_error (&binding, CLEVIS_ERR_UNREACHABLE, "no request");
  }
}

/* The ephemeral key is missing or none. */
static void
test_state_without_ephemeral_key (void **state)
{
  CLEANUP_ERROR struct clevis_error binding = CLEVIS_ERROR_INIT;
  struct fixture *f = *state;
  CLEANUP_JSON json_t *replies = NULL, *secrets = NULL;
  json_t *entry;
  char key[64] = "";

  bind_tang (f, 1, "http://tang.example.com");
  export (f, CLEVIS_ERR_CANCELLED);
  replies = answers (f);
  store (f->replies, replies);
  secrets = load (f->state);
  entry = json_array_get (json_object_get (secrets, "requests"), 0);
  json_object_del (entry, "key");
  store (f->state, secrets);
  assert_int_equal (import (f, &binding, key), EXCHANGE_FAILED);
  assert_int_not_equal (binding.code, CLEVIS_OK);
}

static void
test_free_of_null (void **state)
{
  offline_free (NULL);
}

#define test(name) cmocka_unit_test_setup_teardown (name, setup, teardown)

int
main (void)
{
  const struct CMUnitTest offline[] = {
    test (test_there_and_back),
    test (test_sss),
    test (test_files),
    test (test_policy_counts),
    test (test_reply_is_missing),
    test (test_request_was_not_exported),
    test (test_reply_off_the_curve),
    test (test_replies_of_another_export),
    test (test_reply_twice),
    test (test_bad_replies),
    test (test_bad_state),
    test (test_odd_state),
    test (test_state_without_ephemeral_key),
    test (test_free_of_null),
  };

  return run_unit_tests (offline);
}
