/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The caller's terminal as the console of a virtual machine. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "instance/terminal.h"
#include "virtual_machine/machine_socket.h"

#define ESCAPE 0x1d /* ^], as telnet and virsh have it */

struct console {
        int fd;
        bool terminal, deaf, escaped;
};

/* Returns whether the console goes on. */
static bool show_output(const struct console *console)
{
        char bytes[16384];
        ssize_t n = read(console->fd, bytes, sizeof(bytes));
        if (n < 0 && errno == EINTR)
                return true;
        return n > 0 && !write_all(STDOUT_FILENO, bytes, (size_t)n);
}

static bool pass_input(struct console *console)
{
        char bytes[1024];
        ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));
        if (n < 0 && errno == EINTR)
                return true;
        if (n <= 0) {
                console->deaf = true; /* nothing more to type; what the guest says is still of interest */
                return true;
        }
        char *escape = console->terminal ? memchr(bytes, ESCAPE, (size_t)n) : NULL;
        size_t length = escape ? (size_t)(escape - bytes) : (size_t)n;
        console->escaped = escape;
        return send(console->fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length && !escape;
}

static void converse(struct console *console)
{
        for (bool goes_on = true; goes_on;) {
                struct pollfd fds[] = { { console->fd, POLLIN, 0 }, { console->deaf ? -1 : STDIN_FILENO, POLLIN, 0 } };
                if (poll(fds, 2, -1) < 0 && errno != EINTR)
                        return;
                if (fds[0].revents)
                        goes_on = show_output(console);
                if (goes_on && fds[1].revents)
                        goes_on = pass_input(console);
        }
}

int vm_console(const struct vm *vm, bool *escaped, struct error *err)
{
        struct terminal terminal = { 0 };
        _cleanup_close_ int fd = machine_socket_connect(vm, VM_CONSOLE_SOCKET, err);
        if (fd < 0)
                return fd;
        struct console console = { .fd = fd, .terminal = terminal_make_raw(&terminal) };
        converse(&console);
        terminal_restore(&terminal);
        *escaped = console.escaped;
        return 0;
}
