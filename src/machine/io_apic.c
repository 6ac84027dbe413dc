/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/io_apic.h"

/* Data sheet, section 3.0. */
enum {
        OFFSET_SELECT = 0x00,
        OFFSET_WINDOW = 0x10,

        REGISTER_ID = 0,
        REGISTER_VERSION = 1,
        REGISTER_ARBITRATION = 2,
        REGISTER_TABLE = 0x10,

        VERSION = 0x11,
};

#define ENTRY_LOGICAL    (1ULL << 11)
#define ENTRY_STATUS     (1ULL << 12)
#define ENTRY_REMOTE_IRR (1ULL << 14) /* a level that was accepted and not ended */
#define ENTRY_LEVEL      (1ULL << 15)
#define ENTRY_MASKED     (1ULL << 16)
#define ENTRY_READ_ONLY  (ENTRY_STATUS | ENTRY_REMOTE_IRR)
#define ENTRY_WRITABLE   (0xff0000000001ffffULL & ~ENTRY_READ_ONLY)

struct interrupt_message interrupt_message_of(uint64_t address, uint32_t data)
{
        return (struct interrupt_message){
                .destination = (uint32_t)(address >> 12 & 0xff),
                .logical = address >> 2 & 1,
                .delivery = (enum interrupt_delivery)(data >> 8 & 7),
                .vector = (uint8_t)data,
                .level = data >> 15 & 1,
                .deassert = (data >> 15 & 1) && !(data >> 14 & 1),
        };
}

static void send(struct io_apic *apic, unsigned line)
{
        uint64_t *entry = &apic->state.redirection[line];
        const struct interrupt_message message = {
                .destination = (uint32_t)(*entry >> 56),
                .logical = *entry & ENTRY_LOGICAL,
                .delivery = (enum interrupt_delivery)(*entry >> 8 & 7),
                .vector = (uint8_t)*entry,
                .level = *entry & ENTRY_LEVEL,
        };
        if (message.level)
                *entry |= ENTRY_REMOTE_IRR;
        apic->send(apic->owner, &message);
}

static void send_level(struct io_apic *apic, unsigned line)
{
        uint64_t entry = apic->state.redirection[line];
        if ((entry & ENTRY_LEVEL) && !(entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR)) && apic->state.lines >> line & 1)
                send(apic, line);
}

void io_apic_init(struct io_apic *apic, void *owner,
                  void (*send_message)(void *owner, const struct interrupt_message *message))
{
        *apic = (struct io_apic){ .owner = owner, .send = send_message };
        apic->state.base = IO_APIC_BASE;
        for (unsigned i = 0; i < IO_APIC_LINES; i++)
                apic->state.redirection[i] = ENTRY_MASKED;
}

void io_apic_line(struct io_apic *apic, unsigned line, bool raised)
{
        if (line >= IO_APIC_LINES)
                return;
        uint32_t bit = UINT32_C(1) << line;
        bool rises = raised && !(apic->state.lines & bit);
        apic->state.lines = raised ? apic->state.lines | bit : apic->state.lines & ~bit;
        uint64_t entry = apic->state.redirection[line];
        if (entry & ENTRY_LEVEL)
                send_level(apic, line);
        else if (rises && !(entry & ENTRY_MASKED)) /* an edge that comes while it is masked is lost */
                send(apic, line);
}

void io_apic_end(struct io_apic *apic, uint8_t vector)
{
        for (unsigned i = 0; i < IO_APIC_LINES; i++) {
                uint64_t *entry = &apic->state.redirection[i];
                if ((uint8_t)*entry != vector || !(*entry & ENTRY_REMOTE_IRR))
                        continue;
                *entry &= ~ENTRY_REMOTE_IRR;
                send_level(apic, i);
        }
}

void io_apic_set(struct io_apic *apic, const struct io_apic_state *state)
{
        apic->state = *state;
        apic->state.base = IO_APIC_BASE;
        for (unsigned i = 0; i < IO_APIC_LINES; i++)
                apic->state.redirection[i] &= ENTRY_WRITABLE | ENTRY_READ_ONLY;
}

/* ---- Registers ---- */

static uint32_t read_register(const struct io_apic *apic)
{
        unsigned select = apic->state.select;
        switch (select) {
        case REGISTER_ID:
        case REGISTER_ARBITRATION: return (uint32_t)apic->state.id << 24;
        case REGISTER_VERSION: return VERSION | (IO_APIC_LINES - 1) << 16;
        }
        unsigned line = (select - REGISTER_TABLE) / 2;
        if (select < REGISTER_TABLE || line >= IO_APIC_LINES)
                return UINT32_MAX;
        return (uint32_t)(apic->state.redirection[line] >> (select & 1 ? 32 : 0));
}

static void write_register(struct io_apic *apic, uint32_t value)
{
        unsigned select = apic->state.select, line = (select - REGISTER_TABLE) / 2;
        if (select == REGISTER_ID)
                apic->state.id = (uint8_t)(value >> 24 & 15);
        if (select < REGISTER_TABLE || line >= IO_APIC_LINES)
                return;
        uint64_t *entry = &apic->state.redirection[line];
        unsigned shift = select & 1 ? 32 : 0;
        uint64_t mask = ENTRY_WRITABLE & (UINT64_C(0xffffffff) << shift);
        *entry = (*entry & ~mask) | ((uint64_t)value << shift & mask);
        /* Systems that cannot end a level by its vector turn it into an edge and back. */
        if (!(*entry & ENTRY_LEVEL))
                *entry &= ~ENTRY_REMOTE_IRR;
        send_level(apic, line);
}

static uint64_t io_apic_read(void *device, uint64_t offset, unsigned size)
{
        const struct io_apic *apic = device;
        (void)size;
        if (offset == OFFSET_SELECT)
                return apic->state.select;
        return offset == OFFSET_WINDOW ? read_register(apic) : 0;
}

static void io_apic_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
        struct io_apic *apic = device;
        (void)size;
        if (offset == OFFSET_SELECT)
                apic->state.select = (uint8_t)value;
        else if (offset == OFFSET_WINDOW)
                write_register(apic, (uint32_t)value);
}

const struct bus_operations io_apic_operations = { "io-apic", io_apic_read, io_apic_write };
