/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/disk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Of zeroes at a time, where the file system has no better way. */
#define ZEROES 65536

int disk_file_open(struct disk_file *file, const char *path, bool read_only, struct error *err)
{
        _cleanup_close_ int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return error_errno(err, "cannot open disk %s", path);
        bool block_device = S_ISBLK(st.st_mode);
        if (!S_ISREG(st.st_mode) && !block_device)
                return error_set(err, -EINVAL, "disk %s is neither a file nor a block device", path);
        uint64_t size = (uint64_t)st.st_size;
        if (block_device && ioctl(fd, BLKGETSIZE64, &size) < 0)
                return error_errno(err, "cannot tell the size of disk %s", path);
        if (!size || size % VIRTIO_BLOCK_SECTOR)
                return error_set(err, -EINVAL, "disk %s is not a whole number of sectors of %d bytes", path,
                                 VIRTIO_BLOCK_SECTOR);
        /* A lock of the open file: it goes with the descriptor, whatever ends the process. */
        struct flock lock = { .l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };
        if (fcntl(fd, F_OFD_SETLK, &lock) < 0 && (errno == EAGAIN || errno == EACCES))
                return error_set(err, -EBUSY, "disk %s is in use by another virtual machine%s", path,
                                 read_only ? " that may write to it" : "");
        *file = (struct disk_file){ .fd = TAKE_FD(fd), .block_device = block_device, .size = size };
        return 0;
}

void disk_file_close(struct disk_file *file)
{
        if (file->fd >= 0)
                close(file->fd);
        file->fd = -1;
}

/* The request's buffers from byte `done` on. */
static int vector_from(const struct block_request *request, uint64_t done, struct iovec *vector)
{
        int count = 0;
        for (unsigned i = 0; i < request->part_count; i++) {
                const struct virtqueue_part *part = &request->parts[i];
                if (done >= part->length) {
                        done -= part->length;
                        continue;
                }
                vector[count++] = (struct iovec){ part->host + done, part->length - done };
                done = 0;
        }
        return count;
}

static int transfer(const struct disk_file *file, const struct block_request *request)
{
        struct iovec vector[VIRTQUEUE_PARTS_MAX];
        for (uint64_t done = 0; done < request->length;) {
                int count = vector_from(request, done, vector);
                off_t at = (off_t)(request->offset + done);
                ssize_t n = request->operation == BLOCK_READ
                                    ? preadv(file->fd, vector, count, at)
                                    : pwritev2(file->fd, vector, count, at, request->durable ? RWF_DSYNC : 0);
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (!n) /* the file was cut while the guest ran */
                        return -EIO;
                if (n > 0)
                        done += (uint64_t)n;
        }
        return 0;
}

static int flush(const struct disk_file *file, const struct block_request *request)
{
        (void)request;
        return fdatasync(file->fd) < 0 ? -errno : 0;
}

static int write_zeroes_slowly(const struct disk_file *file, const struct block_request *request)
{
        static uint8_t zeroes[ZEROES]; /* never written: not const, so that it costs no room in the program */
        for (uint64_t done = 0; done < request->length;) {
                size_t length = request->length - done < ZEROES ? (size_t)(request->length - done) : ZEROES;
                ssize_t n = pwrite(file->fd, zeroes, length, (off_t)(request->offset + done));
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0)
                        done += (uint64_t)n;
        }
        return 0;
}

static int range(const struct disk_file *file, unsigned long device_request, int mode,
                 const struct block_request *request)
{
        uint64_t bounds[2] = { request->offset, request->length };
        if (!request->length)
                return 0;
        int r = file->block_device ? ioctl(file->fd, device_request, bounds)
                                   : fallocate(file->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)request->offset,
                                               (off_t)request->length);
        return r < 0 ? -errno : 0;
}

/* A hint: a file system that makes no holes is no error. */
static int discard(const struct disk_file *file, const struct block_request *request)
{
        int r = range(file, BLKDISCARD, FALLOC_FL_PUNCH_HOLE, request);
        return r == -EOPNOTSUPP ? 0 : r;
}

static int write_zeroes(const struct disk_file *file, const struct block_request *request)
{
        int r = -EOPNOTSUPP;
        if (request->may_unmap && !file->block_device)
                r = range(file, 0, FALLOC_FL_PUNCH_HOLE, request);
        if (r == -EOPNOTSUPP)
                r = range(file, BLKZEROOUT, FALLOC_FL_ZERO_RANGE, request);
        if (r == -EOPNOTSUPP)
                r = write_zeroes_slowly(file, request);
        return !r && request->durable ? flush(file, request) : r;
}

int disk_file_run(const struct disk_file *file, const struct block_request *request)
{
        static int (*const operations[])(const struct disk_file *, const struct block_request *) = {
                [BLOCK_READ] = transfer,
                [BLOCK_WRITE] = transfer,
                [BLOCK_FLUSH] = flush,
                [BLOCK_DISCARD] = discard,
                [BLOCK_WRITE_ZEROES] = write_zeroes,
        };
        return operations[request->operation](file, request);
}
