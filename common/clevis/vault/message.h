/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What crosses the wall between the vault and the program: structs of a fixed
 * size, one a datagram, that are looked at before anybody uses them.  Neither
 * side believes the other: the vault may have been taken over by a disk, and
 * what the program sends has bytes of disks and servers in it.
 *
 * Never a key: those cross as descriptors, beside a message.
 */

#ifndef CLEVIS_MESSAGE_H
#define CLEVIS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>

#include "base/bounds.h"
#include "base/clevis-error.h"

/* What a message is for, and the member of struct message that it has. */
enum message_tag {
  MESSAGE_NONE,

  /* To the vault.  Each is answered by MESSAGE_DONE or MESSAGE_FAILED, after
   * what it asks for.
   */
  MESSAGE_LUKS_NEW,        /* text: name of the device; size in b */
  MESSAGE_LUKS_DATA,       /* data: bytes of the device at offset */
  MESSAGE_LUKS_SUPPLIED,   /* plain: all of an extent was sent */
  MESSAGE_LUKS_NEXT,       /* plain: DONE has a state, and an extent */
  MESSAGE_LUKS_LIST,       /* plain: gives INFO, KEYSLOT, TOKEN, PIN, ... */
  MESSAGE_LUKS_QUICKEN,    /* plain: key in other, keyslot in a; gives EXTENT */
  MESSAGE_LUKS_READ,       /* plain: offset a, length b; gives DATA */
  MESSAGE_LUKS_DATA_EXTENT, /* plain: DONE has it: a, b, sectors in other */
  MESSAGE_LUKS_UNLOCK,     /* plain: key in other, keyslot in a */
  MESSAGE_LUKS_DECRYPT,    /* data: at offset of what is opened; gives DATA */
  MESSAGE_LUKS_FREE,       /* plain */
  MESSAGE_KEY_READ,        /* plain, with a descriptor: all of it */
  MESSAGE_KEY_CHOMP,       /* plain */
  MESSAGE_KEY_LENGTH,      /* plain */
  MESSAGE_KEY_WRITE,       /* plain, with a descriptor: as it is */
  MESSAGE_KEY_FREE,        /* plain */
  MESSAGE_KEYDIR_NEW,      /* text: name of the folder */
  MESSAGE_KEYDIR_ADD,      /* text, with a descriptor: name of a file */
  MESSAGE_KEYDIR_CHECK,    /* plain */
  MESSAGE_OFFLINE_COLLECT, /* plain */
  MESSAGE_OFFLINE_COUNT,   /* plain */
  MESSAGE_OFFLINE_LIST,    /* plain: gives TEXT (its id), ASK, POINT of each */
  MESSAGE_OFFLINE_WRITE,   /* text, with a descriptor: name; the state */
  MESSAGE_OFFLINE_NAME,    /* text: name of the file of replies */
  MESSAGE_OFFLINE_LOAD,    /* text, with two descriptors: name of the state */
  MESSAGE_ANSWERS_FREE,    /* plain: keys of servers, requests, replies */
  MESSAGE_EXCHANGE_NEW,    /* plain: deadline in a, milliseconds */
  MESSAGE_PREFLIGHT_NEW,   /* plain: is a probe allowed, in a? */
  MESSAGE_ADD_DEVICE,      /* plain: a LUKS header, to what was made last */
  MESSAGE_RUN,             /* plain: until DONE, it is the vault who asks */
  MESSAGE_RESULT,          /* plain: of a device; gives OUTCOME, LEAF, ... */
  MESSAGE_RUN_FREE,        /* plain */
  MESSAGE_STATUS,          /* plain: DONE has bytes of keys, and flags */

  /* To the vault while it runs an exchange; not answered. */
  MESSAGE_MAKE_POINT,      /* plain: it is the turn of a question */
  MESSAGE_ANSWER,          /* answer; ERROR comes before, BODY behind */
  MESSAGE_BODY,            /* data: bytes of an answer */
  MESSAGE_REFUSED,         /* plain, behind ERROR: to a device, in a */
  MESSAGE_WHERE_IS,        /* text, or empty behind ERROR */

