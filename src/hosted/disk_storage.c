/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/disk_storage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Of zeroes at a time, where the file system has no better way. */
#define ZEROES 65536

/* ---- A file or a block device ---- */

static ssize_t file_readv(struct disk_storage *storage, const struct iovec *vector, int count, uint64_t offset)
{
        ssize_t n = preadv(storage->fd, vector, count, (off_t)offset);
        return n < 0 ? -errno : n;
}

static ssize_t file_writev(struct disk_storage *storage, const struct iovec *vector, int count, uint64_t offset,
                           bool durable)
{
        ssize_t n = pwritev2(storage->fd, vector, count, (off_t)offset, durable ? RWF_DSYNC : 0);
        return n < 0 ? -errno : n;
}

static int file_sync(struct disk_storage *storage)
{
        return fdatasync(storage->fd) < 0 ? -errno : 0;
}

static int file_resize(struct disk_storage *storage, uint64_t size)
{
        return ftruncate(storage->fd, (off_t)size) < 0 ? -errno : 0;
}

static int range(struct disk_storage *storage, unsigned long device_request, int mode, uint64_t offset, uint64_t length)
{
        uint64_t bounds[2] = { offset, length };
        int r = storage->block_device
                        ? ioctl(storage->fd, device_request, bounds)
                        : fallocate(storage->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length);
        return r < 0 ? -errno : 0;
}

static int write_zeroes_slowly(struct disk_storage *storage, uint64_t offset, uint64_t length)
{
        static uint8_t zeroes[ZEROES]; /* never written: not const, so that it costs no room in the program */
        while (length) {
                size_t piece = length < ZEROES ? (size_t)length : ZEROES;
                int r = disk_storage_write(storage, zeroes, piece, offset);
                if (r < 0)
                        return r;
                offset += piece;
                length -= piece;
        }
        return 0;
}

static int file_zero(struct disk_storage *storage, uint64_t offset, uint64_t length, enum storage_zero how)
{
        int r = -EOPNOTSUPP;
        if (how == STORAGE_DISCARD || (how == STORAGE_ZERO_DISCARD && !storage->block_device))
                r = range(storage, BLKDISCARD, FALLOC_FL_PUNCH_HOLE, offset, length);
        if (how == STORAGE_DISCARD)
                return r == -EOPNOTSUPP ? 0 : r; /* a file system that makes no holes is no error */
        if (r == -EOPNOTSUPP)
                r = range(storage, BLKZEROOUT, FALLOC_FL_ZERO_RANGE, offset, length);
        return r == -EOPNOTSUPP ? write_zeroes_slowly(storage, offset, length) : r;
}

static void file_close(struct disk_storage *storage)
{
        if (storage->fd >= 0)
                close(storage->fd);
        storage->fd = -1;
}

static const struct disk_storage_operations file_operations = {
        .readv = file_readv,
        .writev = file_writev,
        .sync = file_sync,
        .resize = file_resize,
        .zero = file_zero,
        .close = file_close,
};

/* ---- Opening ---- */

static int open_file(int dir, const char *path, int flags, bool beneath)
{
        struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC | O_NONBLOCK),
                                .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
        if (beneath)
                return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
        return openat(dir, path, flags | O_CLOEXEC | O_NONBLOCK);
}

int disk_storage_open(struct disk_storage *storage, int dir, const char *path, bool read_only, bool beneath,
                      struct error *err)
{
        _cleanup_close_ int fd = open_file(dir, path, read_only ? O_RDONLY : O_RDWR, beneath);
        struct stat st;
        if (fd < 0 && errno == EXDEV)
                return error_set(err, -EXDEV, "cannot open disk %s: it leads out of the folder that it may be in",
                                 path);
        if (fd < 0 || fstat(fd, &st) < 0)
                return error_errno(err, "cannot open disk %s", path);
        bool block_device = S_ISBLK(st.st_mode);
        if (!S_ISREG(st.st_mode) && !block_device)
                return error_set(err, -EINVAL, "disk %s is neither a file nor a block device", path);
        uint64_t size = (uint64_t)st.st_size;
        if (block_device && ioctl(fd, BLKGETSIZE64, &size) < 0)
                return error_errno(err, "cannot tell the size of disk %s", path);
        struct flock lock = { .l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };
        if (fcntl(fd, F_OFD_SETLK, &lock) < 0 && (errno == EAGAIN || errno == EACCES))
                return error_set(err, -EBUSY, "disk %s is in use by another virtual machine%s", path,
                                 read_only ? " that may write to it" : "");
        *storage = (struct disk_storage){
                .operations = &file_operations,
                .fd = TAKE_FD(fd),
                .block_device = block_device,
                .size = size,
        };
        return 0;
}

