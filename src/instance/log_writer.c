/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "instance/log.h"
#include "instance/timestamp.h"

static int open_newest(struct log_writer *log)
{
        log->fd = openat(log->folder, "log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
        struct stat st;
        if (log->fd < 0 || fstat(log->fd, &st) < 0)
                return -errno;
        log->size = (uint64_t)st.st_size;
        return 0;
}

int log_open(struct log_writer *log, int folder, uint64_t size_max, unsigned files_max, struct error *err)
{
        *log = (struct log_writer){ .folder = folder, .fd = -1, .size_max = size_max, .files_max = files_max };
        int r = open_newest(log);
        return r < 0 ? error_code(err, r, "cannot open the log") : 0;
}

void log_close(struct log_writer *log)
{
        if (log->fd >= 0)
                close(log->fd);
        log->fd = -1;
}

/* log.(n-1) -> log.n, …, log -> log.1: whoever has a file open keeps it, and nothing of the newest is lost. */
static int rotate(struct log_writer *log)
{
        char from[32], to[32];
        for (unsigned n = log->files_max - 1; n; n--) {
                snprintf(to, sizeof(to), "log.%u", n);
                if (n > 1)
                        snprintf(from, sizeof(from), "log.%u", n - 1);
                else
                        TEXT_COPY(from, "log");
                if (renameat(log->folder, from, log->folder, to) < 0 && errno != ENOENT)
                        return -errno;
        }
        int old = log->fd;
        int r = open_newest(log);
        if (r < 0)
                log->fd = old; /* better a file that is too large than no log */
        else
                close(old);
        return r;
}

/* An entry that is cut short by a full disk is taken back, so that every line of the file is whole. */
static int write_entry(struct log_writer *log, const char *head, size_t head_length, const char *text, size_t length)
{
        size_t whole = head_length + length + 1;
        if (log->size_max && log->size && log->size + whole > log->size_max)
                rotate(log);
        struct iovec parts[] = { { (void *)head, head_length }, { (void *)text, length }, { (void *)"\n", 1 } };
        ssize_t n;
        do
                n = writev(log->fd, parts, 3);
        while (n < 0 && errno == EINTR);
        if (n == (ssize_t)whole) {
                log->size += whole;
                return 0;
        }
        int r = n < 0 ? -errno : -ENOSPC;
        if (n > 0 && ftruncate(log->fd, (off_t)log->size) < 0)
                return -errno;
        return r;
}

int log_append(struct log_writer *log, int stream, const char *data, size_t length)
{
        if (log->fd < 0)
                return 0;
        char now[TIMESTAMP_SIZE], head[64];
        timestamp_now(now);
        int first = 0;
        while (length) {
                const char *end = memchr(data, '\n', length);
                size_t part = end ? (size_t)(end - data) : length;
                int head_length = snprintf(head, sizeof(head), "%s %s %c ", now, stream == 2 ? "stderr" : "stdout",
                                           end ? 'F' : 'P');
                int r = write_entry(log, head, (size_t)head_length, data, part);
                if (r < 0 && !first)
                        first = r;
                log->open_line[stream == 2] = !end;
                data += part + (end ? 1 : 0);
                length -= part + (end ? 1 : 0);
        }
        return first;
}
