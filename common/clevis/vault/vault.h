/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The vault: a process that reads LUKS headers, tokens and replies, and that
 * alone has keys.  It can open no file, make no socket and run no program
 * (wall.h).  The program feeds it the bytes of headers, asks servers for it as
 * the policy says, and has it write keys to descriptors.
 *
 * A vault that dies, because a library crashed on what a disk has or because
 * the disk took it over, is an error that names the device; for all others it
 * is replaced, and they notice nothing but the time.  What cannot be had again
 * is a key that was typed or came through a pipe: using it is an error then.
 *
 * All functions that can fail return -1 or NULL with an error, among them
 * always CLEVIS_ERR_SYSTEM.
 */

#ifndef CLEVIS_VAULT_H
#define CLEVIS_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clevis-error.h"
#include "base/secret.h"
#include "luks/luks-data.h"
#include "luks/luks.h"
#include "policy/policy.h"
#include "vault/hear.h"
#include "vault/wall.h"

struct vault;
struct vault_luks;
struct vault_key;
struct vault_run;

/* Make a vault: to be called before anything is read, and by a thread that
 * lives as long as the vault, which dies with it.  walled is false for
 * valgrind only.
 */
extern struct vault *vault_new (bool walled, struct clevis_error *err);

/* What of the wall stands. */
extern const struct wall *vault_wall (struct vault *v,
                                      struct clevis_error *err);

/* End it, at once, with all that is in it.  Objects of it that are left may
 * only be freed.  v may be NULL.
 */
extern void vault_end (struct vault *v);

/* The same, and free it and what it still has. */
extern void vault_free (struct vault *v);

/* Bytes of locked memory that keys have in it, and whether there was a time
 * when no more could be locked.
 */
struct vault_memory {
  size_t used;
  bool was_short;
  bool is_busy;            /* a key is still being derived for an exchange that
                              has ended, which cannot be interrupted: it ends
                              with the vault at the latest */
};
extern int vault_memory (struct vault *v, struct vault_memory *memory,
                         struct clevis_error *err);

/* Headers; see luks.h for what is not said here.  device is for messages. */
extern struct vault_luks *vault_luks_new (struct vault *v, const char *device,
                                          uint64_t size,
                                          struct clevis_error *err);
extern void vault_luks_free (struct vault_luks *luks);
extern const char *vault_luks_device (const struct vault_luks *luks);
extern enum luks_state vault_luks_next (struct vault_luks *luks,
                                        struct luks_extent *ext,
                                        struct clevis_error *err);
extern int vault_luks_supply (struct vault_luks *luks, uint64_t offset,
                              const void *data, size_t len,
                              struct clevis_error *err);

/* What is in it, after LUKS_READY; belongs to luks. */
extern const struct heard_luks *vault_luks_list (struct vault_luks *luks,
                                                 struct clevis_error *err);

/* The quick header (luks-quick.h): an extent, and its bytes, which the caller
 * frees.  vault_luks_quicken returns how many there are, in *changes.
 */
struct vault_change {
  struct luks_extent extent;
  unsigned char *bytes;
};
extern int vault_luks_quicken (struct vault_luks *luks,
                               struct vault_key *key, int keyslot,
                               struct vault_change **changes,
                               struct clevis_error *err);
extern void vault_changes_free (struct vault_change *changes, int n);

/* What is inside of the device; see luks-data.h for where it is and what can be
 * decrypted.
 *
 * vault_luks_unlock comes before vault_luks_decrypt.  key was verified against
 * keyslot in an exchange; what is paid for here is no more than a cheap keyslot.
 * It is borrowed: if it is freed and the vault dies after that, unlock once more.
 * As long as it is there, a vault that has died costs nothing but time: the key
 * is recovered again, by servers if need be; one that was typed is an error.
 *
 * data are len bytes of the device, from its byte extent.offset + offset on;
 * plain is the caller's, and of the same size.  None of these functions may be
 * called after vault_luks_quicken.
 *
 * Errors: those of luks_data_extent, luks_unlock and luks_decrypt.  One of the
 * code CLEVIS_ERR_UNSUPPORTED says that what is inside cannot be seen here.
 */
