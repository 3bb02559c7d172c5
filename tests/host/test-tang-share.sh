#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# --tang-share: real runs, at the same time, that spare a server together.  A
# server counts what it is asked.  How marks, replies and locks are read is
# tested beside share.c.
#
# timeout: 300

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/tang.sh"

requires python3

# A Tang server that counts, with the keys of another:
#   start_counting NAME TANG-NAME SECONDS
start_counting ()
{
  local dir=TANG_DIR_$2 port
  setsid "$top_srcdir/tests/lib/counting-tang.py" "$tmp/$1.counts" "$3" \
    "$tmp/$1.gate" "$(tang_program tangd)" "${!dir}" </dev/null &
  groups+=($!)
  listens ()
  {
    port=$(sed -n '1s/^port //p' "$tmp/$1.counts" 2>/dev/null)
    [ -n "$port" ]
  }
  wait_for 20 listens "$1" || fail 'the server does not count'
  printf -v "TANG_URL_$1" %s "http://127.0.0.1:$port"
  printf -v "TANG_PORT_$1" %s "$port"
}

# How many requests match, since reset?
asked ()
{
  sed 1d "$tmp/$1.counts" | tail -n "+$((seen + 1))" | grep -cE "^$2 " || :
}
reset ()
{
  seen=$(($(wc -l < "$tmp/$1.counts") - 1))
}
# The most that were under way at a time.
most ()
{
  sed 1d "$tmp/$1.counts" | tail -n "+$((seen + 1))" | cut -d ' ' -f 3 |
    sort -n | tail -n 1
}

# Runs at the same time; run N writes run.N.out, .err and .status.
#   together NUMBER ARGUMENT...
together ()
{
  local n i
  n=$1
  shift
  local pids=()
  for ((i = 0; i < n; i++)); do
    {
      s=0
      timeout 120 "$VIRT_NBDE_UNLOCK" --appliance=never \
        --tang-allow 127.0.0.1 "${@//NUMBER/$i}" \
        > "run.$i.out" 2> "run.$i.err" </dev/null || s=$?
      echo $s > "run.$i.status"
    } &
    pids+=($!)
  done
  wait "${pids[@]}"
}
# All had this exit status:  all_ended NUMBER STATUS
all_ended ()
{
  local i
  for ((i = 0; i < $1; i++)); do
    [ "$(cat "run.$i.status")" = "$2" ] ||
      fail "run $i: status $(cat "run.$i.status"): $(cat "run.$i.err")"
  done
}

start_tang real
start_counting tang real 0.05
# Three questions to one server.
bound_piece d.luks sss "{\"t\":3,\"pins\":{\"tang\":[
  $(tang_config tang), $(tang_config tang), $(tang_config tang)]}}"

# Each for itself: the server counts.
reset tang
together 8 -a d.luks --check --tang-parallel 2
all_ended 8 0
[ "$(most tang)" -gt 2 ] || fail "the server counts only $(most tang)"
assert_equal 24 "$(asked tang 'POST /rec/[^ ]*')" requests

# Never more than two at a time, over all.
reset tang
together 8 -a d.luks --check --tang-parallel 2 --tang-share s
all_ended 8 0
assert_equal 2 "$(most tang)" 'requests at a time'
assert_equal 24 "$(asked tang 'POST /rec/[^ ]*')" requests
# What was answered is nobody else's.
find s -name 'reply-*' > kept
assert_equal 0 "$(wc -l < kept)" 'replies that were kept'
assert_equal 700 "$(stat -c %a s)" 'mode of the folder'
find s \( -type d ! -perm 700 -o -type f ! -perm 600 \) > open
assert_equal 0 "$(wc -l < open)" 'files that others may read'

# Together with runs that may have more.
reset tang
together 8 -a d.luks --check --tang-parallel 1 --tang-share s &
other=$!
(
  mkdir other
  cd other
  together 2 -a ../d.luks --check --tang-parallel 4 --tang-share ../s
  all_ended 2 0
)
wait $other
all_ended 8 0
[ "$(most tang)" -le 4 ] || fail "$(most tang) requests at a time"

# A preflight of twenty guests: the server is asked for one advertisement, and
# that is all that it is asked.
for i in {0..19}; do
  cp d.luks "guest$i.luks"
done
reset tang
together 20 -a guestNUMBER.luks --preflight --output-format=json \
  --tang-share s
all_ended 20 0
assert_equal 1 "$(asked tang 'GET /adv')" advertisements
assert_equal 1 "$(asked tang '[A-Z]* [^ ]*')" requests
# The documents say the same as that of a run alone, but for seconds.
plain ()
{
  jq -S 'del(.timings, (.. | .seconds?))' "$1" | sed 's/guest[0-9]*/guest/g' > "$2"
}
nbde -a guest0.luks --preflight --output-format=json --appliance=never \
  --tang-allow 127.0.0.1
