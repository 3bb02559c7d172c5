#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Disks that are not raw files: qcow2 whose format is found out, qcow2 with a
# backing file, both locked by who writes to them, and remote ones, as nbd:// and nbd+unix:// URIs; all in one
# run, with --format between them.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
requires qemu-nbd

start_tang one
for i in 1 2 3 4; do
  bound_piece "d$i.luks" tang "$(tang_config one)"
  disk_of "d$i.img" "d$i.luks"
done

qemu-img convert -f raw -O qcow2 d1.img d1.qcow2
qemu-img create -q -f qcow2 -b d2.img -F raw d2.qcow2

# qemu-nbd takes no port 0.  It goes on in the background when it listens.
serve_nbd ()
{
  setsid qemu-nbd --read-only --format=raw --persistent --fork \
    --pid-file="$1.pid" "${@:2}" "$1" || return 1
  groups+=("$(process_group "$(cat "$1.pid")")")
}
serve_nbd d3.img --socket="$tmp/d3.sock" || fail qemu-nbd
for try in $(seq 20); do
  port=$((20000 + RANDOM % 12000))
  ! serve_nbd d4.img --bind=127.0.0.1 --port=$port 2>/dev/null || break
  [ "$try" -lt 20 ] || fail 'no port for qemu-nbd'
done

# Two that somebody has opened to write, as a guest that runs has.
for disk in d1.qcow2 d2.img; do
  format=${disk##*.}
  [ "$format" != img ] || format=raw
  setsid qemu-nbd --format="$format" --persistent --fork \
    --pid-file="$disk.pid" --socket="$tmp/$disk.sock" "$disk" ||
    fail "qemu-nbd $disk"
  groups+=("$(process_group "$(cat "$disk.pid")")")
done
! qemu-img info d1.qcow2 > "$out" 2> "$err" || fail 'd1.qcow2 is not locked'

sha256sum d?.img d?.qcow2 > sums
nbde -a d1.qcow2 --format=qcow2 -a d2.qcow2 \
  --format -a "nbd+unix://?socket=$tmp/d3.sock" \
  --format=raw -a "nbd://127.0.0.1:$port" --tang-allow 127.0.0.1 --check -q
assert_status 0
# -q: nothing but what was asked for.
[ ! -s "$err" ] || fail 'there are messages in spite of -q'
sha256sum --quiet -c sums || fail 'a disk was changed'
for i in 1 2 3 4; do
  letter=$(tr 1234 abcd <<< "$i")
  assert_stdout_matches "^/dev/sd${letter}1 $(uuid_of "d$i.luks"): token 0"
done
