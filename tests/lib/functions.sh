# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What the shell tests have in common.  A test begins with
#
#   . "$(dirname "$0")/../lib/functions.sh"
#
# and is then in a folder of its own, which run-test removes.  Started by
# itself, in a tree that was built, it starts itself again by run-test.  The
# first thing that is not as it should be ends the test, which says what was
# expected and what came.
#
# Nor does a test go on when a command fails whose status nobody looks at, such
# as one that sets something up: what follows might find nothing because there
# is nothing.  bash does not see that in a function whose own status is looked at
# (f || fail, if f, ! f, wait_for 9 f): such a function tests each command itself.
# A command that may fail says so (|| :), and has its status kept by run_command.
#
# VIRT_NBDE_UNLOCK   the program to test (the one that was just built)
# NBDE_OPTIONS       options that are given in all calls of it, before all others
# NBDE_TEST_CACHE    where guests are kept between runs
#
# shellcheck shell=bash

set -euE -o pipefail
shopt -s inherit_errexit

if [ -z "${top_builddir-}" ]; then
  top_srcdir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
  for top_builddir in "$top_srcdir" "$top_srcdir"/build{,/test} \
                      "$top_srcdir"/build/*; do
    [ ! -x "$top_builddir/nbde/virt-nbde-unlock" ] || break
  done
  export top_srcdir top_builddir
  exec "$top_srcdir/tests/run-test" "$0" "$@"
fi

. "$top_srcdir/tests/guests/appliance.sh"
. "$top_srcdir/tests/guests/servers.sh"
. "$top_srcdir/tests/guests/build.sh"

VIRT_NBDE_UNLOCK=${VIRT_NBDE_UNLOCK:-$top_builddir/nbde/virt-nbde-unlock}
tmp=$TMPDIR

# Ending.

last_command='nothing was run'
out=$tmp/stdout
err=$tmp/stderr
status=0
: > "$out"
: > "$err"

# The test has failed.  Said in a subshell, of which nobody may ask the status
# (an argument "$(luks_uuid ...)"), it counts when the test ends.
fail ()
{
  local first=0
  [ "${FUNCNAME[1]-}" != untested ] || first=1
  : > "$tmp/failed"
  {
    printf 'FAILED: %s\n' "$*"
    printf '%s\n' \
      "  in line ${BASH_LINENO[*]:first:${#BASH_LINENO[@]}-1-first}"
    printf '  last run: %s\n  exit status: %s\n' "$last_command" "$status"
    echo '  standard output, its end:'
    tail -n 60 "$out" | sed 's/^/    /'
    echo '  standard error, its end:'
    tail -n 60 "$err" | sed 's/^/    /'
  } >&2
  exit 1
}

# A command has failed, and nobody looks at its status.  What happens in a
# subshell is told by the shell that waits for it.
untested ()
{
  [ "$BASH_SUBSHELL" -gt 0 ] || fail "this failed with status $1: $2"
}
trap 'untested $? "$BASH_COMMAND"' ERR

skip ()
{
  echo "skipped: $*"
  exit 77
}

# Skip the test if a program is missing.
requires ()
{
  local program
  for program; do
    command -v "$program" >/dev/null || skip "no $program"
  done
}

requires_tang ()
{
  requires clevis cryptsetup jose socat
  tang_program tangd >/dev/null 2>&1 || skip 'no tangd'
}

requires_appliance ()
{
  requires guestfish qemu-img
  choose_appliance
}

[ -x "$VIRT_NBDE_UNLOCK" ] || fail "$VIRT_NBDE_UNLOCK was not built"

if [ -n "${NBDE_OPTIONS-}" ]; then
  mkdir -p "$tmp/with-options"
  cat > "$tmp/with-options/virt-nbde-unlock" <<END
#!/bin/bash
exec ${VIRT_NBDE_UNLOCK@Q} $NBDE_OPTIONS "\$@"
END
  VIRT_NBDE_UNLOCK=$tmp/with-options/virt-nbde-unlock
  chmod +x "$VIRT_NBDE_UNLOCK"
fi

# An appliance that has clevis: a copy of libguestfs' list of packages and files,
# with clevis.  Sets extended, the folder that is to be LIBGUESTFS_PATH and
# LIBGUESTFS_CACHEDIR; with the same files the appliance that was built is used
# again.
extended_appliance ()
{
  local from new=$tmp/supermin.d
  for from in /usr/lib/*/guestfs /usr/lib64/guestfs /usr/lib/guestfs; do
    [ ! -d "$from/supermin.d" ] || break
  done
  [ -d "$from/supermin.d" ] || return 1
  extended=$(test_cache)/appliance-with-clevis
  mkdir -p "$extended" &&
    rm -rf "$new" &&
    cp -a "$from/supermin.d" "$new" &&
    printf '%s\n' clevis clevis-luks curl jose luksmeta cryptsetup-bin \
      > "$new/zz-clevis-packages" || return 1
  if ! diff -rq "$new" "$extended/supermin.d" >/dev/null 2>&1; then
    rm -rf "$extended/supermin.d" &&
      mv "$new" "$extended/supermin.d"
  fi
}

