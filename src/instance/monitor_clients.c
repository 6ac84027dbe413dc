/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/process.h"
#include "base/text.h"
#include "instance/monitor.h"

#define FLUSH_MS 10000 /* how long the end of an instance waits for a client that does not read */

static bool any_pending(const struct monitor *monitor)
{
        for (const struct client *client = monitor->clients; client; client = client->next)
                if (client->pending)
                        return true;
        return false;
}

/* One that is not watched for anything is taken out: its hang-up would wake us without an end. */
static int watch(struct monitor *monitor, struct client *client)
{
        uint32_t events = client->flags & HELLO_INPUT && monitor->input_pending ? 0 : EPOLLIN;
        if (client->pending)
                events |= EPOLLOUT;
        if (events)
                return monitor_watch(monitor, &client->source, events);
        epoll_ctl(monitor->epoll, EPOLL_CTL_DEL, client->source.fd, NULL);
        return 0;
}

void clients_watch(struct monitor *monitor)
{
        for (struct client *client = monitor->clients; client; client = client->next)
                if (client->source.fd >= 0)
                        watch(monitor, client);
}

/* Marked here, freed by sweep(): it may be in the middle of somebody's walk over the list. */
static void hang_up(struct monitor *monitor, struct client *client)
{
        monitor_forget(monitor, &client->source);
        free(client->pending);
        client->pending = NULL;
        if (client->flags & HELLO_ONCE)
                streams_end_input(monitor);
        client->flags = 0;
        if (!any_pending(monitor))
                streams_hold(monitor, false);
}

static void sweep(struct monitor *monitor)
{
        struct client **link = &monitor->clients;
        while (*link) {
                struct client *client = *link;
                if (client->source.fd >= 0) {
                        link = &client->next;
                        continue;
                }
                *link = client->next;
                free(client);
        }
}

/* A slow client holds the program up, as a full pipe would, but never grows the monitor by more than one message. */
static void send_to(struct monitor *monitor, struct client *client, enum message_type type, const void *data,
                    size_t length)
{
        int r = client->pending ? -EAGAIN : message_send(client->source.fd, type, NULL, 0, data, length);
        if (!r)
                return;
        if (r == -EAGAIN && client->pending)
                clients_flush(monitor); /* only the end of an instance sends more before the first is taken */
        if (r == -EAGAIN && !client->pending && client->source.fd >= 0 &&
            (client->pending = malloc(sizeof(*client->pending)))) {
                client->pending->type = type;
                client->pending->length = length;
                memcpy(client->pending->data, data, length);
                watch(monitor, client);
                streams_hold(monitor, true);
                return;
        }
        hang_up(monitor, client);
}

void clients_send(struct monitor *monitor, uint32_t flags, enum message_type type, const void *data, size_t length)
{
        for (struct client *client = monitor->clients; client; client = client->next)
                if (client->flags & flags)
                        send_to(monitor, client, type, data, length);
}

static void send_pending(struct monitor *monitor, struct client *client)
{
        int r = message_send(client->source.fd, client->pending->type, NULL, 0, client->pending->data,
                             client->pending->length);
        if (r == -EAGAIN)
                return;
        if (r < 0) {
                hang_up(monitor, client);
                return;
        }
        free(client->pending);
        client->pending = NULL;
        watch(monitor, client);
        if (!any_pending(monitor))
                streams_hold(monitor, false);
}

void clients_flush(struct monitor *monitor)
{
        for (struct client *client = monitor->clients; client; client = client->next) {
                struct pollfd poll_for = { .fd = client->source.fd, .events = POLLOUT };
                while (client->pending && poll(&poll_for, 1, FLUSH_MS) > 0)
                        send_pending(monitor, client);
                if (client->pending)
                        hang_up(monitor, client);
        }
}

