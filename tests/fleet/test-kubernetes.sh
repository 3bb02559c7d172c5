#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The manifests of docs/fleet/kubernetes.  There is no cluster here.  So it is tested
# that their fields are those of the published API, with the right types; that pods are
# restricted; what each container does, with the words, the user and the privileges that
# the manifest gives it; and the commands of the README, with kubectl and something that
# it takes for an API.
#
# That an index fails or is counted is up to the controller of Jobs, which is not here.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/fleet.sh"
. "$top_srcdir/tests/lib/fleet-world.sh"
. "$top_srcdir/tests/lib/documents.sh"
. "$top_srcdir/tests/lib/containers.sh"
. "$top_srcdir/tests/lib/kubernetes.sh"
requires_tang
requires jq node npm

use_document kubernetes/README.md
manifests=$top_srcdir/docs/fleet/kubernetes
cp "$manifests"/*.yaml .

# Names and types of fields.

# What the checks are made with is kept, as guests are.
packages=$(test_cache)/kubernetes
mkdir -p "$packages"
if ! cmp -s "$top_srcdir/tests/fleet/kubernetes/package-lock.json" \
     "$packages/package-lock.json" || [ ! -d "$packages/node_modules" ]; then
  rm -rf "$packages"
  mkdir "$packages"
  cp "$top_srcdir"/tests/fleet/kubernetes/package*.json "$packages"
  (cd "$packages" && npm ci --no-audit --no-fund) > npm.log 2>&1 ||
    { rm -rf "$packages"; skip "npm: $(grep -v '^$' npm.log | head -n 1)"; }
fi
cp "$top_srcdir/tests/fleet/kubernetes/check.mjs" "$packages"

#   objects FILE...    the objects of manifests, as a list in JSON
objects ()
{
  python3 -c '
import json, sys, yaml
print(json.dumps([o for f in sys.argv[1:] for o in yaml.safe_load_all(open(f)) if o]))
' "$@"
}
objects ./*.yaml > objects.json
check ()
{
  status=0
  node "$packages/check.mjs" < "$1" > "$out" 2> "$err" || status=$?
  last_command="check.mjs $1"
}
check objects.json
assert_status 0
assert_no_stdout
assert_equal 9 "$(jq length objects.json)" 'number of objects'

# The same with a fault: FAULT is a script of sed.
finds ()
{
  sed "$1" job.yaml > faulty.yaml
  ! cmp -s faulty.yaml job.yaml || fail "nothing is planted: $1"
  objects faulty.yaml > faulty.json
  check faulty.json
  assert_status 1
  assert_stdout_has "$2"
}
finds 's/backoffLimitPerIndex/backofLimitPerIndex/' \
  'JobSpec has no field backofLimitPerIndex'
finds 's/onExitCodes/onExitCode/' 'PodFailurePolicyRule has no field onExitCode'
finds 's/readOnlyRootFilesystem/readOnlyRootFileSystem/' \
  'SecurityContext has no field readOnlyRootFileSystem'
finds 's/expirationSeconds/expiresSeconds/' \
  'ServiceAccountTokenProjection has no field expiresSeconds'
finds 's/completions: 2/completions: two/' 'string instead of number'
finds 's/operator: In/operator: [In]/' 'array instead of string'
finds 's/^apiVersion: batch.v1/apiVersion: batch\/v3/' 'batch/v3'

# Pods are restricted, as Pod Security Standards say; only "give" has the token.
pods='.[] | select (.kind == "Job") | .spec.template.spec'
restricted='
  def containers: (.initContainers // []) + .containers;
  .securityContext.runAsNonRoot == true
  and .securityContext.runAsUser > 0
  and .securityContext.seccompProfile.type == "RuntimeDefault"
  and ([.hostNetwork, .hostPID, .hostIPC] | all (. != true))
  and .automountServiceAccountToken == false
  and .restartPolicy == "Never"
  and ([.volumes[] | keys[] | select (. != "name")] -
       ["configMap", "emptyDir", "persistentVolumeClaim", "projected"] == [])
  and (containers | all (
         .securityContext.allowPrivilegeEscalation == false
         and .securityContext.readOnlyRootFilesystem == true
         and .securityContext.capabilities == {"drop": ["ALL"]}
         and .securityContext.privileged == null))
  and ([containers[] | select (.volumeMounts[].name == "token") | .name] - ["give"]
       == [])
  and ([.volumes[] | select (.name == "keys") | .emptyDir.medium] - ["Memory"] == [])'
run_command jq "[$pods | $restricted]" objects.json
assert_equal '[true,true,true]' "$(tr -d ' \n' < "$out")" 'which pods are restricted'
jq '(.[] | select (.kind == "Job") | .spec.template.spec.containers[0]
       .securityContext.capabilities.drop) = []' objects.json > faulty.json
assert_equal '[false,false,false]' \
  "$(jq -c "[$pods | $restricted]" faulty.json)" 'which pods are restricted'
assert_equal '["secrets"] ["create"]' \
  "$(jq -r '.[] | select (.kind == "Role") | .rules |
              map ("\(.resources) \(.verbs)") | join (",")' objects.json)" \
  'the rights'

# Each exit status has its place.
assert_equal '["FailIndex",[1,2,3]] ["Count",[4]]' \
  "$(jq -r '[.[] | select (.metadata.name == "virt-nbde-fleet" and .kind == "Job") |
              .spec.podFailurePolicy.rules[] | select (.onExitCodes) |
              [.action, .onExitCodes.values] | tojson] | join (" ")' objects.json)" \
  'what exit statuses mean'

# What is named is there, and there is an index for each guest.
assert_equal true \
  "$(jq '[.[] | select (.metadata.name | test ("^virt-nbde-fleet")) |
           select (.kind == "Job") | .spec |
           ([.podFailurePolicy.rules[].onExitCodes?.containerName | strings] -
            [.template.spec | .initContainers[], .containers[] | .name] == [])
           and ([.template.spec | (.initContainers[], .containers[]) |
                  (.volumeMounts[], (.volumeDevices // [])[]) | .name] -
                [.template.spec.volumes[].name] == [])] | all' objects.json)" \
  'containers and volumes that are named'
assert_equal \
  "$(jq -r '.[] | select (.metadata.name == "guests") | .data["guests.list"]' \
       objects.json | grep -c '^[^#]')" \
  "$(jq '.[] | select (.kind == "Job" and .metadata.name == "virt-nbde-fleet") |
          .spec.completions' objects.json)" \
  'completions'

# The container "keys", with what kubelet puts in the place of variables.

start_tang one
start_tang away
fleet_world one away
bound_as tang one.luks
bound_as away away.luks
mkdir -p disks/{web1,db1,new1} fleet
cp one.luks disks/web1/disk.img
qemu-img convert -f raw -O qcow2 away.luks disks/db1/disk.qcow2
cp one.luks refused.luks
edit_jwe refused.luks '.clevis.tang.adv.keys = []'
cp refused.luks disks/new1/disk.img
jq -r '.[] | select (.metadata.name == "guests") | .data["guests.list"]' \
  objects.json > fleet/guests.list
echo '{"name": "new1", "disks": [{"path": "/srv/disks/new1/disk.img", "format": "raw"}]}' \
  >> fleet/guests.list
# Servers of a test have no names that a name server knows.
# shellcheck disable=SC2154
options=$(jq -nc --arg one "http://tang.example.com=$TANG_URL_one" \
            --arg away "http://away.example.com=$TANG_URL_away" \
            '["--tang-map", $one, "--tang-map", $away,
              "--tang-allow", "away.example.com"]')
jq -c --argjson options "$options" '.options = $options' fleet/guests.list > list
mv list fleet/guests.list
mkdir -m 770 state keys
chown -R 107:107 disks state keys
"$top_srcdir/packaging/container/build" --built "$top_builddir" > build.log 2>&1 ||
  fail "no image: $(tail -n 5 build.log)"

# As kubelet calls it:  keys_container INDEX POD
keys_container ()
{
  local container words user
  container=$(jq -c '.[] | select (.kind == "Job") | .spec.template.spec |
                     select (.volumes[].name == "disks") | .initContainers[0]' \
                objects.json)
  mapfile -t words < <(
    jq -r '.args[]' <<< "$container" |
      sed "s/\$(JOB_COMPLETION_INDEX)/$1/; s/\$(POD_NAME)/$2/")
  user=$(jq -r "[$pods][0].securityContext | \"\(.runAsUser):\(.runAsGroup)\"" \
           objects.json)
  run_command podman run --rm --read-only --read-only-tmpfs=false \
    --cap-drop=ALL --security-opt no-new-privileges --user "$user" \
    --network=host -v "$PWD/fleet:/etc/fleet:ro" -v "$PWD/disks:/srv/disks:ro" \
    -v "$PWD/state:/var/lib/fleet" -v "$PWD/keys:/run/keys" --tmpfs /tmp:mode=1777 \
    virt-nbde-fleet "${words[@]}"
}
end_server away
keys_container 0 fleet-0-a
assert_status 0
assert_verdict state/state web1 keys 'done'
keys_container 1 fleet-1-a
assert_status 4
keys_container 2 fleet-2-a
assert_status 2
replace_server away start_tang
# Not to wait for a minute.
rm state/state/servers/*/down-*
keys_container 1 fleet-1-b
assert_status 0
cryptsetup open --test-passphrase --key-file keys/fleet-1-b/db1/0 away.luks ||
  fail 'the key of db1 is not one'
