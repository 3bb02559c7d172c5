# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Servers on loopback: a command that talks to each connection, started by
# socat.  Sourced by serve-tang.sh, the builders and the tests.
#
# shellcheck shell=bash

# Programs of tang are not in PATH; where they are depends on the system.
tang_program ()
{
  local dir
  for dir in /usr/libexec /usr/lib/tang /usr/lib/*-linux-gnu/tang; do
    if [ -x "$dir/$1" ]; then
      echo "$dir/$1"
      return 0
    fi
  done
  echo "$1 is not installed" >&2
  return 1
}

# The command that serves the keys of a folder, quoted for a shell.
tangd_command ()
{
  local tangd
  tangd=$(tang_program tangd) || return 1
  printf '%q %q' "$tangd" "$1"
}

# Make a folder with the keys of a Tang server, unless it is there.
make_tang_keys ()
{
  local keygen
  [ ! -d "$1" ] || return 0
  keygen=$(tang_program tangd-keygen) || return 1
  rm -rf "$1.new"
  mkdir "$1.new"
  # It complains if it may not give them to the user _tang.
  "$keygen" "$1.new" > "$1.log" 2>&1 || { cat "$1.log" >&2; return 1; }
  rm -f "$1.log"
  mv "$1.new" "$1"
}

# Start a server.
#
#   serve ADDRESS PORT LOG COMMAND
#
# ADDRESS is IPv4, or IPv6 in brackets, where [::] stands for all addresses of
# both.  COMMAND is run by a shell for each connection, which is its standard input
# and output; its standard error goes to LOG, as does a line of socat for each
# connection.  Returns when the server accepts connections.  Sets SERVER_PID,
# which is also its process group, SERVER_PORT and SERVER_URL.
serve ()
{
  local address=$1 port=$2 log=$3 deadline=$((SECONDS + 20)) pattern
  local listen="TCP-LISTEN:$2,bind=$1"

  case $address in
    '[::]') listen="TCP6-LISTEN:$port,ipv6only=0" ;;
    '['*) listen="TCP6-LISTEN:$port,bind=$address,ipv6only=1" ;;
  esac

  # The command is not written into the address, where socat would take
  # commas, colons and quotes of a path as its own.
  : > "$log"
  # shellcheck disable=SC2016
  SERVE_COMMAND=$4 setsid socat -d -d \
    "$listen,reuseaddr,fork,backlog=128" \
    'SYSTEM:eval $SERVE_COMMAND' </dev/null >/dev/null 2>> "$log" &
  SERVER_PID=$!

  pattern='^.* listening on AF=[0-9]* .*:\([0-9]*\)$'
  SERVER_PORT=
  while [ -z "$SERVER_PORT" ]; do
    SERVER_PORT=$(sed -n "s/$pattern/\1/p" "$log" | head -n 1)
    if [ -z "$SERVER_PORT" ]; then
      if ! kill -0 "$SERVER_PID" 2>/dev/null ||
         [ $SECONDS -ge $deadline ]; then
        echo "socat does not listen on $address:$port:" >&2
        cat "$log" >&2
        stop_server "$SERVER_PID"
        return 1
      fi
      pause
    fi
  done
  SERVER_URL=http://$address:$SERVER_PORT
}

# Stop a server and what serves its connections.
stop_server ()
{
  local deadline=$((SECONDS + 10))
  kill -- "-$1" 2>/dev/null || return 0
  while is_running "$1"; do
    [ $SECONDS -lt $deadline ] || kill -KILL -- "-$1" 2>/dev/null || :
    pause
  done
}

# Is there such a process?  One that has ended and that nobody has waited for
# yet does not count.
is_running ()
{
  local stat
  { read -r stat < "/proc/$1/stat"; } 2>/dev/null || return 1
  # The state follows the name, which is in parentheses.
  stat=${stat##*) }
  [ "${stat%% *}" != Z ]
}

# A short pause between two looks at something that is waited for.
pause ()
{
  sleep 0.02
}
