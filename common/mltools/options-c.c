/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * getopt_long(3) for options.ml: one call goes through the whole command line
 * and tells what it found; what that means is decided in OCaml.
 */

#include <config.h>

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <caml/alloc.h>
#include <caml/fail.h>
#include <caml/memory.h>
#include <caml/mlvalues.h>

extern value nbde_getopt_long (value argvv, value shortsv, value longsv);

/* The constructors of Options.found, in order. */
enum found_tag {
  FOUND_SHORT,
  FOUND_LONG,
  FOUND_BAD_SHORT,
  FOUND_BAD_LONG,
  FOUND_LACKS_SHORT,
  FOUND_LACKS_LONG,
  FOUND_EXCESS_LONG,
};

/* getopt_long returns this plus the index of a long option. */
#define FIRST_LONG 256

/* What getopt needs, in C's types. */
struct table {
  char **argv;
  int argc;
  char *shorts;
  struct option *longs;
};

static void
free_table (struct table *t)
{
  int i;

  if (t->argv)
    for (i = 0; i < t->argc; ++i)
      caml_stat_free (t->argv[i]);
  free (t->argv);
  free (t->shorts);
  if (t->longs)
    for (i = 0; t->longs[i].name != NULL; ++i)
      caml_stat_free ((char *) t->longs[i].name);
  free (t->longs);
}

static bool
make_table (struct table *t, value argvv, value shortsv, value longsv)
{
  const size_t argc = Wosize_val (argvv);
  const size_t nr_shorts = Wosize_val (shortsv);
  const size_t nr_longs = Wosize_val (longsv);
  char *p;
  size_t i;
  int colons;

  t->argv = calloc (argc + 1, sizeof *t->argv);
  t->shorts = calloc (3 * nr_shorts + 2, 1);
  t->longs = calloc (nr_longs + 1, sizeof *t->longs);
  if (!t->argv || !t->shorts || !t->longs)
    return false;

  for (i = 0; i < argc; ++i)
    t->argv[i] = caml_stat_strdup (String_val (Field (argvv, i)));
  t->argc = argc;

  /* A colon at the start makes a missing value an error of its own. */
  p = t->shorts;
  *p++ = ':';
  for (i = 0; i < nr_shorts; ++i) {
    *p++ = Int_val (Field (Field (shortsv, i), 0));
    for (colons = Int_val (Field (Field (shortsv, i), 1)); colons > 0;
         --colons)
      *p++ = ':';
  }

  for (i = 0; i < nr_longs; ++i) {
    t->longs[i].name =
      caml_stat_strdup (String_val (Field (Field (longsv, i), 0)));
    t->longs[i].has_arg = Int_val (Field (Field (longsv, i), 1));
    t->longs[i].val = FIRST_LONG + i;
  }
  return true;
}

static value
make_found (enum found_tag tag, value firstv)
{
  CAMLparam1 (firstv);
  CAMLlocal2 (foundv, argv);
  const bool has_value = tag == FOUND_SHORT || tag == FOUND_LONG;

  if (has_value)
    argv = optarg ? caml_alloc_some (caml_copy_string (optarg)) : Val_none;
  foundv = caml_alloc (has_value ? 2 : 1, tag);
  Store_field (foundv, 0, firstv);
  if (has_value)
    Store_field (foundv, 1, argv);
  CAMLreturn (foundv);
}

/* What c, which getopt_long returned, means. */
static value
interpret (int c, char **argv)
{
  if (c == ':') {
    if (optopt >= FIRST_LONG)
      return make_found (FOUND_LACKS_LONG, Val_int (optopt - FIRST_LONG));
    return make_found (FOUND_LACKS_SHORT, Val_int (optopt & 0xff));
  }
  if (c == '?') {
    if (optopt >= FIRST_LONG)
      return make_found (FOUND_EXCESS_LONG, Val_int (optopt - FIRST_LONG));
    if (optopt != 0)
      return make_found (FOUND_BAD_SHORT, Val_int (optopt & 0xff));
    return make_found (FOUND_BAD_LONG, caml_copy_string (argv[optind - 1]));
  }
  if (c >= FIRST_LONG)
    return make_found (FOUND_LONG, Val_int (c - FIRST_LONG));
  return make_found (FOUND_SHORT, Val_int (c));
}

static value
cons (value headv, value tailv)
{
  CAMLparam2 (headv, tailv);
  CAMLlocal1 (consv);

  consv = caml_alloc_small (2, Tag_cons);
  Field (consv, 0) = headv;
  Field (consv, 1) = tailv;
  CAMLreturn (consv);
}

static value
reverse (value listv)
{
  CAMLparam1 (listv);
  CAMLlocal1 (rv);

  for (rv = Val_emptylist; listv != Val_emptylist; listv = Field (listv, 1))
    rv = cons (Field (listv, 0), rv);
  CAMLreturn (rv);
}

value
nbde_getopt_long (value argvv, value shortsv, value longsv)
{
  CAMLparam3 (argvv, shortsv, longsv);
  CAMLlocal4 (foundv, restv, itemv, rv);
  struct table table = { 0 };
  int c = 0, i;

  if (!make_table (&table, argvv, shortsv, longsv)) {
    free_table (&table);
    caml_raise_out_of_memory ();
  }

  foundv = restv = Val_emptylist;
  opterr = 0;
  optind = 0;                   /* start afresh */
  while (c != '?' && c != ':') {
    c = getopt_long (table.argc, table.argv, table.shorts, table.longs, NULL);
    if (c == -1)
      break;
    itemv = interpret (c, table.argv);
    foundv = cons (itemv, foundv);
  }
  for (i = table.argc - 1; i >= optind; --i) {
    itemv = caml_copy_string (table.argv[i]);
    restv = cons (itemv, restv);
  }
  free_table (&table);

  foundv = reverse (foundv);
  rv = caml_alloc_small (2, 0);
  Field (rv, 0) = foundv;
  Field (rv, 1) = restv;
  CAMLreturn (rv);
}
