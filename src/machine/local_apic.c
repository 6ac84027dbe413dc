/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/local_apic.h"

#include <errno.h>

/* SDM vol. 3A, table 11-1: offsets / 16. */
enum {
        ID = 0x02,
        VERSION = 0x03,
        TASK_PRIORITY = 0x08,
        ARBITRATION_PRIORITY = 0x09,
        PROCESSOR_PRIORITY = 0x0a,
        END = 0x0b,
        LOGICAL = 0x0d,
        FORMAT = 0x0e,
        SPURIOUS = 0x0f,
        IN_SERVICE = 0x10,
        TRIGGER = 0x18,
        REQUESTED = 0x20,
        ERROR_STATUS = 0x28,
        CORRECTED = 0x2f,
        COMMAND = 0x30,
        COMMAND_HIGH = 0x31,
        TIMER = 0x32,
        THERMAL = 0x33,
        PERFORMANCE = 0x34,
        LINT0 = 0x35,
        LINT1 = 0x36,
        ERROR = 0x37,
        INITIAL_COUNT = 0x38,
        CURRENT_COUNT = 0x39,
        DIVIDE = 0x3e,
        SELF = 0x3f,
};

enum {
        VERSION_VALUE = 0x50014, /* integrated, six entries in the local vector table */
        SPURIOUS_ENABLED = 1 << 8,
        VECTOR_MASKED = 1 << 16,
        TIMER_MODE_SHIFT = 17,
        TIMER_ONE_SHOT = 0,
        TIMER_PERIODIC = 1,
        TIMER_DEADLINE = 2,
        ERROR_SENT_ILLEGAL = 1 << 5,
        ERROR_RECEIVED_ILLEGAL = 1 << 6,
        ERROR_REGISTER = 1 << 7,
        FIRST_LEGAL_VECTOR = 16,
        COMMAND_LOGICAL = 1 << 11,
        COMMAND_ASSERT = 1 << 14,
        COMMAND_LEVEL = 1 << 15,
        SHORTHAND_NONE = 0,
        SHORTHAND_SELF = 1,
        SHORTHAND_ALL = 2,
        SHORTHAND_OTHERS = 3,
};

/* What a guest can write; 0: nothing. */
static const uint32_t writable[CPU_APIC_REGISTERS] = {
        [ID] = 0xff000000,  [TASK_PRIORITY] = 0xff, [LOGICAL] = 0xff000000,       [FORMAT] = 0xf0000000,
        [SPURIOUS] = 0x1ff, [CORRECTED] = 0x107ff,  [COMMAND] = 0xccfff,          [COMMAND_HIGH] = 0xffffffff,
        [TIMER] = 0x700ff,  [THERMAL] = 0x107ff,    [PERFORMANCE] = 0x107ff,      [LINT0] = 0x1a7ff,
        [LINT1] = 0x1a7ff,  [ERROR] = 0x100ff,      [INITIAL_COUNT] = 0xffffffff, [DIVIDE] = 0xb,
};
static const uint8_t vector_table[] = { CORRECTED, TIMER, THERMAL, PERFORMANCE, LINT0, LINT1, ERROR };
#define VECTORS (sizeof(vector_table) / sizeof(vector_table[0]))

static bool extended(const struct local_apic *apic)
{
        return apic->base & APIC_BASE_EXTENDED;
}

static bool enabled(const struct local_apic *apic)
{
        return (apic->base & APIC_BASE_ENABLED) && (apic->registers[SPURIOUS] & SPURIOUS_ENABLED);
}

static void mask_all(struct local_apic *apic)
{
        for (unsigned i = 0; i < VECTORS; i++)
                apic->registers[vector_table[i]] |= VECTOR_MASKED;
}

void local_apic_reset(struct local_apic *apic)
{
        __builtin_memset(apic->registers, 0, sizeof(apic->registers));
        apic->errors = 0;
        apic->timer_runs = false;
        apic->deadline = 0;
        apic->registers[ID] = extended(apic) ? apic->id : apic->id << 24;
        apic->registers[VERSION] = VERSION_VALUE;
        apic->registers[FORMAT] = UINT32_MAX;
        apic->registers[SPURIOUS] = 0xff;
        mask_all(apic);
}

void local_apic_init(struct local_apic *apic, uint32_t id, bool first, const struct local_apic_owner *owner)
{
        *apic = (struct local_apic){ .owner = *owner, .id = id };
        apic->base = LOCAL_APIC_BASE | APIC_BASE_ENABLED | (first ? APIC_BASE_FIRST : 0);
        local_apic_reset(apic);
}

