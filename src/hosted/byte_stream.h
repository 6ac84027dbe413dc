/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A descriptor of the host's as a stream of bytes that never makes its user wait: socket, pipe, terminal, device or file.
 *
 * Descriptors that we inherit are shared with whoever else has them, and so is their O_NONBLOCK, which therefore is never
 * set: a socket is asked not to wait with each call, a pipe or a terminal is opened anew, as a description of our own, and
 * a file does not make anyone wait. The struct owns its descriptor.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/error.h"

struct byte_stream {
        int fd;             /* -1: closed */
        bool socket;        /* ends each direction for itself */
        bool reads, writes; /* what it was opened for */
        bool pollable;      /* false: always ready, and epoll(7) does not take it */
        bool terminal;      /* whose end is a hang-up */
        bool careful;       /* may wait after all: it takes no more at once than poll(2) promises room for */
};

/* Takes over `fd`, in any case. */
int byte_stream_adopt(struct byte_stream *stream, int fd, struct error *err);
/* The same for a stream socket of our own that has O_NONBLOCK. */
void byte_stream_adopt_socket(struct byte_stream *stream, int fd);
void byte_stream_close(struct byte_stream *stream);

/* As read(2), but a terminal that was hung up is -EIO. -EAGAIN for later, or another negative errno. */
ssize_t byte_stream_read(struct byte_stream *stream, void *bytes, size_t room);
/* As writev(2), without SIGPIPE where the process ignores it. -EAGAIN for later, or another negative errno. */
ssize_t byte_stream_write(struct byte_stream *stream, struct iovec *parts, unsigned count);
/* Nothing more will be written: the other side reads the end, if nobody else can write. */
void byte_stream_end_writing(struct byte_stream *stream);
