/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that does what the fuzzer says to one virtio device: it writes registers, configuration space and memory,
 * makes well-formed and ill-formed requests, and lets the back end do something in between.
 *
 * A target names its device and what its back end can do, and calls fuzz_device(). The sanitizers are the judges;
 * besides, the device must be as good as new after a reset.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "machine/machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_RAM = 0x40000, FUZZ_RINGS = 0x8000, FUZZ_RING_STEP = 0x4000, FUZZ_QUEUE_SIZE = 16, FUZZ_STATE = 65536 };

struct fuzz_input {
        const uint8_t *data;
        size_t size;
};

struct fuzz_guest {
        struct machine machine;
        struct virtio_transport transport;
        struct virtio_device *device;
        unsigned char *ram;
        uint64_t registers;
        uint16_t available[VIRTIO_QUEUES_MAX];
        void (*event)(struct fuzz_input *input); /* something happens on the host's side; may be NULL */
};

static struct fuzz_guest fuzz_guest;

static uint64_t fuzz_take(struct fuzz_input *input, unsigned bytes)
{
        uint64_t value = 0;
        for (unsigned i = 0; i < bytes && input->size; i++, input->data++, input->size--)
                value |= (uint64_t)*input->data << (8 * i);
        return value;
}

/* ---- The host of the machine: it hears everything and does nothing ---- */

static void fuzz_console(void *context, const uint8_t *bytes, size_t length)
{
        (void)context;
        (void)bytes;
        (void)length;
}

static void fuzz_room(void *context)
{
        (void)context;
}

static void fuzz_line(void *context, unsigned line, bool raised)
{
        (void)context;
        (void)line;
        (void)raised;
}

static void fuzz_message(void *context, uint64_t address, uint32_t data)
{
        (void)context;
        (void)address;
        (void)data;
}

static void fuzz_log(void *context, const char *device, const char *why)
{
        (void)context;
        (void)device;
        (void)why;
}

static int64_t fuzz_wall_clock(void *context)
{
        (void)context;
        return 0;
}

static uint64_t fuzz_clock(void *context)
{
        (void)context;
        return 0;
}

static void fuzz_end(void *context, enum machine_end end, unsigned code)
{
        (void)context;
        (void)end;
        (void)code;
}

/* ---- What the guest does ---- */

static void fuzz_mmio(uint64_t at, unsigned size, bool write, uint64_t value)
{
        uint8_t bytes[8];
        memcpy(bytes, &value, sizeof(bytes));
        machine_mmio(&fuzz_guest.machine, gpa(at), size, write, bytes);
}

static void fuzz_register(unsigned offset, unsigned size, uint64_t value)
{
        fuzz_mmio(fuzz_guest.registers + offset, size, true, value);
}

/* What a sound driver does first; the features are the fuzzer's. */
static void fuzz_start(struct fuzz_input *input)
{
        uint64_t features = fuzz_take(input, 8) | 1ULL << 32;
        features &= fuzz_guest.device->operations->features(fuzz_guest.device) | 1ULL << 28 | 1ULL << 29 | 1ULL << 32 |
                    1ULL << 34;
        fuzz_register(0x14, 1, 0);
        fuzz_register(0x14, 1, 3);
        for (unsigned i = 0; i < 2; i++) {
                fuzz_register(0x08, 4, i);
                fuzz_register(0x0c, 4, features >> (32 * i));
        }
        fuzz_register(0x14, 1, 11);
        for (unsigned i = 0; i < fuzz_guest.device->queue_count; i++) {
                uint64_t rings = FUZZ_RINGS + i * FUZZ_RING_STEP;
                fuzz_register(0x16, 2, i);
                fuzz_register(0x18, 2, FUZZ_QUEUE_SIZE);
                fuzz_register(0x20, 8, rings);
                fuzz_register(0x28, 8, rings + 0x1000);
                fuzz_register(0x30, 8, rings + 0x2000);
                fuzz_register(0x1c, 2, 1);
                memset(fuzz_guest.ram + rings, 0, FUZZ_RING_STEP);
                fuzz_guest.available[i] = 0;
        }
        fuzz_register(0x14, 1, 15);
}

/* A request of some buffers at the fuzzer's addresses, in the form of a split ring. */
static void fuzz_request(struct fuzz_input *input)
{
        unsigned queue = (unsigned)fuzz_take(input, 1) % fuzz_guest.device->queue_count;
        unsigned count = (unsigned)fuzz_take(input, 1) % 5 + 1;
        unsigned char *rings = fuzz_guest.ram + FUZZ_RINGS + queue * FUZZ_RING_STEP;
        uint16_t head = (uint16_t)(fuzz_guest.available[queue] * 3 % FUZZ_QUEUE_SIZE);
        for (unsigned i = 0; i < count; i++) {
                uint64_t address = fuzz_take(input, 2), kind = fuzz_take(input, 1);
                uint32_t length = (uint32_t)fuzz_take(input, 2) + 1;
                uint16_t flags = (uint16_t)((i + 1 < count ? 1 : 0) | (kind & 1 ? 2 : 0) | (kind == 255 ? 4 : 0));
                uint16_t next = (uint16_t)((head + i + 1) % FUZZ_QUEUE_SIZE);
                unsigned char *descriptor = rings + (head + i) % FUZZ_QUEUE_SIZE * 16;
                memcpy(descriptor, &address, 8);
                memcpy(descriptor + 8, &length, 4);
                memcpy(descriptor + 12, &flags, 2);
                memcpy(descriptor + 14, &next, 2);
        }
        memcpy(rings + 0x1000 + 4 + fuzz_guest.available[queue]++ % FUZZ_QUEUE_SIZE * 2, &head, 2);
        memcpy(rings + 0x1000 + 2, &fuzz_guest.available[queue], 2);
        fuzz_register(0x3000 + queue * 4, 2, queue);
}

