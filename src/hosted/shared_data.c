/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a shared folder's guest does with the contents of files. */
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "hosted/shared_session_private.h"

/* Linux's x86-64 O_ flags are what FUSE carries; those that concern the guest alone stay there. */
#define FLAGS_PASSED (O_ACCMODE | O_APPEND | O_DSYNC | O_SYNC)

int shared_open_flags(const struct shared_session *session, uint32_t flags)
{
        int passed = (int)flags & FLAGS_PASSED;
        /* A client that collects writes reads the pages around them, and knows itself where the end is. */
        if (session->writeback && (passed & O_ACCMODE) == O_WRONLY)
                passed = (passed & ~O_ACCMODE) | O_RDWR;
        return session->writeback ? passed & ~O_APPEND : passed;
}

uint32_t shared_opened(const struct shared_session *session, uint32_t flags, bool folder)
{
        uint32_t opened = 0;
        if (session->settings.cache == SHARED_CACHE_ALWAYS)
                opened |= FOPEN_KEEP_CACHE | (folder ? FOPEN_CACHE_DIR : 0);
        if (session->settings.cache == SHARED_CACHE_NEVER && !folder)
                opened |= FOPEN_DIRECT_IO;
        if ((flags & O_ACCMODE) == O_RDONLY)
                opened |= FOPEN_NOFLUSH;
        return opened;
}

int shared_open(struct shared_call *call)
{
        const struct fuse_open_in *in = shared_take(call, sizeof(*in));
        struct fuse_open_out out = { 0 };
        if (!in)
                return -EINVAL;
        if (call->inode->identity.type == S_IFDIR)
                return -EISDIR;
        bool changes = (in->flags & O_ACCMODE) != O_RDONLY || (in->flags & O_TRUNC);
        if (changes && call->session->settings.read_only)
                return -EROFS;
        if (in->flags & O_TRUNC)
                shared_keep_bits(call->worker, !(in->open_flags & FUSE_OPEN_KILL_SUIDGID));
        int fd = shared_open_again(call->inode,
                                   shared_open_flags(call->session, in->flags) | (int)(in->flags & O_TRUNC));
        if (fd < 0)
                return fd;
        int r = shared_file_add(call->session->files, fd, false, &out.fh);
        if (r < 0)
                return r;
        out.open_flags = shared_opened(call->session, in->flags, false);
        return shared_put(call, &out, sizeof(out));
}

int shared_release(struct shared_call *call)
{
        const struct fuse_release_in *in = shared_take(call, sizeof(*in));
        if (!in)
                return -EINVAL;
        shared_file_remove(call->session->files, in->fh);
        return 0;
}

/* A regular file that the guest has open. */
static int borrow(struct shared_call *call, uint64_t number, struct shared_file **file)
{
        int r = shared_file_borrow(call->session->files, number, file);
        if (!r && (*file)->entries) {
                shared_file_return(call->session->files, *file);
                r = -EISDIR;
        }
        return r;
}

/* `length` bytes of parts[first..end), without the first `skip` ones. Returns how many there are. */
static size_t gather(const struct virtqueue_part *parts, unsigned count, size_t skip, size_t length,
                     struct iovec *vector, int *vectors)
{
        size_t gathered = 0;
        *vectors = 0;
        for (unsigned i = 0; i < count && gathered < length; i++) {
                if (skip >= parts[i].length) {
                        skip -= parts[i].length;
                        continue;
                }
                size_t piece = parts[i].length - skip < length - gathered ? parts[i].length - skip : length - gathered;
                vector[(*vectors)++] = (struct iovec){ parts[i].host + skip, piece };
                gathered += piece;
                skip = 0;
        }
        return gathered;
}

int shared_read(struct shared_call *call)
{
        const struct fuse_read_in *in = shared_take(call, sizeof(*in));
        const struct virtqueue_chain *chain = call->chain;
        struct iovec vector[VIRTQUEUE_PARTS_MAX];
        struct shared_file *file;
        int vectors;
        if (!in)
                return -EINVAL;
        int r = borrow(call, in->fh, &file);
        if (r < 0)
                return r;
        size_t size = in->size < SHARED_DATA_MAX ? in->size : SHARED_DATA_MAX;
        gather(chain->parts + chain->readable, chain->writable, sizeof(struct fuse_out_header), size, vector, &vectors);
        ssize_t n = vectors ? preadv(file->fd, vector, vectors, (off_t)in->offset) : 0;
        if (n < 0)
                r = -errno;
        else
                call->reply_length = (size_t)n;
        call->in_place = true;
        shared_file_return(call->session->files, file);
        return r;
}

