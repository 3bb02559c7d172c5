/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of the wall and of the nursery: what a vault can still do, tried from
 * inside; what it looks like from outside; and that it ends when it should.
 * Without the wall the same things must succeed, or these tests see nothing.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>

#include "base/bounds.h"
#include "base/clock.h"
#include "testlib/testlib-watch.h"
#include "vault/nursery.h"

/* Where the wall ends a vault's address space. */
#define TOO_MUCH (10ULL * 1024 * MIB)

/* More than the largest header, and more descriptors than a vault may have. */
#define TOO_LONG (137ULL * MIB)
#define TOO_MANY 577

/* Numbers of descriptors in a vault. */
#define WAY_FD 3

static pid_t parent;            /* of the vault, as it was before */
static const char *secret_file, *new_file, *parent_memory;
static volatile int answer = 42;

/* What is tried.  Each returns 0 if it could be done, else errno. */
typedef int (*probe_fn) (void);

static int
result (long r)
{
  return r == -1 ? errno : 0;
}

static int
open_and_close (const char *path, int flags)
{
  const int fd = open (path, flags, 0600);

  if (fd == -1)
    return errno;
  close (fd);
  return 0;
}

#define PROBE(name, expression)                 \
  static int                                    \
  name (void)                                   \
  {                                             \
    return result (expression);                 \
  }

#define PROBE_OPEN(name, path, flags)           \
  static int                                    \
  name (void)                                   \
  {                                             \
    return open_and_close (path, flags);        \
  }

PROBE_OPEN (open_file, secret_file, O_RDONLY)
PROBE_OPEN (open_to_write, secret_file, O_WRONLY)
PROBE_OPEN (open_to_empty, secret_file, O_RDONLY | O_TRUNC)
PROBE_OPEN (open_device, "/dev/null", O_RDWR)
PROBE_OPEN (open_random, "/dev/urandom", O_RDONLY)
PROBE_OPEN (open_folder, "/", O_RDONLY | O_DIRECTORY)
PROBE_OPEN (open_nameless, "/tmp", O_TMPFILE | O_WRONLY)
PROBE_OPEN (open_memory, parent_memory, O_RDWR)
PROBE_OPEN (open_maps, "/proc/self/maps", O_RDONLY)
PROBE_OPEN (open_input, "/proc/self/fd/0", O_RDONLY)
PROBE_OPEN (make_file, new_file, O_CREAT | O_EXCL | O_WRONLY)
PROBE (make_folder, mkdir (new_file, 0700))
PROBE (make_link, symlink ("/", new_file))
PROBE (make_hard_link, link (secret_file, new_file))
PROBE (rename_file, rename (secret_file, new_file))
PROBE (unlink_file, unlink (secret_file))
PROBE (truncate_file, truncate (secret_file, 0))
PROBE (change_mode, chmod (secret_file, 0666))
PROBE (change_folder, chdir ("/"))
PROBE (change_root, chroot ("/"))

PROBE (socket_unix, socket (AF_UNIX, SOCK_STREAM, 0))
PROBE (socket_inet, socket (AF_INET, SOCK_STREAM, 0))
PROBE (socket_datagram, socket (AF_INET, SOCK_DGRAM, 0))
PROBE (socket_inet6, socket (AF_INET6, SOCK_STREAM, 0))
PROBE (socket_netlink, socket (AF_NETLINK, SOCK_RAW, 0))
PROBE (socket_packet, socket (AF_PACKET, SOCK_RAW, 0))
PROBE (socket_vsock, socket (40, SOCK_STREAM, 0))
PROBE (socket_alg, socket (AF_ALG, SOCK_SEQPACKET, 0))

static int
socket_pair (void)
{
  int fds[2];

  return result (socketpair (AF_UNIX, SOCK_STREAM, 0, fds));
}

static int
connect_way (void)
{
  const struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = "/x" };

  return result (connect (WAY_FD, (const void *) &to, sizeof to));
}

static int
start_program (void)
{
  char *const argv[] = { (char *) "true", NULL };

  return result (execve ("/nowhere/true", argv, argv + 1));
}

/* A child of this kind ends at once. */
static int
child (long pid)
{
  if (pid == 0)
    _exit (0);
  if (pid == -1)
    return errno;
  waitpid (pid, NULL, __WALL);
  return 0;
}

static int
fork_child (void)
{
  return child (fork ());
}

