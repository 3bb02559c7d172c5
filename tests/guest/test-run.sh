#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# --run: a command gets the keys in sealed files in memory, by --key or on its
# standard input; its exit status is passed on; while it runs, no key is in a
# file, an argument or the environment.  No appliance is launched but by the
# command.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/json.sh"
requires_tang
requires_appliance
requires virt-cat virt-customize virt-inspector

start_tang one
get_guests part-lvm
bind part-lvm root tang "$(tang_config one)"
clevis_key part-lvm root 1 expected
uuid=$(luks_uuid part-lvm root)
sha256sum part-lvm.img > sum
unlock=(--format=raw -a part-lvm.img --tang-allow 127.0.0.1 --run --)

# A qemu that notes each appliance.
# shellcheck disable=SC2016
wrap_qemu qemu 'echo appliance >> "$LAUNCHES"'
export LIBGUESTFS_HV=$PWD/qemu LAUNCHES=$PWD/launches

# So many were launched since this was called last:  launched NUMBER
launched ()
{
  assert_equal "$1" "$(wc -l < "$LAUNCHES")" 'appliances'
  : > "$LAUNCHES"
}
: > "$LAUNCHES"

# What a command gets, and where the key is not meanwhile.
cat > look.sh <<'EOF'
[ "$1" = --key ] && [ "${2%%:*}" = "$3" ] && [ $# -eq 4 ] || exit 90
file=${2#*:file:}
case $file in /proc/self/fd/*) ;; *) exit 91 ;; esac
cmp "$file" "$4" || exit 92
cmp "$file" "$4" || exit 93
if echo more 2>/dev/null >> "$file"; then exit 94; fi
if : > "$file"; then exit 95; fi
key=$(cat "$4")
hide=$(printf %s "$4")
for f in /proc/[0-9]*/cmdline /proc/[0-9]*/environ; do
  ! grep -qaF -e "$key" "$f" || exit 96
done 2>/dev/null
found=$(find . "$TMPDIR" /var/tmp -xdev -type f -size -2M ! -name "$hide" \
          -exec grep -laF -e "$key" {} + 2>/dev/null)
[ -z "$found" ] || { echo "the key is in $found"; exit 97; }
# The search finds what is there.
cp "$4" planted
grep -laF -e "$key" planted >/dev/null || exit 98
rm planted
# The appliance is closed; others are those of other tests.
for pid in $(pgrep qemu); do
  ! grep -qzxF -e "NBDE_TEST_RUN=$NBDE_TEST_RUN" "/proc/$pid/environ" ||
    exit 99
done 2>/dev/null
echo looked
echo "temporary files: $TMPDIR."
exit 3
EOF
mkdir here
cd here
nbde --format=raw -a ../part-lvm.img --tang-allow 127.0.0.1 --run -- \
  bash ../look.sh {keys} "$uuid" ../expected
cd ..
assert_status 3
assert_stdout_has looked
assert_stdout_has "temporary files: $run_tmp."
launched 0

# With it the keys are the same.
nbde --appliance=always "${unlock[@]}" cmp "$PWD/expected" /dev/fd/0 {stdin}
assert_status 0
launched 1

# The real consumers, one after the other with the same files: a reader of
# /proc/self/fd begins at the start.
cp part-lvm.img copy.img
cat > tools.sh <<'EOF'
set -e
disk='--format=raw -a part-lvm.img'
virt-cat $disk "$@" /etc/hostname
guestfish --ro $disk "$@" -i df-h
virt-customize --quiet --format raw -a copy.img "$@" --hostname copy.example.com
guestfish --ro --format=raw -a copy.img "$@" -i cat /etc/hostname
EOF
nbde "${unlock[@]}" bash tools.sh
assert_status 0
assert_equal part-lvm.example.com "$(head -n 1 "$out")" 'of virt-cat'
assert_stdout_matches '^/dev/.*% +/sysroot'
assert_stdout_matches '^copy\.example\.com$'
rm copy.img
# One for each of the tools.
launched 4

# On standard input.
nbde "${unlock[@]}" virt-inspector --format=raw -a part-lvm.img \
  --keys-from-stdin --no-applications --no-icon {stdin}
assert_status 0
assert_stdout_has '<hostname>part-lvm.example.com</hostname>'
launched 1
sha256sum --quiet -c sum || fail 'the disk was changed'

# With the standard files closed, no key is one of them; {keys} may be said
# twice.
cat > closed.sh <<EOF
#!/bin/bash
exec ${VIRT_NBDE_UNLOCK@Q} "\$@" <&- >&-
EOF
chmod +x closed.sh
cat > numbers.sh <<'EOF'
for word; do
  case $word in
    *:file:/proc/self/fd/[0-2]) exit 90 ;;
    *:file:*) cmp "${word#*:file:}" expected || exit 91; n=$((n + 1)) ;;
  esac
done >&2
[ "$n" = 2 ]
EOF
VIRT_NBDE_UNLOCK=$PWD/closed.sh \
  nbde "${unlock[@]}" bash numbers.sh {keys} -- {keys}
assert_status 0

# No command, none that there is, one that a signal ends, a device that stays
# closed.
nbde "${unlock[@]}" ./no-such-command
assert_status 127
assert_one_error './no-such-command: No such file'
# It looks like a program to access(2), and not to execve(2).
printf '#!/no/such/interpreter\n' > no-program
chmod +x no-program
nbde "${unlock[@]}" ./no-program
assert_status 127
assert_one_error './no-program: No such file'
nbde --output-format=json "${unlock[@]}" sh -c 'kill -TERM $$'
assert_status 143
status=0
assert_valid run
assert_json run '.actions == ["run"] and .devices[0].state == "opened"'
end_server one
nbde --format=raw -a part-lvm.img --tang-allow 127.0.0.1 --tang-retries 0 \
  --run -- sh -c 'echo it was run'
assert_status 4
assert_stdout_lacks 'it was run'
launched 0
