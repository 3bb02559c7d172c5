# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Which files were opened while a disk was read on the host?  strace is the witness.
# Sourced after functions.sh.
#
# disks         the folder of the disks, absolute
# system_files  a pattern of what else may be opened
#
# shellcheck shell=bash
# shellcheck disable=SC2154

requires strace
system_files=

#   traced TRACE COMMAND...
traced ()
{
  local trace=$1
  shift
  run_command strace -f -qq -y -o "$trace" -e \
    trace=open,openat,openat2,open_by_handle_at,socket,connect,bind,listen,accept,accept4,execve,mkdir,unlink,rename \
    "$@"
}

# By whichever name?  -y shows where they are.
#   opened_files TRACE
opened_files ()
{
  grep -F open "$1" | sed -n 's/.* = [0-9][0-9]*<\(.*\)>$/\1/p' | sort -u
}

# Is this one of the system, or of this process?
# shellcheck disable=SC2053
of_system ()
{
  case $1 in
    /usr/* | /bin | /sbin | /lib | /lib32 | /lib64 | /usr | /lib/* | /lib64/* | \
      /etc/ld.so.* | /etc/alternatives | /dev/null | /dev/zero | /dev/urandom | \
      /etc/locale.alias | "$TMPDIR"/virt-nbde-unlock-*) ;;
    "$top_builddir"/*) ;;
    *) [[ $1 == $system_files ]] ;;
  esac
}

# Only these files of the disks were opened, by openat and its like.
#   opened_only TRACE FILE...
opened_only ()
{
  local trace=$1 file
  shift
  for file; do
    # Not -q, which might end before all was written.
    opened_files "$trace" | grep -xF -e "$disks/$file" >/dev/null ||
      fail "strace has not seen that $file was opened"
  done
  while read -r file; do
    of_system "$file" || [[ " $* " == *" ${file#"$disks/"} "* ]] ||
      fail "opened: $file"
  done < <(opened_files "$trace")
}