  /* From the vault. */
  MESSAGE_DONE,            /* plain */
  MESSAGE_FAILED,          /* error */
  MESSAGE_ERROR,           /* error of what comes next */
  MESSAGE_EXTENT,          /* plain: offset a, length b */
  MESSAGE_INFO,
  MESSAGE_KEYSLOT,
  MESSAGE_TOKEN,
  MESSAGE_PIN,
  MESSAGE_PARAM,
  MESSAGE_OUTCOME,
  MESSAGE_LEAF,
  MESSAGE_CHECKED,         /* a leaf of a preflight */
  MESSAGE_TEXT,            /* text: a server, or a warning */
  MESSAGE_ASK,
  MESSAGE_JOIN,            /* plain: a device, in a */
  MESSAGE_CANCEL,          /* plain */
  MESSAGE_POINT,           /* point; empty behind ERROR */
  MESSAGE_WHERE,           /* text: a URL */
  MESSAGE_LAST
};

/* Bytes of text, the NUL at its end included.  What is longer is cut when it is
 * sent; none of it decides anything but URL and KID, which are never longer.
 */
#define TEXT_NAME 256
#define TEXT_LINE 1024
#define TEXT_PATH 704      /* of a pin: BOUND_PIN_DEPTH names with numbers */
#define TEXT_URL (BOUND_URL + 1)
#define TEXT_KID 64
#define TEXT_SHORT 64
#define TEXT_COORDINATE 96 /* 66 bytes in base64url are 88 characters */

/* Bytes of a device or of a reply in one message: whole sectors. */
#define DATA_BYTES (32 * 1024)

/* Text that may be missing. */
#define MAYBE(size) struct { uint8_t is_there; char text[size]; }

struct message_plain {
  uint32_t other;          /* a second object */
  int64_t a, b;
  double seconds;
};

struct message_text {
  int64_t b;
  uint8_t a;
  MAYBE (TEXT_URL) text;
};

struct message_data {
  uint64_t offset;
  uint32_t len;
  uint8_t bytes[DATA_BYTES];
};

struct message_error {
  int32_t code, token, keyslot, sys_errno, http_status;
  MAYBE (TEXT_LINE) message;
  MAYBE (TEXT_LINE) hint;
  MAYBE (TEXT_NAME) device;
  MAYBE (TEXT_PATH) pin;
  MAYBE (TEXT_URL) url;
  MAYBE (TEXT_URL) mapped;
  MAYBE (TEXT_SHORT) address;
};

struct message_info {
  int32_t version, key_size, sector_size;
  uint32_t nr_keyslots, nr_tokens;
  uint64_t data_offset;
  uint8_t is_quick;
  MAYBE (TEXT_NAME) uuid;
  MAYBE (TEXT_NAME) label;
  MAYBE (TEXT_NAME) cipher;
  MAYBE (TEXT_LINE) note;
};

struct message_keyslot {
  int32_t slot, key_size;
  uint32_t iterations, memory, threads;
  MAYBE (TEXT_SHORT) kdf;
  MAYBE (TEXT_SHORT) hash;
  MAYBE (TEXT_NAME) cipher;
  MAYBE (TEXT_SHORT) priority;
  MAYBE (TEXT_LINE) refused;
};

#define MESSAGE_KEYSLOTS 32

/* Bytes of a volume key or of an encryption sector. */
#define MESSAGE_SIZE_MAX (64 * 1024)

/* With has_pin a tree of PINs follows, with is_broken an ERROR comes before. */
struct message_token {
  int32_t id;
  uint32_t nr_keyslots;
  int32_t keyslots[MESSAGE_KEYSLOTS];
  uint8_t has_pin, is_broken;
  MAYBE (TEXT_NAME) kind;
  MAYBE (TEXT_LINE) stale;
};

/* Its PARAMs follow, then its children.  If it has failed, an ERROR comes
 * before.
 */
struct message_pin {
  int32_t threshold;
  uint32_t nr_children, nr_params;
  uint8_t has_failed;
  MAYBE (TEXT_NAME) name;
  MAYBE (TEXT_PATH) path;
  MAYBE (TEXT_URL) url;
  MAYBE (TEXT_KID) kid;
  MAYBE (TEXT_SHORT) thp_alg;
  MAYBE (TEXT_SHORT) curve;
  MAYBE (TEXT_LINE) warning;
};

