/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/event_loop.h"

#include <errno.h>
#include <unistd.h>

int event_loop_open(struct event_loop *loop, struct error *err)
{
        loop->epoll = epoll_create1(EPOLL_CLOEXEC);
        return loop->epoll < 0 ? error_errno(err, "cannot make an event loop") : 0;
}

void event_loop_close(struct event_loop *loop)
{
        if (loop->epoll >= 0)
                close(loop->epoll);
        loop->epoll = -1;
}

static int control(struct event_loop *loop, int operation, struct event_source *source, uint32_t events)
{
        struct epoll_event event = { .events = events, .data.ptr = source };
        return epoll_ctl(loop->epoll, operation, source->fd, &event) < 0 ? -errno : 0;
}

int event_loop_add(struct event_loop *loop, struct event_source *source, uint32_t events)
{
        return control(loop, EPOLL_CTL_ADD, source, events);
}

void event_loop_change(struct event_loop *loop, struct event_source *source, uint32_t events)
{
        control(loop, EPOLL_CTL_MOD, source, events);
}

void event_loop_remove(struct event_loop *loop, struct event_source *source)
{
        control(loop, EPOLL_CTL_DEL, source, 0);
}

void event_loop_turn(struct event_loop *loop)
{
        struct epoll_event event;
        if (epoll_wait(loop->epoll, &event, 1, -1) != 1)
                return;
        struct event_source *source = event.data.ptr;
        source->ready(source->owner, event.events);
}
