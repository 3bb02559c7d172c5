/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of share*.c: runs that take turns, believe each other's marks and use
 * each other's replies; runs that are killed meanwhile; and a folder that is
 * not what it should be.
 *
 * A run is an object of this process, or a child where it has to have another
 * process ID or to die.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tang/queue.h"
#include "tang/share-folder.h"
#include "tang/share-words.h"
#include "tang/share.h"
#include "testlib/testlib-jwe.h"
#include "testlib/testlib-server.h"

#define URL "http://192.0.2.1:7500"

struct run {
  struct policy *policy;
  struct share *share;
  struct url *urls[4];
  int nr_urls;
};

static void
free_run (struct run *run)
{
  share_free (run->share);
  policy_free (run->policy);
  while (run->nr_urls > 0)
    url_free (run->urls[--run->nr_urls]);
}

#define CLEANUP_RUN __attribute__ ((cleanup (free_run)))

static void
free_request (struct share_request **request)
{
  share_request_free (*request);
}

#define CLEANUP_REQUEST __attribute__ ((cleanup (free_request)))

/* The name of a folder that is not there. */
static const char *
new_folder (void)
{
  static int n;

  return tmp_path ("share%d", n++);
}

static struct policy *
policy_of (const char *folder, int parallel)
{
  struct policy *policy = loopback_policy ();

  policy_settings (policy)->share = strdup (folder);
  policy_settings (policy)->parallel = parallel;
  return policy;
}

static struct run
run_of (struct policy *policy)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct run run = { .policy = policy, .share = share_new (policy, &err) };

  assert_no_error (&err);
  assert_non_null (run.share);
  return run;
}

static struct run
new_run (const char *folder, int parallel)
{
  return run_of (policy_of (folder, parallel));
}

static struct share_request *
request_at (struct run *run, const char *url, bool trusted, const char *name)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct http_request request = { .trusted = trusted, .path = "/adv" };
  struct share_request *r;

  assert_in_range (run->nr_urls, 0, 3);
  request.base = run->urls[run->nr_urls++] = url_parse (url, &err);
  assert_no_error (&err);
  r = share_request_new (run->share, &request, name, &err);
  assert_no_error (&err);
  assert_non_null (r);
  return r;
}

/* All of one run ask the same URL. */
static struct share_request *
new_request (struct run *run, const char *name)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct http_request request = { .path = "/adv" };
  struct share_request *r;

  if (run->nr_urls == 0)
    return request_at (run, URL, false, name);
  request.base = run->urls[0];
  r = share_request_new (run->share, &request, name, &err);
  assert_no_error (&err);
  return r;
}

/* What a request is told, and no more is looked at. */
static enum share_says
says (struct share_request *r)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct http_reply reply = { .error = CLEVIS_ERROR_INIT };
  enum share_says said = share_ask (r, &reply, &err);

  clevis_error_clear (&reply.error);
  if (said == SHARE_FAILED)
    assert_int_not_equal (err.code, CLEVIS_OK);
  else
    assert_no_error (&err);
  return said;
}

#define assert_says(r, what) assert_int_equal (says (r), what)

/* It was refused with this error. */
static void
assert_fails (struct share_request *r, enum clevis_code code,
              const char *message)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct http_reply reply = { .error = CLEVIS_ERROR_INIT };

  assert_int_equal (share_ask (r, &reply, &err), SHARE_FAILED);
  assert_error (&err, code, message);
}

/* Seconds that a request has taken. */
static double taken = 1.25;

/* A request has ended, with a reply or with an error. */
static void
learn (struct share_request *r, enum clevis_code code, long status,
       const char *body, size_t len, bool last)
{
  struct http_reply reply = {
    .error = CLEVIS_ERROR_INIT, .status = status,
    .content_type = "application/jose+json", .body = body, .len = len,
    .address = "192.0.2.1", .seconds = taken,
    .certificate_expiry = "Nov 28 12:00:00 2027 GMT",
  };

  if (code != CLEVIS_OK)
    clevis_error_set (&reply.error, code, "cannot connect: %s", "no way");
  share_end_turn (r);
  share_learn (r, &reply, last);
  clevis_error_clear (&reply.error);
}

static void
learn_up (struct share_request *r)
{
  learn (r, CLEVIS_OK, 200, "", 0, true);
}

/* A child that does something, tells how that ended, and waits to be killed.  It
 * does not exit: valgrind would look for leaks in what it has of its parent.
 */
static pid_t
start_child (int (*run) (const char *folder), const char *folder, int *status)
{
  int ends[2];
  pid_t pid;
  char c;

  assert_int_equal (pipe (ends), 0);
  fflush (NULL);
  pid = fork ();
  assert_int_not_equal (pid, -1);
  if (pid == 0) {
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    c = run (folder);
    if (write (ends[1], &c, 1) == 1)
      for (;;)
        pause ();
    _exit (1);
  }
  close (ends[1]);
  assert_int_equal (read (ends[0], &c, 1), 1);
  close (ends[0]);
  *status = c;
  return pid;
}

static void
kill_child (pid_t pid)
{
  int status;

  kill (pid, SIGKILL);
  assert_int_equal (waitpid (pid, &status, 0), pid);
}

static int
run_child (int (*run) (const char *folder), const char *folder)
{
  int status;

  kill_child (start_child (run, folder, &status));
  return status;
}

/* The same, and it lives on. */
static pid_t
child_that_holds (int (*run) (const char *folder), const char *folder)
{
  int status;
  pid_t pid = start_child (run, folder, &status);

  assert_int_equal (status, 0);
  return pid;
}

/* Another run asks, and ends like that. */
static const char *child_name;
static enum clevis_code child_code;
static long child_status;

static int
ask_in_child (const char *folder)
{
  CLEANUP_RUN struct run run = new_run (folder, 2);
  CLEANUP_REQUEST struct share_request *r = new_request (&run, child_name);

  if (says (r) != SHARE_SEND)
    return EXIT_FAILURE;
  learn (r, child_code, child_status, "{\"a\\0b\":1}\0\n", 12, true);
  return 0;
}

static void
another_run (const char *folder, const char *name, enum clevis_code code,
             long status)
{
  child_name = name;
  child_code = code;
  child_status = status;
  assert_int_equal (run_child (ask_in_child, folder), 0);
}

/* The path of the only file in the folder of a server with this beginning, or
 * NULL.
 */
static char *
find_file (const char *folder, const char *prefix)
{
  CLEANUP_FREE char *command = NULL;
  char *found;

  assert_int_not_equal (asprintf (&command, "cd '%s' && find . -path './*/%s*' "
                                  "-printf '%s/%%P'", folder, prefix,
                                  folder), -1);
  found = shell_output ("%s", command);
  if (found[0] != '\0')
    return found;
  free (found);
  return NULL;
}

