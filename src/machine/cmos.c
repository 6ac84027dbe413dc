/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/cmos.h"

/* Data sheet, "Address map" and "Registers". */
enum {
        REGISTER_SECONDS = 0x00,
        REGISTER_MINUTES = 0x02,
        REGISTER_HOURS = 0x04,
        REGISTER_WEEKDAY = 0x06,
        REGISTER_DAY = 0x07,
        REGISTER_MONTH = 0x08,
        REGISTER_YEAR = 0x09,
        REGISTER_A = 0x0a,
        REGISTER_B = 0x0b,
        REGISTER_C = 0x0c,
        REGISTER_D = 0x0d,
        REGISTER_CENTURY = 0x32,

        A_32768_HZ = 0x20,
        B_24_HOURS = 0x02,
        B_BINARY = 0x04,
        D_VALID = 0x80,
};

void cmos_init(struct cmos *cmos, int64_t (*wall_clock)(void *context), void *context)
{
        *cmos = (struct cmos){ .wall_clock = wall_clock, .context = context };
        cmos->registers[REGISTER_A] = A_32768_HZ;
        cmos->registers[REGISTER_B] = B_24_HOURS;
        cmos->registers[REGISTER_D] = D_VALID;
}

struct date {
        unsigned second, minute, hour, weekday, day, month, year; /* weekday 1 is Sunday */
};

/* The proleptic Gregorian calendar, counted from 0000-03-01 so that the leap day ends a year. */
static struct date date_of(int64_t seconds)
{
        uint64_t time = seconds < 0 ? 0 : (uint64_t)seconds;
        uint64_t days = time / 86400 + 719468; /* from 0000-03-01 to 1970-01-01 */
        uint64_t era = days / 146097, day_of_era = days % 146097;
        uint64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
        uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        uint64_t month = (5 * day_of_year + 2) / 153; /* 0 is March */
        return (struct date){
                .second = (unsigned)(time % 60),
                .minute = (unsigned)(time / 60 % 60),
                .hour = (unsigned)(time / 3600 % 24),
                .weekday = (unsigned)((time / 86400 + 4) % 7 + 1), /* 1970-01-01 was a Thursday */
                .day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1),
                .month = (unsigned)(month < 10 ? month + 3 : month - 9),
                .year = (unsigned)(era * 400 + year_of_era + (month >= 10)),
        };
}

static uint8_t in_mode(const struct cmos *cmos, unsigned value)
{
        return (uint8_t)(cmos->registers[REGISTER_B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

static uint8_t hours_in_mode(const struct cmos *cmos, unsigned hour)
{
        if (cmos->registers[REGISTER_B] & B_24_HOURS)
                return in_mode(cmos, hour);
        return (uint8_t)(in_mode(cmos, (hour + 11) % 12 + 1) | (hour >= 12 ? 0x80 : 0));
}

static uint8_t read_register(struct cmos *cmos, uint8_t index)
{
        struct date now = date_of(cmos->wall_clock(cmos->context));
        switch (index) {
        case REGISTER_SECONDS: return in_mode(cmos, now.second);
        case REGISTER_MINUTES: return in_mode(cmos, now.minute);
        case REGISTER_HOURS: return hours_in_mode(cmos, now.hour);
        case REGISTER_WEEKDAY: return in_mode(cmos, now.weekday);
        case REGISTER_DAY: return in_mode(cmos, now.day);
        case REGISTER_MONTH: return in_mode(cmos, now.month);
        case REGISTER_YEAR: return in_mode(cmos, now.year % 100);
        case REGISTER_CENTURY: return in_mode(cmos, now.year / 100);
        default: return cmos->registers[index];
        }
}

static uint64_t cmos_read(void *device, uint64_t offset, unsigned size)
{
        struct cmos *cmos = device;
        (void)size;
        return offset ? read_register(cmos, cmos->index) : 0xff;
}

static void cmos_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
        struct cmos *cmos = device;
        /* Bit 7 of the index gates the non-maskable interrupt on a PC. A 16-bit write carries index and value. */
        if (!offset)
                cmos->index = (uint8_t)(value & (CMOS_REGISTERS - 1));
        if (offset || size == 2) {
                uint8_t byte = (uint8_t)(offset ? value : value >> 8);
                if (cmos->index != REGISTER_C && cmos->index != REGISTER_D)
                        cmos->registers[cmos->index] = byte;
        }
}

const struct bus_operations cmos_operations = { "cmos", cmos_read, cmos_write };

#define CMOS_STATE_VERSION 1

void cmos_save(const struct cmos *cmos, struct state_writer *writer)
{
        state_begin(writer, "cmos", CMOS_STATE_VERSION);
        state_u32(writer, cmos->index);
        state_bytes(writer, cmos->registers, sizeof(cmos->registers));
        state_end(writer);
}

int cmos_restore(struct cmos *cmos, struct state_reader *reader)
{
        uint8_t registers[CMOS_REGISTERS];
        int r = state_open(reader, "cmos", CMOS_STATE_VERSION);
        if (r < 0)
                return r;
        uint32_t index = state_take_u32(reader);
        state_take(reader, registers, sizeof(registers));
        r = state_close(reader);
        if (r < 0)
                return r;
        cmos->index = (uint8_t)(index & (CMOS_REGISTERS - 1));
        __builtin_memcpy(cmos->registers, registers, sizeof(registers));
        return 0;
}
