/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What the unit tests have in common: how they start and end, assertions on
 * errors, a temporary folder, commands of the reference tools.  Included first
 * by every test-*.c, for cmocka.h wants the headers that are here before it.
 */

#ifndef CLEVIS_TESTLIB_H
#define CLEVIS_TESTLIB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/cleanups.h"
#include "base/clevis-error.h"
#include "base/secret.h"

/* Run tests and return the exit status of the program: 77 if none failed, but
 * some were skipped.  Sets up locked memory first; that there are secrets in it
 * at the end which nobody has released is a failure, too.
 */
#define run_unit_tests(tests) \
  (tests_begin (), tests_end (cmocka_run_group_tests (tests, NULL, NULL)))
extern void tests_begin (void);
extern int tests_end (int failed);

/* End this test as skipped unless a program can be run, or for a reason that
 * is printed.
 */
extern void require_program (const char *program);
extern void skip_test (const char *reason);

/* Is it valgrind that runs this? */
extern bool in_valgrind (void);

/* By how much longer things may take than they do on their own: 1, more with
 * sanitizers or under valgrind.
 */
extern int time_factor (void);

/* The error has this code, and its message contains text (may be NULL). */
#define assert_error(err, code, text) \
  assert_error_at (err, code, text, __FILE__, __LINE__)
extern void assert_error_at (const struct clevis_error *err,
                             enum clevis_code code, const char *text,
                             const char *file, int line);

/* The error is not set; else its text is shown. */
#define assert_no_error(err) assert_error (err, CLEVIS_OK, NULL)

/* text contains part. */
#define assert_contains(text, part) \
  assert_contains_at (text, part, __FILE__, __LINE__)
extern void assert_contains_at (const char *text, const char *part,
                                const char *file, int line);

/* The secret holds these bytes and nothing else. */
extern void assert_secret (const struct secret *s, const void *data,
                           size_t len);

/* The path of a file in the temporary folder of the program (TMPDIR, or one of
 * its own that is removed at the end).  The string lives as long as the
 * program.
 */
extern const char *tmp_path (const char *fmt, ...)
  __attribute__ ((format (printf, 1, 2)));

/* Run a command of bash in the temporary folder; it must succeed.  The second
 * returns its standard output without a final newline, to be freed.
 */
extern void shell (const char *fmt, ...)
  __attribute__ ((format (printf, 1, 2)));
extern char *shell_output (const char *fmt, ...)
  __attribute__ ((format (printf, 1, 2)));

/* Where the sources of the project are. */
extern const char *top_srcdir (void);

/* The contents of a file, followed by a NUL; to be freed.  write_file makes
 * or replaces one.
 */
extern char *read_file (const char *path, size_t *len);
extern void write_file (const char *path, const void *data, size_t len);

/* Fill flags with the VmFlags of the mapping that p is in (proc(5)): words of two
 * letters, each after a space.
 */
extern void vm_flags (const void *p, char *flags, size_t size);

#endif /* CLEVIS_TESTLIB_H */
