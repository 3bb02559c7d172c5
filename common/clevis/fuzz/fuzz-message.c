/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Fuzz target: both sides of the channel between the vault and the program.
 * The first byte of the input says who reads the rest:
 *
 *   0  the vault: all of its commands
 *   1  the program: a listing
 *   2  the program: an outcome
 *   3  the program: a preflight's
 *   4  the program: questions
 *
 * With FUZZ_SEED set in the environment it writes some of these there.
 *
 * The rest is messages, each: its tag, its number, how many bytes of it follow
 * (two, the high one first), and these; all that is behind them is zero.
 */

#include <config.h>

#include "fuzz.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exchange/exchange.h"
#include "policy/policy.h"
#include "vault/inside.h"
#include "vault/vault-private.h"

/* The most messages of one input, and milliseconds of one exchange. */
#define MESSAGES 64
#define DEADLINE 50

#define CONTENT offsetof (struct message, plain)

static struct policy *policy;

/* The messages of an input. */
struct stream {
  const uint8_t *data;
  size_t size;
  int nr;
  struct message message;
};

static bool
next_message (struct stream *s)
{
  struct message *m = &s->message;
  size_t size, len;

  if (s->size < 4 || s->nr++ == MESSAGES)
    return false;
  memset (m, 0, sizeof *m);
  m->tag = s->data[0];
  m->id = s->data[1];
  len = s->data[2] << 8 | s->data[3];
  s->data += 4;
  s->size -= 4;
  len = len < s->size ? len : s->size;
  size = message_size (m->tag);
  if (size > 0)
    memcpy ((char *) m + CONTENT, s->data,
            len < size - CONTENT ? len : size - CONTENT);
  s->data += len;
  s->size -= len;
  return true;
}

static size_t
fds_of (uint32_t tag)
{
  switch (tag) {
  case MESSAGE_OFFLINE_LOAD:
    return 2;
  case MESSAGE_KEY_READ:
  case MESSAGE_KEY_WRITE:
  case MESSAGE_KEYDIR_ADD:
  case MESSAGE_OFFLINE_WRITE:
    return 1;
  default:
    return 0;
  }
}

/* The program, which sends what the input says and takes what is answered. */
struct program {
  struct stream s;
  struct channel ch;
};

/* The key, the file of requests or replies: what is left of the input. */
static void
make_files (struct stream *s, int fds[2])
{
  const ssize_t n = s->size;
  int i;

  for (i = 0; i < 2; ++i) {
    fds[i] = memfd_create ("fuzz", MFD_CLOEXEC);
    fuzz_assert (fds[i] >= 0 && write (fds[i], s->data, n) == n &&
                 lseek (fds[i], 0, SEEK_SET) == 0);
  }
}

static int
send_one (struct program *p)
{
  struct message *m = &p->s.message;
  const size_t n = fds_of (m->tag);
  int fds[2] = { -1, -1 }, r;

  if (m->tag == MESSAGE_EXCHANGE_NEW && m->plain.a > DEADLINE)
    m->plain.a = DEADLINE;
  if (n > 0)
    make_files (&p->s, fds);
  r = channel_send (&p->ch, m, fds, n, -1);
  if (n > 0) {
    close (fds[0]);
    close (fds[1]);
  }
  return r;
}

static void *
be_program (void *opaque)
{
  struct program *p = opaque;
  struct message *m = malloc (sizeof *m);
  struct message_fds fds;

  /* One that is not valid ends the vault. */
  while (next_message (&p->s))
    if (message_size (p->s.message.tag) > 0 && send_one (p) == -1)
      break;
  shutdown (p->ch.fd, SHUT_WR);
  /* Whatever a disk says makes the vault say nothing that is not valid, which
   * the program would take for an attack.
   */
  while (channel_recv (&p->ch, m, &fds, -1) == 1)
    fuzz_assert (m->tag >= MESSAGE_DONE || m->tag == MESSAGE_LUKS_DATA);
  fuzz_assert (errno == EPIPE);
  free (m);
  return NULL;
}

static void
make_channel (int fds[2])
{
  fuzz_assert (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
                           fds) == 0);
}

static void
try_vault (const uint8_t *data, size_t size)
{
  struct program *p = calloc (1, sizeof *p);
  pthread_t thread;
  int fds[2];

  p->s.data = data;
  p->s.size = size;
  make_channel (fds);
  channel_init (&p->ch, fds[0]);
  fuzz_assert (pthread_create (&thread, NULL, be_program, p) == 0);
  inside_work (fds[1], NULL);
  pthread_join (thread, NULL);
  channel_close (&p->ch);
  free (p);
}

/* A hear_fn. */
static const struct message *
hear_next (void *opaque)
{
  struct stream *s = opaque;
  const struct message *m = &s->message;

  return next_message (s) &&
    message_is_valid (m, message_size (m->tag), fds_of (m->tag)) &&
    m->tag != MESSAGE_DONE ? m : NULL;
}