static void
set_age (const char *file, int seconds)
{
  struct timespec times[2];

  clock_gettime (CLOCK_REALTIME, &times[0]);
  times[0].tv_sec -= seconds;
  times[1] = times[0];
  assert_int_equal (utimensat (AT_FDCWD, file, times, 0), 0);
}

static void
test_turns (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_RUN struct run a = new_run (folder, 2), b = new_run (folder, 2);
  CLEANUP_REQUEST struct share_request *a1 = new_request (&a, NULL),
    *a2 = new_request (&a, NULL), *a3 = new_request (&a, NULL),
    *b1 = new_request (&b, NULL);

  assert_says (a1, SHARE_SEND);
  assert_says (a2, SHARE_SEND);
  learn (a2, CLEVIS_OK, 503, "", 0, false);
  assert_says (b1, SHARE_SEND);
  /* Both turns are taken, in two runs. */
  assert_says (a3, SHARE_WAIT_TURN);
  assert_says (a3, SHARE_WAIT_TURN);
  share_end_turn (b1);
  assert_says (a3, SHARE_SEND);
  assert_says (b1, SHARE_WAIT_TURN);
  /* Who ends frees all that he had. */
  share_request_free (a1);
  a1 = NULL;
  assert_says (b1, SHARE_SEND);
  assert_says (a2, SHARE_WAIT_TURN);
}

/* Who may have more leaves to others what they may have. */
static void
test_different_parallel (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_RUN struct run one = new_run (folder, 1), many = new_run (folder, 3);
  CLEANUP_REQUEST struct share_request *o1 = new_request (&one, NULL),
    *o2 = new_request (&one, NULL), *m1 = new_request (&many, NULL),
    *m2 = new_request (&many, NULL), *m3 = new_request (&many, NULL);

  assert_says (m1, SHARE_SEND);
  learn (m1, CLEVIS_OK, 503, "", 0, false);
  assert_says (m1, SHARE_SEND);
  assert_says (m2, SHARE_SEND);
  assert_says (o1, SHARE_SEND);
  assert_says (o2, SHARE_WAIT_TURN);
  assert_says (m3, SHARE_WAIT_TURN);
  share_end_turn (m2);
  /* The turn of m2 is none that this one may have. */
  assert_says (o2, SHARE_WAIT_TURN);
  assert_says (m3, SHARE_SEND);
}

/* Who ends a turn waits for a moment if another run wants it, and only then. */
static void
test_no_starvation (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_RUN struct run a = new_run (folder, 1), b = new_run (folder, 1);
  CLEANUP_REQUEST struct share_request *a1 = new_request (&a, NULL),
    *a2 = new_request (&a, NULL), *b1 = new_request (&b, NULL);
  double pause;
  int i;

  assert_says (a1, SHARE_SEND);
  learn_up (a1);
  assert_says (a1, SHARE_SEND);
  assert_says (a2, SHARE_WAIT_TURN);
  assert_true (share_end_turn (a1) == 0);
  assert_says (a1, SHARE_SEND);
  assert_says (b1, SHARE_WAIT_TURN);
  for (i = 0; i < 100; ++i) {
    pause = share_pause (b1);
    assert_true (pause >= 0.010 && pause <= 0.050);
  }
  assert_true (share_end_turn (a1) >= pause);
  assert_says (b1, SHARE_SEND);
  share_request_free (a2);
  a2 = NULL;
  assert_true (share_end_turn (b1) == 0);
}

static int
take_both_turns (const char *folder)
{
  struct run run = new_run (folder, 2);

  if (says (new_request (&run, NULL)) != SHARE_SEND ||
      says (new_request (&run, "/adv")) != SHARE_SEND)
    return 1;
  return 0;
}

/* The kernel gives back what a run had that was killed: turns, a reply that
 * it would have asked for, and that it was the first.
 */
static void
test_killed (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_RUN struct run run = new_run (folder, 2);
  CLEANUP_REQUEST struct share_request *adv = new_request (&run, "/adv"),
    *rec = new_request (&run, NULL), *rec2 = new_request (&run, NULL);
  pid_t pid = child_that_holds (take_both_turns, folder);

  assert_says (adv, SHARE_WAIT_OTHERS);
  assert_says (rec, SHARE_WAIT_OTHERS);
  kill_child (pid);
  assert_says (adv, SHARE_SEND);
  assert_says (rec, SHARE_SEND);
  learn_up (rec);
  assert_says (rec, SHARE_SEND);
  assert_says (rec2, SHARE_WAIT_TURN);
}

/* One run finds out whether a server answers. */
static void
test_first (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_RUN struct run a = new_run (folder, 9), b = new_run (folder, 9),
    c = new_run (folder, 9), d = new_run (folder, 9);
  CLEANUP_REQUEST struct share_request *c1 = new_request (&c, NULL),
    *d1 = new_request (&d, NULL);
  CLEANUP_REQUEST struct share_request *a1 = new_request (&a, NULL),
    *a2 = new_request (&a, NULL), *b1 = new_request (&b, NULL),
    *b2 = new_request (&b, NULL);

  assert_says (a1, SHARE_SEND);
  assert_says (a2, SHARE_SEND);
  assert_says (b1, SHARE_WAIT_OTHERS);
  /* The one that found out nothing lets another try. */
  share_request_free (a1);
  a1 = new_request (&a, NULL);
  assert_says (b1, SHARE_SEND);
  assert_says (a1, SHARE_WAIT_OTHERS);
  /* A try failed, and there will be another: it is still the first. */
  learn (b1, CLEVIS_ERR_UNREACHABLE, 0, "", 0, false);
  assert_says (a1, SHARE_WAIT_OTHERS);
  assert_says (b1, SHARE_SEND);
  learn (b1, CLEVIS_OK, 500, "", 0, false);
  assert_says (a1, SHARE_SEND);
  assert_says (b2, SHARE_SEND);
  /* It was known to answer, and now it is not: one run finds out. */
  assert_says (c1, SHARE_SEND);
  share_end_turn (c1);
  learn (b2, CLEVIS_ERR_UNREACHABLE, 0, "", 0, false);
  assert_says (b2, SHARE_SEND);
  assert_says (d1, SHARE_WAIT_OTHERS);
}

