/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a shared folder's guest does with a file's attributes, and with extended ones. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "hosted/shared_session_private.h"

static int answer_attributes(struct shared_call *call)
{
        struct fuse_attr_out out = { .attr_valid = shared_timeout(call->session) };
        struct statx status;
        int r = shared_file_status(call->inode->fd, "", &status);
        if (r < 0)
                return r;
        shared_fill_attributes(call->session, &status, &out.attr);
        if (!call->inode->parent || call->inode->identity.device == call->inode->parent->identity.device)
                out.attr.flags = 0;
        return shared_put(call, &out, sizeof(out));
}

int shared_getattr(struct shared_call *call)
{
        return answer_attributes(call);
}

/* ---- Changing them ---- */

static int set_mode(struct shared_call *call, const struct fuse_setattr_in *in)
{
        if (!(in->valid & FATTR_MODE))
                return 0;
        if (call->inode->identity.type == S_IFLNK)
                return -EOPNOTSUPP;
        /* The guest's kernel has cleared what its user may not set. */
        shared_keep_bits(call->worker, true);
        return syscall(SYS_fchmodat, AT_FDCWD, shared_number_of(call->inode->fd).text, in->mode & 07777) < 0 ? -errno
                                                                                                             : 0;
}

static int set_owner(struct shared_call *call, const struct fuse_setattr_in *in)
{
        if (!(in->valid & (FATTR_UID | FATTR_GID)))
                return 0;
        uid_t uid = in->valid & FATTR_UID ? in->uid : (uid_t)-1;
        gid_t gid = in->valid & FATTR_GID ? in->gid : (gid_t)-1;
        return fchownat(call->inode->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int set_size(struct shared_call *call, const struct fuse_setattr_in *in)
{
        struct shared_file *file = NULL;
        if (!(in->valid & FATTR_SIZE))
                return 0;
        if (call->inode->identity.type != S_IFREG)
                return call->inode->identity.type == S_IFDIR ? -EISDIR : -EINVAL;
        shared_keep_bits(call->worker, !(in->valid & FATTR_KILL_SUIDGID));
        if (in->valid & FATTR_FH) {
                int r = shared_file_borrow(call->session->files, in->fh, &file);
                if (r < 0)
                        return r;
                r = file->entries ? -EINVAL : ftruncate(file->fd, (off_t)in->size) < 0 ? -errno : 0;
                shared_file_return(call->session->files, file);
                return r;
        }
        _cleanup_close_ int fd = shared_open_again(call->inode, O_WRONLY);
        if (fd < 0)
                return fd;
        return ftruncate(fd, (off_t)in->size) < 0 ? -errno : 0;
}

static struct timespec time_of(uint32_t valid, uint32_t set, uint32_t now, uint64_t seconds, uint32_t nanoseconds)
{
        if (!(valid & set))
                return (struct timespec){ .tv_nsec = UTIME_OMIT };
        if (valid & now)
                return (struct timespec){ .tv_nsec = UTIME_NOW };
        /* Numbers that mean something else to utimensat(2) are no times. */
        return (struct timespec){ .tv_sec = (time_t)seconds, .tv_nsec = nanoseconds < 1000000000 ? nanoseconds : 0 };
}

static int set_times(struct shared_call *call, const struct fuse_setattr_in *in)
{
        const struct timespec times[2] = {
                time_of(in->valid, FATTR_ATIME, FATTR_ATIME_NOW, in->atime, in->atimensec),
                time_of(in->valid, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime, in->mtimensec),
        };
        if (!(in->valid & (FATTR_ATIME | FATTR_MTIME)))
                return 0;
        return utimensat(AT_FDCWD, shared_number_of(call->inode->fd).text, times, 0) < 0 ? -errno : 0;
}

int shared_setattr(struct shared_call *call)
{
        const struct fuse_setattr_in *in = shared_take(call, sizeof(*in));
        /* The owner first: a change of it clears bits of the mode. */
        static int (*const steps[])(struct shared_call * call, const struct fuse_setattr_in *in) = {
                set_owner,
                set_size,
                set_mode,
                set_times,
        };
        if (!in)
                return -EINVAL;
        for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
                int r = steps[i](call, in);
                if (r < 0)
                        return r;
        }
        return answer_attributes(call);
}

int shared_readlink(struct shared_call *call)
{
        ssize_t n = readlinkat(call->inode->fd, "", call->worker->reply, call->room);
        if (n < 0)
                return -errno;
        call->reply_length = (size_t)n;
        return 0;
}

int shared_statfs(struct shared_call *call)
{
        struct statfs status;
        if (fstatfs(call->inode->fd, &status) < 0)
                return -errno;
        const struct fuse_statfs_out out = { .st = {
                                                     .blocks = status.f_blocks,
                                                     .bfree = status.f_bfree,
                                                     .bavail = status.f_bavail,
                                                     .files = status.f_files,
                                                     .ffree = status.f_ffree,
                                                     .bsize = (uint32_t)status.f_bsize,
                                                     .namelen = (uint32_t)status.f_namelen,
                                                     .frsize = (uint32_t)status.f_frsize,
                                             } };
        return shared_put(call, &out, sizeof(out));
}

/* ---- Extended attributes ---- */

/*
 * The user's own and file capabilities. What other names mean is the host's business (labels of its security
 * modules, access lists whose users are the host's, what overlay file systems note down).
 */
static bool is_shared(const char *name)
{
        return text_starts(name, "user.") || !strcmp(name, "security.capability");
}

int shared_setxattr(struct shared_call *call)
{
        const struct fuse_setxattr_in *in = shared_take(call, sizeof(*in));
        const char *name = shared_take_string(call);
        const void *value = in && name ? shared_take(call, in->size) : NULL;
        if (!in || !name || !value)
                return -EINVAL;
        if (!is_shared(name))
                return -EOPNOTSUPP;
        return setxattr(shared_number_of(call->inode->fd).text, name, value, in->size, (int)in->flags) < 0 ? -errno : 0;
}

/* A client that asks with no room wants to know how much it needs. */
static int answer_xattr(struct shared_call *call, ssize_t length, uint32_t size)
{
        const struct fuse_getxattr_out out = { .size = (uint32_t)length };
        if (length < 0)
                return -errno;
        if (!size)
                return shared_put(call, &out, sizeof(out));
        call->reply_length = (size_t)length;
        return 0;
}

int shared_getxattr(struct shared_call *call)
{
        const struct fuse_getxattr_in *in = shared_take(call, sizeof(*in));
        const char *name = shared_take_string(call);
        if (!in || !name)
                return -EINVAL;
        if (!is_shared(name))
                return -EOPNOTSUPP;
        size_t room = in->size < call->room ? in->size : call->room;
        if (in->size && !room)
                return -ERANGE;
        return answer_xattr(call, getxattr(shared_number_of(call->inode->fd).text, name, call->worker->reply, room),
                            in->size);
}

/* Leaves those names in the list that are shared; returns its new length. */
static size_t keep_shared(char *names, size_t length)
{
        size_t kept = 0;
        for (size_t at = 0; at < length;) {
                size_t one = strnlen(names + at, length - at) + 1;
                if (one <= length - at && is_shared(names + at)) {
                        memmove(names + kept, names + at, one);
                        kept += one;
                }
                at += one;
        }
        return kept;
}

int shared_listxattr(struct shared_call *call)
{
        const struct fuse_getxattr_in *in = shared_take(call, sizeof(*in));
        if (!in)
                return -EINVAL;
        ssize_t length = listxattr(shared_number_of(call->inode->fd).text, call->worker->reply, SHARED_REPLY_MAX);
        if (length > 0)
                length = (ssize_t)keep_shared(call->worker->reply, (size_t)length);
        if (in->size && length > 0 && ((size_t)length > call->room || (size_t)length > in->size))
                return -ERANGE;
        return answer_xattr(call, length, in->size);
}

int shared_removexattr(struct shared_call *call)
{
        const char *name = shared_take_string(call);
        if (!name)
                return -EINVAL;
        if (!is_shared(name))
                return -EOPNOTSUPP;
        return removexattr(shared_number_of(call->inode->fd).text, name) < 0 ? -errno : 0;
}
