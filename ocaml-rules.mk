# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Rules for OCaml, which automake does not know.  Included after
# common-rules.mk by a Makefile.am that sets
#
#   ocaml_modules   modules of this folder in dependency order, without
#                   suffix; each has a .ml and a .mli.  Those of a folder
#                   below this one are named with it: guest/types
#   ocaml_tests     modules that are a test program each: a .ml, no .mli
#   ocaml_helpers   the same for programs that shell tests run
#   ocaml_testlib   modules that only tests and helpers are linked with, in
#                   dependency order; each has a .ml and a .mli
#   ocaml_dirs      other folders whose modules are used, from the top
#   ocaml_folders   folders below this one, if there are any
#   uses_FOLDER     those of them whose modules FOLDER may use; uses_main is
#                   for the modules of this folder itself
#   ocaml_link      what a program here is linked with, in order: libraries
#                   and modules (.cmxa, .cmx), then C libraries (.a)
#   ocaml_cclibs    the system's libraries that these need
#   ocaml_packages  packages of findlib that only this folder needs
#
# Compiled modules land in the build folder, which may be another one than
# the source folder.  All paths in .depend are as make sees them.

OCAML_PACKAGES = -thread -package guestfs,unix,threads.posix,str,xmlm$(ocaml_packages:%=,%)

OCAML_FLAGS = \
	$(OCAML_WARNINGS) \
	-g -bin-annot -safe-string -strict-sequence -strict-formats

# The folders whose modules the module that is made may use.
ocaml_seen = $(@D) $(uses_$(patsubst .,main,$(@D)))

OCAML_INCLUDES = \
	$(ocaml_dirs:%=-I $(top_builddir)/%) \
	$(foreach folder,$(ocaml_seen),-I $(folder))

OCAML_COMPILE = \
	$(OCAMLFIND) ocamlopt $(OCAML_FLAGS) $(OCAML_PACKAGES) \
	$(OCAML_INCLUDES)

# The C compiler that ocamlopt links with gets the flags of a C program.
OCAML_LINK = \
	$(OCAML_COMPILE) -linkpkg \
	$(foreach flag,$(CFLAGS) $(AM_LDFLAGS) $(LDFLAGS),-ccopt $(flag))

# For C files that include caml/*.h.
OCAML_CFLAGS = -isystem $(OCAMLLIB)

AM_V_OCAML = $(am__v_OCAML_@AM_V@)
am__v_OCAML_ = $(am__v_OCAML_@AM_DEFAULT_V@)
am__v_OCAML_0 = @echo "  OCAML   " $@;
am__v_OCAML_1 =

$(ocaml_modules:%=%.cmi) $(ocaml_testlib:%=%.cmi): %.cmi: %.mli | .depend
	$(AM_V_OCAML)$(OCAML_COMPILE) -c $< -o $@

$(ocaml_modules:%=%.cmx) $(ocaml_testlib:%=%.cmx): %.cmx: %.ml %.cmi | .depend
	$(AM_V_OCAML)$(OCAML_COMPILE) -c $< -o $@

$(ocaml_tests:%=%.cmx) $(ocaml_helpers:%=%.cmx): %.cmx: %.ml | .depend
	$(AM_V_OCAML)$(OCAML_COMPILE) -c $< -o $@

# Automake links no OCaml either; -cclib options come last.
OCAML_LIBS = $(foreach lib,$(ocaml_cclibs),-cclib $(lib))

$(ocaml_tests) $(ocaml_helpers): %: %.cmx $(ocaml_link) $(ocaml_testlib:%=%.cmx)
	$(AM_V_OCAML)$(OCAML_LINK) -o $@ $(ocaml_link) \
	  $(ocaml_testlib:%=%.cmx) $< $(OCAML_LIBS)

check_SCRIPTS = $(ocaml_tests) $(ocaml_helpers)
TESTS = $(ocaml_tests)
AM_TESTS_ENVIRONMENT = \
	top_srcdir='$(abs_top_srcdir)' top_builddir='$(abs_top_builddir)'; \
	export top_srcdir top_builddir;
LOG_COMPILER = $(top_srcdir)/tests/run-test

ocaml_sources = \
	$(ocaml_modules:%=%.ml) \
	$(ocaml_modules:%=%.mli) \
	$(ocaml_testlib:%=%.ml) \
	$(ocaml_testlib:%=%.mli) \
	$(ocaml_tests:%=%.ml) \
	$(ocaml_helpers:%=%.ml)

# ocamldep names source files by the paths that it is given.  Where this
# fails, "-include" is silent, so the rules above ask for it, too.  It is made
# anew when the lists of modules have changed.
.depend: Makefile $(ocaml_sources)
	$(AM_V_at)$(MKDIR_P) . $(ocaml_folders)
	$(AM_V_GEN)$(OCAMLFIND) ocamldep -native -one-line \
	  $(ocaml_dirs:%=-I $(abs_top_srcdir)/%) \
	  $(patsubst %/.,%,$(addprefix -I $(abs_srcdir)/,. $(ocaml_folders))) \
	  $(ocaml_sources:%=$(abs_srcdir)/%) | \
	  $(SED) -e 's,$(abs_srcdir)/,,g' \
	         -e 's,$(abs_top_srcdir)/,$(top_builddir)/,g' > $@-t
	$(AM_V_at)mv $@-t $@

-include .depend

EXTRA_DIST = $(ocaml_sources)

ocaml_made = *.cmi *.cmo *.cmx *.cmxa *.cmt *.cmti *.a *.o

CLEANFILES += \
	$(ocaml_tests) \
	$(ocaml_helpers) \
	$(ocaml_made) \
	$(foreach folder,$(ocaml_folders),$(ocaml_made:%=$(folder)/%)) \
	.depend .depend-t
