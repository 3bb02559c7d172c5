dnl SPDX-License-Identifier: GPL-2.0-or-later
dnl Copyright (C) 2026 The virt-nbde-unlock authors
dnl
dnl Dependencies are collected, not reported one a run: each macro notes what
dnl is missing, and NBDE_REPORT_MISSING stops once with the whole list and
dnl the packages that bring it.  Nothing here needs a C compiler or pkg.m4, so
dnl that a machine with nothing on it gets the whole list too.

dnl NBDE_MISSING(WHAT, DETAIL)
dnl WHAT is the first column of packaging/dependencies.txt.
AC_DEFUN([NBDE_MISSING],
  [nbde_missing="$nbde_missing $1"
   nbde_detail_[]m4_translit([$1], [-], [_])="$2"])

dnl NBDE_PROG(VARIABLE, WHAT, PROGRAMS)
AC_DEFUN([NBDE_PROG],
  [AC_ARG_VAR([$1], [path of $3])
   AC_PATH_PROGS([$1], [$3])
   AS_IF([test -z "$$1"], [NBDE_MISSING([$2], [])])])

dnl NBDE_LIBRARY(PREFIX, WHAT, PKG-CONFIG MODULE, VERSION)
dnl Sets PREFIX_CFLAGS and PREFIX_LIBS.
AC_DEFUN([NBDE_LIBRARY],
  [AC_ARG_VAR([$1_CFLAGS], [C compiler flags for $3, overriding pkg-config])
   AC_ARG_VAR([$1_LIBS], [linker flags for $3, overriding pkg-config])
   AC_MSG_CHECKING([for $3 >= $4])
   AS_IF([test -n "$$1_LIBS"],
     [AC_MSG_RESULT([given: $$1_LIBS])],
     [test -z "$PKG_CONFIG"],
     [AC_MSG_RESULT([cannot tell without pkg-config])
      NBDE_MISSING([$2], [])],
     [$PKG_CONFIG --exists "$3 >= $4" 2>&AS_MESSAGE_LOG_FD],
     [$1_CFLAGS=`$PKG_CONFIG --cflags "$3"`
      $1_LIBS=`$PKG_CONFIG --libs "$3"`
      nbde_found=`$PKG_CONFIG --modversion "$3"`
      AC_MSG_RESULT([$nbde_found])],
     [$PKG_CONFIG --exists "$3" 2>&AS_MESSAGE_LOG_FD],
     [nbde_found=`$PKG_CONFIG --modversion "$3"`
      AC_MSG_RESULT([too old: $nbde_found])
      NBDE_MISSING([$2], [>= $4, found $nbde_found])],
     [AC_MSG_RESULT([no])
      NBDE_MISSING([$2], [>= $4])])])

dnl NBDE_OCAML_PACKAGE(WHAT, FINDLIB PACKAGE)
AC_DEFUN([NBDE_OCAML_PACKAGE],
  [AC_MSG_CHECKING([for OCaml package $2])
   AS_IF([test -z "$OCAMLFIND"],
     [AC_MSG_RESULT([cannot tell without ocamlfind])
      NBDE_MISSING([$1], [])],
     ["$OCAMLFIND" query "$2" >/dev/null 2>&AS_MESSAGE_LOG_FD],
     [AC_MSG_RESULT([yes])],
     [AC_MSG_RESULT([no])
      NBDE_MISSING([$1], [])])])

dnl Stop if anything is missing.
AC_DEFUN([NBDE_REPORT_MISSING],
  [AS_IF([test -n "$nbde_missing"],
     [nbde_list="$srcdir/packaging/dependencies.txt"
      nbde_table=`printf '  %-32s %-24s %s' 'what' 'Debian package' 'Fedora package'`
      nbde_apt=; nbde_dnf=
      for nbde_what in $nbde_missing; do
        nbde_name=`printf %s "$nbde_what" | tr - _`
        eval "nbde_detail=\"\$nbde_detail_$nbde_name\""
        nbde_debian=`awk -v w="$nbde_what" '$[]1 == w {print $[]3}' "$nbde_list"`
        nbde_fedora=`awk -v w="$nbde_what" '$[]1 == w {print $[]4}' "$nbde_list"`
        nbde_row=`printf '  %-32s %-24s %s' \
          "$nbde_what $nbde_detail" "$nbde_debian" "$nbde_fedora"`
        nbde_table="$nbde_table
$nbde_row"
        case " $nbde_apt " in
          *" $nbde_debian "*) ;;
          *) nbde_apt="$nbde_apt $nbde_debian" ;;
        esac
        case " $nbde_dnf " in
          *" $nbde_fedora "*) ;;
          *) nbde_dnf="$nbde_dnf $nbde_fedora" ;;
        esac
      done
      AC_MSG_ERROR([missing:

$nbde_table

On Debian:  apt-get install --no-install-recommends$nbde_apt
On Fedora:  dnf install$nbde_dnf
])])])