# Where an appliance with a network finds this host: qemu's user network, whose
# range libguestfs has chosen.
# shellcheck disable=SC2034
appliance_host=169.254.2.2

# Process groups to be ended with the test.
groups=()

# The process group of a process:  process_group PID
process_group ()
{
  # After the name, which is in parentheses: state, parent, group.
  sed 's/^.*) //' "/proc/$1/stat" | cut -d ' ' -f 3
}

end_test ()
{
  local code=$? group
  trap - EXIT ERR
  set +e
  for group in ${groups[@]+"${groups[@]}"}; do
    stop_server "$group"
  done
  if [ $code -eq 0 ] && [ -e "$tmp/failed" ]; then code=1; fi
  exit $code
}
trap end_test EXIT
trap 'exit 130' INT TERM HUP

# Servers.  start_tang and its like set TANG_URL_NAME, TANG_PORT_NAME,
# TANG_PID_NAME and TANG_LOG_NAME.

# Where they listen: an address as serve takes it.
listen_on=127.0.0.1

# A server that runs a command for each connection:
#   start_server NAME COMMAND [PORT]
start_server ()
{
  serve "$listen_on" "${3:-0}" "$tmp/$1.log" "$2" || fail "no server $1"
  groups+=("$SERVER_PID")
  printf -v "TANG_URL_$1" %s "$SERVER_URL"
  printf -v "TANG_PORT_$1" %s "$SERVER_PORT"
  printf -v "TANG_PID_$1" %s "$SERVER_PID"
  printf -v "TANG_LOG_$1" %s "$tmp/$1.log"
}

# A real Tang server with keys of its own, in the folder TANG_DIR_NAME:
#   start_tang NAME [PORT]
start_tang ()
{
  printf -v "TANG_DIR_$1" %s "$tmp/tang-$1"
  make_tang_keys "$tmp/tang-$1" || fail "no keys for server $1"
  start_server "$1" "exec $(tangd_command "$tmp/tang-$1")" "${2:-0}"
}

# A server that accepts and never answers:  start_blackhole NAME [PORT]
start_blackhole ()
{
  start_server "$1" 'exec sleep 86400' "${2:-0}"
}

# A server that reads a request and answers with the bytes of a file:
#   start_answer NAME FILE [PORT]
start_answer ()
{
  start_server "$1" \
    "exec bash $(printf '%q %q' "$top_srcdir/tests/guests/answer.sh" "$2")" \
    "${3:-0}"
}

# Stop a server; its port, log and URL stay known.
end_server ()
{
  local pid=TANG_PID_$1
  stop_server "${!pid}"
}

# How many connections did a server accept since it was started?
connections ()
{
  local log=TANG_LOG_$1
  grep -c ' accepting connection from ' "${!log}" || :
}

