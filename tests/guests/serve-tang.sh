#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Starts a real Tang server on loopback, and stops it:
#
#   serve-tang.sh KEYDIR PORT PIDFILE
#   serve-tang.sh --stop PIDFILE
#
# KEYDIR is made, with keys, if it is not there.  PORT 0 takes a free port.
# When the script ends the server accepts connections and its URL was
# printed.  It goes on in the background, in a process group of its own;
# PIDFILE.log has a line for every connection and request.  TANG_ADDRESS is
# the address (127.0.0.1).

set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/servers.sh"

case ${1-} in
  --stop)
    [ ! -s "$2" ] || stop_server "$(cat "$2")"
    rm -f "$2" ;;
  -* | '')
    sed -n '6,14s/^# \{0,1\}//p' "$0" >&2
    exit 1 ;;
  *)
    make_tang_keys "$1"
    serve "${TANG_ADDRESS:-127.0.0.1}" "$2" "$3.log" \
      "exec $(tangd_command "$1")"
    echo "$SERVER_PID" > "$3"
    echo "$SERVER_URL" ;;
esac
