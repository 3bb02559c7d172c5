#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Ends of children and of commands: nothing that a command has started outlives them, no
# command is there twice, and what one guest says or does is not felt by the others.

. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/fleet.sh"
requires_tang
requires jq python3 flock script

start_tang one
start_tang tar
bound_to one
guests_of a 1 one.luks single
guests_of b 6 one.luks good

# A disk that needs a good server and one that never answers, before others of the
# good one.  It runs beside the rest of this test.
piece both.luks
bind_luks both.luks passphrase sss \
  "{\"t\":2,\"pins\":{\"tang\":[$(tang_config one),$(tang_config tar)]}}"
replace_server tar start_blackhole
guests_of both 1 both.luks slow-first
cat good >> slow-first
out=slow.out err=slow.err fleet_start keys slow-first "${ask[@]}" --state st-slow \
  -P 2 --retries 0 --tang-retries 0 --tang-timeout 15
slow_pid=$fleet_pid

# Processes of commands have this among their arguments, also in sessions of their own.
# Without the folder of this test they end by themselves.
part=part-of-$$
cat > command <<END_OF_COMMAND
#!/bin/bash
# Whatever is left of it has the lock.
exec 9> lock
flock -n 9 || echo >> twice
echo >> begun
[ ! -e quick ] || exit 0
bash -c 'while [ -e command ]; do sleep 0.1; done; :' $part &
setsid bash -c 'trap "" TERM INT HUP; while [ -e command ]; do sleep 0.1; done; :' $part &
(setsid bash -c 'while [ -e command ]; do sleep 0.1; done; :' $part &)
echo >> all-there
bash -c 'while [ -e command ]; do sleep 0.1; done; :' $part
echo finished
END_OF_COMMAND
chmod +x command

# The processes that commands have started and that are still there.
parts ()
{
  local file
  for file in $(grep -lsaF -e "$part" /proc/[0-9]*/cmdline); do
    file=${file%/cmdline}
    ! is_running "${file##*/}" || [ "${file##*/}" = $$ ] || echo "${file##*/}"
  done
}
no_parts () { [ -z "$(parts)" ]; }

# A command, and all of its children.
command_is_there () { [ -e all-there ] && [ "$(parts | wc -l)" -ge 4 ]; }

# Run a command; it is there:  start_command STATE [OPTION...]
start_command ()
{
  rm -f quick begun all-there twice
  fleet_start run single "${ask[@]}" --state "$@" -- ./command
  wait_for 20 command_is_there || fail 'no command begins'
}

# Nothing is left, and nothing was there twice.
assert_nothing_left ()
{
  local process
  wait_for 5 no_parts ||
    fail "left: $(for process in $(parts); do ps -o args= -p "$process"; done)"
  assert_no_file twice
}

# The run ends; sets status.
fleet_wait ()
{
  nbde_pid=$fleet_pid nbde_wait 30
}

# The virt-nbde-unlock that has the command; sets child.
find_child ()
{
  child=$(pgrep -P "$fleet_pid" -f -- '--tang-share.* --run') ||
    fail 'no virt-nbde-unlock'
}

# The kernel kills virt-nbde-unlock, for want of memory.  The guest is tried again,
# when nothing is left of the first try.
start_command st-child
find_child
touch quick
kill -KILL "$child"
fleet_wait
assert_status 0
assert_nothing_left
assert_no_leftovers
assert_equal 2 "$(wc -l < begun)" 'commands'
assert_equal 2 "$(jq .tries st-child/guests/a-1/run.json)" 'tries'
assert_journal_whole st-child

# A signal, to the process or, as ^C, to its group.
for signal in INT TERM; do
  start_command "st-$signal"
  case $signal in
    INT) kill -INT -- "-$fleet_pid" ;;
    TERM) kill -TERM "$fleet_pid" ;;
  esac
  fleet_wait
  [ "$status" -gt 128 ] || fail 'it does not end by the signal'
  assert_nothing_left
  assert_no_leftovers
  assert_no_file "st-$signal/guests/a-1/run.json"
done

# Killed itself: the next run begins when nothing is left.
start_command st-KILL
touch quick
kill -KILL "$fleet_pid"
wait "$fleet_pid" 2> /dev/null || :
fleet run single "${ask[@]}" --state st-KILL -- ./command
assert_status 0
assert_equal 2 "$(wc -l < begun)" 'commands'
assert_nothing_left

# A command that takes too long: the next run tries it again.
rm -f quick begun all-there twice
for tries in 1 2; do
  fleet run single "${ask[@]}" --state st-late --timeout 1 -- ./command
  assert_status 1
  assert_stdout_matches '^a-1: killed: it was ended, since it took too long'
  assert_verdict st-late a-1 run killed
  assert_equal $tries "$(jq .tries st-late/guests/a-1/run.json)" 'tries'
  assert_nothing_left
done

# A command that wants a terminal has none, and does not wait for ever.
cat > asks <<'END_OF_COMMAND'
#!/bin/bash
read -r answer < /dev/tty || exit 9
echo "got $answer"
END_OF_COMMAND
chmod +x asks
mkfifo keyboard
mark_run
last_command='a command that asks'
words="$(printf ' %q' env "${marked[@]}" "$VIRT_NBDE_FLEET" run single "${ask[@]}" \
           --state st-asks --retries 0 -- ./asks)"
status=0
timeout --kill-after=5 10 script -qec "$words" /dev/null <> keyboard > "$out" 2>&1 ||
  status=$?
