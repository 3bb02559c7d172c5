/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The tree of pins in a binding.  A tang pin is a leaf, an sss pin a node
 * whose children are pins of any kind.  Parsing makes the whole tree and asks
 * nobody, so that --list shows the same tree that an exchange walks.
 *
 * To add a pin: write pin-NAME.c with a struct pin_type, name it in pin.c.
 */

#ifndef CLEVIS_PIN_H
#define CLEVIS_PIN_H

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>

#include "base/clevis-error.h"
#include "jose/jwe.h"
#include "base/secret.h"

struct pin;
struct pin_run;

/* What a kind of pin does.  Functions may be NULL where there is nothing to
 * do.
 */
struct pin_type {
  const char *name;        /* as in the JWE header: "tang" */
  const char *alg;         /* that its JWE must have; NULL if it is never
                              decrypted here */

  /* Read the pin's configuration from the protected header, make children.
   * Returns 0, or -1 with CLEVIS_ERR_TOKEN, _LIMIT or _UNSUPPORTED.
   */
  int (*parse) (struct pin *pin, const json_t *config,
                struct clevis_error *err);

  /* Begin to recover the plaintext.  Ends, now or later, in pin_done or
   * pin_fail.
   */
  void (*start) (struct pin *pin, struct pin_run *run);

  /* A child is done or failed; called for pins with children. */
  void (*child_ended) (struct pin *pin, struct pin *child,
                       struct pin_run *run);

  /* What start began is no longer needed. */
  void (*cancel) (struct pin *pin);

  void (*free) (struct pin *pin);
};

enum pin_state {
  PIN_IDLE,                /* not started */
  PIN_RUNNING,
  PIN_DONE,                /* plaintext is there */
  PIN_FAILED,              /* error says why */
  PIN_CANCELLED,
};

/* One public parameter for people, as --list shows it. */
struct pin_param {
  char *name;
  char *value;
};

struct pin {
  const struct pin_type *type;
  char *name;              /* "tang", "sss", or what the header says */
  char *path;              /* "tang", "sss[1].tang" */
  struct jwe *jwe;
  struct pin *parent;      /* NULL at the root */
  struct pin **children;
  size_t nr_children;
  int threshold;           /* t of an sss pin, else 0 */
  size_t share_size;       /* bytes of what its children recover, else 0 */
  void *data;              /* of the type */

  /* For people; NULL or empty where it does not apply. */
  char *url;               /* of a tang pin, as in the token */
  char *kid;               /* thumbprint of the exchange key */
  const char *thp_alg;     /* "S256" or "S1" */
  char *curve;             /* "P-521" */
  struct pin_param *params;
  size_t nr_params;
  char *warning;           /* "the key lies in clear in the header" */

  size_t nr_pins;          /* of the whole tree, counted at its root */
  size_t nr_sss;           /* sss pins of the whole tree, the same */
  bool too_large;          /* of a root: the tree exceeds a limit */
  void *owner;             /* of a root: for whoever runs the tree */
  size_t device;           /* of a root: number of the device, whose turn its
                              questions take */

  /* The run. */
  enum pin_state state;
  struct secret *plaintext;
  struct clevis_error error;
  char *address;           /* that was connected to, of a tang pin */
  double started;          /* seconds of the monotonic clock */
  double seconds;          /* from start to end */
};

/* Parse a binding: a JWE, as a string in compact serialisation or an object.
 * What is wrong with a part of the tree is kept in that pin's error with state
 * PIN_FAILED, since an sss pin may do without it; only a root that cannot be
 * read at all gives NULL, with CLEVIS_ERR_TOKEN, _LIMIT or _SYSTEM.
 */
extern struct pin *pin_parse (const json_t *jwe, struct clevis_error *err);
extern void pin_free (struct pin *pin);

/* For the types: */

/* Parse the JWE of child number i of parent.  What is wrong with the child is
 * kept in it; -1 means that the tree is too large (CLEVIS_ERR_LIMIT) or that
 * memory is short.
 */
extern int pin_add_child (struct pin *parent, const json_t *jwe, size_t i,
                          struct clevis_error *err);

/* Count one more sss pin in the tree of this one.  Returns 0, or -1 with
 * CLEVIS_ERR_LIMIT if the tree has too many.
 */
extern int pin_count_sss (struct pin *pin, struct clevis_error *err);
extern int pin_add_param (struct pin *pin, const char *name,
                          const char *value, struct clevis_error *err);

/* Start a pin; one that failed already (when it was parsed) is reported to its
 * parent as failed.
 */
extern void pin_start (struct pin *pin, struct pin_run *run);

/* Stop a pin and everything below it, unless it has ended. */
extern void pin_cancel (struct pin *pin);

/* The pin's plaintext is known; it passes to the pin. */
extern void pin_done (struct pin *pin, struct pin_run *run,
                      struct secret *plaintext);

/* The pin failed for the reason in pin->error. */
extern void pin_fail (struct pin *pin, struct pin_run *run);

/* Call fn for each leaf, in the order of the tree. */
extern void pin_foreach_leaf (struct pin *pin,
                              void (*fn) (struct pin *leaf, void *opaque),
                              void *opaque);

extern const struct pin_type pin_tang_type;
extern const struct pin_type pin_sss_type;
extern const struct pin_type pin_null_type;
extern const struct pin_type pin_unsupported_type;

#endif /* CLEVIS_PIN_H */
