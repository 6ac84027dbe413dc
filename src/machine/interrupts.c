/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/interrupts.h"

#include <errno.h>

enum { TIMER_ON_IO_APIC = 2 };

static void wake(struct interrupts *interrupts, unsigned cpu)
{
        interrupts->host.wake(interrupts->host.context, cpu);
}

/* ---- Messages ---- */

static void deliver(struct interrupt_cpu *cpu, const struct interrupt_message *message)
{
        switch (message->delivery) {
        case DELIVER_FIXED:
        case DELIVER_LOWEST_PRIORITY: local_apic_accept(&cpu->apic, message->vector, message->level); break;
        case DELIVER_NMI: cpu->nmi = true; break;
        case DELIVER_INIT:
                cpu->init = true;
                cpu->waits_for_start = true;
                cpu->start_up = false;
                local_apic_reset(&cpu->apic);
                break;
        case DELIVER_START_UP:
                /* The second of the two that systems send finds a CPU that runs: SDM vol. 3A, section 9.4.4. */
                if (!cpu->waits_for_start)
                        return;
                cpu->waits_for_start = false;
                cpu->start_up = true;
                cpu->start_up_vector = message->vector;
                break;
        default: return; /* there is no system management mode, and the 8259A's output has a pin of its own */
        }
        wake(cpu->interrupts, cpu->number);
}

static struct interrupt_cpu *of_lowest_priority(struct interrupts *interrupts, const struct interrupt_message *message,
                                                const struct interrupt_cpu *sender)
{
        struct interrupt_cpu *best = NULL;
        for (unsigned i = 0; i < interrupts->cpu_count; i++) {
                struct interrupt_cpu *cpu = &interrupts->cpus[i];
                if (cpu == sender || !local_apic_is_meant(&cpu->apic, message))
                        continue;
                if (!best || local_apic_priority(&cpu->apic) < local_apic_priority(&best->apic))
                        best = cpu;
        }
        return best;
}

static bool is_broadcast(const struct interrupt_message *message)
{
        return message->destination == (message->extended ? UINT32_MAX : 0xff);
}

/* From a device or the I/O APIC (sender NULL), or from a CPU, which a broadcast does not come back to. */
static void send(struct interrupts *interrupts, const struct interrupt_message *message,
                 const struct interrupt_cpu *sender)
{
        const struct interrupt_cpu *left_out = is_broadcast(message) ? sender : NULL;
        if (message->delivery == DELIVER_LOWEST_PRIORITY) {
                struct interrupt_cpu *cpu = of_lowest_priority(interrupts, message, left_out);
                if (cpu)
                        deliver(cpu, message);
                return;
        }
        for (unsigned i = 0; i < interrupts->cpu_count; i++) {
                struct interrupt_cpu *cpu = &interrupts->cpus[i];
                if (cpu != left_out && local_apic_is_meant(&cpu->apic, message))
                        deliver(cpu, message);
        }
}

static void send_of_cpu(void *owner, const struct interrupt_message *message)
{
        struct interrupt_cpu *cpu = owner;
        send(cpu->interrupts, message, cpu);
}

static void send_of_io_apic(void *owner, const struct interrupt_message *message)
{
        send(owner, message, NULL);
}

static void end_of_cpu(void *owner, uint8_t vector)
{
        struct interrupt_cpu *cpu = owner;
        io_apic_end(&cpu->interrupts->io_apic, vector);
}

void interrupts_message(struct interrupts *interrupts, uint64_t address, uint32_t data)
{
        const struct interrupt_message message = interrupt_message_of(address, data);
        if (!message.deassert)
                send(interrupts, &message, NULL);
}

/* ---- Lines ---- */

void interrupts_line(struct interrupts *interrupts, unsigned line, bool raised)
{
        if (line == TIMER_ON_IO_APIC)
                return; /* the cascade's */
        pic_line(&interrupts->pics, line, raised);
        io_apic_line(&interrupts->io_apic, line == PIT_LINE ? TIMER_ON_IO_APIC : line, raised);
}

static void pics_ask(void *owner, bool raised)
{
        struct interrupts *interrupts = owner;
        for (unsigned i = 0; raised && i < interrupts->cpu_count; i++)
                if (local_apic_takes_external(&interrupts->cpus[i].apic))
                        wake(interrupts, i);
}

static void pit_ticks(void *owner)
{
        interrupts_line(owner, PIT_LINE, true);
        interrupts_line(owner, PIT_LINE, false);
}

/* ---- Clocks of the host, through us ---- */

static uint64_t clock_of(void *owner)
{
        const struct interrupts *interrupts = owner;
        return interrupts->host.clock(interrupts->host.context);
}

static uint64_t clock_of_cpu(void *owner)
{
        const struct interrupt_cpu *cpu = owner;
        return clock_of(cpu->interrupts);
}

static uint64_t tsc_of_cpu(void *owner)
{
        const struct interrupt_cpu *cpu = owner;
        return cpu->interrupts->host.tsc(cpu->interrupts->host.context);
}

/* ---- Making them ---- */

