/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "hosted/disk.h"
#include "hosted/listener.h"
#include "hosted/memory_return.h"
#include "hosted/rates.h"
#include "hosted/request_line.h"
#include "hosted/restart.h"
#include "hosted/snapshot.h"
#include "hosted/statistics.h"
#include "hosted/vmm_private.h"

#define CLIENTS_MAX 8
#define FILES_MAX   2

struct client {
        struct event_source source; /* fd -1: a free place */
        struct control *control;
        struct request_line line;
};

struct control {
        struct vmm *vmm;
        struct event_source listener;
        struct client clients[CLIENTS_MAX];
        int received[FILES_MAX]; /* descriptors that came with the request, or -1 */
};

/* ---- Commands: each fills in the answer ---- */

static int do_status(struct vmm *vmm, const struct json_at *request, json_t *answer, struct error *err)
{
        (void)request;
        (void)err;
        pthread_mutex_lock(&vmm->lock);
        bool paused = vmm->paused;
        pthread_mutex_unlock(&vmm->lock);
        json_object_set_new(answer, "state", json_string(paused ? "paused" : "running"));
        json_object_set_new(answer, "engine", json_string(vmm->operations->name));
        json_object_set_new(answer, "cpus", json_integer(vmm->processor_count));
        json_object_set_new(answer, "memory", json_integer((json_int_t)guest_memory_ram_size(&vmm->machine.memory)));
        return 0;
}

static int do_pause(struct vmm *vmm, const struct json_at *request, json_t *answer, struct error *err)
{
        (void)request;
        (void)answer;
        (void)err;
        processors_pause(vmm);
        return 0;
}

static int do_resume(struct vmm *vmm, const struct json_at *request, json_t *answer, struct error *err)
{
        (void)request;
        (void)answer;
        (void)err;
        pthread_mutex_lock(&vmm->lock);
        for (unsigned i = 0; i < vmm->disk_count; i++)
                disk_resume(vmm->disks[i]);
        pthread_mutex_unlock(&vmm->lock);
        processors_resume(vmm);
        return 0;
}

static int do_power(struct vmm *vmm, const struct json_at *request, json_t *answer, struct error *err)
{
        (void)request;
        (void)answer;
        (void)err;
        pthread_mutex_lock(&vmm->lock);
        power_press(&vmm->machine.power);
        pthread_mutex_unlock(&vmm->lock);
        return 0;
}

static int do_stop(struct vmm *vmm, const struct json_at *request, json_t *answer, struct error *err)
{
        (void)request;
        (void)answer;
        (void)err;
        pthread_mutex_lock(&vmm->lock);
        vmm_stop(vmm);
        pthread_mutex_unlock(&vmm->lock);
        return 0;
}

static int do_balloon(struct vmm *vmm, const struct json_at *request, json_t *answer, struct error *err)
{
        const char *text = NULL;
        uint64_t size;
        (void)answer;
        if (!json_need_string(request, "size", &text))
                return json_failed(request);
        if (parse_size(text, &size) < 0 || size > guest_memory_ram_size(&vmm->machine.memory))
                return error_set(err, -EINVAL, "size: \"%s\" is no part of the guest's memory", text);
        pthread_mutex_lock(&vmm->lock);
        memory_return_ask(vmm->memory, size);
        pthread_mutex_unlock(&vmm->lock);
        return 0;
}

static int do_statistics(struct vmm *vmm, const struct json_at *request, json_t *answer, struct error *err)
{
        (void)request;
        (void)err;
        pthread_mutex_lock(&vmm->lock);
        statistics_fill(vmm, answer);
        pthread_mutex_unlock(&vmm->lock);
        return 0;
}

static int do_reset(struct vmm *vmm, const struct json_at *request, json_t *answer, struct error *err)
{
        (void)request;
        (void)answer;
        (void)err;
        pthread_mutex_lock(&vmm->lock);
        restart_ask(vmm);
        pthread_mutex_unlock(&vmm->lock);
        return 0;
}

static int do_snapshot(struct vmm *vmm, const struct json_at *request, json_t *answer, struct error *err)
{
        const int *files = vmm->control->received;
        bool watch = false, changes = false;
        (void)answer;
        json_get_bool(request, "watch", &watch);
        json_get_bool(request, "changes", &changes);
        if (json_failed(request))
                return json_failed(request);
        if (files[0] < 0 || files[1] < 0)
                return error_set(err, -EINVAL, "snapshot: two open files come with the request, for state and memory");
        enum snapshot_kind kind = changes ? SNAPSHOT_CHANGES : watch ? SNAPSHOT_WATCH : SNAPSHOT_WHOLE;
        return snapshot_save(vmm, files[0], files[1], kind, err);
}

static const struct {
        const char *name;
        int (*run)(struct vmm *vmm, const struct json_at *request, json_t *answer, struct error *err);
} commands[] = {
        { "status", do_status },         { "pause", do_pause },     { "resume", do_resume },
        { "power", do_power },           { "stop", do_stop },       { "balloon", do_balloon },
        { "statistics", do_statistics }, { "rate", rates_command }, { "reset", do_reset },
        { "snapshot", do_snapshot },
};