/* ---- Interrupts ---- */

static void set_bit(struct local_apic *apic, unsigned set, uint8_t vector, bool value)
{
        uint32_t bit = UINT32_C(1) << (vector & 31), *word = &apic->registers[set + vector / 32];
        *word = value ? *word | bit : *word & ~bit;
}

static bool has_bit(const struct local_apic *apic, unsigned set, uint8_t vector)
{
        return apic->registers[set + vector / 32] >> (vector & 31) & 1;
}

/* The highest vector of a set, or -1. */
static int highest(const struct local_apic *apic, unsigned set)
{
        for (int word = 7; word >= 0; word--)
                if (apic->registers[set + (unsigned)word])
                        return word * 32 + 31 - __builtin_clz(apic->registers[set + (unsigned)word]);
        return -1;
}

static void note_error(struct local_apic *apic, uint32_t error)
{
        uint32_t entry = apic->registers[ERROR];
        apic->errors |= error;
        /* An error vector that is itself illegal must not be the reason for the next one. */
        if (!(entry & VECTOR_MASKED) && (uint8_t)entry >= FIRST_LEGAL_VECTOR)
                local_apic_accept(apic, (uint8_t)entry, false);
}

void local_apic_accept(struct local_apic *apic, uint8_t vector, bool level)
{
        if (!enabled(apic))
                return;
        if (vector < FIRST_LEGAL_VECTOR) {
                note_error(apic, ERROR_RECEIVED_ILLEGAL);
                return;
        }
        set_bit(apic, REQUESTED, vector, true);
        set_bit(apic, TRIGGER, vector, level);
}

/* SDM vol. 3A, section 11.6.2. */
bool local_apic_is_meant(const struct local_apic *apic, const struct interrupt_message *message)
{
        uint32_t destination = message->destination;
        bool wide = extended(apic) && message->extended;
        if (!(apic->base & APIC_BASE_ENABLED))
                return false;
        if (destination == (message->extended ? UINT32_MAX : 0xff))
                return true;
        if (!message->logical)
                return destination == (wide ? apic->id : apic->id & 0xff);
        uint32_t logical = apic->registers[LOGICAL];
        if (extended(apic)) {
                uint32_t cluster = apic->id >> 4, member = UINT32_C(1) << (apic->id & 15);
                /* Eight bits of destination name the first cluster's members. */
                return wide ? destination >> 16 == cluster && (destination & member)
                            : !cluster && (destination & member);
        }
        logical >>= 24;
        if (apic->registers[FORMAT] >> 28 == 0xf)
                return destination & logical;
        return destination >> 4 == logical >> 4 && (destination & logical & 15);
}

/* SDM vol. 3A, section 11.8.3.1. */
uint8_t local_apic_priority(const struct local_apic *apic)
{
        uint8_t task = (uint8_t)apic->registers[TASK_PRIORITY];
        int vector = highest(apic, IN_SERVICE);
        uint8_t served = vector < 0 ? 0 : (uint8_t)(vector & 0xf0);
        return (task & 0xf0) >= served ? task : served;
}

int local_apic_vector(const struct local_apic *apic)
{
        int vector = enabled(apic) ? highest(apic, REQUESTED) : -1;
        return vector >= 0 && (vector & 0xf0) > (local_apic_priority(apic) & 0xf0) ? vector : -1;
}

void local_apic_take(struct local_apic *apic, uint8_t vector)
{
        set_bit(apic, REQUESTED, vector, false);
        set_bit(apic, IN_SERVICE, vector, true);
}

static void end_of_interrupt(struct local_apic *apic)
{
        int vector = highest(apic, IN_SERVICE);
        if (vector < 0)
                return;
        set_bit(apic, IN_SERVICE, (uint8_t)vector, false);
        if (has_bit(apic, TRIGGER, (uint8_t)vector))
                apic->owner.end(apic->owner.owner, (uint8_t)vector);
}

static bool pin_does(const struct local_apic *apic, unsigned pin, enum interrupt_delivery delivery)
{
        uint32_t entry = apic->registers[pin];
        return !(entry & VECTOR_MASKED) && (entry >> 8 & 7) == (uint32_t)delivery;
}

bool local_apic_takes_external(const struct local_apic *apic)
{
        /* Switched off, it is as if there were none: the pins are the processor's own. */
        return !(apic->base & APIC_BASE_ENABLED) || pin_does(apic, LINT0, DELIVER_EXTERNAL);
}

bool local_apic_takes_nmi(const struct local_apic *apic)
{
        return !(apic->base & APIC_BASE_ENABLED) || pin_does(apic, LINT1, DELIVER_NMI);
}

