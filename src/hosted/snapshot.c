/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "hosted/guest_ram.h"
#include "hosted/snapshot_memory.h"
#include "hosted/vmm_private.h"
#include "machine/generation.h"
#include "machine/machine_state.h"

#define CHANGED_VERSION 1

/* ---- Saving ---- */

/* So long may requests be under way that a disk has in hand. */
#define PATIENCE_MS 10000

/*
 * Waits until devices have answered all that they took off their queues. The lock is held, and given up meanwhile.
 * Disks' threads tell nobody when they are done, and need not for this: it is a millisecond, and seldom.
 */
static int wait_for_devices(struct vmm *vmm, struct error *err)
{
        for (unsigned waited = 0; machine_is_busy(&vmm->machine); waited++) {
                struct timespec until;
                if (waited == PATIENCE_MS)
                        return error_set(err, -EBUSY, "a device has requests in hand that do not come to an end");
                clock_gettime(CLOCK_REALTIME, &until);
                until.tv_nsec += 1000000;
                until.tv_sec += until.tv_nsec / 1000000000;
                until.tv_nsec %= 1000000000;
                pthread_cond_timedwait(&vmm->rested, &vmm->lock, &until);
        }
        return 0;
}

/* More than the records take: CPUs are the largest, devices are measured. */
static size_t room_for(const struct vmm *vmm, uint64_t memory)
{
        struct state_writer measure = { .room = 0 };
        machine_save(&vmm->machine, &measure);
        return SNAPSHOT_HEADER_SIZE + measure.length + vmm->processor_count * 2 * sizeof(struct cpu_state) +
               sizeof(struct chip_state) * 2 + sizeof(struct snapshot_settings) * 2 + snapshot_bitmap_size(memory);
}

static int write_state(struct vmm *vmm, int fd, struct snapshot_header *header, const uint64_t *pages,
                       struct error *err)
{
        uint64_t memory = guest_memory_ram_size(&vmm->machine.memory);
        size_t room = room_for(vmm, memory);
        _cleanup_free_ uint8_t *bytes = malloc(room);
        if (!bytes)
                return error_memory(err);
        struct state_writer writer = { .data = bytes, .room = room, .length = SNAPSHOT_HEADER_SIZE };
        struct snapshot_settings settings = { .memory = memory, .topology = vmm->settings->topology };
        if (vmm->settings->cpu)
                TEXT_COPY(settings.cpu, vmm->settings->cpu);
        snapshot_settings_save(&settings, &writer);
        if (pages) {
                state_begin(&writer, "changed", CHANGED_VERSION);
                state_bytes(&writer, pages, snapshot_bitmap_size(memory));
                state_end(&writer);
        }
        int r = machine_records_save(vmm, &writer, err);
        if (r < 0)
                return r;
        if (writer.length > room)
                return error_set(err, -ENOSPC, "the machine's state is larger than any can be");
        header->length = writer.length - SNAPSHOT_HEADER_SIZE;
        header->checksum = snapshot_checksum(bytes + SNAPSHOT_HEADER_SIZE, header->length);
        snapshot_header_save(header, bytes);
        if (ftruncate(fd, 0) < 0 || pwrite(fd, bytes, writer.length, 0) != (ssize_t)writer.length || fdatasync(fd) < 0)
                return error_errno(err, "cannot write the state of the machine");
        return 0;
}

/* The lock is held, processors and devices rest. */
static int save(struct vmm *vmm, int state, int memory, const uint64_t *pages, struct error *err)
{
        struct snapshot_header header = { .changes = pages };
        if (getrandom(header.id, sizeof(header.id), 0) != sizeof(header.id))
                return error_errno(err, "cannot name the snapshot");
        if (pages)
                memcpy(header.base, vmm->snapshot_id, sizeof(header.base));
        int r = snapshot_memory_write(&vmm->machine.memory, memory, &header, pages, err);
        if (!r && fdatasync(memory) < 0)
                r = error_errno(err, "cannot write the memory of the machine");
        if (!r)
                r = write_state(vmm, state, &header, pages, err);
        if (!r)
                memcpy(vmm->snapshot_id, header.id, sizeof(header.id));
        return r;
}

/* The pages that changed go into the bitmap even if the snapshot then fails: the next one is whole, or fails too. */
static int save_changes(struct vmm *vmm, int state, int memory, struct error *err)
{
        uint64_t size = guest_memory_ram_size(&vmm->machine.memory);
        _cleanup_free_ uint64_t *pages = calloc(1, snapshot_bitmap_size(size));
        if (!pages)
                return error_memory(err);
        if (!vmm->watching)
                return error_set(err, -EINVAL, "changes are saved against a snapshot that was taken with \"watch\"");
        vmm->watching = false;
        int r = snapshot_watch_collect(vmm, pages, err);
        if (!r)
                r = save(vmm, state, memory, pages, err);
        vmm->watching = !r;
        return r;
}

