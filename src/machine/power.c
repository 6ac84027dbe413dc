/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/power.h"

#include <errno.h>

/* Section 4.8.3. */
enum {
        STATUS_POWER_BUTTON = 1 << 8,
        CONTROL_ACPI_MODE = 1 << 0,
        CONTROL_SLEEP_TYPE_SHIFT = 10,
        CONTROL_SLEEP_TYPE = 7 << CONTROL_SLEEP_TYPE_SHIFT,
        CONTROL_SLEEP = 1 << 13,

        TIMER_HZ = 3579545,
};

#define NANOSECONDS 1000000000ULL

void power_init(struct power *power, const struct power_backend *backend)
{
        *power = (struct power){ .backend = *backend, .control = CONTROL_ACPI_MODE };
}

static void update_interrupt(struct power *power)
{
        power->backend.interrupt(power->backend.owner,
                                 (power->status & power->enable) | (power->event_status & power->event_enable));
}

void power_press(struct power *power)
{
        power->status |= STATUS_POWER_BUTTON;
        update_interrupt(power);
}

void power_raise(struct power *power, unsigned event)
{
        power->event_status |= (uint8_t)(1u << event);
        update_interrupt(power);
}

static uint32_t timer(const struct power *power)
{
        uint64_t now = power->backend.clock(power->backend.owner);
        return (uint32_t)(now / NANOSECONDS * TIMER_HZ + now % NANOSECONDS * TIMER_HZ / NANOSECONDS);
}

/* All registers as one image of bytes, so that an access of any size and place is a part of it. */
static uint64_t power_read(void *device, uint64_t offset, unsigned size)
{
        const struct power *power = device;
        uint64_t low = power->status | (uint64_t)power->enable << 16 | (uint64_t)power->control << 32;
        (void)size; /* the bus cuts what is too much */
        uint64_t high = timer(power) | (uint64_t)power->event_status << (8 * (POWER_EVENTS - POWER_TIMER)) |
                        (uint64_t)power->event_enable << (8 * (POWER_EVENTS + 1 - POWER_TIMER));
        return offset < POWER_TIMER ? low >> (8 * offset) : high >> (8 * (offset - POWER_TIMER));
}

static void write_control(struct power *power, uint16_t value)
{
        power->control = (uint16_t)((value & ~CONTROL_SLEEP) | CONTROL_ACPI_MODE);
        if ((value & CONTROL_SLEEP) && (value & CONTROL_SLEEP_TYPE) >> CONTROL_SLEEP_TYPE_SHIFT == POWER_SLEEP_OFF)
                power->backend.off(power->backend.owner);
}

static void power_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
        struct power *power = device;
        if (offset == POWER_EVENT && size >= 2)
                power->status &= (uint16_t)~value; /* ones clear */
        if (offset == POWER_EVENT && size == 4)
                power->enable = (uint16_t)(value >> 16);
        if (offset == POWER_EVENT + 2 && size == 2)
                power->enable = (uint16_t)value;
        if (offset == POWER_CONTROL && size >= 2)
                write_control(power, (uint16_t)value);
        if (offset == POWER_EVENTS)
                power->event_status &= (uint8_t)~value;
        if (offset == POWER_EVENTS + 1 || (offset == POWER_EVENTS && size >= 2))
                power->event_enable = (uint8_t)(offset == POWER_EVENTS ? value >> 8 : value);
        if (offset == POWER_RESET && (value & 0xff) == POWER_RESET_VALUE)
                power->backend.reset(power->backend.owner);
        update_interrupt(power);
}

const struct bus_operations power_operations = { "acpi", power_read, power_write };

#define POWER_STATE_VERSION 2 /* 2: the general-purpose events */

void power_save(const struct power *power, struct state_writer *writer)
{
        state_begin(writer, "power", POWER_STATE_VERSION);
        state_u32(writer, power->status);
        state_u32(writer, power->enable);
        state_u32(writer, power->control);
        state_u32(writer, power->event_status | (uint32_t)power->event_enable << 8);
        state_end(writer);
}

int power_restore(struct power *power, struct state_reader *reader)
{
        int r = state_open(reader, "power", POWER_STATE_VERSION);
        if (r < 0)
                return r;
        uint32_t status = state_take_u32(reader), enable = state_take_u32(reader), control = state_take_u32(reader);
        uint32_t events = r >= 2 ? state_take_u32(reader) : 0;
        r = state_close(reader);
        if (r < 0)
                return r;
        if (status > UINT16_MAX || enable > UINT16_MAX || control > UINT16_MAX || events > UINT16_MAX)
                return -EINVAL;
        power->status = (uint16_t)status;
        power->enable = (uint16_t)enable;
        power->control = (uint16_t)(control | CONTROL_ACPI_MODE);
        power->event_status = (uint8_t)events;
        power->event_enable = (uint8_t)(events >> 8);
        update_interrupt(power);
        return 0;
}
