/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * How runs with the same folder spare servers together; see share.h.
 *
 * The folder has a folder for each server, by scheme, host and port.  Its file
 * "locks" has a byte for each turn, and some more; so a run needs one descriptor
 * for all of them.  What is known of the server is in files whose names have a
 * digest of the way in which it was asked.
 *
 * Nothing is ever listed, so it does not matter how many files there are.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "base/cleanups.h"
#include "base/clock.h"
#include "base/gettext-compat.h"
#include "tang/share-folder.h"
#include "tang/share-words.h"
#include "tang/share.h"

/* Bytes that are locked: turns from 0 on, one who wants a turn, and for files
 * one that their names choose.  If two names choose the same, their owners wait
 * for each other, no more.
 */
#define TURNS 256               /* --tang-parallel is at most that */
#define BYTE_WANTED 1000
#define BYTE_FILES (UINT64_C (1) << 32)

/* Folders of servers that are open at a time, with two descriptors each: disks can
 * name thousands.  Fewer where few files may be open.
 */
#define PLACES 64

/* Pauses of who waits, in seconds. */
#define FIRST_PAUSE 0.010
#define LONGEST_PAUSE 0.050

/* If more requests of a run than this wait for others, all look more seldom:
 * each look is some ten system calls.
 */
#define EAGER 16

/* Seconds by which a try may be longer than its timeout.  One that is even longer
 * says nothing of its server: this process was stopped, or starved.
 */
#define STALLED 2

/* The part of the deadline for which a request waits for what another run finds out.
 * If that run was stopped, it keeps what it has.
 */
#define PATIENCE (2 / 3.0)

/* Digits of a digest in a name: 128 bits. */
#define DIGITS 32

struct digest {
  char text[DIGITS + 1];
  uint64_t byte;                /* that stands for it, if it is of a file */
};

/* A server, by scheme, host and port. */
struct origin {
  struct origin *next;
  struct digest digest;
  struct share_place place;     /* open if there are users */
  size_t users;                 /* requests that have something of it */
  bool turns[TURNS];            /* those that this run has */
  bool wants;                   /* BYTE_WANTED is locked */
};

/* A way to ask a server: what is known of it. */
struct way {
  struct way *next;
  struct origin *origin;
  char *text;                   /* what the digest is of */
  char down[sizeof "down-" + DIGITS], up[sizeof "up-" + DIGITS];
  struct digest first;          /* whoever is it has this locked */
  const struct share_request *first_of; /* this run is it, for that; or NULL */
  double up_until;              /* of the clock: it is known to answer */
  struct share_request *requests; /* that others may have the reply of */
};

struct share {
  const struct policy *policy;
  int folder;
  char host[64];                /* of this process: in marks, and in ways */
  char boot[40];                /* what tells hosts of one name apart */
  size_t nr_kept;               /* replies */
  struct origin *origins;
  size_t places, most_places;   /* open, and allowed */
  struct way *ways;
  size_t nr_waiting;            /* requests that wait for others */
  unsigned seed;                /* of pauses; not a secret */
};

struct share_request {
  struct share *share;
  struct way *way;
  struct share_request *next;   /* of the way, if it has a name */
  char *name;                   /* of the file of the reply, or NULL */
  struct digest lock;           /* of that file */
  bool uses;                    /* the place of its server */
  bool asks;                    /* it has that locked */
  bool keeps_body;              /* of a reply, for others */
  int turn;                     /* or -1 */
  enum share_says waits;        /* SHARE_WAIT_*, or SHARE_SEND */
  double since;                 /* of the clock: when it began to wait for others */
  double sent;                  /* the same: when it was last told to be sent */
  bool impatient;               /* it does not wait for others any more */
  double pause;
  char *text;                   /* of a reply that was read */
};

static void
digest_of (struct digest *digest, const char *text)
{
  unsigned char hash[SHA256_DIGEST_LENGTH];
  size_t i;

  SHA256 ((const unsigned char *) text, strlen (text), hash);
  for (i = 0; i < DIGITS / 2; ++i)
    snprintf (digest->text + 2 * i, 3, "%02x", hash[i]);
  digest->byte = BYTE_FILES;
  for (i = 0; i < 6; ++i)
    digest->byte += (uint64_t) hash[i] << (8 * i);
}

