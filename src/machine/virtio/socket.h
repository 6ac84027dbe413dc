/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio socket device, streams between guest and host: virtio 1.2, section 5.10.
 *
 * The device keeps the table of connections, their flow control and what is still to be told to the guest; the back
 * end has a peer for each connection (hosted: a Unix socket). What the guest sends beyond the credit that it was
 * given, or about connections that do not exist, is answered by a reset of that connection and touches no other.
 * Freestanding; the machine's lock is held around every call.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine/virtio/device.h"

#define VIRTIO_SOCKET_HOST        2 /* the host's context identifier; a guest's is 3 or more */
#define VIRTIO_SOCKET_CONNECTIONS 128
#define VIRTIO_SOCKET_CREDIT      131072 /* bytes that the guest may send before the peer has taken them */

struct virtio_socket;

struct socket_connection {
        enum { SOCKET_FREE, SOCKET_HOST_ASKS, SOCKET_OPEN } state;
        uint32_t guest_port, host_port;
        uint32_t sent, received; /* bytes to and from the guest, modulo 2^32 */
        uint32_t consumed, told; /* what the peer took of `received`, and what the guest knows of that */
        uint32_t guest_credit, guest_consumed;
        unsigned pending;          /* messages to the guest that wait for a buffer */
        bool readable, read_ended; /* the peer may have bytes; it will never have any more */
        bool guest_stopped_reading;
        void *peer; /* the back end's; NULL: gone, only `pending` is left to tell */
};

struct socket_backend {
        void *owner;
        /* The guest connects to a port of the host. Returns the peer, or NULL: refused. */
        void *(*connect)(void *owner, uint32_t port, struct socket_connection *connection);
        /* The guest has accepted what virtio_socket_connect() asked for. */
        void (*connected)(void *owner, void *peer, uint32_t host_port);
        /*
         * Bytes of the guest, at most VIRTIO_SOCKET_CREDIT not yet consumed. The peer keeps what it cannot pass on at
         * once.
         */
        void (*write)(void *owner, void *peer, const struct virtqueue_part *parts, unsigned count);
        /*
         * Bytes for the guest. Returns their number, 0 when none will ever come again, -EAGAIN for later, or another
         * negative code.
         */
        long (*read)(void *owner, void *peer, void *bytes, size_t room);
        void (*want_bytes)(void *owner, void *peer, bool wanted); /* whether virtio_socket_readable() is to be called */
        void (*end_of_bytes)(void *owner, void *peer);            /* the guest will send no more */
        void (*close)(void *owner, void *peer); /* after the peer has passed on what it has; it is gone for us */
};

/* Of a message about a connection that is not in the table. */
struct socket_stray {
        uint32_t guest_port, host_port;
};

#define VIRTIO_SOCKET_STRAYS 32

struct virtio_socket {
        struct virtio_device device;
        struct socket_backend backend;
        uint64_t guest; /* the guest's context identifier */
        uint32_t next_port;
        unsigned stray_count, next_served;
        struct socket_stray strays[VIRTIO_SOCKET_STRAYS];
        struct socket_connection connections[VIRTIO_SOCKET_CONNECTIONS];
        bool started, restored;
};

void virtio_socket_init(struct virtio_socket *socket, const struct socket_backend *backend, uint64_t guest);

/* ---- For the back end ---- */

/* Asks the guest for a connection to its port. NULL: no driver, or the table is full. */
struct socket_connection *virtio_socket_connect(struct virtio_socket *socket, void *peer, uint32_t guest_port);
/* The peer has bytes for the guest, or their end. */
void virtio_socket_readable(struct virtio_socket *socket, struct socket_connection *connection);
/* The peer has passed on so many of the bytes that it was given. */
void virtio_socket_consumed(struct virtio_socket *socket, struct socket_connection *connection, uint32_t bytes);
/* The peer is gone. */
void virtio_socket_reset(struct virtio_socket *socket, struct socket_connection *connection);