void local_apic_set_task_priority(struct local_apic *apic, uint8_t priority)
{
        /* CR8 has no sub-class: what was written to the register stays where it means the same. */
        if (priority != local_apic_task_priority(apic))
                apic->registers[TASK_PRIORITY] = (uint32_t)(priority & 15) << 4;
}

uint8_t local_apic_task_priority(const struct local_apic *apic)
{
        return (uint8_t)(apic->registers[TASK_PRIORITY] >> 4 & 15);
}

/* ---- The interrupt command register ---- */

static void send_command(struct local_apic *apic)
{
        uint32_t low = apic->registers[COMMAND], high = apic->registers[COMMAND_HIGH];
        unsigned shorthand = low >> 18 & 3;
        struct interrupt_message message = {
                .destination = extended(apic) ? high : high >> 24,
                .logical = low & COMMAND_LOGICAL,
                .extended = extended(apic),
                .delivery = (enum interrupt_delivery)(low >> 8 & 7),
                .vector = (uint8_t)low,
                .level = low & COMMAND_LEVEL,
                .deassert = (low & COMMAND_LEVEL) && !(low & COMMAND_ASSERT),
        };
        bool fixed = message.delivery == DELIVER_FIXED || message.delivery == DELIVER_LOWEST_PRIORITY;
        if (fixed && message.vector < FIRST_LEGAL_VECTOR) {
                note_error(apic, ERROR_SENT_ILLEGAL);
                return;
        }
        /* Only INIT has a level to speak of, and its end is of interest to nobody since the Pentium 4. */
        if (message.deassert && message.delivery == DELIVER_INIT)
                return;
        message.level = false;
        bool self = shorthand == SHORTHAND_SELF || shorthand == SHORTHAND_ALL;
        if (shorthand == SHORTHAND_ALL || shorthand == SHORTHAND_OTHERS) {
                message.destination = extended(apic) ? UINT32_MAX : 0xff;
                message.logical = false;
        }
        if (self && fixed)
                local_apic_accept(apic, message.vector, false);
        if (shorthand != SHORTHAND_SELF)
                apic->owner.send(apic->owner.owner, &message);
}

/* ---- The timer ---- */

static unsigned timer_mode(const struct local_apic *apic)
{
        return apic->registers[TIMER] >> TIMER_MODE_SHIFT & 3;
}

/* By how many powers of two the clock is divided: SDM vol. 3A, figure 11-10. */
static unsigned divide_shift(const struct local_apic *apic)
{
        uint32_t value = apic->registers[DIVIDE];
        return ((value & 3) + (value >> 1 & 4) + 1) & 7;
}

static uint64_t period(const struct local_apic *apic)
{
        return (uint64_t)apic->registers[INITIAL_COUNT] << divide_shift(apic);
}

static uint32_t current_count(const struct local_apic *apic)
{
        uint64_t length = period(apic);
        if (!apic->timer_runs || !length || timer_mode(apic) == TIMER_DEADLINE)
                return 0;
        uint64_t elapsed = apic->owner.clock(apic->owner.owner) - apic->timer_started;
        if (elapsed >= length)
                elapsed = timer_mode(apic) == TIMER_PERIODIC ? elapsed % length : length;
        return (uint32_t)((length - elapsed) >> divide_shift(apic));
}

static void start_timer(struct local_apic *apic)
{
        apic->timer_started = apic->owner.clock(apic->owner.owner);
        apic->timer_runs = apic->registers[INITIAL_COUNT] && timer_mode(apic) != TIMER_DEADLINE;
}

uint64_t local_apic_deadline(const struct local_apic *apic)
{
        if (timer_mode(apic) != TIMER_DEADLINE)
                return apic->timer_runs ? apic->timer_started + period(apic) : LOCAL_APIC_NEVER;
        if (!apic->deadline || !apic->owner.tsc_khz)
                return LOCAL_APIC_NEVER;
        uint64_t now = apic->owner.clock(apic->owner.owner), counter = apic->owner.tsc(apic->owner.owner);
        if (counter >= apic->deadline)
                return now;
        uint64_t ticks = apic->deadline - counter, khz = apic->owner.tsc_khz;
        uint64_t milliseconds = ticks / khz;
        /* A guest's deadline may lie beyond what nanoseconds can count: it comes in hundreds of years. */
        if (milliseconds > UINT64_MAX / 4000000)
                return LOCAL_APIC_NEVER;
        return now + milliseconds * 1000000 + (ticks % khz * 1000000 + khz - 1) / khz;
}

