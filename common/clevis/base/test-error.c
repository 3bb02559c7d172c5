/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of error.c: what is kept, and how it reads as one line.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <errno.h>

static void
test_set_returns_minus_one (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  assert_int_equal (clevis_error_set (&err, CLEVIS_ERR_TOKEN, "x"), -1);
  assert_int_equal (clevis_error_set (NULL, CLEVIS_ERR_TOKEN, "x"), -1);
  assert_int_equal (clevis_error_errno (NULL, ENOENT, "x"), -1);
  clevis_error_hint (NULL, "x");
}

static void
test_first_cause_is_kept (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  clevis_error_set (&err, CLEVIS_ERR_REPLY, "first %d", 1);
  clevis_error_set (&err, CLEVIS_ERR_TOKEN, "second");
  clevis_error_errno (&err, ENOENT, "third");
  assert_int_equal (err.code, CLEVIS_ERR_REPLY);
  assert_string_equal (err.message, "first 1");
  assert_int_equal (err.sys_errno, 0);
}

static void
test_errno (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  assert_int_equal (clevis_error_errno (&err, ENOENT, "open %s", "f"), -1);
  assert_int_equal (err.code, CLEVIS_ERR_SYSTEM);
  assert_int_equal (err.sys_errno, ENOENT);
  assert_string_equal (err.message, "open f: No such file or directory");
}

static void
test_hint_is_replaced (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  clevis_error_hint (&err, "Try %s.", "this");
  clevis_error_hint (&err, "Try that.");
  assert_string_equal (err.hint, "Try that.");
  assert_int_equal (err.code, CLEVIS_OK);
}

/* All that there is to know about an error, for the tests below. */
static void
fill (struct clevis_error *err)
{
  clevis_error_set (err, CLEVIS_ERR_HTTP, "HTTP status 500");
  clevis_error_hint (err, "Try again.");
  err->device = strdup ("/dev/sda2");
  err->pin = strdup ("sss[1].tang");
  err->url = strdup ("http://tang2");
  err->address = strdup ("192.0.2.7");
  err->token = 3;
  err->keyslot = 0;
  err->http_status = 500;
  err->sys_errno = EIO;
}

static void
test_line_has_everything_in_order (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_FREE char *line = NULL;

  fill (&err);
  line = clevis_error_line (&err);
  assert_string_equal (line, "/dev/sda2: token 3: keyslot 0: sss[1].tang: "
                       "http://tang2 (192.0.2.7): HTTP status 500");
}

static void
test_line_has_the_mapped_url (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_FREE char *line = NULL;

  clevis_error_set (&err, CLEVIS_ERR_HTTP, "HTTP status 500");
  err.url = strdup ("http://tang2");
  err.mapped = strdup ("http://tang9");
  line = clevis_error_line (&err);
  assert_string_equal (line, "http://tang2 (asked as http://tang9): HTTP "
                       "status 500");
  free (line);
  err.address = strdup ("192.0.2.9");
  line = clevis_error_line (&err);
  assert_string_equal (line, "http://tang2 (asked as http://tang9, "
                       "192.0.2.9): HTTP status 500");
}

static void
test_line_of_bare_message (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_FREE char *line = NULL;

  clevis_error_set (&err, CLEVIS_ERR_HEADER, "bad");
  line = clevis_error_line (&err);
  assert_string_equal (line, "bad");
}

static void
test_line_with_address_only (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_FREE char *line = NULL;

  clevis_error_set (&err, CLEVIS_ERR_UNREACHABLE, "refused");
  err.address = strdup ("::1");
  line = clevis_error_line (&err);
  assert_string_equal (line, "::1: refused");
}

static void
test_line_without_message_names_the_code (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_FREE char *line = NULL;

  err.code = CLEVIS_ERR_NO_KEY;
  line = clevis_error_line (&err);
  assert_string_equal (line, "no-key");
}

