/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/process.h"
#include "guest/frame.h"
#include "guest/guest.h"
#include "guest/guest_socket.h"

#define DRAIN_MILLISECONDS 500 /* agent.h */
#define SIGNAL_MOST        64
#define CONTROL_BYTES_MAX  (sizeof(struct agent_frame) + sizeof(struct agent_signal))

/* A connection that process 1 itself serves, or a process that serves one. */
struct client {
        struct agent_server *agent;
        enum { CLIENT_FREE, CLIENT_NEW, CLIENT_CONTROL, CLIENT_PROCESS } kind;
        struct event_source source; /* the connection, or the socket over which the process reports */
        size_t length;              /* of the frame that is coming in */
        char frame[CONTROL_BYTES_MAX];
        uint32_t process; /* that it started, 0: none */
        int pidfd, terminal;
};

struct agent_server {
        struct guest *guest;
        struct event_source listener;
        struct client clients[AGENT_CONNECTIONS_MAX];
};

static void close_client(struct client *client)
{
        event_loop_remove(&client->agent->guest->loop, &client->source);
        close(client->source.fd);
        if (client->pidfd >= 0)
                close(client->pidfd);
        if (client->terminal >= 0)
                close(client->terminal);
        client->kind = CLIENT_FREE;
}

/* Takes over `fd`, in any case. */
static struct client *add_client(struct agent_server *agent, int fd, int kind, void (*ready)(void *, uint32_t))
{
        for (size_t i = 0; i < ARRAY_SIZE(agent->clients); i++) {
                struct client *client = &agent->clients[i];
                if (client->kind != CLIENT_FREE)
                        continue;
                *client = (struct client){ .agent = agent, .kind = kind, .pidfd = -1, .terminal = -1 };
                client->source = (struct event_source){ fd, ready, client };
                if (event_loop_add(&agent->guest->loop, &client->source, EPOLLIN) < 0)
                        break;
                return client;
        }
        close(fd);
        return NULL;
}

/* ---- Answers; a control connection that does not take a few bytes at once is given up ---- */

static void answer(struct client *client, enum agent_type type, const void *data, size_t length, const char *text)
{
        size_t text_length = text ? strnlen(text, AGENT_TEXT_MAX) : 0;
        struct agent_frame head = { .length = (uint32_t)(length + text_length), .type = (uint16_t)type };
        char bytes[sizeof(head) + sizeof(struct agent_state) + AGENT_TEXT_MAX];
        memcpy(bytes, &head, sizeof(head));
        if (length)
                memcpy(bytes + sizeof(head), data, length);
        if (text_length)
                memcpy(bytes + sizeof(head) + length, text, text_length);
        size_t all = sizeof(head) + length + text_length;
        if (send(client->source.fd, bytes, all, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)all)
                shutdown(client->source.fd, SHUT_RDWR);
}

static void answer_result(struct client *client, int r, const struct error *err)
{
        struct agent_error code = { r };
        if (r < 0)
                answer(client, AGENT_ERROR, &code, sizeof(code), err->text);
        else
                answer(client, AGENT_DONE, NULL, 0, NULL);
}

void agent_server_tell(struct agent_server *agent, const char *text)
{
        for (size_t i = 0; i < ARRAY_SIZE(agent->clients); i++)
                if (agent->clients[i].kind == CLIENT_CONTROL)
                        answer(&agent->clients[i], AGENT_STATE, &agent->guest->state, sizeof(agent->guest->state),
                               text);
}

/* ---- What the host asks for ---- */

static const struct client *find_process(const struct agent_server *agent, uint32_t process)
{
        for (size_t i = 0; i < ARRAY_SIZE(agent->clients); i++)
                if (agent->clients[i].kind == CLIENT_PROCESS && agent->clients[i].process == process)
                        return &agent->clients[i];
        return NULL;
}

/* The pidfd and terminal of the main program (0) or one that was started later; -ESRCH. */
static int find_program(const struct agent_server *agent, uint32_t process, int *pidfd, int *terminal,
                        struct error *err)
{
        const struct main_program *program = &agent->guest->program;
        const struct client *client = process ? find_process(agent, process) : NULL;
        *pidfd = client ? client->pidfd : program->pidfd;
        *terminal = client ? client->terminal : program->made.terminal;
        if (process ? !client : *pidfd < 0 || program->ended)
                return error_set(err, -ESRCH, "program %u does not run", process);
        return 0;
}

static int do_signal(struct agent_server *agent, const void *data, struct error *err)
{
        struct agent_signal wanted;
        int pidfd, terminal;
        memcpy(&wanted, data, sizeof(wanted));
        int r = find_program(agent, wanted.process, &pidfd, &terminal, err);
        if (!r && (wanted.signal < 1 || wanted.signal > SIGNAL_MOST))
                return error_set(err, -EINVAL, "there is no signal %u", wanted.signal);
        if (!r)
                r = process_signal(pidfd, (int)wanted.signal);
        return r < 0 && !err->code ? error_code(err, r, "cannot signal program %u", wanted.process) : r;
}