static void
test_mark (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_RUN struct run run = new_run (folder, 2);
  CLEANUP_REQUEST struct share_request *r = new_request (&run, NULL),
    *earlier = new_request (&run, NULL);
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct http_reply reply = { .error = CLEVIS_ERROR_INIT };
  CLEANUP_FREE char *file = NULL, *none = NULL;

  assert_says (earlier, SHARE_SEND);
  learn (earlier, CLEVIS_OK, 503, "", 0, false);
  assert_says (earlier, SHARE_SEND);
  another_run (folder, NULL, CLEVIS_ERR_UNREACHABLE, 0);
  assert_int_equal (share_ask (r, &reply, &err), SHARE_FAILED);
  assert_error (&err, CLEVIS_ERR_UNREACHABLE,
                "could not reach it 0 seconds ago: cannot connect: no way");
  assert_string_equal (err.address, "192.0.2.1");
  file = find_file (folder, "down-");
  assert_contains (err.hint, file);
  /* As the hint says: at once without it. */
  assert_int_equal (rename (file, tmp_path ("mark")), 0);
  assert_says (r, SHARE_SEND);
  assert_int_equal (rename (tmp_path ("mark"), file), 0);
  share_end_turn (r);
  assert_says (r, SHARE_FAILED);
  /* The first success removes it. */
  learn (earlier, CLEVIS_OK, 404, "", 0, true);
  none = find_file (folder, "down-");
  assert_null (none);
  assert_says (r, SHARE_SEND);
}

/* What a run has found out is not told to itself: without the folder its other
 * requests would be sent, too.
 */
static void
test_own_mark (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_RUN struct run run = new_run (folder, 2);
  CLEANUP_REQUEST struct share_request *r = new_request (&run, NULL),
    *other = new_request (&run, NULL);
  CLEANUP_FREE char *file = NULL;

  assert_says (r, SHARE_SEND);
  learn (r, CLEVIS_ERR_UNREACHABLE, 0, "", 0, true);
  file = find_file (folder, "down-");
  assert_non_null (file);
  assert_says (other, SHARE_SEND);
}

static void
test_age_of_marks (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_RUN struct run run = new_run (folder, 2);
  CLEANUP_REQUEST struct share_request *r = new_request (&run, NULL);
  CLEANUP_FREE char *file = NULL;

  taken = 30;
  another_run (folder, NULL, CLEVIS_ERR_UNREACHABLE, 0);
  taken = 1.25;
  file = find_file (folder, "down-");
  set_age (file, SHARE_SECONDS_DOWN - 5);
  assert_fails (r, CLEVIS_ERR_UNREACHABLE, "could not reach it 55 ");
  set_age (file, SHARE_SECONDS_DOWN);
  assert_says (r, SHARE_SEND);
  share_end_turn (r);
  /* Clocks of other hosts are a little ahead. */
  set_age (file, -SHARE_SECONDS_AHEAD + 2);
  assert_fails (r, CLEVIS_ERR_UNREACHABLE, "could not reach it 0 ");
  /* This host's clock was set back. */
  set_age (file, -SHARE_SECONDS_AHEAD - 1);
  assert_says (r, SHARE_SEND);
  share_end_turn (r);
  set_age (file, -365 * 86400);
  assert_says (r, SHARE_SEND);
}

/* A server that refuses a connection, because it is started anew, is asked again
 * soon; the longer it takes to find out, the longer it is believed.
 */
static void
test_short_marks (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_RUN struct run run = new_run (folder, 2);
  CLEANUP_REQUEST struct share_request *r = new_request (&run, NULL);
  CLEANUP_FREE char *file = NULL, *later = NULL;

  taken = 0.001;
  another_run (folder, NULL, CLEVIS_ERR_UNREACHABLE, 0);
  file = find_file (folder, "down-");
  assert_fails (r, CLEVIS_ERR_UNREACHABLE, "could not reach it 0 ");
  set_age (file, SHARE_SECONDS_DOWN_LEAST);
  assert_says (r, SHARE_SEND);
  share_end_turn (r);
  share_request_free (r);
  taken = 2;
  another_run (folder, NULL, CLEVIS_ERR_UNREACHABLE, 0);
  taken = 1.25;
  r = new_request (&run, NULL);
  later = find_file (folder, "down-");
  set_age (later, 15);
  assert_fails (r, CLEVIS_ERR_UNREACHABLE, "could not reach it 15 ");
  set_age (later, 20);
  assert_says (r, SHARE_SEND);
}

/* A run that had no answer, though another one had one meanwhile, or because it
 * was stopped, marks nothing.
 */
static void
test_no_mark (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_RUN struct run run = new_run (folder, 2),
    stopped = new_run (new_folder (), 2);
  CLEANUP_REQUEST struct share_request *r = NULL, *s = NULL;
  CLEANUP_FREE char *up = NULL, *down = NULL;

  another_run (folder, NULL, CLEVIS_OK, 200);
  up = find_file (folder, "up-");
  assert_non_null (up);
  set_age (up, 5);
  r = new_request (&run, NULL);
  assert_says (r, SHARE_SEND);
  usleep (20000);
  another_run (folder, NULL, CLEVIS_OK, 200);
  learn (r, CLEVIS_ERR_UNREACHABLE, 0, "", 0, true);
  down = find_file (folder, "down-");
  assert_null (down);

  policy_settings (stopped.policy)->timeout = 1;
  s = new_request (&stopped, NULL);
  assert_says (s, SHARE_SEND);
  usleep (2200000);
  learn (s, CLEVIS_ERR_UNREACHABLE, 0, "", 0, true);
  down = find_file (policy_get_settings (stopped.policy)->share, "down-");
  assert_null (down);
}

/* Who has a lock and was stopped does not keep others from asking for ever. */
static void
test_impatience (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_RUN struct run a = new_run (folder, 9), b = new_run (folder, 9);
  CLEANUP_REQUEST struct share_request *a1 = new_request (&a, "/adv"),
    *b1 = new_request (&b, "/adv"), *b2 = new_request (&b, NULL);

  policy_settings (b.policy)->deadline = policy_settings (a.policy)->deadline;
  assert_says (a1, SHARE_SEND);
  assert_says (b1, SHARE_WAIT_OTHERS);
  assert_says (b2, SHARE_WAIT_OTHERS);
  policy_settings (b.policy)->deadline = 300;
  usleep (250000);
  assert_says (b1, SHARE_SEND);
  assert_says (b2, SHARE_SEND);
}

/* A run keeps so many replies, and none that is large. */
static void
test_few_replies (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_RUN struct run run = new_run (folder, 2);
  CLEANUP_FREE char *large = calloc (1, SHARE_REPLY_BODY + 1), *none = NULL;
  CLEANUP_FREE char *found = NULL;
  struct share_request *r;
  char kid[32];
  int i;

  r = new_request (&run, "/adv");
  assert_says (r, SHARE_SEND);
  learn (r, CLEVIS_OK, 200, large, SHARE_REPLY_BODY + 1, true);
  share_request_free (r);
  none = find_file (folder, "reply-");
  assert_null (none);
  for (i = 0; i < SHARE_REPLIES + 9; ++i) {
    snprintf (kid, sizeof kid, "/rec/%d", i);
    r = new_request (&run, kid);
    assert_says (r, SHARE_SEND);
    learn_up (r);
    share_request_free (r);
  }
  found = shell_output ("find '%s' -name 'reply-*' | wc -l", folder);
  assert_int_equal (atoi (found), SHARE_REPLIES);
}

