/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What the unit tests have in common; see testlib.h.
 */

#include <config.h>

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testlib/testlib.h"

static int nr_skipped;
static char *tmp_dir;           /* made by us, or NULL */
static char **paths;            /* what tmp_path returned */
static size_t nr_paths;

void
tests_begin (void)
{
  if (secret_init () == -1) {
    fputs ("no locked memory\n", stderr);
    exit (EXIT_FAILURE);
  }
}

static void
remove_tmp_dir (void)
{
  char *command;

  if (tmp_dir == NULL)
    return;
  if (asprintf (&command, "rm -rf '%s'", tmp_dir) != -1) {
    if (system (command) != 0)
      fprintf (stderr, "%s is left behind\n", tmp_dir);
    free (command);
  }
  free (tmp_dir);
  tmp_dir = NULL;
}

int
tests_end (int failed)
{
  const size_t left = secret_used ();
  size_t i;

  if (!failed && left > 0) {
    fprintf (stderr, "%zu bytes of secrets are left\n", left);
    failed = 1;
  }
  remove_tmp_dir ();
  for (i = 0; i < nr_paths; ++i)
    free (paths[i]);
  free (paths);
  if (failed)
    return EXIT_FAILURE;
  return nr_skipped > 0 ? 77 : EXIT_SUCCESS;
}

void
skip_test (const char *reason)
{
  printf ("skipped: %s\n", reason);
  nr_skipped++;
  skip ();
}

void
require_program (const char *program)
{
  char command[256], reason[256];

  snprintf (command, sizeof command, "PATH=$PATH:/usr/sbin:/sbin:"
            "/usr/libexec; command -v %s >/dev/null", program);
  snprintf (reason, sizeof reason, "%s is not installed", program);
  if (system (command) != 0)
    skip_test (reason);
}

/* It is known by what it preloads. */
bool
in_valgrind (void)
{
  const char *preloaded = getenv ("LD_PRELOAD");

  return preloaded && strstr (preloaded, "vgpreload");
}

int
time_factor (void)
{
  if (in_valgrind ())
    return 4;
#ifdef __SANITIZE_ADDRESS__
  return 2;
#else
  return 1;
#endif
}

void
assert_error_at (const struct clevis_error *err, enum clevis_code code,
                 const char *text, const char *file, int line)
{
  if (err->code != code) {
    print_error ("the error is %s (%s), not %s\n",
                 clevis_code_name (err->code),
                 err->message ? err->message : "no message",
                 clevis_code_name (code));
    _fail (file, line);
  }
  if (text)
    assert_contains_at (err->message, text, file, line);
}

void
assert_contains_at (const char *text, const char *part, const char *file,
                    int line)
{
  if (text && strstr (text, part))
    return;
  print_error ("\"%s\" does not contain \"%s\"\n", text ? text : "(null)",
               part);
  _fail (file, line);
}

void
assert_secret (const struct secret *s, const void *data, size_t len)
{
  assert_non_null (s);
  assert_int_equal (s->len, len);
  assert_memory_equal (s->data, data, len);
}

static const char *
tmp_folder (void)
{
  static char template[] = "/tmp/nbde-unit-XXXXXX";
  const char *given = getenv ("TMPDIR");

  if (given && *given)
    return given;
  if (tmp_dir == NULL) {
    assert_non_null (mkdtemp (template));
    tmp_dir = strdup (template);
  }
  return tmp_dir;
}

const char *
tmp_path (const char *fmt, ...)
{
  char *name, *path;
  va_list args;

  va_start (args, fmt);
  assert_int_not_equal (vasprintf (&name, fmt, args), -1);
  va_end (args);
  assert_int_not_equal (asprintf (&path, "%s/%s", tmp_folder (), name), -1);
  free (name);
  paths = realloc (paths, (nr_paths + 1) * sizeof *paths);
  paths[nr_paths++] = path;
  return path;
}

/* Run a script whose output goes to out, both in the temporary folder. */
static void
run_script (const char *script, const char *out)
{
  const char *file = tmp_path ("command.sh"), *log = tmp_path ("command.log");
  CLEANUP_FREE char *command = NULL, *text = NULL;
  int status;

  write_file (file, script, strlen (script));
  assert_int_not_equal (asprintf (&command, "bash -eu -o pipefail '%s' >'%s' "
                                  "2>'%s' </dev/null", file, out, log), -1);
  status = system (command);
  if (status == -1 || !WIFEXITED (status) || WEXITSTATUS (status) != 0) {
    text = read_file (log, NULL);
    print_error ("exit status %d of:\n%s\n%s\n", WEXITSTATUS (status), script,
                 text);
    fail ();
  }
}

static char *
script_of (const char *fmt, va_list args)
{
  char *body, *script;

  assert_int_not_equal (vasprintf (&body, fmt, args), -1);
  assert_int_not_equal (asprintf (&script, "PATH=$PATH:/usr/sbin:/sbin:"
                                  "/usr/libexec\ncd '%s'\n%s\n",
                                  tmp_folder (), body), -1);
  free (body);
  return script;
}

void
shell (const char *fmt, ...)
{
  CLEANUP_FREE char *script = NULL;
  va_list args;

  va_start (args, fmt);
  script = script_of (fmt, args);
  va_end (args);
  run_script (script, tmp_path ("command.out"));
}

char *
shell_output (const char *fmt, ...)
{
  CLEANUP_FREE char *script = NULL;
  const char *out = tmp_path ("command.out");
  va_list args;
  char *text;
  size_t len;

  va_start (args, fmt);
  script = script_of (fmt, args);
  va_end (args);
  run_script (script, out);
  text = read_file (out, &len);
  if (len > 0 && text[len-1] == '\n')
    text[len-1] = '\0';
  return text;
}

const char *
top_srcdir (void)
{
  const char *dir = getenv ("top_srcdir");

  return dir ? dir : "../..";
}

char *
read_file (const char *path, size_t *len)
{
  FILE *fp = fopen (path, "re");
  struct stat st;
  char *data;
  size_t n;

  if (fp == NULL || fstat (fileno (fp), &st) == -1)
    fail_msg ("%s: %s", path, strerror (errno));
  data = malloc (st.st_size + 1);
  n = fread (data, 1, st.st_size, fp);
  data[n] = '\0';
  fclose (fp);
  if (len)
    *len = n;
  return data;
}

void
write_file (const char *path, const void *data, size_t len)
{
  FILE *fp = fopen (path, "we");

  if (fp == NULL || fwrite (data, 1, len, fp) != len || fclose (fp) == EOF)
    fail_msg ("%s: %s", path, strerror (errno));
}

void
vm_flags (const void *p, char *flags, size_t size)
{
  FILE *fp = fopen ("/proc/self/smaps", "re");
  unsigned long start, end;
  bool inside = false;
  char line[512];

  flags[0] = '\0';
  assert_non_null (fp);
  while (fgets (line, sizeof line, fp)) {
    if (sscanf (line, "%lx-%lx ", &start, &end) == 2 && line[0] != ' ')
      inside = (uintptr_t) p >= start && (uintptr_t) p < end;
    if (inside && strncmp (line, "VmFlags:", 8) == 0)
      snprintf (flags, size, "%.200s", line + 8);
  }
  fclose (fp);
}