# Put a server in the place of another:
#   replace_server NAME start_blackhole|start_tang|... [ARGUMENT...]
replace_server ()
{
  local name=$1 port=TANG_PORT_$1
  end_server "$name"
  shift
  "$1" "$name" "${@:2}" "${!port}"
}

# The configuration of a tang pin.  The server's advertisement is trusted.
tang_config ()
{
  local url=TANG_URL_$1
  printf '{"url":"%s"}' "${!url}"
}

# Guests.

test_cache ()
{
  if [ -n "${NBDE_TEST_CACHE-}" ]; then
    echo "$NBDE_TEST_CACHE"
  elif [ -w "$top_srcdir" ]; then
    echo "$top_srcdir/build/guests"
  else
    echo "$top_builddir/tests/guests.cache"
  fi
}

# Have copies of guests in this folder, as NAME.img (and NAME2.img, ...).
# The first test that needs one has all of them made.
get_guests ()
{
  local name file
  guests=$("$top_srcdir/tests/guests/make-guest.sh" "$(test_cache)") ||
    fail 'the guests could not be made'
  for name; do
    for file in "$guests/$name"/disk*.img; do
      file=${file##*/disk}
      cp --sparse=always "$guests/$name/disk$file" "$name$file"
    done
  done
}

# A field of the line of a LUKS device:  luks_field GUEST LUKS-NAME NUMBER
luks_field ()
{
  awk -v name="$2" -v field="$3" \
    '$1 == name { print $field; found = 1 } END { exit !found }' \
    "$guests/$1/luks" || fail "guest $1 has no device $2"
}

luks_uuid ()
{
  luks_field "$1" "$2" 2
}

# Where a device begins: a copy of the image, made by get_guests, and offset.
luks_image ()
{
  local file
  file=$(luks_field "$1" "$2" 3)
  echo "$1${file#disk}"
}

luks_offset ()
{
  local offsets
  offsets=$(luks_field "$1" "$2" 4)
  echo "${offsets%%,*}"
}

# Bind a device of a copy of a guest:
#   bind GUEST LUKS-NAME PIN CONFIG
bind ()
{
  bind_guest "$(luks_image "$1" "$2")" "$(luks_field "$1" "$2" 4)" \
    "$guests/$1/passphrase" "$3" "$4" || fail "cannot bind $1 $2"
}

# What clevis recovers, to a file:
#   clevis_key GUEST LUKS-NAME KEYSLOT FILE
clevis_key ()
{
  get_header "$(luks_image "$1" "$2")" "$(luks_offset "$1" "$2")" h.luks
  clevis_pass h.luks "$3" "$4"
  rm h.luks
}

#   clevis_pass LUKS-FILE KEYSLOT FILE
clevis_pass ()
{
  # It complains of its standard input, which it does not need.
  clevis luks pass -d "$1" -s "$2" > "$3" 2>/dev/null && [ -s "$3" ] ||
    fail "clevis luks pass does not work on $1"
}

# Disks of which each partition is a small LUKS device of its own: many cases
# for one launch.

# Make a LUKS2 device of 3 MiB in a file, with a passphrase in the file
# passphrase:  piece FILE
piece ()
{
  [ -e passphrase ] || printf %s 'of a piece' > passphrase
  luks_file "$1" 3 "$(uuid_of "$1")" passphrase "${small_header[@]}" ||
    fail "cannot make $1"
}

# The same, and bind it:  bound_piece FILE PIN CONFIG
bound_piece ()
{
  piece "$1"
  bind_luks "$1" passphrase "$2" "$3" || fail "cannot bind $1"
}

# Make a disk of such files, each of which becomes a partition:
#   disk_of IMAGE FILE...
disk_of ()
{
  local image=$1 start=1 file parts=()
  shift
  for file; do
    parts+=("${file##*/}:$start:3")
    start=$((start + 3))
  done
  gpt "$image" $((start + 1)) "${parts[@]}" || fail "cannot partition $image"
  start=1
  for file; do
    put "$file" "$image" $start
    start=$((start + 3))
  done
}

# Change a token by a jq filter:  edit_token FILE TOKEN FILTER
edit_token ()
{
  cryptsetup token export --token-id "$2" --json-file token.json "$1" &&
    jq -c "$3" token.json > edited.json &&
    cryptsetup token remove --token-id "$2" "$1" &&
    cryptsetup token import --token-id "$2" --json-file edited.json "$1" ||
    fail "cannot edit token $2 of $1"
  rm token.json edited.json
}

# Change the protected header of the JWE of token 0: edit_jwe FILE FILTER
edit_jwe ()
{
  local header
  header=$(cryptsetup token export --token-id 0 "$1" |
             jq -j .jwe.protected | jose b64 dec -i - | jq -cj "$2" |
             jose b64 enc -I -) ||
    fail "cannot edit the header of $1"
  edit_token "$1" 0 ".jwe.protected = \"$header\""
}

# The tool.

runs=0

# Run it; sets status, and the files $out and $err.  Whatever it was asked to
# do, it leaves no process and no temporary file behind.
nbde ()
{
  mark_run
  run_command timeout --foreground --kill-after=10 500 \
    env "${marked[@]}" "$VIRT_NBDE_UNLOCK" "$@"
  assert_no_leftovers
}

# The same for any command.
run_command ()
{
  last_command=$*
  status=0
  "$@" > "$out" 2> "$err" </dev/null || status=$?
}

# Start it in the background, in a process group of its own as a shell at a
# terminal does; sets nbde_pid.
nbde_start ()
{
  program_start "$VIRT_NBDE_UNLOCK" "$@"
  nbde_pid=$program_pid
}

# The same for another program; sets program_pid.
program_start ()
{
  mark_run
  last_command=$*
  setsid env --default-signal=INT,QUIT "${marked[@]}" \
    "$@" > "$out" 2> "$err" </dev/null &
  program_pid=$!
  groups+=("$program_pid")
}

# Wait for what was started, at most so many seconds; sets status.
nbde_wait ()
{
  if ! wait_for "$1" not_running "$nbde_pid"; then
    status='still running'
    fail "it has not ended after $1 seconds"
  fi
  status=0
  wait "$nbde_pid" || status=$?
}

# Each run has a folder for temporary files, and a variable in the environment
# of all its processes, of its own.
mark_run ()
{
  runs=$((runs + 1))
  run_mark=NBDE_TEST_RUN=$$.$runs
  run_tmp=$tmp/run-$runs
  mkdir "$run_tmp"
  marked=(TMPDIR="$run_tmp" "$run_mark")
}

# The processes of the last run that are still there.  A vault forgets most of its
# environment, but not where its temporary files would be.
run_processes ()
{
  local file
  for file in $(grep -lzxF -e "$run_mark" -e "TMPDIR=$run_tmp" \
                  /proc/[0-9]*/environ 2>/dev/null)
  do
    file=${file%/environ}
    ! is_running "${file##*/}" || echo "${file##*/}"
  done
}

# A qemu that runs these shell commands before it launches an appliance:
#   wrap_qemu FILE COMMANDS
# It is for LIBGUESTFS_HV.
wrap_qemu ()
{
  cat > "$1" <<END
#!/bin/bash
case "\$*" in
  *guestfsd.sock*)
    $2 ;;
esac
exec "\$REAL_QEMU" "\$@"
END
  chmod +x "$1"
  REAL_QEMU=${LIBGUESTFS_HV:-$(guestfish get-hv)}
  export REAL_QEMU
}