void disk_storage_close(struct disk_storage *storage)
{
        if (storage->operations)
                storage->operations->close(storage);
        storage->operations = NULL;
}

bool disk_storage_same(const struct disk_storage *a, const struct disk_storage *b)
{
        struct stat first, second;
        return a->fd >= 0 && b->fd >= 0 && !fstat(a->fd, &first) && !fstat(b->fd, &second) &&
               first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/* ---- Transfers ---- */

unsigned vector_slice(const struct iovec *vector, unsigned count, uint64_t skip, uint64_t length, struct iovec *slice)
{
        unsigned parts = 0;
        for (unsigned i = 0; i < count && length; i++) {
                if (skip >= vector[i].iov_len) {
                        skip -= vector[i].iov_len;
                        continue;
                }
                size_t piece = vector[i].iov_len - (size_t)skip;
                if (piece > length)
                        piece = (size_t)length;
                slice[parts++] = (struct iovec){ (char *)vector[i].iov_base + skip, piece };
                length -= piece;
                skip = 0;
        }
        return parts;
}

uint64_t vector_length(const struct iovec *vector, unsigned count)
{
        uint64_t length = 0;
        for (unsigned i = 0; i < count; i++)
                length += vector[i].iov_len;
        return length;
}

void vector_fill(const struct iovec *vector, unsigned count, uint8_t byte)
{
        for (unsigned i = 0; i < count; i++)
                memset(vector[i].iov_base, byte, vector[i].iov_len);
}

void vector_put(const struct iovec *vector, unsigned count, const void *bytes)
{
        for (unsigned i = 0; i < count; i++) {
                memcpy(vector[i].iov_base, bytes, vector[i].iov_len);
                bytes = (const char *)bytes + vector[i].iov_len;
        }
}

/* What a call left over is asked for again: a call may be cut short by a signal or the end of the file. */
static int transfer(struct disk_storage *storage, const struct iovec *vector, unsigned count, uint64_t offset,
                    bool write, bool durable)
{
        const struct disk_storage_operations *operations = storage->operations;
        uint64_t length = vector_length(vector, count);
        struct iovec rest[STORAGE_PARTS_MAX];
        const struct iovec *now = vector;
        for (uint64_t done = 0; done < length;) {
                ssize_t n = write ? operations->writev(storage, now, (int)count, offset + done, durable)
                                  : operations->readv(storage, now, (int)count, offset + done);
                if (n < 0 && n != -EINTR)
                        return (int)n;
                if (!n)
                        return -EIO;
                if (n > 0)
                        done += (uint64_t)n;
                if (done == length)
                        break;
                count = vector_slice(now, count, n > 0 ? (uint64_t)n : 0, length, rest);
                now = rest;
        }
        return 0;
}

int disk_storage_readv(struct disk_storage *storage, const struct iovec *vector, unsigned count, uint64_t offset)
{
        return transfer(storage, vector, count, offset, false, false);
}

int disk_storage_writev(struct disk_storage *storage, const struct iovec *vector, unsigned count, uint64_t offset,
                        bool durable)
{
        return transfer(storage, vector, count, offset, true, durable);
}

int disk_storage_read(struct disk_storage *storage, void *bytes, size_t length, uint64_t offset)
{
        return disk_storage_readv(storage, &(struct iovec){ bytes, length }, 1, offset);
}

int disk_storage_write(struct disk_storage *storage, const void *bytes, size_t length, uint64_t offset)
{
        return disk_storage_writev(storage, &(struct iovec){ (void *)bytes, length }, 1, offset, false);
}

int disk_storage_sync(struct disk_storage *storage)
{
        return storage->operations->sync(storage);
}

int disk_storage_resize(struct disk_storage *storage, uint64_t size)
{
        if (storage->block_device)
                return size <= storage->size ? 0 : -ENOSPC;
        int r = storage->operations->resize(storage, size);
        if (!r)
                storage->size = size;
        return r;
}

int disk_storage_zero(struct disk_storage *storage, uint64_t offset, uint64_t length, enum storage_zero how)
{
        return length ? storage->operations->zero(storage, offset, length, how) : 0;
}
