#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Starts a real Tang server on loopback, and stops it:
#
#   serve-tang.sh KEYDIR PORT PIDFILE
#   serve-tang.sh --running PIDFILE
#   serve-tang.sh --stop PIDFILE
#
# KEYDIR is made, with keys, if it is not there.  PORT 0 takes a free port.
# When the script ends the server accepts connections and its URL was
# printed, which --running does, too; it fails if there is no such server.
# The server goes on in the background, in a process group of its own;
# PIDFILE.log has a line for every connection and request.  TANG_ADDRESS is
# the address (127.0.0.1).  A PIDFILE of a server that runs is not taken from
# it.

set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/servers.sh"

# After the next boot, the number may be that of another process.
runs ()
{
  local pid
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && is_running "$pid" &&
    grep -qsa '^socat' "/proc/$pid/cmdline"
}

case ${1-} in
  --running)
    runs "$2" || exit 1
    cat "$2.url" ;;
  --stop)
    ! runs "$2" || stop_server "$(cat "$2")"
    rm -f "$2" "$2.url" ;;
  -* | '')
    sed -n '6,18s/^# \{0,1\}//p' "$0" >&2
    exit 1 ;;
  *)
    if runs "$3"; then
      echo "$0: the server of $3 runs already: $(cat "$3.url")" >&2
      exit 1
    fi
    make_tang_keys "$1"
    serve "${TANG_ADDRESS:-127.0.0.1}" "$2" "$3.log" \
      "exec $(tangd_command "$1")"
    echo "$SERVER_URL" > "$3.url"
    echo "$SERVER_PID" > "$3"
    echo "$SERVER_URL" ;;
esac