static size_t
most_places (void)
{
  const rlim_t part = 16;       /* two descriptors, of an eighth of all */
  struct rlimit files;

  if (getrlimit (RLIMIT_NOFILE, &files) == -1 ||
      files.rlim_cur / part >= PLACES)
    return PLACES;
  return files.rlim_cur < part ? 1 : files.rlim_cur / part;
}

/* Of the system, since it was started; empty if it does not tell. */
static void
read_boot (char *boot, size_t size)
{
  FILE *file = fopen ("/proc/sys/kernel/random/boot_id", "re");

  if (file == NULL || fgets (boot, size, file) == NULL)
    boot[0] = '\0';
  boot[strcspn (boot, "\n")] = '\0';
  if (file)
    fclose (file);
}

struct share *
share_new (const struct policy *policy, struct clevis_error *err)
{
  struct share *share = calloc (1, sizeof *share);

  if (share == NULL) {
    clevis_error_errno (err, errno, "--tang-share");
    return NULL;
  }
  share->policy = policy;
  share->folder = share_folder_open (policy_get_settings (policy)->share, err);
  if (share->folder == -1) {
    free (share);
    return NULL;
  }
  share->most_places = most_places ();
  if (gethostname (share->host, sizeof share->host) == -1 ||
      share->host[0] == '\0')
    strcpy (share->host, "?");
  share->host[sizeof share->host - 1] = '\0';
  read_boot (share->boot, sizeof share->boot);
  share->seed = (unsigned) (uint64_t) (clock_now () * 1e6) ^
    (unsigned) getpid () << 16;
  return share;
}

void
share_free (struct share *share)
{
  struct origin *origin;
  struct way *way;

  if (share == NULL)
    return;
  while ((way = share->ways) != NULL) {
    share->ways = way->next;
    free (way->text);
    free (way);
  }
  while ((origin = share->origins) != NULL) {
    share->origins = origin->next;
    free (origin);
  }
  close (share->folder);
  free (share);
}

static struct origin *
find_origin (struct share *share, const struct url *url,
             struct clevis_error *err)
{
  CLEANUP_FREE char *name = url_origin (url);
  struct origin *origin;
  struct digest digest;

  if (name == NULL) {
    clevis_error_errno (err, ENOMEM, "--tang-share");
    return NULL;
  }
  digest_of (&digest, name);
  for (origin = share->origins; origin; origin = origin->next)
    if (strcmp (origin->digest.text, digest.text) == 0)
      return origin;
  origin = calloc (1, sizeof *origin);
  if (origin == NULL) {
    clevis_error_errno (err, errno, "--tang-share");
    return NULL;
  }
  origin->digest = digest;
  origin->next = share->origins;
  share->origins = origin;
  return origin;
}

/* Zero where it is not known. */
static unsigned long long
namespace_of (const char *kind)
{
  char path[64];
  struct stat st;

  snprintf (path, sizeof path, "/proc/self/ns/%s", kind);
  return stat (path, &st) == 0 ? st.st_ino : 0;
}

/* Where this process asks from: other hosts, and other networks of this one,
 * may reach what it does not, and with other files it knows other names.
 */
static char *
way_text (const struct share *share, const struct http_request *request,
          struct clevis_error *err)
{
  const struct policy_target target = policy_target_of (request->base);
  CLEANUP_FREE char *settings = policy_way (share->policy, &target,
                                            request->trusted, err);
  char *text;

  if (settings == NULL)
    return NULL;
  if (asprintf (&text, "%s\nfrom %s %s %llu %llu\n%s", request->base->base,
                share->host, share->boot, namespace_of ("net"),
                namespace_of ("mnt"), settings) == -1) {
    clevis_error_errno (err, ENOMEM, "--tang-share");
    return NULL;
  }
  return text;
}

static struct way *
find_way (struct share *share, const struct http_request *request,
          struct clevis_error *err)
{
  CLEANUP_FREE char *text = way_text (share, request, err);
  struct origin *origin = text ? find_origin (share, request->base, err)
    : NULL;
  struct digest digest;
  struct way *way;

