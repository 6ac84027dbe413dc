/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <unistd.h>

#include "hosted/vmm_private.h"

static void take_input(struct vmm *vmm);

static void input_ready(void *owner, uint32_t events)
{
        (void)events;
        take_input(owner);
}

int console_open(struct vmm *vmm, struct error *err)
{
        struct console *console = &vmm->console;
        console->input = (struct event_source){ .fd = STDIN_FILENO, .ready = input_ready, .owner = vmm };
        int r = event_loop_add(&vmm->loop, &console->input, EPOLLIN);
        console->waiting = !r;
        console->always_ready = r == -EPERM;
        console->at_end = r == -EBADF;
        if (r < 0 && r != -EPERM && r != -EBADF)
                return error_code(err, r, "cannot wait for standard input");
        if (console->always_ready)
                vmm_wake(vmm);
        return 0;
}

static void wait_for_input(struct vmm *vmm, bool wait)
{
        struct console *console = &vmm->console;
        if (console->always_ready || console->waiting == wait)
                return;
        console->waiting = wait;
        event_loop_change(&vmm->loop, &console->input, wait ? EPOLLIN : 0);
}

/* Bytes into the port as far as it has room. Returns what read() said, or 1 where there was no room. */
static ssize_t move(struct vmm *vmm, bool *full)
{
        uint8_t bytes[SERIAL_FIFO];
        pthread_mutex_lock(&vmm->lock);
        size_t room = serial_room(&vmm->machine.serial);
        pthread_mutex_unlock(&vmm->lock);
        *full = !room;
        ssize_t n = room ? read(STDIN_FILENO, bytes, room) : 1;
        if (!room || n <= 0)
                return n;
        pthread_mutex_lock(&vmm->lock);
        serial_receive(&vmm->machine.serial, bytes, (size_t)n);
        pthread_mutex_unlock(&vmm->lock);
        return n;
}

static void take_input(struct vmm *vmm)
{
        struct console *console = &vmm->console;
        if (console->at_end)
                return;
        bool full;
        ssize_t n = move(vmm, &full);
        if (!n || (n < 0 && errno != EINTR && errno != EAGAIN)) {
                console->at_end = true;
                if (!console->always_ready)
                        event_loop_remove(&vmm->loop, &console->input);
                return;
        }
        /* A full port asks for more when the guest has read: machine_host.console_room. */
        wait_for_input(vmm, !full);
        if (console->always_ready && !full)
                vmm_wake(vmm);
}

void console_serve(struct vmm *vmm)
{
        struct console *console = &vmm->console;
        if (console->always_ready)
                take_input(vmm);
        if (console->always_ready || console->at_end)
                return;
        /* To read unasked could wait for ever: the loop says when there is something. */
        pthread_mutex_lock(&vmm->lock);
        bool room = serial_room(&vmm->machine.serial);
        pthread_mutex_unlock(&vmm->lock);
        wait_for_input(vmm, room);
}
