/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/window.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent.h"
#include "hosted/socket_bridge.h"
#include "hosted/vmm_private.h"

struct window {
        struct vmm *vmm;
        int terminal;
        struct event_source signals, agent; /* agent.fd -1: not connected */
};

/* The machine is little-endian, as frames are. */
struct __attribute__((packed)) size_frame {
        struct agent_frame head;
        struct agent_window window;
};

static void disconnect(struct window *window)
{
        event_loop_remove(&window->vmm->loop, &window->agent);
        close(TAKE_FD(window->agent.fd));
}

/* What the agent says to it is of no interest, only that it is there. */
static void agent_ready(void *owner, uint32_t events)
{
        struct window *window = owner;
        char bytes[4096];
        (void)events;
        ssize_t n = recv(window->agent.fd, bytes, sizeof(bytes), 0);
        if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
                disconnect(window);
}

static bool connect_agent(struct window *window)
{
        static const struct agent_frame hello = { .type = AGENT_CONTROL };
        int ends[2];
        if (window->agent.fd >= 0)
                return true;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
                return false;
        _cleanup_close_ int own = ends[0];
        if (!socket_bridge_connect(window->vmm->sockets, AGENT_PORT, ends[1]) ||
            send(own, &hello, sizeof(hello), MSG_NOSIGNAL) != sizeof(hello))
                return false;
        window->agent.fd = TAKE_FD(own);
        if (event_loop_add(&window->vmm->loop, &window->agent, EPOLLIN) < 0)
                close(TAKE_FD(window->agent.fd));
        return window->agent.fd >= 0;
}

static void size_changed(void *owner, uint32_t events)
{
        struct window *window = owner;
        struct signalfd_siginfo signal;
        struct winsize size;
        (void)events;
        if (read(window->signals.fd, &signal, sizeof(signal)) != sizeof(signal) ||
            ioctl(window->terminal, TIOCGWINSZ, &size) < 0)
                return;
        const struct size_frame frame = {
                .head = { .length = sizeof(frame.window), .type = AGENT_WINDOW },
                .window = { .rows = size.ws_row, .columns = size.ws_col },
        };
        pthread_mutex_lock(&window->vmm->lock);
        bool there = connect_agent(window);
        pthread_mutex_unlock(&window->vmm->lock);
        /* A part of a frame would spoil all that follow. */
        if (there && send(window->agent.fd, &frame, sizeof(frame), MSG_NOSIGNAL) != sizeof(frame))
                disconnect(window);
}

void window_close(struct window *window)
{
        if (window->agent.fd >= 0)
                close(window->agent.fd);
        if (window->signals.fd >= 0)
                close(window->signals.fd);
        if (window->terminal >= 0)
                close(window->terminal);
        free(window);
}

DEFINE_CLEANUP(window, struct window, window_close)

int window_open(struct vmm *vmm, int terminal, struct window **result, struct error *err)
{
        struct winsize size;
        _cleanup_(window) struct window *window = calloc(1, sizeof(*window));
        if (!window)
                return error_memory(err);
        *window = (struct window){ .vmm = vmm,
                                   .terminal = -1,
                                   .signals = { -1, size_changed, window },
                                   .agent = { -1, agent_ready, window } };
        if (ioctl(terminal, TIOCGWINSZ, &size) < 0)
                return error_errno(err, "--window: descriptor %d is no terminal", terminal);
        window->terminal = fcntl(terminal, F_DUPFD_CLOEXEC, 3);
        if (window->terminal < 0)
                return error_errno(err, "--window: descriptor %d cannot be kept", terminal);
        sigset_t signals;
        sigemptyset(&signals);
        sigaddset(&signals, SIGWINCH);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        window->signals.fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
        int r = window->signals.fd < 0 ? -errno : event_loop_add(&vmm->loop, &window->signals, EPOLLIN);
        if (r < 0)
                return error_code(err, r, "cannot wait for signals");
        *result = TAKE_PTR(window);
        return 0;
}
