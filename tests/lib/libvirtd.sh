# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A libvirtd of a test's own, which runs qemu for libguestfs as a user who may read
# little.  Whatever it keeps is in a mount namespace.  Sourced after functions.sh,
# for root.
#
# shellcheck shell=bash

requires_libvirtd ()
{
  requires unshare setpriv libvirtd
  unshare --mount true 2> "$err" || skip "no mount namespaces: $(cat "$err")"
}

# Start it, and have libguestfs use it; sets libvirt_user, as which qemu runs:
#   start_libvirtd FILE      that is to be read by that user
start_libvirtd ()
{
  local kvm_group libvirtd file

  # What root makes is not for everybody: so much is up to whoever calls the
  # tool.
  chmod 711 .
  chmod 644 "$1"
  libvirt_user=nobody
  setpriv --reuid=nobody --clear-groups test -r "$PWD/$1" || libvirt_user=root

  # A user who may read little may not be able to use KVM, but libvirt looks at
  # its device before it believes what it knows of qemu.
  kvm_group=$(id -g "$libvirt_user")
  [ ! -e /dev/kvm ] || kvm_group=$(stat -c %g /dev/kvm)
  export LIBGUESTFS_BACKEND_SETTINGS=force_tcg

  # The folder that the daemon reads is there only where libvirt was once
  # installed as a whole: it gets an /etc that has it, and where all else leads to
  # the real one.
  mkdir real-etc etc etc/libvirt
  for file in /etc/* /etc/.[!.]*; do
    case ${file##*/} in
      libvirt | passwd | group | '*' | '.[!.]*') ;;
      *) ln -s "$PWD/real-etc/${file##*/}" etc/ ;;
    esac
  done
  cat > etc/libvirt/qemu.conf <<END
user = "$libvirt_user"
group = "+$kvm_group"
security_driver = "none"
stdio_handler = "file"
remember_owner = 0
cgroup_controllers = [ ]
END
  cat > etc/libvirt/libvirtd.conf <<END
unix_sock_dir = "$PWD/sockets"
auth_unix_ro = "none"
auth_unix_rw = "none"
END
  mkdir -m 711 sockets
  # The daemon wants its usual user, too, which another package makes.
  cp /etc/passwd /etc/group etc/
  id libvirt-qemu >/dev/null 2>&1 || id qemu >/dev/null 2>&1 || {
    echo 'libvirt-qemu:x:64055:64055::/nonexistent:/bin/false' >> etc/passwd
    printf '%s:x:64055:\n' libvirt-qemu kvm >> etc/group
  }
  # shellcheck disable=SC2016
  setsid unshare --mount sh -c '
    set -e
    for folder in /run /var/lib /var/cache /var/log; do
      mount -t tmpfs -o mode=755 none $folder
    done
    mount --rbind /etc real-etc
    mount --bind etc /etc
    exec libvirtd --config /etc/libvirt/libvirtd.conf' \
    > libvirtd.log 2>&1 </dev/null &
  libvirtd=$!
  groups+=("$libvirtd")
  wait_for 30 libvirtd_listens "$libvirtd" ||
    fail "libvirtd does not listen: $(cat libvirtd.log)"

  export LIBGUESTFS_BACKEND="libvirt:qemu+unix:///system?socket=$PWD/sockets/libvirt-sock"
  # libguestfs would have its socket where the daemon does not see it.
  unset XDG_RUNTIME_DIR
}

libvirtd_listens ()
{
  is_running "$1" || fail "libvirtd: $(tail -n 5 libvirtd.log)"
  [ -S sockets/libvirt-sock ]
}