bool clients_will_finish(const struct monitor *monitor)
{
        for (const struct client *client = monitor->clients; client; client = client->next)
                if (client->flags & HELLO_FINISH && client->source.fd >= 0) {
                        /* Gone without our having been told yet? */
                        struct pollfd poll_for = { .fd = client->source.fd };
                        if (poll(&poll_for, 1, 0) == 0)
                                return true;
                }
        return false;
}

static void answer(struct client *client, const struct error *err)
{
        message_send(client->source.fd, MESSAGE_DONE, &(int32_t){ err->code }, 1, err->text, strlen(err->text));
}

static void handle(struct monitor *monitor, struct client *client, struct message *message)
{
        struct error err = { 0 };
        unsigned short size[2];
        struct restart_policy policy;
        switch (message->type) {
        case MESSAGE_HELLO:
                client->flags = (uint32_t)message_number(message, 0);
                watch(monitor, client);
                return;
        case MESSAGE_INPUT:
                if (client->flags & HELLO_INPUT)
                        streams_input(monitor, message);
                return;
        case MESSAGE_RESIZE:
                if (message->length != sizeof(size))
                        return;
                memcpy(size, message->data, sizeof(size));
                streams_resize(monitor, size[0], size[1]);
                return;
        case MESSAGE_SIGNAL:
                life_kill(monitor, message_number(message, 0), &err);
                answer(client, &err);
                return;
        case MESSAGE_STOP:
                monitor->stopped_by_user = true;
                life_stop(monitor, message_number(message, 0), message_number(message, 1));
                return;
        case MESSAGE_FREEZE:
                life_freeze(monitor, message_number(message, 0), &err);
                answer(client, &err);
                return;
        case MESSAGE_POLICY:
                if (!restart_policy_parse(message->data, &policy, &err))
                        monitor->policy = policy;
                answer(client, &err);
                return;
        default: hang_up(monitor, client);
        }
}

static void client_ready(struct monitor *monitor, struct source *source, uint32_t events)
{
        struct client *client = (struct client *)source;
        if (events & EPOLLOUT && client->pending)
                send_pending(monitor, client);
        /* A hang-up is told unasked, before the input that comes first may be read. */
        bool waits = client->flags & HELLO_INPUT && monitor->input_pending;
        if (source->fd >= 0 && !waits && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                int r = message_receive(source->fd, monitor->scratch);
                if (r == 1)
                        handle(monitor, client, monitor->scratch);
                else if (r != -EAGAIN)
                        hang_up(monitor, client);
        }
        sweep(monitor);
}

struct client *clients_add(struct monitor *monitor, int fd, uint32_t flags)
{
        struct client *client = calloc(1, sizeof(*client));
        if (!client)
                return NULL;
        client->source = (struct source){ fd, client_ready };
        client->flags = flags;
        fcntl(fd, F_SETFL, O_NONBLOCK);
        if (watch(monitor, client) < 0) {
                free(client);
                return NULL;
        }
        client->next = monitor->clients;
        monitor->clients = client;
        return client;
}

static void accept_client(struct monitor *monitor, struct source *source, uint32_t events)
{
        (void)events;
        int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0 && !clients_add(monitor, fd, 0))
                close(fd);
}

int clients_open(struct monitor *monitor, struct error *err)
{
        /* Through the descriptor: socket addresses are short and state folders may be deep. */
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/socket", monitor->run_folder);
        unlinkat(monitor->run_folder, "socket", 0);
        monitor->listener =
                (struct source){ socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), accept_client };
        /* Before bind(2), which gives the file the socket's mode: nobody else connects, not even for a moment. */
        if (monitor->listener.fd < 0 || fchmod(monitor->listener.fd, 0600) < 0 ||
            bind(monitor->listener.fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(monitor->listener.fd, 64) < 0 || monitor_watch(monitor, &monitor->listener, EPOLLIN) < 0)
                return error_errno(err, "cannot listen on %s/socket", monitor->run_path);
        return 0;
}