# Find the appliance of the last run; sets qemu, and socket, which is in a folder
# of libguestfs.
find_qemu ()
{
  local process
  qemu=
  for process in $(run_processes); do
    if grep -qsa -e -initrd "/proc/$process/cmdline" &&
       grep -qsa guestfsd.sock "/proc/$process/cmdline"; then
      qemu=$process
      socket=$(tr '\0,' '\n\n' < "/proc/$qemu/cmdline" |
                 sed -n 's/^path=\(.*guestfsd.sock\)$/\1/p')
      [ -n "$socket" ] || fail 'no socket in the arguments of qemu'
    fi
  done
  [ -n "$qemu" ]
}

# Find the vault of the last run, the process that has the keys; sets vault.  For
# others than root it hides what it is.
find_vault ()
{
  local process
  vault=
  for process in $(run_processes); do
    [ "$(cat "/proc/$process/comm" 2>/dev/null)" != nbde-vault ] ||
      vault=$process
  done
  [ -n "$vault" ]
}

no_run_processes ()
{
  [ -z "$(run_processes)" ]
}

not_running ()
{
  ! is_running "$1"
}

# Wait until a condition holds, for at most so many seconds:
#   wait_for SECONDS COMMAND [ARGUMENT...]
wait_for ()
{
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.05
  done
}