extern int vault_luks_data_extent (struct vault_luks *luks,
                                   struct luks_data_extent *extent,
                                   struct clevis_error *err);
extern int vault_luks_unlock (struct vault_luks *luks, struct vault_key *key,
                              int keyslot, struct clevis_error *err);
extern int vault_luks_decrypt (struct vault_luks *luks, uint64_t offset,
                               const void *data, void *plain, size_t len,
                               struct clevis_error *err);

/* Keys.  fd stays open; the key is read from where it stands.  If it is a
 * file, it is kept open to be read again.
 */
extern struct vault_key *vault_key_read (struct vault *v, int fd,
                                         struct clevis_error *err);

/* NULL with *is_end at the end of the input. */
extern struct vault_key *vault_key_read_line (struct vault *v, int fd,
                                              bool *is_end,
                                              struct clevis_error *err);
extern void vault_key_free (struct vault_key *key);
extern int vault_key_chomp (struct vault_key *key, struct clevis_error *err);
extern int vault_key_length (struct vault_key *key, size_t *len,
                             struct clevis_error *err);
extern int vault_key_has_byte (struct vault_key *key, unsigned char byte,
                               bool *has, struct clevis_error *err);
extern int vault_key_equal (struct vault_key *a, struct vault_key *b,
                            bool *equal, struct clevis_error *err);

/* Have the vault write the key to a descriptor; sys_errno of the error says
 * what failed.
 */
extern int vault_key_write (struct vault_key *key, int fd, bool base64,
                            struct clevis_error *err);

/* The key itself, for the moment in which it is given to libguestfs or
 * written to a file: it crosses in a memory file, since a vault is never
 * given a descriptor of the user's to write to.  For this the program needs
 * secret_init. The caller frees it.
 */
extern struct secret *vault_key_lend (struct vault_key *key,
                                      struct clevis_error *err);

/* Answers instead of those of servers (keydir.h, offline.h).  The folder or
 * files are read now, and again if the vault must be replaced.
 */
extern int vault_use_keydir (struct vault *v, const char *path,
                             struct clevis_error *err);
extern int vault_collect_requests (struct vault *v, struct clevis_error *err);
extern int vault_nr_requests (struct vault *v, size_t *n,
                              struct clevis_error *err);

/* Write the requests to a descriptor, or their state; name is for messages.
 * Each request is judged by the policy once more.
 */
extern int vault_dump_requests (struct vault *v, const struct policy *policy,
                                int fd, const char *name,
                                struct clevis_error *err);
extern int vault_dump_state (struct vault *v, int fd, const char *name,
                             struct clevis_error *err);
extern int vault_use_replies (struct vault *v, const char *state,
                              const char *replies, struct clevis_error *err);
extern int vault_forget_answers (struct vault *v, struct clevis_error *err);

/* An exchange, or a preflight (probe: may a random point be posted?), under a
 * policy, which is borrowed.  Headers that are added must be LUKS_READY and
 * outlive it.
 */
extern struct vault_run *vault_exchange_new (struct vault *v,
                                             const struct policy *policy,
                                             struct clevis_error *err);
extern struct vault_run *vault_preflight_new (struct vault *v,
                                              const struct policy *policy,
                                              bool probe,
                                              struct clevis_error *err);
extern int vault_run_add (struct vault_run *run, struct vault_luks *luks,
                          struct clevis_error *err);

/* Do what can be done, and wait at most ms milliseconds.  Returns 1 if there
 * is more to do, 0 when each device has its outcome, -1 on an error.  Returns
 * early on a signal.
 */
extern int vault_run_step (struct vault_run *run, int ms,
                           struct clevis_error *err);

/* The outcome of device number i, and its key (NULL if there is none), which
 * the caller takes over.  After vault_run_step has returned 0.
 */
extern const struct heard_outcome *vault_run_outcome (struct vault_run *run,
                                                      size_t i);
extern struct vault_key *vault_run_take_key (struct vault_run *run, size_t i);

/* One that has not ended is given up, and the vault with it.  run may be NULL.
 */
extern void vault_run_free (struct vault_run *run);

#endif /* CLEVIS_VAULT_H */
