#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The tool's own side of how servers are asked, on a real guest: --preflight,
# the exchange in two steps, and a folder of Tang's keys after the server is
# gone.  What the options do in detail is tested without an appliance.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
requires jq curl
get_guests part-lvm

start_tang one
start_tang two
bind part-lvm root sss "{\"t\":2,\"pins\":{\"tang\":[
  $(tang_config one), $(tang_config two)]}}"
clevis_key part-lvm root 1 expected
sha256sum part-lvm.img > sum
uuid=$(luks_uuid part-lvm root)
sed -n '/^```bash$/,/^```$/p' "$top_srcdir/docs/two-step.md" |
  sed '1d;$d' > answer-requests
guest=(--format=raw -a part-lvm.img --memsize 512)

# Nothing is started for files that are not there, or say nothing.
for option in --tang-cacert --tang-cert --tang-allow-file --tang-keydir; do
  nbde "${guest[@]}" --check --tang-allow 127.0.0.1 $option missing
  assert_status 1
  assert_one_error 'missing: No such file or directory'
  assert_stderr_lacks 'Starting the appliance'
done
echo '# nothing' > none
nbde "${guest[@]}" --check --tang-allow-file none
assert_status 1
assert_one_error 'no pattern'
assert_stderr_lacks 'Starting the appliance'

# A preflight of two servers that are both needed.
echo "127.0.0.1:$TANG_PORT_one   # the first" > allowed
nbde "${guest[@]}" --preflight --tang-allow-file allowed \
  --tang-allow "127.0.0.1:$TANG_PORT_two"
assert_status 0
assert_stdout_has "/dev/sda2 $uuid"
assert_stdout_has 'opens with nothing to spare'
assert_stdout_has 'token 0: sss, 2 of 2 needed: 2 would answer'
assert_stdout_has "tang $TANG_URL_one"
assert_stdout_matches '^ +key advertised$'
assert_stdout_matches '^ +signatures good, [0-9]+ ms, 127\.0\.0\.1$'
[ "$(awk '{ print length }' "$out" | sort -n | tail -n 1)" -le 80 ] ||
  fail 'the output is wider than 80 columns'

# Two steps.
nbde "${guest[@]}" --export-requests step --tang-allow 127.0.0.1
assert_status 0
assert_equal '2 requests for 1 LUKS device' "$(cat "$out")" 'standard output'
assert_equal 600 "$(stat -c %a step.state)" 'mode of the state'
nbde "${guest[@]}" --export-requests step --tang-allow 127.0.0.1
assert_status 1
assert_one_error 'step: File exists'
bash answer-requests step > step.replies || fail 'answer-requests'

# From here on nobody answers.
end_server one
end_server two
cp step.replies whole.replies
jq 'del(.replies[0])' whole.replies > step.replies
nbde "${guest[@]}" --check --import-replies step.replies
assert_status 4
assert_stderr_has 'the replies do not answer this request'
[ -e step.state ] || fail 'the state was removed'
cp whole.replies step.replies
nbde "${guest[@]}" --inspect --output-keys keys --import-replies step.replies
assert_status 0
assert_stdout_has 'Operating system on /dev/demo/root'
assert_same_file expected keys
assert_no_file step.state

# A backup of the servers' keys.
mkdir backup
cp "$TANG_DIR_one"/*.jwk "$TANG_DIR_two"/*.jwk backup
nbde "${guest[@]}" --check --output-keys keys --force --tang-keydir backup
assert_status 0
assert_same_file expected keys
sha256sum --quiet -c sum || fail 'the disk was changed'
