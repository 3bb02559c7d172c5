#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What a state folder and a folder of keys may be, what is removed in them and what is
# not, and when what they say of a guest does not hold any more.

. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/fleet.sh"
requires_tang
requires jq

start_tang one
start_tang two
bound_to one
clevis_pass one.luks 1 one.key
guests_of a 2 one.luks list
# Another device bound to the same server, and one to none.
bound_piece new.luks tang "$(tang_config one)"
clevis_pass new.luks 1 new.key
piece bare.luks

# All that is in a folder: names, kinds, modes, owners, content.
all_of ()
{
  find "$1" -printf '%p %y %m %U %l\n' | sort
  find "$1" -type f -exec sha256sum {} + | sort
}

# It is refused in these words, and nothing in the folder has changed:
#   refused FOLDER WORDS OPTION...
refused ()
{
  local folder=$1 words=$2
  shift 2
  all_of "$folder" > "$tmp/before"
  fleet "$@"
  all_of "$folder" > "$tmp/after"
  diff "$tmp/before" "$tmp/after" >&2 || fail "$folder is changed"
  assert_status 1
  assert_stderr_matches "^virt-nbde-fleet: error: .*$words"
}

# So many guests were done in earlier runs, and these now:  done_now NAMES EARLIER
done_now ()
{
  assert_equal "$1" "$(grep ': done' "$out" | cut -d : -f 1 | xargs)" 'done now'
  if [ "$2" -gt 0 ]; then assert_stderr_has "($2 in earlier runs)"
  else assert_stderr_lacks 'in earlier runs'; fi
}

# A disk has changed since:  change DISK FILE
change ()
{
  cp --sparse=always "$1" "$2"
  touch -d '2 seconds' "$2"
}

# Somebody's folder is no state folder, even if it only has names with a dot.
mkdir -p home-1/.ssh home-2 home-3/.git/objects
echo key > home-1/.ssh/id_ed25519
echo 'gitdir: elsewhere' > home-2/.git
echo ref > home-3/.git/HEAD
for home in home-1 home-2 home-3; do
  refused $home 'is not empty' list list --state $home
  refused $home 'is not empty' list list --state $home --index 0
done

# What runs that were killed have left is removed, and nothing else.
fleet keys list "${ask[@]}" --state st --keys-dir kd
assert_status 0
mkdir -p {st,st/keys,st/guests/a-1,kd}/{.virt-nbde-unlock-1f05a0a5,.mine}
for folder in st st/keys st/guests/a-1 kd; do
  echo mine > $folder/.mine/0
  echo mine > $folder/.virt-nbde
  echo half | tee $folder/.virt-nbde-unlock-1f05a0a5/0 > $folder/.virt-nbde-unlock-7
done
fleet keys list "${ask[@]}" --state st --keys-dir kd
assert_status 0
assert_equal '' "$(find st kd -name '.virt-nbde-unlock-*')" 'half files'
for folder in st st/keys st/guests/a-1 kd; do
  assert_equal 'mine mine' \
    "$(cat $folder/.mine/0 $folder/.virt-nbde 2>&1 | xargs)" "$folder"
done

# Keys never replace what is not theirs, such as the disk: neither now nor later.
for format in dir args secret json; do
  mkdir "images-$format" "out-$format"
  cp --sparse=always one.luks "images-$format/web.img"
  echo thesis > "out-$format/a-1"
  all_of "images-$format" > images.before
  all_of "out-$format" > out.before
  for again in '' --retry-failed; do
    # shellcheck disable=SC2086
    fleet keys "images-$format" "${ask[@]}" --state "st-i-$format" \
      --keys-dir "images-$format" --keys-format $format $again
    all_of "images-$format" | diff images.before - >&2 || fail "$format: the disk"
    assert_status 1
    assert_verdict "st-i-$format" web.img keys error
    # shellcheck disable=SC2086
    fleet keys list "${ask[@]}" --state "st-o-$format" \
      --keys-dir "out-$format" --keys-format $format $again
    all_of "out-$format" | grep 'a-1' | diff <(grep a-1 out.before) - >&2 ||
      fail "$format: a text"
    assert_status 1
    assert_verdict "st-o-$format" a-1 keys error
    assert_verdict "st-o-$format" a-2 keys 'done'
  done
done

# But they replace keys that were written for a disk which has changed.
#   has_key FORMAT FILE KEY
has_key ()
{
  case $1 in
    dir) grep -qxF -f "$3" "$2/0" ;;
    args) grep -qxF -f "$3" "$2.d/0" ;;
    secret) jq -Rse --arg key "$(base64 -w 0 "$3")" 'contains ($key)' "$2" ;;
    json) jq -e --arg key "$(base64 -w 0 "$3")" '[.. | strings] | any (. == $key)' "$2" ;;
  esac > /dev/null || fail "$1: no $3 in $2"
}
for format in dir args secret json; do
  keys=(keys list "${ask[@]}" --state "st-$format" --keys-dir "kd-$format"
        --keys-format "$format")
  fleet "${keys[@]}"
  assert_status 0
  has_key "$format" "kd-$format/a-1" one.key
  change new.luks a-1.img
  fleet "${keys[@]}"
  assert_status 0
  done_now a-1 1
  has_key "$format" "kd-$format/a-1" new.key
  has_key "$format" "kd-$format/a-2" one.key
  # As before, and no newer than the records are.
  cp --sparse=always one.luks a-1.img
  touch -d '1 hour ago' a-1.img
done
assert_fails has_key dir kd-dir/a-2 new.key

