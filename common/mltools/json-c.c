/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * JSON values of json.ml, written and read by jansson.
 */

#include <config.h>

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <jansson.h>

#include <caml/alloc.h>
#include <caml/fail.h>
#include <caml/memory.h>
#include <caml/mlvalues.h>

extern value nbde_json_dumps (value indentv, value jsonv);
extern value nbde_json_loads (value textv);

/* The constructors with arguments of Json.t, in order. */
enum json_tag {
  TAG_BOOL,
  TAG_INT,
  TAG_FLOAT,
  TAG_STRING,
  TAG_LIST,
  TAG_DICT,
};

static json_t *to_json (value v);

static json_t *
list_to_json (value listv)
{
  json_t *array = json_array ();

  for (; array != NULL && listv != Val_emptylist; listv = Field (listv, 1)) {
    if (json_array_append_new (array, to_json (Field (listv, 0))) == -1) {
      json_decref (array);
      return NULL;
    }
  }
  return array;
}

static json_t *
dict_to_json (value listv)
{
  json_t *object = json_object ();

  for (; object != NULL && listv != Val_emptylist; listv = Field (listv, 1)) {
    const value pairv = Field (listv, 0);

    if (json_object_set_new (object, String_val (Field (pairv, 0)),
                             to_json (Field (pairv, 1))) == -1) {
      json_decref (object);
      return NULL;
    }
  }
  return object;
}

/* Nothing here allocates on the OCaml heap, so values do not move.  Returns
 * NULL for a number that is not finite, or if memory is short.
 */
static json_t *
to_json (value v)
{
  value argv;

  if (Is_long (v))
    return json_null ();

  argv = Field (v, 0);
  switch ((enum json_tag) Tag_val (v)) {
  case TAG_BOOL:
    return json_boolean (Bool_val (argv));
  case TAG_INT:
    return json_integer (Int64_val (argv));
  case TAG_FLOAT:
    return json_real (Double_val (argv));
  case TAG_STRING:
    return json_stringn (String_val (argv), caml_string_length (argv));
  case TAG_LIST:
    return list_to_json (argv);
  case TAG_DICT:
    return dict_to_json (argv);
  }
  return NULL;
}

value
nbde_json_dumps (value indentv, value jsonv)
{
  CAMLparam2 (indentv, jsonv);
  CAMLlocal1 (rv);
  const size_t flags = JSON_ENSURE_ASCII | JSON_ENCODE_ANY |
    JSON_REAL_PRECISION (15) |
    (Bool_val (indentv) ? JSON_INDENT (2) : 0);
  json_malloc_t json_malloc;
  json_free_t json_free;
  json_t *json;
  char *text;

  json = to_json (jsonv);
  text = json != NULL ? json_dumps (json, flags) : NULL;
  json_decref (json);
  if (text == NULL)
    caml_invalid_argument ("Json.to_string");

  rv = caml_copy_string (text);
  json_get_alloc_funcs (&json_malloc, &json_free);
  json_free (text);
  CAMLreturn (rv);
}

static value of_json (json_t *json);

/* A block with one field. */
static value
make (enum json_tag tag, value argument)
{
  CAMLparam1 (argument);
  CAMLlocal1 (v);

  v = caml_alloc (1, (tag_t) tag);
  Store_field (v, 0, argument);
  CAMLreturn (v);
}

static value
cons (value head, value tail)
{
  CAMLparam2 (head, tail);
  CAMLlocal1 (v);

  v = caml_alloc (2, Tag_cons);
  Store_field (v, 0, head);
  Store_field (v, 1, tail);
  CAMLreturn (v);
}

/* Lists are made from their end. */
static value
of_array (const json_t *array)
{
  CAMLparam0 ();
  CAMLlocal2 (list, item);
  size_t i = json_array_size (array);

  list = Val_emptylist;
  while (i-- > 0) {
    item = of_json (json_array_get (array, i));
    list = cons (item, list);
  }
  CAMLreturn (make (TAG_LIST, list));
}

/* jansson goes through an object in the order of its text, one way only. */
static value
of_object (json_t *object)
{
  CAMLparam0 ();
  CAMLlocal4 (list, reversed, pair, item);
  const char *name;
  json_t *field;

  reversed = Val_emptylist;
  json_object_foreach (object, name, field) {
    item = of_json (field);
    pair = caml_alloc (2, 0);
    Store_field (pair, 1, item);
    Store_field (pair, 0, caml_copy_string (name));
    reversed = cons (pair, reversed);
  }
  list = Val_emptylist;
  for (; reversed != Val_emptylist; reversed = Field (reversed, 1))
    list = cons (Field (reversed, 0), list);
  CAMLreturn (make (TAG_DICT, list));
}

static value
of_json (json_t *json)
{
  switch (json_typeof (json)) {
  case JSON_NULL:
    return Val_int (0);
  case JSON_TRUE:
  case JSON_FALSE:
    return make (TAG_BOOL, Val_bool (json_is_true (json)));
  case JSON_INTEGER:
    return make (TAG_INT, caml_copy_int64 (json_integer_value (json)));
  case JSON_REAL:
    return make (TAG_FLOAT, caml_copy_double (json_real_value (json)));
  case JSON_STRING:
    return make (TAG_STRING,
                 caml_alloc_initialized_string (json_string_length (json),
                                                json_string_value (json)));
  case JSON_ARRAY:
    return of_array (json);
  case JSON_OBJECT:
    return of_object (json);
  }
  return Val_int (0);
}

/* Returns Ok json or Error (line, column, reason). */
value
nbde_json_loads (value textv)
{
  CAMLparam1 (textv);
  CAMLlocal3 (rv, v, argumentv);
  json_error_t error;
  json_t *json = json_loadb (String_val (textv), caml_string_length (textv),
                             JSON_DECODE_ANY | JSON_REJECT_DUPLICATES |
                             JSON_ALLOW_NUL, &error);
  const bool good = json != NULL;

  if (good) {
    v = of_json (json);
    json_decref (json);
  }
  else {
    v = caml_alloc (3, 0);
    Store_field (v, 0, Val_int (error.line));
    Store_field (v, 1, Val_int (error.column));
    argumentv = caml_copy_string (error.text);
    Store_field (v, 2, argumentv);
  }
  rv = caml_alloc (1, good ? 0 : 1);
  Store_field (rv, 0, v);
  CAMLreturn (rv);
}
