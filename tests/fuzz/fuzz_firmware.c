/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What firmware reaches of a machine, under one that does what the fuzzer says: fw_cfg's ports and requests in memory, the
 * flash chip's commands, and the configuration space of the chip set.
 */
#include "machine/boot_firmware.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAM = 16 << 20, ROM = 0x20000, VARIABLES = 0x2000, REQUEST = 0x1000 };

static void send(void *context, const uint8_t *bytes, size_t length)
{
        (void)context;
        (void)bytes;
        (void)length;
}

static void nothing(void *context)
{
        (void)context;
}

static void line(void *context, unsigned number, bool raised)
{
        (void)context;
        (void)number;
        (void)raised;
}

static void message(void *context, uint64_t address, uint32_t word)
{
        (void)context;
        (void)address;
        (void)word;
}

static int64_t wall_clock(void *context)
{
        (void)context;
        return 0;
}

static uint64_t now(void *context)
{
        (void)context;
        return 0;
}

static void end(void *context, enum machine_end how, unsigned code)
{
        (void)context;
        (void)how;
        (void)code;
}

static struct machine machine;
static struct firmware firmware;

static uint64_t take(const uint8_t **data, size_t *size, unsigned bytes)
{
        uint64_t value = 0;
        for (unsigned i = 0; i < bytes && *size; i++, (*data)++, (*size)--)
                value |= (uint64_t) * *data << (8 * i);
        return value;
}

static void step(const uint8_t **data, size_t *size)
{
        static const uint16_t ports[] = { 0x510, 0x511, 0x514, 0x518, 0xcf8, 0xcfc, 0x70, 0x71 };
        uint8_t what = (uint8_t)take(data, size, 1), bytes[8];
        uint64_t at = take(data, size, 2), value = take(data, size, 4);
        unsigned width = 1u << (what >> 4 & 3);
        memcpy(bytes, &value, sizeof(bytes));
        if (what & 0x80) {
                machine_mmio(&machine, gpa((1ULL << 32) - ROM - VARIABLES + at % VARIABLES), width, what & 0x40, bytes);
        } else if (what & 8) {
                /* A request as firmware makes it: anywhere, of any item. */
                uint8_t request[16];
                for (unsigned i = 0; i < sizeof(request); i++)
                        request[i] = (uint8_t)take(data, size, 1);
                (void)guest_memory_write(&machine.memory, gpa(REQUEST), request, sizeof(request));
                const uint32_t address = __builtin_bswap32(REQUEST);
                memcpy(bytes, &address, sizeof(address));
                machine_port(&machine, 0x518, 4, true, bytes, 1);
        } else {
                machine_port(&machine, ports[what & 7], width > 4 ? 4 : width, what & 0x40, bytes, 1);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct machine_host host = { .console_send = send,
                                           .console_room = nothing,
                                           .interrupt_line = line,
                                           .message_interrupt = message,
                                           .wall_clock = wall_clock,
                                           .clock = now,
                                           .end = end };
        static uint8_t *ram;
        uint8_t *rom = aligned_alloc(GUEST_PAGE_SIZE, ROM), *variables = aligned_alloc(GUEST_PAGE_SIZE, VARIABLES);
        if (!ram)
                ram = aligned_alloc(GUEST_PAGE_SIZE, RAM);
        if (!ram || !rom || !variables)
                abort();
        memset(rom, 0, ROM);
        memset(variables, 0xff, VARIABLES);
        if (take(&data, &size, 1) & 1)
                memcpy(rom + 40, "_FVH", 4);

        const struct topology topology = { 1, 2, 1 };
        const struct boot boot = { .kernel = rom, .kernel_length = 100, .command_line = "words" };
        const struct firmware_settings settings = { .rom = rom,
                                                    .rom_length = ROM,
                                                    .variables = variables,
                                                    .variables_length = VARIABLES,
                                                    .topology = &topology,
                                                    .boot = &boot };
        struct cpu_state entry;
        const char *reason;
        if (machine_init(&machine, &host) < 0 || guest_memory_add(&machine.memory, gpa(0), RAM, ram, GUEST_RAM) < 0 ||
            boot_firmware(&firmware, &machine, &settings, &entry, &reason) < 0)
                abort();
        while (size)
                step(&data, &size);
        free(rom);
        free(variables);
        return 0;
}