/* A password for the proxy changes no name of a file. */
static void
test_proxy_password (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  static const char *const proxies[] = {
    "http://user:one@192.0.2.3:80", "http://user:two@192.0.2.3:80",
    "http://192.0.2.4:80",
  };
  char *texts[3];
  size_t i;

  for (i = 0; i < 3; ++i) {
    struct policy *policy = loopback_policy ();
    struct url *url = url_parse (URL, &err);
    struct policy_target target = policy_target_of (url);

    free (policy_settings (policy)->no_proxy);
    policy_settings (policy)->no_proxy = NULL;
    policy_settings (policy)->proxy = strdup (proxies[i]);
    texts[i] = policy_way (policy, &target, false, &err);
    assert_non_null (texts[i]);
    url_free (url);
    policy_free (policy);
  }
  assert_string_equal (texts[0], texts[1]);
  assert_string_not_equal (texts[0], texts[2]);
  assert_null (strstr (texts[0], "one"));
  for (i = 0; i < 3; ++i)
    free (texts[i]);
}

/* A mark is for those who ask in the same way. */
static void
test_ways (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_RUN struct run same = new_run (folder, 7),
    slow = new_run (folder, 2), resolved = new_run (folder, 2),
    proxied = new_run (folder, 2), tls = new_run (folder, 2),
    allowed = new_run (folder, 2);
  CLEANUP_REQUEST struct share_request *r = new_request (&same, NULL),
    *mapped = request_at (&same, URL, true, NULL),
    *path = request_at (&same, URL "/path", false, NULL),
    *port = request_at (&same, "http://192.0.2.1:7501", false, NULL);
  struct share_request *r1, *r2, *r3, *r4, *r5;

  another_run (folder, NULL, CLEVIS_ERR_UNREACHABLE, 0);
  /* How many at a time is none of it. */
  assert_says (r, SHARE_FAILED);
  assert_says (mapped, SHARE_SEND);
  assert_says (path, SHARE_SEND);
  assert_says (port, SHARE_SEND);
  policy_settings (slow.policy)->connect_timeout++;
  assert_says (r1 = new_request (&slow, NULL), SHARE_SEND);
  policy_resolve (resolved.policy, "tang:80:192.0.2.1", NULL);
  assert_says (r2 = new_request (&resolved, NULL), SHARE_SEND);
  share_request_free (r1);
  share_request_free (r2);
  free (policy_settings (proxied.policy)->no_proxy);
  policy_settings (proxied.policy)->no_proxy = NULL;
  policy_settings (proxied.policy)->proxy = strdup ("http://192.0.2.3");
  assert_says (r3 = new_request (&proxied, NULL), SHARE_SEND);
  share_request_free (r3);
  policy_settings (tls.policy)->cacert = strdup (tmp_path ("ca.pem"));
  assert_says (r4 = new_request (&tls, NULL), SHARE_SEND);
  share_request_free (r4);
  policy_allow (allowed.policy, "192.0.2.0/24", NULL);
  assert_says (r5 = new_request (&allowed, NULL), SHARE_SEND);
  share_request_free (r5);
}

/* A file of TLS that was replaced is another way. */
static void
test_other_file (void **state)
{
  const char *ca = tmp_path ("other-ca.pem");
  struct policy *policy = loopback_policy ();
  const struct policy_target target = {
    .scheme = "https", .host = "tang", .port = 443,
  };
  CLEANUP_FREE char *before = NULL, *same = NULL, *after = NULL;

  write_file (ca, "one", 3);
  policy_settings (policy)->cacert = strdup (ca);
  before = policy_way (policy, &target, false, NULL);
  same = policy_way (policy, &target, false, NULL);
  write_file (ca, "more", 4);
  after = policy_way (policy, &target, false, NULL);
  policy_free (policy);
  assert_string_equal (before, same);
  assert_string_not_equal (before, after);
}

static void
test_replies (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_RUN struct run run = new_run (folder, 2);
  CLEANUP_REQUEST struct share_request *adv = new_request (&run, "/adv"),
    *rec = new_request (&run, "/rec/kid"), *other = new_request (&run, "/rec/k"),
    *recovery = new_request (&run, NULL);
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct http_reply reply;

  another_run (folder, "/adv", CLEVIS_OK, 200);
  another_run (folder, "/rec/kid", CLEVIS_OK, 200);
  assert_int_equal (share_ask (adv, &reply, &err), SHARE_REPLY);
  assert_no_error (&reply.error);
  assert_int_equal (reply.status, 200);
  assert_int_equal (reply.len, 12);
  assert_memory_equal (reply.body, "{\"a\\0b\":1}\0\n", 12);
  assert_string_equal (reply.content_type, "application/jose+json");
  assert_string_equal (reply.address, "192.0.2.1");
  assert_string_equal (reply.certificate_expiry, "Nov 28 12:00:00 2027 GMT");
  assert_true (reply.seconds == 1.25);
  /* What was answered to a point is nowhere, only that it was. */
  assert_int_equal (share_ask (rec, &reply, &err), SHARE_REPLY);
  assert_int_equal (reply.status, 200);
  assert_int_equal (reply.len, 0);
  assert_says (other, SHARE_SEND);
  assert_says (recovery, SHARE_SEND);
}

/* What recovers a key is nobody else's. */
static void
test_recovery (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_FREE char *file = NULL;

  another_run (folder, NULL, CLEVIS_OK, 200);
  file = find_file (folder, "reply-");
  assert_null (file);
}

static void
test_age_of_replies (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_RUN struct run run = new_run (folder, 2);
  CLEANUP_REQUEST struct share_request *adv = new_request (&run, "/adv");
  CLEANUP_FREE char *file = NULL;
  static const long kept[] = { 200, 404 }, shortly[] = { 500, 429, 301 };
  size_t i;

  for (i = 0; i < 2; ++i) {
    another_run (folder, "/adv", CLEVIS_OK, kept[i]);
    free (file);
    file = find_file (folder, "reply-");
    set_age (file, SHARE_SECONDS_REPLY - 5);
    assert_says (adv, SHARE_REPLY);
    set_age (file, SHARE_SECONDS_REPLY);
    assert_says (adv, SHARE_SEND);
    share_request_free (adv);
    adv = new_request (&run, "/adv");
    set_age (file, -SHARE_SECONDS_AHEAD - 1);
    assert_says (adv, SHARE_SEND);
    share_request_free (adv);
    adv = new_request (&run, "/adv");
  }
  /* It may be better a moment later. */
  for (i = 0; i < 3; ++i) {
    another_run (folder, "/adv", CLEVIS_OK, shortly[i]);
    assert_says (adv, SHARE_REPLY);
    set_age (file, SHARE_SECONDS_FAULT);
    assert_says (adv, SHARE_SEND);
    share_request_free (adv);
    adv = new_request (&run, "/adv");
  }
}

