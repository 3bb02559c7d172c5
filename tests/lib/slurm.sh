# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A cluster of Slurm on loopback, of one node, without root's daemons and without
# systemd: all that it has is in a folder of the test.  Sourced after functions.sh.
#
# shellcheck shell=bash
# shellcheck disable=SC2154

# Two ports that are free now.
free_ports ()
{
  python3 -c '
import socket
sockets = [socket.socket() for _ in range(2)]
for s in sockets:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))'
}

# Start a daemon, in a process group that ends with the test:
#   start_daemon NAME COMMAND...
start_daemon ()
{
  local name=$1
  shift
  setsid "$@" </dev/null > "$slurm/$name.out" 2>&1 &
  groups+=("$!")
}

# The daemons' words, for one who looks why they do not start.
daemons_say ()
{
  tail -n 20 "$slurm"/*.out "$slurm"/*.log >&2
}

node_is_idle ()
{
  [ "$(sinfo --noheader --format %t 2>/dev/null)" = idle ]
}

#   start_slurm LINES-OF-SLURM.CONF
start_slurm ()
{
  local host ports
  slurm=$tmp/slurm
  mkdir -m 700 "$slurm" "$slurm/munge" "$slurm/state" "$slurm/spool"
  # munged wants no folder on the way to its files that others may write to; it
  # is told not to look.
  head -c 1024 /dev/urandom > "$slurm/munge/key"
  chmod 400 "$slurm/munge/key"
  start_daemon munged munged --foreground --force \
    --key-file="$slurm/munge/key" --socket="$slurm/munge/socket" \
    --pid-file="$slurm/munge/pid" --log-file="$slurm/munge/log" \
    --seed-file="$slurm/munge/seed"
  wait_for 20 test -S "$slurm/munge/socket" || fail 'no munged'

  host=$(uname -n)
  host=${host%%.*}
  ports=$(free_ports)
  cat > "$slurm/slurm.conf" - "$1" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports% *}
SlurmdPort=${ports#* }
AuthType=auth/munge
AuthInfo=socket=$slurm/munge/socket
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool
SlurmctldPidFile=$slurm/slurmctld.pid
SlurmdPidFile=$slurm/slurmd.pid
SlurmctldLogFile=$slurm/slurmctld.log
SlurmdLogFile=$slurm/slurmd.log
ProctrackType=proctrack/linuxproc
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 RealMemory=4096 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
  export SLURM_CONF=$slurm/slurm.conf
  start_daemon slurmctld slurmctld -D -f "$SLURM_CONF"
  start_daemon slurmd slurmd -D -f "$SLURM_CONF"
  wait_for 30 node_is_idle || { daemons_say; fail 'no node of Slurm'; }
}

# The state of a task, and why it waits:  task_state JOB TASK
task_state ()
{
  squeue --array --noheader --states all --jobs "$1_$2" --format '%T %r'
}

#   task_is JOB TASK REGEXP
task_is ()
{
  grep -qE "^($3)\$" <<< "$(task_state "$1" "$2")"
}

wait_for_task ()
{
  wait_for 30 task_is "$@" ||
    fail "task $2: expected '$3', came '$(task_state "$1" "$2")'"
}
