#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Where /dev/kvm is there and KVM does not work, the tool finds that out, warns once
# and emulates the appliance; where the user has said what to do, it does that.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_appliance
unset LIBGUESTFS_BACKEND_SETTINGS
[ -r /dev/kvm ] && [ -w /dev/kvm ] || skip 'no /dev/kvm, so nobody takes it'

# A qemu for which KVM fails, also on a machine where it works.
cat > hv <<'END'
#!/bin/bash
case " $* " in
  *' accel=kvm'*' -initrd '* | *' -machine accel=kvm -cpu '* | \
  *' -initrd '*' accel=kvm'* | *',accel=kvm'*' -initrd '* | \
  *' -initrd '*',accel=kvm'*)
    echo 'qemu-system: KVM fails on purpose' >&2
    exit 1 ;;
esac
exec qemu-system-x86_64 "$@"
END
chmod +x hv
# Apart, since what libguestfs finds out about a qemu is kept.
mkdir cache
export LIBGUESTFS_CACHEDIR=$tmp/cache LIBGUESTFS_HV=$tmp/hv
truncate -s 1M disk.img

nbde --format=raw -a disk.img --list --appliance=always
assert_status 3
assert_stderr_has 'error: no LUKS device was found'
assert_equal 1 "$(grep -c '^virt-nbde-unlock: warning: KVM does not work' "$err")" \
  'warnings'

# Said by the user, nothing is tried, and the error has what qemu said.
LIBGUESTFS_BACKEND_SETTINGS='' nbde --format=raw -a disk.img --list --appliance=always
assert_status 1
assert_stderr_lacks 'KVM does not work'
assert_one_error \
  'the appliance did not start: .*: qemu-system: KVM fails on purpose \('
