/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A caller of a guest's agent for tests (src/guest/agent.h), through onggi-vmm's --vsock socket:
 *
 *   agent SOCKET exec DOCUMENT        runs a program by its OCI process document; its streams and its exit status are ours
 *   agent SOCKET signal PROCESS N     also: window PROCESS ROWS, kill-all 0 N, start 0 0, shut-down 0 0
 *   agent SOCKET statistics           prints them
 *   agent SOCKET copy-in PATH         a tar stream from standard input, copy-out PATH one to standard output
 *   agent SOCKET watch                prints states until the end
 *   agent SOCKET raw HEX              sends bytes and prints how many come back before the guest closes the connection
 *
 * A guest that does not listen yet is asked again, for a minute.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "guest/agent.h"

static void fail(const char *what)
{
        perror(what);
        exit(99);
}

static void send_all(int fd, const void *data, size_t length)
{
        for (size_t done = 0; done < length;) {
                ssize_t n = write(fd, (const char *)data + done, length - done);
                if (n < 0)
                        fail("write");
                done += (size_t)n;
        }
}

static size_t receive(int fd, void *data, size_t length)
{
        size_t done = 0;
        while (done < length) {
                ssize_t n = read(fd, (char *)data + done, length - done);
                if (n <= 0)
                        break;
                done += (size_t)n;
        }
        return done;
}

static int try_connect(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char line[32] = { 0 };
        strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (fd < 0)
                fail("socket");
        if (!connect(fd, (struct sockaddr *)&address, sizeof(address))) {
                dprintf(fd, "CONNECT %d\n", AGENT_PORT);
                for (size_t i = 0; i + 1 < sizeof(line) && read(fd, line + i, 1) == 1 && line[i] != '\n'; i++)
                        ;
                if (!strncmp(line, "OK ", 3))
                        return fd;
        }
        close(fd);
        return -1;
}

static int connect_agent(const char *path)
{
        for (int i = 0; i < 1200; i++) {
                int fd = try_connect(path);
                if (fd >= 0)
                        return fd;
                usleep(50000);
        }
        fail("no agent answers");
        return -1;
}

static void put(int fd, unsigned type, const void *data, size_t length)
{
        struct agent_frame head = { (uint32_t)length, (uint16_t)type, 0 };
        char bytes[sizeof(head) + AGENT_DATA_MAX];
        memcpy(bytes, &head, sizeof(head));
        if (length <= AGENT_DATA_MAX) { /* at once */
                memcpy(bytes + sizeof(head), data, length);
                send_all(fd, bytes, sizeof(head) + length);
                return;
        }
        send_all(fd, &head, sizeof(head));
        send_all(fd, data, length);
}

static char data[AGENT_DOCUMENT_MAX + 1];

/* Returns the type, 0 at the end. */
static unsigned get(int fd, size_t *length)
{
        struct agent_frame head;
        if (receive(fd, &head, sizeof(head)) != sizeof(head))
                return 0;
        if (head.length > AGENT_DOCUMENT_MAX || receive(fd, data, head.length) != head.length)
                return 0;
        data[head.length] = 0;
        *length = head.length;
        return head.type;
}

static int report_error(void)
{
        struct agent_error error;
        memcpy(&error, data, sizeof(error));
        fprintf(stderr, "error %d: %s\n", error.code, data + sizeof(error));
        return 98;
}

static int do_exec(int fd, const char *document)
{
        put(fd, AGENT_EXEC, document, strlen(document));
        int input = STDIN_FILENO;
        for (;;) {
                struct pollfd wait[] = { { fd, POLLIN, 0 }, { input, POLLIN, 0 } };
                char bytes[4096];
                size_t length;
                if (poll(wait, 2, -1) < 0)
                        fail("poll");
                if (wait[1].revents) {
                        ssize_t n = read(input, bytes, sizeof(bytes));
                        put(fd, AGENT_INPUT, bytes, n > 0 ? (size_t)n : 0);
                        if (n <= 0)
                                input = -1;
                }
                if (!wait[0].revents)
                        continue;
                switch (get(fd, &length)) {
                case AGENT_STARTED:
                        fprintf(stderr, "process %u\n", ((const struct agent_started *)data)->process);
                        break;
                case AGENT_OUTPUT: send_all(STDOUT_FILENO, data, length); break;
                case AGENT_ERRORS: send_all(STDERR_FILENO, data, length); break;
                case AGENT_EXIT: return (int)((const struct agent_exit *)data)->exit_code;
                case AGENT_ERROR: return report_error();
                default: return 97;
                }
        }
}

