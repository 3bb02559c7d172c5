#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The borders between the parts of the program, and other rules of the house
# that grep can watch.  Each rule is also broken once, in a copy of the tree,
# to show that its check can fail.

. "$(dirname "$0")/../lib/functions.sh"

# The sources, without what configure and make put beside them.
copy_tree ()
{
  local name
  mkdir "$2"
  (cd "$1" && find . -type f \
     ! -path './.git' ! -path './.git/*' ! -path './build/*' \
     ! -path './build-aux/*' \
     ! -path './autom4te.cache/*' ! -path '*/.deps/*' ! -path '*/core*' \
     ! -path './po/locale/*' ! -path './po/*.pot-t' \
     ! -name '*.[oa]' ! -name '*.cm*' ! -name '*~' ! -name '*.log' \
     ! -name '*.trs' ! -name '*.[17]' ! -name Makefile ! -name Makefile.in \
     ! -name configure ! -name aclocal.m4 ! -name config.h \
     ! -name config.h.in ! -name config.status ! -name stamp-h1 \
     ! -name run ! -name .depend ! -name .dirstamp ! -name '*.tar.xz' \
     -size -500k -print0) > files
  while IFS= read -r -d '' name; do
    # Programs that were built.
    case $(head -c 4 "$1/$name" | tr -d '\0') in
      $'\177ELF') continue ;;
    esac
    mkdir -p "$2/${name%/*}"
    cp "$1/$name" "$2/$name"
  done < files
}

# C files of the library that are part of the program.
library ()
{
  find common/clevis -name fuzz -prune -o -name '*.[ch]' \
    ! -name 'test*' ! -name decrypt-jwe.c ! -name unlock-file.c -print
}
c_files ()
{
  library
  find common/{mlclevis,mltools,sandbox} nbde -name '*.[ch]'
}

# Print each line that a pattern matches, in the files whose names are read,
# except those that are named.
#   lines PATTERN [FILE...]
lines ()
{
  look_for -n "$@"
}

# The same, only what matches.
matches ()
{
  look_for -o "$@"
}

