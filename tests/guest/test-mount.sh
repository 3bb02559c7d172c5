#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# --mount: the guest as guestfish has it, although its fstab calls its LUKS
# devices by names that only its crypttab explains, one by UUID, one by a
# partition; read-only; and every way in which a mount can end leaves nothing
# behind.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/mount.sh"
requires_tang
requires_appliance
get_guests two

start_tang one
for name in root home; do
  bind two "$name" tang "$(tang_config one)"
done

# The reference changes the names, and says what is there.
open_two ()
{
  local name
  for name in root home; do
    echo "cryptsetup-open /dev/sda$1 $name"
    cat "$guests/two/passphrase"
    echo
    set -- $(($1 + 1))
  done
}
{
  echo run
  open_two 2
  echo 'mount /dev/mapper/root /'
  echo 'chmod 0755 /'
  printf 'write /etc/fstab "%s\\n%s\\n%s\\n"\n' \
    '/dev/mapper/sda2_crypt / ext4 errors=remount-ro 0 1' \
    "UUID=$(uuid_of two-boot) /boot ext4 defaults 0 2" \
    '/dev/mapper/its-home_1 /home ext4 defaults 0 2'
  printf 'write /etc/crypttab "%s\\n%s\\n"\n' \
    "sda2_crypt UUID=$(luks_uuid two root) none luks" \
    'its-home_1  /dev/vda3  none luks'
  echo 'mount-ro /dev/sda1 /boot'
  echo 'mount-ro /dev/mapper/home /home'
  echo 'tar-out / expected.tar'
} | guestfish --format=raw -a two.img --keys-from-stdin ||
  fail 'guestfish does not open the guest'
mkdir expected
tar -C expected -xpf expected.tar --numeric-owner
sha256sum two.img > sum

mount_two ()
{
  mount_guest --format=raw -a two.img --tang-allow 127.0.0.1 "$@"
}

# Interrupted before it is ready, or killed: the process that was started is
# not the one that has the appliance.
started ()
{
  nbde_start --mount mnt --pid-file pid --format=raw -a two.img
  wait_for 60 find_qemu || fail 'no appliance was started'
  [ "$(ps -o ppid= "$qemu" | tr -d ' ')" != "$nbde_pid" ] ||
    fail 'it did not fork'
}
for signal in INT TERM; do
  started
  # ^C is for all of the group.
  [ $signal = INT ] && target=-$nbde_pid || target=$nbde_pid
  kill -$signal -- "$target"
  nbde_wait 20
  assert_equal $((128 + $(kill -l $signal))) "$status" 'exit status'
  assert_one_error interrupted
  assert_no_leftovers
  assert_no_file pid
done
started
kill -KILL "$nbde_pid"
# bash reports that a child was killed.
nbde_wait 20 2>/dev/null
assert_equal 137 "$status" 'exit status'
assert_no_leftovers

# In the background, together with other actions.
fuse_option=noatime
# Not everybody may let others in.
if [ "$(id -u)" -eq 0 ] || grep -qsx user_allow_other /etc/fuse.conf; then
  fuse_option=allow_other
fi
mount_two --list --check --inspect -o $fuse_option
assert_status 0
assert_stdout_matches '^/dev/sda2: LUKS2'
assert_stdout_has 'Operating system on /dev/mapper/luks-'
# The names of crypttab are those of what was opened.
for place in "/ root 70" "/home home 46"; do
  read -r mountpoint name size <<< "$place"
  assert_stdout_matches \
    "^ +$mountpoint +/dev/mapper/luks-$(luks_uuid two "$name") +ext4 +$size MiB\$"
done
assert_stderr_matches '^\[ *[0-9.]+\] Mounting the guest'
assert_equal "$mount_pid" "$(cat pid)" 'file with the process ID'

# What it is.
grep -F " $directory " /proc/self/mountinfo > options
for option in nosuid nodev $fuse_option ' fuse virt-nbde-unlock '; do
  grep -qF -e "$option" options || fail "the mount is not $option"
done
describe expected > expected.list
describe mnt > list
assert_same_file expected.list list
for file in etc/fstab boot/config-two home/lost+found; do
  [ -e "mnt/$file" ] || fail "there is no $file"
done

# Neither to be written,
for command in 'touch mnt/new' 'rm mnt/etc/hosts' 'mkdir mnt/home/new' \
               'mv mnt/boot/config-two mnt/boot/x'; do
  # shellcheck disable=SC2086
  run_command $command
  [ "$status" -ne 0 ] || fail "it can be written: $command"
  assert_stderr_has 'Read-only'
done
# nor does it hold a terminal, the working directory or a pipe of ours.
for fd in 0 1 2; do
  assert_equal /dev/null "$(readlink "/proc/$mount_pid/fd/$fd")" 'its stream'
done
assert_equal / "$(readlink "/proc/$mount_pid/cwd")" 'its working directory'

fusermount -u "$directory" || fail 'it cannot be unmounted'
assert_gone 30
sha256sum --quiet -c sum || fail 'the disk was changed'

# By guestunmount, which also looks at what is mounted; chosen by hand.
home=/dev/mapper/luks-$(luks_uuid two home)
mount_two -m "$home" -m /dev/sda1:/lost+found:noatime:ext4 -q
assert_status 0
assert_no_stdout
[ -e mnt/lost+found/config-two ] && [ ! -e mnt/etc ] ||
  fail "-m: what is mounted is $(ls mnt)"
guestunmount "$directory" || fail 'guestunmount fails'
assert_gone 30

# By a signal, while it is in use.
mount_two -q
(cd mnt/etc && exec sleep 1000) &
user=$!
is_inside ()
{
  [ "/proc/$user/cwd" -ef mnt/etc ]
}
wait_for 10 is_inside || fail 'nobody is in the mount'
kill -TERM "$mount_pid"
assert_gone 30
kill $user
wait $user 2>/dev/null || :

# It was killed, while it was in use.
mount_two -q
exec 7< mnt/etc/fstab
kill -KILL "$mount_pid"
assert_gone 30
exec 7<&-

# The appliance was killed.
mount_two -q
kill -KILL "$qemu"
assert_gone 30

sha256sum --quiet -c sum || fail 'the disk was changed'
