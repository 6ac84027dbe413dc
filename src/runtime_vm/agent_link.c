/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "runtime_vm/agent_link.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "guest/frame.h"

#define ANSWER_MAX 32 /* "OK 4294967295\n" */

/* The line that onggi-vmm writes once the guest has accepted, byte by byte: what follows is the agent's. */
static int read_answer(int connection, struct error *err)
{
        char line[ANSWER_MAX];
        for (size_t length = 0; length < sizeof(line);) {
                ssize_t n = recv(connection, line + length, 1, 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_errno(err, "the guest does not answer");
                if (!n)
                        return error_set(err, -ECONNREFUSED, "the guest's agent does not listen");
                if (line[length++] == '\n')
                        return length > 3 && !memcmp(line, "OK ", 3)
                                       ? 0
                                       : error_set(err, -EPROTO, "onggi-vmm answers nonsense");
        }
        return error_set(err, -EPROTO, "onggi-vmm answers nonsense");
}

int agent_connect(int folder, struct error *err)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const struct timeval limit = { .tv_sec = AGENT_SECONDS };
        char request[ANSWER_MAX];
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" AGENT_LINK_SOCKET, folder);
        int length = snprintf(request, sizeof(request), "CONNECT %u\n", AGENT_PORT);
        _cleanup_close_ int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connection < 0 || setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
            setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
                return error_errno(err, "cannot make a socket");
        if (connect(connection, (struct sockaddr *)&address, sizeof(address)) < 0)
                return errno == ENOENT || errno == ECONNREFUSED
                               ? error_set(err, -ECONNREFUSED, "the virtual machine does not run")
                               : error_errno(err, "cannot connect to the virtual machine");
        signal(SIGPIPE, SIG_IGN); /* an agent that is gone is an error, not an end */
        if (send(connection, request, (size_t)length, MSG_NOSIGNAL) != length)
                return error_errno(err, "cannot ask for the guest's agent");
        int r = read_answer(connection, err);
        return r < 0 ? r : TAKE_FD(connection);
}

int agent_receive(int connection, char **data, size_t *length, struct error *err)
{
        int type = frame_receive(connection, data, length);
        if (type > 0)
                return type;
        if (!type)
                return error_set(err, -ECONNRESET, "the guest's agent hung up");
        if (type == -EAGAIN)
                return error_set(err, -ETIMEDOUT, "the guest's agent does not answer within %d seconds", AGENT_SECONDS);
        if (type == -EPROTO)
                return error_set(err, -EPROTO, "the guest's agent breaks the rules of its protocol");
        return error_code(err, type, "cannot read what the guest's agent says");
}

/* A stranger's text: one line of printable ASCII. */
int agent_failure(const char *data, size_t length, struct error *err)
{
        struct agent_error failure;
        char text[AGENT_TEXT_MAX + 1];
        size_t used = 0;
        if (length < sizeof(failure))
                return error_set(err, -EPROTO, "the guest's agent says that something failed, and not what");
        memcpy(&failure, data, sizeof(failure));
        for (size_t i = sizeof(failure); i < length && used + 1 < sizeof(text); i++)
                text[used++] = data[i] >= ' ' && data[i] <= '~' ? data[i] : '?';
        text[used] = 0;
        int code = failure.code < 0 && failure.code > -4096 ? failure.code : -EIO;
        return error_set(err, code, "%s", *text ? text : strerror(-code));
}

int agent_control(int folder, struct error *err)
{
        _cleanup_close_ int connection = agent_connect(folder, err);
        if (connection < 0)
                return connection;
        int r = frame_send(connection, AGENT_CONTROL, NULL, 0, NULL, 0);
        return r < 0 ? error_code(err, r, "cannot talk to the guest's agent") : TAKE_FD(connection);
}

int agent_command(int control, enum agent_type type, const void *data, size_t length, struct error *err)
{
        int r = frame_send(control, type, data, length, NULL, 0);
        if (r < 0)
                return error_code(err, r, "cannot talk to the guest's agent");
        for (unsigned states = 0;; states++) {
                _cleanup_free_ char *answer = NULL;
                size_t answer_length;
                int kind = agent_receive(control, &answer, &answer_length, err);
                if (kind < 0)
                        return kind;
                if (kind == AGENT_DONE)
                        return 0;
                if (kind == AGENT_ERROR)
                        return agent_failure(answer, answer_length, err);
                if (kind != AGENT_STATE || states == AGENT_STATES_MAX)
                        return error_set(err, -EPROTO, "the guest's agent answers something else");
        }
}
