# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A server that is not a Tang server: reads one HTTP request from standard
# input and answers with the bytes of a file.
#
# shellcheck shell=bash

length=0
while IFS= read -r line; do
  line=${line%$'\r'}
  echo "$line" >&2
  case ${line,,} in
    content-length:*) length=$((${line#*:})) ;;
    '') break ;;
  esac
done
[ "$length" -eq 0 ] || head -c "$length" >/dev/null
exec cat "$1"