/* Names come from the disk, and a message may quote one. */
static void
test_line_is_one_line (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_FREE char *line = NULL;

  clevis_error_set (&err, CLEVIS_ERR_TOKEN, "name \"%s\"", "a\nb");
  err.device = strdup ("/dev/\033[2J");
  err.pin = strdup ("p\r");
  err.url = strdup ("http://h/\xc2\x9b");
  line = clevis_error_line (&err);
  assert_string_equal (line, "/dev/\\x1b[2J: p\\x0d: http://h/\\xc2\\x9b: "
                       "name \"a\\x0ab\"");
}

static void
test_copy_to_empty (void **state)
{
  CLEANUP_ERROR struct clevis_error from = CLEVIS_ERROR_INIT;
  CLEANUP_ERROR struct clevis_error to = CLEVIS_ERROR_INIT;
  CLEANUP_FREE char *before = NULL, *after = NULL;

  fill (&from);
  before = clevis_error_line (&from);
  clevis_error_copy (&to, &from);
  clevis_error_clear (&from);
  after = clevis_error_line (&to);
  assert_string_equal (before, after);
  assert_int_equal (to.code, CLEVIS_ERR_HTTP);
  assert_string_equal (to.hint, "Try again.");
  assert_int_equal (to.http_status, 500);
  assert_int_equal (to.sys_errno, EIO);
}

static void
test_copy_keeps_what_is_there (void **state)
{
  CLEANUP_ERROR struct clevis_error from = CLEVIS_ERROR_INIT;
  CLEANUP_ERROR struct clevis_error to = CLEVIS_ERROR_INIT;

  fill (&from);
  clevis_error_set (&to, CLEVIS_ERR_POLICY, "not asked");
  to.device = strdup ("/dev/sdb");
  to.token = 1;
  clevis_error_copy (&to, &from);
  assert_int_equal (to.code, CLEVIS_ERR_POLICY);
  assert_string_equal (to.message, "not asked");
  assert_string_equal (to.device, "/dev/sdb");
  assert_int_equal (to.token, 1);
  assert_int_equal (to.keyslot, 0);
  assert_string_equal (to.url, "http://tang2");
  assert_string_equal (from.device, "/dev/sda2");
}

static void
test_copy_to_nowhere (void **state)
{
  CLEANUP_ERROR struct clevis_error from = CLEVIS_ERROR_INIT;

  fill (&from);
  clevis_error_copy (NULL, &from);
  assert_string_equal (from.device, "/dev/sda2");
}

static void
test_clear_makes_it_new (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  fill (&err);
  clevis_error_clear (&err);
  assert_int_equal (err.code, CLEVIS_OK);
  assert_int_equal (err.token, -1);
  assert_int_equal (err.keyslot, -1);
  assert_null (err.message);
  assert_null (err.hint);
  assert_null (err.device);
  assert_null (err.url);
  clevis_error_set (&err, CLEVIS_ERR_TOKEN, "again");
  assert_string_equal (err.message, "again");
}

/* Programs depend on the names, so each exists and no two are the same. */
static void
test_every_code_has_a_name (void **state)
{
  int i, j;

  for (i = CLEVIS_OK; i <= CLEVIS_ERR_CANCELLED; ++i) {
    assert_non_null (clevis_code_name (i));
    for (j = CLEVIS_OK; j < i; ++j)
      assert_string_not_equal (clevis_code_name (i), clevis_code_name (j));
  }
}

int
main (void)
{
  const struct CMUnitTest error[] = {
    cmocka_unit_test (test_set_returns_minus_one),
    cmocka_unit_test (test_first_cause_is_kept),
    cmocka_unit_test (test_errno),
    cmocka_unit_test (test_hint_is_replaced),
    cmocka_unit_test (test_line_has_everything_in_order),
    cmocka_unit_test (test_line_has_the_mapped_url),
    cmocka_unit_test (test_line_of_bare_message),
    cmocka_unit_test (test_line_with_address_only),
    cmocka_unit_test (test_line_without_message_names_the_code),
    cmocka_unit_test (test_line_is_one_line),
    cmocka_unit_test (test_copy_to_empty),
    cmocka_unit_test (test_copy_keeps_what_is_there),
    cmocka_unit_test (test_copy_to_nowhere),
    cmocka_unit_test (test_clear_makes_it_new),
    cmocka_unit_test (test_every_code_has_a_name),
  };

  return run_unit_tests (error);
}
