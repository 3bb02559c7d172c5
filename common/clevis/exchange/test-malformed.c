/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Runs the malformed headers of tests/malformed through the library: reading
 * the header, the tokens, the pins, and verification of what can be
 * recovered.  Each must end with the error that the table there names.  No
 * server is asked, since the policy allows none.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <unistd.h>

#include "exchange/exchange.h"
#include "testlib/testlib-server.h"
#include "testlib/testlib-luks.h"

/* What is known of one header: its code, and all that was said of it. */
struct outcome {
  char code[32];
  char *text;
  size_t len;
  FILE *fp;                     /* writes text */
  const char *wanted;           /* code that is looked for */
};

/* Take an error down.  The first sets the code, unless a later one is what is
 * looked for, since a tree may have several reasons to fail.
 */
static void
note_error (struct outcome *o, const struct clevis_error *err)
{
  const char *name = clevis_code_name (err->code);
  CLEANUP_FREE char *line = NULL;

  if (err->code == CLEVIS_OK)
    return;
  line = clevis_error_line (err);
  assert_non_null (line);
  assert_null (strchr (line, '\n'));
  fprintf (o->fp, "%s: %s\n", name, line);
  if (o->code[0] == '\0' || strcmp (name, o->wanted) == 0)
    snprintf (o->code, sizeof o->code, "%s", name);
}

static void
note_pin (struct pin *pin, struct outcome *o)
{
  size_t i;

  note_error (o, &pin->error);
  for (i = 0; i < pin->nr_children; ++i)
    note_pin (pin->children[i], o);
}

/* What comes of the tokens. */
static void
run_exchange (struct luks *luks, struct outcome *o)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct policy *policy = policy_new ();
  const struct exchange_device *d;
  struct exchange *ex;
  size_t i;

  policy_settings (policy)->no_proxy = strdup ("*");
  policy_allow (policy, "nobody.invalid", &err);
  ex = direct_exchange (policy, &err);
  assert_int_equal (exchange_add (ex, luks, &err), 0);
  while (exchange_step (ex, 10000, &err) == 1)
    ;
  assert_no_error (&err);
  d = exchange_device (ex, 0);
  switch (d->status) {
  case EXCHANGE_UNLOCKED:
    strcpy (o->code, "ok");
    break;
  case EXCHANGE_UNBOUND:
    strcpy (o->code, "unbound");
    break;
  case EXCHANGE_FAILED:
    for (i = 0; i < d->nr_bindings; ++i) {
      note_error (o, &d->bindings[i].error);
      if (d->bindings[i].pin)
        note_pin (d->bindings[i].pin, o);
    }
    break;
  default:
    fail_msg ("the exchange did not end");
  }
  exchange_free (ex);
  policy_free (policy);
}

static void
examine (const char *file, struct outcome *o)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  enum luks_state state;
  struct luks *luks;

  o->fp = open_memstream (&o->text, &o->len);
  luks = load_luks (file, &state, &err);
  if (state == LUKS_NONE)
    strcpy (o->code, "none");
  else if (state == LUKS_ERROR)
    note_error (o, &err);
  else {
    if (luks_info (luks)->note)
      fprintf (o->fp, "note: %s\n", luks_info (luks)->note);
    run_exchange (luks, o);
  }
  luks_free (luks);
  fclose (o->fp);
}

/* Returns false, and says so, if a header ends otherwise than expected. */
static bool
check_header (const char *name, const char *code, const char *text)
{
  const char *file = tmp_path ("malformed/%s.img", name);
  struct outcome o = { .wanted = code };
  bool good;

  examine (file, &o);
  good = strcmp (o.code, code) == 0 && strstr (o.text, text) != NULL;
  if (!good)
    print_error ("%s: expected %s with \"%s\", got %s:\n%s", name, code, text,
                 o.code, o.text);
  else
    unlink (file);
  free (o.text);
  return good;
}

static void
test_headers (void **state)
{
  static const char *const programs[] = {
    "python3", "clevis", "jose", "luksmeta", "cryptsetup",
  };
  CLEANUP_FREE char *table = NULL;
  char *line, *save, *code, *text;
  size_t i, n = 0, bad = 0;

  for (i = 0; i < sizeof programs / sizeof programs[0]; ++i)
    require_program (programs[i]);
  shell ("PYTHONDONTWRITEBYTECODE=1 python3 "
         "'%s/tests/malformed/generate.py' malformed", top_srcdir ());
  table = read_file (tmp_path ("malformed/expected"), NULL);
  for (line = strtok_r (table, "\n", &save); line;
       line = strtok_r (NULL, "\n", &save)) {
    code = strchr (line, '\t');
    assert_non_null (code);
    *code++ = '\0';
    text = strchr (code, '\t');
    assert_non_null (text);
    *text++ = '\0';
    n++;
    if (!check_header (line, code, text))
      bad++;
  }
  print_message ("%zu headers\n", n);
  assert_true (n >= 60);
  assert_int_equal (bad, 0);
}

int
main (void)
{
  const struct CMUnitTest malformed[] = {
    cmocka_unit_test (test_headers),
  };

  return run_unit_tests (malformed);
}
