/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * For the unit tests: an HTTP server on 127.0.0.1, in a thread of the test,
 * that answers like a Tang server or misbehaves in one of many ways.
 */

#ifndef CLEVIS_TESTLIB_SERVER_H
#define CLEVIS_TESTLIB_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>

#include "policy/policy.h"

enum fault {
  FAULT_NONE,              /* a Tang server */
  FAULT_BLACK_HOLE,        /* accepts, reads, never answers */
  FAULT_CLOSE,             /* closes when it has the request */
  FAULT_RESET,             /* the same, with a TCP reset */
  FAULT_CLOSE_STATUS,      /* closes within the status line */
  FAULT_CLOSE_HEADERS,     /* closes within the headers */
  FAULT_PARTIAL,           /* closes within the body */
  FAULT_SLOW,              /* the reply, ten bytes a second */
  FAULT_NO_KEY,            /* 404 */
  FAULT_ERROR,             /* 500 */
  FAULT_BUSY,              /* 503 with Retry-After: 1 */
  FAULT_BUSY_LONG,         /* 429 with Retry-After: 3600 */
  FAULT_BUSY_FIRST,        /* 429 with Retry-After: 1 to a question that was not
                              asked before, else the reply */
  FAULT_REDIRECT,          /* 302 to another path of itself */
  FAULT_REDIRECT_LOOP,     /* 302 to the path that was asked for */
  FAULT_EMPTY,             /* 200 without a body */
  FAULT_HTML,              /* 200, text/html */
  FAULT_NO_TYPE,           /* the reply without a content type */
  FAULT_TYPE_SUFFIX,       /* application/jwk+jsonp */
  FAULT_TYPE_PARAMETER,    /* the reply, "; charset=utf-8" in its type */
  FAULT_NOT_HTTP,          /* another protocol */
  FAULT_NOT_TEXT,          /* bytes, as of a server that expects TLS */
  FAULT_LENGTH_LONG,       /* less comes than the Content-Length */
  FAULT_LENGTH_SHORT,      /* more comes than the Content-Length */
  FAULT_LENGTH_BAD,        /* a Content-Length that is no number */
  FAULT_HUGE,              /* a Content-Length of 1 TiB, and so it goes on */
  FAULT_ENDLESS_BODY,      /* chunks without end */
  FAULT_ONE_MORE,          /* in chunks, one byte more than the limit */
  FAULT_ENDLESS_HEADERS,
  FAULT_LONG_HEADER,       /* one header without end */
  FAULT_1XX_FLOOD,         /* 102 Processing, over and over */
  FAULT_NOT_JSON,
  FAULT_ARRAY,             /* [] */
  FAULT_CURVE,             /* a point of another curve */
  FAULT_OFF_CURVE,         /* no point */
  FAULT_ZERO,              /* coordinates of zero */
  FAULT_INFINITY,          /* no coordinates, as the point at infinity has */
  FAULT_OWN_D,             /* the reply with a private part added */
  FAULT_OTHER_KEY,         /* the answer of another key */
  FAULT_ECHO,              /* X itself */
  FAULT_GZIP,              /* a compressed bomb, said to be gzip */
};

struct server;

/* Start a server.  key is the exchange key that it answers with, borrowed; it
 * may be NULL if no answer is needed.
 */
extern struct server *server_start (const json_t *key, enum fault fault);

/* Behave differently from the next request on.  The second starts again to do
 * so n requests later than the next.
 */
extern void server_set_fault (struct server *server, enum fault fault);
extern void server_fault_for (struct server *server, int n,
                              enum fault fault, enum fault then);

/* What is sent for "/adv", unless there is a fault; before that it is 404. */
extern void server_advertise (struct server *server, const json_t *adv);

/* "http://127.0.0.1:PORT" */
extern const char *server_url (const struct server *server);
extern int server_port (const struct server *server);

/* Connections that were made; requests that came in whole, and the most that
 * were open at a time.
 */
extern int server_connections (struct server *server);
extern int server_requests (struct server *server);
extern int server_most_open (struct server *server);

/* The path of the last request; to be freed. */
extern char *server_path (struct server *server);

/* Serve a connection for as long as the client keeps it open. */
extern void server_keep_alive (struct server *server);

/* Let each answer wait until as many requests are open at a time. */
extern void server_gather (struct server *server, int n);

extern void server_stop (struct server *server);

/* The URL of a port that nobody listens on, until it is closed. */
extern const char *closed_port (int *fd);

/* A policy for such servers: without a proxy, with 127.0.0.1 allowed. */
extern struct policy *loopback_policy (void);

/* Of this process, with the deadline of the policy.  Return NULL as what they are
 * made of does.
 */
struct exchange;
struct questions;
struct preflight;
struct answers;
struct keydir;
extern struct exchange *direct_exchange (const struct policy *policy,
                                         struct clevis_error *err);
extern struct questions *direct_questions (const struct policy *policy,
                                           const struct answers *answers,
                                           struct clevis_error *err);
extern struct preflight *direct_preflight (const struct policy *policy,
                                           const struct keydir *keydir,
                                           bool probe,
                                           struct clevis_error *err);

#endif /* CLEVIS_TESTLIB_SERVER_H */