void interrupts_init(struct interrupts *interrupts, const struct interrupts_host *host, struct interrupt_cpu *cpus,
                     const uint32_t *numbers, unsigned count)
{
        *interrupts = (struct interrupts){ .host = *host, .cpu_count = count, .cpus = cpus };
        pic_init(&interrupts->pics, interrupts, pics_ask);
        io_apic_init(&interrupts->io_apic, interrupts, send_of_io_apic);
        pit_init(&interrupts->pit, &(struct pit_owner){ interrupts, clock_of, pit_ticks });
        for (unsigned i = 0; i < count; i++) {
                const struct local_apic_owner owner = { &cpus[i],      clock_of_cpu, tsc_of_cpu,
                                                        host->tsc_khz, send_of_cpu,  end_of_cpu };
                cpus[i] = (struct interrupt_cpu){ .interrupts = interrupts, .number = i, .waits_for_start = i > 0 };
                local_apic_init(&cpus[i].apic, numbers[i], !i, &owner);
        }
}

int interrupts_claim(struct interrupts *interrupts, struct bus *ports, struct bus *mmio)
{
        const struct {
                struct bus *bus;
                uint64_t start, length;
                const struct bus_operations *operations;
                void *device;
        } devices[] = {
                { ports, PIC_FIRST_PORT, PIC_PORTS, &pic_operations, &interrupts->pics.pics[0] },
                { ports, PIC_SECOND_PORT, PIC_PORTS, &pic_operations, &interrupts->pics.pics[1] },
                { ports, PIC_LEVEL_PORT, PIC_PORTS, &pic_level_operations, &interrupts->pics },
                { ports, PIT_PORT, PIT_PORTS, &pit_operations, &interrupts->pit },
                { ports, PIT_SPEAKER_PORT, 1, &pit_speaker_operations, &interrupts->pit },
                { mmio, IO_APIC_BASE, IO_APIC_LENGTH, &io_apic_operations, &interrupts->io_apic },
        };
        int r = 0;
        for (unsigned i = 0; !r && i < sizeof(devices) / sizeof(devices[0]); i++)
                r = bus_claim(devices[i].bus, devices[i].start, devices[i].length, devices[i].operations,
                              devices[i].device);
        return r;
}

/* ---- A CPU ---- */

bool interrupts_mmio(struct interrupts *interrupts, unsigned number, uint64_t at, unsigned size, bool write,
                     uint8_t *data)
{
        struct interrupt_cpu *cpu = &interrupts->cpus[number];
        uint64_t offset = at - LOCAL_APIC_BASE;
        const uint64_t modes = APIC_BASE_ENABLED | APIC_BASE_EXTENDED;
        if (offset >= LOCAL_APIC_LENGTH || (cpu->apic.base & modes) != APIC_BASE_ENABLED)
                return false;
        uint64_t value = 0;
        if (write) {
                __builtin_memcpy(&value, data, size < 4 ? size : 4);
                local_apic_write(&cpu->apic, offset, (uint32_t)value);
                wake(interrupts, number);
        } else {
                value = local_apic_read(&cpu->apic, offset);
                __builtin_memcpy(data, &value, size < 8 ? size : 8);
        }
        return true;
}

int interrupts_msr(struct interrupts *interrupts, unsigned number, uint32_t index, bool write, uint64_t *value)
{
        struct interrupt_cpu *cpu = &interrupts->cpus[number];
        bool ours = index == MSR_APIC_BASE || (index >= MSR_X2APIC_FIRST && index <= MSR_X2APIC_LAST) ||
                    (index == MSR_TSC_DEADLINE && interrupts->host.tsc_khz);
        if (!ours)
                return -ENOENT;
        if (!write)
                return local_apic_read_msr(&cpu->apic, index, value);
        int r = local_apic_write_msr(&cpu->apic, index, *value);
        wake(interrupts, number);
        return r;
}

void interrupts_run(struct interrupts *interrupts, unsigned cpu)
{
        if (!cpu)
                pit_run(&interrupts->pit);
        local_apic_run(&interrupts->cpus[cpu].apic);
}

uint64_t interrupts_deadline(const struct interrupts *interrupts, unsigned cpu)
{
        uint64_t own = local_apic_deadline(&interrupts->cpus[cpu].apic);
        uint64_t common = cpu ? PIT_NEVER : pit_deadline(&interrupts->pit);
        return own < common ? own : common;
}

/* An external interrupt comes before those of the local APIC: SDM vol. 3A, section 6.9, has them of one class. */
static bool takes_external(const struct interrupts *interrupts, const struct interrupt_cpu *cpu)
{
        return interrupts->pics.raised && local_apic_takes_external(&cpu->apic);
}

int interrupts_next(const struct interrupts *interrupts, unsigned number)
{
        const struct interrupt_cpu *cpu = &interrupts->cpus[number];
        return takes_external(interrupts, cpu) ? 0 : local_apic_vector(&cpu->apic);
}

uint8_t interrupts_take(struct interrupts *interrupts, unsigned number)
{
        struct interrupt_cpu *cpu = &interrupts->cpus[number];
        if (takes_external(interrupts, cpu))
                return pic_take(&interrupts->pics);
        uint8_t vector = (uint8_t)local_apic_vector(&cpu->apic);
        local_apic_take(&cpu->apic, vector);
        return vector;
}