  if (origin == NULL)
    return NULL;
  for (way = share->ways; way; way = way->next)
    if (strcmp (way->text, text) == 0)
      return way;
  way = calloc (1, sizeof *way);
  if (way == NULL) {
    clevis_error_errno (err, errno, "--tang-share");
    return NULL;
  }
  digest_of (&digest, text);
  snprintf (way->down, sizeof way->down, "down-%s", digest.text);
  snprintf (way->up, sizeof way->up, "up-%s", digest.text);
  digest_of (&way->first, way->up);
  way->origin = origin;
  way->text = text;
  text = NULL;
  way->next = share->ways;
  share->ways = way;
  return way;
}

struct share_request *
share_request_new (struct share *share, const struct http_request *request,
                   const char *name, struct clevis_error *err)
{
  struct way *way = find_way (share, request, err);
  struct share_request *r = way ? calloc (1, sizeof *r) : NULL;
  CLEANUP_FREE char *whole = NULL;
  struct digest digest;

  if (r == NULL) {
    if (way)
      clevis_error_errno (err, errno, "--tang-share");
    return NULL;
  }
  r->share = share;
  r->way = way;
  r->turn = -1;
  r->waits = SHARE_SEND;
  if (name == NULL)
    return r;
  if (asprintf (&whole, "%s%s", way->text, name) == -1)
    whole = NULL;
  if (whole) {
    digest_of (&digest, whole);
    if (asprintf (&r->name, "reply-%s", digest.text) == -1)
      r->name = NULL;
  }
  if (r->name == NULL) {
    free (r);
    clevis_error_errno (err, ENOMEM, "--tang-share");
    return NULL;
  }
  digest_of (&r->lock, r->name);
  /* An answer to a point is for nobody: only that there was one. */
  r->keeps_body = strcmp (name, "/adv") == 0;
  r->next = way->requests;
  way->requests = r;
  return r;
}

static const struct share_place *
place_of (const struct share_request *r)
{
  return &r->way->origin->place;
}

/* Have the folder of the server open.  Returns 1, 0 if too many are, or -1 and
 * why.
 */
static int
use_place (struct share_request *r, struct clevis_error *err)
{
  struct share *share = r->share;
  struct origin *origin = r->way->origin;

  if (r->uses)
    return 1;
  if (origin->users == 0) {
    if (share->places == share->most_places)
      return 0;
    if (share_place_open (&origin->place, share->folder,
                          policy_get_settings (share->policy)->share,
                          origin->digest.text, err) == -1)
      return -1;
    share->places++;
  }
  origin->users++;
  r->uses = true;
  return 1;
}

static void
leave_place (struct share_request *r)
{
  struct origin *origin = r->way->origin;

  if (!r->uses)
    return;
  r->uses = false;
  if (--origin->users == 0) {
    share_place_close (&origin->place);
    r->share->places--;
  }
}

/* Let others find out what it would have. */
static void
stop_asking (struct share_request *r)
{
  if (r->asks)
    share_unlock (place_of (r), r->lock.byte);
  r->asks = false;
}

static void
stop_being_first (struct way *way)
{
  if (way->first_of)
    share_unlock (&way->origin->place, way->first.byte);
  way->first_of = NULL;
}

static void
stop_waiting (struct share_request *r)
{
  struct origin *origin = r->way->origin;

  /* If this run has others that wait, they will say so again. */
  if (r->waits == SHARE_WAIT_TURN && origin->wants) {
    share_unlock (&origin->place, BYTE_WANTED);
    origin->wants = false;
  }
  if (r->waits == SHARE_WAIT_OTHERS)
    r->share->nr_waiting--;
  r->waits = SHARE_SEND;
}

void
share_request_free (struct share_request *r)
{
  struct share_request **other;

  if (r == NULL)
    return;
  stop_waiting (r);
  share_end_turn (r);
  stop_asking (r);
  if (r->way->first_of == r)
    stop_being_first (r->way);
  leave_place (r);
  if (r->name) {
    for (other = &r->way->requests; *other != r; other = &(*other)->next)
      ;
    *other = r->next;
  }
  free (r->name);
  free (r->text);
  free (r);
}

/* Is it of some use, at this age? */
static bool
is_fresh (double age, double seconds)
{
  return age >= -SHARE_SECONDS_AHEAD && age < seconds;
}

