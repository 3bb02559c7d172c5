/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of the channel: order, descriptors, what is no message, and an end that
 * does not listen.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "vault/channel.h"

struct fixture {
  struct channel a, b;
  struct message *m;
  int nr_fds;              /* that this process had at first */
};

static int
count_fds (void)
{
  DIR *dir = opendir ("/proc/self/fd");
  int n = 0;

  assert_non_null (dir);
  while (readdir (dir))
    n++;
  closedir (dir);
  return n;
}

static int
setup (void **state)
{
  struct fixture *f = calloc (1, sizeof *f);
  int fds[2];

  f->nr_fds = count_fds ();
  f->m = malloc (sizeof *f->m);
  assert_int_equal (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
                                fds), 0);
  channel_init (&f->a, fds[0]);
  channel_init (&f->b, fds[1]);
  *state = f;
  return 0;
}

/* No descriptor is left. */
static int
teardown (void **state)
{
  struct fixture *f = *state;

  channel_close (&f->a);
  channel_close (&f->b);
  channel_close (&f->b);
  assert_int_equal (count_fds (), f->nr_fds);
  free (f->m);
  free (f);
  return 0;
}

static int
send_plain (struct channel *ch, uint32_t id, int ms)
{
  struct message m;

  message_init (&m, MESSAGE_LUKS_NEXT, id);
  return channel_send (ch, &m, NULL, 0, ms);
}

static int
send_data (struct channel *ch, uint32_t id, int ms)
{
  struct message m;

  message_init (&m, MESSAGE_LUKS_DATA, id);
  m.data.len = DATA_BYTES;
  memset (m.data.bytes, id, DATA_BYTES);
  return channel_send (ch, &m, NULL, 0, ms);
}

static void
assert_next (struct fixture *f, struct channel *ch, uint32_t id)
{
  struct message_fds fds;

  assert_int_equal (channel_recv (ch, f->m, &fds, 1000), 1);
  assert_int_equal (f->m->id, id);
  assert_int_equal (fds.fd[0], -1);
  assert_int_equal (fds.fd[1], -1);
}

static void
assert_none (struct fixture *f, struct channel *ch)
{
  struct message_fds fds;

  assert_int_equal (channel_recv (ch, f->m, &fds, 0), 0);
}

static void
test_order (void **state)
{
  struct fixture *f = *state;
  uint32_t i;

  assert_none (f, &f->b);
  for (i = 1; i <= 10; ++i)
    assert_int_equal ((i % 5 ? send_plain : send_data) (&f->a, i, 1000), 0);
  for (i = 1; i <= 10; ++i) {
    assert_next (f, &f->b, i);
    if (i % 5 == 0)
      assert_int_equal (f->m->data.bytes[DATA_BYTES-1], i);
  }
  assert_none (f, &f->b);
}

/* What was taken and put back comes after what waits, and before what comes.
 */
static void
test_put_aside (void **state)
{
  struct fixture *f = *state;
  uint32_t i;

  for (i = 1; i <= 3; ++i)
    send_plain (&f->a, i, 1000);
  for (i = 1; i <= 2; ++i) {
    assert_next (f, &f->b, i);
    assert_int_equal (channel_put_aside (&f->b, f->m), 0);
    assert_next (f, &f->b, i);
  }
  for (i = 11; i <= 12; ++i) {
    f->m->id = i;
    assert_int_equal (channel_put_aside (&f->b, f->m), 0);
  }
  assert_next (f, &f->b, 11);
  assert_next (f, &f->b, 12);
  assert_next (f, &f->b, 3);
  assert_int_equal (f->b.bytes, 0);
  /* Those that nobody takes are freed. */
  channel_put_aside (&f->b, f->m);
}

