/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Somebody who asks Tang servers: tang/servers.c does it from this process, and
 * the vault has another process do it.  What crosses is only what a server may
 * see: its URL, the thumbprint of a key, a point of a curve, and the reply.
 */

#ifndef CLEVIS_ASKER_H
#define CLEVIS_ASKER_H

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>

#include "base/clevis-error.h"

struct asker;
struct asked;

enum ask_what {
  ASK_RECOVERY,            /* POST URL/rec/KID with a point */
  ASK_ADVERTISEMENT,       /* GET URL/adv */
};

/* What came back.  Everything is borrowed until answer returns. */
struct answer {
  struct clevis_error error; /* CLEVIS_OK if there is a whole reply; else
                                CLEVIS_ERR_UNREACHABLE, _POLICY, _REPLY (too
                                large, not HTTP), _TOKEN (the URL) or _SYSTEM */
  long status;             /* HTTP status */
  const char *content_type; /* "" if the server named none */
  const char *body;
  size_t len;              /* bytes of body, at most BOUND_REPLY_BODY */
  const char *address;     /* numeric, connected to or tried last; or NULL */
  const char *mapped;      /* URL that was asked, if the user maps that of the
                              token; or NULL */
  const char *certificate_expiry; /* of https, as the certificate says it; or
                                     NULL */
  double seconds;          /* from start to end */
};

/* What is asked; strings are borrowed until it has ended. */
struct ask {
  enum ask_what what;
  const char *url;         /* of the token, as in struct url's base */
  const char *kid;         /* thumbprint of the key */
  size_t device;           /* number (0, 1, ...) of the one that asks */
  bool may_share;          /* what another run was answered a moment ago will
                              do, but for the body of an answer to a point */
  void *opaque;            /* of the functions below */

  /* Called just before it is sent for the first time: returns the point to be
   * posted, a public JWK that the caller frees; or NULL and why, and that is
   * the end of it.  Not for an advertisement.
   */
  json_t *(*point) (void *opaque, struct clevis_error *err);

  /* Called once, from asker_step: it has ended. */
  void (*done) (const struct answer *answer, void *opaque);

  /* Called from asker_step: device may not have this asked (it names too many
   * servers), for the reason in err.  Others who have joined may.
   */
  void (*refused) (size_t device, const struct clevis_error *err,
                   void *opaque);
};

struct asker_type {
  struct asked *(*ask) (struct asker *asker, const struct ask *ask,
                        struct clevis_error *err);
  int (*join) (struct asked *asked, size_t device, struct clevis_error *err);
  void (*cancel) (struct asked *asked);
  char *(*where) (struct asker *asker, const char *url,
                  struct clevis_error *err);
  int (*step) (struct asker *asker, int ms, struct clevis_error *err);
  void (*wakeup) (struct asker *asker);
  void (*free) (struct asker *asker);
};

/* Begins every kind of asker. */
struct asker {
  const struct asker_type *type;
};

/* Begin to ask.  Returns a handle that lives until done was called or it was
 * cancelled; or NULL, and nothing is ever called: CLEVIS_ERR_SYSTEM.
 */
static inline struct asked *
asker_ask (struct asker *asker, const struct ask *ask,
           struct clevis_error *err)
{
  return asker->type->ask (asker, ask, err);
}

/* Another device asks the same, and lends it its turn.  Returns 0, or -1 with
 * CLEVIS_ERR_SYSTEM.
 */
static inline int
asker_join (struct asker *asker, struct asked *asked, size_t device,
            struct clevis_error *err)
{
  return asker->type->join (asked, device, err);
}

/* Stop without calling done.  asked may be NULL. */
static inline void
asker_cancel (struct asker *asker, struct asked *asked)
{
  if (asked)
    asker->type->cancel (asked);
}

/* Where another machine is to ask what would be asked at this URL: the URL
 * without its path below it, which the caller frees; or NULL:
 * CLEVIS_ERR_POLICY, _TOKEN or _SYSTEM.
 */
static inline char *
asker_where (struct asker *asker, const char *url, struct clevis_error *err)
{
  return asker->type->where (asker, url, err);
}

/* Move all on; wait at most ms milliseconds.  Returns 0, or -1 with
 * CLEVIS_ERR_SYSTEM.
 */
static inline int
asker_step (struct asker *asker, int ms, struct clevis_error *err)
{
  return asker->type->step (asker, ms, err);
}

/* Let a waiting asker_step return.  May be called by any thread. */
static inline void
asker_wakeup (struct asker *asker)
{
  asker->type->wakeup (asker);
}

/* What is still asked is cancelled.  asker may be NULL. */
static inline void
asker_free (struct asker *asker)
{
  if (asker)
    asker->type->free (asker);
}

#endif /* CLEVIS_ASKER_H */
