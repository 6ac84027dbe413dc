/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which pages the guest wrote: api.rst, KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG.
 *
 * The log and not the ring (KVM_CAP_DIRTY_LOG_RING): the ring must be made before the CPUs of every machine, saved or
 * not, costs each of them 64 KiB and an exit whenever it is full, and what it is better at (few changes in very much
 * memory) one bitmap of 32 KiB a GiB does well enough.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "engine/kvm/kvm_private.h"

static size_t bitmap_bytes(const struct kvm_change_slot *slot)
{
        return (slot->length / GUEST_PAGE_SIZE + 63) / 64 * sizeof(uint64_t);
}

/* With it, reading the log does not forget: pages are write-protected again in pieces, by KVM_CLEAR_DIRTY_LOG. */
static void choose_features(struct engine *engine)
{
        int there = ioctl(engine->vm, KVM_CHECK_EXTENSION, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
        struct kvm_enable_cap manual = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
                                         .args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE } };
        /*
         * Not KVM_DIRTY_LOG_INITIALLY_SET, which spares the write protection at the start by calling every page
         * changed: a first difference would be the whole memory.
         */
        if (there > 0 && ioctl(engine->vm, KVM_ENABLE_CAP, &manual) >= 0)
                engine->log_features = manual.args[0];
}

int kvm_watch_changes(struct engine *engine, bool on, struct error *err)
{
        if (on == engine->watching)
                return 0;
        if (on && !engine->log_features)
                choose_features(engine);
        for (unsigned i = 0; i < engine->slot_count; i++) {
                struct kvm_change_slot *slot = &engine->slots[i];
                if (!slot->length)
                        continue;
                if (on && !slot->bitmap)
                        slot->bitmap = malloc(bitmap_bytes(slot));
                if (on && !slot->bitmap)
                        return error_memory(err);
                struct kvm_userspace_memory_region region = {
                        .slot = i,
                        .flags = on ? KVM_MEM_LOG_DIRTY_PAGES : 0,
                        .guest_phys_addr = slot->start,
                        .memory_size = slot->length,
                        .userspace_addr = slot->host,
                };
                if (ioctl(engine->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
                        return error_errno(err, "KVM cannot watch which memory its guest writes");
        }
        engine->watching = on;
        return 0;
}

static int clear(struct engine *engine, unsigned i)
{
        struct kvm_change_slot *slot = &engine->slots[i];
        struct kvm_clear_dirty_log log = {
                .slot = i,
                .num_pages = (uint32_t)(slot->length / GUEST_PAGE_SIZE),
                .dirty_bitmap = slot->bitmap,
        };
        return engine->log_features && ioctl(engine->vm, KVM_CLEAR_DIRTY_LOG, &log) < 0 ? -errno : 0;
}

int kvm_collect_changes(struct engine *engine, struct engine_changes *changes, struct error *err)
{
        for (unsigned i = 0; i < engine->slot_count; i++) {
                struct kvm_change_slot *slot = &engine->slots[i];
                if (!slot->bitmap || !engine->watching)
                        continue;
                memset(slot->bitmap, 0, bitmap_bytes(slot));
                struct kvm_dirty_log log = { .slot = i, .dirty_bitmap = slot->bitmap };
                int r = ioctl(engine->vm, KVM_GET_DIRTY_LOG, &log) < 0 ? -errno : clear(engine, i);
                if (r < 0)
                        return error_code(err, r, "KVM does not tell which memory its guest wrote");
                const uint64_t *words = (const uint64_t *)(const void *)slot->bitmap;
                for (size_t j = 0; changes->pages[i] && j < bitmap_bytes(slot) / sizeof(uint64_t); j++)
                        changes->pages[i][j] |= words[j];
        }
        return 0;
}
