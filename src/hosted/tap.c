/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/tap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "hosted/tap_device.h"
#include "hosted/vmm_private.h"

#define QUEUES_MAX (2 * VIRTIO_NETWORK_PAIRS_MAX + 1)
/* Frames of the guest after which others have their turn: it can add more as fast as they are sent. */
#define FRAMES_AT_ONCE 256

/* One pair of queues and the descriptor that its frames cross. */
struct tap_pair {
        struct tap *tap;
        struct event_source source;
        bool wanted;   /* the device takes frames */
        bool attached; /* in the event loop */
        uint32_t events;
};

struct tap {
        struct vmm *vmm;
        struct passt *passt; /* NULL: a tap device */
        struct event_source timer;
        bool receive_waits; /* for the timer: the limit is reached */
        unsigned sent_at_once;
        struct rate_limit sending, receiving;
        unsigned pair_count;
        struct tap_pair pairs[VIRTIO_NETWORK_PAIRS_MAX];
        struct virtio_transport transport;
        struct doorbell doorbells[QUEUES_MAX];
        struct virtio_network network;
        struct virtio_network_pair *places;
};

static uint64_t now(void)
{
        struct timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

static void wake_after(struct tap *tap, uint64_t wait)
{
        const struct itimerspec time = { .it_value = { (time_t)(wait / 1000000000U), (long)(wait % 1000000000U) } };
        timerfd_settime(tap->timer.fd, 0, &time, NULL);
}

/* What the event loop waits for. From any thread: epoll_ctl() may be used while another waits. */
static void update(struct tap *tap, struct tap_pair *pair)
{
        bool receives = pair->wanted && !tap->receive_waits;
        uint32_t events = receives ? EPOLLIN : 0;
        /* A socket that takes bytes is always ready: so what was received already is not waited for. */
        if (tap->passt && ((receives && passt_has_frame(tap->passt)) || !passt_flush(tap->passt)))
                events |= EPOLLOUT;
        if (!pair->attached || events == pair->events)
                return;
        pair->events = events;
        event_loop_change(&tap->vmm->loop, &pair->source, events);
}

/* ---- What the device asks for; the machine's lock is held ---- */

static bool may_send(void *owner, unsigned pair)
{
        struct tap *tap = owner;
        uint64_t wait = rate_limit_wait(&tap->sending, now());
        if (!wait && ++tap->sent_at_once > FRAMES_AT_ONCE) {
                tap->sent_at_once = 0;
                wait = 1;
        }
        if (wait)
                wake_after(tap, wait);
        if (wait || !tap->passt || passt_flush(tap->passt))
                return !wait;
        update(tap, &tap->pairs[pair]);
        return false;
}

static void send_frame(void *owner, unsigned pair, const struct virtqueue_part *parts, unsigned count)
{
        struct tap *tap = owner;
        struct iovec vector[VIRTQUEUE_PARTS_MAX];
        uint64_t length = 0;
        for (unsigned i = 0; i < count; i++) {
                vector[i] = (struct iovec){ parts[i].host, parts[i].length };
                length += parts[i].length;
        }
        (void)rate_limit_take(&tap->sending, length, now());
        if (tap->passt)
                passt_send(tap->passt, parts, count);
        else /* The kernel checks the header that the guest wrote. A full queue loses the frame, as a wire would. */
                (void)!writev(tap->pairs[pair].source.fd, vector, (int)count);
}

static void pull_cable(struct tap *tap, struct tap_pair *pair)
{
        char why[128];
        if (!pair->attached)
                return;
        event_loop_remove(&tap->vmm->loop, &pair->source);
        pair->attached = false;
        if (!tap->passt)
                return;
        passt_explain(tap->passt, why, sizeof(why));
        fprintf(stderr, "onggi-vmm: %s; the guest has no network until it is started again\n", why);
        virtio_network_set_link(&tap->network, true);
}

static size_t receive_frame(void *owner, unsigned index, uint8_t *frame, size_t room)
{
        struct tap *tap = owner;
        struct tap_pair *pair = &tap->pairs[index];
        uint64_t time = now(), wait = rate_limit_wait(&tap->receiving, time);
        if (wait) {
                tap->receive_waits = true;
                wake_after(tap, wait);
                return 0;
        }
        ssize_t n = tap->passt ? passt_receive(tap->passt, frame, room) : read(pair->source.fd, frame, room);
        if (tap->passt && n < 0)
                pull_cable(tap, pair);
        if (n <= (tap->passt ? 0 : VIRTIO_NETWORK_HEADER))
                return 0;
        (void)rate_limit_take(&tap->receiving, (uint64_t)n, time);
        return (size_t)n;
}

static void set_offloads(void *owner, unsigned taken)
{
        tap_device_set_offloads(((struct tap *)owner)->pairs[0].source.fd, taken);
}

static void use_pairs(void *owner, unsigned pairs)
{
        struct tap *tap = owner;
        for (unsigned i = 0; i < tap->pair_count; i++)
                tap_device_use_queue(tap->pairs[i].source.fd, i < pairs);
}

static void want_frames(void *owner, unsigned pair, bool wanted)
{
        struct tap *tap = owner;
        tap->pairs[pair].wanted = wanted;
        update(tap, &tap->pairs[pair]);
}

/* ---- The main loop ---- */

static void ready(void *owner, uint32_t events)
{
        struct tap_pair *pair = owner;
        struct tap *tap = pair->tap;
        unsigned index = (unsigned)(pair - tap->pairs);
        pthread_mutex_lock(&tap->vmm->lock);
        if (tap->passt && (events & EPOLLOUT) && passt_flush(tap->passt))
                virtio_network_send(&tap->network, index);
        /* A tap's interface that is gone is so for good; passt may have left frames. */
        bool has_more = tap->passt && (events & EPOLLIN || passt_has_frame(tap->passt));
        if (events & (EPOLLERR | EPOLLHUP) && !has_more)
                pull_cable(tap, pair);
        else
                virtio_network_receive(&tap->network, index);
        update(tap, pair);
        pthread_mutex_unlock(&tap->vmm->lock);
}

/* The limits may let something pass again. The machine's lock is held. */
static void go_on(struct tap *tap)
{
        tap->receive_waits = false;
        for (unsigned i = 0; i < tap->pair_count; i++) {
                virtio_network_send(&tap->network, i);
                update(tap, &tap->pairs[i]);
        }
}

static void time_is_over(void *owner, uint32_t events)
{
        struct tap *tap = owner;
        uint64_t count;
        (void)events;
        (void)!read(tap->timer.fd, &count, sizeof(count));
        pthread_mutex_lock(&tap->vmm->lock);
        go_on(tap);
        pthread_mutex_unlock(&tap->vmm->lock);
}

void tap_set_rate(struct tap *tap, const struct rate_settings *rate)
{
        rate_limit_set(&tap->sending, rate, now());
        rate_limit_set(&tap->receiving, rate, now());
        go_on(tap);
}

/* ---- Making and ending it ---- */

void tap_close(struct tap *tap)
{
        doorbells_close(tap->doorbells, QUEUES_MAX);
        for (unsigned i = 0; i < tap->pair_count && !tap->passt; i++)
                if (tap->pairs[i].source.fd >= 0)
                        close(tap->pairs[i].source.fd);
        if (tap->passt)
                passt_close(tap->passt);
        if (tap->timer.fd >= 0)
                close(tap->timer.fd);
        free(tap->places);
        free(tap);
}

DEFINE_CLEANUP(tap, struct tap, tap_close)

static int open_descriptor(struct tap *tap, const struct tap_settings *settings, unsigned pair, struct error *err)
{
        if (settings->fd_count)
                return tap_device_take(settings->fds[pair], err);
        if (!settings->user)
                return tap_device_open(settings->name, settings->pairs > 1, err);
        int r = passt_open(&settings->passt, &tap->passt, err);
        return r < 0 ? r : passt_descriptor(tap->passt);
}

static int open_pairs(struct tap *tap, const struct tap_settings *settings, struct error *err)
{
        for (unsigned i = 0; i < settings->pairs; i++) {
                struct tap_pair *pair = &tap->pairs[i];
                int fd = open_descriptor(tap, settings, i, err);
                if (fd < 0)
                        return fd;
                *pair = (struct tap_pair){ .tap = tap, .source = { .fd = fd, .ready = ready, .owner = pair } };
                tap->pair_count++;
                int r = event_loop_add(&tap->vmm->loop, &pair->source, 0);
                if (r < 0)
                        return error_code(err, r, "cannot wait for frames");
                pair->attached = true;
        }
        tap->timer = (struct event_source){ .fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
                                            .ready = time_is_over,
                                            .owner = tap };
        if (tap->timer.fd < 0)
                return error_errno(err, "cannot make a timer for a network card");
        int r = event_loop_add(&tap->vmm->loop, &tap->timer, EPOLLIN);
        return r < 0 ? error_code(err, r, "cannot wait for a timer") : 0;
}

static int add_device(struct tap *tap, const struct tap_settings *settings, struct error *err)
{
        struct network_backend backend = {
                .owner = tap,
                .offloads = !tap->passt,
                .mtu = tap->passt ? PASST_MTU : tap_device_mtu(tap->pairs[0].source.fd),
                .pairs = tap->pair_count,
                .may_send = may_send,
                .send = send_frame,
                .receive = receive_frame,
                .use_pairs = use_pairs,
                .set_offloads = set_offloads,
                .want_frames = want_frames,
        };
        memcpy(backend.address, settings->address, sizeof(backend.address));
        virtio_network_init(&tap->network, &backend, tap->places);
        unsigned queues = tap->network.device.queue_count;
        int r = doorbells_open(tap->vmm, &tap->transport, queues, tap->doorbells, err);
        if (!r)
                r = doorbells_serve(tap->vmm, tap->doorbells, queues, err);
        if (r < 0)
                return r;
        r = machine_add_virtio(&tap->vmm->machine, &tap->transport, &tap->network.device);
        return r < 0 ? error_code(err, r, "there is no place for a network card on the machine") : 0;
}

int tap_open(struct vmm *vmm, const struct tap_settings *settings, struct tap **result, struct error *err)
{
        _cleanup_(tap) struct tap *tap = calloc(1, sizeof(*tap));
        if (!tap)
                return error_memory(err);
        tap->vmm = vmm;
        tap->timer.fd = -1;
        for (unsigned i = 0; i < QUEUES_MAX; i++)
                tap->doorbells[i].fd = -1;
        tap->places = calloc(settings->pairs, sizeof(*tap->places));
        if (!tap->places)
                return error_memory(err);
        rate_limit_set(&tap->sending, &settings->rate, now());
        rate_limit_set(&tap->receiving, &settings->rate, now());
        int r = open_pairs(tap, settings, err);
        if (!r)
                r = add_device(tap, settings, err);
        if (r < 0)
                return r;
        *result = TAKE_PTR(tap);
        return 0;
}

void tap_print_statistics(const struct tap *tap)
{
        fprintf(stderr, "network: %" PRIu64 " frames sent, %" PRIu64 " received, %" PRIu64 " dropped\n",
                tap->network.sent, tap->network.received, tap->network.dropped);
}
