#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# LIBGUESTFS_BACKEND=libvirt, the default of some distributions: for root, qemu
# is started by a daemon and runs as a user who may read little.  The daemon is
# this test's own; whatever it keeps is in a mount namespace.
#
# needs: appliance

. "$(dirname "$0")/functions.sh"
. "$top_srcdir/tests/mount.sh"
requires_tang
requires_appliance
requires unshare setpriv libvirtd
get_guests part-lvm

unshare --mount true 2> "$err" || skip "no mount namespaces: $(cat "$err")"

# What root makes is not for everybody: so much is up to whoever calls the tool.
chmod 711 .
chmod 644 part-lvm.img
user=nobody
setpriv --reuid=nobody --clear-groups test -r "$PWD/part-lvm.img" || user=root

# A user who may read little may not be able to use KVM, but libvirt looks at its
# device before it believes what it knows of qemu.
kvm_group=$(id -g "$user")
[ ! -e /dev/kvm ] || kvm_group=$(stat -c %g /dev/kvm)
export LIBGUESTFS_BACKEND_SETTINGS=force_tcg

mkdir etc
cat > etc/qemu.conf <<END
user = "$user"
group = "+$kvm_group"
security_driver = "none"
stdio_handler = "file"
remember_owner = 0
cgroup_controllers = [ ]
END
cat > etc/libvirtd.conf <<END
unix_sock_dir = "$PWD/sockets"
auth_unix_ro = "none"
auth_unix_rw = "none"
END
mkdir -m 711 sockets
# The daemon wants its usual user, too, which another package makes.
cp /etc/passwd /etc/group .
id libvirt-qemu >/dev/null 2>&1 || id qemu >/dev/null 2>&1 || {
  echo 'libvirt-qemu:x:64055:64055::/nonexistent:/bin/false' >> passwd
  printf '%s:x:64055:\n' libvirt-qemu kvm >> group
}
# shellcheck disable=SC2016
setsid unshare --mount sh -c '
  set -e
  for folder in /run /var/lib /var/cache /var/log; do
    mount -t tmpfs -o mode=755 none $folder
  done
  mount --bind etc /etc/libvirt
  mount --bind passwd /etc/passwd
  mount --bind group /etc/group
  exec libvirtd --config /etc/libvirt/libvirtd.conf' \
  > libvirtd.log 2>&1 </dev/null &
libvirtd=$!
groups+=("$libvirtd")
answers ()
{
  is_running "$libvirtd" || fail "libvirtd: $(tail -n 5 libvirtd.log)"
  [ -S sockets/libvirt-sock ]
}
wait_for 30 answers || fail "libvirtd does not listen: $(cat libvirtd.log)"

export LIBGUESTFS_BACKEND="libvirt:qemu+unix:///system?socket=$PWD/sockets/libvirt-sock"
# libguestfs would have its socket where the daemon does not see it.
unset XDG_RUNTIME_DIR

# The process of qemu, which is no child of the tool.  The pattern does not
# match itself.
by_libvirt ()
{
  qemu=$(grep -lsa -e "$PWD/run-[^*]*overlay" /proc/[0-9]*/cmdline | head -n 1)
  qemu=${qemu//[^0-9]/}
  [ -n "$qemu" ]
}
not_by_libvirt ()
{
  ! by_libvirt
}

start_tang one
bind part-lvm root tang "$(tang_config one)"
clevis_key part-lvm root 1 expected
nbde --format=raw -a part-lvm.img --tang-allow 127.0.0.1 -i --output-keys keys
assert_status 0
assert_stdout_matches '^ +Hostname: +part-lvm\.example\.com$'
assert_same_file expected keys

# Killed, it leaves neither the mount nor qemu nor files.
run_mount --format=raw -a part-lvm.img --tang-allow 127.0.0.1
assert_status 0
assert_equal part-lvm.example.com "$(cat mnt/etc/hostname)" 'host name'
by_libvirt || fail 'where is qemu?'
assert_equal "$user" "$(stat -c %U "/proc/$qemu")" 'user of qemu'
kill -KILL "$(cat pid)"
wait_for 30 not_by_libvirt || fail 'qemu is left behind'
wait_for 30 is_not_mounted || fail 'the mount is left behind'
assert_no_leftovers

# What libvirt 9.0 does not take.
printf %s 'of a disk' > passphrase
luks_file disk.img 6 "$(uuid_of disk.img)" passphrase --type luks1 ||
  fail 'cannot make disk.img'
chmod 644 disk.img
nbde --format=raw -a disk.img --list -v
if [ "$status" -eq 1 ]; then
  assert_stderr_matches 'error: the appliance did not start: .* libvirt: ..*'
  assert_stderr_has 'With LIBGUESTFS_BACKEND=direct,'
else
  # It is not bound.
  assert_status 3
  assert_stdout_matches '^/dev/sda: LUKS1'
fi
