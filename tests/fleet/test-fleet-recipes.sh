#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The recipes of docs/fleet/recipes.md: a migration plan, a server that is retired, a
# nightly check.  There is no Forklift and no systemd that runs: kubectl speaks to
# something that keeps objects, and what the service would run is run here.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/fleet.sh"
. "$top_srcdir/tests/lib/fleet-world.sh"
. "$top_srcdir/tests/lib/documents.sh"
. "$top_srcdir/tests/lib/kubernetes.sh"
requires_tang
requires jq

use_document recipes.md
start_tang one
start_tang old
fleet_world one old
bound_as tang one.luks
bound_as old old.luks
bound_either either.luks tang old
for name in web1 db1 both1; do
  echo "{\"name\": \"$name\", \"disks\": [{\"path\": \"$name.img\", \"format\": \"raw\"}]}"
done > all.list
cp one.luks web1.img
cp old.luks db1.img
cp either.luks both1.img

# Forklift.  One VM of the plan is not among the guests.

grep -v db1 all.list > guests.list
start_api
as_user admin
export HOME=$tmp
run_block forklift-check
assert_status 0
kubectl create --validate=false -f - > "$out" <<'END'
apiVersion: forklift.konveyor.io/v1beta1
kind: Plan
metadata: {name: migration, namespace: forklift}
spec:
  vms:
  - {name: web1, nbdeClevis: true}
  - {name: other}
  - {name: both1}
END
run_block forklift-secrets
assert_status 0
for name in web1 both1; do
  kubectl get secret -n forklift "luks-$name" -o jsonpath='{.data.0}' |
    base64 -d > key
  cryptsetup open --test-passphrase --key-file key $name.img ||
    fail "the Secret of $name does not open it"
done
# Nothing of the keys is left.
! grep -rqFf key migration || fail 'a key is in the state folder'
! grep -qsFf key /dev/shm/*/* || fail 'a key is left in memory'
run_block forklift-plan
assert_status 0
run_command kubectl get plan migration -n forklift -o json
assert_equal \
  '[{"luks":{"name":"luks-web1"},"name":"web1"},{"name":"other"},{"luks":{"name":"luks-both1"},"name":"both1"}]' \
  "$(jq -cS .spec.vms "$out")" 'the plan'

# A server is retired.

cp all.list guests.list
asked=$(connections old)
run_block retire-list
assert_status 0
assert_equal 'both1 db1' "$(search -v : "$out" | sort | xargs)" 'who names it'
run_block retire-preflight WITHOUT=old
assert_status 0
assert_equal db1 "$(search -v : "$out" | xargs)" 'who hangs on it'
run_block retire-report
assert_status 0
assert_equal "$asked" "$(connections old)" \
  'connections to the server that may not be asked'
# Bound anew, nothing hangs on it.
cp one.luks db1.img
rm -r without
run_block retire-preflight WITHOUT=old
assert_status 0
assert_equal '' "$(search -v : "$out" | xargs)" 'who hangs on it'

# The nightly check: what the service says, with other folders.

service=$top_srcdir/docs/fleet/systemd/virt-nbde-fleet.service
mkdir -p etc run/state metrics
rmdir run/state
cp all.list etc/guests.list
sed -n 's/^ExecStart=//p' "$service" > lines
assert_equal 2 "$(wc -l < lines)" 'commands of the service'
#   night      what systemd does
night ()
{
  local line ignored
  while read -r line; do
    ignored=
    [[ $line != -* ]] || { ignored=1; line=${line#-}; }
    line=${line//\$\{RUNTIME_DIRECTORY\}/$tmp/run}
    line=${line//\/etc\/virt-nbde-fleet/$tmp/etc}
    line=${line//\/var\/lib\/prometheus\/node-exporter/$tmp/metrics}
    # Its words have no spaces.
    # shellcheck disable=SC2086
    run_command $line
    [ -n "$ignored" ] || assert_status 0
  done < lines
}
night
grep -q '^virt_nbde_fleet_' metrics/virt-nbde-fleet.prom || fail 'no metrics'
# The alerts name metrics that there are.
grep -oh 'virt_nbde_fleet_[a-z_]*' "$top_srcdir/docs/fleet/systemd/alerts.yml" |
  sort -u > metrics.named
[ "$(wc -l < metrics.named)" -ge 4 ] || fail 'the alerts name no metrics'
while read -r metric; do
  grep -q "^${metric}[ {]" metrics/virt-nbde-fleet.prom || fail "no metric $metric"
done < metrics.named
python3 -c 'import sys, yaml; yaml.safe_load(open(sys.argv[1]))' \
  "$top_srcdir/docs/fleet/systemd/alerts.yml" || fail 'alerts.yml is no YAML'

if command -v systemd-analyze > /dev/null; then
  mkdir units
  cp "$top_srcdir"/docs/fleet/systemd/*.{service,timer} units
  # Where the program of this test is.
  sed -i "s,=\\(-\\?\\)virt-nbde-fleet ,=\\1$(command -v virt-nbde-fleet) ," \
    units/virt-nbde-fleet.service
  run_command systemd-analyze verify --man=no units/virt-nbde-fleet.timer \
    units/virt-nbde-fleet.service
  assert_status 0
  ! grep -F virt-nbde-fleet "$err" >&2 || fail 'systemd finds something'
fi
all_executed
