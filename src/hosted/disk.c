/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/disk.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "hosted/thread.h"
#include "hosted/vmm_private.h"
#include "machine/virtio/block.h"

#define REQUESTS_MAX 64
/* Errors of the host that are told, of one disk: a guest can cause them as often as it likes. */
#define COMPLAINTS_MAX 10

/* One queue and the thread that serves it. */
struct disk_queue {
        struct disk *disk;
        unsigned index;
        pthread_t thread;
        bool started;
        struct block_request *first, **last; /* taken off the queue, not begun; under the machine's lock */
        bool busy;                           /* its thread touches the guest's buffers; under the disk's own lock */
        unsigned generation;                 /* of the requests that it works at */
        uint64_t requests, bytes;
};

struct disk {
        struct vmm *vmm;
        char *path;
        struct disk_image *image;
        bool full_pauses;
        struct virtio_block block;
        struct virtio_transport transport;
        unsigned queue_count;
        struct disk_queue queues[DISK_QUEUES_MAX];
        struct doorbell doorbells[DISK_QUEUES_MAX];
        struct virtio_block_slot slots[REQUESTS_MAX];
        pthread_mutex_t lock; /* over `busy` alone; taken inside the machine's */
        pthread_cond_t idle;
        unsigned generation; /* counts drains; under the machine's lock */
        bool stuck;          /* requests wait for room on the host; under the machine's lock */
        bool ending;
        unsigned complaints;     /* under the machine's lock */
        struct rate_limit limit; /* under the machine's lock */
};

/* ---- What the device asks for; the machine's lock is held ---- */

static void submit(void *owner, struct virtio_block *block, struct block_request *request)
{
        struct disk *disk = owner;
        struct disk_queue *queue = &disk->queues[request->queue];
        (void)block;
        request->next = NULL;
        *queue->last = request;
        queue->last = &request->next;
        /* Usually this is the queue's own thread, which looks at its list next; a processor's thread must wake it. */
        if (!queue->started || !pthread_equal(queue->thread, pthread_self())) {
                uint64_t one = 1;
                (void)!write(disk->doorbells[queue->index].fd, &one, sizeof(one));
        }
}

static void forget_waiting(struct disk_queue *queue)
{
        queue->first = NULL;
        queue->last = &queue->first;
}

static void drain(void *owner)
{
        struct disk *disk = owner;
        disk->generation++;
        pthread_mutex_lock(&disk->lock);
        for (unsigned i = 0; i < disk->queue_count; i++) {
                forget_waiting(&disk->queues[i]);
                while (disk->queues[i].busy)
                        pthread_cond_wait(&disk->idle, &disk->lock);
        }
        pthread_mutex_unlock(&disk->lock);
}

/* ---- A queue's thread ---- */