/* Errors: what was no reply of HTTP is told, what was no reply is a mark, and
 * all else is everybody's own.
 */
static void
test_errors (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_RUN struct run run = new_run (folder, 2);
  CLEANUP_REQUEST struct share_request *adv = new_request (&run, "/adv");
  CLEANUP_FREE char *file = NULL, *none = NULL, *up = NULL;
  struct http_reply reply;

  another_run (folder, "/adv", CLEVIS_ERR_REPLY, 0);
  assert_int_equal (share_ask (adv, &reply, NULL), SHARE_REPLY);
  assert_error (&reply.error, CLEVIS_ERR_REPLY, "cannot connect: no way");
  clevis_error_clear (&reply.error);
  up = find_file (folder, "up-");
  assert_non_null (up);
  file = find_file (folder, "reply-");
  set_age (file, SHARE_SECONDS_FAULT);
  another_run (folder, "/adv", CLEVIS_ERR_POLICY, 0);
  another_run (folder, "/adv", CLEVIS_ERR_SYSTEM, 0);
  none = find_file (folder, "down-");
  assert_null (none);
  assert_says (adv, SHARE_SEND);
  assert_int_equal (unlink (file), 0);
  share_request_free (adv);
  adv = new_request (&run, "/adv");
  another_run (folder, "/adv", CLEVIS_ERR_UNREACHABLE, 0);
  assert_says (adv, SHARE_FAILED);
}

/* What one asks, others wait for, in this run and in others. */
static void
test_wait (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_RUN struct run a = new_run (folder, 9), b = new_run (folder, 9);
  CLEANUP_REQUEST struct share_request *a1 = new_request (&a, "/adv"),
    *a2 = new_request (&a, "/adv"), *a3 = new_request (&a, "/rec/kid"),
    *b1 = new_request (&b, "/adv");

  assert_says (a1, SHARE_SEND);
  assert_says (a2, SHARE_WAIT_OTHERS);
  assert_says (a3, SHARE_SEND);
  assert_says (b1, SHARE_WAIT_OTHERS);
  /* There will be another try. */
  learn (a1, CLEVIS_OK, 503, "", 0, false);
  assert_says (b1, SHARE_WAIT_OTHERS);
  assert_says (a1, SHARE_SEND);
  learn_up (a1);
  assert_says (b1, SHARE_REPLY);
  assert_says (a2, SHARE_REPLY);
}

/* However many wait, they do not keep a processor busy with looking. */
static void
test_many_wait (void **state)
{
  enum { MANY = 160 };
  const char *folder = new_folder ();
  CLEANUP_RUN struct run a = new_run (folder, 9), b = new_run (folder, 9);
  CLEANUP_REQUEST struct share_request *first = new_request (&a, NULL);
  struct share_request *r[MANY];
  int i;

  assert_says (first, SHARE_SEND);
  for (i = 0; i < MANY; ++i) {
    r[i] = new_request (&b, NULL);
    assert_says (r[i], SHARE_WAIT_OTHERS);
    assert_says (r[i], SHARE_WAIT_OTHERS);
  }
  assert_true (share_pause (r[0]) >= 0.100);
  for (i = 1; i < MANY; ++i)
    share_request_free (r[i]);
  assert_true (share_pause (r[0]) <= 0.050);
  learn_up (first);
  assert_says (r[0], SHARE_SEND);
  share_request_free (r[0]);
}

