# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What the benchmarks have in common: samples and their medians, targets,
# guests.  A benchmark begins with
#
#   . "$(dirname "$0")/common.sh"
#
# and prints Markdown.  The programs that it compares run in turn, so that
# whatever else the machine does meets both.
#
# BENCH_ROUNDS    rounds of what starts an appliance (3)
# BENCH_RUNS      runs of what takes milliseconds (30)
# BENCH_RESULTS   folder that gets the targets, and the data of the plots
#
# shellcheck shell=bash

. "$(dirname "${BASH_SOURCE[0]}")/../lib/functions.sh"

requires bc jq

rounds=${BENCH_ROUNDS:-3}
runs=${BENCH_RUNS:-30}
results=${BENCH_RESULTS:-$tmp/results}
mkdir -p "$results"

# Numbers.

# Compute, and round to so many decimals:  number DECIMALS EXPRESSION
number () { LC_ALL=C printf "%.$1f" "$(bc -l <<< "$2")"; }

# Samples: a number a line, in the file NAME.samples.

# Run a command once; its time, in seconds, is a sample.  Its standard output
# is in NAME.out afterwards.  sample NAME COMMAND [ARGUMENT...]
sample ()
{
  local start=$EPOCHREALTIME end
  "${@:2}" > "$1.out" 2> "$1.err" </dev/null ||
    { cat "$1.err" >&2; fail "${*:2}"; }
  end=$EPOCHREALTIME
  bc <<< "$end - $start" >> "$1.samples"
}

# Sets of runs of short commands by hyperfine; times in milliseconds.
#   short_samples NAME RUNS COMMAND-LINE [HYPERFINE-OPTION...]
short_samples ()
{
  hyperfine -N --warmup 1 --runs "$2" --export-json times.json "${@:4}" "$3" \
    > hyperfine.log 2>&1 || { cat hyperfine.log >&2; fail "$3"; }
  jq '.results[0].times[] * 1000' times.json >> "$1.samples"
}