static int do_window(struct agent_server *agent, const void *data, struct error *err)
{
        struct agent_window wanted;
        int pidfd, terminal;
        memcpy(&wanted, data, sizeof(wanted));
        int r = find_program(agent, wanted.process, &pidfd, &terminal, err);
        if (r < 0)
                return r;
        const struct winsize size = { .ws_row = wanted.rows, .ws_col = wanted.columns };
        if (terminal < 0 || ioctl(terminal, TIOCSWINSZ, &size) < 0)
                return error_set(err, -ENOTTY, "program %u has no terminal", wanted.process);
        return 0;
}

static int do_start(struct agent_server *agent, const void *data, struct error *err)
{
        (void)data;
        return guest_start(agent->guest, err);
}

static int do_shut_down(struct agent_server *agent, const void *data, struct error *err)
{
        (void)data, (void)err;
        agent->guest->shut_down = true;
        return 0;
}

static int do_kill_all(struct agent_server *agent, const void *data, struct error *err)
{
        struct agent_signal wanted;
        (void)agent;
        memcpy(&wanted, data, sizeof(wanted));
        if (wanted.signal < 1 || wanted.signal > SIGNAL_MOST)
                return error_set(err, -EINVAL, "there is no signal %u", wanted.signal);
        return runtime_kill_all(wanted.signal, err);
}

static const struct {
        enum agent_type type;
        size_t length;
        int (*handle)(struct agent_server *agent, const void *data, struct error *err);
} controls[] = {
        { AGENT_START, 0, do_start },
        { AGENT_SIGNAL, sizeof(struct agent_signal), do_signal },
        { AGENT_WINDOW, sizeof(struct agent_window), do_window },
        { AGENT_SHUT_DOWN, 0, do_shut_down },
        { AGENT_KILL_ALL, sizeof(struct agent_signal), do_kill_all },
};

/* How much of a control frame is wanted next: its head, then its data. 0: it is none. */
static size_t frame_wanted(const struct client *client)
{
        struct agent_frame head;
        if (client->length < sizeof(head))
                return sizeof(head);
        memcpy(&head, client->frame, sizeof(head));
        for (size_t i = 0; i < ARRAY_SIZE(controls); i++)
                if (controls[i].type == head.type && controls[i].length == head.length && !head.zero)
                        return sizeof(head) + head.length;
        return 0;
}

static void handle_frame(struct client *client)
{
        struct agent_frame head;
        struct error err = { 0 };
        memcpy(&head, client->frame, sizeof(head));
        client->length = 0;
        for (size_t i = 0; i < ARRAY_SIZE(controls); i++)
                if (controls[i].type == head.type)
                        answer_result(client, controls[i].handle(client->agent, client->frame + sizeof(head), &err),
                                      &err);
}

static void control_ready(void *owner, uint32_t events)
{
        struct client *client = owner;
        (void)events;
        size_t wanted = frame_wanted(client);
        ssize_t n = recv(client->source.fd, client->frame + client->length, wanted - client->length, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                close_client(client);
                return;
        }
        client->length += (size_t)n;
        wanted = frame_wanted(client);
        if (!wanted)
                close_client(client);
        else if (wanted == client->length)
                handle_frame(client);
}

/* ---- Processes for a connection ---- */

void agent_report(int report, uint32_t process, int pidfd, int terminal)
{
        int fds[2] = { pidfd, terminal };
        size_t length = (terminal >= 0 ? 2 : 1) * sizeof(int);
        struct iovec part = { &process, sizeof(process) };
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(fds))];
        } control = { .header = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(length) } };
        memcpy(CMSG_DATA(&control.header), fds, length);
        struct msghdr message = {
                .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(length)
        };
        (void)!sendmsg(report, &message, MSG_NOSIGNAL);
}

static void report_ready(void *owner, uint32_t events)
{
        struct client *client = owner;
        uint32_t process;
        int fds[2] = { -1, -1 };
        struct iovec part = { &process, sizeof(process) };
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(fds))];
        } control = { 0 };
        struct msghdr message = {
                .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
        };
        (void)events;
        ssize_t n = recvmsg(client->source.fd, &message, MSG_CMSG_CLOEXEC);
        if (n != sizeof(process)) { /* it has ended */
                close_client(client);
                return;
        }
        const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (header && header->cmsg_type == SCM_RIGHTS)
                memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
        client->process = process;
        client->pidfd = fds[0];
        client->terminal = fds[1];
}

