/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The inside of the vault as it is, but for what the name of a device asks for.
 */

#include <config.h>

#include "vault/beyond.h"

static struct asker *faulty_beyond_new (struct channel *ch,
                                        struct clevis_error *err);

#define beyond_new faulty_beyond_new
#define inside_work true_inside_work
#include "vault/inside.c"
#undef beyond_new
#undef inside_work

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "testlib/testlib.h"
#include "testlib/testlib-inside.h"

#define MOST 64

struct exploit exploit;

static char *names[MOST];       /* of headers, by their number */
static uint32_t in_run[MOST];   /* headers of the exchange or preflight */
static size_t nr_in_run;
static bool crash_in_step;
static bool is_first;           /* this vault replaces no other */
static struct message *lie;

/* True: it was done, in place of the command. */
typedef bool (*fault_fn) (struct inside *in, const struct message *m);

#define FAULT(name)                                     \
  static bool                                           \
  name (struct inside *in, const struct message *m)

static bool
crash (struct inside *in, const struct message *m)
{
  raise (SIGSEGV);
  return true;
}

FAULT (leave)
{
  _exit (0);
}

FAULT (be_silent)
{
  for (;;)
    poll (NULL, 0, -1);
  return true;
}

FAULT (crash_later)
{
  crash_in_step = true;
  return false;
}

static struct message *
say (enum message_tag tag, uint32_t id)
{
  message_init (lie, tag, id);
  return lie;
}

/* Whatever it is. */
static void
send_now (struct inside *in)
{
  channel_send (&in->ch, lie, NULL, 0, -1);
}

static bool
say_done (struct inside *in, uint32_t other, int64_t a, int64_t b)
{
  say (MESSAGE_DONE, 0);
  lie->plain.other = other;
  lie->plain.a = a;
  lie->plain.b = b;
  send_now (in);
  return true;
}

/* Of the state, and the extent. */
FAULT (say_state) { return say_done (in, 77, 0, 0); }
FAULT (say_nothing) { return say_done (in, LUKS_NEED, 0, 0); }
FAULT (say_too_long) { return say_done (in, LUKS_NEED, 0, 1LL << 40); }
FAULT (say_negative) { return say_done (in, LUKS_NEED, 0, -1); }

/* One that replaces another says that it needs more, when it has all. */
FAULT (say_more)
{
  return is_first ? false : say_done (in, LUKS_NEED, 0, 512);
}

/* The number of no header. */
FAULT (say_zero) { return say_done (in, 0, 0, 0); }

/* What is no message. */

static bool
send_bytes (struct inside *in, size_t len)
{
  static char bytes[256 * 1024];
  struct iovec iov = { .iov_base = bytes, .iov_len = len };
  const struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

  sendmsg (in->ch.fd, &msg, MSG_NOSIGNAL);
  return true;
}

FAULT (send_none) { return send_bytes (in, 0); }
FAULT (send_few) { return send_bytes (in, 3); }
FAULT (send_many) { return send_bytes (in, 100 * 1024); }

FAULT (send_flag)
{
  say (MESSAGE_INFO, 0);
  lie->info.version = 2;
  lie->info.is_quick = 2;
  send_now (in);
  return true;
}

FAULT (send_descriptors)
{
  const int fds[2] = { in->ch.fd, in->ch.fd };

  say (MESSAGE_DONE, 0);
  channel_send (&in->ch, lie, fds, 2, -1);
  return true;
}

/* Listings. */

static void
say_info (struct inside *in, uint32_t nr_keyslots, uint32_t nr_tokens)
{
  say (MESSAGE_INFO, 0);
  lie->info.version = 2;
  lie->info.nr_keyslots = nr_keyslots;
  lie->info.nr_tokens = nr_tokens;
  send_now (in);
}

FAULT (list_short)
{
  say_info (in, 2, 2);
  return say_done (in, 0, 0, 0);
}

FAULT (list_other)
{
  say_info (in, 2, 2);
  say (MESSAGE_TOKEN, 0);
  send_now (in);
  return true;
}

FAULT (list_more)
{
  say_info (in, 0, 0);
  say (MESSAGE_TOKEN, 0);
  send_now (in);
  return say_done (in, 0, 0, 0);
}

/* Each message in time, but not all of them. */
FAULT (list_drip)
{
  int i;

  say_info (in, 32, 0);
  for (i = 0; i < 32; ++i) {
    poll (NULL, 0, 100);
    say (MESSAGE_KEYSLOT, 0);
    lie->keyslot.slot = i;
    send_now (in);
  }
  return say_done (in, 0, 0, 0);
}

