/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a shared folder's guest does with names: looking up, making, removing, moving. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "hosted/shared_session_private.h"

/* ---- What the guest is told of a file ---- */

uint64_t shared_timeout(const struct shared_session *session)
{
        static const uint64_t seconds[] = {
                [SHARED_CACHE_AUTO] = 1,
                [SHARED_CACHE_ALWAYS] = 86400,
                [SHARED_CACHE_NEVER] = 0,
        };
        return seconds[session->settings.cache];
}

/* The kernel's own numbers of devices, of 12 and 20 bits: new_encode_dev() in linux/kdev_t.h. */
static uint32_t device_number(uint32_t major, uint32_t minor)
{
        return (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

void shared_fill_attributes(const struct shared_session *session, const struct statx *status, struct fuse_attr *attr)
{
        uint64_t device = shared_identity_of(status).device;
        *attr = (struct fuse_attr){
                .ino = status->stx_ino,
                .size = status->stx_size,
                .blocks = status->stx_blocks,
                .atime = (uint64_t)status->stx_atime.tv_sec,
                .mtime = (uint64_t)status->stx_mtime.tv_sec,
                .ctime = (uint64_t)status->stx_ctime.tv_sec,
                .atimensec = status->stx_atime.tv_nsec,
                .mtimensec = status->stx_mtime.tv_nsec,
                .ctimensec = status->stx_ctime.tv_nsec,
                .mode = status->stx_mode,
                .nlink = status->stx_nlink,
                .uid = status->stx_uid,
                .gid = status->stx_gid,
                .rdev = device_number(status->stx_rdev_major, status->stx_rdev_minor),
                .blksize = status->stx_blksize,
                /* Another file system of the host, with inode numbers of its own, is one in the guest too. */
                .flags = S_ISDIR(status->stx_mode) && device != session->root_device ? FUSE_ATTR_SUBMOUNT : 0,
        };
}

int shared_fill_entry(struct shared_session *session, struct shared_inode *parent, const char *name, int fd,
                      const struct statx *status, struct fuse_entry_out *entry)
{
        const struct shared_identity identity = shared_identity_of(status);
        *entry = (struct fuse_entry_out){ .entry_valid = shared_timeout(session),
                                          .attr_valid = shared_timeout(session) };
        shared_fill_attributes(session, status, &entry->attr);
        if (identity.device == parent->identity.device)
                entry->attr.flags = 0;
        return shared_inode_look_up(session->inodes, parent, name, fd, &identity, &entry->nodeid);
}

/* Opens what stands at `name` now; nothing is followed. */
static int open_name(struct shared_call *call, const char *name, struct statx *status)
{
        struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
                                .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
        _cleanup_close_ int fd = (int)syscall(SYS_openat2, call->inode->fd, name, &how, sizeof(how));
        if (fd < 0)
                return -errno;
        int r = shared_file_status(fd, "", status);
        return r < 0 ? r : TAKE_FD(fd);
}

static int fill_name(struct shared_call *call, const char *name, struct fuse_entry_out *entry)
{
        struct statx status;
        int fd = open_name(call, name, &status);
        return fd < 0 ? fd : shared_fill_entry(call->session, call->inode, name, fd, &status, entry);
}

static int answer_name(struct shared_call *call, const char *name)
{
        struct fuse_entry_out entry;
        if (call->room < sizeof(entry))
                return -EINVAL;
        int r = fill_name(call, name, &entry);
        return r < 0 ? r : shared_put(call, &entry, sizeof(entry));
}

int shared_lookup(struct shared_call *call)
{
        const char *name = shared_take_name(call);
        if (!name)
                return -EINVAL;
        int r = answer_name(call, name);
        /* A name that is not there may be remembered as long as one that is: an entry without a number. */
        if (r != -ENOENT || call->session->settings.cache != SHARED_CACHE_ALWAYS)
                return r;
        struct fuse_entry_out none = { .entry_valid = shared_timeout(call->session) };
        return shared_put(call, &none, sizeof(none));
}

int shared_forget(struct shared_call *call)
{
        const struct fuse_forget_in *in = shared_take(call, sizeof(*in));
        if (in)
                shared_inode_forget(call->session->inodes, call->in.nodeid, in->nlookup);
        return 0;
}

int shared_batch_forget(struct shared_call *call)
{
        const struct fuse_batch_forget_in *in = shared_take(call, sizeof(*in));
        const struct fuse_forget_one *one;
        for (uint32_t i = 0; in && i < in->count && (one = shared_take(call, sizeof(*one))); i++)
                shared_inode_forget(call->session->inodes, one->nodeid, one->nlookup);
        return 0;
}

/* ---- Making: the thread is the caller ---- */

static void set_umask(uint32_t mask)
{
        umask(mask & 0777);
}

int shared_mknod(struct shared_call *call)
{
        const struct fuse_mknod_in *in = shared_take(call, sizeof(*in));
        const char *name = shared_take_name(call);
        if (!in || !name)
                return -EINVAL;
        set_umask(in->umask);
        if (syscall(SYS_mknodat, call->inode->fd, name, in->mode, in->rdev) < 0)
                return -errno;
        return answer_name(call, name);
}

int shared_mkdir(struct shared_call *call)
{
        const struct fuse_mkdir_in *in = shared_take(call, sizeof(*in));
        const char *name = shared_take_name(call);
        if (!in || !name)
                return -EINVAL;
        set_umask(in->umask);
        if (mkdirat(call->inode->fd, name, in->mode & 07777) < 0)
                return -errno;
        return answer_name(call, name);
}

int shared_symlink(struct shared_call *call)
{
        const char *name = shared_take_name(call), *target = shared_take_string(call);
        if (!name || !target || !*target)
                return -EINVAL;
        if (symlinkat(target, call->inode->fd, name) < 0)
                return -errno;
        return answer_name(call, name);
}

/* A new file, or the one that is there: never something else than a regular file, which opening could set off. */
static int open_or_make(struct shared_call *call, const char *name, const struct fuse_create_in *in)
{
        int flags = shared_open_flags(call->session, in->flags);
        int fd = openat(call->inode->fd, name, flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY,
                        in->mode & 07777);
        if (fd >= 0 || errno != EEXIST || (in->flags & O_EXCL))
                return fd < 0 ? -errno : fd;
        struct statx status;
        struct shared_inode found = { .fd = open_name(call, name, &status) };
        if (found.fd < 0)
                return found.fd;
        found.identity = shared_identity_of(&status);
        fd = S_ISDIR(status.stx_mode) ? -EISDIR : shared_open_again(&found, flags | (int)(in->flags & O_TRUNC));
        close(found.fd);
        return fd;
}

/* Answers with the entry of an open file; `fd` is taken over. */
static int answer_opened(struct shared_call *call, const char *name, int fd, uint32_t flags)
{
        struct {
                struct fuse_entry_out entry;
                struct fuse_open_out open;
        } answer = { .open = { .open_flags = shared_opened(call->session, flags, false) } };
        struct statx status;
        _cleanup_close_ int opened = fd;
        if (call->room < sizeof(answer))
                return -EINVAL;
        int path = open(shared_number_of(opened).text, O_PATH | O_CLOEXEC);
        if (path < 0)
                return -errno;
        int r = shared_file_status(path, "", &status);
        if (r < 0) {
                close(path);
                return r;
        }
        r = shared_fill_entry(call->session, call->inode, name, path, &status, &answer.entry);
        if (r < 0)
                return r;
        r = shared_file_add(call->session->files, TAKE_FD(opened), false, &answer.open.fh);
        if (r < 0) {
                shared_inode_forget(call->session->inodes, answer.entry.nodeid, 1);
                return r;
        }
        return shared_put(call, &answer, sizeof(answer));
}

int shared_create(struct shared_call *call)
{
        const struct fuse_create_in *in = shared_take(call, sizeof(*in));
        const char *name = shared_take_name(call);
        if (!in || !name)
                return -EINVAL;
        set_umask(in->umask);
        int fd = open_or_make(call, name, in);
        return fd < 0 ? fd : answer_opened(call, name, fd, in->flags);
}

int shared_tmpfile(struct shared_call *call)
{
        const struct fuse_create_in *in = shared_take(call, sizeof(*in));
        if (!in)
                return -EINVAL;
        set_umask(in->umask);
        int flags = shared_open_flags(call->session, in->flags) | (int)(in->flags & O_EXCL);
        int fd = openat(call->inode->fd, ".", flags | O_TMPFILE | O_CLOEXEC, in->mode & 07777);
        return fd < 0 ? -errno : answer_opened(call, NULL, fd, in->flags);
}

int shared_link(struct shared_call *call)
{
        const struct fuse_link_in *in = shared_take(call, sizeof(*in));
        const char *name = shared_take_name(call);
        struct shared_inode *old;
        if (!in || !name)
                return -EINVAL;
        int r = shared_inode_borrow(call->session->inodes, in->oldnodeid, &old);
        if (r < 0)
                return r;
        if (linkat(AT_FDCWD, shared_number_of(old->fd).text, call->inode->fd, name, AT_SYMLINK_FOLLOW) < 0)
                r = -errno;
        shared_inode_return(call->session->inodes, old);
        return r < 0 ? r : answer_name(call, name);
}

/* ---- Removing and moving ---- */

static int remove_name(struct shared_call *call, int flags)
{
        const char *name = shared_take_name(call);
        if (!name)
                return -EINVAL;
        shared_inode_will_lose_name(call->session->inodes, call->inode, name);
        return unlinkat(call->inode->fd, name, flags) < 0 ? -errno : 0;
}

int shared_unlink(struct shared_call *call)
{
        return remove_name(call, 0);
}

int shared_rmdir(struct shared_call *call)
{
        return remove_name(call, AT_REMOVEDIR);
}

static void note_moved(struct shared_call *call, struct shared_inode *folder, const char *name)
{
        struct statx status;
        if (shared_file_status(folder->fd, name, &status) < 0)
                return;
        const struct shared_identity identity = shared_identity_of(&status);
        shared_inode_moved(call->session->inodes, &identity, folder, name);
}

static int move(struct shared_call *call, uint64_t to, unsigned flags)
{
        const char *old_name = shared_take_name(call), *new_name = shared_take_name(call);
        struct shared_inodes *inodes = call->session->inodes;
        struct shared_inode *folder;
        if (!old_name || !new_name || (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)))
                return -EINVAL;
        int r = shared_inode_borrow(inodes, to, &folder);
        if (r < 0)
                return r;
        if (!(flags & (RENAME_NOREPLACE | RENAME_EXCHANGE)))
                shared_inode_will_lose_name(inodes, folder, new_name);
        if (renameat2(call->inode->fd, old_name, folder->fd, new_name, flags) < 0)
                r = -errno;
        if (!r)
                note_moved(call, folder, new_name);
        if (!r && (flags & RENAME_EXCHANGE))
                note_moved(call, call->inode, old_name);
        shared_inode_return(inodes, folder);
        return r;
}

int shared_rename(struct shared_call *call)
{
        const struct fuse_rename_in *in = shared_take(call, sizeof(*in));
        return in ? move(call, in->newdir, 0) : -EINVAL;
}

int shared_rename2(struct shared_call *call)
{
        const struct fuse_rename2_in *in = shared_take(call, sizeof(*in));
        return in ? move(call, in->newdir, in->flags) : -EINVAL;
}
