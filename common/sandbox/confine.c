/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * How a process gives up what it shall not be able to do.
 */

#include <config.h>

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/landlock.h>

#include "sandbox/confine.h"

/* All that the first version of Landlock (Linux 5.13) knows. */
#define ACCESS_FIRST ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

int
confine_landlock_version (void)
{
  const long r = syscall (SYS_landlock_create_ruleset, NULL, 0,
                          LANDLOCK_CREATE_RULESET_VERSION);

  return r > 0 ? (int) r : 0;
}

uint64_t
confine_landlock_rights (int version)
{
  uint64_t rights = ACCESS_FIRST;

  if (version >= 2)
    rights |= CONFINE_ACCESS_REFER;
  if (version >= 3)
    rights |= CONFINE_ACCESS_TRUNCATE;
  return rights;
}

int
confine_landlock_new (uint64_t rights)
{
  const struct landlock_ruleset_attr attr = { .handled_access_fs = rights };

  return syscall (SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
}

int
confine_landlock_obey (int ruleset)
{
  return syscall (SYS_landlock_restrict_self, ruleset, 0);
}

void
confine_limit (int resource, rlim_t most)
{
  struct rlimit rlim;

  if (getrlimit (resource, &rlim) == -1)
    return;
  if (rlim.rlim_max > most)
    rlim.rlim_max = most;
  if (rlim.rlim_cur > rlim.rlim_max)
    rlim.rlim_cur = rlim.rlim_max;
  setrlimit (resource, &rlim);
}

int
confine_capabilities (uint32_t kept, uint32_t bound)
{
  struct __user_cap_header_struct header = {
    .version = _LINUX_CAPABILITY_VERSION_3
  };
  struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
  unsigned i;

  for (i = 0; prctl (PR_CAPBSET_READ, i, 0, 0, 0) >= 0; ++i)
    if (i >= 32 || (bound & 1u << i) == 0)
      prctl (PR_CAPBSET_DROP, i, 0, 0, 0);
  memset (data, 0, sizeof data);
  if (syscall (SYS_capget, &header, data) == -1)
    return -1;
  for (i = 0; i < _LINUX_CAPABILITY_U32S_3; ++i) {
    data[i].permitted &= i == 0 ? kept : 0;
    data[i].effective &= data[i].permitted;
    data[i].inheritable = 0;
  }
  return syscall (SYS_capset, &header, data);
}

void
confine_close_from (int fd)
{
#ifdef HAVE_CLOSEFROM
  closefrom (fd);
#else
  const long most = sysconf (_SC_OPEN_MAX);

  for (; fd < most; ++fd)
    close (fd);
#endif
}

int
confine_checked (int r)
{
  return r == -EDOM || r == -EINVAL ? 0 : r;
}

int
confine_hide_clone3 (scmp_filter_ctx filter)
{
  return confine_checked (seccomp_rule_add (filter, SCMP_ACT_ERRNO (ENOSYS),
                                            SCMP_SYS (clone3), 0));
}
