#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What became of a fleet, in all formats.  Whatever disks say stays text, records
# that are damaged are said to be, and a file is written whole or not at all.

. "$(dirname "$0")/../lib/functions.sh"
requires jq python3 xmllint
python3 -c 'import jsonschema' 2>/dev/null || skip 'no python3-jsonschema'

here=$top_srcdir/tests/fleet
helper=$top_builddir/nbde/fleet/report/helper_report
[ -x "$helper" ] || skip "no $helper: make check in nbde/fleet makes it"

# report STATE FORMAT [FILE]
report ()
{
  run_command timeout 60 "$helper" "$@"
}

# report_in STATE FORMAT: as FORMAT.out
report_in ()
{
  report "$1" "$2"
  assert_status 0
  cp "$out" "$2.out"
}

# Does it hold of the JSON?
holds ()
{
  jq -e "$1" json.out >/dev/null || fail "does not hold: $1"
}

assert_equal_json ()
{
  assert_equal "$1" "$(jq -c "$2" json.out)" "$2"
}

# What the schema has and what the document describes is the same.
schema=$top_srcdir/docs/virt-nbde-fleet-report.schema.json
jq -r '.. | objects | .properties? // empty | keys[]' "$schema" |
  sort -u > fields
sed -n '/^## JSON$/,/^## JUnit/s/^| `\([a-z_]*\)` |.*/\1/p' \
  "$top_srcdir/docs/fleet-report.md" | sort -u > rows
diff fields rows >&2 || fail 'fields of the schema (<) and of the document (>)'
jq 'walk(if type == "object" and .additionalProperties == true
         then .additionalProperties = false else . end)' "$schema" > strict.json

assert_valid ()
{
  python3 - json.out strict.json >&2 <<'END' || fail 'not as the schema says'
import json, jsonschema, sys
document, schema = (json.load(open(name)) for name in sys.argv[1:])
jsonschema.Draft7Validator.check_schema(schema)
jsonschema.Draft7Validator(schema).validate(document)
END
}

# As samples.json, and as html.txt.
assert_metrics ()
{
  "$here/check-prometheus.py" "$1" > samples.json ||
    fail "prometheus: $(cat samples.json)"
}

assert_page ()
{
  "$here/check-html.py" "$1" > html.txt || fail "html: $(cat html.txt)"
}

# All of one fleet is right, in each format:  check STATE
check ()
{
  local format
  for format in text json junit prometheus html; do
    report_in "$1" "$format"
  done
  assert_valid
  xmllint --noout --schema "$here/junit.xsd" junit.out 2> xmllint.log ||
    fail "junit: $(cat xmllint.log)"
  assert_metrics prometheus.out
  ! command -v promtool >/dev/null ||
    promtool check metrics < prometheus.out >&2 || fail 'promtool'
  assert_page html.out
  ! grep -qP '[\x00-\x09\x0b-\x1f\x7f]' text.out ||
    fail 'text: control characters'
}

# A fleet of 500, with all that there is.
"$here/make-state.py" --hostile fleet
check fleet
holds '.guests_total == 509 and (.guests | length) == 509 and
       (.outcomes | add) == 509'
holds '.guests_opening == .outcomes.opens +
                          .outcomes["opens-with-nothing-to-spare"]'
holds '[.outcomes[]] | all(. > 0)'
holds '.servers | length == 24 and
       [.[] | select(.reached == "no-answer").server] ==
         ["http://tang03.example.com"]'

# The numbers are the same in all formats.
opening=$(jq .guests_opening json.out)
grep -q "^$opening of 509 guests open" text.out || fail "text: not $opening"
grep -q "of 509 guests open" html.txt || fail "html: not $opening"
assert_equal "$opening" "$(jq '.[] | select(.name ==
  "virt_nbde_fleet_guests_opening").value' samples.json)" 'prometheus'
assert_equal "$(jq '[.guests[].records[] | select(.verdict == "failed")] |
                    length' json.out)" \
  "$(xmllint --xpath 'string(/testsuites/@failures)' junit.out)" 'junit'
assert_equal "$(xmllint --xpath 'count(//failure)' junit.out)" \
  "$(xmllint --xpath 'string(/testsuites/@failures)' junit.out)" 'failures'
assert_equal "$(xmllint --xpath 'count(//testcase)' junit.out)" \
  "$(xmllint --xpath 'string(/testsuites/@tests)' junit.out)" 'tests'