assert_no_leftovers ()
{
  local left process
  if ! wait_for 10 no_run_processes; then
    left=$(for process in $(run_processes); do
             tr '\0' ' ' < "/proc/$process/cmdline" || :
             echo
           done)
    fail "processes are left behind: $left"
  fi
  left=$(find "$run_tmp" -mindepth 1)
  [ -z "$left" ] || fail "temporary files are left behind: $left"
}

# Assertions.

assert_status ()
{
  [ "$status" -eq "$1" ] || fail "exit status: expected $1, came $status"
}

assert_equal ()
{
  [ "$2" = "$1" ] || fail "${3-value}: expected '$1', came '$2'"
}

assert_same_file ()
{
  cmp "$1" "$2" >&2 || fail "$1 and $2 differ"
}

assert_no_file ()
{
  [ ! -e "$1" ] && [ ! -L "$1" ] || fail "there is a file $1"
}

# grep, where finding nothing is no failure.
search ()
{
  grep "$@" || [ $? -eq 1 ]
}

# An assertion that must not hold:  assert_fails COMMAND [ARGUMENT...]
assert_fails ()
{
  # What else goes wrong in it does not count.
  ! ("$@") 2>/dev/null && [ -e "$tmp/failed" ] ||
    fail "this does not find what is wrong: $*"
  rm "$tmp/failed"
}

# Fixed strings:

assert_stdout_has ()
{
  grep -qF -e "$1" "$out" || fail "standard output: expected: $1"
}

assert_stderr_has ()
{
  grep -qF -e "$1" "$err" || fail "standard error: expected: $1"
}

assert_stdout_lacks ()
{
  ! grep -qF -e "$1" "$out" || fail "standard output: unexpected: $1"
}

assert_stderr_lacks ()
{
  ! grep -qF -e "$1" "$err" || fail "standard error: unexpected: $1"
}

# Extended regular expressions:

assert_stdout_matches ()
{
  grep -qE -e "$1" "$out" || fail "standard output: no line matches: $1"
}

assert_stderr_matches ()
{
  grep -qE -e "$1" "$err" || fail "standard error: no line matches: $1"
}

assert_no_stdout ()
{
  [ ! -s "$out" ] || fail 'standard output: expected nothing'
}

# One line says what is wrong.
assert_one_error ()
{
  local n
  n=$(grep -c '^virt-nbde-unlock: error: ' "$err" || :)
  [ "$n" -eq 1 ] || fail "expected one line of error, came $n"
  assert_stderr_matches "^virt-nbde-unlock: error: .*$1"
}

# An error about a device says this:  assert_device_error DEVICE REGEXP
assert_device_error ()
{
  grep -qE -e "^virt-nbde-unlock: error: $1: .*$2" "$err" ||
    fail "standard error: no error about $1 matches: $2"
}

# Every error is about a device, and is one line.
assert_only_device_errors ()
{
  local other
  other=$(search -vE \
    -e '^virt-nbde-unlock: (error|warning|hint): ' -e '^\[ *[0-9.]+\] ' "$err")
  [ -z "$other" ] || fail "standard error: not a message: $other"
}
