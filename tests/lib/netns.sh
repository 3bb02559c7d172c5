# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# For tests that need addresses, routes or a name server of their own: the test
# starts itself again in a network and a mount namespace, where it is root.
# Sourced after tang.sh.  Nothing outside is changed, and nobody outside can
# be reached: there are loopback, and a link "net0" with
#
#   192.0.2.1, 2001:db8::1   this host, where servers can listen; its own
#                            addresses, so nobody is asked there
#   192.0.2.2, 2001:db8::2   a neighbour, who passes on what relay says
#   192.0.2.9, 2001:db8::9   neighbours that swallow whatever is sent to them
#
# shellcheck shell=bash

requires unshare nsenter ip

if [ -z "${NBDE_NETNS-}" ]; then
  # As root without a user namespace, which may be forbidden.
  namespaces=(--net --mount)
  unshare "${namespaces[@]}" true 2>/dev/null ||
    namespaces+=(--user --map-root-user)
  unshare "${namespaces[@]}" true 2> "$err" ||
    skip "no network namespaces: $(cat "$err")"
  NBDE_NETNS=1 exec unshare "${namespaces[@]}" "$0" "$@"
fi

# Commands of ip, one a line, without which the test cannot be made:
#   net [-6] COMMANDS
net ()
{
  ip "${@:1:$#-1}" -batch - <<< "${!#}" 2> "$err" ||
    skip "no network: $(cat "$err")"
}

net 'link set lo up
link add net0 type veth peer name peer0
link set net0 up
link set peer0 up
address add 192.0.2.1/24 dev net0
neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev net0'
net -6 'address add 2001:db8::1/64 dev net0 nodad
neighbour add 2001:db8::9 lladdr 02:00:00:00:00:09 dev net0'

# The neighbour is a network namespace at the other end of the link.
setsid unshare --net sleep 86400 </dev/null >/dev/null 2> "$err" &
neighbour=$!
groups+=("$neighbour")
has_moved ()
{
  [ -e "/proc/$neighbour/ns/net" ] &&
    ! [ "/proc/$neighbour/ns/net" -ef /proc/self/ns/net ]
}
wait_for 20 has_moved || skip "no second network namespace: $(cat "$err")"
net "link set peer0 netns $neighbour"
nsenter -t "$neighbour" -n ip -batch - 2> "$err" <<END ||
link set lo up
link set peer0 up
address add 192.0.2.2/24 dev peer0
address add 2001:db8::2/64 dev peer0 nodad
END
  skip "no neighbour: $(cat "$err")"

# Let the neighbour pass on what comes to a port of its own, to a server at the
# same port of ours:  relay PORT
relay ()
{
  local log=$tmp/relay-$1.log
  : > "$log"
  setsid nsenter -t "$neighbour" -n \
    socat -d -d "TCP6-LISTEN:$1,ipv6only=0,reuseaddr,fork" \
    "TCP:192.0.2.1:$1" </dev/null >/dev/null 2> "$log" &
  groups+=($!)
  wait_for 20 grep -q ' listening on ' "$log" || fail "no relay: $(cat "$log")"
}

# Let FILE take the place of a file that is there already, for this test only.
put_over ()
{
  mount --bind "$1" "$2" 2> "$err" || skip "$2: $(cat "$err")"
}

# How many connections came to a server that listens on [::] at an address of
# ours, which is given as it is written out:  connections_at NAME 'c000:0201'
connections_at ()
{
  local log=TANG_LOG_$1
  grep -c " accepting connection from .* on AF=10 \[[0-9a-f:]*:$2\]:" \
    "${!log}" || :
}