static void fuzz_memory(struct fuzz_input *input)
{
        uint64_t at = fuzz_take(input, 3) % FUZZ_RAM, length = fuzz_take(input, 1);
        for (uint64_t i = 0; i < length && at + i < FUZZ_RAM; i++)
                fuzz_guest.ram[at + i] = (uint8_t)fuzz_take(input, 1);
}

static void fuzz_access(struct fuzz_input *input)
{
        uint64_t what = fuzz_take(input, 1), at = fuzz_take(input, 2);
        unsigned size = 1u << (what >> 2 & 3);
        /* its registers, its vectors, configuration space, or anywhere */
        const uint64_t bases[] = { fuzz_guest.registers, PCI_WINDOW_START + 0x4000, PCI_ECAM_START + 0x8000, at << 16 };
        uint64_t value = what & 16 ? fuzz_take(input, 8) : fuzz_take(input, 2);
        fuzz_mmio(bases[what & 3] + at % 0x4000, size, what & 32, value);
}

/* A restore of what was saved must be taken; one of the fuzzer's bytes may be. */
static void fuzz_saved_state(struct fuzz_input *input)
{
        static uint8_t saved[FUZZ_STATE];
        struct state_writer writer = { .data = saved, .room = sizeof(saved) };
        virtio_pci_save(&fuzz_guest.transport, &writer);
        unsigned changes = (unsigned)fuzz_take(input, 1) % 4;
        for (unsigned i = 0; i < changes; i++)
                saved[fuzz_take(input, 2) % writer.length] = (uint8_t)fuzz_take(input, 1);
        struct state_reader reader = { .data = saved, .length = writer.length };
        (void)virtio_pci_restore(&fuzz_guest.transport, &reader);
}

static void fuzz_step(struct fuzz_input *input)
{
        switch (fuzz_take(input, 1) % 8) {
        case 0: fuzz_start(input); break;
        case 1:
        case 2: fuzz_request(input); break;
        case 3: fuzz_memory(input); break;
        case 4: fuzz_saved_state(input); break;
        case 5:
                if (fuzz_guest.event)
                        fuzz_guest.event(input);
                break;
        default: fuzz_access(input); break;
        }
}

static void fuzz_device(struct virtio_device *device, void (*event)(struct fuzz_input *input), const uint8_t *data,
                        size_t size)
{
        const struct machine_host host = {
                .console_send = fuzz_console,
                .console_room = fuzz_room,
                .interrupt_line = fuzz_line,
                .message_interrupt = fuzz_message,
                .log = fuzz_log,
                .wall_clock = fuzz_wall_clock,
                .clock = fuzz_clock,
                .end = fuzz_end,
        };
        struct fuzz_input input = { data, size };
        memset(&fuzz_guest, 0, sizeof(fuzz_guest));
        fuzz_guest.device = device;
        fuzz_guest.event = event;
        fuzz_guest.ram = aligned_alloc(4096, FUZZ_RAM); /* on the heap, so that what is beyond it is poisoned */
        memset(fuzz_guest.ram, 0, FUZZ_RAM);
        if (machine_init(&fuzz_guest.machine, &host) < 0 ||
            guest_memory_add(&fuzz_guest.machine.memory, gpa(0), FUZZ_RAM, fuzz_guest.ram, GUEST_RAM) < 0 ||
            machine_add_virtio(&fuzz_guest.machine, &fuzz_guest.transport, device) < 0)
                abort();
        fuzz_mmio(PCI_ECAM_START + 0x8004, 2, true, 6);
        fuzz_guest.registers = PCI_WINDOW_START;
        while (input.size)
                fuzz_step(&input);

        /* After a reset it serves a sound driver, wherever its registers have gone. */
        fuzz_mmio(PCI_ECAM_START + 0x8004, 2, true, 0);
        fuzz_mmio(PCI_ECAM_START + 0x8010, 4, true, PCI_WINDOW_START);
        fuzz_mmio(PCI_ECAM_START + 0x8014, 4, true, PCI_WINDOW_START + 0x4000);
        fuzz_mmio(PCI_ECAM_START + 0x8004, 2, true, 6);
        static const uint8_t none[8];
        fuzz_start(&(struct fuzz_input){ none, sizeof(none) });
        if (fuzz_guest.transport.status != 15)
                abort();
        free(fuzz_guest.ram);
}
