#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A wrong command line: one line that says what is wrong, advice, exit
# status 1, and no appliance is started.

. "$(dirname "$0")/../lib/functions.sh"

truncate -s 1M disk.img

# usage_error PATTERN [ARGUMENT...]
usage_error ()
{
  local pattern=$1
  shift
  nbde "$@"
  assert_status 1
  assert_no_stdout
  assert_one_error "$pattern"
  assert_stderr_has "Try 'virt-nbde-unlock --help' or consult \
virt-nbde-unlock(1) for more information."
  assert_equal 2 "$(wc -l < "$err")" 'lines of standard error'
}

usage_error 'no disk was given'
usage_error 'no disk was given' --list
for action in --list --check --inspect --output-keys; do
  usage_error "no action was given: .*$action" -a disk.img
done

usage_error '--no-such-option' --no-such-option
usage_error '-Z' -Z -a disk.img --list
usage_error 'disks are given with -a' disk.img --list
usage_error '-a needs a value' --list -a
usage_error '--list takes no value' -a disk.img --list=yes
usage_error '--format must stand before' -a disk.img --format=raw --list
usage_error '--blocksize must stand before' -a disk.img --blocksize=512 --list
usage_error "--blocksize: '1000'" --blocksize=1000 -a disk.img --list
usage_error "--memsize: '0'" --memsize=0 -a disk.img --list
usage_error "--memsize: '1g'" --memsize=1g -a disk.img --list
usage_error "--smp: '-1'" --smp=-1 -a disk.img --list
usage_error "--tang-timeout: '0'" --tang-timeout=0 -a disk.img --list
usage_error "--tang-timeout: 'nan'" --tang-timeout=nan -a disk.img --list
usage_error '--output-keys needs the name' -a disk.img --output-keys=
usage_error "--output-keys-format: 'csv'" -a disk.img --output-keys=k \
  --output-keys-format=csv
usage_error '--force needs --output-keys' -a disk.img --list --force
usage_error 'cannot be combined' -a disk.img --list --output-keys=-
usage_error '--machine-readable' -a disk.img --list --machine-readable=tape:1

# --mount and what goes with it.
mkdir mnt
for option in --rw --no-fork --pid-file=p -m/dev/sda1 -oallow_other; do
  usage_error "${option:0:2}.* needs --mount" -a disk.img --list "$option"
done
usage_error 'no action was given: .*--mount' -a disk.img
usage_error '--mount needs a value' -a disk.img --mount
usage_error '--mount: .*is empty' -a disk.img --mount=
usage_error "-m: .*must begin with '/'" -a disk.img --mount=mnt -m /dev/sda1:x
usage_error '-m: .*names no device' -a disk.img --mount=mnt -m :/
usage_error '-m: .*is not DEV' -a disk.img --mount=mnt -m a:/:b:c:d
usage_error 'mounted on / already' -a disk.img --mount=mnt -m a -m b:/
usage_error "one option -m must be for the mountpoint '/'" -a disk.img \
  --mount=mnt -m /dev/sda1:/boot
usage_error '-o: .*is empty' -a disk.img --mount=mnt -o ''
usage_error '--export-requests can only' -a disk.img --mount=mnt \
  --export-requests=r
usage_error '--preflight can only' -a disk.img --mount=mnt --preflight

# A directory that cannot be used, a disk that cannot be written.
# refused PATTERN [ARGUMENT...]
refused ()
{
  local pattern=$1
  shift
  nbde -a disk.img "$@"
  assert_status 1
  assert_no_stdout
  assert_one_error "$pattern"
  assert_equal 1 "$(wc -l < "$err")" 'lines of standard error'
}
mkdir full
touch full/file
refused 'none: No such file' --mount none
refused 'disk.img: is not a directory' --mount disk.img
refused 'full: is not empty' --mount full
if [ -w /dev/fuse ]; then
  refused 'none: No such file' --mount mnt --pid-file none/p
  ln -s full/file link
  refused 'link: exists and is not a regular file' --mount mnt --pid-file link
  refused 'disk.img: exists and is not a file with a process ID' \
    --mount mnt --pid-file disk.img
  refused 'cannot be written by https' --mount mnt --rw \
    --format=raw -a https://example.com/disk.img
fi

# Not about the way of writing, so without the advice.
nbde -a disk.img --list --tang-allow='http://[::1'
assert_status 1
assert_no_stdout
assert_one_error 'http://\[::1'
