/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/socket_bridge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "hosted/byte_stream.h"
#include "hosted/listener.h"
#include "hosted/vmm_private.h"
#include "machine/virtio/socket.h"

#define QUEUES           3
#define GUEST_IDENTIFIER 3
#define PEERS_MAX        256
#define LINE_MAX_LENGTH  32
#define PORT_TEXT_MAX    11 /* "_4294967295" */
#define PATH_MAX_LENGTH  (sizeof(((struct sockaddr_un *)0)->sun_path) - PORT_TEXT_MAX)

/* A Unix socket, or an inherited descriptor, and the guest's connection that it belongs to. */
struct peer {
        struct event_source source;
        struct byte_stream stream; /* owns the source's descriptor */
        struct socket_bridge *bridge;
        struct peer *next;
        struct socket_connection *connection;
        enum {
                PEER_ASKS,  /* a program is still writing its CONNECT line */
                PEER_WAITS, /* for the guest's answer */
                PEER_OPEN,
                PEER_CLOSING, /* the guest has gone; what it sent goes out first */
                PEER_DEAD,    /* closed; freed by the main loop, which may still have an event of it in hand */
        } state;
        bool wants_bytes, in_loop, guest_ended;
        bool inherited; /* what the guest sent must not be lost, and its end is answered by an end */
        bool tells_end; /* that answer is due */
        char line[LINE_MAX_LENGTH];
        size_t line_length;
        uint8_t *waiting; /* of VIRTIO_SOCKET_CREDIT bytes, once needed: what the socket did not take yet */
        size_t waiting_start, waiting_length;
};

/* A port of the host that leads to a descriptor, for the first who connects to it. */
struct inherited {
        uint32_t port;
        struct byte_stream stream;
};

struct socket_bridge {
        struct vmm *vmm;
        struct event_source listener, graves; /* graves: also wakes peers that epoll does not take */
        struct inherited inherited[SOCKET_BRIDGE_STREAMS_MAX];
        unsigned inherited_count;
        char path[PATH_MAX_LENGTH];
        bool bound;
        unsigned peer_count;
        struct peer *peers, *dead;
        struct virtio_transport transport;
        struct doorbell doorbells[QUEUES];
        struct virtio_socket socket;
};

/* ---- Peers: all under the machine's lock ---- */

static void wake(struct socket_bridge *bridge)
{
        uint64_t one = 1;
        (void)!write(bridge->graves.fd, &one, sizeof(one));
}

static void leave_loop(struct peer *peer)
{
        if (peer->in_loop)
                event_loop_remove(&peer->bridge->vmm->loop, &peer->source);
        peer->in_loop = false;
}

static void update_events(struct peer *peer)
{
        bool reads = peer->state == PEER_ASKS || (peer->state == PEER_OPEN && peer->wants_bytes);
        uint32_t events = (reads ? EPOLLIN : 0) | (peer->waiting_length ? EPOLLOUT : 0);
        struct event_loop *loop = &peer->bridge->vmm->loop;
        if (peer->stream.fd < 0)
                return;
        if (!peer->stream.pollable) {
                if (events)
                        wake(peer->bridge);
                return;
        }
        if (!events) { /* not in the loop at all: a socket that was hung up would report it without end */
                leave_loop(peer);
                return;
        }
        if (peer->in_loop) {
                event_loop_change(loop, &peer->source, events);
                return;
        }
        int r = event_loop_add(loop, &peer->source, events);
        peer->in_loop = !r;
        if (r == -EPERM) { /* as /dev/null */
                peer->stream.pollable = false;
                wake(peer->bridge);
        }
}

static void bury(struct peer *peer)
{
        struct socket_bridge *bridge = peer->bridge;
        struct peer **link = &bridge->peers;
        leave_loop(peer);
        byte_stream_close(&peer->stream);
        peer->state = PEER_DEAD;
        peer->connection = NULL;
        while (*link != peer)
                link = &(*link)->next;
        *link = peer->next;
        peer->next = bridge->dead;
        bridge->dead = peer;
        wake(bridge);
}

static void peer_ready(void *owner, uint32_t events);

