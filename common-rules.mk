# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Flags for C, included by every Makefile.am that compiles something.

AM_CFLAGS = \
	$(WARN_CFLAGS) \
	$(WERROR_CFLAGS) \
	$(HARDEN_CFLAGS) \
	$(SANITIZE_CFLAGS)

AM_LDFLAGS = \
	$(HARDEN_LDFLAGS) \
	$(SANITIZE_CFLAGS)

CLEANFILES = *~

# What libclevis.a needs of another folder.
CONFINE_LIB = $(top_builddir)/common/sandbox/libconfine.a

# How to compile against libclevis.a, and what to link with it.
CLEVIS_CFLAGS = \
	-iquote $(top_srcdir)/common/clevis \
	-iquote $(top_srcdir)/common \
	$(LIBCRYPTSETUP_CFLAGS) \
	$(LUKSMETA_CFLAGS) \
	$(JOSE_CFLAGS) \
	$(JANSSON_CFLAGS) \
	$(LIBCURL_CFLAGS) \
	$(LIBCRYPTO_CFLAGS) \
	$(LIBSECCOMP_CFLAGS)

CLEVIS_LIBS = \
	$(LIBCRYPTSETUP_LIBS) \
	$(LUKSMETA_LIBS) \
	$(JOSE_LIBS) \
	$(JANSSON_LIBS) \
	$(LIBCURL_LIBS) \
	$(LIBCRYPTO_LIBS) \
	$(LIBSECCOMP_LIBS) \
	$(PTHREAD_LIBS)
