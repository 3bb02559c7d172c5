# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Who opens these files?  inotify sees it for all processes of this kernel.
# Sourced after functions.sh.
#
# shellcheck shell=bash

#   watch_files FILE...
watch_files ()
{
  : > sentinel
  setsid inotifywait -m -q -e open --format '%w' sentinel "$@" \
    >> witness.opened 2> witness.log </dev/null &
  groups+=("$!")
  witness=$!
  wait_for 10 see_sentinel || fail "inotifywait sees nothing: $(cat witness.log)"
  forget_files
}

# Events come in order: what happened before it is known when it is seen.
see_sentinel ()
{
  local before
  is_running "$witness" || fail "inotifywait has ended: $(cat witness.log)"
  before=$(grep -cx sentinel witness.opened)
  : < sentinel
  wait_for 1 more_sentinels "$before"
}

more_sentinels ()
{
  [ "$(grep -cx sentinel witness.opened)" -gt "$1" ]
}

# Was this file opened since all were forgotten?
opened ()
{
  see_sentinel || fail 'inotifywait sees nothing any more'
  grep -qxF -e "$1" witness.opened
}

not_opened ()
{
  see_sentinel || fail 'inotifywait sees nothing any more'
  ! grep -vx sentinel witness.opened > witness.others ||
    fail "opened: $(sort -u witness.others)"
}

forget_files ()
{
  see_sentinel || fail 'inotifywait sees nothing any more'
  : > witness.opened
}