static uint64_t now(void)
{
        struct timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

static void set_busy(struct disk_queue *queue, bool busy)
{
        pthread_mutex_lock(&queue->disk->lock);
        queue->busy = busy;
        if (!busy)
                pthread_cond_broadcast(&queue->disk->idle);
        pthread_mutex_unlock(&queue->disk->lock);
}

/*
 * The machine's lock is held. As much of what waits as may pass now, as a list; *wait: nanoseconds until there is more.
 */
static struct block_request *take(struct disk_queue *queue, uint64_t *wait)
{
        struct disk *disk = queue->disk;
        struct block_request *first = queue->first, **end = &queue->first;
        *wait = 0;
        if (disk->stuck)
                return NULL;
        while (*end && !(*wait = rate_limit_take(&disk->limit, (*end)->length, now())))
                end = &(*end)->next;
        if (end == &queue->first)
                return NULL;
        struct block_request *rest = *end;
        *end = NULL;
        queue->first = rest;
        if (!rest)
                forget_waiting(queue);
        queue->generation = disk->generation;
        set_busy(queue, true);
        return first;
}

static bool is_full(int result)
{
        return result == -ENOSPC || result == -EDQUOT;
}

/* The machine's lock is held. */
static void complain(struct disk *disk, int result)
{
        if (disk->complaints == COMPLAINTS_MAX)
                return;
        fprintf(stderr, "onggi-vmm: disk %s: the guest sees an I/O error: %s%s\n", disk->path, strerror(-result),
                ++disk->complaints == COMPLAINTS_MAX ? "; further errors of it are not shown" : "");
}

/* What is not done waits in front of all else, and the guest is paused. The machine's lock is held. */
static void get_stuck(struct disk_queue *queue, struct block_request *requests)
{
        struct block_request **end = &requests;
        while (*end)
                end = &(*end)->next;
        *end = queue->first;
        if (!queue->first)
                queue->last = end;
        queue->first = requests;
        queue->disk->stuck = true;
        fprintf(stderr, "onggi-vmm: disk %s: there is no room left on the host; the guest is paused until `resume`\n",
                queue->disk->path);
        vmm_ask_for_pause(queue->disk->vmm);
}

/*
 * The machine's lock is held. Answers the `done` first requests; those that come after a reset are nobody's: their
 * requests are gone.
 */
static void complete(struct disk_queue *queue, struct block_request *requests, const int *results, unsigned done)
{
        struct disk *disk = queue->disk;
        for (unsigned i = 0; i < done && queue->generation == disk->generation; i++) {
                struct block_request *next = requests->next;
                if (results[i] < 0)
                        complain(disk, results[i]);
                virtio_block_complete(&disk->block, requests, results[i]);
                requests = next;
        }
        if (requests && queue->generation == disk->generation)
                get_stuck(queue, requests);
}

/* Does what the requests say, up to one that has to wait for room; returns how many. The machine's lock is not held. */
static unsigned run(struct disk_queue *queue, const struct block_request *requests, int *results)
{
        unsigned count = 0;
        for (const struct block_request *request = requests; request; request = request->next) {
                int result = disk_image_run(queue->disk->image, request);
                if (queue->disk->full_pauses && is_full(result))
                        break;
                results[count++] = result;
                queue->requests++;
                queue->bytes += request->length;
        }
        return count;
}

/* Returns the nanoseconds after which there is more to do even if the guest asks for nothing; 0: nothing is left. */
static uint64_t serve(struct disk_queue *queue)
{
        struct disk *disk = queue->disk;
        pthread_mutex_t *machine = &disk->vmm->lock;
        int results[REQUESTS_MAX];
        struct block_request *requests;
        uint64_t wait;

        pthread_mutex_lock(machine);
        virtio_pci_notify(&disk->transport, queue->index);
        while ((requests = take(queue, &wait))) {
                pthread_mutex_unlock(machine);
                unsigned count = run(queue, requests, results);
                set_busy(queue, false);
                pthread_mutex_lock(machine);
                complete(queue, requests, results, count);
                virtio_pci_notify(&disk->transport, queue->index);
        }
        pthread_mutex_unlock(machine);
        return wait;
}

/* Until the guest asks for something, or so many nanoseconds. */
static void wait_for_work(struct disk_queue *queue, uint64_t wait)
{
        struct pollfd bell = { .fd = queue->disk->doorbells[queue->index].fd, .events = POLLIN };
        const struct timespec time = { (time_t)(wait / 1000000000U), (long)(wait % 1000000000U) };
        uint64_t count;
        if (!wait || ppoll(&bell, 1, &time, NULL) > 0)
                (void)!read(bell.fd, &count, sizeof(count));
}

static void *serve_queue(void *context)
{
        struct disk_queue *queue = context;
        struct disk *disk = queue->disk;
        vmm_confine_thread(disk->vmm, JAIL_DISK);
        for (uint64_t wait = 0;;) {
                wait_for_work(queue, wait);
                if (__atomic_load_n(&disk->ending, __ATOMIC_ACQUIRE))
                        return NULL;
                wait = serve(queue);
        }
}

static void ring(const struct disk *disk)
{
        uint64_t one = 1;
        for (unsigned i = 0; i < disk->queue_count; i++)
                (void)!write(disk->doorbells[i].fd, &one, sizeof(one));
}

void disk_resume(struct disk *disk)
{
        disk->stuck = false;
        ring(disk);
}

void disk_set_rate(struct disk *disk, const struct rate_settings *rate)
{
        rate_limit_set(&disk->limit, rate, now());
        ring(disk);
}

/* ---- Making and ending it ---- */

int disk_start(struct disk *disk, struct error *err)
{
        for (unsigned i = 0; i < disk->queue_count; i++) {
                int r = thread_start(&disk->queues[i].thread, serve_queue, &disk->queues[i]);
                if (r < 0)
                        return error_code(err, r, "cannot start the thread of a disk");
                disk->queues[i].started = true;
        }
        return 0;
}

void disk_close(struct disk *disk)
{
        __atomic_store_n(&disk->ending, true, __ATOMIC_RELEASE);
        ring(disk);
        for (unsigned i = 0; i < disk->queue_count; i++)
                if (disk->queues[i].started)
                        pthread_join(disk->queues[i].thread, NULL);
        doorbells_close(disk->doorbells, disk->queue_count);
        int r = disk->image ? disk_image_close(disk->image) : 0;
        if (r < 0) /* nobody is left to hand it to, and what the guest flushed is there */
                fprintf(stderr, "onggi-vmm: disk %s: what the guest wrote last is lost: %s\n", disk->path,
                        strerror(-r));
        free(disk->path);
        pthread_cond_destroy(&disk->idle);
        pthread_mutex_destroy(&disk->lock);
        free(disk);
}

DEFINE_CLEANUP(disk, struct disk, disk_close)

int disk_open(struct vmm *vmm, const struct disk_settings *settings, struct disk **result, struct error *err)
{
        _cleanup_(disk) struct disk *disk = calloc(1, sizeof(*disk));
        if (!disk)
                return error_memory(err);
        disk->vmm = vmm;
        disk->full_pauses = settings->full_pauses;
        disk->path = strdup(settings->path);
        if (!disk->path)
                return error_memory(err);
        rate_limit_set(&disk->limit, &settings->rate, now());
        disk->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
        disk->idle = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
        const struct disk_image_settings image = {
                .path = settings->path,
                .format = settings->format,
                .read_only = settings->read_only,
                .backing = settings->backing[0] ? settings->backing : NULL,
        };
        int r = disk_image_open(&image, &disk->image, err);
        if (r < 0)
                return r;
        if (disk->image->probed && disk->image->qcow2)
                fprintf(stderr,
                        "onggi-vmm: disk %s begins as a qcow2 image and is taken for one; format=raw or "
                        "format=qcow2 says what it is\n",
                        settings->path);
        r = doorbells_open(vmm, &disk->transport, settings->queues, disk->doorbells, err);
        if (r < 0)
                return r;
        disk->queue_count = settings->queues;
        for (unsigned i = 0; i < disk->queue_count; i++) {
                disk->queues[i] = (struct disk_queue){ .disk = disk, .index = i };
                forget_waiting(&disk->queues[i]);
        }
        const struct block_backend backend = {
                .owner = disk,
                .size = disk->image->size,
                .read_only = settings->read_only,
                .can_discard = true,
                .submit = submit,
                .drain = drain,
        };
        virtio_block_init(&disk->block, &backend, settings->serial, disk->queue_count, disk->slots, REQUESTS_MAX);
        r = machine_add_virtio(&vmm->machine, &disk->transport, &disk->block.device);
        if (r < 0)
                return error_code(err, r, "there is no place for disk %s on the machine", settings->path);
        *result = TAKE_PTR(disk);
        return 0;
}

void disk_print_statistics(const struct disk *disk)
{
        uint64_t requests = 0, bytes = 0;
        for (unsigned i = 0; i < disk->queue_count; i++) {
                requests += disk->queues[i].requests;
                bytes += disk->queues[i].bytes;
        }
        fprintf(stderr, "disk: %" PRIu64 " requests, %" PRIu64 " bytes\n", requests, bytes);
}
