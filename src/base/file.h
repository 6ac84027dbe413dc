/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files: bounded reads, atomic and durable writes, locks, and paths that stay beneath a root.
 *
 * Every path argument named `name` is relative to the directory descriptor before it (AT_FDCWD for the working directory).
 * Functions return 0 or a descriptor, or a negative errno with *err filled. Every descriptor is close-on-exec.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/error.h"

/* Reads a whole file of at most `limit` bytes; *data is NUL-terminated and the caller's to free. length may be NULL. -EFBIG over the limit. */
int file_read(int dir, const char *name, size_t limit, char **data, size_t *length, struct error *err);
/* As file_read() from an open descriptor; `what` names it in errors. */
int file_read_fd(int fd, const char *what, size_t limit, char **data, size_t *length, struct error *err);

/* Writes to a file that exists, in one write(2): for /proc, /sys and cgroup files. */
int file_poke(int dir, const char *name, const char *text, struct error *err);

/* Writes all bytes; retries short writes and EINTR. Returns 0 or a negative errno. */
int write_all(int fd, const void *data, size_t length);

/* Replaces `name` by write, fsync, rename and fsync of the directory, or leaves what was there. */
int file_replace(int dir, const char *name, const void *data, size_t length, mode_t mode, struct error *err);
/* As file_replace() without the fsyncs: for files that have no meaning after a reboot (in /run). */
int file_replace_volatile(int dir, const char *name, const void *data, size_t length, mode_t mode, struct error *err);

/* Opens, and makes (0700 or mode) where missing, each part of a path; returns an O_PATH-less directory descriptor. */
int directory_make(const char *path, mode_t mode, struct error *err);

/*
 * Takes an flock on `name`, made (0600) if missing. Waits; after a second it says on stderr what it waits for.
 * `exclusive` chooses LOCK_EX or LOCK_SH. Returns the descriptor; closing it unlocks. Never unlink a lock file in use:
 * lock_take() notices when the file it locked is no longer the one of that name and takes the new one.
 */
int lock_take(int dir, const char *name, bool exclusive, struct error *err);
/* As lock_take(), but -EWOULDBLOCK instead of a wait. */
int lock_try(int dir, const char *name, bool exclusive, struct error *err);

/*
 * openat2(2) beneath `root`: symbolic links, absolute ones too, resolve as if root were "/", and nothing leads out
 * (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS).
 */
int open_in_root(int root, const char *name, int flags, mode_t mode, struct error *err);
/* Opens the folder `name` beneath root as O_PATH; parts that are missing are made with `mode`. */
int make_in_root(int root, const char *name, mode_t mode, struct error *err);

/* Removes `name` and all below it without following links or leaving its file system's mounts; a missing name is success. */
int tree_remove(int dir, const char *name, struct error *err);

/* Closes every descriptor from `first` on (close_range(2)), or marks them close-on-exec. */
int descriptors_close_from(int first);
int descriptors_seal_from(int first);
/* Closes every descriptor from `first` on but the `count` that are kept (negative ones are none). */
int descriptors_close_except(int first, const int *kept, size_t count);
