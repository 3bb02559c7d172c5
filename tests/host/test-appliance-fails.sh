#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# An appliance that does not start: an error that says so, exit status 1,
# nothing left behind.

. "$(dirname "$0")/../lib/functions.sh"
requires guestfish
choose_appliance

truncate -s 1M disk.img

# A qemu that ends at once when it is to boot something.
cat > hv <<'END'
#!/bin/bash
case " $* " in
  *' -initrd '*) echo 'broken on purpose' >&2; exit 1 ;;
esac
exec qemu-system-x86_64 "$@"
END
chmod +x hv

# Apart, since what libguestfs finds out about a qemu is kept.
mkdir cache
LIBGUESTFS_CACHEDIR=$tmp/cache LIBGUESTFS_HV=$tmp/hv \
  nbde --format=raw -a disk.img -i --output-keys keys
assert_status 1
assert_no_stdout
# What qemu said is part of it.
assert_one_error 'the appliance did not start: .*: broken on purpose \('
assert_no_file keys
assert_equal '' "$(find . -name '.virt-nbde*')" 'files of keys'

# No appliance at all.
LIBGUESTFS_PATH=/nonexistent nbde --format=raw -a disk.img --list --appliance=always
assert_status 1
assert_one_error 'the appliance did not start'

# What libvirt says is told, and that one can do without it.
LIBGUESTFS_BACKEND='libvirt:qemu+unix:///system?socket=/nonexistent/socket' \
  nbde --format=raw -a disk.img --list -v --appliance=always
assert_status 1
assert_stderr_matches \
  'did not start: .*/nonexistent/socket.: No such file or directory \('
assert_stderr_has 'With LIBGUESTFS_BACKEND=direct,'

# The same for programs.
LIBGUESTFS_PATH=/nonexistent nbde --format=raw -a disk.img --list --appliance=always \
  --machine-readable
assert_status 1
requires jq
jq -e -s 'map(select(.type == "error")) | length == 1' "$out" >/dev/null ||
  fail 'expected one JSON object of type error'
jq -e -s 'all(has("message") and has("timestamp"))' "$out" >/dev/null ||
  fail 'not every object has message and timestamp'