# Keys that were taken away, and a binding that was made, later.
fleet keys list "${ask[@]}" --state st-later
assert_status 0
rm -r st-later/keys/*
fleet keys list "${ask[@]}" --state st-later
assert_status 0
done_now 'a-1 a-2' 0
assert_same_file one.key st-later/keys/a-2/0
cp bare.luks late.img
echo late.img > late
fleet keys late "${ask[@]}" --state st-late
assert_status 3
change one.luks late.img
fleet keys late "${ask[@]}" --state st-late
assert_status 0
assert_same_file one.key st-late/keys/late.img/0

# Who else may write there could read keys, or have files of others removed.
#   in_danger NAME: it is dangerous now; all is refused, with its name
in_danger ()
{
  local folder=ours index
  # Half files in the state folder are none of the folder of keys.
  [ "$1" != kd ] || folder=ours/kd
  for index in '' --index=1; do
    refused $folder "ours/$1: " \
      keys list "${ask[@]}" --state ours/st --keys-dir ours/kd ${index:+"$index"}
  done
  assert_no_file ours/st/guests/a-1/keys.json
}
mkdir ours
fleet keys list "${ask[@]}" --state ours/st
assert_status 0
fleet keys list "${ask[@]}" --state ours/st --keys-dir ours/kd
assert_status 0
# There would be something to do, and something to remove.
rm ours/st/guests/a-1/keys.json
rm -r ours/kd/a-1
echo half > ours/st/.virt-nbde-unlock-1
echo half > ours/kd/.virt-nbde-unlock-1
for name in st st/guests st/keys st/journal kd; do
  mode=$(stat -c %a ours/$name)
  for bits in g+w o+w; do
    chmod $bits ours/$name
    in_danger $name
    chmod "$mode" ours/$name
  done
  if [ "$(id -u)" -eq 0 ]; then
    chown 65534 ours/$name
    in_danger $name
    chown 0 ours/$name
  fi
done
mkdir -p ours/elsewhere/.gnupg
for name in guests keys journal; do
  mv ours/st/$name ours/moved
  if [ $name = journal ]; then ln -s ../moved ours/st/journal
  else ln -s ../elsewhere ours/st/$name; fi
  in_danger st/$name
  rm ours/st/$name
  mv ours/moved ours/st/$name
done
# Also one that is not yet used.
mkdir -m 777 open open-keys
refused open 'open: ' list list --state open
refused open-keys 'open-keys: ' keys list "${ask[@]}" --state st-open --keys-dir open-keys
assert_equal '' "$(find open open-keys -mindepth 1)" 'what is there'
# As it was, it is good.
fleet keys list "${ask[@]}" --state ours/st --keys-dir ours/kd
assert_status 0
done_now a-1 1
assert_equal '' "$(find ours/st ours/kd -name '.virt-nbde-unlock-*')" 'half files'

# Another spelling is the same work.
sed 's,"path": ",&./,' list > list.dot
sed "s,\"path\": \",&$PWD/," list > list.whole
fleet keys list "${ask[@]}" --state same
assert_status 0
for state in ./same same/ "$PWD/same" ".//same/."; do
  fleet keys list "${ask[@]}" --state "$state"
  assert_status 0
  done_now '' 2
done
for guests in list.dot list.whole; do
  fleet keys $guests "${ask[@]}" --state same
  assert_status 0
  done_now '' 2
done
for folder in kd-x ./kd-x kd-x/ "$PWD/kd-x"; do
  fleet keys list "${ask[@]}" --state same-kd --keys-dir "$folder"
  assert_status 0
  if [ "$folder" = kd-x ]; then done_now 'a-1 a-2' 0; else done_now '' 2; fi
done
cat > note <<'END_OF_NOTE'
#!/bin/bash
echo >> "$tmp/noted"
END_OF_NOTE
chmod +x note
export tmp
for guests in list list.dot; do
  fleet run $guests "${ask[@]}" --state same -- ./note $'\xff' '{disks}'
  assert_status 0
  assert_equal 2 "$(wc -l < noted)" 'commands'
done
# Bytes that are not UTF-8 are not all the same.
fleet run list "${ask[@]}" --state same -- ./note $'\xfe' '{disks}'
assert_status 0
assert_equal 4 "$(wc -l < noted)" 'commands'

# A list or a preflight that has ended tells of that time; the next asks anew.
for action in list preflight; do
  for _ in 1 2; do
    fleet $action list "${ask[@]}" --state "now-$action"
    assert_status 0
    done_now 'a-1 a-2' 0
  done
done
end_server one
fleet preflight list "${ask[@]}" --retries 0 --tang-retries 0 --state now-preflight
assert_status 4
assert_equal 2 "$(count_verdicts now-preflight preflight unreachable)" 'unreachable'
start_tang one "$TANG_PORT_one"
fleet preflight list "${ask[@]}" --state now-preflight
assert_status 0
done_now 'a-1 a-2' 0
assert_journal_whole now-preflight

# One that was interrupted goes on.
bound_to two
cp list more
guests_of b 1 two.luks more
two_are_done ()
{
  [ -d half/guests ] && [ "$(count_verdicts half preflight 'done')" -eq 2 ]
}
for signal in KILL TERM; do
  replace_server two start_blackhole
  rm -rf half
  fleet_start preflight more "${ask[@]}" --state half
  wait_for 20 two_are_done || fail 'a-1 and a-2 are not done'
  kill -$signal "$fleet_pid"
  wait "$fleet_pid" 2> /dev/null || :
  wait_for 10 no_run_processes || fail 'children are left'
  replace_server two start_tang
  fleet preflight more "${ask[@]}" --state half
  assert_status 0
  done_now b-1 2
  assert_journal_whole half
  # And that one has ended.
  fleet preflight more "${ask[@]}" --state half
  assert_status 0
  done_now 'a-1 a-2 b-1' 0
done