/* Takes over the stream, in any case. */
static struct peer *add_peer(struct socket_bridge *bridge, struct byte_stream *stream)
{
        struct peer *peer = bridge->peer_count < PEERS_MAX ? calloc(1, sizeof(*peer)) : NULL;
        if (!peer) {
                byte_stream_close(stream);
                return NULL;
        }
        *peer = (struct peer){
                .source = { stream->fd, peer_ready, peer }, .stream = *stream, .bridge = bridge, .next = bridge->peers
        };
        stream->fd = -1;
        bridge->peers = peer;
        bridge->peer_count++;
        return peer;
}

/* The socket is of no use any more: the guest, if it is still connected, is told. */
static void fail(struct peer *peer)
{
        struct socket_connection *connection = peer->connection;
        struct socket_bridge *bridge = peer->bridge;
        bury(peer);
        if (connection)
                virtio_socket_reset(&bridge->socket, connection);
}

static void serve_peer(struct peer *peer);

static bool waits_for_us(const struct peer *peer)
{
        return peer->tells_end || (!peer->stream.pollable && (peer->waiting_length || peer->wants_bytes));
}

/* Peers of which epoll says nothing. One may be gone when another was served, so each walk serves one. */
static void serve_silent(struct socket_bridge *bridge)
{
        for (bool served = true; served;) {
                served = false;
                for (struct peer *peer = bridge->peers; peer && !served; peer = peer->next) {
                        if (!waits_for_us(peer))
                                continue;
                        served = true;
                        if (!peer->waiting_length)
                                peer->wants_bytes = peer->tells_end = false;
                        serve_peer(peer);
                }
        }
}

static void bury_graves(void *owner, uint32_t events)
{
        struct socket_bridge *bridge = owner;
        uint64_t count;
        (void)events;
        (void)!read(bridge->graves.fd, &count, sizeof(count));
        pthread_mutex_lock(&bridge->vmm->lock);
        serve_silent(bridge);
        while (bridge->dead) {
                struct peer *peer = bridge->dead;
                bridge->dead = peer->next;
                bridge->peer_count--;
                free(peer->waiting);
                free(peer);
        }
        pthread_mutex_unlock(&bridge->vmm->lock);
}

/* ---- What the device asks for; the machine's lock is held ---- */

static struct inherited *inherited_of(struct socket_bridge *bridge, uint32_t port)
{
        for (unsigned i = 0; i < bridge->inherited_count; i++)
                if (bridge->inherited[i].port == port)
                        return &bridge->inherited[i];
        return NULL;
}

/* A program that listens at PATH_<port>. */
static bool connect_to_listener(const struct socket_bridge *bridge, uint32_t port, struct byte_stream *stream)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        snprintf(address.sun_path, sizeof(address.sun_path), "%s_%u", bridge->path, port);
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return false;
        byte_stream_adopt_socket(stream, TAKE_FD(fd));
        return true;
}

static void *guest_connects(void *owner, uint32_t port, struct socket_connection *connection)
{
        struct socket_bridge *bridge = owner;
        struct inherited *inherited = inherited_of(bridge, port);
        struct byte_stream stream = { .fd = -1 };
        if (inherited) {
                stream = inherited->stream;
                inherited->stream.fd = -1;
                if (stream.fd < 0) /* once is all */
                        return NULL;
        } else if (!connect_to_listener(bridge, port, &stream)) {
                return NULL;
        }
        struct peer *peer = add_peer(bridge, &stream);
        if (peer) {
                peer->connection = connection;
                peer->state = PEER_OPEN;
                peer->inherited = inherited;
        }
        return peer;
}

static void guest_accepted(void *owner, void *context, uint32_t host_port)
{
        struct peer *peer = context;
        char line[LINE_MAX_LENGTH];
        (void)owner;
        int length = snprintf(line, sizeof(line), "OK %u\n", host_port);
        peer->state = PEER_OPEN;
        /* A socket that has not even room for this is found out at the next write. */
        (void)!send(peer->stream.fd, line, (size_t)length, MSG_NOSIGNAL);
}