static int save_whole(struct vmm *vmm, int state, int memory, bool watch, struct error *err)
{
        uint64_t size = guest_memory_ram_size(&vmm->machine.memory);
        int r = watch ? snapshot_watch_start(vmm, err) : 0;
        _cleanup_free_ uint64_t *before = calloc(1, snapshot_bitmap_size(size));
        if (!r && !before)
                r = error_memory(err);
        if (!r && watch) /* what changed until now is in the snapshot */
                r = snapshot_watch_collect(vmm, before, err);
        if (!r)
                r = save(vmm, state, memory, NULL, err);
        if (!watch && vmm->watching)
                snapshot_watch_stop(vmm);
        vmm->watching = watch && !r;
        return r;
}

int snapshot_save(struct vmm *vmm, int state, int memory, enum snapshot_kind kind, struct error *err)
{
        if (vmm->share_count)
                return error_set(err, -EBUSY,
                                 "a machine with a shared folder cannot be saved: what its guest has open "
                                 "there is the host's");
        if (vmm->settings->firmware || vmm->settings->iso)
                return error_set(err, -EBUSY,
                                 "a machine that started by firmware cannot be saved: its flash and CD drive "
                                 "keep no state");
        bool rested = vmm->paused;
        processors_pause(vmm);
        pthread_mutex_lock(&vmm->lock);
        int r = vmm->failed || vmm->end != MACHINE_RUNS ? error_set(err, -ECANCELED, "the machine has ended")
                                                        : wait_for_devices(vmm, err);
        if (!r)
                r = kind == SNAPSHOT_CHANGES ? save_changes(vmm, state, memory, err)
                                             : save_whole(vmm, state, memory, kind == SNAPSHOT_WATCH, err);
        pthread_mutex_unlock(&vmm->lock);
        if (!rested)
                processors_resume(vmm);
        return r;
}

/* ---- Opening ---- */

/* One folder: the whole, or changes. */
struct layer {
        char *name;     /* of its state file */
        uint8_t *state; /* the file */
        size_t length;
        int memory;
        struct snapshot_header header;
        struct snapshot_settings settings;
        struct state_reader reader; /* at the record of CPU 0 */
        const uint8_t *pages;       /* of changes: into `state` */
};

struct snapshot {
        unsigned count;
        struct layer *layers;
};

static int open_memory(struct layer *layer, int folder, const char *path, struct error *err)
{
        uint8_t trailer[SNAPSHOT_TRAILER];
        struct stat st;
        uint64_t memory = layer->settings.memory;
        layer->memory = openat(folder, "memory", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (layer->memory < 0 || fstat(layer->memory, &st) < 0)
                return error_errno(err, "cannot open %s/memory", path);
        if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != memory + SNAPSHOT_TRAILER)
                return error_set(err, -EINVAL,
                                 "%s/memory is not a file of %" PRIu64 " bytes, as the state beside it demands", path,
                                 memory + SNAPSHOT_TRAILER);
        if (pread(layer->memory, trailer, sizeof(trailer), (off_t)memory) != sizeof(trailer))
                return error_errno(err, "cannot read %s/memory", path);
        _cleanup_free_ char *name = text_format("%s/memory", path);
        return name ? snapshot_check_trailer(name, trailer, &layer->header, memory, err) : error_memory(err);
}

/* The bitmap of changed pages, if that is what it is. */
static int take_pages(struct layer *layer, struct error *err)
{
        struct state_reader *reader = &layer->reader;
        size_t size = snapshot_bitmap_size(layer->settings.memory);
        if (!layer->header.changes)
                return 0;
        int r = state_open(reader, "changed", CHANGED_VERSION);
        if (r < 0 || reader->end - reader->at != size)
                return error_set(err, -EINVAL, "%s does not tell which pages changed", layer->name);
        layer->pages = reader->data + reader->at;
        reader->at = reader->end;
        return 0;
}

