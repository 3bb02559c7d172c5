# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# For tests that look for secrets in the memory of processes.  Sourced after
# functions.sh.
#
# shellcheck shell=bash

requires python3 jq
[ "$(id -u)" -eq 0 ] || skip "only root may look into the vault"

# What is looked for: lines of a name and hexadecimal digits.
secrets=$tmp/secrets
: > "$secrets"

hex ()
{
  od -An -v -tx1 | tr -d ' \n'
}

# Add a secret that is on standard input, as it is, or in base64url:
#   add_secret NAME
#   add_base64_secret NAME
add_secret ()
{
  local digits
  digits=$(hex)
  [ "${#digits}" -ge 32 ] || fail "the secret $1 is too short: $digits"
  echo "$1 $digits" >> "$secrets"
}
add_base64_secret ()
{
  jose b64 dec -i - | add_secret "$1"
}

# The passphrase of a keyslot and the volume key:
#   add_device_secrets NAME LUKS-FILE KEYSLOT
add_device_secrets ()
{
  clevis_pass "$2" "$3" "$1.pass"
  add_secret "$1-passphrase" < "$1.pass"
  cryptsetup luksDump -q --dump-volume-key --volume-key-file "$1.vk" \
    --key-file "$1.pass" "$2" > dump.log 2>&1 ||
    fail "no volume key of $2: $(cat dump.log)"
  add_secret "$1-volume-key" < "$1.vk"
}

# The content key of a JWE in the compact form with a tang pin, and what it is
# derived from (RFC 7518, section 4.6):  add_tang_secrets NAME JWE-FILE KEY-FOLDER
add_tang_secrets ()
{
  local key header
  header=$(cut -d . -f 1 "$2" | jose b64 dec -i -)
  jq -c .epk <<< "$header" > epk.jwk
  for key in "$3"/*.jwk "$3"/.*.jwk; do
    [ "$(jq -r '.alg' "$key" 2>/dev/null)" = ECMR ] || continue
    jose jwk exc -l "$key" -r epk.jwk -o shared.jwk 2>/dev/null || continue
    python3 - shared.jwk <<'END' | add_secret "$1-cek"
import base64, hashlib, json, struct, sys
x = json.load(open(sys.argv[1]))["x"]
z = base64.urlsafe_b64decode(x + "=" * (-len(x) % 4))
enc = b"A256GCM"
info = struct.pack(">I", len(enc)) + enc + struct.pack(">III", 0, 0, 256)
sys.stdout.buffer.write(hashlib.sha256(struct.pack(">I", 1) + z + info).digest())
END
    jq -j .x shared.jwk | add_base64_secret "$1-shared"
    jq -j .d "$key" | add_base64_secret "$1-server"
    return
  done
  fail "no key of $1 in $3"
}

# The secrets that are found in processes, a line for each (see scan-memory.py):
#   scan PID...
scan ()
{
  "$top_srcdir/tests/lib/scan-memory.py" "$secrets" "$@" > found ||
    fail "memory cannot be scanned"
}

# Nothing outside of locked memory.
assert_only_locked ()
{
  ! grep -v ' locked ' found > leaks ||
    fail "$1: in ordinary memory: $(cat leaks)"
}

# Nothing at all.
assert_nothing_found ()
{
  [ ! -s found ] || fail "$1: in memory: $(cat found)"
}

assert_found ()
{
  grep -qE "$1" found || fail "not found: $1, but $(cat found)"
}

# The same for all processes of the last run of the tool; not for the appliance,
# which has the volume keys of the devices that are open in it.
scan_run ()
{
  local process processes=()
  for process in $(run_processes); do
    case $(cat "/proc/$process/comm" 2>/dev/null) in
      '' | qemu-*) ;;
      *) processes+=("$process") ;;
    esac
  done
  [ "${#processes[@]}" -ge 2 ] || fail 'where is the janitor?'
  scan "${processes[@]}"
}

# Only the vault has secrets (see find_vault):  assert_only_in_vault WHEN
assert_only_in_vault ()
{
  ! grep -v "^$vault " found > leaks ||
    fail "$1: in another process: $(cat leaks)"
}
