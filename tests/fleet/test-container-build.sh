#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The container image from nothing but Debian's packages and the source: a base image
# by mmdebstrap, and the stages of Containerfile.  Its programs start, and all that it
# has is what the image of test-container.sh has.
#
# slow
# timeout: 1200

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/fleet.sh"
. "$top_srcdir/tests/lib/containers.sh"
requires mmdebstrap

build=$top_srcdir/packaging/container/build
# "podman build" takes no limits from containers.conf, so that it runs no containers
# where limits cannot be raised.
export PODMAN_OPTIONS=--isolation=chroot
run_command "$build" --tag from-source
assert_status 0
run_command "$build" --tag from-build --built "$top_builddir"
assert_status 0

#   files IMAGE      the names of all that it has
files ()
{
  local id
  id=$(podman create "$1")
  podman export "$id" | tar -t | sed 's,/$,,' | sort
  podman rm "$id" > /dev/null
}
for image in from-source from-build; do
  run_command podman run --rm "$image" --version
  assert_status 0
  assert_stdout_matches '^virt-nbde-fleet [0-9]'
  run_command podman run --rm --entrypoint virt-nbde-unlock "$image" --version
  assert_status 0
  assert_equal 65534:65534 \
    "$(podman image inspect --format '{{.Config.User}}' $image)" 'the user'
  files $image > files.$image
done
grep -qx usr/bin/qemu-nbd files.from-source || fail 'the image has no qemu-nbd'
diff files.from-source files.from-build >&2 || fail 'the images differ'