# The same for several, in turn:
#   short_in_turn RUNS NAME COMMAND-LINE [NAME COMMAND-LINE]...
short_in_turn ()
{
  local set sets=3 i
  [ "$1" -ge $sets ] || sets=$1
  for ((set = 0; set < sets; set++)); do
    for ((i = 2; i < $#; i += 2)); do
      short_samples "${!i}" $(($1 / sets)) "${@:i + 1:1}"
    done
  done
}

# Call functions in turn, for all rounds; every second round goes backwards.
in_turn ()
{
  local round f backwards=()
  for f; do backwards=("$f" "${backwards[@]}"); done
  for ((round = 1; round <= rounds; round++)); do
    if ((round % 2)); then
      for f; do "$f"; done
    else
      for f in "${backwards[@]}"; do "$f"; done
    fi
  done
}

median ()
{
  sort -g "$1.samples" | awk '{ v[NR] = $1 }
    END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}
lowest () { sort -g "$1.samples" | head -n 1; }
highest () { sort -g "$1.samples" | tail -n 1; }

# Tables.

table () { printf '\n| %s | median | lowest to highest |\n|---|---|---|\n' "$1"; }

#   row TEXT NAME DECIMALS UNIT
row ()
{
  printf '| %s | %s %s | %s to %s %s |\n' "$1" \
    "$(number "$3" "$(median "$2")")" "$4" "$(number "$3" "$(lowest "$2")")" \
    "$(number "$3" "$(highest "$2")")" "$4"
}

# Say whether a target was met, and keep it for the summary:
#   target TEXT VALUE "at most"|"at least" LIMIT DECIMALS [UNIT]
target ()
{
  local value operator='<=' result=missed unit=${6:+ $6}
  value=$(number "$5" "$2")
  [ "$3" = 'at most' ] || operator='>='
  [ "$(bc -l <<< "$value $operator $4")" = 0 ] || result=met
  printf '\n%s: **%s%s** (target: %s %s%s, %s)\n' \
    "$1" "$value" "$unit" "$3" "$4" "$unit" "$result"
  printf '| %s | %s%s | %s %s%s | %s |\n' \
    "$1" "$value" "$unit" "$3" "$4" "$unit" "$result" >> "$results/targets"
}

# Data of a plot:  plot_data FILE FIELD...
plot_data ()
{
  local IFS=$'\t'
  printf '%s\n' "${*:2}" >> "$results/$1.data"
}

# Steps, as --output-format=json tells them.

# The sum of some steps of a run is a sample:
#   step_sample NAME DOCUMENT STEP...
step_sample ()
{
  jq --arg steps "${*:3}" \
    '[.timings.steps[$steps | split(" ")[]] // 0] | add' "$2" >> "$1.samples"
}

# Keep all steps of a run, then print a table of them.
all_steps ()
{
  jq -r '.timings.steps | keys_unsorted[]' "$2" > "$1.steps"
  local step
  while read -r step; do
    step_sample "$1.$step" "$2" "$step"
  done < "$1.steps"
}
steps_table ()
{
  local step
  table 'step'
  while read -r step; do
    row "$step" "$1.$step" 3 s
  done < "$1.steps"
}

# Guests.

# Make these in one launch, once, and set plain and volume to them:
# plain.img, the guest part-lvm without its encryption: the LUKS device is
# replaced by what is in it; volume.luks, a LUKS device of 8 MiB with a
# filesystem in it, to be copied; and digest.luks, the same with a digest of the
# volume key as luksFormat makes it, where those of the tests have one of few
# iterations.  All have the passphrase of part-lvm.
bench_guests ()
{
  local payload=$((280 - 16))
  get_guests part-lvm
  plain=$guests/part-lvm/plain.bench
  volume=$guests/part-lvm/volume.bench
  digest=$guests/part-lvm/digest.bench
  passphrase=$guests/part-lvm/passphrase
  [ ! -e "$plain" ] || [ ! -e "$volume" ] || [ ! -e "$digest" ] || return 0

  gpt plain.img 320 boot:1:31 "root:32:$payload" || fail 'no plain guest'
  dd if=part-lvm.img of=plain.img bs=1M skip=1 seek=1 count=31 conv=notrunc \
    status=none
  luks_file volume.luks 8 "$(uuid_of volume)" "$passphrase" \
    "${small_header[@]}" || fail 'no volume'
  truncate -s 8M digest.luks
  # Keyslots of a millisecond; that says nothing of the digest.
  cryptsetup luksFormat -q --uuid "$(uuid_of digest)" --pbkdf pbkdf2 \
    --iter-time 1 "${small_header[@]}" --key-file "$passphrase" digest.luks ||
    fail 'no volume with a digest'
  fish_start bench.fish
  fish_drive part-lvm.img
  fish_drive plain.img
  fish_drive volume.luks
  fish_drive digest.luks
  fish_open /dev/sda2 root "$passphrase"
  fish 'copy-device-to-device /dev/mapper/root /dev/sdb2 sparse:true'
  fish_open /dev/sdc volume "$passphrase"
  fish 'mke2fs /dev/mapper/volume fstype:ext4 label:volume'
  fish_open /dev/sdd digest "$passphrase"
  fish 'mke2fs /dev/mapper/digest fstype:ext4 label:digest'
  fish_run || fail 'no guests'
  fallocate --dig-holes plain.img
  cp --sparse=always plain.img "$plain.new" && mv "$plain.new" "$plain" &&
    cp volume.luks "$volume.new" && mv "$volume.new" "$volume" &&
    cp digest.luks "$digest.new" && mv "$digest.new" "$digest" ||
    fail 'no guests'
  get_guests part-lvm
}

# Change the first keyslot of a LUKS device, or of its header, whose passphrase
# it is, to argon2id with 1 GiB of memory:  make_dear FILE
make_dear ()
{
  cryptsetup luksConvertKey -q --key-file "$passphrase" --key-slot 0 \
    --pbkdf argon2id --pbkdf-memory 1048576 --pbkdf-force-iterations 4 \
    --pbkdf-parallel 4 "$1" || fail "cannot change $1"
}