/* Keeps what the socket did not take of `parts`. */
static int keep(struct peer *peer, const struct virtqueue_part *parts, unsigned count, size_t taken)
{
        if (!peer->waiting)
                peer->waiting = malloc(VIRTIO_SOCKET_CREDIT);
        if (!peer->waiting)
                return -ENOMEM;
        memmove(peer->waiting, peer->waiting + peer->waiting_start, peer->waiting_length);
        peer->waiting_start = 0;
        for (unsigned i = 0; i < count; i++) {
                size_t before = taken < parts[i].length ? taken : parts[i].length, length = parts[i].length - before;
                memcpy(peer->waiting + peer->waiting_length, parts[i].host + before, length);
                peer->waiting_length += length;
                taken -= before;
        }
        update_events(peer);
        return 0;
}

static void guest_writes(void *owner, void *context, const struct virtqueue_part *parts, unsigned count)
{
        struct socket_bridge *bridge = owner;
        struct peer *peer = context;
        struct iovec vector[VIRTQUEUE_PARTS_MAX];
        size_t length = 0;
        ssize_t sent = 0;
        for (unsigned i = 0; i < count; i++) {
                vector[i] = (struct iovec){ parts[i].host, parts[i].length };
                length += parts[i].length;
        }
        if (!peer->waiting_length && !peer->stream.careful)
                sent = byte_stream_write(&peer->stream, vector, count);
        if (sent == -EAGAIN)
                sent = 0;
        if (sent < 0 || ((size_t)sent < length && keep(peer, parts, count, (size_t)sent) < 0)) {
                fail(peer);
                return;
        }
        virtio_socket_consumed(&bridge->socket, peer->connection, (uint32_t)sent);
}

/* Of one that can only be written to, the guest hears when it has taken everything. */
static bool is_silent(const struct peer *peer)
{
        return peer->inherited && !peer->stream.reads;
}

static long guest_reads(void *owner, void *context, void *bytes, size_t room)
{
        struct peer *peer = context;
        (void)owner;
        if (!peer->inherited || !peer->guest_ended)
                return is_silent(peer) ? -EAGAIN : byte_stream_read(&peer->stream, bytes, room);
        return peer->waiting_length ? -EAGAIN : 0;
}

static void guest_wants_bytes(void *owner, void *context, bool wanted)
{
        struct peer *peer = context;
        (void)owner;
        wanted = wanted && (!is_silent(peer) || peer->guest_ended);
        if (peer->wants_bytes == wanted)
                return;
        peer->wants_bytes = wanted;
        update_events(peer);
}

/* The guest will send no more, and what it sent has gone out. */
static void end_output(struct peer *peer)
{
        if (peer->inherited && !peer->stream.reads)
                leave_loop(peer);
        byte_stream_end_writing(&peer->stream);
        peer->tells_end = peer->inherited;
        if (peer->tells_end)
                wake(peer->bridge);
}

static void guest_ended(void *owner, void *context)
{
        struct peer *peer = context;
        (void)owner;
        peer->guest_ended = true;
        if (!peer->waiting_length)
                end_output(peer);
}

static void guest_closed(void *owner, void *context)
{
        struct peer *peer = context;
        (void)owner;
        peer->connection = NULL;
        if (!peer->waiting_length) {
                bury(peer);
                return;
        }
        peer->state = PEER_CLOSING;
        update_events(peer);
}

/* ---- What the sockets tell; the main loop's thread ---- */

static void send_waiting(struct peer *peer)
{
        struct iovec rest = { peer->waiting + peer->waiting_start, peer->waiting_length };
        ssize_t sent = byte_stream_write(&peer->stream, &rest, 1);
        if (sent < 0) {
                if (sent != -EAGAIN)
                        fail(peer);
                return;
        }
        peer->waiting_start += (size_t)sent;
        peer->waiting_length -= (size_t)sent;
        if (!peer->waiting_length && peer->state == PEER_CLOSING) {
                bury(peer);
                return;
        }
        update_events(peer);
        if (peer->connection)
                virtio_socket_consumed(&peer->bridge->socket, peer->connection, (uint32_t)sent);
        if (!peer->waiting_length && peer->guest_ended && peer->connection)
                end_output(peer);
}

