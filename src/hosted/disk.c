/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "hosted/disk_file.h"
#include "hosted/thread.h"
#include "hosted/vmm_private.h"
#include "machine/virtio/block.h"

#define QUEUES_MAX   8
#define REQUESTS_MAX 64

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
        struct disk_file file;
        struct virtio_block block;
        struct virtio_transport transport;
        unsigned queue_count;
        struct disk_queue queues[QUEUES_MAX];
        struct doorbell doorbells[QUEUES_MAX];
        struct virtio_block_slot slots[REQUESTS_MAX];
        pthread_mutex_t lock; /* over `busy` alone; taken inside the machine's */
        pthread_cond_t idle;
        unsigned generation; /* counts drains; under the machine's lock */
        bool ending;
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

static void set_busy(struct disk_queue *queue, bool busy)
{
        pthread_mutex_lock(&queue->disk->lock);
        queue->busy = busy;
        if (!busy)
                pthread_cond_broadcast(&queue->disk->idle);
        pthread_mutex_unlock(&queue->disk->lock);
}

/* The machine's lock is held. All that waits, as a list. */
static struct block_request *take(struct disk_queue *queue)
{
        struct block_request *first = queue->first;
        forget_waiting(queue);
        queue->generation = queue->disk->generation;
        if (first)
                set_busy(queue, true);
        return first;
}

/* Answers that come after a reset are nobody's: their requests are gone. */
static void complete(struct disk_queue *queue, struct block_request *requests, const int *results)
{
        struct disk *disk = queue->disk;
        for (unsigned i = 0; requests && queue->generation == disk->generation; i++) {
                struct block_request *next = requests->next;
                virtio_block_complete(&disk->block, requests, results[i]);
                requests = next;
        }
}

static void serve(struct disk_queue *queue)
{
        struct disk *disk = queue->disk;
        pthread_mutex_t *machine = &disk->vmm->lock;
        int results[REQUESTS_MAX];

        pthread_mutex_lock(machine);
        virtio_pci_notify(&disk->transport, queue->index);
        struct block_request *requests;
        while ((requests = take(queue))) {
                unsigned count = 0;
                pthread_mutex_unlock(machine);
                for (struct block_request *request = requests; request; request = request->next) {
                        results[count++] = disk_file_run(&disk->file, request);
                        queue->requests++;
                        queue->bytes += request->length;
                }
                set_busy(queue, false);
                pthread_mutex_lock(machine);
                complete(queue, requests, results);
                virtio_pci_notify(&disk->transport, queue->index);
        }
        pthread_mutex_unlock(machine);
}

static void *serve_queue(void *context)
{
        struct disk_queue *queue = context;
        struct disk *disk = queue->disk;
        uint64_t count;
        vmm_confine_thread(disk->vmm, JAIL_DISK);
        while (!__atomic_load_n(&disk->ending, __ATOMIC_ACQUIRE))
                if (read(disk->doorbells[queue->index].fd, &count, sizeof(count)) == sizeof(count))
                        serve(queue);
        return NULL;
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
        uint64_t one = 1;
        __atomic_store_n(&disk->ending, true, __ATOMIC_RELEASE);
        for (unsigned i = 0; i < disk->queue_count; i++) {
                if (!disk->queues[i].started)
                        continue;
                (void)!write(disk->doorbells[i].fd, &one, sizeof(one));
                pthread_join(disk->queues[i].thread, NULL);
        }
        doorbells_close(disk->doorbells, disk->queue_count);
        disk_file_close(&disk->file);
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
        disk->file.fd = -1;
        disk->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
        disk->idle = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
        int r = disk_file_open(&disk->file, settings->path, settings->read_only, err);
        if (r < 0)
                return r;
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
                .size = disk->file.size,
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

/* ---- The option ---- */

static int set_item(const char *item, unsigned cpus, struct disk_settings *settings, struct error *err)
{
        (void)cpus;
        if (!strcmp(item, "ro")) {
                settings->read_only = true;
                return 0;
        }
        if (text_starts(item, "serial=")) {
                const char *serial = item + strlen("serial=");
                if (strlen(serial) > VIRTIO_BLOCK_SERIAL)
                        return error_set(err, -EINVAL, "a disk's serial has at most %d letters, not %s",
                                         VIRTIO_BLOCK_SERIAL, serial);
                TEXT_COPY(settings->serial, serial);
                return 0;
        }
        uint64_t queues;
        if (text_starts(item, "queues=") && !parse_u64(item + strlen("queues="), &queues)) {
                if (!queues || queues > QUEUES_MAX)
                        return error_set(err, -EINVAL, "a disk has 1 to %d queues, not %" PRIu64, QUEUES_MAX, queues);
                settings->queues = (unsigned)queues;
                return 0;
        }
        return error_set(err, -EINVAL, "--disk does not know \"%s\"; it takes FILE[,ro][,serial=TEXT][,queues=N]",
                         item);
}

int disk_parse(const char *text, unsigned cpus, struct disk_settings *settings, struct error *err)
{
        *settings = (struct disk_settings){ .queues = cpus < QUEUES_MAX ? cpus : QUEUES_MAX };
        _cleanup_free_ char *copy = strdup(text);
        if (!copy)
                return error_memory(err);
        char *rest = copy, *path = strsep(&rest, ",");
        if (!*path || strlen(path) >= sizeof(settings->path))
                return error_set(err, -EINVAL, "--disk needs a file: FILE[,ro][,serial=TEXT][,queues=N]");
        TEXT_COPY(settings->path, path);
        for (char *item; (item = strsep(&rest, ","));) {
                int r = set_item(item, cpus, settings, err);
                if (r < 0)
                        return r;
        }
        return 0;
}
