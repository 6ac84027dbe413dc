/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "instance/monitor.h"

/* A pseudo-terminal's answer to FIONREAD leaves out what the kernel has not yet given to its other side: 64 KiB. */
#define TERMINAL_BACKLOG (64 * 1024)

/* Reads one chunk. Returns its length, -EAGAIN where there is none now, 0 or a negative errno at the stream's end. */
static ssize_t take_output(struct monitor *monitor, struct source *source)
{
        char *data = monitor->scratch->data;
        ssize_t n = read(source->fd, data, MESSAGE_DATA_MAX);
        if (n < 0)
                return errno == EINTR ? -EAGAIN : -errno;
        if (!n)
                return 0;
        int stream = source == &monitor->error ? 2 : 1;
        log_append(&monitor->log, stream, data, (size_t)n);
        clients_send(monitor, HELLO_STREAMS, stream == 2 ? MESSAGE_ERROR : MESSAGE_OUTPUT, data, (size_t)n);
        return n;
}

static void output_ready(struct monitor *monitor, struct source *source, uint32_t events)
{
        (void)events;
        /* EIO of a pseudo-terminal: nobody has its other side open (any more). */
        ssize_t n = take_output(monitor, source);
        if (n <= 0 && n != -EAGAIN)
                monitor_forget(monitor, source);
}

static int open_output(struct monitor *monitor, struct source *source, int stream)
{
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        monitor->container[stream] = ends[1];
        source->fd = ends[0];
        source->ready = output_ready;
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        return monitor_watch(monitor, source, EPOLLIN);
}

static void input_ready(struct monitor *monitor, struct source *source, uint32_t events);

