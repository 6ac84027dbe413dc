/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a shared folder's guest reads folders. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "hosted/shared_session_private.h"

/* struct linux_dirent64: getdents(2). */
struct entry {
        uint64_t inode;
        int64_t next;
        uint16_t length;
        uint8_t type;
        char name[];
};

int shared_opendir(struct shared_call *call)
{
        struct fuse_open_out out = { .open_flags = shared_opened(call->session, O_RDONLY, true) };
        if (call->inode->identity.type != S_IFDIR)
                return -ENOTDIR;
        int fd = shared_open_again(call->inode, O_RDONLY | O_DIRECTORY);
        if (fd < 0)
                return fd;
        int r = shared_file_add(call->session->files, fd, true, &out.fh);
        return r < 0 ? r : shared_put(call, &out, sizeof(out));
}

int shared_releasedir(struct shared_call *call)
{
        return shared_release(call);
}

static int borrow(struct shared_call *call, uint64_t number, struct shared_file **file)
{
        int r = shared_file_borrow(call->session->files, number, file);
        if (!r && !(*file)->entries) {
                shared_file_return(call->session->files, *file);
                r = -ENOTDIR;
        }
        return r;
}

int shared_fsyncdir(struct shared_call *call)
{
        const struct fuse_fsync_in *in = shared_take(call, sizeof(*in));
        struct shared_file *file;
        if (!in)
                return -EINVAL;
        int r = borrow(call, in->fh, &file);
        if (r < 0)
                return r;
        r = fsync(file->fd) < 0 ? -errno : 0;
        shared_file_return(call->session->files, file);
        return r;
}

/* ---- Entries ---- */

/* The entry that comes next, NULL at the folder's end; *error is set where it cannot be read. */
static const struct entry *peek(const struct shared_file *file, int *error)
{
        struct shared_folder_entries *entries = file->entries;
        if (entries->at == entries->length) {
                ssize_t n = syscall(SYS_getdents64, file->fd, entries->bytes, sizeof(entries->bytes));
                *error = n < 0 ? -errno : 0;
                entries->at = 0;
                entries->length = n < 0 ? 0 : (size_t)n;
        }
        return entries->at < entries->length ? (const struct entry *)(void *)(entries->bytes + entries->at) : NULL;
}

static int seek(const struct shared_file *file, off_t offset)
{
        struct shared_folder_entries *entries = file->entries;
        if (entries->next == offset)
                return 0;
        if (lseek(file->fd, offset, SEEK_SET) < 0)
                return -errno;
        entries->next = offset;
        entries->at = entries->length = 0;
        return 0;
}

static int put_entry(struct shared_call *call, const struct entry *entry)
{
        static const char zeros[8];
        size_t length = strlen(entry->name);
        const struct fuse_dirent head = {
                .ino = entry->inode,
                .off = (uint64_t)entry->next,
                .namelen = (uint32_t)length,
                .type = entry->type,
        };
        size_t whole = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + length);
        if (whole > call->room - call->reply_length)
                return -ERANGE;
        shared_put(call, &head, FUSE_NAME_OFFSET);
        shared_put(call, entry->name, length);
        return shared_put(call, zeros, whole - FUSE_NAME_OFFSET - length);
}

/*
 * What a lookup would have said stands before the entry. A file that cannot be looked up has no number there, and
 * the client asks for it when it needs it.
 */
static int put_entry_plus(struct shared_call *call, const struct entry *entry)
{
        struct fuse_entry_out out = { 0 };
        struct statx status;
        size_t whole = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + strlen(entry->name));
        if (whole > call->room - call->reply_length)
                return -ERANGE;
        bool counted = strcmp(entry->name, ".") && strcmp(entry->name, "..");
        if (counted && !shared_file_status(call->inode->fd, entry->name, &status) &&
            shared_fill_entry(call->session, call->inode, entry->name, -1, &status, &out) < 0)
                out = (struct fuse_entry_out){ 0 };
        shared_put(call, &out, sizeof(out));
        return put_entry(call, entry);
}

static int read_folder(struct shared_call *call, int (*put)(struct shared_call *call, const struct entry *entry))
{
        const struct fuse_read_in *in = shared_take(call, sizeof(*in));
        struct shared_file *file;
        if (!in)
                return -EINVAL;
        int r = borrow(call, in->fh, &file);
        if (r < 0)
                return r;
        call->room = in->size < call->room ? in->size : call->room;
        pthread_mutex_lock(&file->entries->lock);
        r = seek(file, (off_t)in->offset);
        const struct entry *entry;
        while (!r && (entry = peek(file, &r)) && !put(call, entry)) {
                file->entries->at += entry->length;
                file->entries->next = entry->next;
        }
        pthread_mutex_unlock(&file->entries->lock);
        shared_file_return(call->session->files, file);
        return call->reply_length ? 0 : r;
}

int shared_readdir(struct shared_call *call)
{
        return read_folder(call, put_entry);
}

int shared_readdirplus(struct shared_call *call)
{
        return read_folder(call, put_entry_plus);
}
