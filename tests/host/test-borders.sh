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
     ! -path './build-aux/*' ! -path './autom4te.cache/*' \
     ! -path '*/.deps/*' ! -path '*/core*' \
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

# Modules that are part of the program, or of its libraries.
modules ()
{
  find "$@" -name '*.ml' ! -name 'test_*' ! -name 'helper_*' ! -name testing.ml
}

# The code in OCaml files whose names are read, as FILE:LINE:CODE, without
# comments and texts.
code ()
{
  local files
  mapfile -t files
  perl -e '
    use strict;
    my $text = qr/"(?:[^"\\]|\\.)*"|\{\|.*?\|\}/s;
    my $char = qr/\x27(?:[^\\\x27\n]|\\(?:[0-9]{3}|x..|.))\x27/;
    my $comment; $comment =
      qr/\(\*(?:(??{ $comment })|$text|(?!\*\)|\(\*|").)*\*\)/s;
    for my $file (@ARGV) {
      open my $in, "<", $file or die "$file: $!";
      my $code = do { local $/; <$in> };
      $code =~ s/($comment|$text|$char)/" " . $1 =~ tr,\n,,cdr/ge;
      my $n = 0;
      print "$file:", ++$n, ":$_\n" for split /\n/, $code;
    }' "${files[@]}"
}

# Drop what is in these files.
except ()
{
  local file patterns=()
  for file; do patterns+=(-e "^$file:"); done
  search -v "${patterns[@]}"
}

# Which modules do modules use?  FILE: MODULE...
uses ()
{
  local files
  mapfile -t files
  ocamlfind ocamldep -modules "${files[@]}" || echo "${files[0]}: UNREADABLE"
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
    common/clevis/tang/http.c common/clevis/tang/http-words.c \
    common/clevis/tang/http-private.h common/clevis/base/url.c
}

only_pages_locks_memory ()
{
  c_files | lines '\<(m(un)?lock2?(all)?|madvise) \(' common/clevis/base/pages.c
}

# Keys are in secrets, in JSON values and in OpenSSL's numbers: nobody else has an
# arena, and nobody goes to OpenSSL's own.
only_secret_has_an_arena ()
{
  c_files | lines '\<arena_(new|take|give) \(' \
    common/clevis/base/arena.c common/clevis/base/arena.h \
    common/clevis/base/secret.c common/clevis/base/secret-crypto.c
  c_files | lines '\<((OPENSSL|CRYPTO)_secure_[a-z_]*|CRYPTO_set_mem_[a-z]*) \(' \
    common/clevis/base/secret-crypto.c
}

# Each folder of the library includes only folders above it in this list, and
# itself; the vault also what a process gives up.  Tests and what helps them may
# know all.
clevis_folders='base luks jose pins policy tang exchange vault'

library_folders_keep_their_order ()
{
  local folder above=
  for folder in $clevis_folders; do
    above+=${above:+|}$folder
    [ $folder != vault ] || above+='|sandbox'
    library | search "^common/clevis/$folder/" | lines '#[ \t]*include[ \t]*"' |
      search -vE "include[ \t]*\"($above)/"
  done
  library | search -vE "^common/clevis/(${clevis_folders// /|}|testlib)/"
}

# Only the program's side of the vault asks servers and opens files: what runs
# inside includes none of it.
inside_asks_nobody ()
{
  printf 'common/clevis/vault/%s\n' {inside,beyond,tell}.{c,h} |
    lines '#[ \t]*include[ \t]*"(policy/|tang/(http|queue|servers))'
}

library_knows_neither_ocaml_nor_guestfs ()
{
  find common/clevis -name '*.[ch]' |
    lines '#[ \t]*include[ \t]*[<"](caml/|guestfs)'
}

library_neither_exits_nor_prints ()
{
  {
    # The nursery ends processes that it has forked.
    library | lines '\<(_?_?exit|abort|quick_exit|errx?|error|perror) \(' \
      common/clevis/vault/nursery.c
    library | lines '\<(v?printf|puts|putchar|v?dprintf) \('
    library | lines '\<(v?fprintf|fputs|fputc|putc|fwrite) \(.*std(out|err)'
    library | lines '\<(assert|syslog) \('
  } | without_comments
}

only_the_binding_knows_guestfs_in_c ()
{
  c_files | search -v '^common/mlclevis/' |
    lines '#[ \t]*include[ \t]*[<"]guestfs'
}

# No function of the binding returns a key as text.
no_key_in_ocaml ()
{
  local mli=common/mlclevis/clevis.mli
  sed -n '/^module Key : sig/,/^end/p' $mli |
    search -nE -e '-> *(string|bytes)\>' -e '^ *(string|bytes)\>'
  echo $mli | lines 'Key\.t .*-> *(string|bytes)\>'
}

# The order of the stages stands in nbde/Makefile.am.  The compiler sees to it,
# too, as far as the Makefile.am passes on what it says.  nbde/fleet is a program of
# its own.
stages_keep_their_order ()
{
  local folder folders before='' file names name uses
  local -A where=()
  folders=$(sed -n 's/^ocaml_folders = //p' nbde/Makefile.am)
  [ "$(echo "$folders" | xargs -n 1 | sort)" = \
    "$(find nbde -mindepth 2 -name '*.ml' | cut -d/ -f2 | sort -u |
         grep -vx fleet)" ] ||
    echo 'nbde/Makefile.am: ocaml_folders are not the folders'
  for file in nbde/*/*.ml; do
    [[ $file != nbde/fleet/* ]] || continue
    name=${file##*/} name=${name%.ml} folder=${file%/*}
    where[${name^}]=${folder#nbde/}
  done
  for folder in $folders; do
    uses=$(sed -n "s/^uses_$folder =//p" nbde/Makefile.am)
    for name in $uses; do
      [[ " $before " == *" $name "* ]] ||
        echo "nbde/Makefile.am: $folder uses $name, which comes after it"
    done
    before+=" $folder"
    while IFS=: read -r file names; do
      for name in $names; do
        [[ " $uses $folder " == *" ${where[$name]-$folder} "* &&
           $name != UNREADABLE ]] ||
          echo "$file: uses $name of ${where[$name]-}"
      done
    done < <(find "nbde/$folder" -name '*.ml*' | uses)
  done
}

# The fleet knows guests by what the tool says of them: neither its stages, nor keys,
# nor libguestfs.
fleet_knows_no_stage ()
{
  local file names name
  while IFS=: read -r file names; do
    for name in $names; do
      [ -z "$(find nbde/fleet common/mltools -name "${name,}.ml")" ] || continue
      case $name in
        Guestfs | Clevis | UNREADABLE) ;;
        *) [ -n "$(find nbde common -name "${name,}.ml")" ] || continue ;;
      esac
      echo "$file: uses $name"
    done
  done < <(find nbde/fleet -name '*.ml*' | uses)
}

# Bytes of disks come to the layout; it does not go and get them.
layout_only_asks ()
{
  local file names name
  while IFS=: read -r file names; do
    for name in $names; do
      case $name in
        Unix | Sys | Filename | Process | Files | Guestfs | Clevis | UNREADABLE)
          echo "$file: uses $name" ;;
      esac
    done
  done < <(find nbde/layout -name '*.ml*' ! -name 'test_*' ! -name 'helper_*' \
             ! -name 'trial.*' ! -name 'sample.*' | uses)
  modules nbde/layout | search -v trial.ml | code |
    search -E ':.*\<(open_(in|out)[a-z_]*|In_channel|Out_channel)\>'
}

# What is in common knows no stage of the tool, and only the binding knows
# keys.
common_knows_neither_tool_nor_keys ()
{
  local file names name
  while IFS=: read -r file names; do
    for name in $names; do
      case $name in
        Clevis | UNREADABLE) ;;
        Guestfs)
          # It shows the progress of what libguestfs does.
          [ "$file" != common/mltools/progress.ml ] || continue
          [ "$file" != common/mltools/progress.mli ] || continue ;;
        *) [ -n "$(find nbde -name "${name,}.ml")" ] || continue
           [ -z "$(find common/mltools -name "${name,}.ml")" ] || continue ;;
      esac
      echo "$file: uses $name"
    done
  done < <(find common/{mltools,blocks,sandbox} -name '*.ml*' | uses)
}

# Others raise exceptions.  Warnings and messages go through Messages; the
# exceptions are how main prints and ends, what is on the terminal for a moment,
# and processes that were forked.
only_main_prints_errors_and_exits ()
{
  local ml=common/mltools
  modules nbde common | code | search -E ':.*\<(exit|at_exit|do_at_exit)\>' |
    except nbde/nbde.ml nbde/fleet/fleet.ml $ml/signals.ml
  modules nbde common | code | search -E ':.*\<_exit\>' |
    except nbde/nbde.ml nbde/give/handover.ml $ml/janitor.ml
  modules nbde common | code | search -E ':.*\<Messages\.error\>' |
    except nbde/nbde.ml nbde/fleet/fleet.ml
  modules nbde common | code |
    search -E -e ':.*\<(print|prerr)_[a-z]+\>' -e ':.*\<e?printf\>' \
      -e ':.*\<(output|output_[a-z]+|fprintf) +(Stdlib\.)?std(out|err)\>' \
      -e ':.*\<Unix\.(single_)?write[a-z_]* +Unix\.std(out|err)\>' |
    except nbde/nbde.ml nbde/fleet/fleet.ml nbde/fleet/show.ml \
      $ml/messages.ml $ml/progress.ml $ml/terminal.ml
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

# What starts an appliance is in tests/guest, and says so in a line that runtests and
# people look for; what is in tests/host and tests/fleet can be run by make check.  A
# test is started by its name alone, so no two have the same.
tests_are_in_their_rooms ()
{
  local need='# needs: appliance' file
  search -HxF -e "$need" tests/{host,fleet}/test-*.sh
  # Written apart, since this file is looked at as well.
  search -H -e '^[^#]*\<requires_''appliance\>' tests/{host,fleet}/test-*.sh
  search -LxF -e "$need" tests/guest/test-*.sh
  find tests -name 'test-*.sh' ! -path 'tests/host/*' ! -path 'tests/fleet/*' \
    ! -path 'tests/guest/*'
  find tests -name 'test-*.sh' -printf '%f\n' | sort | uniq -d
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
  library_folders_keep_their_order
  inside_asks_nobody
  library_knows_neither_ocaml_nor_guestfs
  library_neither_exits_nor_prints
  only_the_binding_knows_guestfs_in_c
  no_key_in_ocaml
  stages_keep_their_order
  fleet_knows_no_stage
  layout_only_asks
  common_knows_neither_tool_nor_keys
  only_main_prints_errors_and_exits
  sources_have_a_head
  modules_have_interfaces
  tests_are_in_their_rooms
  no_paths_of_one_machine
  nothing_unfinished
  sources_are_tidy
)

copy_tree "$top_srcdir" tree
cd tree
[ -e common/clevis/base/secret.c ] || fail 'the copy of the tree is not complete'

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

breaks only_http_uses_curl common/clevis/pins/pin.c '#include <curl/curl.h>'
breaks only_http_uses_curl nbde/x-c.c '# include "curl/multi.h"'
breaks only_pages_locks_memory common/clevis/luks/luks.c '  mlock (p, n);'
breaks only_pages_locks_memory common/clevis/base/arena.c '  mlock2 (p, n, 0);'
breaks only_secret_has_an_arena common/clevis/luks/luks.c '  p = arena_take (a, n);'
breaks only_secret_has_an_arena common/mlclevis/clevis-c.c \
  '  p = OPENSSL_secure_malloc (n);'
breaks only_secret_has_an_arena common/clevis/jose/jwe.c '  CRYPTO_secure_free (p);'
breaks library_folders_keep_their_order common/clevis/luks/luks.c \
  '#include "tang/http.h"'
breaks library_folders_keep_their_order common/clevis/base/url.h \
  '#include "policy/policy.h"'
breaks library_folders_keep_their_order common/clevis/tang/http.c \
  '#include "sandbox/confine.h"'
breaks inside_asks_nobody common/clevis/vault/inside.c \
  '#include "tang/servers.h"'
breaks library_knows_neither_ocaml_nor_guestfs common/clevis/luks/luks.c \
  '#include <caml/mlvalues.h>'
breaks library_knows_neither_ocaml_nor_guestfs common/clevis/luks/luks.h \
  '#include "guestfs.h"'
breaks library_neither_exits_nor_prints common/clevis/pins/pin.c '  exit (1);'
breaks library_neither_exits_nor_prints common/clevis/pins/pin.c '  printf ("x");'
breaks library_neither_exits_nor_prints common/clevis/pins/pin.c \
  '  fprintf (stderr, "x");'
breaks only_the_binding_knows_guestfs_in_c common/mltools/json-c.c \
  '#include <guestfs.h>'
breaks no_key_in_ocaml common/mlclevis/clevis.mli \
  'val to_string : Key.t -> keyslot:int -> string option'
sed -i 's/^module Key : sig/&\n  val bytes : t -> bytes/' \
  common/mlclevis/clevis.mli
[ -n "$(no_key_in_ocaml)" ] || fail 'no_key_in_ocaml does not look into Key'
cp "$top_srcdir/common/mlclevis/clevis.mli" common/mlclevis/clevis.mli
breaks stages_keep_their_order nbde/guest/memory.ml 'let x = Unlock.run'
breaks stages_keep_their_order nbde/give/keyfile.mli 'val x : Report.t'
breaks stages_keep_their_order nbde/show/report.ml 'open Handover'
breaks stages_keep_their_order nbde/guest/memory.ml 'let let'
breaks stages_keep_their_order nbde/Makefile.am 'uses_guest = options'
breaks fleet_knows_no_stage nbde/fleet/work.ml 'let x = Drives.find'
breaks fleet_knows_no_stage nbde/fleet/heard.ml 'let x = Clevis.init ()'
breaks fleet_knows_no_stage nbde/fleet/show.mli 'val x : Guestfs.guestfs'
breaks layout_only_asks nbde/layout/md.ml 'let x = Unix.openfile'
breaks layout_only_asks nbde/layout/step.mli 'val x : Clevis.Luks.t'
breaks layout_only_asks nbde/layout/lvm.ml 'let x = open_in "x"'
breaks common_knows_neither_tool_nor_keys common/blocks/node.ml \
  'let x = Clevis.init'
breaks common_knows_neither_tool_nor_keys common/mltools/json.ml \
  'let x = new Guestfs.guestfs'
breaks common_knows_neither_tool_nor_keys common/sandbox/sandbox.ml \
  'let x = Drives.add'
breaks only_main_prints_errors_and_exits nbde/options/uri.ml \
  'let x () = Printf.printf "x"'
breaks only_main_prints_errors_and_exits nbde/options/uri.ml \
  'let x = function "exit" -> exit 1'
breaks only_main_prints_errors_and_exits nbde/give/keyfile.ml \
  "let x () = if c = '\"' then prerr_endline \"x\" (* \" *)"
breaks only_main_prints_errors_and_exits nbde/guest/drives.ml \
  'let x () = Messages.error "x"'
breaks only_main_prints_errors_and_exits common/mlclevis/clevis.ml \
  'let x () = output_string stderr "x"'
breaks only_main_prints_errors_and_exits common/blocks/chain.ml \
  'let x () = Unix._exit 1'
echo '(* exit (* 1 *) "exit 1 *)" *) let x = "exit 1"' >> nbde/options/uri.ml
[ -z "$(only_main_prints_errors_and_exits)" ] ||
  fail 'only_main_prints_errors_and_exits sees comments or texts'
cp "$top_srcdir/nbde/options/uri.ml" nbde/options/uri.ml
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