static int open_input(struct monitor *monitor)
{
        if (!monitor->interactive) {
                monitor->container[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
                return monitor->container[0] < 0 ? -errno : 0;
        }
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        monitor->container[0] = ends[0];
        monitor->input = (struct source){ ends[1], input_ready };
        fcntl(ends[1], F_SETFL, O_NONBLOCK);
        return 0;
}

/* With a terminal the runtime's own streams are of no interest; the terminal's other side comes by this socket. */
static int open_console(struct monitor *monitor)
{
        for (int i = 0; i < 3; i++) {
                monitor->container[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
                if (monitor->container[i] < 0)
                        return -errno;
        }
        /* Through the descriptor: socket addresses are short and state folders may be deep. */
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/console", monitor->run_folder);
        unlinkat(monitor->run_folder, "console", 0);
        monitor->terminal.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        /* Before bind(2), which gives the file the socket's mode: nobody else connects, not even for a moment. */
        if (monitor->terminal.fd < 0 || fchmod(monitor->terminal.fd, 0600) < 0 ||
            bind(monitor->terminal.fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(monitor->terminal.fd, 1) < 0)
                return -errno;
        return 0;
}

int streams_open(struct monitor *monitor, struct error *err)
{
        int r;
        if (monitor->tty) {
                r = open_console(monitor);
        } else {
                r = open_input(monitor);
                if (!r)
                        r = open_output(monitor, &monitor->output, 1);
                if (!r)
                        r = open_output(monitor, &monitor->error, 2);
        }
        return r < 0 ? error_code(err, r, "cannot make the instance's standard streams") : 0;
}

int streams_take_terminal(struct monitor *monitor, struct error *err)
{
        /* The runtime has ended well, so whatever it sent is here. */
        _cleanup_close_ int listener = TAKE_FD(monitor->terminal.fd);
        _cleanup_close_ int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        unlinkat(monitor->run_folder, "console", 0);
        if (connection < 0)
                return error_errno(err, "the runtime sent no terminal");
        char data[256], control[CMSG_SPACE(sizeof(int))];
        struct iovec part = { data, sizeof(data) };
        struct msghdr packet = {
                .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
        };
        struct cmsghdr *header = recvmsg(connection, &packet, MSG_CMSG_CLOEXEC) < 0 ? NULL : CMSG_FIRSTHDR(&packet);
        if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
            header->cmsg_len != CMSG_LEN(sizeof(int)))
                return error_set(err, -EPROTO, "the runtime sent no terminal");
        memcpy(&monitor->terminal.fd, CMSG_DATA(header), sizeof(int));
        monitor->terminal.ready = output_ready;
        fcntl(monitor->terminal.fd, F_SETFL, O_NONBLOCK);
        /* A second descriptor of the same file: epoll watches one for output and the other for room for input. */
        monitor->input = (struct source){ fcntl(monitor->terminal.fd, F_DUPFD_CLOEXEC, 3), input_ready };
        int r = monitor_watch(monitor, &monitor->terminal, EPOLLIN);
        return r < 0 ? error_code(err, r, "cannot watch the terminal") : 0;
}

void streams_hold(struct monitor *monitor, bool hold)
{
        struct source *sources[] = { &monitor->output, &monitor->error, &monitor->terminal };
        for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
                if (sources[i]->fd >= 0)
                        monitor_watch(monitor, sources[i], hold ? 0 : EPOLLIN);
}

void streams_drain(struct monitor *monitor)
{
        struct source *sources[] = { &monitor->output, &monitor->error, &monitor->terminal };
        for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
                struct source *source = sources[i];
                int waiting = 0;
                if (source->fd < 0 || ioctl(source->fd, FIONREAD, &waiting) < 0)
                        continue;
                /* What its processes wrote is in the pipe now; another that still writes there (--pid host) is not
                 * waited for. */
                ssize_t left = waiting, n = 1;
                if (source == &monitor->terminal)
                        left += TERMINAL_BACKLOG;
                for (; left > 0 && n > 0; left -= n) {
                        clients_flush(monitor);
                        n = take_output(monitor, source);
                }
        }
        streams_close(monitor);
}

void streams_close(struct monitor *monitor)
{
        monitor_forget(monitor, &monitor->output);
        monitor_forget(monitor, &monitor->error);
        monitor_forget(monitor, &monitor->terminal);
        monitor_forget(monitor, &monitor->input);
        free(monitor->input_pending);
        monitor->input_pending = NULL;
        monitor->input_ends = false;
}

/* Returns whether all of it was taken. */
static bool write_input(struct monitor *monitor, const struct message *message)
{
        while (monitor->input_offset < message->length) {
                ssize_t n = write(monitor->input.fd, message->data + monitor->input_offset,
                                  message->length - monitor->input_offset);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return false;
                if (n < 0)
                        return true; /* it has closed its input: what it is sent goes nowhere, as with a shell's pipe */
                monitor->input_offset += (size_t)n;
        }
        return true;
}

static void input_ready(struct monitor *monitor, struct source *source, uint32_t events)
{
        (void)events;
        if (monitor->input_pending && !write_input(monitor, monitor->input_pending))
                return;
        free(monitor->input_pending);
        monitor->input_pending = NULL;
        epoll_ctl(monitor->epoll, EPOLL_CTL_DEL, source->fd, NULL);
        clients_watch(monitor);
        if (monitor->input_ends)
                streams_end_input(monitor);
}

void streams_end_input(struct monitor *monitor)
{
        monitor->input_ends = monitor->input_pending;
        if (!monitor->input_pending && !monitor->tty)
                monitor_forget(monitor, &monitor->input);
}

void streams_input(struct monitor *monitor, struct message *message)
{
        if (monitor->input.fd < 0)
                return;
        if (!message->length) {
                streams_end_input(monitor);
                return;
        }
        monitor->input_offset = 0;
        if (write_input(monitor, message))
                return;
        monitor->input_pending = malloc(sizeof(*message));
        if (!monitor->input_pending)
                return;
        memcpy(monitor->input_pending, message, sizeof(*message));
        clients_watch(monitor);
        monitor_watch(monitor, &monitor->input, EPOLLOUT);
}

void streams_resize(struct monitor *monitor, unsigned rows, unsigned columns)
{
        struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };
        if (monitor->tty && monitor->terminal.fd >= 0)
                ioctl(monitor->terminal.fd, TIOCSWINSZ, &size);
}