assert_status 1
assert_verdict st-asks a-1 run command-failed
assert_no_leftovers

# Options of one guest are no news of a server for others.
for options in "\"--tang-map\", \"$TANG_URL_one=http://127.0.0.1:1\"" \
               '"--tang-proxy", "http://127.0.0.1:1"'; do
  echo '{"name": "odd", "disks": [{"path": "one.luks", "format": "raw"}],' \
    "\"options\": [$options]}" > odd-first
  cat good >> odd-first
  rm -rf st-odd
  fleet keys odd-first "${ask[@]}" --state st-odd --retries 0
  assert_status 4
  assert_verdict st-odd odd keys unreachable
  assert_equal 6 "$(count_verdicts st-odd keys 'done')" 'done'
done

# The log cannot be written: what was done is done.
fleet list good --state st-log
mkdir -p st-log/guests/b-2/run.log
echo mine > st-log/guests/b-2/run.log/mine
: > said
cat > says <<'END_OF_COMMAND'
#!/bin/bash
echo "$1" >> said
echo "said $1"
END_OF_COMMAND
chmod +x says
fleet run good "${ask[@]}" --state st-log -P 1 -- ./says '{name}'
assert_verdict st-log b-2 run 'done'
assert_equal 'b-1 b-2 b-3 b-4 b-5 b-6' "$(sort said | xargs)" 'commands'
assert_equal 6 "$(count_verdicts st-log run 'done')" 'done'
fleet run good "${ask[@]}" --state st-log -P 1 -- ./says '{name}'
assert_status 0
assert_equal 6 "$(wc -l < said)" 'commands'
assert_journal_whole st-log

# What the parent is told by a child that has gone mad.  This one is found beside it.
mkdir mad
cp "$VIRT_NBDE_FLEET" mad/virt-nbde-fleet
python3 - <<'END_OF_DOCUMENTS'
def document(name, value):
    with open(f"mad/{name}.json", "w") as f:
        f.write('{\n "exit_status": 0, "devices": %s\n}\n' % value)
document("good", "[]")
document("wide", "[" + ",".join(["0"] * 300000) + "]")
document("objects", "[" + ",".join(["{}"] * 300000) + "]")
chain = "[" * 1000 + "]" * 1000
document("deep", chain)
document("deep-often", "[" + ",".join([chain] * 60) + "]")
document("deep-objects", '{"devices":' * 1000 + "0" + "}" * 1000)
END_OF_DOCUMENTS
cat > mad/virt-nbde-unlock <<'END_OF_COMMAND'
#!/bin/bash
path=
for word; do
  [ "${before-}" != -a ] || path=$word
  before=$word
done
guest=${path##*/}
case " $* " in
  *\ --help\ *) exit 0 ;;
  *\ --list\ *) [ -n "${MAD_LISTS-}" ] || guest=good ;;
esac
[ -e "${0%/*}/$guest.json" ] || guest=good
exec cat "${0%/*}/$guest.json"
END_OF_COMMAND
chmod +x mad/virt-nbde-unlock
mad=(wide objects deep deep-often deep-objects)
printf '/x/%s\n' before "${mad[@]}" after > mad-list
# Run it, and keep the largest size of it, in KiB.
cat > peak.py <<'END_OF_PEAK'
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
with open("peak", "w") as f:
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=f)
sys.exit(status)
END_OF_PEAK
# Also if that is what they say of what a guest needs.
for action in run list; do
  state=st-mad-$action
  words=(mad/virt-nbde-fleet "$action" mad-list --state "$state" -P 1)
  case $action in
    run) words+=(-- true) ;;
    list) export MAD_LISTS=y ;;
  esac
  run_command timeout --kill-after=5 60 python3 peak.py "${words[@]}"
  assert_status 1
  for name in before after; do assert_verdict "$state" $name $action 'done'; done
  for name in "${mad[@]}"; do
    assert_verdict "$state" "$name" $action error
    [ "$(stat -c %s "$state/guests/$name/$action.json")" -lt 20000 ] ||
      fail "$name: a large record"
  done
  assert_journal_whole "$state"
  peak=$(cat peak)
  [ "$peak" -lt $((200 * 1024)) ] || fail "it needs $peak KiB"
  [ "$peak" -gt 1000 ] || fail "nothing was measured: $peak"
done
unset MAD_LISTS

# The slow disk has ended by now, or does so soon.
nbde_pid=$slow_pid nbde_wait 30
assert_status 4
assert_equal 6 "$(count_verdicts st-slow keys 'done')" 'done'
assert_verdict st-slow both-1 keys unreachable
# Seconds from the begin of the first try to what is selected:
#   seconds_to WHICH FILTER
seconds_to ()
{
  jq -s "def at: .time | fromdateiso8601;
         map (select (.action == \"keys\" and .guest != null)) |
         (map (select (.event == \"begin\") | at) | min) as \$start |
         (map (select ($2) | at) | $1) - \$start" st-slow/journal
}
first=$(seconds_to min '.event == "begin" and .guest != "both-1"')
last=$(seconds_to max '.event == "end" and .guest != "both-1"')
slow=$(seconds_to max '.event == "end" and .guest == "both-1"')
[ "$slow" -ge 14 ] || fail "the slow disk took $slow seconds only"
[ "$first" -le 8 ] || fail "the others have waited for $first seconds"
[ "$last" -le $((slow - 3)) ] ||
  fail "the last of the others ended after $last seconds, the slow one after $slow"
assert_journal_whole st-slow