int shared_write(struct shared_call *call)
{
        const struct fuse_write_in *in = shared_take(call, sizeof(*in));
        const struct virtqueue_chain *chain = call->chain;
        struct iovec vector[VIRTQUEUE_PARTS_MAX];
        struct shared_file *file;
        int vectors;
        if (!in || in->size > SHARED_DATA_MAX)
                return -EINVAL;
        size_t there =
                gather(chain->parts, chain->readable, sizeof(call->in) + sizeof(*in), in->size, vector, &vectors);
        if (there < in->size)
                return -EINVAL;
        int r = borrow(call, in->fh, &file);
        if (r < 0)
                return r;
        shared_keep_bits(call->worker, !(in->write_flags & FUSE_WRITE_KILL_SUIDGID));
        ssize_t n = vectors ? pwritev(file->fd, vector, vectors, (off_t)in->offset) : 0;
        r = n < 0 ? -errno : 0;
        shared_file_return(call->session->files, file);
        const struct fuse_write_out out = { .size = n < 0 ? 0 : (uint32_t)n };
        return r < 0 ? r : shared_put(call, &out, sizeof(out));
}

/* What close(2) would say: file systems over a network report their writes there. */
int shared_flush(struct shared_call *call)
{
        const struct fuse_flush_in *in = shared_take(call, sizeof(*in));
        struct shared_file *file;
        if (!in)
                return -EINVAL;
        int r = borrow(call, in->fh, &file);
        if (r < 0)
                return r;
        int copy = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
        r = copy < 0 || close(copy) < 0 ? -errno : 0;
        shared_file_return(call->session->files, file);
        return r;
}

int shared_fsync(struct shared_call *call)
{
        const struct fuse_fsync_in *in = shared_take(call, sizeof(*in));
        struct shared_file *file;
        if (!in)
                return -EINVAL;
        int r = borrow(call, in->fh, &file);
        if (r < 0)
                return r;
        r = (in->fsync_flags & FUSE_FSYNC_FDATASYNC ? fdatasync(file->fd) : fsync(file->fd)) < 0 ? -errno : 0;
        shared_file_return(call->session->files, file);
        return r;
}

int shared_syncfs(struct shared_call *call)
{
        if (call->inode->identity.type != S_IFDIR)
                return -ENOTDIR;
        _cleanup_close_ int fd = shared_open_again(call->inode, O_RDONLY | O_DIRECTORY);
        if (fd < 0)
                return fd;
        return syncfs(fd) < 0 ? -errno : 0;
}

int shared_fallocate(struct shared_call *call)
{
        const struct fuse_fallocate_in *in = shared_take(call, sizeof(*in));
        struct shared_file *file;
        if (!in)
                return -EINVAL;
        int r = borrow(call, in->fh, &file);
        if (r < 0)
                return r;
        shared_keep_bits(call->worker, false);
        r = fallocate(file->fd, (int)in->mode, (off_t)in->offset, (off_t)in->length) < 0 ? -errno : 0;
        shared_file_return(call->session->files, file);
        return r;
}

int shared_lseek(struct shared_call *call)
{
        const struct fuse_lseek_in *in = shared_take(call, sizeof(*in));
        struct shared_file *file;
        if (!in || (in->whence != SEEK_DATA && in->whence != SEEK_HOLE))
                return -EINVAL;
        int r = borrow(call, in->fh, &file);
        if (r < 0)
                return r;
        const struct fuse_lseek_out out = { .offset = (uint64_t)lseek(file->fd, (off_t)in->offset, (int)in->whence) };
        r = (int64_t)out.offset < 0 ? -errno : 0;
        shared_file_return(call->session->files, file);
        return r < 0 ? r : shared_put(call, &out, sizeof(out));
}

int shared_copy_file_range(struct shared_call *call)
{
        const struct fuse_copy_file_range_in *in = shared_take(call, sizeof(*in));
        struct shared_file *from, *to;
        if (!in)
                return -EINVAL;
        int r = borrow(call, in->fh_in, &from);
        if (r < 0)
                return r;
        r = borrow(call, in->fh_out, &to);
        if (r < 0) {
                shared_file_return(call->session->files, from);
                return r;
        }
        off_t in_offset = (off_t)in->off_in, out_offset = (off_t)in->off_out;
        shared_keep_bits(call->worker, false);
        /* The answer has 32 bits; a client goes on from a short one. */
        size_t length = in->len < (1u << 30) ? in->len : 1u << 30;
        ssize_t n = copy_file_range(from->fd, &in_offset, to->fd, &out_offset, length, 0);
        r = n < 0 ? -errno : 0;
        shared_file_return(call->session->files, to);
        shared_file_return(call->session->files, from);
        const struct fuse_write_out out = { .size = n < 0 ? 0 : (uint32_t)n };
        return r < 0 ? r : shared_put(call, &out, sizeof(out));
}
