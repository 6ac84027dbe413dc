/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/virtio/socket.h"

#include <errno.h>
#include <stddef.h>

enum {
        QUEUE_RECEIVE = 0,
        QUEUE_SEND = 1,
        QUEUE_EVENT = 2,
        QUEUES = 3,
        QUEUE_SIZE = 128,

        TYPE_STREAM = 1,

        /* Section 5.10.6. A message that waits is a bit of `pending`, numbered by its operation. */
        OPERATION_REQUEST = 1,
        OPERATION_RESPONSE = 2,
        OPERATION_RESET = 3,
        OPERATION_SHUTDOWN = 4,
        OPERATION_BYTES = 5,
        OPERATION_CREDIT = 6,
        OPERATION_ASK_CREDIT = 7,

        SHUTDOWN_RECEIVE = 1,
        SHUTDOWN_SEND = 2,

        EVENT_TRANSPORT_RESET = 0,

        FIRST_HOST_PORT = 1 << 30,
        BYTES_MAX = 65536, /* in one message to the guest */
};

/* struct virtio_vsock_hdr. */
struct __attribute__((packed)) message {
        uint64_t from, to;
        uint32_t from_port, to_port, length;
        uint16_t type, operation;
        uint32_t flags, credit, consumed;
};

static struct virtio_socket *socket_of(struct virtio_device *device)
{
        return (struct virtio_socket *)(void *)((char *)device - offsetof(struct virtio_socket, device));
}

static struct socket_connection *find(struct virtio_socket *socket, uint32_t guest_port, uint32_t host_port)
{
        for (unsigned i = 0; i < VIRTIO_SOCKET_CONNECTIONS; i++) {
                struct socket_connection *connection = &socket->connections[i];
                if (connection->state != SOCKET_FREE && connection->guest_port == guest_port &&
                    connection->host_port == host_port)
                        return connection;
        }
        return NULL;
}

static struct socket_connection *add(struct virtio_socket *socket, uint32_t guest_port, uint32_t host_port)
{
        for (unsigned i = 0; i < VIRTIO_SOCKET_CONNECTIONS; i++)
                if (socket->connections[i].state == SOCKET_FREE) {
                        socket->connections[i] =
                                (struct socket_connection){ .guest_port = guest_port, .host_port = host_port };
                        return &socket->connections[i];
                }
        return NULL;
}

static void ask_for(struct socket_connection *connection, unsigned operation)
{
        connection->pending |= 1u << operation;
}

/* The peer goes; the guest is told when there is a buffer for it. */
static void drop(struct virtio_socket *socket, struct socket_connection *connection)
{
        if (connection->peer)
                socket->backend.close(socket->backend.owner, connection->peer);
        connection->peer = NULL;
        connection->pending = 1u << OPERATION_RESET;
}

static void free_connection(struct virtio_socket *socket, struct socket_connection *connection)
{
        if (connection->peer)
                socket->backend.close(socket->backend.owner, connection->peer);
        *connection = (struct socket_connection){ .state = SOCKET_FREE };
}

/* ---- To the guest ---- */

static struct message header(const struct virtio_socket *socket, struct socket_connection *connection,
                             unsigned operation)
{
        connection->told = connection->consumed;
        return (struct message){
                .from = VIRTIO_SOCKET_HOST,
                .to = socket->guest,
                .from_port = connection->host_port,
                .to_port = connection->guest_port,
                .type = TYPE_STREAM,
                .operation = (uint16_t)operation,
                .flags = operation == OPERATION_SHUTDOWN ? SHUTDOWN_SEND : 0,
                .credit = VIRTIO_SOCKET_CREDIT,
                .consumed = connection->consumed,
        };
}