look_for ()
{
  local file files=()
  while read -r file; do
    case " ${*:3} " in
      *" $file "*) ;;
      *) files+=("$file") ;;
    esac
  done
  # Nothing to look at is nothing that was looked at.
  [ ${#files[@]} -gt 0 ] || echo 'no file is looked at'
  search "$1" -HE -e "$2" -- "${files[@]}" </dev/null
}

# Drop lines in comments, as far as they begin in the way of this project.
without_comments ()
{
  search -vE '^[^:]*:[0-9]+: *(/?\*|.*/\*.*\*/$)'
}

# The rules.  Each prints what breaks it.

only_http_uses_curl ()
{
  c_files | lines '#[ \t]*include[ \t]*[<"]curl/' \
    common/clevis/http.c common/clevis/url.c
}

only_pages_locks_memory ()
{
  c_files | lines '\<(m(un)?lock2?(all)?|madvise) \(' common/clevis/pages.c
}

# Keys are in secrets, in JSON values and in OpenSSL's numbers: nobody else has an
# arena, and nobody goes to OpenSSL's own.
only_secret_has_an_arena ()
{
  c_files | lines '\<arena_(new|take|give) \(' \
    common/clevis/arena.c common/clevis/arena.h \
    common/clevis/secret.c common/clevis/secret-crypto.c
  c_files | lines '\<((OPENSSL|CRYPTO)_secure_[a-z_]*|CRYPTO_set_mem_[a-z]*) \(' \
    common/clevis/secret-crypto.c
}

library_knows_neither_ocaml_nor_guestfs ()
{
  find common/clevis -name '*.[ch]' |
    lines '#[ \t]*include[ \t]*[<"](caml/|guestfs)'
}

library_neither_exits_nor_prints ()
{
  {
    library | lines '\<(_?_?exit|abort|quick_exit|errx?|error|perror) \('
    library | lines '\<(v?printf|puts|putchar|v?dprintf) \('
    library | lines '\<(v?fprintf|fputs|fputc|putc|fwrite) \(.*std(out|err)'
    library | lines '\<(assert|syslog) \('
  } | without_comments
}

no_secret_in_ocaml ()
{
  # No function of the binding returns a key as text.
  find common/mlclevis -name 'clevis.mli' |
    lines 'Key\.t -> (string|bytes)|^[ \t]*t -> (string|bytes)'
}

sources_have_a_head ()
{
  local file
  find . -type f \( -name '*.[ch]' -o -name '*.ml' -o -name '*.mli' \
    -o -name '*.sh' -o -name '*.am' -o -name '*.ac' -o -name '*.m4' \
    -o -name '*.mk' -o -name '*.pod' -o -name '*.md' -o -name '*.bash' \
    -o -name '*.in' -o -perm -100 \) ! -path './po/LINGUAS' |
    while read -r file; do
      head -n 6 "$file" | grep -q 'SPDX-License-Identifier: GPL-2.0-or-later' ||
        echo "$file: no SPDX line"
      head -n 8 "$file" |
        grep -q 'Copyright (C) 2026 The virt-nbde-unlock authors' ||
        echo "$file: no copyright line"
    done
}

modules_have_interfaces ()
{
  local file
  find common nbde -name '*.ml' ! -name 'test_*' ! -name 'helper_*' |
    while read -r file; do
      [ -e "${file}i" ] || echo "$file: no .mli"
    done
}

# What starts an appliance is in tests/guest, and says so in a line that runtests
# and people look for; what is in tests/host can be run by make check.  A test is
# started by its name alone, so no two have the same.
tests_are_in_their_rooms ()
{
  local need='# needs: appliance' file
  search -HxF -e "$need" tests/host/test-*.sh
  # Written apart, since this file is looked at as well.
  search -H -e '^[^#]*\<requires_''appliance\>' tests/host/test-*.sh
  search -LxF -e "$need" tests/guest/test-*.sh
  find tests -name 'test-*.sh' ! -path 'tests/host/*' ! -path 'tests/guest/*'
  for file in tests/host/test-*.sh; do
    [ ! -e "tests/guest/${file##*/}" ] || echo "$file: also in tests/guest"
  done
}

# Absolute paths of one machine only: those whose first folder is not one that
# every system has, and those in somebody's home.
no_paths_of_one_machine ()
{
  local dirs='bin|boot|dev|etc|lib|lib64|nonexistent|proc|run|sbin|srv|sys'
  dirs+='|tmp|usr|var'
  # Of Guix and NixOS.
  dirs+='|gnu|nix'
  # Paths of a URL.
  dirs+='|rec|adv'
  # What tests of a program give it may be any path.
  find . -type f ! -name .gitignore ! -name 'test_*.ml' ! -name 'test-*.c' \
    ! -path './po/*.po*' |
    matches "(^|[ =<(])[\"'\`]?/[a-z0-9_-]+/[A-Za-z0-9_-]+" |
    search -vE ":[^/]*/($dirs)/" |
    search -vE ":[^/]*/home/alice\$"
}

nothing_unfinished ()
{
  # Written apart, since this file is looked at as well.
  find . -type f | lines "\\<(TO""DO|FIX""ME|TB""D)\\>"
}

sources_are_tidy ()
{
  find . -type f \( -name '*.[ch]' -o -name '*.ml' -o -name '*.mli' \
    -o -name '*.sh' \) | lines $'[ \t]$|\r$'
  find . -type f \( -name '*.[ch]' -o -name '*.ml' -o -name '*.mli' \) |
    lines $'\t'
}

rules=(
  only_http_uses_curl
  only_pages_locks_memory
  only_secret_has_an_arena
  library_knows_neither_ocaml_nor_guestfs
  library_neither_exits_nor_prints
  no_secret_in_ocaml
  sources_have_a_head
  modules_have_interfaces
  tests_are_in_their_rooms
  no_paths_of_one_machine
  nothing_unfinished
  sources_are_tidy
)

copy_tree "$top_srcdir" tree
cd tree
[ -e common/clevis/secret.c ] || fail 'the copy of the tree is not complete'

for rule in "${rules[@]}"; do
  broken=$("$rule")
  [ -z "$broken" ] || fail "$rule: $broken"
done

# Break a rule:  breaks RULE FILE LINE
breaks ()
{
  local kept=../kept
  rm -f "$kept"
  [ ! -e "$2" ] || cp "$2" "$kept"
  printf '%s\n' "$3" >> "$2"
  [ -n "$("$1")" ] || fail "$1 does not see: $3 (in $2)"
  if [ -e "$kept" ]; then cp "$kept" "$2"; else rm "$2"; fi
}

breaks only_http_uses_curl common/clevis/pin.c '#include <curl/curl.h>'
breaks only_http_uses_curl nbde/x-c.c '# include "curl/multi.h"'
breaks only_pages_locks_memory common/clevis/luks.c '  mlock (p, n);'
breaks only_pages_locks_memory common/clevis/arena.c '  mlock2 (p, n, 0);'
breaks only_secret_has_an_arena common/clevis/luks.c '  p = arena_take (a, n);'
breaks only_secret_has_an_arena common/mlclevis/clevis-c.c \
  '  p = OPENSSL_secure_malloc (n);'
breaks only_secret_has_an_arena common/clevis/jwe.c '  CRYPTO_secure_free (p);'
breaks library_knows_neither_ocaml_nor_guestfs common/clevis/luks.c \
  '#include <caml/mlvalues.h>'
breaks library_knows_neither_ocaml_nor_guestfs common/clevis/luks.h \
  '#include "guestfs.h"'
breaks library_neither_exits_nor_prints common/clevis/pin.c '  exit (1);'
breaks library_neither_exits_nor_prints common/clevis/pin.c '  printf ("x");'
breaks library_neither_exits_nor_prints common/clevis/pin.c \
  '  fprintf (stderr, "x");'
breaks no_secret_in_ocaml common/mlclevis/clevis.mli \
  '  val to_string : Key.t -> string'
breaks sources_have_a_head nbde/new.ml 'let x = 1'
breaks sources_have_a_head docs/new.md '# New'
breaks modules_have_interfaces nbde/new.ml 'let x = 1'
breaks tests_are_in_their_rooms tests/host/test-usage.sh '# needs: appliance'
breaks tests_are_in_their_rooms tests/host/test-new.sh '  requires_''appliance'
breaks tests_are_in_their_rooms tests/guest/test-new.sh 'requires_''appliance'
breaks tests_are_in_their_rooms tests/host/test-list.sh '# A name twice'
breaks tests_are_in_their_rooms tests/test-new.sh '# A test'
breaks no_paths_of_one_machine tests/new.sh "cat /""scratch/project/file"
breaks no_paths_of_one_machine docs/new.md "see /""home/somebody/notes"
breaks nothing_unfinished nbde/nbde.ml "(* TO""DO: later *)"
breaks sources_are_tidy nbde/nbde.ml 'let x = 1 '
