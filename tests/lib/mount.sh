# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What the tests of --mount have in common.  Sourced after functions.sh.
#
# shellcheck shell=bash

requires fusermount guestunmount find sha256sum
# shellcheck disable=SC2188
{ < /dev/fuse; } 2>/dev/null || skip '/dev/fuse cannot be opened'

directory=$(realpath "$tmp")/mnt
mkdir "$directory"
pid_file=$tmp/pid

# Run the tool with --mount; it comes back when the mount is ready, which is
# undone at the end of the test:  run_mount [ARGUMENT...]
run_mount ()
{
  mark_run
  run_command timeout --foreground --kill-after=10 300 \
    env "${marked[@]}" "$VIRT_NBDE_UNLOCK" --mount mnt --pid-file pid "$@"
  [ -e "$pid_file" ] || fail 'there is no file with the process ID'
  groups+=("$(process_group "$(cat "$pid_file")")")
}

# The same; sets mount_pid, qemu and socket:  mount_guest [ARGUMENT...]
mount_guest ()
{
  run_mount "$@"
  find_processes
}

find_processes ()
{
  local process
  mount_pid=$(cat "$pid_file")
  is_running "$mount_pid" || fail "there is no process $mount_pid"
  is_mounted || fail 'it is not mounted'
  find_qemu || fail 'there is no appliance'
  # ^C and the end of a terminal go to the group of whoever has started it.
  for process in $(run_processes); do
    [ "$(process_group "$process")" != "$(process_group $$)" ] ||
      fail "$process is in the process group of its caller"
  done
}

is_mounted ()
{
  grep -qF " $directory " /proc/self/mountinfo
}

is_not_mounted ()
{
  ! is_mounted
}

no_pid_file ()
{
  [ ! -e "$pid_file" ]
}

# Within so many seconds, nothing is left of it.
assert_gone ()
{
  wait_for "$1" is_not_mounted || fail 'it is still mounted'
  wait_for "$1" no_run_processes ||
    fail "processes are left behind: $(run_processes)"
  assert_no_leftovers
  assert_no_file "$pid_file"
  assert_no_file "$(dirname "$socket")"
  assert_equal '' "$(ls -A "$directory")" 'what is in the directory'
}

# All that is in a folder: names, types, modes, owners, targets of links; and the
# sums of all files.  Others but root cannot make what others own, to compare with
# it, nor look into every folder.  describe FOLDER
describe ()
{
  local owner='%U %G' skip=()
  [ "$(id -u)" -eq 0 ] || { owner=; skip=(-name lost+found -prune -o); }
  (cd "$1" &&
     find . "${skip[@]}" -printf "%P %y %m $owner %l\n" | LC_ALL=C sort &&
     find . "${skip[@]}" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
}