/* A file is put in the place of one that was there. */
static void
replace (const char *file, const char *data, size_t len)
{
  CLEANUP_CLOSE int fd = open (file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

  assert_int_equal (write (fd, data, len), len);
}

/* A mark and a reply that are cut, or of which a byte is another, are none or say
 * something else; they are never read beyond their ends.
 */
static void
test_damaged (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_FREE char *reply = NULL, *mark = NULL, *old = NULL;
  struct http_reply read;
  struct share_mark why;
  size_t len, i;
  char *text;

  another_run (folder, "/adv", CLEVIS_OK, 200);
  reply = find_file (folder, "reply-");
  old = read_file (reply, &len);
  for (i = 0; i < len; ++i) {
    text = malloc (i + 1);
    memcpy (text, old, i);
    assert_false (share_read_reply (text, i, &read));
    free (text);
    text = malloc (len + 1);
    memcpy (text, old, len);
    text[i] ^= 1 << (i % 8);
    if (share_read_reply (text, len, &read)) {
      assert_true (read.len <= BOUND_REPLY_BODY);
      clevis_error_clear (&read.error);
    }
    memcpy (text, old, len);
    text[i] = '\0';
    assert_int_equal (share_read_reply (text, len, &read), i >= len - 12);
    free (text);
  }
  another_run (folder, NULL, CLEVIS_ERR_UNREACHABLE, 0);
  mark = find_file (folder, "down-");
  free (old);
  old = read_file (mark, &len);
  for (i = 0; i < len; ++i) {
    text = malloc (i + 1);
    memcpy (text, old, i);
    assert_false (share_read_mark (text, i, &why));
    memcpy (text, old, i);
    text[i] = '\n';
    share_read_mark (text, i + 1, &why);
    free (text);
  }
}

/* Numbers that are none, or too large. */
static void
test_numbers (void **state)
{
  static const char *const bad[] = {
    "1000\n1.000000\nt\n\n\n\n\n0\n", "-1\n1.000000\nt\n\n\n\n\n0\n",
    "\n1.000000\nt\n\n\n\n\n0\n", "200\n1\nt\n\n\n\n\n0\n",
    "200\n86401.000000\nt\n\n\n\n\n0\n", "200\n1.00000\nt\n\n\n\n\n0\n",
    "200\n1.0000000\nt\n\n\n\n\n0\n", "200\n.000000\nt\n\n\n\n\n0\n",
    "200\n1.000000\nt\n\n\n\n\n1\n", "200\n1.000000\nt\n\n\n\n\n0\nx",
    "200\n1.000000\nt\n\n\n\n\n18446744073709551616\n",
    "200\n1.000000\nt\n\n\n\n\n 0\n", "200\n1e0.000000\nt\n\n\n\n\n0\n",
  };
  char text[512];
  struct http_reply reply;
  size_t i;

  for (i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    snprintf (text, sizeof text, "virt-nbde-unlock reply 1\n%s", bad[i]);
    assert_false (share_read_reply (text, strlen (text), &reply));
  }
  strcpy (text, "virt-nbde-unlock reply 1\n200\n1.000000\nt\n\n\n\n\n0\n");
  assert_true (share_read_reply (text, strlen (text), &reply));
  strcpy (text, "virt-nbde-unlock reply 2\n200\n1.000000\nt\n\n\n\n\n0\n");
  assert_false (share_read_reply (text, strlen (text), &reply));
}

/* What is in the place of a mark and of a reply is no file that was written
 * there: nothing is believed, nobody waits, and none of it is written to.
 */
static void
test_no_files (void **state)
{
  const char *folder = new_folder (), *aim = tmp_path ("aim");
  CLEANUP_RUN struct run run = new_run (folder, 2);
  CLEANUP_REQUEST struct share_request *adv = new_request (&run, "/adv");
  CLEANUP_FREE char *reply = NULL, *mark = NULL, *text = NULL,
    *huge = calloc (1, SHARE_FILE + 1), *after = NULL;
  size_t len;

  another_run (folder, "/adv", CLEVIS_OK, 200);
  reply = find_file (folder, "reply-");
  text = read_file (reply, &len);
  another_run (folder, NULL, CLEVIS_ERR_UNREACHABLE, 0);
  mark = find_file (folder, "down-");
  assert_int_equal (unlink (mark), 0);

  write_file (aim, text, len);
  assert_int_equal (unlink (reply), 0);
  assert_int_equal (symlink (aim, reply), 0);
  assert_int_equal (symlink (aim, mark), 0);
  assert_says (adv, SHARE_SEND);
  learn_up (adv);
  after = read_file (aim, &len);
  assert_string_equal (after, text);
  share_request_free (adv);

  assert_int_equal (unlink (reply), 0);
  assert_int_equal (mkfifo (reply, 0600), 0);
  assert_int_equal (mkfifo (mark, 0600), 0);
  adv = new_request (&run, "/adv");
  assert_says (adv, SHARE_SEND);
  learn (adv, CLEVIS_OK, 503, "", 0, false);
  share_request_free (adv);

  assert_int_equal (unlink (reply), 0);
  assert_int_equal (mkdir (reply, 0700), 0);
  adv = new_request (&run, "/adv");
  assert_says (adv, SHARE_SEND);
  learn_up (adv);
  share_request_free (adv);
  assert_int_equal (rmdir (reply), 0);

  memcpy (huge, text, len);
  replace (reply, huge, SHARE_FILE + 1);
  adv = new_request (&run, "/adv");
  assert_says (adv, SHARE_SEND);
  share_request_free (adv);

  /* Others may write to it. */
  replace (reply, text, len);
  adv = new_request (&run, "/adv");
  assert_says (adv, SHARE_REPLY);
  assert_int_equal (chmod (reply, 0620), 0);
  assert_says (adv, SHARE_SEND);
}

/* One that is left of a run that was killed while it wrote, or that is not what it
 * should be.
 */
static void
test_unfinished (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_RUN struct run run = new_run (folder, 2);
  CLEANUP_REQUEST struct share_request *adv = new_request (&run, "/adv");
  CLEANUP_FREE char *file = NULL, *unfinished = NULL;
  static const char huge[2000];

  another_run (folder, "/adv", CLEVIS_OK, 200);
  file = find_file (folder, "reply-");
  assert_int_not_equal (asprintf (&unfinished, "%.*s.%s",
                                  (int) (strrchr (file, '/') + 1 - file), file,
                                  strrchr (file, '/') + 1), -1);
  assert_int_equal (unlink (file), 0);
  /* Longer than what comes. */
  replace (unfinished, huge, sizeof huge);
  another_run (folder, "/adv", CLEVIS_OK, 200);
  assert_says (adv, SHARE_REPLY);
  assert_int_equal (access (unfinished, F_OK), -1);
  /* A fifo is not written to. */
  assert_int_equal (unlink (file), 0);
  assert_int_equal (mkfifo (unfinished, 0600), 0);
  another_run (folder, "/adv", CLEVIS_OK, 200);
  assert_int_equal (access (file, F_OK), -1);
}

static int
on_full_disk (const char *folder)
{
  const struct rlimit none = { 0, 0 };
  CLEANUP_RUN struct run run = new_run (folder, 1);
  CLEANUP_REQUEST struct share_request *adv = new_request (&run, "/adv"),
    *rec = new_request (&run, NULL);

  signal (SIGXFSZ, SIG_IGN);
  setrlimit (RLIMIT_FSIZE, &none);
  if (says (adv) != SHARE_SEND || says (rec) != SHARE_WAIT_TURN)
    return EXIT_FAILURE;
  learn (adv, CLEVIS_OK, 200, "body", 4, true);
  if (says (rec) != SHARE_SEND)
    return EXIT_FAILURE;
  learn (rec, CLEVIS_ERR_UNREACHABLE, 0, "", 0, true);
  return 0;
}

/* Nothing can be kept: runs still take turns, and nothing half is there. */
static void
test_full_disk (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_FREE char *files = NULL;

  assert_int_equal (run_child (on_full_disk, folder), 0);
  files = shell_output ("find '%s' -type f ! -name locks ! -size 0", folder);
  assert_string_equal (files, "");
  free (files);
  files = shell_output ("find '%s' -name '.*' -o -name 'reply-*' -o "
                      "-name 'down-*'", folder);
  assert_string_equal (files, "");
}

static void
assert_not_shared (const char *folder, const char *message)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct policy *policy = policy_of (folder, 2);

  assert_null (share_new (policy, &err));
  policy_free (policy);
  assert_error (&err, CLEVIS_ERR_SYSTEM, message);
  assert_contains (err.message, "--tang-share");
}

static int
as_nobody (const char *folder)
{
  if (setgid (65534) == -1 || setuid (65534) == -1)
    return 77;
  assert_not_shared (folder, "Permission denied");
  return 0;
}

static void
test_folders (void **state)
{
  const char *folder = new_folder (), *link = new_folder ();
  CLEANUP_FREE char *slash = NULL, *locks = NULL;

  assert_not_shared ("/nonexistent/folder", "No such file");
  write_file (folder, "", 0);
  assert_not_shared (folder, "Not a directory");
  folder = new_folder ();
  assert_int_equal (mkdir (folder, 0700), 0);
  assert_int_equal (symlink (folder, link), 0);
  assert_not_shared (link, "");
  assert_int_not_equal (asprintf (&slash, "%s//./", link), -1);
  assert_not_shared (slash, "");
  slash[strlen (slash) - 1] = '\0';
  assert_not_shared (slash, "");
  assert_int_equal (chmod (folder, 0720), 0);
  assert_not_shared (folder, "others may write to the folder");
  assert_int_equal (chmod (folder, 01702), 0);
  assert_not_shared (folder, "others may write to the folder");
  assert_int_equal (chmod (folder, 0755), 0);
  /* A fifo in the place of the locks. */
  assert_int_not_equal (asprintf (&locks, "%s/locks", folder), -1);
  assert_int_equal (mkfifo (locks, 0600), 0);
  assert_not_shared (folder, "not a file that only you may write to");
  assert_int_equal (unlink (locks), 0);
  assert_int_equal (symlink (tmp_path ("nowhere"), locks), 0);
  assert_not_shared (folder, "Too many levels of symbolic links");
  assert_int_equal (access (tmp_path ("nowhere"), F_OK), -1);
  assert_int_equal (unlink (locks), 0);
  if (geteuid () == 0) {
    assert_int_equal (run_child (as_nobody, folder), 0);
    assert_int_equal (chown (folder, 65534, -1), 0);
    assert_not_shared (folder, "the folder belongs to another user");
  }
}

