/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/byte_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Linux admin-guide/devices.txt: /dev/ptmx, of which each opening is another terminal. */
#define TERMINAL_MASTERS makedev(5, 2)

/* A description of our own of what `fd` is; -1 where there can be none. */
static int open_anew(int fd, int access, const struct stat *st)
{
        char path[64];
        if (S_ISCHR(st->st_mode) && st->st_rdev == TERMINAL_MASTERS)
                return -1;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        return open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int byte_stream_adopt(struct byte_stream *stream, int fd, struct error *err)
{
        struct stat st;
        _cleanup_close_ int own = fd;
        int flags = fcntl(fd, F_GETFL);
        *stream = (struct byte_stream){ .fd = -1 };
        if (flags < 0 || fstat(fd, &st) < 0)
                return error_errno(err, "descriptor %d is not open", fd);
        int access = flags & O_ACCMODE;
        stream->socket = S_ISSOCK(st.st_mode);
        stream->reads = access != O_WRONLY;
        stream->writes = access != O_RDONLY;
        stream->terminal = isatty(fd);
        stream->pollable = stream->socket || S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode);
        if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
                int anew = open_anew(fd, access, &st);
                stream->careful = anew < 0;
                if (anew >= 0) {
                        close(own);
                        own = anew;
                }
        }
        if (fcntl(own, F_SETFD, FD_CLOEXEC) < 0)
                return error_errno(err, "cannot use descriptor %d", fd);
        stream->fd = TAKE_FD(own);
        return 0;
}

void byte_stream_adopt_socket(struct byte_stream *stream, int fd)
{
        *stream = (struct byte_stream){ .fd = fd, .socket = true, .reads = true, .writes = true, .pollable = true };
}

void byte_stream_close(struct byte_stream *stream)
{
        if (stream->fd >= 0)
                close(TAKE_FD(stream->fd));
}

ssize_t byte_stream_read(struct byte_stream *stream, void *bytes, size_t room)
{
        if (!stream->reads || stream->fd < 0)
                return 0;
        ssize_t n = stream->socket ? recv(stream->fd, bytes, room, MSG_DONTWAIT) : read(stream->fd, bytes, room);
        if (n < 0)
                return errno == EINTR ? -EAGAIN : -errno;
        /* Nothing is the end of a file; a raw terminal has no such key, so its other side is gone: tty(4). */
        return !n && stream->terminal && room ? -EIO : n;
}

ssize_t byte_stream_write(struct byte_stream *stream, struct iovec *parts, unsigned count)
{
        if (!stream->writes || stream->fd < 0)
                return -EPIPE;
        if (stream->careful) {
                count = 1;
                if (parts->iov_len > PIPE_BUF)
                        parts->iov_len = PIPE_BUF;
        }
        const struct msghdr message = { .msg_iov = parts, .msg_iovlen = count };
        ssize_t n = stream->socket ? sendmsg(stream->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)
                                   : writev(stream->fd, parts, (int)count);
        if (n >= 0)
                return n;
        return errno == EINTR ? -EAGAIN : -errno;
}

void byte_stream_end_writing(struct byte_stream *stream)
{
        if (stream->fd < 0 || !stream->writes)
                return;
        stream->writes = false;
        if (stream->socket)
                shutdown(stream->fd, SHUT_WR);
        else if (!stream->reads)
                byte_stream_close(stream);
}