static int do_control(int fd, const char *what, const char *first, const char *second)
{
        const struct agent_signal numbers = { (uint32_t)atoi(first), (uint32_t)atoi(second) };
        const struct agent_window window = { (uint32_t)atoi(first), (uint16_t)atoi(second), 80 };
        size_t length;
        put(fd, AGENT_CONTROL, NULL, 0);
        if (get(fd, &length) != AGENT_STATE)
                return 97;
        if (!strcmp(what, "signal"))
                put(fd, AGENT_SIGNAL, &numbers, sizeof(numbers));
        else if (!strcmp(what, "kill-all"))
                put(fd, AGENT_KILL_ALL, &numbers, sizeof(numbers));
        else if (!strcmp(what, "window"))
                put(fd, AGENT_WINDOW, &window, sizeof(window));
        else
                put(fd, !strcmp(what, "start") ? AGENT_START : AGENT_SHUT_DOWN, NULL, 0);
        unsigned type = get(fd, &length);
        while (type == AGENT_STATE)
                type = get(fd, &length);
        return type == AGENT_DONE ? 0 : type == AGENT_ERROR ? report_error() : 97;
}

static int do_watch(int fd)
{
        size_t length;
        put(fd, AGENT_CONTROL, NULL, 0);
        while (get(fd, &length) == AGENT_STATE) {
                const struct agent_state *state = (const void *)data;
                printf("state %u exit %u memory %u %s\n", state->state, state->exit_code, state->out_of_memory,
                       data + sizeof(*state));
                if (state->state == AGENT_ENDED || state->state == AGENT_FAILED)
                        break;
        }
        return 0;
}

static int do_copy(int fd, int in, const char *path)
{
        char bytes[32768];
        size_t length;
        ssize_t n = 0;
        put(fd, in ? AGENT_COPY_IN : AGENT_COPY_OUT, path, strlen(path));
        while (in && (n = read(STDIN_FILENO, bytes, sizeof(bytes))) > 0)
                put(fd, AGENT_TAR, bytes, (size_t)n);
        if (in)
                put(fd, AGENT_TAR, NULL, 0);
        for (;;)
                switch (get(fd, &length)) {
                case AGENT_TAR: send_all(STDOUT_FILENO, data, length); break;
                case AGENT_DONE: return 0;
                case AGENT_ERROR: return report_error();
                default: return 97;
                }
}

static int do_raw(int fd, const char *hex)
{
        unsigned byte;
        size_t count = 0, length = 0;
        for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
                data[length++] = (char)byte;
        send_all(fd, data, length); /* at once: the guest may close it at any byte */
        while (read(fd, data, 1) == 1)
                count++;
        printf("closed after %zu bytes\n", count);
        return 0;
}

int main(int argc, char **argv)
{
        if (argc < 3)
                return 2;
        int fd = connect_agent(argv[1]);
        size_t length;
        if (!strcmp(argv[2], "exec"))
                return do_exec(fd, argv[3]);
        if (!strcmp(argv[2], "watch"))
                return do_watch(fd);
        if (!strcmp(argv[2], "raw"))
                return do_raw(fd, argv[3]);
        if (!strncmp(argv[2], "copy-", 5))
                return do_copy(fd, !strcmp(argv[2], "copy-in"), argv[3]);
        if (!strcmp(argv[2], "statistics")) {
                put(fd, AGENT_STATISTICS, NULL, 0);
                if (get(fd, &length) != AGENT_DOCUMENT)
                        return report_error();
                puts(data);
                return 0;
        }
        return do_control(fd, argv[2], argv[3], argv[4]);
}