/* "CONNECT <port>": byte by byte, because what follows the line is for the guest. */
static void read_line(struct peer *peer)
{
        uint64_t port;
        char *at = peer->line + peer->line_length;
        ssize_t n = recv(peer->stream.fd, at, 1, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n == 1 && *at != '\n' && peer->line_length + 2 < sizeof(peer->line)) {
                peer->line_length++;
                return;
        }
        *at = 0;
        if (n != 1 || !text_starts(peer->line, "CONNECT ") || parse_u64(peer->line + strlen("CONNECT "), &port) < 0 ||
            port >= UINT32_MAX) {
                bury(peer);
                return;
        }
        peer->state = PEER_WAITS;
        update_events(peer);
        peer->connection = virtio_socket_connect(&peer->bridge->socket, peer, (uint32_t)port);
        if (!peer->connection)
                bury(peer);
}

static void serve_peer(struct peer *peer)
{
        if (peer->waiting_length)
                send_waiting(peer);
        else if (peer->state == PEER_OPEN)
                virtio_socket_readable(&peer->bridge->socket, peer->connection);
}

static void peer_ready(void *owner, uint32_t events)
{
        struct peer *peer = owner;
        struct vmm *vmm = peer->bridge->vmm;
        pthread_mutex_lock(&vmm->lock);
        if (peer->state == PEER_ASKS)
                read_line(peer);
        else if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
                serve_peer(peer);
        else if (peer->state == PEER_OPEN)
                virtio_socket_readable(&peer->bridge->socket, peer->connection);
        pthread_mutex_unlock(&vmm->lock);
}