/* A reply that another run got, not long ago. */
static bool
find_reply (struct share_request *r, struct http_reply *reply)
{
  CLEANUP_FREE char *text = malloc (SHARE_FILE + 1);
  double age;
  long len;

  if (text == NULL)
    return false;
  len = share_read (place_of (r), r->name, text, SHARE_FILE, &age);
  if (len == -1 || !is_fresh (age, SHARE_SECONDS_REPLY) ||
      !share_read_reply (text, len, reply))
    return false;
  if (reply->status != 200 && reply->status != 404 &&
      !is_fresh (age, SHARE_SECONDS_FAULT)) {
    clevis_error_clear (&reply->error);
    return false;
  }
  free (r->text);
  r->text = text;
  text = NULL;
  return true;
}

/* Has another run marked the server?  Then err says so. */
static bool
find_mark (const struct share_request *r, struct clevis_error *err)
{
  const struct share *share = r->share;
  char text[4 * SHARE_LINE];
  struct share_mark mark;
  double age;
  long len = share_read (place_of (r), r->way->down, text, sizeof text, &age);

  if (len == -1 || !share_read_mark (text, len, &mark) ||
      mark.seconds > SHARE_SECONDS_DOWN || !is_fresh (age, mark.seconds))
    return false;
  /* What this run has found out does not end its other requests. */
  if (mark.pid == getpid () && strcmp (mark.host, share->host) == 0)
    return false;
  clevis_error_set (err, CLEVIS_ERR_UNREACHABLE,
                    _("not asked: another run (process %ld) could not reach "
                      "it %.0f seconds ago: %s"),
                    mark.pid, age > 0 ? age : 0, mark.why);
  clevis_error_hint (err, _("It is asked again %.0f seconds from now, or at "
                            "once if you remove %s/%s/%s"),
                     mark.seconds - age,
                     policy_get_settings (share->policy)->share,
                     r->way->origin->digest.text, r->way->down);
  if (err->address == NULL && mark.address)
    err->address = strdup (mark.address);
  return true;
}

/* Is the server known to answer? */
static bool
is_up (struct way *way)
{
  char text[1];
  double age;

  if (clock_now () < way->up_until)
    return true;
  if (share_read (&way->origin->place, way->up, text, sizeof text,
                  &age) == -1 || !is_fresh (age, SHARE_SECONDS_UP))
    return false;
  way->up_until = clock_now () + SHARE_SECONDS_UP - (age > 0 ? age : 0);
  return true;
}

static enum share_says
fail_to_lock (const struct share_request *r, struct clevis_error *err)
{
  clevis_error_errno (err, errno, _("--tang-share %s: files cannot be locked "
                                    "there"),
                      policy_get_settings (r->share->policy)->share);
  return SHARE_FAILED;
}

/* Another run has what this one wants. */
static enum share_says
wait_for_others (struct share_request *r)
{
  const long deadline =
    policy_get_settings (r->share->policy)->deadline;

  if (r->waits == SHARE_WAIT_OTHERS &&
      clock_now () - r->since > deadline / 1000.0 * PATIENCE)
    r->impatient = true;
  return r->impatient ? SHARE_SEND : SHARE_WAIT_OTHERS;
}

/* Is another request of this run about to find out the same? */
static bool
is_asked (const struct share_request *r)
{
  const struct share_request *other;

  if (r->name == NULL || r->asks)
    return false;
  for (other = r->way->requests; other; other = other->next)
    if (other->asks && strcmp (other->name, r->name) == 0)
      return true;
  return false;
}

/* Be the one who asks this, unless another run is. */
static enum share_says
ask_for_all (struct share_request *r, struct http_reply *reply,
             struct clevis_error *err)
{
  if (r->name == NULL || r->asks)
    return SHARE_SEND;
  if (find_reply (r, reply))
    return SHARE_REPLY;
  switch (share_lock (place_of (r), r->lock.byte)) {
  case 0:
    return wait_for_others (r);
  case -1:
    return fail_to_lock (r, err);
  }
  r->asks = true;
  /* It may have come before that was locked. */
  if (!find_reply (r, reply))
    return SHARE_SEND;
  stop_asking (r);
  return SHARE_REPLY;
}