static int open_layer(struct layer *layer, const char *path, struct error *err)
{
        layer->memory = -1;
        _cleanup_close_ int folder = open(path, O_DIRECTORY | O_PATH | O_CLOEXEC);
        if (folder < 0)
                return error_errno(err, "cannot open the snapshot %s", path);
        layer->name = text_format("%s/state", path);
        if (!layer->name)
                return error_memory(err);
        struct stat st;
        char *bytes;
        _cleanup_close_ int state = openat(folder, "state", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (state < 0 || fstat(state, &st) < 0)
                return error_errno(err, "cannot open %s", layer->name);
        if (!S_ISREG(st.st_mode))
                return error_set(err, -EINVAL, "%s is not a file", layer->name);
        int r = file_read_fd(state, layer->name, SNAPSHOT_STATE_MAX, &bytes, &layer->length, err);
        if (r < 0)
                return r;
        layer->state = (uint8_t *)bytes;
        r = snapshot_parse(layer->name, layer->state, layer->length, &layer->header, &layer->settings, &layer->reader,
                           err);
        if (!r)
                r = take_pages(layer, err);
        return r < 0 ? r : open_memory(layer, folder, path, err);
}

void snapshot_close(struct snapshot *snapshot)
{
        for (unsigned i = 0; i < snapshot->count; i++) {
                struct layer *layer = &snapshot->layers[i];
                if (layer->memory >= 0)
                        close(layer->memory);
                free(layer->state);
                free(layer->name);
        }
        free(snapshot->layers);
        free(snapshot);
}

DEFINE_CLEANUP(snapshot, struct snapshot, snapshot_close)

/* The first is whole; each other one is against the one before it. */
static int check_order(const struct snapshot *snapshot, unsigned i, struct error *err)
{
        const struct layer *layer = &snapshot->layers[i], *before = layer - 1;
        if (!i)
                return layer->header.changes
                               ? error_set(err, -EINVAL,
                                           "%s has changes alone; the snapshot that they are against comes before it",
                                           layer->name)
                               : 0;
        if (!layer->header.changes || memcmp(layer->header.base, before->header.id, SNAPSHOT_ID_SIZE) != 0 ||
            layer->settings.memory != before->settings.memory)
                return error_set(err, -EINVAL, "%s are not changes against %s", layer->name, before->name);
        return 0;
}

int snapshot_open(char *const *folders, struct snapshot **result, struct error *err)
{
        _cleanup_(snapshot) struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
        if (!snapshot)
                return error_memory(err);
        snapshot->layers = calloc(list_length(folders), sizeof(*snapshot->layers));
        if (!snapshot->layers)
                return error_memory(err);
        for (unsigned i = 0; folders[i]; i++) {
                snapshot->count++;
                int r = open_layer(&snapshot->layers[i], folders[i], err);
                if (!r)
                        r = check_order(snapshot, i, err);
                if (r < 0)
                        return r;
        }
        *result = TAKE_PTR(snapshot);
        return 0;
}

const struct snapshot_settings *snapshot_settings(const struct snapshot *snapshot)
{
        return &snapshot->layers[snapshot->count - 1].settings;
}

/* ---- Going on ---- */

/* Reads those pages of a region that changed over what is there. */
static int read_changes(const struct layer *layer, const struct guest_memory_region *region, uint64_t offset,
                        struct error *err)
{
        for (uint64_t at = 0; at < region->length; at += GUEST_PAGE_SIZE) {
                uint64_t page = (offset + at) / GUEST_PAGE_SIZE;
                if (!(layer->pages[page / 8] >> (page % 8) & 1))
                        continue;
                ssize_t n = pread(layer->memory, region->host + at, GUEST_PAGE_SIZE, (off_t)(offset + at));
                if (n != GUEST_PAGE_SIZE)
                        return error_errno(err, "cannot read the memory beside %s", layer->name);
        }
        return 0;
}

int snapshot_map(const struct snapshot *snapshot, struct vmm *vmm, struct error *err)
{
        struct guest_memory *memory = &vmm->machine.memory;
        int r = guest_ram_map_file(memory, snapshot->layers[0].settings.memory, snapshot->layers[0].memory, err);
        for (unsigned i = 1; i < snapshot->count && !r; i++) {
                uint64_t offset = 0;
                for (unsigned j = 0; j < memory->count && !r; j++) {
                        r = read_changes(&snapshot->layers[i], &memory->regions[j], offset, err);
                        offset += memory->regions[j].length;
                }
        }
        return r;
}

int snapshot_restore(const struct snapshot *snapshot, struct vmm *vmm, struct error *err)
{
        const struct layer *last = &snapshot->layers[snapshot->count - 1];
        struct state_reader reader = last->reader;
        uint8_t generation[GENERATION_SIZE];
        int r = machine_records_restore(vmm, &reader, last->name, err);
        if (r < 0)
                return r;
        if (reader.at != reader.length)
                return error_set(err, -EINVAL, "%s goes on where it should end", last->name);
        for (unsigned i = 0; i < vmm->processor_count; i++)
                vmm->operations->was_paused(vmm->processors[i].vcpu);
        if (getrandom(generation, sizeof(generation), 0) != sizeof(generation))
                return error_errno(err, "cannot tell the guest that it is another");
        r = generation_renew(&vmm->machine, generation);
        return r < 0 ? error_code(err, r, "cannot tell the guest that it is another") : 0;
}
