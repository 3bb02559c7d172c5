#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Requests are exported, answered by the script of docs/two-step.md, and the
# replies are imported.  Replies that are replayed, foreign, altered,
# exchanged or missing are errors.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/tang.sh"

# The script as the page has it.
sed -n '/^```bash$/,/^```$/p' "$top_srcdir/docs/two-step.md" |
  sed '1d;$d' > answer-requests
head -n 1 answer-requests | grep -q '^#!/bin/bash' ||
  fail 'docs/two-step.md has no script'
chmod +x answer-requests
[ "$(wc -l < answer-requests)" -le 12 ] || fail 'the script has grown'

start_tang one
start_tang two
bound_piece d.luks tang "$(tang_config one)"
bound_piece both.luks sss "{\"t\":2,\"pins\":{\"tang\":[
  $(tang_config one), $(tang_config two)]}}"
bound_piece either.luks sss "{\"t\":1,\"pins\":{\"tang\":[
  $(tang_config one), $(tang_config two)]}}"

#   export_to NAME FILE...
export_to ()
{
  local name=$1
  shift
  unlock_file --allow 127.0.0.1 --export "$name" --state "$name.state" "$@"
  assert_status 0
}
#   import_from NAME FILE...
import_from ()
{
  local name=$1
  shift
  unlock_file --import "$name.replies" --state "$name.state" "$@"
}
answer ()
{
  ./answer-requests "$1" > "$1.replies" || fail "answer-requests $1"
}

# There and back.  Nobody is asked by us.
before=$(connections one)
export_to r1 d.luks both.luks either.luks
assert_stdout_has '5 requests'
assert_equal 600 "$(stat -c %a r1)" 'mode of the requests'
assert_equal 600 "$(stat -c %a r1.state)" 'mode of the state'
assert_equal "$before" "$(connections one)" connections
assert_equal 5 "$(jq '.requests | length' r1)" requests
# Only public keys, and what is needed.
assert_equal '["body","id","kid","url"]' \
  "$(jq -c '[.requests[] | keys[]] | unique' r1)" fields
jq -e '[.. | objects | has("d")] | any | not' r1 >/dev/null ||
  fail 'a private key is among the requests'
jq -e '.requests[0].key.d' r1.state >/dev/null ||
  fail 'there is no private key in the state'
answer r1
[ "$(connections one)" -gt "$before" ] || fail 'the script asked nobody'
before=$(connections one)
import_from r1 d.luks both.luks either.luks
assert_status 0
assert_equal 3 "$(wc -l < "$out")" passphrases
import_from r1 both.luks
assert_opens both.luks
assert_equal "$before" "$(connections one)" connections

# Existing files are not replaced.
unlock_file --allow 127.0.0.1 --export r1 --state other.state d.luks
assert_refused 1 'r1: File exists'
assert_no_file other.state

# What may not be asked is not exported.
unlock_file --allow tang.example.com --export r9 --state r9.state d.luks
assert_stdout_has '0 requests'

# Replayed: replies to an earlier export of the same disk.
export_to r2 d.luks both.luks either.luks
cp r1.replies r2.replies
import_from r2 d.luks
assert_refused 1 'reply: .*reply 0 answers none of the requests'

# The second time.
answer r2
jq '.replies += [.replies[0]]' r2.replies > twice.replies
cp r2.state twice.state
import_from twice d.luks
assert_refused 1 'reply: .*for the second time'

# Altered: another point of the curve, no point, and a swap.
export_to r3 d.luks
answer r3
jose jwk gen -i '{"kty":"EC","crv":"P-521"}' | jose jwk pub -i - -o point.jwk
jq --slurpfile p point.jwk '.replies[0].body = $p[0]' r3.replies > a.replies
jq '.replies[0].body.x = .replies[0].body.y' r3.replies > b.replies
jq '.replies[0].body = {}' r3.replies > c.replies
for name in a b c; do
  cp r3.state $name.state
  import_from $name d.luks
  assert_refused 2 '^(reply|decrypt): d\.luks: '
done
import_from r3 d.luks
assert_opens d.luks
export_to r4 both.luks
answer r4
jq '.replies[0].body as $b | .replies[0].body = .replies[1].body |
    .replies[1].body = $b' r4.replies > swap.replies
cp r4.state swap.state
import_from swap both.luks
assert_refused 2 '^decrypt: '

# Missing: of two one is enough, or not.
jq 'del(.replies[0])' r4.replies > less.replies
cp r4.state less.state
import_from less both.luks
assert_refused 4 '^unreachable: .*the replies do not answer this request'
export_to r5 either.luks
end_server two
./answer-requests r5 > r5.replies 2> answer.err || fail 'answer-requests'
assert_equal 1 "$(jq '.replies | length' r5.replies)" replies
import_from r5 either.luks
assert_opens either.luks

# Another disk.
bound_piece new.luks tang "$(tang_config one)"
import_from r3 new.luks
assert_refused 4 '^unreachable: .*no request was exported for this binding'

# Not such files.
echo '{}' > x.replies
echo 'x' > y.replies
jq '.version = 2' r3.replies > z.replies
for name in x y z; do
  cp r3.state $name.state
  import_from $name d.luks
  assert_refused 1 "reply: $name\\.replies is not a file of version 1"
done

# What is in the file is no argument of the script's programs, and is a whole
# document before anybody is asked.
{
  echo '{"requests": [{"id": "1", "url": "-Kevil", "kid": "k", "body": {}}]}'
  printf 'url = "%s/adv"\noutput = "made"\n' "$TANG_URL_one"
} > evil
before=$(connections one)
! ./answer-requests evil > evil.replies 2>/dev/null ||
  fail 'half a document is answered'
assert_no_file made
sed -i 1q evil
./answer-requests evil > evil.replies || fail 'answer-requests evil'
assert_equal 0 "$(jq '.replies | length' evil.replies)" 'replies'
assert_equal "$before" "$(connections one)" 'connections'