/* Nobody knows whether it answers: be the first to ask, unless another is. */
static enum share_says
be_first (struct share_request *r, struct clevis_error *err)
{
  struct way *way = r->way;

  if (way->first_of || is_up (way))
    return SHARE_SEND;
  switch (share_lock (place_of (r), way->first.byte)) {
  case 0:
    return wait_for_others (r);
  case -1:
    return fail_to_lock (r, err);
  }
  way->first_of = r;
  /* Another may have found out before that was locked. */
  return find_mark (r, err) ? SHARE_FAILED : SHARE_SEND;
}

/* Take a turn, if there is one.  Who may have more begins with those that others
 * may not have.
 */
static enum share_says
take_turn (struct share_request *r, struct clevis_error *err)
{
  struct origin *origin = r->way->origin;
  int i = policy_get_settings (r->share->policy)->parallel, got;

  if (i > TURNS)
    i = TURNS;
  while (--i >= 0) {
    if (origin->turns[i])
      continue;
    got = share_lock (&origin->place, i);
    if (got == -1)
      return fail_to_lock (r, err);
    if (got == 1) {
      origin->turns[i] = true;
      r->turn = i;
      return SHARE_SEND;
    }
  }
  if (!origin->wants)
    origin->wants = share_lock_together (&origin->place, BYTE_WANTED) == 1;
  return SHARE_WAIT_TURN;
}

/* What share_ask says, before anybody has noted it. */
static enum share_says
look (struct share_request *r, struct http_reply *reply,
      struct clevis_error *err)
{
  enum share_says says;

  if (is_asked (r))
    return SHARE_WAIT_OTHERS;
  switch (use_place (r, err)) {
  case 0:
    return SHARE_WAIT_OTHERS;
  case -1:
    return SHARE_FAILED;
  }
  says = ask_for_all (r, reply, err);
  if (says == SHARE_SEND && find_mark (r, err))
    says = SHARE_FAILED;
  if (says == SHARE_SEND)
    says = be_first (r, err);
  if (says == SHARE_SEND)
    says = take_turn (r, err);
  return says;
}

enum share_says
share_ask (struct share_request *r, struct http_reply *reply,
           struct clevis_error *err)
{
  const enum share_says says = look (r, reply, err);

  if (r->waits != says)
    stop_waiting (r);
  if (says == SHARE_SEND) {
    r->pause = 0;
    r->sent = clock_now ();
  }
  if (says == SHARE_WAIT_OTHERS && r->waits != says) {
    r->share->nr_waiting++;
    r->since = clock_now ();
  }
  r->waits = says;
  if (says == SHARE_WAIT_OTHERS && !r->asks && r->way->first_of != r)
    leave_place (r);
  return says;
}

double
share_pause (struct share_request *r)
{
  double part = (double) rand_r (&r->share->seed) / RAND_MAX;

  r->pause = r->pause == 0 ? FIRST_PAUSE : r->pause * 1.5;
  if (r->pause > LONGEST_PAUSE)
    r->pause = LONGEST_PAUSE;
  part = FIRST_PAUSE + (r->pause - FIRST_PAUSE) * part;
  return r->waits == SHARE_WAIT_OTHERS
    ? part * (1 + r->share->nr_waiting / EAGER) : part;
}

double
share_end_turn (struct share_request *r)
{
  struct origin *origin = r->way->origin;

  if (r->turn == -1)
    return 0;
  origin->turns[r->turn] = false;
  share_unlock (&origin->place, r->turn);
  r->turn = -1;
  /* All who wait look once within that time. */
  return share_is_locked (&origin->place, BYTE_WANTED) ? LONGEST_PAUSE : 0;
}

/* Write a file that anybody may write, unless another is about to. */
static void
write_locked (const struct way *way, const char *name, const char *text,
              size_t len)
{
  const struct share_place *place = &way->origin->place;
  struct digest digest;
  CLEANUP_FREE char *lock = NULL;

  if (asprintf (&lock, "write %s", name) == -1) {
    lock = NULL;
    return;
  }
  digest_of (&digest, lock);
  if (share_lock (place, digest.byte) != 1)
    return;
  /* If it cannot be written, others find out for themselves. */
  share_write (place, name, text, len);
  share_unlock (place, digest.byte);
}