/* A buffer of the driver with room for a message. 1, 0 for none, negative after the device broke. */
static int take_buffer(struct virtio_socket *socket, struct virtqueue_chain *chain)
{
        struct virtqueue *queue = &socket->device.queues[QUEUE_RECEIVE];
        int popped = virtqueue_pop(queue, chain);
        if (!popped && virtqueue_wait(queue))
                popped = virtqueue_pop(queue, chain);
        if (popped < 0 || (popped && virtqueue_writable_length(chain) < sizeof(struct message))) {
                virtio_break(&socket->device, "a receive buffer's descriptors make no sense");
                return -EPROTO;
        }
        return popped;
}

static void push(struct virtio_socket *socket, const struct virtqueue_chain *chain, const struct message *message)
{
        struct virtqueue *queue = &socket->device.queues[QUEUE_RECEIVE];
        virtqueue_write(queue, chain, 0, message, sizeof(*message));
        virtqueue_push(queue, chain, (uint32_t)sizeof(*message) + message->length);
}

static int send_control(struct virtio_socket *socket, struct socket_connection *connection)
{
        struct virtqueue_chain chain;
        while (connection->pending) {
                unsigned operation = (unsigned)__builtin_ctz(connection->pending);
                int taken = take_buffer(socket, &chain);
                if (taken <= 0)
                        return taken;
                struct message message = header(socket, connection, operation);
                push(socket, &chain, &message);
                connection->pending &= ~(1u << operation);
        }
        if (!connection->peer) /* its reset was the last message */
                free_connection(socket, connection);
        return 1;
}

static uint32_t guest_room(const struct socket_connection *connection)
{
        uint32_t under_way = connection->sent - connection->guest_consumed;
        return under_way >= connection->guest_credit ? 0 : connection->guest_credit - under_way;
}

/*
 * From the peer straight into the guest's buffer. Returns what the peer's read() said, or -ENOSPC for no space in one
 * piece.
 */
static long fill(struct virtio_socket *socket, struct socket_connection *connection,
                 const struct virtqueue_chain *chain)
{
        size_t skip = sizeof(struct message);
        uint32_t room = guest_room(connection);
        for (unsigned i = 0; i < chain->writable; i++) {
                const struct virtqueue_part *part = &chain->parts[chain->readable + i];
                if (skip >= part->length) {
                        skip -= part->length;
                        continue;
                }
                size_t length = part->length - skip < room ? part->length - skip : room;
                if (length > BYTES_MAX)
                        length = BYTES_MAX;
                long n = socket->backend.read(socket->backend.owner, connection->peer, part->host + skip, length);
                if (n > 0)
                        guest_memory_wrote(socket->device.queues[QUEUE_RECEIVE].memory, gpa(part->guest.at + skip),
                                           (uint64_t)n);
                return n;
        }
        return -ENOSPC;
}

/* 1 when something went, 0 when nothing can go now, negative after the device broke. */
static int send_bytes(struct virtio_socket *socket, struct socket_connection *connection)
{
        struct virtqueue_chain chain;
        if (connection->state != SOCKET_OPEN || !connection->peer || !connection->readable || !guest_room(connection))
                return 0;
        int taken = take_buffer(socket, &chain);
        if (taken <= 0)
                return taken;
        long n = fill(socket, connection, &chain);
        if (n == -ENOSPC) {
                virtio_break(&socket->device, "a receive buffer has no room for a byte");
                return -EPROTO;
        }
        if (n > 0) {
                struct message message = header(socket, connection, OPERATION_BYTES);
                message.length = (uint32_t)n;
                push(socket, &chain, &message);
                connection->sent += (uint32_t)n;
                return 1;
        }
        virtqueue_unpop(&socket->device.queues[QUEUE_RECEIVE], chain.descriptors);
        connection->readable = false;
        if (n == -EAGAIN)
                return 0;
        if (n < 0) {
                drop(socket, connection);
        } else if (!connection->read_ended) {
                connection->read_ended = true;
                ask_for(connection, OPERATION_SHUTDOWN);
        }
        return 1;
}