static void
check_pin (const struct heard_pin *pin, size_t depth)
{
  size_t i;

  fuzz_assert (depth <= BOUND_PIN_DEPTH);
  fuzz_assert (pin->nr_children <= BOUND_PIN_CHILDREN);
  fuzz_assert (pin->has_failed == (pin->error.code != CLEVIS_OK));
  fuzz_check_error (&pin->error);
  for (i = 0; i < pin->nr_children; ++i)
    check_pin (&pin->children[i], depth + 1);
}

static void
try_list (struct stream *s)
{
  struct heard_luks luks = { .version = 0 };
  size_t i;

  if (hear_luks (&luks, hear_next, s) == 0) {
    fuzz_assert (luks.nr_keyslots <= 32 && luks.nr_tokens <= 32);
    for (i = 0; i < luks.nr_tokens; ++i) {
      const struct heard_token *t = &luks.tokens[i];

      fuzz_assert (t->is_broken == (t->error.code != CLEVIS_OK));
      fuzz_check_error (&t->error);
      fuzz_planted (t->kind && strcmp (t->kind, "clevis") != 0);
      if (t->has_pin)
        check_pin (&t->pin, 1);
    }
  }
  heard_luks_clear (&luks);
}

static void
try_outcome (struct stream *s, bool is_preflight)
{
  struct heard_outcome o = { .status = 0 };
  size_t i;

  if (hear_outcome (&o, is_preflight, hear_next, s) == 0) {
    if (!is_preflight) {
      fuzz_assert ((o.status == EXCHANGE_UNLOCKED) == (o.key > 0));
      fuzz_assert (o.status != EXCHANGE_UNLOCKED || o.keyslot >= 0);
      fuzz_assert (o.status != EXCHANGE_FAILED || o.nr_errors > 0);
    }
    for (i = 0; i < o.nr_errors; ++i)
      fuzz_check_error (&o.errors[i]);
    for (i = 0; i < o.nr_leaves; ++i)
      fuzz_check_error (&o.leaves[i].error);
    for (i = 0; i < o.nr_servers; ++i)
      fuzz_assert (o.servers[i] != NULL);
  }
  heard_outcome_clear (&o);
}

/* What the vault asks is all there before the program looks. */
static void
try_questions (struct stream *s)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct vault *v = calloc (1, sizeof *v);
  const struct vault_ask_what what = { .policy = policy, .nr_devices = 2 };
  struct vault_ask *va;
  int fds[2], i, r = 1;
  size_t size;

  make_channel (fds);
  channel_init (&v->ch, fds[0]);
  while (next_message (s)) {
    size = message_size (s->message.tag);
    if (send (fds[1], &s->message, size > 0 ? size : CONTENT,
              MSG_DONTWAIT) == -1)
      break;
  }
  va = vault_ask_new (v, &what, &err);
  fuzz_assert (va != NULL);
  for (i = 0; i < 20 && r == 1; ++i)
    r = vault_ask_step (va, 1, &err);
  fuzz_assert (r != 0 || v->heard.tag == MESSAGE_DONE ||
               v->heard.tag == MESSAGE_FAILED);
  vault_ask_free (va);
  fuzz_check_error (&err);
  channel_close (&v->ch);
  close (fds[1]);
  free (v);
}

/* Seeds of what the vault says; those of commands are of seeds.py. */

struct seed {
  uint8_t bytes[16384];
  size_t len;
};

static void
put (struct seed *seed, const struct message *m)
{
  const uint8_t *bytes = (const uint8_t *) m;
  size_t len = message_size (m->tag);
  uint8_t *to = seed->bytes + seed->len;

  while (len > CONTENT && bytes[len-1] == 0)
    len--;
  len -= CONTENT;
  to[0] = m->tag;
  to[1] = m->id;
  to[2] = len >> 8;
  to[3] = len;
  memcpy (to + 4, bytes + CONTENT, len);
  seed->len += 4 + len;
}

static void
write_seed (const char *name, const struct seed *seed)
{
  char path[4096];
  FILE *fp;

  snprintf (path, sizeof path, "%s/%s", getenv ("FUZZ_SEED"), name);
  fp = fopen (path, "we");
  fuzz_assert (fp && fwrite (seed->bytes, seed->len, 1, fp) == 1 &&
               fclose (fp) == 0);
}

static void
put_error (struct seed *seed, struct message *m)
{
  const struct clevis_error err = {
    .code = CLEVIS_ERR_HTTP, .message = (char *) "HTTP status 500",
    .token = 0, .keyslot = -1, .http_status = 500,
  };

  message_of_error (m, MESSAGE_ERROR, 0, &err);
  put (seed, m);
}

