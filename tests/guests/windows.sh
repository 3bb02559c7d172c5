# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A guest that inspection takes for Windows: an NTFS partition with a registry
# and the files that it looks for.  Sourced by tests, after build.sh.
#
# shellcheck shell=bash

# hivexregedit makes no key without its parent: name all of them.
with_parents ()
{
  awk '/^\[/ {
         n = split(substr($0, 3, length($0) - 3), part, "\\")
         key = ""
         for (i = 1; i < n; i++) {
           key = key "\\" part[i]
           if (!seen[key]++) print "[" key "]\n"
         }
       }
       { print }'
}

#   fill_hive FILE, with the keys of a .reg file on standard input
fill_hive ()
{
  python3 "$top_srcdir/tests/guests/empty-hive.py" "$1" &&
    { printf 'Windows Registry Editor Version 5.00\n\n'
      with_parents; } > "$1.reg" &&
    hivexregedit --merge "$1" "$1.reg" &&
    rm "$1.reg"
}

# Make the disk, and add to the guestfish script (see fish_start) what fills
# it:  windows_disk IMAGE
windows_disk ()
{
  local image=$1 dir=$1.files config
  truncate -s 40M "$image" &&
    sfdisk --quiet --no-reread --no-tell-kernel "$image" <<END || return 1
label: dos
label-id: 0x4e424445
start=1MiB size=36MiB type=7
END
  mkdir "$dir" || return 1
  # A drive letter is for the signature of the disk and the partition's offset.
  fill_hive "$dir/SYSTEM" <<'END' || return 1
[\Select]
"Current"=dword:00000001
"Default"=dword:00000001

[\ControlSet001\Services\Tcpip\Parameters]
"Hostname"="winguest"

[\MountedDevices]
"\\DosDevices\\C:"=hex(3):45,44,42,4e,00,00,10,00,00,00,00,00
END
  fill_hive "$dir/SOFTWARE" <<'END' || return 1
[\Microsoft\Windows NT\CurrentVersion]
"ProductName"="Windows Server 2016 <Standard> & more"
"CurrentVersion"="6.3"
"CurrentMajorVersionNumber"=dword:0000000a
"CurrentMinorVersionNumber"=dword:00000000
"InstallationType"="Server"

[\Microsoft\Windows\CurrentVersion\Uninstall\Editor]
"DisplayName"="Some Editor"
"DisplayVersion"="1.2.3"
"InstallLocation"="C:\\Program Files\\Editor"
"Publisher"="Nobody & Sons"
"URLInfoAbout"="https://editor.example/?a=1&b=2"
"Comments"="Edits <text>"
END
  python3 "$top_srcdir/tests/guests/empty-hive.py" --program "$dir/cmd.exe" ||
    return 1

  fish_drive "$image"
  config=/Windows/System32/config
  fish "mkfs ntfs ${device}1 label:System"
  fish "mount ${device}1 /"
  fish "mkdir-p $config"
  fish "mkdir '/Program Files'"
  fish "upload $dir/SYSTEM $config/SYSTEM"
  fish "upload $dir/SOFTWARE $config/SOFTWARE"
  fish "upload $dir/cmd.exe /Windows/System32/cmd.exe"
  fish "umount-all"
}