static int send_strays(struct virtio_socket *socket)
{
        while (socket->stray_count) {
                struct virtqueue_chain chain;
                int taken = take_buffer(socket, &chain);
                if (taken <= 0)
                        return taken;
                const struct socket_stray *stray = &socket->strays[--socket->stray_count];
                struct socket_connection none = { .guest_port = stray->guest_port, .host_port = stray->host_port };
                struct message message = header(socket, &none, OPERATION_RESET);
                push(socket, &chain, &message);
        }
        return 1;
}

/* The peers that may be read from wait for us, or we for them. */
static void update_wants(struct virtio_socket *socket)
{
        for (unsigned i = 0; i < VIRTIO_SOCKET_CONNECTIONS; i++) {
                struct socket_connection *connection = &socket->connections[i];
                if (connection->state == SOCKET_OPEN && connection->peer)
                        socket->backend.want_bytes(socket->backend.owner, connection->peer,
                                                   !connection->readable && !connection->read_ended);
        }
}

/* Tells the guest all that there are buffers for, a message of each connection in turn. */
static void flush(struct virtio_socket *socket)
{
        if (!socket->started)
                return;
        int r = send_strays(socket);
        for (unsigned idle = 0; r >= 0 && idle < VIRTIO_SOCKET_CONNECTIONS; idle++) {
                struct socket_connection *connection = &socket->connections[socket->next_served];
                socket->next_served = (socket->next_served + 1) % VIRTIO_SOCKET_CONNECTIONS;
                if (connection->state == SOCKET_FREE)
                        continue;
                r = send_control(socket, connection);
                if (r > 0)
                        r = send_bytes(socket, connection);
                if (r > 0)
                        idle = (unsigned)-1; /* go round once more */
        }
        update_wants(socket);
        virtio_interrupt_queue(&socket->device, QUEUE_RECEIVE);
}

/* ---- From the guest ---- */

static void answer_stray(struct virtio_socket *socket, const struct message *message)
{
        if (message->operation == OPERATION_RESET || socket->stray_count == VIRTIO_SOCKET_STRAYS)
                return;
        socket->strays[socket->stray_count++] = (struct socket_stray){ message->from_port, message->to_port };
}

static void on_request(struct virtio_socket *socket, const struct message *message)
{
        struct socket_connection *connection = find(socket, message->from_port, message->to_port);
        if (connection) { /* the ports are taken */
                drop(socket, connection);
                return;
        }
        connection = add(socket, message->from_port, message->to_port);
        if (!connection) {
                answer_stray(socket, message);
                return;
        }
        connection->state = SOCKET_OPEN;
        connection->guest_credit = message->credit;
        connection->guest_consumed = message->consumed;
        connection->peer = socket->backend.connect(socket->backend.owner, message->to_port, connection);
        ask_for(connection, connection->peer ? OPERATION_RESPONSE : OPERATION_RESET);
}

/* The readable parts behind the header, `length` bytes of them. False if the message is shorter than it says. */
static bool take_bytes(struct virtqueue_chain *chain, uint32_t length, unsigned *first, unsigned *count)
{
        size_t skip = sizeof(struct message);
        if (virtqueue_readable_length(chain) < skip + length)
                return false;
        for (*first = 0; skip >= chain->parts[*first].length; (*first)++)
                skip -= chain->parts[*first].length;
        chain->parts[*first].host += skip;
        chain->parts[*first].length -= (uint32_t)skip;
        for (*count = 0; length; (*count)++) {
                struct virtqueue_part *part = &chain->parts[*first + *count];
                if (part->length > length)
                        part->length = length;
                length -= part->length;
        }
        return true;
}

static void on_bytes(struct virtio_socket *socket, struct socket_connection *connection, const struct message *message,
                     struct virtqueue_chain *chain)
{
        unsigned first, count;
        if (!message->length)
                return;
        bool credit = message->length <= VIRTIO_SOCKET_CREDIT - (connection->received - connection->consumed);
        if (connection->state != SOCKET_OPEN || !credit || !take_bytes(chain, message->length, &first, &count)) {
                drop(socket, connection);
                return;
        }
        connection->received += message->length;
        socket->backend.write(socket->backend.owner, connection->peer, chain->parts + first, count);
}