/* The last frame is out; once the host has closed its side, it has arrived. */
static void drain(int connection)
{
        char bytes[256];
        struct pollfd wait = { connection, POLLIN, 0 };
        shutdown(connection, SHUT_WR);
        while (poll(&wait, 1, DRAIN_MILLISECONDS) > 0 && read(connection, bytes, sizeof(bytes)) > 0)
                ;
}

static void serve(int connection, int report, pid_t program)
{
        _cleanup_free_ char *data = NULL;
        size_t length = 0;
        fcntl(connection, F_SETFL, 0);
        int type = frame_receive(connection, &data, &length);
        if (type == AGENT_EXEC)
                agent_exec(connection, report, data, length);
        else if (type == AGENT_STATISTICS)
                agent_statistics(connection);
        else if (type == AGENT_COPY_IN && strlen(data) == length)
                agent_copy_in(connection, program, data);
        else if (type == AGENT_COPY_OUT && strlen(data) == length)
                agent_copy_out(connection, program, data);
        drain(connection);
}

/* Gives the connection to a process of its own. */
static void hand_over(struct client *client)
{
        struct agent_server *agent = client->agent;
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
                close_client(client);
                return;
        }
        pid_t pid = fork();
        if (!pid) {
                const int kept[] = { client->source.fd, pair[1] };
                descriptors_close_except(STDERR_FILENO + 1, kept, ARRAY_SIZE(kept));
                serve(client->source.fd, pair[1], agent->guest->program.made.pid);
                _exit(0);
        }
        close(pair[1]);
        close_client(client); /* and takes its place */
        if (pid < 0)
                close(pair[0]);
        else
                add_client(agent, pair[0], CLIENT_PROCESS, report_ready);
}

static void new_ready(void *owner, uint32_t events)
{
        struct client *client = owner;
        struct guest *guest = client->agent->guest;
        struct agent_frame head;
        (void)events;
        ssize_t n = recv(client->source.fd, &head, sizeof(head), MSG_PEEK | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n != sizeof(head)) { /* ours are sent as one */
                close_client(client);
                return;
        }
        if (head.type != AGENT_CONTROL || head.length) {
                hand_over(client);
                return;
        }
        (void)!recv(client->source.fd, &head, sizeof(head), MSG_DONTWAIT);
        client->kind = CLIENT_CONTROL;
        client->source.ready = control_ready;
        answer(client, AGENT_STATE, &guest->state, sizeof(guest->state), NULL);
}

static void listener_ready(void *owner, uint32_t events)
{
        struct agent_server *agent = owner;
        (void)events;
        int fd = guest_socket_accept(agent->listener.fd);
        if (fd >= 0)
                add_client(agent, fd, CLIENT_NEW, new_ready);
}

/* ---- Its life ---- */

int agent_server_open(struct guest *guest, unsigned control, struct agent_server **result, struct error *err)
{
        struct agent_server *agent = calloc(1, sizeof(*agent));
        if (!agent)
                return error_memory(err);
        agent->guest = guest;
        agent->listener = (struct event_source){ guest_socket_listen(AGENT_PORT, err), listener_ready, agent };
        int r = agent->listener.fd < 0 ? agent->listener.fd : event_loop_add(&guest->loop, &agent->listener, EPOLLIN);
        if (!r && control) {
                int fd = guest_socket_connect(control, err);
                r = fd < 0 ? fd : 0;
                if (!r)
                        add_client(agent, fd, CLIENT_CONTROL, control_ready);
        }
        *result = agent; /* process 1 ends with the machine: nothing is released */
        return r;
}

void agent_server_drain(struct agent_server *agent)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        const int64_t end = now.tv_sec * 1000 + now.tv_nsec / 1000000 + DRAIN_MILLISECONDS;
        for (;;) {
                struct pollfd wait[AGENT_CONNECTIONS_MAX];
                struct client *waiting[AGENT_CONNECTIONS_MAX];
                nfds_t count = 0;
                for (size_t i = 0; i < ARRAY_SIZE(agent->clients); i++)
                        if (agent->clients[i].kind == CLIENT_CONTROL || agent->clients[i].kind == CLIENT_PROCESS) {
                                waiting[count] = &agent->clients[i];
                                wait[count++] = (struct pollfd){ agent->clients[i].source.fd, POLLIN, 0 };
                        }
                clock_gettime(CLOCK_MONOTONIC, &now);
                int64_t left = end - (now.tv_sec * 1000 + now.tv_nsec / 1000000);
                if (!count || left <= 0 || poll(wait, count, (int)left) <= 0)
                        return;
                for (nfds_t i = 0; i < count; i++)
                        if (wait[i].revents)
                                waiting[i]->source.ready(waiting[i], wait[i].revents);
        }
}
