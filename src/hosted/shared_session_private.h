/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of a shared folder's session share: a request while it is answered, and the operations by what they
 * are about (names, attributes, data, folders).
 */
#pragma once

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "hosted/shared_files.h"
#include "hosted/shared_inodes.h"
#include "hosted/shared_session.h"

#define SHARED_DATA_MAX      (1u << 20)  /* bytes of one read or write */
#define SHARED_ARGUMENTS_MAX (72u << 10) /* an extended attribute of 64 KiB with its name */
#define SHARED_REPLY_MAX     (64u << 10)

struct shared_session {
        struct shared_session_settings settings;
        struct shared_inodes *inodes;
        struct shared_files *files;
        uint64_t root_device;
        bool writeback; /* the client does it */
};

struct shared_worker {
        struct shared_session *session;
        uint32_t own_uid, own_gid;
        uint32_t uid, gid; /* who this thread is for the file system */
        bool may_become;   /* somebody else */
        bool keeps_bits;   /* CAP_FSETID is in effect */
        bool may_keep_bits;
        uint64_t capabilities; /* permitted */
        char *arguments, *reply;
};

struct shared_call {
        struct shared_worker *worker;
        struct shared_session *session;
        const struct virtqueue_chain *chain;
        struct fuse_in_header in;
        size_t length, at;          /* of worker->arguments: what there is, and what was taken */
        struct shared_inode *inode; /* that of in.nodeid, borrowed */
        size_t room;                /* bytes of an answer behind its header */
        size_t reply_length;        /* of worker->reply; or of what was read into the guest's buffers */
        bool in_place;
};

/* 0, or a negative errno that the guest sees. */
typedef int shared_operation(struct shared_call *call);

shared_operation shared_lookup, shared_forget, shared_batch_forget, shared_symlink, shared_mknod, shared_mkdir,
        shared_unlink, shared_rmdir, shared_rename, shared_rename2, shared_link, shared_create, shared_tmpfile;
shared_operation shared_getattr, shared_setattr, shared_readlink, shared_statfs, shared_setxattr, shared_getxattr,
        shared_listxattr, shared_removexattr;
shared_operation shared_open, shared_read, shared_write, shared_release, shared_flush, shared_fsync, shared_fallocate,
        shared_lseek, shared_copy_file_range, shared_syncfs;
shared_operation shared_opendir, shared_readdir, shared_readdirplus, shared_releasedir, shared_fsyncdir;

/* ---- A request's arguments and its answer ---- */

/* The next `size` bytes, or NULL where there are not so many. Aligned to 8 where all before were. */
const void *shared_take(struct shared_call *call, size_t size);
/* The next string, or NULL. */
const char *shared_take_string(struct shared_call *call);
/* The next string as one step of a path: NULL where it is empty, ".", "..", or has a slash. */
const char *shared_take_name(struct shared_call *call);
/* Appends to the answer; -ERANGE where there is no room. */
int shared_put(struct shared_call *call, const void *bytes, size_t size);

/* ---- Who does it ---- */

/* Whether writes and changes of the mode leave set-user-ID and set-group-ID bits as they are. */
void shared_keep_bits(struct shared_worker *worker, bool keep);

/* ---- Files of the host ---- */

/* "/proc/self/fd" is the working folder. */
struct shared_number {
        char text[12];
};
struct shared_number shared_number_of(int fd);

void shared_fill_attributes(const struct shared_session *session, const struct statx *status, struct fuse_attr *attr);
/* How long the client may believe them, in seconds. */
uint64_t shared_timeout(const struct shared_session *session);
/*
 * What the guest is told of `name` in `parent`; counts a lookup. `fd`: O_PATH of it, taken over, or -1. `status`: of
 * the file.
 */
int shared_fill_entry(struct shared_session *session, struct shared_inode *parent, const char *name, int fd,
                      const struct statx *status, struct fuse_entry_out *entry);
/* Opens a file anew from its O_PATH descriptor: regular files and folders alone. A descriptor or a negative errno. */
int shared_open_again(struct shared_inode *inode, int flags);
/* Which of the guest's flags an open(2) here gets. */
int shared_open_flags(const struct shared_session *session, uint32_t flags);
/* FOPEN_… for a file that was opened with the guest's flags. */
uint32_t shared_opened(const struct shared_session *session, uint32_t flags, bool folder);
