/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop of the process: epoll(7), for the one thread that serves everything but processors and disks.
 *
 * A source belongs to whoever added it, and outlives its membership. Sources are added, changed and removed by the
 * loop's own thread or before it runs; one event is taken at a time, so a source that was removed is never called
 * again.
 */
#pragma once

#include <stdint.h>
#include <sys/epoll.h>

#include "base/error.h"

struct event_source {
        int fd;
        void (*ready)(void *owner, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR */
        void *owner;
};

struct event_loop {
        int epoll;
};

int event_loop_open(struct event_loop *loop, struct error *err);
void event_loop_close(struct event_loop *loop);

/* `events` 0: only errors. -EPERM: a file or folder, which is always ready and cannot be waited for. */
int event_loop_add(struct event_loop *loop, struct event_source *source, uint32_t events);
void event_loop_change(struct event_loop *loop, struct event_source *source, uint32_t events);
void event_loop_remove(struct event_loop *loop, struct event_source *source);

/* Waits for one event and calls its source. */
void event_loop_turn(struct event_loop *loop);