# The pod is gone, and its memory with it: another one does not take that for done.
rm -r keys/fleet-0-a
keys_container 0 fleet-0-b
assert_status 0
cryptsetup open --test-passphrase --key-file keys/fleet-0-b/web1/0 one.luks ||
  fail 'a key was taken for written that is not there'

# The container of report.yaml, which may only read.
mapfile -t words < <(
  jq -r '.[] | select (.metadata.name == "report") |
           .spec.template.spec.containers[0].args[]' objects.json)
run_command podman run --rm --read-only --read-only-tmpfs=false \
  --cap-drop=ALL --security-opt no-new-privileges --user 107:107 \
  --network=none -v "$PWD/state:/var/lib/fleet:ro" virt-nbde-fleet "${words[@]}"
assert_status 0
assert_stdout_has new1
assert_stdout_has '</html>'

# The container "give", and the commands of the README.

start_api
export HOME=$tmp

as_user admin
cp fleet/guests.list .
run_block start
assert_status 0
for object in namespace serviceaccount role rolebinding configmap job; do
  assert_stdout_matches "^$object.*created\$"
done
run_block watch
assert_status 0
assert_stdout_has '2 done; failed: '

# The words of the manifest, by the shell of this host, in the rights of the pod.
give_words ()
{
  jq -r "[$pods | select (.volumes[].name == \"disks\")][0].containers[0].args[0]" \
    objects.json | sed "s,/run/keys/,$tmp/keys/,"
}
as_user fleet
grep -qF 'kubectl create' <<< "$(give_words)" || fail 'no words of "give"'
run_command env POD_NAME=fleet-1-b sh -euc "$(give_words)"
assert_status 0
assert_stdout_has secret/luks-db1
# Another time, it is not replaced.
run_command env POD_NAME=fleet-1-b sh -euc "$(give_words)"
[ "$status" -ne 0 ] || fail 'a Secret was replaced'
assert_stderr_has AlreadyExists
run_command kubectl get secrets
[ "$status" -ne 0 ] || fail 'it can read Secrets'
as_user admin
run_command kubectl get secret luks-db1 -o jsonpath='{.data.0}'
base64 -d < "$out" > secret
assert_same_file keys/fleet-1-b/db1/0 secret
run_block secrets
assert_equal secret/luks-db1 "$(cat "$out")" 'the Secrets'

head -n 1 guests.list > again.list
run_block again
assert_status 0
assert_stdout_matches '^job.*created$'
run_command kubectl get job virt-nbde-fleet -o jsonpath='{.spec.completions}'
assert_equal 1 "$(cat "$out")" 'completions of the second Job'
run_block report
assert_status 0
assert_equal '<html>' "$(cat report.html)" 'the report'
run_block block
assert_status 0
assert_stdout_has job.batch/virt-nbde-fleet-db1
run_command kubectl get job virt-nbde-fleet-db1 \
  -o jsonpath='{.spec.template.spec.volumes[?(@.name=="disk")]}'
assert_equal db1 "$(jq -r .persistentVolumeClaim.claimName "$out")" 'the claim'
all_executed
