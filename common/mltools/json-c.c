/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * JSON values of json.ml, written by jansson.
 */

#include <config.h>

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include <caml/alloc.h>
#include <caml/fail.h>
#include <caml/memory.h>
#include <caml/mlvalues.h>

extern value nbde_json_dumps (value indentv, value jsonv);

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
