#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# No key passes the parent: none is in its memory or its arguments while its children
# have them, and no descriptor of it is inherited.

. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/fleet.sh"
requires_tang
requires jq python3

start_tang one
bound_to one
clevis_pass one.luks 1 one.key
guests_of a 4 one.luks list

# A command that says what it has, and waits.
cat > ./command <<'END'
#!/bin/bash
printf '%s ' "$@" > "arguments.$1"
echo "$(ls -l "/proc/$$/fd")" > "descriptors.$1"
touch "started.$1"
while [ ! -e go-on ]; do sleep 0.05; done
END
chmod +x command

exec 7< list
fleet_start keys list "${ask[@]}" --state st
wait "$fleet_pid" || fail 'keys'
fleet_start run list "${ask[@]}" --state st -P 4 -- ./command '{name}' '{keys}'
parent=$fleet_pid
all_have_started () { [ "$(find . -name 'started.*' | wc -l)" -eq 4 ]; }
wait_for 20 all_have_started || fail 'the commands do not start'

cat > look.py <<'END'
import sys
key = open(sys.argv[2], 'rb').read()
pid = sys.argv[1]
found = 0
with open('/proc/%s/maps' % pid) as maps, \
     open('/proc/%s/mem' % pid, 'rb', 0) as mem:
    for line in maps:
        bounds, perms = line.split()[:2]
        if 'r' not in perms or 'vvar' in line or 'vsyscall' in line:
            continue
        start, end = (int(n, 16) for n in bounds.split('-'))
        try:
            mem.seek(start)
            found += mem.read(end - start).count(key)
        except (OSError, OverflowError, ValueError):
            pass
sys.exit(found)
END
status=0
python3 look.py "$parent" one.key || status=$?
assert_equal 0 "$status" 'keys in the memory of the parent'
! tr '\0' '\n' < "/proc/$parent/cmdline" | grep -qF -f one.key ||
  fail 'a key in the arguments of the parent'
! grep -qF -f one.key arguments.* || fail 'a key in the arguments of a command'

# Looking finds something where there is something.
python3 -c 'import sys, time
key = open("one.key", "rb").read()
open("ready", "w")
time.sleep(60)' &
planted=$!
wait_for 10 [ -e ready ] || fail 'nothing planted'
! python3 look.py "$planted" one.key || fail 'looking does not find a key'
kill "$planted"

touch go-on
wait "$fleet_pid" || fail 'run'

# A command has no file of the fleet open, and no pipe but its output, its errors and
# the one to ls.
for file in descriptors.a-*; do
  ! grep -F -e "$tmp/st/" -e "$tmp/list" "$file" >&2 || fail "open: $file"
  assert_equal 3 "$(grep -o 'pipe:[^ ]*' "$file" | sort -u | wc -l)" "pipes: $file"
  grep -q 'memfd:' "$file" || fail "no key: $file"
done
