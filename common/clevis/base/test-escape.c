/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of escape.c: nothing gets through that could move the cursor or
 * reorder the text, and ordinary names stay as they are.
 */

#include <config.h>

#include "testlib/testlib.h"

#include "base/escape.h"

#define assert_escaped(str, expected)                   \
  do {                                                  \
    CLEANUP_FREE char *got_ = escaped (str);            \
                                                        \
    assert_string_equal (got_, expected);               \
  } while (0)

static char *
escaped (const char *str)
{
  char *out = NULL;
  size_t len;
  FILE *fp = open_memstream (&out, &len);

  assert_non_null (fp);
  escape_write (fp, str);
  fclose (fp);
  return out;
}

static void
test_plain_text_stays (void **state)
{
  assert_escaped ("", "");
  assert_escaped ("/dev/sda2 ~!{}", "/dev/sda2 ~!{}");
  assert_escaped ("Schl\xc3\xbcssel \xe2\x82\xac \xf0\x9f\x94\x91",
                  "Schl\xc3\xbcssel \xe2\x82\xac \xf0\x9f\x94\x91");
}

static void
test_c0_and_del (void **state)
{
  char str[2] = { 0 }, expected[8];
  int c;

  for (c = 1; c < 0x20; ++c) {
    str[0] = c;
    snprintf (expected, sizeof expected, "\\x%02x", c);
    assert_escaped (str, expected);
  }
  assert_escaped ("a\x7f", "a\\x7f");
}

static void
test_c1 (void **state)
{
  assert_escaped ("\xc2\x80", "\\xc2\\x80");
  assert_escaped ("\xc2\x9b" "31m", "\\xc2\\x9b31m");
  assert_escaped ("\xc2\x9f", "\\xc2\\x9f");
  assert_escaped ("\xc2\xa0", "\xc2\xa0");
}

/* An escape that is in the name itself cannot be taken for one of ours. */
static void
test_backslash_is_doubled (void **state)
{
  assert_escaped ("\\x1b", "\\\\x1b");
  assert_escaped ("\\", "\\\\");
}

static void
test_direction (void **state)
{
  assert_escaped ("\xd8\x9c", "\\xd8\\x9c");               /* U+061C */
  assert_escaped ("\xe2\x80\x8e", "\\xe2\\x80\\x8e");      /* U+200E */
  assert_escaped ("\xe2\x80\x8f", "\\xe2\\x80\\x8f");
  assert_escaped ("\xe2\x80\xaa", "\\xe2\\x80\\xaa");      /* U+202A */
  assert_escaped ("\xe2\x80\xae" "moc", "\\xe2\\x80\\xaemoc");
  assert_escaped ("\xe2\x81\xa6", "\\xe2\\x81\\xa6");      /* U+2066 */
  assert_escaped ("\xe2\x81\xa9", "\\xe2\\x81\\xa9");
}

static void
test_separators_and_byte_order_mark (void **state)
{
  assert_escaped ("\xe2\x80\xa8", "\\xe2\\x80\\xa8");      /* U+2028 */
  assert_escaped ("\xe2\x80\xa9", "\\xe2\\x80\\xa9");
  assert_escaped ("\xef\xbb\xbf", "\\xef\\xbb\\xbf");      /* U+FEFF */
}

static void
test_neighbours_of_the_refused_stay (void **state)
{
  assert_escaped ("\xe2\x80\x90", "\xe2\x80\x90");         /* U+2010 */
  assert_escaped ("\xe2\x80\xa7", "\xe2\x80\xa7");         /* U+2027 */
  assert_escaped ("\xe2\x80\xaf", "\xe2\x80\xaf");         /* U+202F */
  assert_escaped ("\xe2\x81\xaa", "\xe2\x81\xaa");         /* U+206A */
}

static void
test_invalid_utf8 (void **state)
{
  assert_escaped ("\x80", "\\x80");
  assert_escaped ("\xff\xfe", "\\xff\\xfe");
  assert_escaped ("\xc3(", "\\xc3(");
  assert_escaped ("\xc0\xaf", "\\xc0\\xaf");               /* overlong / */
  assert_escaped ("\xc1\x9b", "\\xc1\\x9b");               /* overlong [ */
  assert_escaped ("\xe0\x80\x9b", "\\xe0\\x80\\x9b");
  assert_escaped ("\xf0\x80\x80\x9b", "\\xf0\\x80\\x80\\x9b");
  assert_escaped ("\xed\xa0\x80", "\\xed\\xa0\\x80");      /* surrogate */
  assert_escaped ("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
  assert_escaped ("\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80");
}

static void
test_cut_off_utf8 (void **state)
{
  assert_escaped ("a\xc3", "a\\xc3");
  assert_escaped ("\xe2\x82", "\\xe2\\x82");
  assert_escaped ("\xf0\x9f\x94", "\\xf0\\x9f\\x94");
}

/* Whatever the bytes, what comes out has none that is below a space. */
static void
test_no_control_byte_ever (void **state)
{
  unsigned seed = 1;
  char str[64];
  size_t i, j;

  for (i = 0; i < 2000; ++i) {
    CLEANUP_FREE char *out = NULL;

    for (j = 0; j < sizeof str - 1; ++j)
      str[j] = rand_r (&seed) % 255 + 1;
    str[j] = '\0';
    out = escaped (str);
    for (j = 0; out[j]; ++j) {
      assert_true ((unsigned char) out[j] >= 0x20 && out[j] != 0x7f);
      assert_false ((unsigned char) out[j] == 0xc2 &&
                    (unsigned char) out[j+1] < 0xa0);
    }
  }
}

int
main (void)
{
  const struct CMUnitTest escape[] = {
    cmocka_unit_test (test_plain_text_stays),
    cmocka_unit_test (test_c0_and_del),
    cmocka_unit_test (test_c1),
    cmocka_unit_test (test_backslash_is_doubled),
    cmocka_unit_test (test_direction),
    cmocka_unit_test (test_separators_and_byte_order_mark),
    cmocka_unit_test (test_neighbours_of_the_refused_stay),
    cmocka_unit_test (test_invalid_utf8),
    cmocka_unit_test (test_cut_off_utf8),
    cmocka_unit_test (test_no_control_byte_ever),
  };

  return run_unit_tests (escape);
}