static void listener_ready(void *owner, uint32_t events)
{
        struct socket_bridge *bridge = owner;
        (void)events;
        int fd = accept4(bridge->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
                return;
        pthread_mutex_lock(&bridge->vmm->lock);
        struct byte_stream stream;
        byte_stream_adopt_socket(&stream, fd);
        struct peer *peer = add_peer(bridge, &stream);
        if (peer)
                update_events(peer);
        pthread_mutex_unlock(&bridge->vmm->lock);
}

/* ---- Making and ending it ---- */

static int listen_at(struct socket_bridge *bridge, const char *path, struct error *err)
{
        if (!*path || strlen(path) >= PATH_MAX_LENGTH)
                return error_set(err, -ENAMETOOLONG, "the path of a socket has 1 to %zu letters here: %s",
                                 PATH_MAX_LENGTH - 1, path);
        TEXT_COPY(bridge->path, path);
        bridge->listener.fd = listener_open(path, err);
        bridge->bound = bridge->listener.fd >= 0;
        return bridge->bound ? 0 : bridge->listener.fd;
}

static const char *name_of(const struct socket_bridge *bridge)
{
        const char *slash = strrchr(bridge->path, '/');
        return slash ? slash + 1 : bridge->path;
}

char *socket_bridge_folder(const struct socket_bridge *bridge)
{
        int length = (int)(name_of(bridge) - bridge->path);
        return length ? text_format("%.*s", length, bridge->path) : strdup(".");
}

void socket_bridge_root_changed(struct socket_bridge *bridge)
{
        const char *name = name_of(bridge);
        memmove(bridge->path, name, strlen(name) + 1); /* the root is the working directory, too */
}

int socket_bridge_inherit(struct socket_bridge *bridge, const char *text, struct error *err)
{
        uint64_t port, fd;
        const char *equals = strchr(text, '=');
        _cleanup_free_ char *number = equals ? strndup(text, (size_t)(equals - text)) : NULL;
        if (!number || parse_u64(number, &port) < 0 || port >= UINT32_MAX || parse_u64(equals + 1, &fd) < 0 ||
            fd > INT32_MAX)
                return error_set(err, -EINVAL, "--stream takes PORT=DESCRIPTOR, not \"%s\"", text);
        if (bridge->inherited_count == SOCKET_BRIDGE_STREAMS_MAX || inherited_of(bridge, (uint32_t)port))
                return error_set(err, -EINVAL, "--stream %s: port taken, or more than %d streams", text,
                                 SOCKET_BRIDGE_STREAMS_MAX);
        struct inherited *inherited = &bridge->inherited[bridge->inherited_count];
        int r = byte_stream_adopt(&inherited->stream, (int)fd, err);
        if (r < 0)
                return error_prefix(err, "--stream %s", text);
        inherited->port = (uint32_t)port;
        bridge->inherited_count++;
        return 0;
}

bool socket_bridge_connect(struct socket_bridge *bridge, uint32_t port, int fd)
{
        struct byte_stream stream;
        byte_stream_adopt_socket(&stream, fd);
        struct peer *peer = add_peer(bridge, &stream);
        if (!peer)
                return false;
        peer->state = PEER_WAITS;
        peer->connection = virtio_socket_connect(&bridge->socket, peer, port);
        if (!peer->connection)
                bury(peer);
        return peer->connection;
}

bool socket_bridge_holds_output(struct socket_bridge *bridge)
{
        bool holds = false;
        pthread_mutex_lock(&bridge->vmm->lock);
        for (const struct peer *peer = bridge->peers; peer && !holds; peer = peer->next)
                holds = peer->inherited && peer->waiting_length;
        pthread_mutex_unlock(&bridge->vmm->lock);
        return holds;
}

void socket_bridge_close(struct socket_bridge *bridge)
{
        while (bridge->peers)
                bury(bridge->peers);
        if (bridge->graves.fd >= 0) {
                bury_graves(bridge, 0);
                close(bridge->graves.fd);
        }
        for (unsigned i = 0; i < bridge->inherited_count; i++)
                byte_stream_close(&bridge->inherited[i].stream);
        if (bridge->bound)
                unlink(bridge->path);
        if (bridge->listener.fd >= 0)
                close(bridge->listener.fd);
        doorbells_close(bridge->doorbells, QUEUES);
        free(bridge);
}

DEFINE_CLEANUP(bridge, struct socket_bridge, socket_bridge_close)

static int watch(struct socket_bridge *bridge, struct error *err)
{
        bridge->graves.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (bridge->graves.fd < 0)
                return error_errno(err, "cannot make an eventfd");
        int r = event_loop_add(&bridge->vmm->loop, &bridge->graves, EPOLLIN);
        if (!r)
                r = event_loop_add(&bridge->vmm->loop, &bridge->listener, EPOLLIN);
        return r < 0 ? error_code(err, r, "cannot wait for connections at %s", bridge->path) : 0;
}

int socket_bridge_open(struct vmm *vmm, const char *path, struct socket_bridge **result, struct error *err)
{
        _cleanup_(bridge) struct socket_bridge *bridge = calloc(1, sizeof(*bridge));
        if (!bridge)
                return error_memory(err);
        bridge->vmm = vmm;
        bridge->listener = (struct event_source){ -1, listener_ready, bridge };
        bridge->graves = (struct event_source){ -1, bury_graves, bridge };
        for (unsigned i = 0; i < QUEUES; i++)
                bridge->doorbells[i].fd = -1;
        const struct socket_backend backend = {
                .owner = bridge,
                .connect = guest_connects,
                .connected = guest_accepted,
                .write = guest_writes,
                .read = guest_reads,
                .want_bytes = guest_wants_bytes,
                .end_of_bytes = guest_ended,
                .close = guest_closed,
        };
        virtio_socket_init(&bridge->socket, &backend, GUEST_IDENTIFIER);
        int r = listen_at(bridge, path, err);
        if (!r)
                r = watch(bridge, err);
        if (!r)
                r = doorbells_open(vmm, &bridge->transport, QUEUES, bridge->doorbells, err);
        if (!r)
                r = doorbells_serve(vmm, bridge->doorbells, QUEUES, err);
        if (r < 0)
                return r;
        r = machine_add_virtio(&vmm->machine, &bridge->transport, &bridge->socket.device);
        if (r < 0)
                return error_code(err, r, "there is no place for a socket device on the machine");
        *result = TAKE_PTR(bridge);
        return 0;
}