/* One that puts too much aside is stopped. */
static void
test_put_aside_too_much (void **state)
{
  struct fixture *f = *state;
  size_t n;

  message_init (f->m, MESSAGE_LUKS_DATA, 1);
  for (n = 0; channel_put_aside (&f->b, f->m) == 0; ++n)
    assert_true (n < CHANNEL_WAITING / DATA_BYTES);
  assert_int_equal (errno, EPROTO);
  assert_true (n > CHANNEL_WAITING / DATA_BYTES / 2);
  assert_next (f, &f->b, 1);
  assert_int_equal (channel_put_aside (&f->b, f->m), 0);
}

/* Both send more than the other has room for, at the same time. */

#define MANY 300

/* Send all, then take all.  Returns NULL if that is what it should be. */
static void *
send_and_take (void *opaque)
{
  struct channel *ch = opaque;
  struct message *m = malloc (sizeof *m);
  struct message_fds fds;
  intptr_t i, failed = 0;

  for (i = 1; i <= MANY && failed == 0; ++i)
    if (send_data (ch, i, 20000) == -1)
      failed = i;
  for (i = 1; i <= MANY && failed == 0; ++i)
    if (channel_recv (ch, m, &fds, 20000) != 1 || m->id != i)
      failed = -i;
  free (m);
  return (void *) failed;
}

static void
test_both_send (void **state)
{
  struct fixture *f = *state;
  pthread_t thread;
  void *r;

  assert_int_equal (pthread_create (&thread, NULL, send_and_take, &f->b), 0);
  assert_null (send_and_take (&f->a));
  pthread_join (thread, &r);
  assert_null (r);
  assert_none (f, &f->a);
  assert_none (f, &f->b);
}

/* While it is not listened to, what comes is put aside; then the time is over.
 */
static void
test_not_taken (void **state)
{
  struct fixture *f = *state;
  double start;
  uint32_t n = 0, i;

  for (i = 1; i <= 3; ++i)
    send_plain (&f->b, i, 1000);
  while (send_data (&f->a, n + 1, 0) == 0)
    assert_true (++n < 10000);
  assert_int_equal (errno, ETIMEDOUT);
  start = clock_now ();
  assert_int_equal (send_data (&f->a, 0, 100), -1);
  assert_int_equal (errno, ETIMEDOUT);
  assert_true (clock_now () - start >= 0.09);
  assert_non_null (f->a.first);
  for (i = 1; i <= n; ++i)
    assert_next (f, &f->b, i);
  assert_none (f, &f->b);
  for (i = 1; i <= 3; ++i)
    assert_next (f, &f->a, i);
}

/* Meanwhile something comes that is no message. */
static void
test_garbage_while_sending (void **state)
{
  struct fixture *f = *state;

  while (send_data (&f->a, 1, 0) == 0)
    ;
  assert_int_equal (write (f->b.fd, "x", 1), 1);
  assert_int_equal (send_data (&f->a, 1, 1000), -1);
  assert_int_equal (errno, EPROTO);
}

/* Descriptors. */

/* A raw datagram with n descriptors. */
static void
send_raw (int fd, const void *bytes, size_t len, size_t n)
{
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE (64 * sizeof (int))];
  } control;
  struct iovec iov = { .iov_base = (void *) bytes, .iov_len = len };
  struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
  int fds[64];
  size_t i;

  memset (&control, 0, sizeof control);
  for (i = 0; i < n; ++i)
    fds[i] = STDERR_FILENO;
  if (n > 0) {
    msg.msg_control = &control;
    msg.msg_controllen = CMSG_SPACE (n * sizeof (int));
    control.align.cmsg_level = SOL_SOCKET;
    control.align.cmsg_type = SCM_RIGHTS;
    control.align.cmsg_len = CMSG_LEN (n * sizeof (int));
    memcpy (CMSG_DATA (&control.align), fds, n * sizeof (int));
  }
  assert_int_equal (sendmsg (fd, &msg, 0), len);
}