assert_status 0
plain "$out" alone
grep -q advertised alone || fail 'the preflight saw no key'
for i in {0..19}; do
  plain "run.$i.out" shared
  assert_same_file alone shared
done

# Keys that were rotated: one probe of each key.
for file in "$TANG_DIR_real"/*.jwk; do
  mv "$file" "${file%/*}/.${file##*/}"
done
"$(tang_program tangd-keygen)" "$TANG_DIR_real" > /dev/null
reset tang
together 20 -a guestNUMBER.luks --preflight --output-format=json \
  --tang-share fresh
all_ended 20 0
assert_equal 1 "$(asked tang 'GET /adv')" advertisements
assert_equal 1 "$(asked tang 'POST /rec/[^ ]*')" probes
nbde -a guest0.luks --preflight --output-format=json --appliance=never \
  --tang-allow 127.0.0.1
assert_status 0
plain "$out" alone
grep -q rotated alone || fail 'the preflight saw no old key'
for i in {0..19}; do
  plain "run.$i.out" shared
  assert_same_file alone shared
done
# The answer to the point is not in the folder.
grep -rl '"kty"' fresh > points || :
while read -r file; do
  grep -q payload "$file" || fail "the answer to a point is in $file"
done < points

# A server that hangs is tried by one run, and the others know from it.
start_blackhole hangs
bound_to h.luks real "$TANG_URL_hangs"
started=$SECONDS
together 8 -a h.luks --check --tang-timeout 2 --tang-retries 0 --tang-share s
all_ended 8 4
assert_equal 1 "$(connections hangs)" connections
assert_equal 7 "$(grep -l 'another run (process [0-9]*) could not reach it [0-9]* seconds ago: no whole reply within 2 seconds' run.?.err | wc -l)" \
  'runs that did not ask'
[ $((SECONDS - started)) -lt 15 ] || fail 'each of them waited'
# The hint is as good as it says, and the first success removes the mark.
nbde -v -a h.luks --check --tang-timeout 2 --tang-retries 0 --tang-share s \
  --appliance=never --tang-allow 127.0.0.1
assert_status 4
mark=$(sed -n 's/.*or at once if you remove \([^ ]*\).*/\1/p' "$err" |
         head -n 1)
[ -f "$mark" ] || fail "no hint at a mark: '$mark'"
replace_server hangs start_server "$(tangd_command "$TANG_DIR_real")"
cp "$mark" kept-mark
rm "$mark"
nbde -a h.luks --check --tang-timeout 2 --tang-retries 0 --tang-share s \
  --appliance=never --tang-allow 127.0.0.1
assert_status 0
assert_no_file "$mark"

# kill -9 of a run that has the only turn: another one gets it.
wants=(-a d.luks --check --appliance=never --tang-allow 127.0.0.1
       --tang-parallel 1 --tang-share s --tang-timeout 60)
# Then the server is known to answer, and it is the turn that is waited for.
nbde "${wants[@]}"
assert_status 0
touch tang.gate
reset tang
"$VIRT_NBDE_UNLOCK" "${wants[@]}" > first.out 2>&1 </dev/null &
first=$!
is_asked ()
{
  [ "$(asked tang 'POST /rec/[^ ]*')" -ge "$1" ]
}
wait_for 30 is_asked 1 || fail 'nothing was asked'
"$VIRT_NBDE_UNLOCK" "${wants[@]}" > second.out 2>&1 </dev/null &
second=$!
# Nothing tells from outside that it waits, but it has the folder open.
waits ()
{
  find "/proc/$second/fd" -lname "$PWD/s/*/locks" 2>/dev/null | grep -q .
}
wait_for 30 waits || fail 'the second run does not wait'
assert_equal 1 "$(asked tang 'POST /rec/[^ ]*')" 'requests while one waits'
kill -KILL $first
wait $first 2>/dev/null || :
wait_for 30 is_asked 2 || fail 'the turn of a killed run is lost'
rm tang.gate
wait $second || fail "the second run failed: $(cat second.out)"

# What is wrong with a folder is said before anything is asked.
reset tang
mkdir -m 777 anybody
chmod 777 anybody
nbde -a d.luks --check --appliance=never --tang-allow 127.0.0.1 \
  --tang-share anybody
assert_status 1
assert_stderr_has 'error: --tang-share anybody: others may write to the folder'
ln -s s link
nbde -a d.luks --check --appliance=never --tang-allow 127.0.0.1 \
  --tang-share link
assert_status 1
assert_stderr_has 'error: --tang-share link: '
assert_equal 0 "$(asked tang '[A-Z]* [^ ]*')" requests