static int
clone_child (void)
{
  return child (syscall (SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static int
clone_namespace (void)
{
  return child (syscall (SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
}

static int
clone3_child (void)
{
  uint64_t args[11] = { 0 };

  args[4] = SIGCHLD;            /* exit_signal */
  return child (syscall (SYS_clone3, args, sizeof args));
}

/* That it is not traced is found after whether it may be. */
PROBE (trace_parent, ptrace (PTRACE_PEEKDATA, parent, (void *) &answer, NULL))
PROBE (signal_parent, kill (parent, 0))
PROBE (signal_all, kill (-1, 0))
PROBE (signal_thread, syscall (SYS_tgkill, parent, parent, 0))
PROBE (signal_any_thread, syscall (SYS_tkill, parent, 0))
PROBE (open_parent, syscall (SYS_pidfd_open, parent, 0))
PROBE (own_signals, fcntl (WAY_FD, F_SETOWN, parent))
PROBE (choose_signal, fcntl (WAY_FD, F_SETSIG, SIGKILL))
PROBE (slow_parent, setpriority (PRIO_PROCESS, parent, 1))
PROBE (limit_parent, prlimit (parent, RLIMIT_CORE, NULL,
                              &(struct rlimit) { 0, 0 }))

static int
read_parent (void)
{
  int here = 0;
  struct iovec to = { &here, sizeof here };
  struct iovec from = { (void *) &answer, sizeof answer };

  return result (process_vm_readv (parent, &to, 1, &from, 1, 0));
}

/* AddressSanitizer wants more than anybody. */
#ifndef __SANITIZE_ADDRESS__
static int
take_memory (void)
{
  void *p = mmap (NULL, TOO_MUCH, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

  if (p == MAP_FAILED)
    return errno;
  munmap (p, TOO_MUCH);
  return 0;
}
#endif

static int
lengthen_file (void)
{
  CLEANUP_CLOSE int fd = memfd_create ("x", MFD_CLOEXEC);

  return fd == -1 ? errno : result (ftruncate (fd, TOO_LONG));
}

/* More than it may have, and then it can have some again. */
static int
take_descriptors (void)
{
  int fds[TOO_MANY], n, r = 0;

  for (n = 0; n < TOO_MANY && r == 0; ++n) {
    fds[n] = memfd_create ("x", MFD_CLOEXEC);
    if (fds[n] == -1)
      r = errno;
  }
  while (n-- > 0)
    if (fds[n] >= 0)
      close (fds[n]);
  return r;
}

static int
raise_descriptors (void)
{
  const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };

  return result (setrlimit (RLIMIT_NOFILE, &none));
}

static int
raise_limit (void)
{
  const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };

  return result (setrlimit (RLIMIT_AS, &none));
}

static int
ask_descriptor (void)
{
  int n;

  return result (ioctl (WAY_FD, FIONREAD, &n));
}

PROBE (type, ioctl (STDIN_FILENO, TIOCSTI, "x"))
PROBE (dump_again, prctl (PR_SET_DUMPABLE, 1, 0, 0, 0))
PROBE (live_on, prctl (PR_SET_PDEATHSIG, 0, 0, 0, 0))
PROBE (be_traced, prctl (PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0))
PROBE (reap, prctl (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
PROBE (mount_folder, mount ("none", "/nowhere", "tmpfs", 0, NULL))

static const struct probe {
  const char *name;
  probe_fn fn;
  int walled;              /* the least that is said: 0 is EPERM or EACCES */
  bool is_seen;            /* without a wall something else is said, to all */
  bool is_of_files;        /* Landlock refuses it */
} probes[] = {
#define REFUSED(fn) { #fn, fn, 0, true, false }
#define REFUSED_FILE(fn) { #fn, fn, 0, true, true }
#define REFUSED_ANYHOW(fn) { #fn, fn, 0, false, false }
  REFUSED_FILE (open_file), REFUSED_FILE (open_to_write),
  REFUSED_FILE (open_device), REFUSED_FILE (open_random),
  REFUSED_FILE (open_folder), REFUSED_FILE (open_memory),
  REFUSED_FILE (open_maps), REFUSED_FILE (open_input),
  { "open_nameless", open_nameless, 0, false, true },
  REFUSED_FILE (make_file), REFUSED_FILE (open_to_empty),
  REFUSED (socket_unix), REFUSED (socket_inet), REFUSED (socket_datagram),
  REFUSED_ANYHOW (socket_inet6), REFUSED (socket_netlink),
  REFUSED_ANYHOW (socket_packet), REFUSED_ANYHOW (socket_vsock),
  REFUSED_ANYHOW (socket_alg), REFUSED (socket_pair), REFUSED (connect_way),
  REFUSED (start_program), REFUSED (fork_child), REFUSED (clone_child),
  REFUSED_ANYHOW (clone_namespace),
  { "clone3_child", clone3_child, ENOSYS, false, false },
  REFUSED (trace_parent), REFUSED (signal_parent), REFUSED_ANYHOW (signal_all),
  REFUSED (signal_thread), REFUSED (signal_any_thread), REFUSED (open_parent),
  REFUSED (own_signals), REFUSED (choose_signal), REFUSED (slow_parent),
  REFUSED (limit_parent), REFUSED_ANYHOW (read_parent),
#ifndef __SANITIZE_ADDRESS__
  { "take_memory", take_memory, ENOMEM, true, false },
#endif
  { "lengthen_file", lengthen_file, EFBIG, true, false },
  { "take_descriptors", take_descriptors, EMFILE, false, false },
  REFUSED_ANYHOW (raise_descriptors), REFUSED_ANYHOW (raise_limit),
  { "ask_descriptor", ask_descriptor, ENOTTY, true, false },
  { "type", type, ENOTTY, false, false },
  REFUSED (dump_again), REFUSED (live_on), REFUSED_ANYHOW (be_traced),
  REFUSED (reap), REFUSED_ANYHOW (mount_folder), REFUSED_ANYHOW (change_root),
  REFUSED (change_folder), REFUSED (change_mode), REFUSED (truncate_file),
  /* Each ends with what the next begins with. */
  REFUSED_ANYHOW (make_folder), REFUSED_ANYHOW (make_link),
  REFUSED_ANYHOW (make_hard_link), REFUSED (rename_file),
  REFUSED_ANYHOW (unlink_file),
};
#define NR_PROBES (sizeof probes / sizeof probes[0])

/* Calls that have no place in a vault, whatever they are given. */
static const struct {
  const char *name;
  long nr;
} calls[] = {
#define CALL(name) { #name, SYS_ ## name }
  CALL (accept4), CALL (acct), CALL (add_key), CALL (adjtimex), CALL (bind),
  CALL (bpf), CALL (capset), CALL (clock_settime), CALL (copy_file_range),
  CALL (delete_module), CALL (dup3), CALL (epoll_create1), CALL (execveat),
  CALL (fanotify_init), CALL (finit_module), CALL (flock), CALL (fchmod),
  CALL (fchown), CALL (fsetxattr), CALL (getdents64), CALL (getxattr),
  CALL (init_module), CALL (inotify_init1), CALL (io_setup),
  CALL (io_uring_setup), CALL (kcmp), CALL (kexec_load), CALL (keyctl),
  CALL (linkat), CALL (listen), CALL (mbind), CALL (mkdirat), CALL (mknodat),
  CALL (mlockall), CALL (mount), CALL (move_pages), CALL (mq_open),
  CALL (msgget), CALL (name_to_handle_at), CALL (open_by_handle_at),
  CALL (perf_event_open), CALL (personality), CALL (pidfd_send_signal),
  CALL (pipe2), CALL (pivot_root), CALL (process_vm_writev), CALL (quotactl),
  CALL (reboot), CALL (recvfrom), CALL (renameat2), CALL (request_key),
  CALL (rt_sigqueueinfo), CALL (rt_tgsigqueueinfo), CALL (sched_setaffinity),
  CALL (sched_setscheduler), CALL (seccomp), CALL (semget), CALL (sendmmsg),
  CALL (sendto), CALL (setdomainname), CALL (setgid), CALL (sethostname),
  CALL (setns), CALL (setpgid), CALL (setresuid), CALL (setsid),
  CALL (setsockopt), CALL (settimeofday), CALL (setuid), CALL (shmget),
  CALL (shutdown), CALL (splice), CALL (swapoff), CALL (swapon),
  CALL (symlinkat), CALL (sync), CALL (syslog), CALL (tee), CALL (tkill),
  CALL (timer_create), CALL (umount2), CALL (unlinkat), CALL (unshare),
  CALL (userfaultfd), CALL (utimensat), CALL (vhangup), CALL (vmsplice),
#ifdef SYS_fork
  CALL (creat), CALL (fork), CALL (ioperm), CALL (iopl), CALL (modify_ldt),
  CALL (vfork),
#endif
#ifdef SYS_openat2
  CALL (openat2), CALL (pidfd_getfd),
#endif
#ifdef SYS_process_madvise
  CALL (process_madvise),
#endif
#ifdef SYS_mount_setattr
  CALL (mount_setattr),
#endif
};
#define NR_CALLS (sizeof calls / sizeof calls[0])

/* What a vault needs: each returns 0. */
static void *
try_in_thread (void *opaque)
{
  return (void *) (intptr_t) (*(probe_fn *) opaque) ();
}

static int
run_thread (probe_fn fn)
{
  pthread_t thread;
  void *r;
  int code = pthread_create (&thread, NULL, try_in_thread, &fn);

  if (code == 0)
    code = pthread_join (thread, &r);
  return code ? code : (int) (intptr_t) r;
}

static int
nothing (void)
{
  return 0;
}

static int
need_thread (void)
{
  return run_thread (nothing);
}

/* The filter is that of its threads, too. */
static int
need_walled_thread (void)
{
  return run_thread (open_file) != 0 && run_thread (socket_inet) != 0 ? 0
    : EPERM;
}

static int
need_memory_file (void)
{
  CLEANUP_CLOSE int fd = memfd_create ("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  CLEANUP_CLOSE int again = -1;
  char path[64], c = 0;

  snprintf (path, sizeof path, "/proc/self/fd/%d", fd);
  if (fd == -1 || ftruncate (fd, 1 << 20) == -1 ||
      pwrite (fd, "y", 1, 4096) != 1)
    return errno;
  again = open (path, O_RDWR | O_CLOEXEC);
  if (again == -1 || pread (again, &c, 1, 4096) != 1)
    return errno;
  return c == 'y' ? result (fcntl (fd, F_ADD_SEALS, F_SEAL_WRITE)) : EIO;
}

static int
need_memory (void)
{
  const size_t size = 64 * MIB;
  char *p = malloc (size);

  if (p == NULL)
    return ENOMEM;
  memset (p, 1, size);
  free (p);
  return 0;
}

static int
need_random (void)
{
  char c;

  return result (getentropy (&c, 1));
}

static int
need_secret (void)
{
  CLEANUP_SECRET struct secret *s = secret_new (512);

  return s ? 0 : ENOMEM;
}

/* One thread steps back, as one that derives a key for long; the others do not. */
static int
step_back (void)
{
  if (setpriority (PRIO_PROCESS, 0, 5) == -1)
    return errno;
  return getpriority (PRIO_PROCESS, 0) == 5 ? 0 : EIO;
}

static int
need_step_back (void)
{
  return run_thread (step_back);
}

static const struct {
  const char *name;
  probe_fn fn;
} needs[] = {
#define NEED(fn) { #fn, fn }
  NEED (need_thread), NEED (need_memory_file), NEED (need_memory),
  NEED (need_random), NEED (need_secret), NEED (need_step_back),
};
#define NR_NEEDS (sizeof needs / sizeof needs[0])

/* A proxy may be named with a password. */
#define PROXY "https_proxy"
static const char *password;    /* where it stands in the environment */

/* By its name, or by whoever reads all memory. */
static int
know_password (void)
{
  return getenv (PROXY) != NULL || *password != '\0';
}

/* What is asked of a vault. */
enum kind {
  ASK_PROBE, ASK_CALL, ASK_NEED, ASK_THREAD, ASK_ABORT, ASK_OTHER,
  ASK_PASSWORD, ASK_FOLDER
};

struct order {
  uint32_t kind, i;
};

static int
obey (const struct order *order)
{
  switch ((enum kind) order->kind) {
  case ASK_PROBE:
    return probes[order->i].fn ();
  case ASK_CALL:
    return result (syscall (calls[order->i].nr, -1, 0, 0, 0, 0, 0));
  case ASK_NEED:
    return needs[order->i].fn ();
  case ASK_THREAD:
    return need_walled_thread ();
  case ASK_ABORT:
    abort ();
  case ASK_OTHER:
#ifdef __x86_64__
    {
      long r = 20;              /* getpid, as programs of 32 bits call it */

      __asm__ volatile ("int $0x80" : "+a" (r) : : "memory", "cc");
      return r;
    }
#endif
    break;
  case ASK_PASSWORD:
    return know_password ();
  case ASK_FOLDER:
    return getenv ("TMPDIR") != NULL;
  }
  return 0;
}

static void
work (int fd, void *opaque)
{
  struct order order;
  int r;

  while (read (fd, &order, sizeof order) == sizeof order) {
    r = obey (&order);
    if (write (fd, &r, sizeof r) != sizeof r)
      break;
  }
}

/* Vaults of one test. */
struct fixture {
  struct nursery *nursery;
  struct wall wall;
  pid_t pid;
  int fd;
};

static void
fork_vault (struct fixture *f)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  nursery_fork (f->nursery, &f->pid, &f->fd, &f->wall, &err);
  assert_no_error (&err);
}

static void
make_vault (struct fixture *f, bool walled)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

  parent = getpid ();
  secret_file = tmp_path ("file");
  new_file = tmp_path ("new");
  parent_memory = tmp_path ("memory");
  write_file (secret_file, "text", 4);
  unlink (new_file);
  unlink (parent_memory);
  assert_int_equal (symlink ("/proc/self/mem", parent_memory), 0);
  f->nursery = nursery_new (work, walled, &err);
  assert_no_error (&err);
  fork_vault (f);
}

/* False in valgrind, which cannot run behind the wall. */
static bool
make_walled (struct fixture *f)
{
  if (in_valgrind ())
    return false;
  make_vault (f, true);
  if (!f->wall.system_calls)
    skip_test ("this kernel has no seccomp");
  return true;
}

static void
end_vault (struct fixture *f)
{
  close (f->fd);
  nursery_end (f->nursery, f->pid);
}

static void
end_all (struct fixture *f)
{
  end_vault (f);
  nursery_free (f->nursery);
}

static int
ask (struct fixture *f, enum kind kind, size_t i)
{
  const struct order order = { kind, i };
  int r = -1;

  assert_int_equal (write (f->fd, &order, sizeof order), sizeof order);
  assert_int_equal (read (f->fd, &r, sizeof r), sizeof r);
  return r;
}

/* Until it answers it may still be on its way to its work. */
static void
await (struct fixture *f)
{
  ask (f, ASK_NEED, 0);
}

static bool
is_refusal (int code)
{
  return code == EPERM || code == EACCES;
}

static void
try_all (struct fixture *f)
{
  size_t i;
  int r;

  for (i = 0; i < NR_PROBES; ++i) {
    if (probes[i].is_of_files && !f->wall.files)
      continue;
    r = ask (f, ASK_PROBE, i);
    if (probes[i].walled ? r != probes[i].walled : !is_refusal (r))
      fail_msg ("%s: %s", probes[i].name, strerror (r));
  }
  for (i = 0; i < NR_CALLS; ++i) {
    r = ask (f, ASK_CALL, i);
    if (r != EPERM)
      fail_msg ("system call %s: %s", calls[i].name, strerror (r));
  }
}

static void
need_all (struct fixture *f)
{
  size_t i;
  int r;

  for (i = 0; i < NR_NEEDS; ++i) {
    r = ask (f, ASK_NEED, i);
    if (r != 0)
      fail_msg ("%s: %s", needs[i].name, strerror (r));
  }
}

/* The first vault, and one that the nursery has forked. */
static void
test_refused (void **state)
{
  struct fixture f;
  struct stat st;
  int i;

  if (!make_walled (&f))
    return;
  for (i = 0; i < 2; ++i) {
    try_all (&f);
    assert_int_equal (ask (&f, ASK_THREAD, 0), 0);
    if (i == 0) {
      end_vault (&f);
      fork_vault (&f);
    }
  }
  assert_int_equal (lstat (new_file, &st), -1);
  assert_int_equal (stat (secret_file, &st), 0);
  assert_int_equal (st.st_size, 4);
  end_all (&f);
  if (!f.wall.files)
    skip_test ("this kernel has no Landlock");
}

/* Without a wall the same can be done. */
static void
test_planted_hole (void **state)
{
  struct fixture f;
  size_t i;
  int r;

  if (in_valgrind ())
    return;                     /* it forbids some of it itself */
  make_vault (&f, false);
  assert_false (f.wall.system_calls);
  assert_false (f.wall.files);
  for (i = 0; i < NR_PROBES; ++i) {
    r = ask (&f, ASK_PROBE, i);
    if (probes[i].is_seen &&
        (probes[i].walled ? r == probes[i].walled : is_refusal (r)))
      fail_msg ("%s: %s without a wall", probes[i].name, strerror (r));
  }
  end_all (&f);
}

static void
test_needed (void **state)
{
  struct fixture f;
  int i;

  make_vault (&f, !in_valgrind ());
  for (i = 0; i < 2; ++i) {
    need_all (&f);
    assert_true (f.wall.memory || geteuid () != 0);
    if (i == 0) {
      end_vault (&f);
      fork_vault (&f);
    }
  }
  end_all (&f);
}

/* A library that aborts ends the vault, and nothing else. */
static void
test_abort (void **state)
{
  const struct order order = { ASK_ABORT, 0 };
  struct fixture f;
  int r, i;

  make_vault (&f, !in_valgrind ());
  for (i = 0; i < 2; ++i) {
    assert_int_equal (write (f.fd, &order, sizeof order), sizeof order);
    assert_int_equal (read (f.fd, &r, sizeof r), 0);
    close (f.fd);
    r = nursery_end (f.nursery, f.pid);
    assert_true (WIFSIGNALED (r));
    assert_int_equal (WTERMSIG (r), SIGABRT);
    fork_vault (&f);
  }
  need_all (&f);
  end_all (&f);
}

/* There is no way round by the numbers of another architecture. */
static void
test_other_numbers (void **state)
{
#ifdef __x86_64__
  const struct order order = { ASK_OTHER, 0 };
  struct fixture f;
  int r = 0;

  if (!make_walled (&f))
    return;
  assert_int_equal (write (f.fd, &order, sizeof order), sizeof order);
  if (read (f.fd, &r, sizeof r) == sizeof r)
    assert_true (r < 0);
  end_all (&f);
#else
  skip ();
#endif
}

/* From outside. */

/* A line of /proc/PID/status: what stands behind its name. */
static void
status_of (pid_t pid, const char *name, char *value, size_t size)
{
  char path[64], line[256];
  FILE *fp;

  snprintf (path, sizeof path, "/proc/%d/status", pid);
  fp = fopen (path, "re");
  assert_non_null (fp);
  value[0] = '\0';
  while (fgets (line, sizeof line, fp))
    if (strncmp (line, name, strlen (name)) == 0 &&
        line[strlen (name)] == ':') {
      line[strcspn (line, "\n")] = '\0';
      snprintf (value, size, "%.30s", line + strlen (name) + 2);
    }
  fclose (fp);
}

static void
assert_status (pid_t pid, const char *name, const char *expected)
{
  char value[32];

  status_of (pid, name, value, sizeof value);
  assert_string_equal (value, expected);
}

static void
assert_few_capabilities (pid_t pid)
{
  static const char *const sets[] = { "CapInh", "CapPrm", "CapEff", "CapAmb" };
  char value[32];
  size_t i;

  for (i = 0; i < sizeof sets / sizeof sets[0]; ++i) {
    status_of (pid, sets[i], value, sizeof value);
    assert_int_equal (strtoull (value, NULL, 16) & ~(1ULL << CAP_IPC_LOCK),
                      0);
  }
}

/* How soon the kernel ends a process where memory runs out; -2000 if it does not
 * say.
 */
static int
oom_score_of (pid_t pid)
{
  char path[64];
  int score = -2000;
  FILE *fp;

  snprintf (path, sizeof path, "/proc/%d/oom_score_adj", pid);
  fp = fopen (path, "re");
  if (fp == NULL)
    return score;
  if (fscanf (fp, "%d", &score) != 1)
    score = -2000;
  fclose (fp);
  return score;
}

static bool
can_set_oom_score (void)
{
  return access ("/proc/self/oom_score_adj", W_OK) == 0;
}

/* The vault goes first, not the program. */
static void
test_oom_score (void **state)
{
  const int before = oom_score_of (getpid ());
  struct fixture f;
  int i;

  if (!make_walled (&f))
    return;
  for (i = 0; i < 2; ++i) {
    await (&f);
    if (can_set_oom_score ())
      assert_int_equal (oom_score_of (f.pid), 1000);
    if (i == 0) {
      end_vault (&f);
      fork_vault (&f);
    }
  }
  end_all (&f);
  assert_int_equal (oom_score_of (getpid ()), before);
  make_vault (&f, false);
  await (&f);
  assert_int_equal (oom_score_of (f.pid), before);
  end_all (&f);
  if (!can_set_oom_score ())
    skip_test ("this system has no oom_score_adj to be written");
}

static void
test_status (void **state)
{
  struct fixture f;
  int i;

  if (!make_walled (&f))
    return;
  for (i = 0; i < 2; ++i) {
    assert_status (f.pid, "Seccomp", "2");
    assert_status (f.pid, "NoNewPrivs", "1");
    assert_status (f.pid, "Name", "nbde-vault");
    assert_few_capabilities (f.pid);
    if (i == 0) {
      end_vault (&f);
      fork_vault (&f);
    }
  }
  end_all (&f);
  make_vault (&f, false);
  assert_status (f.pid, "NoNewPrivs", "0");
  end_all (&f);
}

/* What a descriptor of a vault is. */
static void
check_descriptor (pid_t pid, int fd)
{
  char path[64], target[256] = "";

  snprintf (path, sizeof path, "/proc/%d/fd/%d", pid, fd);
  assert_true (readlink (path, target, sizeof target - 1) > 0);
#ifdef __SANITIZE_ADDRESS__
  if (fd == STDERR_FILENO)
    return;
#endif
  if (fd < WAY_FD)
    assert_string_equal (target, "/dev/null");
  else if (fd == WAY_FD)
    assert_memory_equal (target, "socket:", 7);
  /* libcryptsetup has opened these, and keeps them. */
  else if (strcmp (target, "/dev/urandom") != 0 &&
           strcmp (target, "/dev/random") != 0)
    fail_msg ("descriptor %d is %s", fd, target);
}

static void
check_descriptors (pid_t pid)
{
  struct dirent *d;
  char path[64];
  int n = 0;
  DIR *dir;

  snprintf (path, sizeof path, "/proc/%d/fd", pid);
  dir = opendir (path);
  assert_non_null (dir);
  while ((d = readdir (dir)) != NULL)
    if (d->d_name[0] != '.') {
      check_descriptor (pid, atoi (d->d_name));
      n++;
    }
  closedir (dir);
  assert_in_range (n, WAY_FD + 1, WAY_FD + 4);
}

/* What the program has open is not there, whether close-on-exec or not. */
static void
test_descriptors (void **state)
{
  CLEANUP_CLOSE int before = open ("/etc/passwd", O_RDONLY);
  CLEANUP_CLOSE int after = -1;
  struct fixture f;

  assert_true (before >= 0);
  if (!make_walled (&f))
    return;
  await (&f);
  check_descriptors (f.pid);
  after = open ("/etc/passwd", O_RDONLY);
  end_vault (&f);
  fork_vault (&f);
  await (&f);
  check_descriptors (f.pid);
  end_all (&f);
}

/* Of the environment a vault knows where temporary files are, and not whatever
 * else there is.
 */
static void
test_environment (void **state)
{
  struct fixture f;
  int i;

  setenv (PROXY, "http://me:password@192.0.2.1", 1);
  setenv ("TMPDIR", "/tmp", 0);
  password = strstr (getenv (PROXY), "password");
  assert_true (know_password ());
  make_vault (&f, !in_valgrind ());
  for (i = 0; i < 2; ++i) {
    assert_int_equal (ask (&f, ASK_PASSWORD, 0), 0);
    assert_int_equal (ask (&f, ASK_FOLDER, 0), 1);
    if (i == 0) {
      end_vault (&f);
      fork_vault (&f);
    }
  }
  end_all (&f);
  assert_true (know_password ());
  unsetenv (PROXY);
}

/* Whom a process's files in /proc belong to says whether it may be dumped, to
 * all but root.
 */
static uid_t
owner_of (pid_t pid)
{
  struct stat st;
  char path[64];

  snprintf (path, sizeof path, "/proc/%d/mem", pid);
  return stat (path, &st) == 0 ? st.st_uid : (uid_t) -1;
}

static int
check_dumpable (void)
{
  static const uid_t nobody = 65534;
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture f = { .nursery = NULL };
  int i;

  if (geteuid () == 0 && (setresgid (nobody, nobody, nobody) == -1 ||
                          setresuid (nobody, nobody, nobody) == -1))
    return 1;
  prctl (PR_SET_DUMPABLE, 1, 0, 0, 0);
  for (i = 0; i < 2; ++i) {
    f.nursery = nursery_new (work, i == 0, &err);
    if (f.nursery == NULL ||
        nursery_fork (f.nursery, &f.pid, &f.fd, &f.wall, &err) == -1)
      return 2;
    if (owner_of (f.pid) != (i == 0 ? 0 : geteuid ()))
      return 3 + i;
    end_all (&f);
  }
  return 0;
}

static void
test_not_dumpable (void **state)
{
  if (in_valgrind ())
    return;
  assert_int_equal (in_child (check_dumpable), 0);
}

/* Its end. */

static bool
is_there (pid_t pid)
{
  return kill (pid, 0) == 0;
}

/* Wait for a process that has become a child of ours, or will when its parent
 * has ended; -1 is any that already has.
 */
static void
await_end (pid_t pid)
{
  const double until = clock_now () + 20 * time_factor ();

  while (waitpid (pid, NULL, WNOHANG) == 0 || (pid > 0 && is_there (pid))) {
    if (clock_now () > until)
      fail_msg ("process %d is still there", pid);
    poll (NULL, 0, 5);
  }
}

/* A vault that is in the middle of something looks at no channel. */
static void
sleep_on (int fd, void *opaque)
{
  for (;;)
    poll (NULL, 0, -1);
}

/* In a program that is then killed: a nursery, and two vaults. */
static void
be_program (int fd)
{
  struct nursery *nursery = nursery_new (sleep_on, !in_valgrind (), NULL);
  struct wall wall;
  pid_t pids[2];
  int way, i;

  for (i = 0; i < 2; ++i)
    if (nursery == NULL ||
        nursery_fork (nursery, &pids[i], &way, &wall, NULL) == -1)
      _exit (1);
  if (write (fd, pids, sizeof pids) != sizeof pids)
    _exit (1);
  for (;;)
    pause ();
}

static void
test_parent_killed (void **state)
{
  pid_t program, pids[2];
  int fds[2], status;

  assert_int_equal (prctl (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
  assert_int_equal (pipe2 (fds, O_CLOEXEC), 0);
  program = fork ();
  if (program == 0)
    be_program (fds[1]);
  close (fds[1]);
  assert_int_equal (read (fds[0], pids, sizeof pids), sizeof pids);
  close (fds[0]);
  assert_true (is_there (pids[0]) && is_there (pids[1]));
  kill (program, SIGKILL);
  waitpid (program, &status, 0);
  assert_true (WIFSIGNALED (status));
  await_end (pids[0]);
  await_end (pids[1]);
  /* And the nursery. */
  await_end (-1);
  assert_int_equal (waitpid (-1, NULL, WNOHANG), -1);
  assert_int_equal (errno, ECHILD);
}

/* The nursery leaves no process behind, whether its vaults were ended or not,
 * or never taken.
 */
static void
test_nursery_free (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct fixture f;
  int fd, i;
  pid_t first;

  assert_int_equal (prctl (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
  for (i = 0; i < 3; ++i) {
    f.nursery = nursery_new (i == 2 ? sleep_on : work, !in_valgrind (), &err);
    assert_no_error (&err);
    if (i > 0) {
      fork_vault (&f);
      first = f.pid;
      fd = f.fd;
      fork_vault (&f);
      assert_int_not_equal (f.pid, first);
      close (fd);
      close (f.fd);
    }
    nursery_free (f.nursery);
    if (i > 0)
      await_end (-1);           /* the second, which dies with the nursery */
    assert_int_equal (waitpid (-1, NULL, WNOHANG), -1);
    assert_int_equal (errno, ECHILD);
  }
  nursery_free (NULL);
}

/* Signals of the terminal are for the program, which knows what to do. */
static void
test_signals (void **state)
{
  static const int signals[] = {
    SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP
  };
  struct fixture f;
  size_t i;

  make_vault (&f, !in_valgrind ());
  for (i = 0; i < sizeof signals / sizeof signals[0]; ++i) {
    assert_int_equal (kill (f.pid, signals[i]), 0);
    assert_int_equal (ask (&f, ASK_NEED, 0), 0);
  }
  end_all (&f);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_refused),
    cmocka_unit_test (test_planted_hole),
    cmocka_unit_test (test_needed),
    cmocka_unit_test (test_abort),
    cmocka_unit_test (test_other_numbers),
    cmocka_unit_test (test_status),
    cmocka_unit_test (test_oom_score),
    cmocka_unit_test (test_descriptors),
    cmocka_unit_test (test_environment),
    cmocka_unit_test (test_not_dumpable),
    cmocka_unit_test (test_parent_killed),
    cmocka_unit_test (test_nursery_free),
    cmocka_unit_test (test_signals),
  };

  return run_unit_tests (tests);
}