static void
test_descriptors (void **state)
{
  struct fixture *f = *state;
  struct message_fds fds;
  int own[2];

  assert_int_equal (pipe2 (own, O_CLOEXEC), 0);
  message_init (f->m, MESSAGE_OFFLINE_LOAD, 1);
  message_set (f->m->text.text, "x");
  assert_int_equal (channel_send (&f->a, f->m, own, 2, 1000), 0);
  message_init (f->m, MESSAGE_KEY_READ, 2);
  assert_int_equal (channel_send (&f->a, f->m, own, 1, 1000), 0);
  assert_int_equal (channel_recv (&f->b, f->m, &fds, 1000), 1);
  assert_true (fds.fd[0] >= 0 && fds.fd[1] >= 0);
  assert_int_equal (fcntl (fds.fd[0], F_GETFD), FD_CLOEXEC);
  assert_int_equal (write (own[1], "y", 1), 1);
  assert_int_equal (read (fds.fd[0], f->m, 1), 1);
  message_fds_close (&fds);
  assert_int_equal (fds.fd[0], -1);
  message_fds_close (&fds);
  assert_int_equal (channel_recv (&f->b, f->m, &fds, 1000), 1);
  assert_true (fds.fd[0] >= 0);
  assert_int_equal (fds.fd[1], -1);
  message_fds_close (&fds);
  close (own[0]);
  close (own[1]);
}

/* Those that nobody takes are closed, too. */
static void
test_descriptors_aside (void **state)
{
  struct fixture *f = *state;

  message_init (f->m, MESSAGE_KEY_READ, 1);
  send_raw (f->b.fd, f->m, message_size (f->m->tag), 1);
  while (send_data (&f->a, 1, 0) == 0)
    ;
  assert_int_equal (send_data (&f->a, 0, 50), -1);
  assert_int_equal (errno, ETIMEDOUT);
  assert_non_null (f->a.first);
}

/* Too few and too many: it is no message, and all are closed. */
static void
test_wrong_descriptors (void **state)
{
  static const struct {
    enum message_tag tag;
    size_t n;
  } wrong[] = {
    { MESSAGE_KEY_READ, 0 }, { MESSAGE_KEY_READ, 2 }, { MESSAGE_KEY_READ, 3 },
    { MESSAGE_KEY_READ, 4 }, { MESSAGE_KEY_READ, 64 }, { MESSAGE_DONE, 1 },
    { MESSAGE_DONE, 2 }, { MESSAGE_DONE, 3 }, { MESSAGE_DONE, 64 },
  };
  struct fixture *f = *state;
  struct message_fds fds;
  const int before = count_fds ();
  size_t i;

  for (i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    message_init (f->m, wrong[i].tag, 1);
    send_raw (f->a.fd, f->m, message_size (wrong[i].tag), wrong[i].n);
    assert_int_equal (channel_recv (&f->b, f->m, &fds, 1000), -1);
    assert_int_equal (errno, EPROTO);
    assert_int_equal (fds.fd[0], -1);
    assert_int_equal (fds.fd[1], -1);
    assert_int_equal (count_fds (), before);
  }
}

/* The program wants none of a vault: what comes with some is no message, not
 * even of a kind that has them, and they are closed.
 */
static void
test_unwanted_descriptors (void **state)
{
  struct fixture *f = *state;
  struct message_fds fds;
  const int before = count_fds ();

  f->b.takes_no_fds = true;
  message_init (f->m, MESSAGE_KEY_READ, 1);
  send_raw (f->a.fd, f->m, message_size (f->m->tag), 1);
  assert_int_equal (channel_recv (&f->b, f->m, &fds, 1000), -1);
  assert_int_equal (errno, EPROTO);
  assert_int_equal (count_fds (), before);
  send_plain (&f->a, 9, 1000);
  assert_next (f, &f->b, 9);
}

