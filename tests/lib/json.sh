# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Is a document of --output-format=json as its schema says?  Sourced after
# functions.sh.
#
# shellcheck shell=bash
# shellcheck disable=SC2154

requires jq python3
python3 -c 'import jsonschema' 2>/dev/null || skip 'no python3-jsonschema'

# The schema, but nothing may be added.
jq 'walk(if type == "object" and .additionalProperties == true
         then .additionalProperties = false else . end)' \
  "$top_srcdir/docs/virt-nbde-unlock.schema.json" > strict.json

# Is the last standard output a document as described?  Kept as NAME.json.
assert_valid ()
{
  cp "$out" "$1.json"
  python3 - "$1.json" strict.json >&2 <<'EOF' || fail "$1: not as the schema says"
import json, jsonschema, sys
document, schema = (json.load(open(name)) for name in sys.argv[1:])
jsonschema.Draft7Validator.check_schema(schema)
jsonschema.Draft7Validator(schema).validate(document)
EOF
  assert_equal "$status" "$(jq .exit_status "$1.json")" 'exit_status'
}

#   assert_json NAME FILTER: does it hold?
assert_json ()
{
  jq -e "$2" "$1.json" >/dev/null || fail "$1.json: does not hold: $2"
}