/* Some reply has come, whatever it says. */
static void
learn_up (struct way *way)
{
  const double now = clock_now ();

  share_remove (&way->origin->place, way->down);
  /* Whoever had no answer is to see that others had one meanwhile. */
  if (way->up_until < now + SHARE_SECONDS_UP - 1) {
    write_locked (way, way->up, "", 0);
    way->up_until = now + SHARE_SECONDS_UP;
  }
  stop_being_first (way);
}

/* From now on one run finds out whether it still answers. */
static void
doubt (struct way *way)
{
  way->up_until = 0;
  share_remove (&way->origin->place, way->up);
}

/* Does it say something of the server that it was not reached?  Not if this
 * process was stopped, nor if another run was answered after this one had begun.
 */
static bool
tells_of_server (const struct share_request *r)
{
  const struct policy_settings *settings =
    policy_get_settings (r->share->policy);
  const double seconds = clock_now () - r->sent;
  char text[1];
  double age;

  if (seconds > settings->timeout / 1000.0 + STALLED)
    return false;
  return share_read (place_of (r), r->way->up, text, sizeof text, &age) == -1 ||
    age < 0 || age > seconds;
}

static void
learn_down (const struct share_request *r, const struct http_reply *reply)
{
  struct share_mark mark = {
    .host = r->share->host, .pid = getpid (), .address = reply->address,
    .why = reply->error.message, .seconds = SHARE_SECONDS_DOWN,
  };
  CLEANUP_FREE char *text = NULL;
  size_t len;

  if (reply->seconds * SHARE_TIMES_DOWN < SHARE_SECONDS_DOWN)
    mark.seconds = (long) (reply->seconds * SHARE_TIMES_DOWN);
  if (mark.seconds < SHARE_SECONDS_DOWN_LEAST)
    mark.seconds = SHARE_SECONDS_DOWN_LEAST;
  text = mark.why ? share_write_mark (&mark, &len) : NULL;
  if (text)
    write_locked (r->way, r->way->down, text, len);
}

/* What was asked for all is written before the next of them may ask. */
static void
keep_reply (struct share_request *r, const struct http_reply *reply)
{
  struct http_reply kept = *reply;
  CLEANUP_FREE char *text = NULL;
  size_t len;

  if (!r->keeps_body)
    kept.len = 0;
  if (r->asks && r->share->nr_kept < SHARE_REPLIES &&
      kept.len <= SHARE_REPLY_BODY)
    text = share_write_reply (&kept, &len);
  if (text) {
    share_write (place_of (r), r->name, text, len);
    r->share->nr_kept++;
  }
  stop_asking (r);
}

void
share_learn (struct share_request *r, const struct http_reply *reply,
             bool last)
{
  if (use_place (r, NULL) != 1)
    return;
  /* What is no reply of HTTP was one all the same. */
  if (reply->error.code == CLEVIS_OK || reply->error.code == CLEVIS_ERR_REPLY)
    learn_up (r->way);
  else if (reply->error.code == CLEVIS_ERR_UNREACHABLE &&
           tells_of_server (r)) {
    doubt (r->way);
    if (last)
      learn_down (r, reply);
  }
  if (last)
    keep_reply (r, reply);
}

void
share_explain (enum share_says waits, double seconds,
               struct clevis_error *err)
{
  if (waits == SHARE_WAIT_TURN) {
    clevis_error_set (err, CLEVIS_ERR_UNREACHABLE,
                      _("not asked: its turn did not come within the deadline "
                        "of %g seconds"), seconds);
    clevis_error_hint (err, _("Other runs with the same --tang-share ask this "
                              "server.  A longer --deadline gives them time, a "
                              "larger --tang-parallel lets more of them ask "
                              "at a time."));
  }
  else {
    clevis_error_set (err, CLEVIS_ERR_UNREACHABLE,
                      _("not asked: another run asks it, and had no answer "
                        "within the deadline of %g seconds"), seconds);
    clevis_error_hint (err, _("Runs with the same --tang-share wait for the "
                              "first of them, as long as nobody knows whether "
                              "the server answers."));
  }
}
