#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Keys without an appliance: whatever the host can do, it does where no appliance
# could be launched, and launches none.  Where only the appliance knows what is on
# a disk, --appliance=never is an error that says why.

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires jq python3 qemu-img qemu-nbd

start_tang one
bound_piece one.luks tang "$(tang_config one)"
bound_piece two.luks tang "$(tang_config one)"
clevis_pass one.luks 1 one.key
clevis_pass two.luks 1 two.key
disk_of disk.raw one.luks two.luks
qemu-img convert -f raw -O qcow2 disk.raw disk.qcow2
qemu-img create -q -f qcow2 -b disk.qcow2 -F qcow2 disk.overlay
{ cat one.key; echo; cat two.key; } > expected

# Whatever would launch an appliance is called in vain, which is seen.
mkdir bin appliance cache
for program in qemu-system-x86_64 qemu-kvm supermin; do
  # shellcheck disable=SC2016
  printf '#!/bin/bash\necho "$0 $*" >> %q\nexit 1\n' "$tmp/calls" \
    > bin/$program
done
chmod +x bin/*
# It is said to be here.
for file in README.fixed kernel initrd root; do echo > appliance/$file; done
: > calls
chmod a+rw calls
export PATH=$tmp/bin:$PATH LIBGUESTFS_PATH=$tmp/appliance \
  LIBGUESTFS_CACHEDIR=$tmp/cache LIBGUESTFS_HV=$tmp/bin/qemu-system-x86_64
# With this variable it would be asked whether KVM works.
unset LIBGUESTFS_BACKEND_SETTINGS

nothing_called ()
{
  [ ! -s calls ] || fail "called: $(head -n 3 calls)"
}

nbde --format=raw -a disk.raw --inspect
assert_status 1
assert_one_error 'the appliance did not start'
assert_fails nothing_called
: > calls

# All that the host does, of a disk that is given by these options.
works ()
{
  nbde "$@" --list
  assert_status 0
  assert_stdout_has '/dev/sda2: LUKS2'

  nbde "$@" --tang-allow 127.0.0.1 --list --check --output-format=json
  assert_status 0
  jq -e '.looked_from == "host" and .reason == null and
    (.devices | map (.state) == ["recovered", "recovered"]) and
    (.timings.steps | has ("launch") | not)' "$out" > /dev/null ||
    fail 'not as it should be'

  nbde "$@" --tang-allow 127.0.0.1 --preflight
  assert_status 0
  assert_stdout_has "$TANG_URL_one"

  nbde "$@" --tang-allow 127.0.0.1 --output-keys keys/list
  assert_status 0
  assert_same_file expected keys/list
  rm keys/list

  nbde "$@" --tang-allow 127.0.0.1 --run -- cat '{stdin}'
  assert_status 0
  assert_same_file expected "$out"

  nbde "$@" --tang-allow 127.0.0.1 --export-requests keys/requests
  assert_status 0
  rm keys/requests*
  nothing_called
}
mkdir keys

works --format=raw -a disk.raw
works -a disk.raw
works --appliance=never -a disk.qcow2
works --format=qcow2 -a disk.overlay

# The disks of a domain.
disk ()
{
  echo "<disk type='file' device='disk'><driver name='qemu' type='$1'/>"
  echo "<source file='$tmp/$2'/><target dev='$3' bus='virtio'/></disk>"
}
{
  echo "<node><domain type='test'><name>guest</name><memory>65536</memory>"
  echo '<os><type>hvm</type></os><devices>'
  disk qcow2 disk.overlay vda
  echo '</devices></domain></node>'
} > node.xml
works -c "test://$tmp/node.xml" -d guest

# What is done in the appliance and nowhere else.
refused ()
{
  nbde --appliance=never -a disk.raw "$@"
  assert_status 1
  assert_no_stdout
  assert_stderr_has "option --appliance=never cannot be combined with $1"
  assert_stderr_has "Try 'virt-nbde-unlock --help'"
}
mkdir mnt
refused --inspect --check
refused --mount mnt
nbde --machine-readable
if grep -qx exchange-appliance "$out"; then
  refused --exchange=appliance --inspect
fi

# What the host does not know.

#   unknown DISK REASON
unknown ()
{
  nbde --appliance=never --format=raw -a "$1" --tang-allow 127.0.0.1 --list \
    --check --output-keys keys/none
  assert_status 1
  assert_no_stdout
  assert_one_error \
    "the appliance is needed, which --appliance=never forbids: $2"
  assert_stderr_has 'hint: With --appliance=auto it is launched'
  assert_no_file keys/none
  nothing_called
}

#   write DISK OFFSET BYTES
write ()
{
  # shellcheck disable=SC2059
  printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# The second partition is something else.
start=$((4 * mib))
cp --sparse=always disk.raw bcache.raw
write bcache.raw $((start + 4096 + 24)) \
  '\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81'
write bcache.raw $start '\0'
unknown bcache.raw '/dev/sda2: .*bcache'

cp --sparse=always disk.raw lvm.raw
write lvm.raw $start 'nothing\0'
write lvm.raw $((start + 512)) 'LABELONE'
unknown lvm.raw '/dev/sda2: .*LVM label'

truncate -s 1M bsd.raw
write bsd.raw 512 '\x57\x45\x56\x82'
unknown bsd.raw '/dev/sda: .*BSD'

# Members of RAID1 arrays, one on each partition:  array DISK OFFSET UUID
array ()
{
  python3 - "$@" <<'END' || fail "cannot make $1"
import struct, sys
disk, offset, uuid = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
block = bytearray(256 + 2 * 2)
for at, form, value in (
    (0, '<I', 0xa92b4efc), (4, '<I', 1), (16, '16s', uuid), (72, '<I', 1),
    (80, '<Q', 2048), (92, '<I', 2), (128, '<Q', 2048), (136, '<Q', 2048),
    (144, '<Q', 8), (200, '<Q', 1), (220, '<I', 2), (256, '<H', 0),
    (258, '<H', 0xffff)):
    struct.pack_into(form, block, at, value)
total = sum(struct.unpack('<65I', block))
struct.pack_into('<I', block, 216, (total & 0xffffffff) + (total >> 32))
with open(disk, 'r+b') as f:
    f.seek(offset + 4096)
    f.write(block)
END
}
cp --sparse=always disk.raw arrays.raw
write arrays.raw $mib '\0'
write arrays.raw $start '\0'
array arrays.raw $mib 'of the first  1'
array arrays.raw $start 'of the second 2'
unknown arrays.raw '/dev/sda1, /dev/sda2: more than one MD array'

# With --appliance=auto, this is why it is launched.
nbde --format=raw -a bsd.raw --list -v
assert_status 1
assert_stderr_has 'the appliance is launched: /dev/sda: a partition table of BSD'
assert_fails nothing_called
: > calls

# Nobody needs to be root, or to have KVM.
if [ "$(id -u)" -eq 0 ]; then
  requires setpriv
  cp "$VIRT_NBDE_UNLOCK" "$tmp/bin/tool"
  # Temporary files are to be in a folder that was made for the run.
  cat > nobody <<'END'
#!/bin/bash
chown 65534:65534 "$TMPDIR"
exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \
  "${0%/*}/bin/tool" "$@"
END
  chmod +x nobody
  chmod a+x "$tmp"
  chmod a+r disk.*
  chown 65534:65534 keys
  VIRT_NBDE_UNLOCK=$tmp/nobody
  works --format=raw -a disk.raw
  works --format=qcow2 -a disk.overlay
fi
