#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What is found on the host is what the appliance finds: of many guests, the JSON
# document of --appliance=never, or of auto where the host is not sure, is that of
# --appliance=always, and so are keys, messages and the exit status.  What differs
# is who looked, why, and how long it took.
#
# Many guests are disks of one run, since it is the appliance that takes long.  The
# last lines of the output are a table of them.
#
# needs: appliance
# timeout: 1500
# alone

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires luksmeta jq python3 mke2fs mkswap fdisk
requires_appliance
get_guests part-lvm two lv md whole btrfs xfs nested

printf %s 'of equals' > passphrase
start_tang one
start_tang two
start_tang dead
one=$(tang_config one) two=$(tang_config two) dead=$(tang_config dead)

# The inner device of this guest names a server of its own.
exec 8> "$guests/nested/lock"
flock 8
address=$(cat "$guests/nested/url")
address=${address#http://}
serve "${address%:*}" "${address##*:}" inner.log \
  "exec $(tangd_command "$guests/nested/tang")" ||
  fail 'the address of the nested guest is taken'
groups+=("$SERVER_PID")
allow=(--tang-allow 127.0.0.1 --tang-allow "${address%:*}")

# Runs.

# Temporary files and processes of a run are told from others by its number.
number=0

# Run the tool in the background; what comes of it is in NAME.json, NAME.err and
# NAME.status.  Keys are written to "keys" and become NAME.keys.
#   look NAME OPTION...
look ()
{
  number=$((number + 100))
  wait_for 600 one_may_begin || fail 'this takes too long'
  looking "$number" "$@" &
  looks+=($!)
}
looks=()

# An appliance keeps a processor busy, and waits now and then.
one_may_begin ()
{
  local look running=0
  for look in ${looks[@]+"${looks[@]}"}; do
    ! is_running "$look" || running=$((running + 1))
  done
  [ $running -lt 3 ]
}

looking ()
{
  local name=$2
  # shellcheck disable=SC2034
  runs=$1
  out=$tmp/$name.json
  err=$tmp/$name.err
  # A name for the keys that is the same in messages, and another place.
  mkdir "$name"
  cd "$name" || exit
  nbde --output-format=json --tang-retries 0 "${@:3}"
  cd ..
  [ ! -e "$name/keys" ] || mv "$name/keys" "$name.keys"
  echo "$status" > "$name.status"
  jq -S -f normal.jq "$out" > "$name.normal" || fail "$name: no document"
  # Warnings, errors, hints.
  search '^virt-nbde-unlock: ' "$err" > "$name.said"
}

# Who looked, and why, and all numbers of seconds are left out.
cat > normal.jq <<'END'
del (.timings, .looked_from, .reason) |
walk (if type == "object" then del (.seconds, .verify_seconds) else . end)
END

finish_looks ()
{
  local look
  for look in "${looks[@]}"; do
    wait "$look" || fail 'see above'
  done
  looks=()
}

#   has NAME FILTER: does it hold of the document?
has ()
{
  jq -e "$2" "$1.json" > /dev/null || fail "$1.json: does not hold: $2"
}

# Disks of a run.

new_group ()
{
  disks=()
  count=0
  names=()
}

# Add a disk.  Devices of this guest are those on it, and those whose names match
# the pattern:  add NAME PATTERN [OPTION...] FILE
add ()
{
  local alphabet=abcdefghijklmnopqrstuvwxyz
  disks+=("${@:3:$#-3}" -a "$tmp/${!#}")
  device=/dev/sd
  [ $count -lt 26 ] || device+=${alphabet:count / 26 - 1:1}
  device+=${alphabet:count % 26:1}
  count=$((count + 1))
  names+=("$1 ^${device}[0-9]*\$${2:+|$2}")
}

# Compare two runs with the disks of this group.  Each guest gets a line in the
# table.  What differs is said, and fails the test in the end.
#   compare NAME OTHER
: > table
: > differences
compare ()
{
  local what line
  for line in "${names[@]}"; do
    jq -r --arg name "${line%% *}" --arg pattern "${line#* }" \
      --slurpfile a "$1.normal" --slurpfile b "$2.normal" -f row.jq "$1.json" \
      >> table
  done
  for what in status normal said keys; do
    [ -e "$1.$what" ] || [ -e "$2.$what" ] || continue
    diff -ruN "$1.$what" "$2.$what" >> differences || :
  done
}
cat > row.jq <<'END'
def of_guest (document):
  [document.devices[] | select (.device | test ($pattern))];
[$name, (of_guest ($a[0]) | length), .looked_from,
 (if of_guest ($a[0]) == of_guest ($b[0]) then "equal" else "not equal" end),
 .reason // "-"] | @tsv
END

# Malformed headers, each on a partition: some of each sort.  What is wrong with a
# token or further inside is nothing that two readers could see differently.

"$top_srcdir/tests/malformed/generate.py" malformed > generate.log 2>&1 ||
  fail "$(cat generate.log)"
sorts='{
  split ($1, words, "-")
  sort = words[1] " " $2
  if (words[1] !~ /^(jwe|tang|sss|null)$/ && !seen[sort]++) print $1
}'
mapfile -t malformed < <(awk -F '\t' "$sorts" malformed/expected)
[ ${#malformed[@]} -gt 40 ] || fail 'too few malformed headers'

# Of these the host is not sure.
left=' magic segment-type '

# Make a disk of files:  disk_of_files DISK FILE...
disk_of_files ()
{
  local disk=$1 file size start=1 parts=() starts=() i=0
  shift
  for file; do
    size=$(($(stat -c %s "$file") / mib + 1))
    parts+=("p$start:$start:$size")
    starts+=("$start")
    start=$((start + size))
  done
  gpt "$disk" $((start + 1)) "${parts[@]}" || fail "cannot partition $disk"
  for file; do
    put "$file" "$disk" "${starts[i]}"
    i=$((i + 1))
  done
}

# Devices that are LUKS no longer, or not bound, or in the middle of something.
piece ext4.luks
mke2fs -q -F ext4.luks
piece swap.luks
mkswap swap.luks > mkswap.log 2>&1
piece unbound.luks
bound_piece stale.luks tang "$one"
cryptsetup luksKillSlot -q stale.luks 1 2> kill.log || fail "$(cat kill.log)"
piece reencrypt.luks
cryptsetup reencrypt -q --init-only --key-file passphrase "${cheap_kdf[@]}" \
  reencrypt.luks 2> reencrypt.log || fail "$(cat reencrypt.log)"

new_group
files=(ext4.luks swap.luks unbound.luks stale.luks reencrypt.luks)
for name in "${malformed[@]}"; do
  [[ $left == *" $name "* ]] || files+=("malformed/$name.img")
done
disk_of_files malformed.img "${files[@]}"
add malformed '' malformed.img
names=()
for ((i = 0; i < ${#files[@]}; i++)); do
  name=${files[i]##*/}
  names+=("${name%.img} ^$device$((i + 1))\$")
done
malformed=("${names[@]}")
# No server is asked.
for who in never always; do
  look malformed-$who --appliance=$who --format=raw "${disks[@]}" --list \
    --output-keys keys --output-keys-format dir \
    --tang-allow none.example.com
done

# Every binding, on partitions, logical volumes and a disk.

declare -A bindings=(
  [tang]="tang $one"
  [one-of-two]="sss {\"t\":1,\"pins\":{\"tang\":[$one,$dead]}}"
  [two-of-three]="sss {\"t\":2,\"pins\":{\"tang\":[$one,$dead,$two]}}"
  [nested]="sss {\"t\":2,\"pins\":{\"tang\":$one,\"sss\":{\"t\":1,\"pins\":{\"tang\":[$dead,$two]}}}}"
  [two-tokens]="tang $dead"$'\n'"tang $one"
  [null]='null {}'
)
# shellcheck disable=SC2034
layout_1=(--type luks1)
# shellcheck disable=SC2034
layout_2=("${small_header[@]}")

# A copy of a device with a UUID of its own:  copy FILE NEW
copy ()
{
  cp --sparse=always "$1" "$2"
  cryptsetup luksUUID -q --uuid "$(uuid_of "$2")" "$2" || fail "cannot copy $1"
}

bound ()
{
  local version=$1 binding=$2 file=$1-$2 pin config
  local -n layout=layout_$version
  luks_file "$file" 6 "$(uuid_of "$file")" passphrase "${layout[@]}" ||
    fail "cannot make $file"
  while read -r pin config; do
    bind_luks "$file" passphrase "$pin" "$config" || fail "cannot bind $file"
  done <<< "${bindings[$binding]}"
}
files=()
for binding in "${!bindings[@]}"; do
  files+=("1-$binding" "2-$binding")
  bound 1 "$binding" &
  bound 2 "$binding"
  wait $! || fail 'see above'
done
disk_of_files matrix.img "${files[@]}"
copy 2-tang whole-2.img
copy 1-two-of-three whole-1.img

# What only guestfish can make: all in one launch.

# A bound device, to be filled:  outer FILE SIZE [luksFormat OPTION...]
outer ()
{
  luks_file "$1" "$2" "$(uuid_of "$1")" passphrase "${small_header[@]}" \
    "${@:3}" &&
    bind_luks "$1" passphrase tang "$one" || fail "cannot make $1"
}

fish_start script
truncate -s 40M volumes.img
fish_drive volumes.img
fish "pvcreate $device"
fish "vgcreate matrix $device"
for file in 1-tang 2-tang 1-two-of-three 2-null; do
  copy "$file" "$file.lv"
  fish "lvcreate l$file matrix 8"
  fish "upload $file.lv /dev/matrix/l$file"
done

# LUKS in LVM in LUKS.
outer stack.img 32
bound_piece deep.luks tang "$two"
fish_drive stack.img
fish_open "$device" stack passphrase
fish "pvcreate /dev/mapper/stack"
fish "vgcreate stack /dev/mapper/stack"
fish "lvcreate deep stack 8"
fish "upload deep.luks /dev/stack/deep"
fish "vg-activate false stack"
fish "cryptsetup-close /dev/mapper/stack"

# A volume group on two LUKS devices, and in it a volume that is on both.
outer span1.img 20
outer span2.img 20
bound_piece wide.luks tang "$one"
fish_drive span1.img
fish_open "$device" span1 passphrase
fish_drive span2.img
fish_open "$device" span2 passphrase
fish "pvcreate /dev/mapper/span1"
fish "pvcreate /dev/mapper/span2"
fish "vgcreate span '/dev/mapper/span1 /dev/mapper/span2'"
fish "lvcreate wide span 24"
fish "upload wide.luks /dev/span/wide"
fish "vg-activate false span"
fish "cryptsetup-close /dev/mapper/span1"
fish "cryptsetup-close /dev/mapper/span2"

# One whose other part is not encrypted: it is not whole before something was opened.
outer half.img 20 --sector-size 512
bound_piece both.luks tang "$two"
truncate -s 20M clear.img
fish_drive half.img
fish_open "$device" half passphrase
fish_drive clear.img
fish "pvcreate /dev/mapper/half"
fish "pvcreate $device"
fish "vgcreate mixed '/dev/mapper/half $device'"
fish "lvcreate both mixed 24"
fish "upload both.luks /dev/mixed/both"
fish "vg-activate false mixed"
fish "cryptsetup-close /dev/mapper/half"

# The host does not know striped volumes, which it sees when it has opened these.
# Their sectors are to be of one size, which cryptsetup else chooses by that of the
# file.
bound_piece narrow.luks tang "$one"
outer striped1.img 20 --sector-size 512
outer striped2.img 20 --sector-size 512
fish_drive striped1.img
fish_open "$device" striped1 passphrase
fish_drive striped2.img
fish_open "$device" striped2 passphrase
fish "pvcreate /dev/mapper/striped1"
fish "pvcreate /dev/mapper/striped2"
fish "vgcreate striped '/dev/mapper/striped1 /dev/mapper/striped2'"
fish 'debug sh "lvm lvcreate -y -i 2 -L 16M -n narrow striped"'
fish "upload narrow.luks /dev/striped/narrow"
fish "vg-activate false striped"
fish "cryptsetup-close /dev/mapper/striped1"
fish "cryptsetup-close /dev/mapper/striped2"

# Nor does it know arrays of level 0.  (Of two arrays, the appliance itself gives
# now the one, now the other the first number.)
bound_piece zero.luks tang "$one"
gpt array.img 17 a:1:8 b:9:8 || fail 'cannot partition'
fish_drive array.img
fish "md-create zero '${device}1 ${device}2' level:raid0"
fish "upload zero.luks /dev/md/zero"
fish "md-stop /dev/md/zero"
fish_run || fail 'the disks were not made'

# Formats.

for format in qcow2 vmdk vdi vhdx vpc; do
  bound_piece $format.luks tang "$one"
  disk_of raw.$format $format.luks
done
qemu-img create -q -f qcow2 -b raw.qcow2 -F raw middle.qcow2
qemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 disk.qcow2
for format in vmdk vdi vhdx vpc; do
  qemu-img convert -f raw -O $format raw.$format disk.$format ||
    fail "cannot make $format"
done

# Sectors of 4096 bytes: those of a partition table, and of LUKS.
bound_piece sectors.luks tang "$one"
truncate -s 8M table4k.img
printf '%s\n' g n 1 256 1023 n 2 1024 1279 w | fdisk -b 4096 table4k.img \
  > fdisk.log 2>&1 || fail 'fdisk'
put sectors.luks table4k.img 1
luks_file luks4k.img 4 "$(uuid_of luks4k)" passphrase --sector-size 4096 \
  "${small_header[@]}" && bind_luks luks4k.img passphrase tang "$one" ||
  fail 'cannot make luks4k.img'

# An MBR with logical partitions.
bound_piece primary.luks tang "$one"
bound_piece logical.luks tang "$two"
truncate -s 12M mbr.img
printf '%s\n' 'label: dos' 'start=2048 size=6144' 'start=8192 type=extended' \
  'start=10240 size=2048' 'start=14336 size=6144' |
  sfdisk --quiet --no-reread --no-tell-kernel mbr.img || fail 'sfdisk'
put primary.luks mbr.img 1
put logical.luks mbr.img 7

# A detached header.
truncate -s 4M detached.img
cryptsetup luksFormat -q --header header.luks --key-file passphrase \
  --uuid "$(uuid_of detached)" "${cheap_kdf[@]}" detached.img &&
  bind_luks header.luks passphrase tang "$one" || fail 'no detached header'

# What no server opens.
bound_piece gone.img tang "$dead"

bind part-lvm root tang "$one"
bind two root tang "$one"
bind two home tang "$two"
bind lv root tang "$one"
bind lv srv tang "$two"
bind md root tang "$one"
bind whole root tang "$two"
bind btrfs root tang "$one"
bind xfs root tang "$two"
bind nested outer tang "$one"
end_server dead

# The guests that the host knows.

mapper=/dev/mapper/luks-
new_group
add part-lvm "^/dev/demo/|^$mapper$(luks_uuid part-lvm root)" \
  --format=raw part-lvm.img
add two '' two.img
add lv '^/dev/lvguest/' lv.img
add md '^/dev/md127$' md.img
add whole '' whole.img
add btrfs '' btrfs.img
add xfs '^/dev/rhel/' xfs.img
add nested "^$mapper$(luks_uuid nested outer)" nested.img
add partitions '' matrix.img
add volumes '^/dev/matrix/' volumes.img
add disk-luks2 '' whole-2.img
add disk-luks1 '' whole-1.img
add luks-lvm-luks '^/dev/stack/' stack.img
add lvm-on-two-luks '^/dev/span/' span1.img
add second-of-them '' span2.img
add lvm-on-both '^/dev/mixed/' half.img
add not-encrypted '' clear.img
add detached '' detached.img
detached=$device
add mbr '' mbr.img
truncate -s 3M empty.img
add nothing '' empty.img
add qcow2-chain '' --format=qcow2 disk.qcow2
for format in vmdk vdi vhdx vpc; do
  add $format '' --format=$format disk.$format
done
add table-4096 '' --format=raw --blocksize=4096 table4k.img
add luks-4096 '' luks4k.img
known=("${names[@]}")
for who in never always; do
  look known-$who --appliance=$who "${disks[@]}" "${allow[@]}" --list \
    --header "$detached=$tmp/header.luks" --output-keys keys
done

new_group
add gone '' --format=raw gone.img
add partitions '' matrix.img
add lv '^/dev/lvguest/' lv.img
add md '^/dev/md127$' md.img
preflight=("${names[@]}")
for who in never always; do
  look preflight-$who --appliance=$who "${disks[@]}" "${allow[@]}" --list \
    --preflight
done

# Those of which it knows at once that it does not know them.

new_group
add array '^/dev/md' --format=raw array.img
add magic '' malformed/magic.img
unsure=("${names[@]}")
for who in auto always; do
  look unsure-$who --appliance=$who "${disks[@]}" "${allow[@]}" --list --check
done

# While it opens devices: in the appliance those that it has opened are opened
# again, and another by a key that is given.

#   look_twice NAME OPTION...
look_twice ()
{
  local who
  for who in auto always; do
    look "$1-$who" --appliance=$who "${disks[@]}" "${allow[@]}" --list \
      --output-keys keys --output-keys-format dir "${@:2}"
  done
}

new_group
cp unbound.luks key-given.img
add before '' --format=raw whole-2.img
add segment-type '' malformed/segment-type.img
add keyslot-priority '' malformed/keyslot-priority.img
add keyslot-priority-text '' malformed/keyslot-priority-text.img
add behind '' luks4k.img
add key-given '' key-given.img
while_opening=("${names[@]}")
look_twice while-opening \
  --key "$(uuid_of unbound.luks):file:$tmp/passphrase"

# And in what it has opened.

new_group
add striped '^/dev/striped/' --format=raw striped1.img
add second-of-it '' striped2.img
inside=("${names[@]}")
look_twice inside
finish_looks

names=("${malformed[@]}")
compare malformed-never malformed-always
names=("${known[@]}")
compare known-never known-always
names=("${preflight[@]}")
compare preflight-never preflight-always
names=("${unsure[@]}")
compare unsure-auto unsure-always
names=("${while_opening[@]}")
compare while-opening-auto while-opening-always
names=("${inside[@]}")
compare inside-auto inside-always

# A planted difference is seen.
for what in status normal said; do
  sed 's/"logical-volume"/"partition"/' known-never.$what > planted.$what
done
mv table table.before
mv differences differences.before
names=("lv ^/dev/lvguest/")
: > table
: > differences
compare known-never planted
grep -q 'not equal' table && [ -s differences ] ||
  fail 'a planted difference is not seen'
mv table.before table
mv differences.before differences

column -t -s "$(printf '\t')" table
[ ! -s differences ] || fail "$(head -n 300 differences)"

# It was the host that has looked, and there was something to see.
for name in malformed known preflight; do
  has $name-never '.looked_from == "host" and .reason == null'
done
for name in malformed known preflight unsure while-opening inside; do
  has $name-always \
    '.looked_from == "appliance" and .reason == "--appliance=always"'
done
has unsure-auto '.looked_from == "appliance" and
  (.reason | contains ("an MD array of level 0"))'
has while-opening-auto '.looked_from == "appliance" and
  (.reason | contains ("its segment is of an unusual kind"))'
has inside-auto '.looked_from == "appliance" and
  (.reason | contains ("a striped logical volume"))'
#   states NAME STATE NUMBER
states ()
{
  has "$1" "[.devices[] | select (.state == \"$2\")] | length == $3"
}
states known-never opened 45
states known-never recovered 1
states malformed-never unbound 4
assert_equal 45 "$(wc -l < known-never.keys)" 'ends of lines'
states unsure-auto recovered 1
states while-opening-auto opened 3
states while-opening-auto not-opened 2
states while-opening-auto opened-by-given-key 1
states inside-auto opened 3