static void
say_pin (struct inside *in, uint32_t nr_children)
{
  say (MESSAGE_PIN, 0);
  lie->pin.nr_children = nr_children;
  send_now (in);
}

/* A tree of pins that is too deep, and one that is too large. */
static bool
list_tree (struct inside *in, uint32_t nr_children, int n)
{
  say_info (in, 0, 1);
  say (MESSAGE_TOKEN, 0);
  lie->token.has_pin = 1;
  send_now (in);
  while (n-- > 0)
    say_pin (in, nr_children);
  return true;
}

/* No deeper than it may be, and nowhere wider. */
FAULT (list_many)
{
  int i, j;

  list_tree (in, BOUND_PIN_CHILDREN, 1);
  for (i = 0; i < BOUND_PIN_CHILDREN; ++i) {
    say_pin (in, BOUND_PIN_TOTAL / BOUND_PIN_CHILDREN);
    for (j = 0; j < BOUND_PIN_TOTAL / BOUND_PIN_CHILDREN; ++j)
      say_pin (in, 0);
  }
  return say_done (in, 0, 0, 0);
}

FAULT (list_deep) { return list_tree (in, 1, 10000); }
FAULT (list_wide) { return list_tree (in, 64, 10000); }

/* Questions. */

static const char kid[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

static void
say_ask (struct inside *in, uint32_t id, uint32_t device)
{
  say (MESSAGE_ASK, id);
  lie->ask.what = ASK_RECOVERY;
  lie->ask.device = device;
  message_set (lie->ask.url, "http://127.0.0.1:1");
  message_set (lie->ask.kid, kid);
  send_now (in);
}

/* Ask what may be forbidden of a server that is there, as far as that goes;
 * then end.
 */
static bool
ask_server (struct inside *in, const struct message *m, enum ask_what what,
            uint32_t device)
{
  struct message_fds fds;
  char url[64];

  snprintf (url, sizeof url, "http://127.0.0.1:%d", exploit.port);
  say (MESSAGE_ASK, 1);
  lie->ask.what = what;
  lie->ask.device = device;
  message_set (lie->ask.url, url);
  message_set (lie->ask.kid, kid);
  send_now (in);
  if (channel_recv (&in->ch, lie, &fds, -1) == 1 &&
      lie->tag == MESSAGE_MAKE_POINT) {
    say (MESSAGE_POINT, 1);
    message_set (lie->point.curve, "P-256");
    message_set (lie->point.x, kid); /* as long */
    message_set (lie->point.y, kid);
    send_now (in);
    channel_recv (&in->ch, lie, &fds, -1); /* the server has answered */
  }
  return leave (in, m);
}

FAULT (ask_recovery) { return ask_server (in, m, ASK_RECOVERY, 0); }
FAULT (ask_next_device) { return ask_server (in, m, ASK_RECOVERY, 1); }
FAULT (ask_advertisement) { return ask_server (in, m, ASK_ADVERTISEMENT, 0); }

FAULT (ask_device) { say_ask (in, 1, 1000); return be_silent (in, m); }
FAULT (ask_number) { say_ask (in, 1000, 0); return be_silent (in, m); }
FAULT (ask_zero) { say_ask (in, 0, 0); return be_silent (in, m); }

FAULT (ask_twice)
{
  say_ask (in, 1, 0);
  say_ask (in, 1, 0);
  return be_silent (in, m);
}

static bool
say_plain (struct inside *in, const struct message *m, enum message_tag tag,
           int64_t a)
{
  say (tag, 1);
  lie->plain.a = a;
  send_now (in);
  return be_silent (in, m);
}

FAULT (join_device) { return say_plain (in, m, MESSAGE_JOIN, 1000); }
FAULT (join_negative) { return say_plain (in, m, MESSAGE_JOIN, -1); }

FAULT (send_point)
{
  say (MESSAGE_POINT, 1);
  send_now (in);
  return be_silent (in, m);
}

/* It is asked for a point. */
FAULT (no_point)
{
  say_ask (in, 1, 0);
  return be_silent (in, m);
}

FAULT (early_done)
{
  say_ask (in, 1, 0);
  return say_done (in, 0, 0, 0);
}

FAULT (flood_point)
{
  uint32_t id;

  for (id = 1; id < 1000000; ++id)
    say_ask (in, id, 0);
  return be_silent (in, m);
}

FAULT (flood_ask)
{
  uint32_t id;

  /* Each is asked of nobody: there is no such URL. */
  for (id = 1; id < 10000000; ++id) {
    say (MESSAGE_ASK, id);
    message_set (lie->ask.url, "nowhere://");
    message_set (lie->ask.kid, kid);
    send_now (in);
  }
  return be_silent (in, m);
}

static bool
flood (struct inside *in, enum message_tag tag)
{
  for (;;) {
    say (tag, 1);
    if (tag == MESSAGE_WHERE)
      message_set (lie->text.text, "http://127.0.0.1");
    send_now (in);
  }
  return true;
}

FAULT (flood_where) { return flood (in, MESSAGE_WHERE); }
FAULT (flood_cancel) { return flood (in, MESSAGE_CANCEL); }
FAULT (flood_join) { return flood (in, MESSAGE_JOIN); }

/* Requests for another machine, which nobody has asked for. */
static bool
list_request (struct inside *in, const char *id, const char *url)
{
  say (MESSAGE_TEXT, 0);
  message_set (lie->text.text, id);
  send_now (in);
  say (MESSAGE_ASK, 0);
  lie->ask.what = ASK_RECOVERY;
  message_set (lie->ask.url, url);
  message_set (lie->ask.kid, kid);
  send_now (in);
  say (MESSAGE_POINT, 0);
  message_set (lie->point.curve, "P-256");
  message_set (lie->point.x, kid);
  message_set (lie->point.y, kid);
  send_now (in);
  return say_done (in, 0, 0, 0);
}

FAULT (list_allowed) { return list_request (in, "a", "http://127.0.0.1"); }
FAULT (list_cloud) { return list_request (in, "a", "http://169.254.169.254"); }
FAULT (list_argument) { return list_request (in, "a", "-Kfile"); }
FAULT (list_id) { return list_request (in, "\033]0;a\a", "http://127.0.0.1"); }

/* Outcomes. */

static bool
say_outcome (struct inside *in, int status, uint32_t key, int keyslot)
{
  say (MESSAGE_OUTCOME, 0);
  lie->outcome.status = status;
  lie->outcome.key = key;
  lie->outcome.keyslot = keyslot;
  send_now (in);
  return say_done (in, 0, 0, 0);
}

FAULT (no_key) { return say_outcome (in, EXCHANGE_UNLOCKED, 0, 1); }
FAULT (no_keyslot) { return say_outcome (in, EXCHANGE_UNLOCKED, 1, -1); }
FAULT (no_end) { return say_outcome (in, EXCHANGE_PENDING, 0, -1); }
FAULT (no_reason) { return say_outcome (in, EXCHANGE_FAILED, 0, -1); }
FAULT (other_key) { return say_outcome (in, EXCHANGE_UNLOCKED, 77, 1); }

FAULT (no_leaves)
{
  say (MESSAGE_OUTCOME, 0);
  lie->outcome.status = EXCHANGE_UNBOUND;
  lie->outcome.nr_leaves = 8192;
  send_now (in);
  return say_done (in, 0, 0, 0);
}

/* Quick headers. */

FAULT (many_extents)
{
  int i;

  for (i = 0; i < 1000; ++i) {
    say (MESSAGE_EXTENT, 0);
    send_now (in);
  }
  return say_done (in, 0, 0, 0);
}

FAULT (long_extent)
{
  say (MESSAGE_EXTENT, 0);
  lie->plain.b = 1LL << 40;
  send_now (in);
  return say_done (in, 0, 0, 0);
}

FAULT (no_bytes) { return say_done (in, 0, 0, 0); }

FAULT (more_bytes)
{
  int i;

  for (i = 0; i < 1000; ++i) {
    say (MESSAGE_LUKS_DATA, 0);
    lie->data.len = DATA_BYTES;
    send_now (in);
  }
  return say_done (in, 0, 0, 0);
}

/* What is inside: where it is, */

FAULT (data_behind) { return say_done (in, 512, 1LL << 40, 512); }
FAULT (data_long) { return say_done (in, 512, 0, 1LL << 40); }
FAULT (data_overflow) { return say_done (in, 512, 512, INT64_MAX - 511); }
FAULT (data_negative) { return say_done (in, 512, -512, 1024); }
FAULT (data_none) { return say_done (in, 512, 0, 0); }
FAULT (data_short) { return say_done (in, 512, 0, -512); }
FAULT (data_tiny) { return say_done (in, 256, 0, 512); }
FAULT (data_huge) { return say_done (in, 8192, 0, 8192); }
FAULT (data_odd) { return say_done (in, 768, 0, 768); }
FAULT (data_part) { return say_done (in, 4096, 0, 4096 + 512); }

/* and what it is: so many times so many bytes from a place, and the end. */
static bool
say_data (struct inside *in, int times, uint64_t offset, uint32_t len)
{
  while (times-- > 0) {
    say (MESSAGE_LUKS_DATA, 0);
    lie->data.offset = offset;
    lie->data.len = len;
    send_now (in);
  }
  return say_done (in, 0, 0, 0);
}

FAULT (plain_none) { return say_data (in, 0, 0, 0); }
FAULT (plain_empty) { return say_data (in, 1, m->data.offset, 0); }

FAULT (plain_few)
{
  return say_data (in, 1, m->data.offset, m->data.len - 1);
}

FAULT (plain_many) { return say_data (in, 1, m->data.offset, DATA_BYTES); }

FAULT (plain_elsewhere)
{
  return say_data (in, 1, m->data.offset + 512, m->data.len);
}

FAULT (plain_twice)
{
  return say_data (in, 2, m->data.offset, m->data.len);
}

FAULT (plain_other)
{
  say (MESSAGE_EXTENT, 0);
  send_now (in);
  return say_done (in, 0, 0, 0);
}

/* The first piece is as it should be, and then it dies. */
FAULT (crash_second)
{
  if (m->data.offset > 0)
    raise (SIGSEGV);
  return false;
}

/* What somebody does who can do anything. */
FAULT (attack)
{
  const struct sockaddr_in to = {
    .sin_family = AF_INET, .sin_port = htons (exploit.port),
    .sin_addr.s_addr = htonl (INADDR_LOOPBACK),
  };
  const struct exploit *e = &exploit;
  char text[16] = "";
  int fd;

  fd = open (e->to_read, O_RDONLY);
  if (fd != -1 && read (fd, text, sizeof text) == -1)
    _exit (2);
  fd = open (e->to_make, O_WRONLY | O_CREAT, 0600);
  if (fd != -1 && write (fd, text, sizeof text) == -1)
    _exit (2);
  fd = socket (AF_INET, SOCK_STREAM, 0);
  if (fd != -1)
    connect (fd, (const void *) &to, sizeof to);
  if (fork () == 0)
    _exit (0);
  return leave (in, m);
}

/* It lends another key than the time before. */
FAULT (change_key)
{
  static bool was_lent;
  struct secret *key = get_key (in, m->id);

  if (was_lent && key)
    key->data[0] = '\n';
  was_lent = true;
  return false;
}

static const struct fault {
  const char *name;        /* of a device: "/dev/" and this */
  enum message_tag tag;    /* a command about it */
  fault_fn fn;
} faults[] = {
  { "crash-new", MESSAGE_LUKS_NEW, crash },
  { "crash-next", MESSAGE_LUKS_NEXT, crash },
  { "crash-supplied", MESSAGE_LUKS_SUPPLIED, crash },
  { "crash-list", MESSAGE_LUKS_LIST, crash },
  { "crash-run", MESSAGE_RUN, crash },
  { "crash-asked", MESSAGE_RUN, crash_later },
  { "crash-result", MESSAGE_RESULT, crash },
  { "crash-quicken", MESSAGE_LUKS_QUICKEN, crash },
  { "crash-quick-read", MESSAGE_LUKS_READ, crash },
  { "exit-next", MESSAGE_LUKS_NEXT, leave },
  { "exit-list", MESSAGE_LUKS_LIST, leave },
  { "exit-run", MESSAGE_RUN, leave },
  { "silent-next", MESSAGE_LUKS_NEXT, be_silent },
  { "silent-list", MESSAGE_LUKS_LIST, be_silent },
  { "silent-run", MESSAGE_RUN, be_silent },
  { "silent-quicken", MESSAGE_LUKS_QUICKEN, be_silent },
  { "zero", MESSAGE_LUKS_NEW, say_zero },
  { "state", MESSAGE_LUKS_NEXT, say_state },
  { "need-again", MESSAGE_LUKS_NEXT, say_more },
  { "extent-none", MESSAGE_LUKS_NEXT, say_nothing },
  { "extent-long", MESSAGE_LUKS_NEXT, say_too_long },
  { "extent-negative", MESSAGE_LUKS_NEXT, say_negative },
  { "send-none", MESSAGE_LUKS_LIST, send_none },
  { "send-few", MESSAGE_LUKS_LIST, send_few },
  { "send-many", MESSAGE_LUKS_LIST, send_many },
  { "send-flag", MESSAGE_LUKS_LIST, send_flag },
  { "send-descriptors", MESSAGE_LUKS_LIST, send_descriptors },
  { "list-short", MESSAGE_LUKS_LIST, list_short },
  { "list-other", MESSAGE_LUKS_LIST, list_other },
  { "list-more", MESSAGE_LUKS_LIST, list_more },
  { "list-drip", MESSAGE_LUKS_LIST, list_drip },
  { "list-deep", MESSAGE_LUKS_LIST, list_deep },
  { "list-wide", MESSAGE_LUKS_LIST, list_wide },
  { "list-many", MESSAGE_LUKS_LIST, list_many },
  { "ask-recovery", MESSAGE_RUN, ask_recovery },
  { "ask-next-device", MESSAGE_RUN, ask_next_device },
  { "ask-advertisement", MESSAGE_RUN, ask_advertisement },
  { "ask-device", MESSAGE_RUN, ask_device },
  { "ask-number", MESSAGE_RUN, ask_number },
  { "ask-zero", MESSAGE_RUN, ask_zero },
  { "ask-twice", MESSAGE_RUN, ask_twice },
  { "join-device", MESSAGE_RUN, join_device },
  { "join-negative", MESSAGE_RUN, join_negative },
  { "send-point", MESSAGE_RUN, send_point },
  { "send-garbage", MESSAGE_RUN, send_few },
  { "no-point", MESSAGE_RUN, no_point },
  { "early-done", MESSAGE_RUN, early_done },
  { "flood-point", MESSAGE_RUN, flood_point },
  { "flood-ask", MESSAGE_RUN, flood_ask },
  { "flood-where", MESSAGE_RUN, flood_where },
  { "flood-cancel", MESSAGE_RUN, flood_cancel },
  { "flood-join", MESSAGE_RUN, flood_join },
  { "list-allowed", MESSAGE_OFFLINE_LIST, list_allowed },
  { "list-cloud", MESSAGE_OFFLINE_LIST, list_cloud },
  { "list-argument", MESSAGE_OFFLINE_LIST, list_argument },
  { "list-id", MESSAGE_OFFLINE_LIST, list_id },
  { "no-key", MESSAGE_RESULT, no_key },
  { "no-keyslot", MESSAGE_RESULT, no_keyslot },
  { "no-end", MESSAGE_RESULT, no_end },
  { "no-reason", MESSAGE_RESULT, no_reason },
  { "no-leaves", MESSAGE_RESULT, no_leaves },
  { "other-key", MESSAGE_RESULT, other_key },
  { "change-key", MESSAGE_KEY_WRITE, change_key },
  { "many-extents", MESSAGE_LUKS_QUICKEN, many_extents },
  { "long-extent", MESSAGE_LUKS_QUICKEN, long_extent },
  { "no-bytes", MESSAGE_LUKS_READ, no_bytes },
  { "more-bytes", MESSAGE_LUKS_READ, more_bytes },
  { "crash-extent", MESSAGE_LUKS_DATA_EXTENT, crash },
  { "crash-unlock", MESSAGE_LUKS_UNLOCK, crash },
  { "crash-decrypt", MESSAGE_LUKS_DECRYPT, crash },
  { "crash-second", MESSAGE_LUKS_DECRYPT, crash_second },
  { "exit-decrypt", MESSAGE_LUKS_DECRYPT, leave },
  { "silent-unlock", MESSAGE_LUKS_UNLOCK, be_silent },
  { "silent-decrypt", MESSAGE_LUKS_DECRYPT, be_silent },
  { "data-behind", MESSAGE_LUKS_DATA_EXTENT, data_behind },
  { "data-long", MESSAGE_LUKS_DATA_EXTENT, data_long },
  { "data-overflow", MESSAGE_LUKS_DATA_EXTENT, data_overflow },
  { "data-negative", MESSAGE_LUKS_DATA_EXTENT, data_negative },
  { "data-none", MESSAGE_LUKS_DATA_EXTENT, data_none },
  { "data-short", MESSAGE_LUKS_DATA_EXTENT, data_short },
  { "data-tiny", MESSAGE_LUKS_DATA_EXTENT, data_tiny },
  { "data-huge", MESSAGE_LUKS_DATA_EXTENT, data_huge },
  { "data-odd", MESSAGE_LUKS_DATA_EXTENT, data_odd },
  { "data-part", MESSAGE_LUKS_DATA_EXTENT, data_part },
  { "plain-none", MESSAGE_LUKS_DECRYPT, plain_none },
  { "plain-empty", MESSAGE_LUKS_DECRYPT, plain_empty },
  { "plain-few", MESSAGE_LUKS_DECRYPT, plain_few },
  { "plain-many", MESSAGE_LUKS_DECRYPT, plain_many },
  { "plain-elsewhere", MESSAGE_LUKS_DECRYPT, plain_elsewhere },
  { "plain-twice", MESSAGE_LUKS_DECRYPT, plain_twice },
  { "plain-other", MESSAGE_LUKS_DECRYPT, plain_other },
  { "plain-garbage", MESSAGE_LUKS_DECRYPT, send_few },
  { "exploit", MESSAGE_LUKS_LIST, attack },
};

static bool
is_named (uint32_t header, const char *fault)
{
  return header < MOST && names[header] &&
    strncmp (names[header], "/dev/", 5) == 0 &&
    strcmp (names[header] + 5, fault) == 0;
}

/* Is this command about a device with that name? */
static bool
is_about (const struct message *m, const char *fault)
{
  size_t i;

  switch (m->tag) {
  case MESSAGE_LUKS_NEW:
    return strcmp (m->text.text.text + 5, fault) == 0;
  case MESSAGE_KEY_WRITE:
  case MESSAGE_OFFLINE_LIST:
    for (i = 0; i < MOST; ++i)
      if (is_named (i, fault))
        return true;
    return false;
  case MESSAGE_RUN:
    for (i = 0; i < nr_in_run; ++i)
      if (is_named (in_run[i], fault))
        return true;
    return false;
  case MESSAGE_RESULT:
    return m->id < nr_in_run && is_named (in_run[m->id], fault);
  default:
    return is_named (m->id, fault);
  }
}

static bool
obey_fault (struct inside *in, const struct message *m)
{
  size_t i;

  for (i = 0; i < sizeof faults / sizeof faults[0]; ++i)
    if (m->tag == faults[i].tag && is_about (m, faults[i].name))
      return faults[i].fn (in, m);
  return false;
}

/* What names are known by. */
static void
remember (const struct message *m, uint32_t next)
{
  switch (m->tag) {
  case MESSAGE_LUKS_NEW:
    if (next < MOST)
      names[next] = strdup (m->text.text.text);
    break;
  case MESSAGE_EXCHANGE_NEW:
  case MESSAGE_PREFLIGHT_NEW:
    nr_in_run = 0;
    break;
  case MESSAGE_ADD_DEVICE:
    if (nr_in_run < MOST)
      in_run[nr_in_run++] = m->id;
  }
}

/* The asker of the vault, which crashes when it has asked. */
static const struct asker_type *beyond_type_;
static struct asker_type faulty_type;

static int
faulty_step (struct asker *asker, int ms, struct clevis_error *err)
{
  const int r = beyond_type_->step (asker, ms, err);

  if (crash_in_step)
    raise (SIGSEGV);
  return r;
}

static struct asker *
faulty_beyond_new (struct channel *ch, struct clevis_error *err)
{
  struct asker *asker = beyond_new (ch, err);

  if (asker) {
    beyond_type_ = asker->type;
    faulty_type = *asker->type;
    faulty_type.step = faulty_step;
    asker->type = &faulty_type;
  }
  return asker;
}

extern void inside_work (int fd, void *opaque);

void
inside_work (int fd, void *opaque)
{
  struct message *m = malloc (sizeof *m);
  struct inside in = { .keydir = NULL };
  struct message_fds fds;
  size_t i;

  is_first = getppid () == exploit.program;
  lie = malloc (sizeof *lie);
  channel_init (&in.ch, fd);
  while (m && lie && !in.broken && !in.is_done &&
         channel_recv (&in.ch, m, &fds, -1) == 1) {
    remember (m, in.headers.nr + 1);
    if (!obey_fault (&in, m))
      obey (&in, m, &fds);
  }
  free (m);
  free (lie);
  free_all (&in);
  for (i = 0; i < MOST; ++i)
    free (names[i]);
}