void local_apic_run(struct local_apic *apic)
{
        uint64_t due = local_apic_deadline(apic), now = apic->owner.clock(apic->owner.owner);
        if (due > now)
                return;
        if (timer_mode(apic) == TIMER_DEADLINE)
                apic->deadline = 0;
        else if (timer_mode(apic) == TIMER_PERIODIC)
                apic->timer_started += (now - apic->timer_started) / period(apic) * period(apic);
        else
                apic->timer_runs = false;
        if (!(apic->registers[TIMER] & VECTOR_MASKED))
                local_apic_accept(apic, (uint8_t)apic->registers[TIMER], false);
}

/* ---- Registers ---- */

static bool is_there(unsigned index)
{
        return writable[index] || (index >= IN_SERVICE && index < REQUESTED + 8) || index == VERSION ||
               index == ARBITRATION_PRIORITY || index == PROCESSOR_PRIORITY || index == ERROR_STATUS ||
               index == CURRENT_COUNT || index == END;
}

static uint32_t read_register(struct local_apic *apic, unsigned index)
{
        if (!is_there(index)) {
                note_error(apic, ERROR_REGISTER);
                return 0;
        }
        switch (index) {
        case ARBITRATION_PRIORITY:
        case PROCESSOR_PRIORITY: return local_apic_priority(apic);
        case CURRENT_COUNT: return current_count(apic);
        case LOGICAL:
                if (extended(apic))
                        return apic->id >> 4 << 16 | UINT32_C(1) << (apic->id & 15);
                break;
        }
        return apic->registers[index];
}

static void write_timer_entry(struct local_apic *apic, uint32_t before)
{
        uint32_t change = before ^ apic->registers[TIMER];
        if (!(change >> TIMER_MODE_SHIFT & 3))
                return;
        /* To and from deadline mode both are disarmed: SDM vol. 3A, section 11.5.4.1. */
        if (timer_mode(apic) == TIMER_DEADLINE || (before >> TIMER_MODE_SHIFT & 3) == TIMER_DEADLINE) {
                apic->timer_runs = false;
                apic->deadline = 0;
        }
}

static void write_register(struct local_apic *apic, unsigned index, uint32_t value)
{
        uint32_t before = apic->registers[index], count;
        if (index == END) {
                end_of_interrupt(apic);
                return;
        }
        if (index == ERROR_STATUS) {
                apic->registers[index] = apic->errors;
                apic->errors = 0;
                return;
        }
        if (!writable[index]) {
                note_error(apic, ERROR_REGISTER);
                return;
        }
        switch (index) {
        case DIVIDE:
                /* What has been counted keeps its meaning. */
                count = current_count(apic);
                apic->registers[index] = value & writable[index];
                apic->timer_started =
                        apic->owner.clock(apic->owner.owner) - period(apic) + ((uint64_t)count << divide_shift(apic));
                return;
        case INITIAL_COUNT:
                apic->registers[index] = value;
                start_timer(apic);
                return;
        case COMMAND:
                apic->registers[index] = value & writable[index];
                send_command(apic);
                return;
        }
        apic->registers[index] = (before & ~writable[index]) | (value & writable[index]);
        if (index == SPURIOUS && !(value & SPURIOUS_ENABLED))
                mask_all(apic);
        for (unsigned i = 0; i < VECTORS; i++)
                if (index == vector_table[i] && !(apic->registers[SPURIOUS] & SPURIOUS_ENABLED))
                        apic->registers[index] |= VECTOR_MASKED;
        if (index == FORMAT)
                apic->registers[index] |= 0x0fffffff;
        if (index == TIMER)
                write_timer_entry(apic, before);
}

/* Registers are 32 bits wide, one in 16 bytes; the rest of the page is nothing. */
uint64_t local_apic_read(struct local_apic *apic, uint64_t offset)
{
        bool there = !(offset & 15) && offset / 16 < CPU_APIC_REGISTERS;
        return there && !extended(apic) ? read_register(apic, (unsigned)(offset / 16)) : 0;
}

void local_apic_write(struct local_apic *apic, uint64_t offset, uint32_t value)
{
        if (!(offset & 15) && offset / 16 < CPU_APIC_REGISTERS && !extended(apic))
                write_register(apic, (unsigned)(offset / 16), value);
}

