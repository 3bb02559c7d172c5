/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What the files vault*.c share.  Nobody else includes this.
 */

#ifndef CLEVIS_VAULT_PRIVATE_H
#define CLEVIS_VAULT_PRIVATE_H

#include <sys/types.h>

#include "vault/channel.h"
#include "vault/nursery.h"
#include "vault/vault.h"

/* How long the vault may take, in seconds.  Tests have less time. */
struct vault_patience {
  double answer;           /* for a whole command that is not an exchange: to
                              load a header of the worst kind takes seconds on
                              a busy machine */
  double point;            /* to make the point of a question */
  double grace;            /* beyond the deadline of an exchange, at which it
                              ends, but not on a machine without time for it */
};
extern struct vault_patience vault_patience;

/* Bytes of a header that were supplied. */
struct supplied {
  struct supplied *next;
  uint64_t offset;
  size_t len;
  unsigned char bytes[];
};

enum vault_answers {
  ANSWERS_OF_SERVERS,
  ANSWERS_OF_KEYDIR,
  ANSWERS_COLLECTED,       /* there are none, requests are collected */
  ANSWERS_OF_FILE,
};

struct vault_luks {
  struct vault *v;
  struct vault_luks *next, **prev; /* of all headers of the vault */
  uint32_t id;             /* in the vault that there is now; 0: none */
  char *device;
  uint64_t size;           /* bytes */
  struct supplied *first, **last;
  uint64_t fetched;        /* bytes of them */
  size_t nr_extents;
  enum luks_state state;   /* that vault_luks_next returned last */
  bool is_fatal;           /* a vault died at it */
  bool is_freed;           /* by its owner, while there is a run */
  struct clevis_error death;
  struct heard_luks *list;

  /* That of vault_luks_unlock, or NULL; and whether the vault that there is now
   * has the volume key.
   */
  struct vault_key *key;
  int keyslot;
  bool is_unlocked;
};

struct vault_key {
  struct vault *v;
  struct vault_key *next, **prev;
  uint32_t id;             /* in the vault that there is now; 0: none */
  int fd;                  /* where it was read, or -1 */
  off_t start;             /* in it */
  bool chomped;
  bool is_freed;           /* by its owner, while there is a run */
  bool absent[256];        /* bytes that were looked for and not found */

  /* If it was recovered: from the keyslot of which device, and how. */
  struct vault_luks *from;
  struct policy *policy;
  enum vault_answers answers;
};

struct vault {
  struct nursery *nursery;
  pid_t pid;               /* of the vault that there is now, or 0 */
  struct channel ch;
  struct wall wall;
  bool ended;              /* for good */
  struct vault_run *run;   /* that has begun and not ended, or NULL */
  bool is_busy;            /* it takes no commands now */
  double until;            /* when the command must have ended, of the clock;
                              0: there is none */
  struct vault_luks *headers;
  struct vault_key *keys;
  enum vault_answers answers;
  char *keydir;
  char *names[2];          /* of the state and the replies */
  int fds[2];              /* of them */
  struct message heard;    /* the last message that came */
  bool failed;             /* it was the end of a command: see it */
};

/* Make sure that there is a vault that takes commands; one that takes the
 * place of another is told all that the other knew.
 */
extern int vault_ready (struct vault *v, struct clevis_error *err);

/* The vault that there is now has died, or is not to be trusted any more: end
 * it. device is where it was at, or NULL.  Always returns -1.
 */
extern int vault_died (struct vault *v, const char *device,
                       struct clevis_error *err);

/* Send a command, with descriptors. */
extern int vault_send (struct vault *v, const struct message *m,
                       const int *fds, size_t nr_fds);

/* The next message of the answer to a command, with v as opaque (a hear_fn).
 * NULL at its end, of which vault_finish says how it was.
 */
extern const struct message *vault_next (void *opaque);

/* The end of the answer: DONE, which is borrowed, or NULL with what FAILED
 * says, or since the vault has died.
 */
extern const struct message *vault_finish (struct vault *v,
                                           const char *device,
                                           struct clevis_error *err);

/* A whole command whose answer is DONE alone, to a vault that is ready. */
extern const struct message *vault_command (struct vault *v,
                                            const struct message *m,
                                            const int *fds, size_t nr_fds,
                                            const char *device,
                                            struct clevis_error *err);

/* A run has ended: free what owners have freed meanwhile. */
extern void vault_run_ended (struct vault *v);

/* Tell a new vault what an earlier one knew.  vault_luks_renew and
 * vault_key_renew say nothing of what this one cannot have for another reason
 * than that it died.
 */
extern void vault_luks_renew (struct vault_luks *luks);
extern void vault_key_renew (struct vault_key *key);
extern int vault_answers_renew (struct vault *v, struct clevis_error *err);
extern void vault_answers_clear (struct vault *v);

/* Make sure that there is a vault that has this key. */
extern int vault_key_ready (struct vault_key *key, struct clevis_error *err);

/* Recover a key again that went with a vault (vault-run.c). */
extern int vault_key_recover (struct vault_key *key,
                              struct clevis_error *err);

/* A key that the vault has under this number. */
extern struct vault_key *vault_key_new (struct vault *v, uint32_t id,
                                        struct clevis_error *err);

/* Asks servers for the vault (vault-ask.c). */
struct vault_ask;
struct vault_ask_what {
  const struct policy *policy;
  size_t nr_devices;
  bool is_preflight, probe;
};
extern struct vault_ask *vault_ask_new (struct vault *v,
                                        const struct vault_ask_what *what,
                                        struct clevis_error *err);
extern void vault_ask_free (struct vault_ask *va);

/* Do what the vault asks for; wait at most ms milliseconds for more.  Returns
 * 1 if there may be more, 0 if what comes next ends the command
 * (vault_finish), or -1 if the vault has to be given up.
 */
extern int vault_ask_step (struct vault_ask *va, int ms,
                           struct clevis_error *err);

#endif /* CLEVIS_VAULT_PRIVATE_H */