static void on_shutdown(struct virtio_socket *socket, struct socket_connection *connection,
                        const struct message *message)
{
        if (message->flags & SHUTDOWN_RECEIVE)
                connection->guest_stopped_reading = true;
        if (message->flags & SHUTDOWN_SEND)
                socket->backend.end_of_bytes(socket->backend.owner, connection->peer);
        /* Both: the guest has closed; section 5.10.6.5 wants it confirmed by a reset. */
        if (connection->guest_stopped_reading && (message->flags & SHUTDOWN_SEND))
                drop(socket, connection);
}

static void on_message(struct virtio_socket *socket, const struct message *message, struct virtqueue_chain *chain)
{
        if (message->from != socket->guest || message->to != VIRTIO_SOCKET_HOST || message->type != TYPE_STREAM) {
                answer_stray(socket, message);
                return;
        }
        if (message->operation == OPERATION_REQUEST) {
                on_request(socket, message);
                return;
        }
        struct socket_connection *connection = find(socket, message->from_port, message->to_port);
        if (!connection || !connection->peer) {
                if (connection && message->operation == OPERATION_RESET)
                        free_connection(socket, connection);
                else if (!connection)
                        answer_stray(socket, message);
                return;
        }
        connection->guest_credit = message->credit;
        connection->guest_consumed = message->consumed;
        switch (message->operation) {
        case OPERATION_RESPONSE:
                if (connection->state != SOCKET_HOST_ASKS) {
                        drop(socket, connection);
                        break;
                }
                connection->state = SOCKET_OPEN;
                socket->backend.connected(socket->backend.owner, connection->peer, connection->host_port);
                break;
        case OPERATION_RESET: free_connection(socket, connection); break;
        case OPERATION_SHUTDOWN: on_shutdown(socket, connection, message); break;
        case OPERATION_BYTES: on_bytes(socket, connection, message, chain); break;
        case OPERATION_CREDIT: break;
        case OPERATION_ASK_CREDIT: ask_for(connection, OPERATION_CREDIT); break;
        default: drop(socket, connection); break;
        }
}

static void serve_send(struct virtio_socket *socket)
{
        struct virtqueue *queue = &socket->device.queues[QUEUE_SEND];
        struct virtqueue_chain chain;
        int popped;
        do {
                virtqueue_quiet(queue);
                while ((popped = virtqueue_pop(queue, &chain)) > 0) {
                        struct message message;
                        if (virtqueue_read(&chain, 0, &message, sizeof(message)) == sizeof(message))
                                on_message(socket, &message, &chain);
                        virtqueue_push(queue, &chain, 0);
                }
                if (popped < 0) {
                        virtio_break(&socket->device, "a message's descriptors make no sense");
                        return;
                }
        } while (virtqueue_wait(queue));
        virtio_interrupt_queue(&socket->device, QUEUE_SEND);
}

/* ---- For the back end ---- */

struct socket_connection *virtio_socket_connect(struct virtio_socket *socket, void *peer, uint32_t guest_port)
{
        struct socket_connection *connection;
        if (!socket->started)
                return NULL;
        do /* a port that was given out long ago may still be in use */
                socket->next_port = socket->next_port + 1 < FIRST_HOST_PORT ? FIRST_HOST_PORT : socket->next_port + 1;
        while (find(socket, guest_port, socket->next_port));
        connection = add(socket, guest_port, socket->next_port);
        if (!connection)
                return NULL;
        connection->state = SOCKET_HOST_ASKS;
        connection->peer = peer;
        ask_for(connection, OPERATION_REQUEST);
        flush(socket);
        return connection;
}

void virtio_socket_readable(struct virtio_socket *socket, struct socket_connection *connection)
{
        connection->readable = true;
        flush(socket);
}