# A server that is down, one with a rotated key, one that has lost it.
server='.servers[] | select(.server == "http://tang0%s.example.com")'
# shellcheck disable=SC2059
of () { printf "$server" "$1"; }
assert_equal_json '"unknown"' "$(of 3).keys[0].state"
assert_equal_json '"rotated"' "$(of 5).keys[0].state"
assert_equal_json '"gone"' "$(of 7).keys[0].state"
holds "$(of 5) | .keys[0].to_bind_anew == .guests and (.guests | length) > 9"
holds "$(of 1) | .keys[0].to_bind_anew == [] and .keys[0].state == \"advertised\""
# Who is bound to one server only hangs on it alone.
holds "$(of 1) | (.alone | length) > 9 and (.alone - .guests) == []"
# Of a server that has lost its key nobody hangs: it is of no use.
assert_equal_json '[]' "$(of 7).alone"

# What is no record is named; nothing waits for a pipe.
holds '[.guests[] | select(.damaged != []) | .name] ==
       ["damaged-deep", "damaged-empty", "damaged-fifo", "damaged-half",
        "damaged-list", "damaged-newer", "damaged-other", "damaged-utf8",
        "damaged-words"]'

# What disks say is there, as text.
grep -qF '<script>alert(1)</script>' html.txt || fail 'html: no hostile text'
[ "$(stat -c %s html.out)" -le 1048576 ] || fail 'html: more than 1 MiB'
holds '.servers | any(.server | contains("\u202e"))'
! grep -qP '[\x{202e}\x{200f}\x{2028}]' html.out text.out prometheus.out ||
  fail 'marks that turn the text'

# The checks can fail.
sed 's|</main>|<script>1</script>&|' html.out > bad.html
assert_fails assert_page bad.html
sed 's|<body>|&<p onclick="x">y</p>|' html.out > bad.html
assert_fails assert_page bad.html
sed '/TYPE virt_nbde_fleet_server_up/d' prometheus.out > bad.prom
assert_fails assert_metrics bad.prom

# Listed only: nobody was asked, and the map is there all the same.
"$here/make-state.py" --guests 30 --servers 4 listed
find listed -name '*.json' ! -name list.json ! -name fleet.json -delete
check listed
assert_equal_json 30 '.outcomes["not-asked"]'
holds '.servers | length == 4 and
       all(.reached == "not-asked" and .keys[0].state == "not-asked")'
grep -q 'not asked' text.out || fail 'text: asked'

# Nobody.
mkdir -p none/guests
check none
assert_equal_json 0 .guests_total

# No more than a page of servers, however many a disk names.
"$here/make-state.py" --guests 1200 --servers 300 many
check many
holds '.servers | length > 200'
assert_equal 200 "$(jq '[.[] | select(.name == "virt_nbde_fleet_server_guests")] |
                        length' samples.json)" 'servers for Prometheus'

# Lines for people fit into 80 columns, and into 60 if that is all there is.
"$here/make-state.py" --guests 100 plain
COLUMNS=60 report plain text
assert_status 0
longest=$(grep -v '[^ ]\{45\}' "$out" | wc -L)
[ "$longest" -le 60 ] || fail "text: $longest columns"

# Whole or not at all.
mkdir -m 755 to
report plain prometheus to/nbde.prom
assert_status 0
assert_no_stdout
assert_equal 644 "$(umask 022; stat -c %a to/nbde.prom)" 'permissions'
cp to/nbde.prom before
(
  trap '' XFSZ
  ulimit -f 8
  report fleet prometheus to/nbde.prom
  assert_status 1
  assert_stderr_has 'File too large'
)
cmp before to/nbde.prom || fail 'half a file'
assert_equal nbde.prom "$(ls -A to)" 'what is in the folder'
report none prometheus to/nbde.prom
assert_status 0
! cmp -s before to/nbde.prom || fail 'it was not replaced'

# Devices are not replaced, and of a link it is the file.
mkfifo to/pipe
for file in to/pipe to; do
  report plain text $file
  assert_status 1
  assert_stderr_has "$file is no regular file"
done
ln -s to/nbde.prom link
report plain prometheus link
assert_status 0
[ -L link ] || fail 'the link was replaced'
grep -q server_up to/nbde.prom || fail 'the file was not'

report to text
assert_status 1
assert_stderr_has 'to is no state folder of virt-nbde-fleet'
report plain paper
assert_status 1
assert_stderr_has "there is no report format 'paper'; the formats are: text, json"
