/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/connection.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "instance/folder.h"
#include "instance/message.h"
#include "instance/terminal.h"

int connection_open(const struct instance *instance, uint32_t hello_flags, struct error *err)
{
        _cleanup_close_ int folder = run_folder_open(instance->host, instance->id);
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/socket", folder);
        if (folder < 0 || fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return error_set(err, -ESRCH, "instance %s does not run", instance->name);
        int r = message_send(fd, MESSAGE_HELLO, (const int32_t *)&hello_flags, 1, NULL, 0);
        return r < 0 ? error_set(err, -ESRCH, "instance %s does not run (any more)", instance->name) : TAKE_FD(fd);
}

int connection_await_done(int connection, struct error *err)
{
        _cleanup_free_ struct message *message = malloc(sizeof(*message));
        if (!message)
                return error_memory(err);
        for (;;) {
                int r = message_receive(connection, message);
                if (r <= 0)
                        return error_set(err, -EPIPE, "the instance's monitor is gone");
                if (message->type != MESSAGE_DONE)
                        continue;
                int code = message_number(message, 0);
                return code ? error_set(err, code, "%s", message_text(message, 1)) : 0;
        }
}

int detach_keys_parse(const char *text, struct detach_keys *keys, struct error *err)
{
        *keys = (struct detach_keys){ .keys = { 16, 17 }, .count = 2 };
        if (!text)
                return 0;
        keys->count = 0;
        while (*text) {
                size_t length = strcspn(text, ",");
                unsigned char key = (unsigned char)text[0];
                if (length == 6 && text_starts(text, "ctrl-"))
                        key = text[5] & 0x1f;
                else if (length != 1)
                        return error_set(err, -EINVAL,
                                         "--detach-keys: at \"%s\": write letters or ctrl-letter, with commas between",
                                         text);
                if (keys->count == ARRAY_SIZE(keys->keys))
                        return error_set(err, -EINVAL, "--detach-keys: at most %zu keys", ARRAY_SIZE(keys->keys));
                keys->keys[keys->count++] = key;
                text += length + (text[length] == ',');
        }
        return 0;
}

int detach_keys_feed(const struct detach_keys *keys, size_t *position, unsigned char byte, size_t *held)
{
        *held = 0;
        if (!keys->count)
                return -1;
        if (byte == keys->keys[*position]) {
                (*position)++;
                if (*position < keys->count)
                        return 0;
                *position = 0;
                return 1;
        }
        *held = *position;
        *position = 0;
        return -1;
}

/* What one attached command keeps. */
struct session {
        int connection, signals;
        bool input, tty, ended;
        bool no_output, no_error;
        bool full; /* the monitor takes no more input at the moment */
        int exit_code;
        bool exited, detached;
        struct detach_keys keys;
        size_t position;
        struct message *message;
        char notice[512]; /* said when the terminal is the caller's again */
};

/* Signals that the user sends to this command and means for the program (docker's --sig-proxy). */
static const int proxied[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT };

static void send_size(struct session *session)
{
        unsigned short size[2];
        if (terminal_size(&size[0], &size[1]))
                message_send(session->connection, MESSAGE_RESIZE, NULL, 0, size, sizeof(size));
}

static void take_signal(struct session *session)
{
        struct signalfd_siginfo info;
        if (read(session->signals, &info, sizeof(info)) != sizeof(info))
                return;
        if (info.ssi_signo == SIGWINCH)
                send_size(session);
        else
                message_send(session->connection, MESSAGE_SIGNAL, &(int32_t){ (int32_t)info.ssi_signo }, 1, NULL, 0);
}

/* With a terminal: looks for the keys that detach; what is held back goes out when the next byte shows that it was
 * not them. */
static void send_keys(struct session *session, const char *data, size_t length)
{
        char out[2 * 4096 + 16];
        size_t n = 0;
        for (size_t i = 0; i < length && !session->detached; i++) {
                size_t held;
                int r = detach_keys_feed(&session->keys, &session->position, (unsigned char)data[i], &held);
                session->detached = r == 1;
                if (r >= 0)
                        continue;
                memcpy(out + n, session->keys.keys, held);
                n += held;
                /* The byte that broke the sequence may begin it anew. */
                if (held && detach_keys_feed(&session->keys, &session->position, (unsigned char)data[i], &held) == 0)
                        continue;
                out[n++] = data[i];
        }
        if (n)
                message_send(session->connection, MESSAGE_INPUT, NULL, 0, out, n);
}

static void take_input(struct session *session)
{
        /* Who waits for room reads no output meanwhile, and the program may wait for just that. */
        struct pollfd room = { .fd = session->connection, .events = POLLOUT };
        session->full = poll(&room, 1, 0) == 0;
        if (session->full)
                return;
        char data[4096];
        ssize_t n = read(STDIN_FILENO, data, sizeof(data));
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return;
        if (n > 0 && session->tty) {
                send_keys(session, data, (size_t)n);
                return;
        }
        message_send(session->connection, MESSAGE_INPUT, NULL, 0, data, n > 0 ? (size_t)n : 0);
        if (n <= 0)
                session->input = false;
}

static int take_message(struct session *session)
{
        struct message *message = session->message;
        int r = message_receive(session->connection, message);
        if (r <= 0)
                return r == -EAGAIN ? 1 : r;
        switch (message->type) {
        case MESSAGE_OUTPUT:
                r = session->no_output ? 0 : write_all(STDOUT_FILENO, message->data, message->length);
                break;
        case MESSAGE_ERROR: r = session->no_error ? 0 : write_all(STDERR_FILENO, message->data, message->length); break;
        case MESSAGE_NOTICE: snprintf(session->notice, sizeof(session->notice), "%s", message_text(message, 0)); break;
        case MESSAGE_EXITED:
                session->exit_code = message_number(message, 0);
                session->exited = true;
                break;
        case MESSAGE_ENDED: session->ended = true; break;
        default: break;
        }
        return r < 0 ? r : 1;
}

/* After EXITED, ENDED follows unless the instance is to be restarted; a hang-up says as much. */
static int copy(struct session *session, bool wait_for_end, struct error *err)
{
        while (!session->detached && !(session->exited && !wait_for_end) && !session->ended) {
                short wanted = session->full ? POLLIN | POLLOUT : POLLIN;
                struct pollfd polls[] = { { .fd = session->connection, .events = wanted },
                                          { .fd = session->signals, .events = POLLIN },
                                          { .fd = session->input && !session->full ? STDIN_FILENO : -1,
                                            .events = POLLIN } };
                if (poll(polls, ARRAY_SIZE(polls), -1) < 0 && errno != EINTR)
                        return error_errno(err, "cannot wait for the instance");
                if (polls[1].revents)
                        take_signal(session);
                if (polls[2].revents)
                        take_input(session);
                session->full = session->full && !(polls[0].revents & POLLOUT);
                if (!(polls[0].revents & ~POLLOUT))
                        continue;
                int r = take_message(session);
                if (r == 1)
                        continue;
                if (!r && session->exited)
                        break;
                if (!r)
                        return error_set(err, -EPIPE, "the instance's monitor was killed");
                return error_code(err, r, "cannot copy the instance's output");
        }
        return 0;
}

void connection_await_end(int connection)
{
        _cleanup_free_ struct message *message = malloc(sizeof(*message));
        while (message && message_receive(connection, message) == 1 && message->type != MESSAGE_ENDED)
                continue;
}

static int open_signals(bool proxy, sigset_t *before)
{
        sigset_t wanted;
        sigemptyset(&wanted);
        sigaddset(&wanted, SIGWINCH);
        for (size_t i = 0; proxy && i < ARRAY_SIZE(proxied); i++)
                sigaddset(&wanted, proxied[i]);
        sigprocmask(SIG_BLOCK, &wanted, before);
        return signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
}

int connection_copy(int connection, const struct attachment *attachment, bool tty, int *exit_code, bool *ended,
                    struct error *err)
{
        struct session session = { .connection = connection,
                                   .input = attachment->input,
                                   .tty = tty,
                                   .no_output = attachment->no_output,
                                   .no_error = attachment->no_error };
        int r = detach_keys_parse(attachment->detach_keys, &session.keys, err);
        if (r < 0)
                return r;
        _cleanup_free_ struct message *message = session.message = malloc(sizeof(*message));
        if (!message)
                return error_memory(err);
        struct terminal terminal = { 0 };
        bool raw = tty && attachment->input && terminal_make_raw(&terminal);
        sigset_t before;
        session.signals = open_signals(attachment->signal_proxy && !raw, &before);
        if (tty)
                send_size(&session);
        r = session.signals < 0 ? error_errno(err, "cannot watch for signals") : copy(&session, ended, err);
        if (session.signals >= 0)
                close(session.signals);
        sigprocmask(SIG_SETMASK, &before, NULL);
        terminal_restore(&terminal);
        /* Talk, as the program's own last words would be: the command's result is the exit status. */
        if (session.notice[0])
                dprintf(STDERR_FILENO, "onggi: %s\n", session.notice);
        *exit_code = session.detached ? -1 : session.exit_code;
        if (ended)
                *ended = session.ended;
        return r;
}