/* The folder of a server is looked at as well. */
static void
test_folder_of_server (void **state)
{
  const char *folder = new_folder ();
  CLEANUP_RUN struct run run = new_run (folder, 2);
  CLEANUP_REQUEST struct share_request *r = new_request (&run, NULL);
  CLEANUP_FREE char *locks = NULL;
  char *end;

  another_run (folder, NULL, CLEVIS_OK, 200);
  locks = find_file (folder, "locks");
  assert_int_equal (unlink (locks), 0);
  assert_int_equal (mkfifo (locks, 0600), 0);
  assert_fails (r, CLEVIS_ERR_SYSTEM, "not a file that only you");
  assert_int_equal (unlink (locks), 0);
  end = strrchr (locks, '/');
  *end = '\0';
  assert_int_equal (chmod (locks, 0707), 0);
  assert_fails (r, CLEVIS_ERR_SYSTEM, "others may write to the folder");
  assert_int_equal (rename (locks, tmp_path ("moved")), 0);
  assert_int_equal (symlink (tmp_path ("moved"), locks), 0);
  assert_fails (r, CLEVIS_ERR_SYSTEM, "Not a directory");
}

/* From now on file locks fail in this process, as on some file systems. */
static int
fail_to_lock (int cmd)
{
  struct sock_filter code[] = {
    BPF_STMT (BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, nr)),
    BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, SYS_fcntl, 0, 3),
    BPF_STMT (BPF_LD | BPF_W | BPF_ABS,
              offsetof (struct seccomp_data, args[1])),
    BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, (unsigned) cmd, 0, 1),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOLCK),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog prog = {
    .len = sizeof code / sizeof code[0], .filter = code,
  };

  return prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
    prctl (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0 ? 0 : -1;
}

static int
without_locks (const char *folder)
{
  CLEANUP_RUN struct run run = new_run (folder, 2);
  CLEANUP_REQUEST struct share_request *r = new_request (&run, NULL),
    *other = new_request (&run, NULL);

  assert_says (r, SHARE_SEND);
  if (fail_to_lock (F_OFD_SETLK) == -1)
    return 77;
  assert_fails (other, CLEVIS_ERR_SYSTEM, "files cannot be locked there");
  assert_not_shared (folder, "files cannot be locked there");
  return 0;
}

static void
test_no_locks (void **state)
{
  const int status = run_child (without_locks, new_folder ());

  if (status == 77)
    skip_test ("there is no seccomp here");
  assert_int_equal (status, 0);
}

static int
open_files (void)
{
  DIR *dir = opendir ("/proc/self/fd");
  int n = 0;

  assert_non_null (dir);
  while (readdir (dir))
    n++;
  closedir (dir);
  return n;
}

/* However many servers a disk names, only so many files are open. */
static void
test_many_servers (void **state)
{
  enum { NR = 200 };
  const char *folder = new_folder ();
  CLEANUP_RUN struct run run = new_run (folder, 2);
  struct share_request *r[NR];
  struct url *urls[NR];
  char text[64];
  int i, sent = 0;
  const int before = open_files ();

  for (i = 0; i < NR; ++i) {
    struct http_request request = { .path = "/adv" };

    snprintf (text, sizeof text, "http://192.0.2.1:%d", 8000 + i);
    request.base = urls[i] = url_parse (text, NULL);
    r[i] = share_request_new (run.share, &request, NULL, NULL);
    sent += says (r[i]) == SHARE_SEND;
  }
  assert_in_range (sent, 1, 64);
  assert_int_equal (open_files () - before, 2 * sent);
  for (i = 0; i < sent; ++i)
    share_request_free (r[i]);
  assert_says (r[sent], SHARE_SEND);
  for (i = sent; i < NR; ++i)
    share_request_free (r[i]);
  for (i = 0; i < NR; ++i)
    url_free (urls[i]);
}

/* With servers: what a queue makes of it. */

struct reply {
  int nr;
  struct clevis_error error;
  long status;
  size_t len;
};

static void
take_reply (const struct http_reply *reply, void *opaque)
{
  const struct clevis_error empty = CLEVIS_ERROR_INIT;
  struct reply *r = opaque;

  r->nr++;
  r->error = empty;
  clevis_error_copy (&r->error, &reply->error);
  r->status = reply->status;
  r->len = reply->len;
}

/* Ask for advertisements, and wait for all. */
static void
ask_queue (const struct policy *policy, const char *url, const char *name,
           struct reply *replies, int nr)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct queue *queue = queue_new (policy, &err);
  struct url *base = url_parse (url, &err);
  const struct http_request request = { .base = base, .path = "/adv" };
  int i;

  assert_no_error (&err);
  memset (replies, 0, nr * sizeof *replies);
  for (i = 0; i < nr; ++i)
    queue_share (queue_add (queue, &request, 0, take_reply, &replies[i], &err),
                 name);
  for (i = 0; i < nr; ++i)
    while (replies[i].nr == 0)
      assert_int_equal (queue_step (queue, 1000, &err), 0);
  queue_free (queue);
  url_free (base);
}

static struct server *
advertising_server (enum fault fault)
{
  CLEANUP_JSON json_t *key = tang_key ("P-256"),
    *adv = tang_advertisement (key, true);
  struct server *server = server_start (NULL, fault);

  server_advertise (server, adv);
  return server;
}