/* SDM vol. 3A, section 11.12.5: which steps there are between off, xAPIC and x2APIC. */
static int write_base(struct local_apic *apic, uint64_t value)
{
        const uint64_t modes = APIC_BASE_ENABLED | APIC_BASE_EXTENDED;
        uint64_t before = apic->base & modes, now = value & modes;
        if ((value & ~(modes | APIC_BASE_FIRST)) != LOCAL_APIC_BASE || now == APIC_BASE_EXTENDED)
                return -EINVAL;
        if ((before == modes && now == APIC_BASE_ENABLED) || (!before && now == modes))
                return -EINVAL;
        apic->base = (value & ~APIC_BASE_FIRST) | (apic->base & APIC_BASE_FIRST);
        if (!now || (now == modes && before != modes)) {
                uint32_t kept[CPU_APIC_REGISTERS];
                __builtin_memcpy(kept, apic->registers, sizeof(kept));
                local_apic_reset(apic);
                if (now) { /* x2APIC takes over what xAPIC had, but for its number */
                        __builtin_memcpy(apic->registers, kept, sizeof(kept));
                        apic->registers[ID] = apic->id;
                }
        }
        return 0;
}

static bool is_msr(const struct local_apic *apic, uint32_t index)
{
        return extended(apic) && index >= MSR_X2APIC_FIRST && index <= MSR_X2APIC_LAST;
}

int local_apic_read_msr(struct local_apic *apic, uint32_t index, uint64_t *value)
{
        if (index == MSR_APIC_BASE) {
                *value = apic->base;
                return 0;
        }
        if (index == MSR_TSC_DEADLINE && apic->owner.tsc_khz) {
                *value = timer_mode(apic) == TIMER_DEADLINE ? apic->deadline : 0;
                return 0;
        }
        unsigned number = index - MSR_X2APIC_FIRST;
        if (!is_msr(apic, index) || !is_there(number) || number == END || number == COMMAND_HIGH || number == FORMAT)
                return -EINVAL;
        *value = read_register(apic, number);
        if (number == COMMAND)
                *value |= (uint64_t)apic->registers[COMMAND_HIGH] << 32;
        return 0;
}

int local_apic_write_msr(struct local_apic *apic, uint32_t index, uint64_t value)
{
        if (index == MSR_APIC_BASE)
                return write_base(apic, value);
        if (index == MSR_TSC_DEADLINE && apic->owner.tsc_khz) {
                if (timer_mode(apic) == TIMER_DEADLINE)
                        apic->deadline = value;
                return 0;
        }
        unsigned number = index - MSR_X2APIC_FIRST;
        if (!is_msr(apic, index))
                return -EINVAL;
        if (number == SELF) {
                if (value >> 8)
                        return -EINVAL;
                local_apic_accept(apic, (uint8_t)value, false);
                return 0;
        }
        bool zero_only = number == END || number == ERROR_STATUS;
        if ((!writable[number] && !zero_only) || number == ID || number == LOGICAL || number == FORMAT ||
            number == COMMAND_HIGH || (zero_only && value) || (number != COMMAND && value >> 32))
                return -EINVAL;
        if (number == COMMAND)
                apic->registers[COMMAND_HIGH] = (uint32_t)(value >> 32);
        write_register(apic, number, (uint32_t)value);
        return 0;
}

/* ---- Saved state ---- */

void local_apic_get(const struct local_apic *apic, uint32_t registers[CPU_APIC_REGISTERS])
{
        __builtin_memcpy(registers, apic->registers, sizeof(apic->registers));
        registers[PROCESSOR_PRIORITY] = local_apic_priority(apic);
        registers[CURRENT_COUNT] = current_count(apic);
}

void local_apic_set(struct local_apic *apic, const uint32_t registers[CPU_APIC_REGISTERS], uint64_t base,
                    uint64_t deadline)
{
        __builtin_memcpy(apic->registers, registers, sizeof(apic->registers));
        apic->base = base;
        for (unsigned i = 0; i < CPU_APIC_REGISTERS; i++)
                if (writable[i] && i != ID && i != LOGICAL && i != FORMAT)
                        apic->registers[i] &= writable[i];
        apic->registers[ID] = extended(apic) ? apic->id : apic->id << 24;
        apic->registers[VERSION] = VERSION_VALUE;
        uint32_t count = registers[CURRENT_COUNT];
        if (count > apic->registers[INITIAL_COUNT])
                count = apic->registers[INITIAL_COUNT];
        apic->timer_runs = count && timer_mode(apic) != TIMER_DEADLINE;
        apic->timer_started =
                apic->owner.clock(apic->owner.owner) - period(apic) + ((uint64_t)count << divide_shift(apic));
        apic->deadline = timer_mode(apic) == TIMER_DEADLINE ? deadline : 0;
        apic->registers[CURRENT_COUNT] = 0;
}
