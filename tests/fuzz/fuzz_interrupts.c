/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt controllers and timers under a guest that writes anything anywhere, while lines, messages and time come as they
 * like. The sanitizers are the judges; besides, what is taken is a vector that was asked for, and time only goes forward.
 */
#include "machine/interrupts.h"

#include <stddef.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CPUS = 3 };

struct input {
        const uint8_t *data;
        size_t size;
};

static uint64_t take(struct input *input, unsigned bytes)
{
        uint64_t value = 0;
        for (unsigned i = 0; i < bytes && input->size; i++, input->data++, input->size--)
                value |= (uint64_t)*input->data << (8 * i);
        return value;
}

static uint64_t now;

static uint64_t on_clock(void *context)
{
        (void)context;
        return now;
}

static uint64_t on_tsc(void *context)
{
        (void)context;
        return now * 3;
}

static void on_wake(void *context, unsigned cpu)
{
        (void)context;
        if (cpu >= CPUS)
                abort();
}

struct board {
        struct interrupts interrupts;
        struct interrupt_cpu cpus[CPUS];
        struct bus ports, mmio;
};

static void use_ports(struct board *board, struct input *input)
{
        static const uint16_t there[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61 };
        uint16_t port = there[take(input, 1) % (sizeof(there) / sizeof(there[0]))];
        unsigned width = 1U << (take(input, 1) % 3);
        if (take(input, 1) & 1)
                bus_write(&board->ports, port, width, take(input, 4));
        else
                bus_read(&board->ports, port, width);
}

static void use_page(struct board *board, struct input *input)
{
        uint8_t bytes[8];
        uint64_t value = take(input, 4);
        unsigned width = 1U << (take(input, 1) % 4), where = (unsigned)take(input, 2);
        for (unsigned i = 0; i < 8; i++)
                bytes[i] = (uint8_t)(value >> 8 * (i & 3));
        interrupts_mmio(&board->interrupts, where % CPUS, LOCAL_APIC_BASE + where / CPUS % 0x1010, width, value & 1,
                        bytes);
}

static void use_msr(struct board *board, struct input *input)
{
        static const uint32_t there[] = { MSR_APIC_BASE, MSR_TSC_DEADLINE };
        unsigned which = (unsigned)take(input, 1);
        uint32_t index = which < 2 ? there[which] : MSR_X2APIC_FIRST - 2 + which;
        uint64_t value = take(input, 8);
        interrupts_msr(&board->interrupts, which % CPUS, index, value & 1, &value);
}

static void use_io_apic(struct board *board, struct input *input)
{
        unsigned offset = (unsigned)take(input, 1);
        if (offset & 1)
                bus_read(&board->mmio, IO_APIC_BASE + (offset & 0xf0), 4);
        else
                bus_write(&board->mmio, IO_APIC_BASE + (offset & 0xf0), 4, take(input, 4));
}

/* What a CPU's loop does. */
static void run_cpu(struct board *board, unsigned cpu)
{
        interrupts_run(&board->interrupts, cpu);
        for (unsigned i = 0; i < 4 && interrupts_next(&board->interrupts, cpu) >= 0; i++) {
                int wanted = interrupts_next(&board->interrupts, cpu);
                uint8_t vector = interrupts_take(&board->interrupts, cpu);
                if (wanted && vector != wanted)
                        abort();
        }
        if (interrupts_deadline(&board->interrupts, cpu) < now && cpu)
                abort(); /* it was run just now */
}

static void save_and_restore(struct board *board, struct input *input)
{
        struct interrupt_cpu *cpu = &board->cpus[take(input, 1) % CPUS];
        struct pit_state pit;
        struct pic_state pics[2] = { board->interrupts.pics.pics[0].state, board->interrupts.pics.pics[1].state };
        struct io_apic_state io_apic = board->interrupts.io_apic.state;
        uint32_t registers[CPU_APIC_REGISTERS];
        pit_get(&board->interrupts.pit, &pit);
        local_apic_get(&cpu->apic, registers);
        registers[take(input, 1) % CPU_APIC_REGISTERS] ^= (uint32_t)take(input, 4);
        pit.channels[take(input, 1) % PIT_CHANNELS].count = (uint32_t)take(input, 4);
        pit.channels[0].mode ^= (uint8_t)(take(input, 1) & 7);
        io_apic.redirection[take(input, 1) % IO_APIC_LINES] ^= take(input, 8);
        pit_set(&board->interrupts.pit, &pit);
        pic_set(&board->interrupts.pics, pics);
        io_apic_set(&board->interrupts.io_apic, &io_apic);
        local_apic_set(&cpu->apic, registers, cpu->apic.base, take(input, 8));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const uint32_t numbers[CPUS] = { 0, 1, 17 };
        static struct board board;
        struct input input = { data, size };
        now = 1000000;
        board = (struct board){ 0 };
        interrupts_init(&board.interrupts, &(struct interrupts_host){ NULL, on_clock, on_tsc, 3000000, on_wake },
                        board.cpus, numbers, CPUS);
        if (interrupts_claim(&board.interrupts, &board.ports, &board.mmio) < 0)
                abort();
        while (input.size) {
                unsigned what = (unsigned)take(&input, 1);
                switch (what % 9) {
                case 0: use_ports(&board, &input); break;
                case 1: use_page(&board, &input); break;
                case 2: use_msr(&board, &input); break;
                case 3: use_io_apic(&board, &input); break;
                case 4: interrupts_line(&board.interrupts, what / 9, take(&input, 1) & 1); break;
                case 5: interrupts_message(&board.interrupts, take(&input, 4), (uint32_t)take(&input, 4)); break;
                case 6: now += take(&input, 5); break;
                case 7: run_cpu(&board, what / 9 % CPUS); break;
                default: save_and_restore(&board, &input); break;
                }
        }
        return 0;
}
