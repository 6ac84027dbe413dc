/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

struct lane {
        struct pump_lane ends;
        enum { LANE_OPEN, LANE_DRAINS, LANE_OVER } state;
        size_t start, length;
        char bytes[PUMP_BUFFER];
};

static bool would_block(void)
{
        return errno == EAGAIN || errno == EINTR;
}

/* No more bytes will come; what is in the buffer is gone or not wanted. */
static void finish(struct lane *lane)
{
        if (shutdown(lane->ends.to, SHUT_WR) < 0) {
                /* A pipe, which its reader sees ended; a terminal has no end, and loses nothing. */
                if (errno == ENOTSOCK && !isatty(lane->ends.to))
                        close(lane->ends.to);
                lane->state = LANE_OVER;
                return;
        }
        lane->state = lane->ends.drained ? LANE_DRAINS : LANE_OVER;
}

static void take(struct lane *lane)
{
        ssize_t n = read(lane->ends.from, lane->bytes, sizeof(lane->bytes));
        if (n < 0 && would_block())
                return;
        lane->start = 0;
        lane->length = n > 0 ? (size_t)n : 0;
        if (n <= 0) /* EIO of a terminal that nobody has open any more is an end, too */
                finish(lane);
}

static void give(struct lane *lane)
{
        ssize_t n = write(lane->ends.to, lane->bytes + lane->start, lane->length);
        if (n < 0 && would_block())
                return;
        if (n < 0) { /* Nobody reads: the writer is to learn that. */
                if (lane->ends.output && !isatty(lane->ends.from))
                        close(lane->ends.from);
                lane->state = LANE_OVER;
                return;
        }
        lane->start += (size_t)n;
        lane->length -= (size_t)n;
}

/* The other side closes its end once it has passed on everything; what it sends meanwhile is nobody's. */
static void drain(struct lane *lane)
{
        char bytes[256];
        ssize_t n = read(lane->ends.to, bytes, sizeof(bytes));
        if (n == 0 || (n < 0 && !would_block()))
                lane->state = LANE_OVER;
}

static struct pollfd wait_for(const struct lane *lane)
{
        switch (lane->state) {
        case LANE_OPEN:
                return lane->length ? (struct pollfd){ lane->ends.to, POLLOUT, 0 }
                                    : (struct pollfd){ lane->ends.from, POLLIN, 0 };
        case LANE_DRAINS: return (struct pollfd){ lane->ends.to, POLLIN, 0 };
        case LANE_OVER: break;
        }
        return (struct pollfd){ .fd = -1 };
}

static void step(struct lane *lane)
{
        if (lane->state == LANE_DRAINS)
                drain(lane);
        else if (lane->length)
                give(lane);
        else
                take(lane);
}

void pump_run(const struct pump_lane *ends, size_t count)
{
        static struct lane lanes[PUMP_LANES_MAX]; /* the process's own; touched as they are used */
        for (size_t i = 0; i < count; i++) {
                lanes[i].ends = ends[i];
                fcntl(ends[i].from, F_SETFL, O_NONBLOCK);
                fcntl(ends[i].to, F_SETFL, O_NONBLOCK);
        }
        for (;;) {
                struct pollfd wait[PUMP_LANES_MAX];
                bool more = false;
                for (size_t i = 0; i < count; i++) {
                        wait[i] = wait_for(&lanes[i]);
                        more |= lanes[i].ends.output && lanes[i].state != LANE_OVER;
                }
                if (!more)
                        return;
                if (poll(wait, count, -1) < 0 && errno != EINTR)
                        return;
                for (size_t i = 0; i < count; i++)
                        if (wait[i].fd >= 0 && wait[i].revents)
                                step(&lanes[i]);
        }
}