void virtio_socket_consumed(struct virtio_socket *socket, struct socket_connection *connection, uint32_t bytes)
{
        connection->consumed += bytes;
        /* The guest stalls long before it knows of no room at all: tell it every quarter. */
        if (connection->consumed - connection->told < VIRTIO_SOCKET_CREDIT / 4)
                return;
        ask_for(connection, OPERATION_CREDIT);
        flush(socket);
}

void virtio_socket_reset(struct virtio_socket *socket, struct socket_connection *connection)
{
        connection->peer = NULL;
        drop(socket, connection);
        flush(socket);
}

/* ---- As a virtio device ---- */

/* A guest that was restored has connections whose peers are in another place or time: it is told that they are gone. */
static void tell_restore(struct virtio_socket *socket)
{
        struct virtqueue *queue = &socket->device.queues[QUEUE_EVENT];
        struct virtqueue_chain chain;
        const uint32_t event = EVENT_TRANSPORT_RESET;
        if (!socket->restored || virtqueue_pop(queue, &chain) <= 0)
                return;
        socket->restored = false;
        virtqueue_push(queue, &chain, (uint32_t)virtqueue_write(queue, &chain, 0, &event, sizeof(event)));
        virtio_interrupt_queue(&socket->device, QUEUE_EVENT);
}

static uint64_t socket_features(struct virtio_device *device)
{
        (void)device;
        return 0;
}

static void socket_start(struct virtio_device *device, uint64_t features)
{
        struct virtio_socket *socket = socket_of(device);
        (void)features;
        socket->started = true;
        tell_restore(socket);
}

static void forget_all(struct virtio_socket *socket)
{
        for (unsigned i = 0; i < VIRTIO_SOCKET_CONNECTIONS; i++)
                free_connection(socket, &socket->connections[i]);
        socket->stray_count = 0;
}

static void socket_reset(struct virtio_device *device)
{
        struct virtio_socket *socket = socket_of(device);
        socket->started = socket->restored = false;
        forget_all(socket);
}

static void socket_notify(struct virtio_device *device, unsigned index)
{
        struct virtio_socket *socket = socket_of(device);
        if (index == QUEUE_SEND)
                serve_send(socket);
        if (index == QUEUE_EVENT)
                tell_restore(socket);
        else
                flush(socket);
}

static void socket_config_read(struct virtio_device *device, unsigned offset, void *data, unsigned length)
{
        __builtin_memcpy(data, (const uint8_t *)&socket_of(device)->guest + offset, length);
}

#define SOCKET_STATE_VERSION 1

static void socket_save(struct virtio_device *device, struct state_writer *writer)
{
        state_begin(writer, "virtio-socket", SOCKET_STATE_VERSION);
        state_u64(writer, socket_of(device)->guest);
        state_end(writer);
}

static int socket_restore(struct virtio_device *device, struct state_reader *reader)
{
        struct virtio_socket *socket = socket_of(device);
        int r = state_open(reader, "virtio-socket", SOCKET_STATE_VERSION);
        if (r < 0)
                return r;
        state_take_u64(reader); /* the guest's identifier is this host's to choose; the driver reads it anew */
        r = state_close(reader);
        if (r < 0)
                return r;
        forget_all(socket);
        socket->restored = true;
        return 0;
}

static const struct virtio_operations socket_operations = {
        .name = "socket",
        .id = 19,
        .pci_class = 0x078000, /* communication, other */
        .config_length = sizeof(uint64_t),
        .features = socket_features,
        .start = socket_start,
        .reset = socket_reset,
        .notify = socket_notify,
        .config_read = socket_config_read,
        .save = socket_save,
        .restore = socket_restore,
};

void virtio_socket_init(struct virtio_socket *socket, const struct socket_backend *backend, uint64_t guest)
{
        *socket = (struct virtio_socket){
                .device = { .operations = &socket_operations, .queue_count = QUEUES },
                .backend = *backend,
                .guest = guest,
        };
        for (unsigned i = 0; i < QUEUES; i++)
                socket->device.queues[i].size_max = QUEUE_SIZE;
}