static void
test_queue_replies (void **state)
{
  struct policy *policy = policy_of (new_folder (), 3);
  struct server *server = advertising_server (FAULT_NONE);
  CLEANUP_FREE char *file = NULL;
  struct reply replies[20];
  size_t len;
  int i;

  /* Each for itself: all are asked, in turns. */
  ask_queue (policy, server_url (server), NULL, replies, 20);
  assert_int_equal (server_requests (server), 20);
  assert_in_range (server_most_open (server), 1, 3);
  ask_queue (policy, server_url (server), "/adv", replies, 20);
  assert_int_equal (server_requests (server), 21);
  len = replies[0].len;
  for (i = 0; i < 20; ++i) {
    assert_no_error (&replies[i].error);
    assert_int_equal (replies[i].status, 200);
    assert_int_equal (replies[i].len, len);
  }
  ask_queue (policy, server_url (server), "/adv", replies, 1);
  assert_int_equal (server_requests (server), 21);
  assert_int_equal (replies[0].len, len);
  policy_free (policy);
  /* What the policy forbids is not looked up, either. */
  policy = policy_new ();
  policy_allow (policy, "tang.example.com", NULL);
  policy_settings (policy)->share = strdup (new_folder ());
  ask_queue (policy, server_url (server), "/adv", replies, 1);
  assert_error (&replies[0].error, CLEVIS_ERR_POLICY, NULL);
  clevis_error_clear (&replies[0].error);
  file = find_file (policy_get_settings (policy)->share, "locks");
  assert_null (file);
  policy_free (policy);
  server_stop (server);
}

/* A run with much to ask does not keep the only turn from one with little. */
static void
test_queue_starvation (void **state)
{
  enum { MANY = 60 };
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct policy *policy = policy_of (new_folder (), 1);
  struct server *server = advertising_server (FAULT_NONE);
  struct queue *large = queue_new (policy, &err),
    *small = queue_new (policy, &err);
  struct url *base = url_parse (server_url (server), &err);
  const struct http_request request = { .base = base, .path = "/adv" };
  struct reply replies[MANY + 1];
  int i, done;

  memset (replies, 0, sizeof replies);
  for (i = 0; i < MANY; ++i)
    queue_add (large, &request, 0, take_reply, &replies[i], &err);
  while (replies[0].nr == 0)
    assert_int_equal (queue_step (large, 10, &err), 0);
  queue_add (small, &request, 0, take_reply, &replies[MANY], &err);
  while (replies[MANY].nr == 0) {
    assert_int_equal (queue_step (small, 1, &err), 0);
    assert_int_equal (queue_step (large, 1, &err), 0);
  }
  for (i = done = 0; i < MANY; ++i)
    done += replies[i].nr;
  assert_in_range (done, 1, MANY / 2);
  /* The server may not have seen yet that a connection has ended. */
  assert_in_range (server_most_open (server), 1, 2);
  queue_free (large);
  queue_free (small);
  url_free (base);
  policy_free (policy);
  server_stop (server);
}

static int
hold_turns (const char *folder)
{
  struct run run = new_run (folder, 2);

  run.urls[0] = url_parse (child_name, NULL);
  run.nr_urls = 1;
  learn_up (new_request (&run, NULL));
  if (says (new_request (&run, NULL)) != SHARE_SEND ||
      says (new_request (&run, NULL)) != SHARE_SEND)
    return 1;
  return 0;
}

/* It asks in the same way. */
static int
hold_first (const char *folder)
{
  struct policy *policy = policy_of (folder, 2);
  struct run run;

  policy_settings (policy)->deadline = 300;
  run = run_of (policy);
  run.urls[0] = url_parse (child_name, NULL);
  run.nr_urls = 1;
  return says (new_request (&run, NULL)) == SHARE_SEND ? 0 : 1;
}

/* The deadline says what it was that did not come. */
static void
test_queue_deadline (void **state)
{
  const char *folder = new_folder ();
  struct policy *policy = policy_of (folder, 2);
  struct server *server = advertising_server (FAULT_NONE);
  struct reply replies[3];
  pid_t pid;
  int i;

  policy_settings (policy)->deadline = 300;
  child_name = server_url (server);
  pid = child_that_holds (hold_turns, folder);
  ask_queue (policy, server_url (server), NULL, replies, 3);
  for (i = 0; i < 3; ++i) {
    assert_error (&replies[i].error, CLEVIS_ERR_UNREACHABLE,
                  "its turn did not come within the deadline of 0.3 seconds");
    clevis_error_clear (&replies[i].error);
  }
  assert_int_equal (server_connections (server), 0);
  kill_child (pid);
  ask_queue (policy, server_url (server), NULL, replies, 3);
  for (i = 0; i < 3; ++i)
    assert_no_error (&replies[i].error);
  policy_free (policy);

  policy = policy_of (new_folder (), 2);
  policy_settings (policy)->deadline = 300;
  pid = child_that_holds (hold_first, policy_get_settings (policy)->share);
  ask_queue (policy, server_url (server), NULL, replies, 1);
  /* It asks for itself before that. */
  assert_no_error (&replies[0].error);
  kill_child (pid);
  policy_free (policy);
  server_stop (server);
}

/* A server that hangs, and a run whose time is over, which had most of it. */
static void
test_queue_hangs (void **state)
{
  struct policy *policy = policy_of (new_folder (), 2);
  struct server *server = advertising_server (FAULT_BLACK_HOLE);
  CLEANUP_FREE char *file = NULL;
  struct reply reply;

  policy_settings (policy)->deadline = 300;
  ask_queue (policy, server_url (server), NULL, &reply, 1);
  assert_error (&reply.error, CLEVIS_ERR_UNREACHABLE,
                "no answer within the deadline");
  clevis_error_clear (&reply.error);
  file = find_file (policy_get_settings (policy)->share, "down-");
  assert_non_null (file);
  policy_free (policy);
  server_stop (server);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_turns),
    cmocka_unit_test (test_different_parallel),
    cmocka_unit_test (test_no_starvation),
    cmocka_unit_test (test_killed),
    cmocka_unit_test (test_first),
    cmocka_unit_test (test_mark),
    cmocka_unit_test (test_own_mark),
    cmocka_unit_test (test_age_of_marks),
    cmocka_unit_test (test_short_marks),
    cmocka_unit_test (test_no_mark),
    cmocka_unit_test (test_impatience),
    cmocka_unit_test (test_few_replies),
    cmocka_unit_test (test_proxy_password),
    cmocka_unit_test (test_ways),
    cmocka_unit_test (test_other_file),
    cmocka_unit_test (test_replies),
    cmocka_unit_test (test_recovery),
    cmocka_unit_test (test_age_of_replies),
    cmocka_unit_test (test_errors),
    cmocka_unit_test (test_wait),
    cmocka_unit_test (test_many_wait),
    cmocka_unit_test (test_damaged),
    cmocka_unit_test (test_numbers),
    cmocka_unit_test (test_no_files),
    cmocka_unit_test (test_unfinished),
    cmocka_unit_test (test_full_disk),
    cmocka_unit_test (test_folders),
    cmocka_unit_test (test_folder_of_server),
    cmocka_unit_test (test_no_locks),
    cmocka_unit_test (test_many_servers),
    cmocka_unit_test (test_queue_replies),
    cmocka_unit_test (test_queue_starvation),
    cmocka_unit_test (test_queue_deadline),
    cmocka_unit_test (test_queue_hangs),
  };

  return run_unit_tests (tests);
}
