/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A filter of seccomp asks for each call that matters, and a thread that was
 * there before the filter, and so is not under it, answers.  It shares the
 * memory of those who ask and can read which path they mean.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <seccomp.h>

#include "testlib/testlib-watch.h"

/* What is watched, and which argument is a path; -1: none. */
static const struct call {
  const char *name;
  int path;
} calls[] = {
  { "open", 0 }, { "creat", 0 }, { "openat", 1 }, { "openat2", 1 },
  { "open_by_handle_at", -1 }, { "socket", -1 }, { "socketpair", -1 },
  { "connect", -1 }, { "execve", 0 }, { "execveat", 1 },
};
#define NR_CALLS (sizeof calls / sizeof calls[0])

static struct {
  int nrs[NR_CALLS];
  int fd;                  /* of the filter; -1 before, -2 if there is none */
  pthread_mutex_t lock;
  pthread_cond_t cond;
  char seen[1024], told[1024];
} watch = {
  .fd = -1,
  .lock = PTHREAD_MUTEX_INITIALIZER,
  .cond = PTHREAD_COND_INITIALIZER,
};

static bool
is_memory_file (const char *path)
{
  char target[64] = "";

  return strncmp (path, "/proc/self/fd/", strlen ("/proc/self/fd/")) == 0 &&
    readlink (path, target, sizeof target - 1) > 0 &&
    strncmp (target, "/memfd:", strlen ("/memfd:")) == 0;
}

/* Write the call down.  Returns false if it may be made. */
static bool
note (const struct seccomp_data *data)
{
  const char *name = "?", *path = NULL;
  size_t i, len;

  for (i = 0; i < NR_CALLS; ++i)
    if (watch.nrs[i] == data->nr) {
      name = calls[i].name;
      if (calls[i].path >= 0)
        path = (const char *) (uintptr_t) data->args[calls[i].path];
    }
  if (path && strncmp (name, "open", 4) == 0 && is_memory_file (path))
    return false;
  pthread_mutex_lock (&watch.lock);
  len = strlen (watch.seen);
  snprintf (watch.seen + len, sizeof watch.seen - len, "%s%s%s%s",
            len ? ", " : "", name, path ? " " : "", path ? path : "");
  pthread_mutex_unlock (&watch.lock);
  return true;
}

static void *
answer (void *unused)
{
  struct seccomp_notif *req;
  struct seccomp_notif_resp *resp;
  int fd;

  pthread_mutex_lock (&watch.lock);
  while (watch.fd == -1)
    pthread_cond_wait (&watch.cond, &watch.lock);
  fd = watch.fd;
  pthread_mutex_unlock (&watch.lock);
  if (fd < 0 || seccomp_notify_alloc (&req, &resp) != 0)
    return NULL;
  for (;;) {
    /* The kernel wants it to be empty. */
    memset (req, 0, sizeof *req);
    if (seccomp_notify_receive (fd, req) != 0)
      continue;                 /* who asked was interrupted */
    resp->id = req->id;
    resp->val = 0;
    resp->error = note (&req->data) ? -EACCES : 0;
    resp->flags = resp->error ? 0 : SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    seccomp_notify_respond (fd, resp);
  }
}

static int
load_filter (void)
{
  scmp_filter_ctx ctx = seccomp_init (SCMP_ACT_ALLOW);
  int fd = -2;
  size_t i;

  if (ctx == NULL)
    return fd;
  for (i = 0; i < NR_CALLS; ++i) {
    watch.nrs[i] = seccomp_syscall_resolve_name (calls[i].name);
    /* Not every architecture has all of them. */
    if (watch.nrs[i] >= 0 &&
        seccomp_rule_add (ctx, SCMP_ACT_NOTIFY, watch.nrs[i], 0) != 0)
      goto out;
  }
  if (seccomp_load (ctx) == 0)
    fd = seccomp_notify_fd (ctx);
 out:
  seccomp_release (ctx);
  return fd;
}

int
watch_start (void)
{
  pthread_t watchman;
  int fd;

  if (in_valgrind ())
    return 1;
  if (pthread_create (&watchman, NULL, answer, NULL) != 0)
    return -1;
  fd = load_filter ();
  pthread_mutex_lock (&watch.lock);
  watch.fd = fd;
  pthread_cond_signal (&watch.cond);
  pthread_mutex_unlock (&watch.lock);
  return fd >= 0 ? 0 : -1;
}

const char *
watch_seen (void)
{
  bool any;

  pthread_mutex_lock (&watch.lock);
  any = watch.seen[0] != '\0';
  strcpy (watch.told, watch.seen);
  watch.seen[0] = '\0';
  pthread_mutex_unlock (&watch.lock);
  return any ? watch.told : NULL;
}

int
in_child (int (*run) (void))
{
  int status;
  pid_t pid;

  fflush (NULL);
  pid = fork ();
  if (pid == 0) {
    status = run ();
    fflush (NULL);
    _exit (status);
  }
  if (pid == -1 || waitpid (pid, &status, 0) != pid || !WIFEXITED (status))
    return EXIT_FAILURE;
  return WEXITSTATUS (status);
}

void
assert_in_child (int (*run) (void))
{
  const int status = in_child (run);

  if (status == 77)
    skip_test ("seccomp cannot ask another thread here");
  assert_int_equal (status, 0);
}