static int run_line(struct vmm *vmm, const char *line, size_t length, json_t *answer, struct error *err)
{
        _cleanup_(json) json_t *value = NULL;
        const char *name = NULL;
        int r = request_parse(line, length, &value, &name, err);
        if (r < 0)
                return r;
        struct json_reader reader = { .document = "request", .err = err };
        const struct json_at request = json_root(&reader, value);
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
                if (!strcmp(commands[i].name, name))
                        return commands[i].run(vmm, &request, answer, err);
        return error_set(err, -EINVAL, "there is no command \"%s\"", name);
}

/* ---- Clients ---- */

static void close_received(struct control *control)
{
        for (size_t i = 0; i < FILES_MAX; i++) {
                if (control->received[i] >= 0)
                        close(control->received[i]);
                control->received[i] = -1;
        }
}

/* As read(2), and takes over the descriptors that come with the bytes. More than there is room for the kernel closes. */
static ssize_t receive(struct client *client)
{
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(FILES_MAX * sizeof(int))];
        } ancillary;
        struct iovec bytes = { client->line.data + client->line.length, request_line_room(&client->line) };
        struct msghdr message = {
                .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &ancillary, .msg_controllen = sizeof(ancillary)
        };
        ssize_t n = recvmsg(client->source.fd, &message, MSG_CMSG_CLOEXEC);
        struct cmsghdr *header = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
        if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
                return n;
        close_received(client->control);
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(client->control->received, CMSG_DATA(header), count * sizeof(int));
        return n;
}

static void drop(struct client *client)
{
        event_loop_remove(&client->control->vmm->loop, &client->source);
        close(client->source.fd);
        client->source.fd = -1;
        client->line.length = 0;
}

/* Takes the line over. A client that does not read its answers loses its connection. */
static void send_line(struct client *client, char *line)
{
        if (!line || send(client->source.fd, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line))
                drop(client);
        free(line);
}

static void answer_line(struct client *client, size_t length)
{
        struct error err = { 0 };
        _cleanup_(json) json_t *answer = json_object();
        if (run_line(client->control->vmm, client->line.data, length, answer, &err) < 0) {
                send_line(client, request_refusal(&err));
                return;
        }
        json_object_set_new(answer, "ok", json_true());
        _cleanup_free_ char *text = json_dumps(answer, JSON_COMPACT);
        send_line(client, text ? text_format("%s\n", text) : NULL);
}

static void client_ready(void *owner, uint32_t events)
{
        struct client *client = owner;
        (void)events;
        ssize_t n = receive(client);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                drop(client);
                return;
        }
        client->line.length += (size_t)n;
        for (int length; (length = request_line_first(&client->line)) >= 0;) {
                answer_line(client, (size_t)length);
                close_received(client->control);
                if (client->source.fd < 0)
                        return;
                request_line_drop(&client->line, (size_t)length);
        }
        if (request_line_room(&client->line))
                return;
        struct error err = { 0 };
        error_set(&err, -EMSGSIZE, "a request has at most %d bytes", REQUEST_LINE_MAX - 1);
        send_line(client, request_refusal(&err));
        if (client->source.fd >= 0)
                drop(client);
}

static void somebody_connects(void *owner, uint32_t events)
{
        struct control *control = owner;
        (void)events;
        _cleanup_close_ int fd = accept4(control->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        for (size_t i = 0; fd >= 0 && i < CLIENTS_MAX; i++) {
                struct client *client = &control->clients[i];
                if (client->source.fd >= 0)
                        continue;
                client->source.fd = TAKE_FD(fd);
                if (event_loop_add(&control->vmm->loop, &client->source, EPOLLIN) < 0)
                        drop(client);
                return;
        }
}

/* ---- Making and ending it ---- */

void control_close(struct control *control)
{
        close_received(control);
        for (size_t i = 0; i < CLIENTS_MAX; i++)
                if (control->clients[i].source.fd >= 0)
                        close(control->clients[i].source.fd);
        if (control->listener.fd >= 0)
                close(control->listener.fd);
        free(control);
}

DEFINE_CLEANUP(control, struct control, control_close)

int control_open(struct vmm *vmm, const char *path, struct control **result, struct error *err)
{
        _cleanup_(control) struct control *control = calloc(1, sizeof(*control));
        if (!control)
                return error_memory(err);
        control->vmm = vmm;
        for (size_t i = 0; i < FILES_MAX; i++)
                control->received[i] = -1;
        json_object_seed(0); /* from a file that the jail has not */
        for (size_t i = 0; i < CLIENTS_MAX; i++)
                control->clients[i] =
                        (struct client){ .source = { -1, client_ready, &control->clients[i] }, .control = control };
        control->listener = (struct event_source){ listener_open(path, err), somebody_connects, control };
        if (control->listener.fd < 0)
                return control->listener.fd;
        int r = event_loop_add(&vmm->loop, &control->listener, EPOLLIN);
        if (r < 0)
                return error_code(err, r, "cannot wait for connections at %s", path);
        *result = TAKE_PTR(control);
        return 0;
}
