/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtio socket device under a hostile driver, with peers that come, talk and go as the fuzzer says. */
#include "machine/virtio/socket.h"

#include <errno.h>

#include "fuzz_device.h"

enum { PEERS = 8 };

static struct virtio_socket device;

static struct peer {
        bool used;
        struct socket_connection *connection;
        uint32_t taken; /* bytes not reported as consumed */
        unsigned bytes; /* left to be read */
        bool ended;
} peers[PEERS];

static struct peer *new_peer(struct socket_connection *connection)
{
        for (unsigned i = 0; i < PEERS; i++)
                if (!peers[i].used) {
                        peers[i] = (struct peer){ .used = true, .connection = connection };
                        return &peers[i];
                }
        return NULL;
}

static void *guest_connects(void *owner, uint32_t port, struct socket_connection *connection)
{
        (void)owner;
        return port % 3 ? new_peer(connection) : NULL;
}

static void guest_accepted(void *owner, void *peer, uint32_t port)
{
        (void)owner;
        (void)port;
        if (!((struct peer *)peer)->used)
                abort();
}

static void guest_writes(void *owner, void *context, const struct virtqueue_part *parts, unsigned count)
{
        struct peer *peer = context;
        volatile unsigned sum = 0;
        (void)owner;
        for (unsigned i = 0; i < count; i++) {
                for (uint32_t j = 0; j < parts[i].length; j++)
                        sum = sum + parts[i].host[j];
                peer->taken += parts[i].length;
        }
        if (!peer->used || peer->taken > VIRTIO_SOCKET_CREDIT)
                abort();
}

static long guest_reads(void *owner, void *context, void *bytes, size_t room)
{
        struct peer *peer = context;
        (void)owner;
        if (!peer->used || !room)
                abort();
        if (!peer->bytes)
                return peer->ended ? 0 : -EAGAIN;
        size_t length = peer->bytes < room ? peer->bytes : room;
        memset(bytes, 0x5a, length);
        peer->bytes -= (unsigned)length;
        return (long)length;
}

static void guest_wants_bytes(void *owner, void *context, bool wanted)
{
        (void)owner;
        (void)wanted;
        if (!((struct peer *)context)->used)
                abort();
}

static void guest_ended(void *owner, void *context)
{
        guest_wants_bytes(owner, context, false);
}

static void guest_closed(void *owner, void *context)
{
        guest_wants_bytes(owner, context, false);
        ((struct peer *)context)->used = false;
}

static void event(struct fuzz_input *input)
{
        struct peer *peer = &peers[fuzz_take(input, 1) % PEERS];
        unsigned what = (unsigned)fuzz_take(input, 1);
        if (!peer->used) {
                peer = new_peer(NULL);
                peer->connection = virtio_socket_connect(&device, peer, what);
                peer->used = peer->connection;
                return;
        }
        uint32_t taken = peer->taken;
        switch (what % 4) {
        case 0:
                peer->bytes = (unsigned)fuzz_take(input, 2);
                virtio_socket_readable(&device, peer->connection);
                break;
        case 1:
                peer->taken = 0;
                virtio_socket_consumed(&device, peer->connection, taken);
                break;
        case 2:
                peer->ended = true;
                virtio_socket_readable(&device, peer->connection);
                break;
        default:
                peer->used = false;
                virtio_socket_reset(&device, peer->connection);
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct socket_backend backend = {
                .connect = guest_connects,
                .connected = guest_accepted,
                .write = guest_writes,
                .read = guest_reads,
                .want_bytes = guest_wants_bytes,
                .end_of_bytes = guest_ended,
                .close = guest_closed,
        };
        memset(peers, 0, sizeof(peers));
        virtio_socket_init(&device, &backend, 3);
        fuzz_device(&device.device, event, data, size);
        return 0;
}