struct message_param {
  MAYBE (TEXT_NAME) name;
  MAYBE (TEXT_LINE) value;
};

/* The numbers of ERRORs, LEAFs and TEXTs that follow, in this order. */
struct message_outcome {
  int32_t status;          /* enum exchange_status, or a verdict */
  int32_t keyslot, token;
  uint32_t key;            /* its number in the vault, if it was unlocked */
  uint32_t nr_errors, nr_leaves, nr_servers, nr_warnings;
  double seconds, verify_seconds;
};

/* If it has failed, an ERROR comes before. */
struct message_leaf {
  int32_t token;
  uint8_t answered, has_failed;
  double seconds;
  MAYBE (TEXT_PATH) pin;
  MAYBE (TEXT_URL) url;
  MAYBE (TEXT_SHORT) address;
};

struct message_checked {
  int32_t token, key;      /* enum preflight_key */
  uint8_t signatures, has_failed;
  double seconds;
  MAYBE (TEXT_PATH) pin;
  MAYBE (TEXT_SHORT) address;
  MAYBE (TEXT_NAME) certificate_expiry;
};

struct message_ask {
  uint8_t what;            /* enum ask_what */
  uint32_t device;
  MAYBE (TEXT_URL) url;
  MAYBE (TEXT_KID) kid;
};

struct message_point {
  MAYBE (TEXT_SHORT) curve;
  MAYBE (TEXT_COORDINATE) x;
  MAYBE (TEXT_COORDINATE) y;
};

struct message_answer {
  int32_t status;
  uint32_t len;            /* bytes that follow in BODYs */
  uint8_t has_failed;
  double seconds;
  MAYBE (TEXT_NAME) content_type;
  MAYBE (TEXT_SHORT) address;
  MAYBE (TEXT_URL) mapped;
  MAYBE (TEXT_NAME) certificate_expiry;
};

struct message {
  uint32_t tag;            /* enum message_tag */
  uint32_t id;             /* the object that it is about */
  union {
    struct message_plain plain;
    struct message_text text;
    struct message_data data;
    struct message_error error;
    struct message_info info;
    struct message_keyslot keyslot;
    struct message_token token;
    struct message_pin pin;
    struct message_param param;
    struct message_outcome outcome;
    struct message_leaf leaf;
    struct message_checked checked;
    struct message_ask ask;
    struct message_point point;
    struct message_answer answer;
  };
};

/* Descriptors that may come with one message. */
#define MESSAGE_FDS 2

/* The size of a message with this tag, or 0 if there is none. */
extern size_t message_size (uint32_t tag);

/* Is this what its tag says: of that size, each text with an end, each flag 0
 * or 1, each number within its bounds, as many descriptors as belong to it?
 */
extern bool message_is_valid (const struct message *m, size_t size,
                              size_t nr_fds);

/* A message about an object, all else of which is 0. */
extern void message_init (struct message *m, enum message_tag tag,
                          uint32_t id);

/* Put text into a MAYBE, cut if it is too long; NULL is one that is missing. */
#define message_set(maybe, from)                                        \
  message_set_text (&(maybe).is_there, (maybe).text, sizeof (maybe).text, from)
extern void message_set_text (uint8_t *is_there, char *text, size_t size,
                              const char *from);

/* The text of a MAYBE, or NULL.  Borrowed. */
#define message_get(maybe) ((maybe).is_there ? (maybe).text : NULL)

/* Only letters of base64url? */
extern bool message_is_base64url (const char *text);

/* A point, which is a JWK; NULL: there is none. */
extern void message_of_point (struct message *m, uint32_t id,
                              const json_t *point);

/* An error as a message, and back: what is missing in err is added. */
extern void message_of_error (struct message *m, enum message_tag tag,
                              uint32_t id, const struct clevis_error *err);
extern void message_to_error (const struct message *m,
                              struct clevis_error *err);

#endif /* CLEVIS_MESSAGE_H */