static void
seed_list (struct seed *seed, struct message *m)
{
  seed->bytes[0] = 1;
  seed->len = 1;
  message_init (m, MESSAGE_INFO, 0);
  m->info.version = 2;
  m->info.nr_keyslots = 1;
  m->info.nr_tokens = 1;
  put (seed, m);
  message_init (m, MESSAGE_KEYSLOT, 0);
  message_set (m->keyslot.kdf, "pbkdf2");
  put (seed, m);
  message_init (m, MESSAGE_TOKEN, 0);
  m->token.nr_keyslots = 1;
  m->token.has_pin = 1;
  message_set (m->token.kind, "clevis");
  put (seed, m);
  message_init (m, MESSAGE_PIN, 0);
  message_set (m->pin.name, "sss");
  m->pin.threshold = 1;
  m->pin.nr_children = 1;
  m->pin.nr_params = 1;
  put (seed, m);
  message_init (m, MESSAGE_PARAM, 0);
  message_set (m->param.name, "x");
  put (seed, m);
  put_error (seed, m);
  message_init (m, MESSAGE_PIN, 0);
  message_set (m->pin.name, "tang");
  m->pin.has_failed = 1;
  put (seed, m);
}

static void
seed_outcome (struct seed *seed, struct message *m, bool is_preflight)
{
  seed->bytes[0] = is_preflight ? 3 : 2;
  seed->len = 1;
  message_init (m, MESSAGE_OUTCOME, 0);
  m->outcome.status = is_preflight ? 0 : EXCHANGE_FAILED;
  m->outcome.keyslot = m->outcome.token = -1;
  m->outcome.nr_errors = is_preflight ? 0 : 1;
  m->outcome.nr_leaves = 1;
  m->outcome.nr_servers = is_preflight ? 0 : 1;
  put (seed, m);
  if (!is_preflight)
    put_error (seed, m);
  put_error (seed, m);
  message_init (m, is_preflight ? MESSAGE_CHECKED : MESSAGE_LEAF, 0);
  /* The flag stands at another place in each. */
  if (is_preflight)
    m->checked.has_failed = 1;
  else
    m->leaf.has_failed = 1;
  put (seed, m);
  if (!is_preflight) {
    message_init (m, MESSAGE_TEXT, 0);
    message_set (m->text.text, "http://tang");
    put (seed, m);
  }
}

static void
seed_questions (struct seed *seed, struct message *m)
{
  static const char *const urls[] = {
    "http://tang", "http://127.0.0.1:9", "https://127.0.0.1:9/x"
  };
  uint32_t i;

  seed->bytes[0] = 4;
  seed->len = 1;
  for (i = 1; i <= 3; ++i) {
    message_init (m, MESSAGE_ASK, i);
    m->ask.what = i == 3;
    message_set (m->ask.url, urls[i-1]);
    message_set (m->ask.kid, "AAAAAAAAAAAAAAAAAAAAAAAAAAA");
    put (seed, m);
  }
  message_init (m, MESSAGE_JOIN, 2);
  m->plain.a = 1;
  put (seed, m);
  message_init (m, MESSAGE_WHERE, 0);
  message_set (m->text.text, "http://tang");
  put (seed, m);
  message_init (m, MESSAGE_POINT, 2);
  message_set (m->point.curve, "P-256");
  m->point.x.is_there = m->point.y.is_there = 1;
  memset (m->point.x.text, 'A', 43);
  memset (m->point.y.text, 'A', 43);
  put (seed, m);
  message_init (m, MESSAGE_CANCEL, 1);
  put (seed, m);
}

static void
write_seeds (void)
{
  static struct seed seed;
  struct message *m = malloc (sizeof *m);

  seed_list (&seed, m);
  write_seed ("list", &seed);
  seed_outcome (&seed, m, false);
  write_seed ("outcome", &seed);
  seed_outcome (&seed, m, true);
  write_seed ("preflight", &seed);
  seed_questions (&seed, m);
  write_seed ("questions", &seed);
  free (m);
}

int
LLVMFuzzerInitialize (int *argc, char ***argv)
{
  fuzz_initialize ();
  /* Nobody but this host, and there nobody listens. */
  policy = policy_new ();
  policy_settings (policy)->no_proxy = strdup ("*");
  policy_settings (policy)->retries = 0;
  policy_settings (policy)->deadline = DEADLINE;
  fuzz_assert (policy_allow (policy, "127.0.0.1:9", NULL) == 0);
  vault_patience.answer = vault_patience.point = 0.02;
  if (getenv ("FUZZ_SEED"))
    write_seeds ();
  return 0;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static struct stream s;

  if (size == 0)
    return 0;
  memset (&s, 0, sizeof s);
  s.data = data + 1;
  s.size = size - 1;
  switch (data[0]) {
  case 0: try_vault (data + 1, size - 1); break;
  case 1: try_list (&s); break;
  case 2: case 3: try_outcome (&s, data[0] == 3); break;
  case 4: try_questions (&s); break;
  }
  return 0;
}
