# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# podman for a test: images and containers are in a folder of the test, and
# the test starts itself again in a mount namespace, so that nothing is left mounted.
# Sourced after functions.sh.
#
# shellcheck shell=bash

requires podman unshare

if [ -z "${NBDE_CONTAINERS-}" ]; then
  namespaces=(--mount)
  unshare "${namespaces[@]}" true 2> "$err" ||
    skip "no mount namespace: $(cat "$err")"
  NBDE_CONTAINERS=1 exec unshare "${namespaces[@]}" "$0" "$@"
fi

# crun takes no mixture of both versions of control groups.  Containers here need none.
if [ -e /sys/fs/cgroup/unified ]; then
  mount -t cgroup2 none /sys/fs/cgroup 2> "$err" ||
    skip "no control groups: $(cat "$err")"
fi

# Limits higher than our own may be forbidden.
mkdir "$tmp/containers"
export CONTAINERS_CONF=$tmp/containers/containers.conf \
  CONTAINERS_STORAGE_CONF=$tmp/containers/storage.conf
cat > "$CONTAINERS_CONF" <<END
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
events_logger = "file"
tmp_dir = "$tmp/containers/tmp"
END
cat > "$CONTAINERS_STORAGE_CONF" <<END
[storage]
driver = "overlay"
graphroot = "$tmp/containers/storage"
runroot = "$tmp/containers/run"
END
