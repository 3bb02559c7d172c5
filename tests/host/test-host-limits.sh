#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What a disk may have made so that the host sees less than there is, or works
# without end: the host is not sure of it, says why, and gives no keys.

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires jq python3

start_tang one
bound_piece bound tang "$(tang_config one)"
clevis_pass bound 1 key
{ cat key; echo; } > expected

hostile_disk ()
{
  "$top_srcdir/tests/lib/hostile-disk.py" "$@" || fail "no $1"
}

#   keys_of DISK
keys_of ()
{
  rm -f keys
  nbde --appliance=never --format=raw -a "$1" --tang-keydir "$TANG_DIR_one" \
    --output-keys keys
}

#   unsure_of DISK REASON
unsure_of ()
{
  keys_of "$1"
  assert_status 1
  assert_one_error \
    "the appliance is needed, which --appliance=never forbids: $2"
  assert_no_file keys
}

# Make a file the contents of a LUKS device, which opens by the key of the first
# one:  enclose FILE NAME
enclose ()
{
  local size
  head -c 64 /dev/urandom > volume-key
  size=$((($(stat -c %s "$1") + 2 * mib - 1) / mib))
  luks_file outside "$size" "$(uuid_of "$2")" key --luks2-metadata-size 16k \
    --luks2-keyslots-size 512k --offset 2048 --sector-size 512 \
    --cipher aes-xts-plain64 --key-size 512 --volume-key-file volume-key ||
    fail "cannot make $2"
  cryptsetup token import --token-id 0 --json-file token outside
  hostile_disk encrypt outside "$mib" volume-key "$1"
  mv outside "$1"
}
cryptsetup token export --token-id 0 bound | jq -c '.keyslots = ["0"]' > token

# Keys of how many devices?
number_of_keys ()
{
  grep -cxF -f key keys || :
}

# LUKS in LUKS: each layer is read through all that it is in.
cp --sparse=always bound nested
for layer in {2..9}; do
  enclose nested "layer $layer"
  case $layer in
    2) cp --sparse=always nested two ;;
    3) cp --sparse=always nested three ;;
    8) cp --sparse=always nested eight ;;
  esac
done
for layers in 2:two 3:three 8:eight; do
  keys_of "${layers#*:}"
  assert_status 0
  assert_equal "${layers%:*}" "$(number_of_keys)" "keys of ${layers#*:} layers"
done
unsure_of nested 'LUKS in LUKS in LUKS without end'

# One deadline for all layers: a server that takes two seconds for the first one, and
# never answers for the second.
cat > late <<END
#!/bin/bash
[ ! -e ${tmp@Q}/asked ] || exec sleep 86400
touch ${tmp@Q}/asked
sleep 2
exec $(tangd_command "$TANG_DIR_one")
END
chmod +x late
start_server late "exec $tmp/late"
rm -f keys
nbde --appliance=never --format=raw -a two --tang-allow 127.0.0.1 \
  --tang-map "127.0.0.1=$TANG_URL_late" --tang-timeout 600 --deadline 3 \
  --output-keys keys
assert_status 4
left=$(sed -n 's/.*within the deadline of \([0-9.]*\) seconds.*/\1/p' "$err" |
  head -n 1)
[[ $left =~ ^(0\.[0-9]+|1)$ ]] ||
  fail "the second layer had '$left' seconds: $(cat "$err")"

# A volume that has the name of an open device: the host would take one for the
# other, and look no further.

#   beside DISK VOLUME-GROUP
beside ()
{
  hostile_disk volume volume "$2" "luks-$(uuid_of 'layer 2')"
  truncate -s 20M "$1"
  put two "$1" 1
  put volume "$1" 10
  hostile_disk partitions "$1" 1:9:1 10:8:1
}
beside other.img other
keys_of other.img
assert_status 0
assert_equal 2 "$(number_of_keys)" 'keys beside another group'
beside mapper.img mapper
unsure_of mapper.img \
  "/dev/mapper/luks-$(uuid_of 'layer 2'): there are two devices of this name"

# Partitions that are all the same physical volume, with texts of 4 MiB.
hostile_disk texts volume
truncate -s 10M volumes.img
put volume volumes.img 1
cat > peak.py <<'END'
import resource, subprocess, sys
subprocess.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
END
for count in 32 250; do
  hostile_disk partitions volumes.img 1:8:$count
  run_command python3 peak.py "$VIRT_NBDE_UNLOCK" --appliance=never \
    --format=raw -a volumes.img --list
  assert_stderr_has 'the appliance is needed'
  peak=$(tail -n 1 "$out")
  [ "$peak" -gt 0 ] || fail 'how much memory did it take?'
  [ "$peak" -le 400 ] || fail "$count volumes take $peak MiB of memory"
done
unsure_of volumes.img 'more than 32 physical volumes of LVM'
