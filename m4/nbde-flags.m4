dnl SPDX-License-Identifier: GPL-2.0-or-later
dnl Copyright (C) 2026 The virt-nbde-unlock authors
dnl
dnl Which flags the compiler and the linker take.

dnl NBDE_TRY_CFLAGS(VARIABLE, FLAGS)
dnl Append each of the FLAGS that the compiler takes to VARIABLE.
AC_DEFUN([NBDE_TRY_CFLAGS],
  [for nbde_flag in m4_normalize([$2]); do
     nbde_saved="$CFLAGS"
     CFLAGS="$CFLAGS -Werror $nbde_flag"
     AC_MSG_CHECKING([whether $CC takes $nbde_flag])
     AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[]], [[]])],
       [AC_MSG_RESULT([yes])
        $1="$$1 $nbde_flag"],
       [AC_MSG_RESULT([no])])
     CFLAGS="$nbde_saved"
   done])

dnl NBDE_TRY_LDFLAGS(VARIABLE, FLAGS)
AC_DEFUN([NBDE_TRY_LDFLAGS],
  [for nbde_flag in m4_normalize([$2]); do
     nbde_saved="$LDFLAGS"; nbde_saved_cflags="$CFLAGS"
     LDFLAGS="$LDFLAGS $nbde_flag"
     CFLAGS="$CFLAGS -Werror -fPIE"
     AC_MSG_CHECKING([whether the linker takes $nbde_flag])
     AC_LINK_IFELSE([AC_LANG_PROGRAM([[]], [[]])],
       [AC_MSG_RESULT([yes])
        $1="$$1 $nbde_flag"],
       [AC_MSG_RESULT([no])])
     LDFLAGS="$nbde_saved"; CFLAGS="$nbde_saved_cflags"
   done])