/* What is no message. */
static void
test_garbage (void **state)
{
  static const size_t sizes[] = { 1, 3, 4, 7, 8, 9, 100 };
  struct fixture *f = *state;
  char *large = calloc (2, sizeof *f->m);
  struct message_fds fds;
  size_t i;

  for (i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
    send_raw (f->a.fd, large, sizes[i], 0);
    assert_int_equal (channel_recv (&f->b, f->m, &fds, 1000), -1);
    assert_int_equal (errno, EPROTO);
  }
  /* Of the largest kind, but with more behind it. */
  message_init (f->m, MESSAGE_LUKS_DATA, 1);
  memcpy (large, f->m, sizeof *f->m);
  send_raw (f->a.fd, large, sizeof *f->m + 1, 0);
  assert_int_equal (channel_recv (&f->b, f->m, &fds, 1000), -1);
  assert_int_equal (errno, EPROTO);
  send_raw (f->a.fd, large, 2 * sizeof *f->m, 1);
  assert_int_equal (channel_recv (&f->b, f->m, &fds, 1000), -1);
  assert_int_equal (errno, EPROTO);
  /* What it is does not matter to the next. */
  send_plain (&f->a, 9, 1000);
  assert_next (f, &f->b, 9);
  free (large);
}

/* Its end. */

static void
test_closed (void **state)
{
  struct fixture *f = *state;
  struct message_fds fds;

  send_plain (&f->a, 1, 1000);
  channel_close (&f->a);
  assert_next (f, &f->b, 1);    /* what was sent before is there */
  assert_int_equal (channel_recv (&f->b, f->m, &fds, -1), -1);
  assert_int_equal (errno, EPIPE);
  assert_int_equal (send_plain (&f->b, 1, -1), -1);
  assert_int_equal (errno, EPIPE);
  assert_int_equal (channel_recv (&f->a, f->m, &fds, 0), -1);
  assert_int_equal (errno, EPIPE);
}

static void *
close_later (void *opaque)
{
  usleep (50000);
  channel_close (opaque);
  return NULL;
}

/* While it is waited for, with something left that was not read. */
static void
test_closed_meanwhile (void **state)
{
  struct fixture *f = *state;
  pthread_t thread;

  while (send_data (&f->a, 1, 0) == 0)
    ;
  assert_int_equal (pthread_create (&thread, NULL, close_later, &f->b), 0);
  assert_int_equal (send_data (&f->a, 1, -1), -1);
  assert_int_equal (errno, EPIPE);
  pthread_join (thread, NULL);
}

static void
test_timeout (void **state)
{
  struct fixture *f = *state;
  const double start = clock_now ();
  struct message_fds fds;

  assert_int_equal (channel_recv (&f->b, f->m, &fds, 100), 0);
  assert_true (clock_now () - start >= 0.09);
}

static void
nothing (int signal)
{
}

/* A signal: who waits for a message is told; who waits for room goes on. */
static void
test_signal (void **state)
{
  struct sigaction action = { .sa_handler = nothing }, old;
  const struct itimerspec soon = { { 0, 20000000 }, { 0, 20000000 } };
  struct fixture *f = *state;
  struct message_fds fds;
  double start;
  timer_t timer;

  sigaction (SIGALRM, &action, &old);
  assert_int_equal (timer_create (CLOCK_MONOTONIC, NULL, &timer), 0);
  timer_settime (timer, 0, &soon, NULL);
  assert_int_equal (channel_recv (&f->b, f->m, &fds, 20000), -1);
  assert_int_equal (errno, EINTR);
  while (send_data (&f->a, 1, 0) == 0)
    ;
  start = clock_now ();
  assert_int_equal (send_data (&f->a, 1, 200), -1);
  assert_int_equal (errno, ETIMEDOUT);
  assert_true (clock_now () - start >= 0.19);
  timer_delete (timer);
  sigaction (SIGALRM, &old, NULL);
}

#define TEST(name) \
  cmocka_unit_test_setup_teardown (test_ ## name, setup, teardown)

int
main (void)
{
  const struct CMUnitTest tests[] = {
    TEST (order), TEST (put_aside), TEST (put_aside_too_much),
    TEST (both_send), TEST (not_taken), TEST (garbage_while_sending),
    TEST (descriptors), TEST (descriptors_aside), TEST (wrong_descriptors),
    TEST (unwanted_descriptors),
    TEST (garbage), TEST (closed), TEST (closed_meanwhile), TEST (timeout),
    TEST (signal),
  };

  return run_unit_tests (tests);
}
