/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/pit.h"

enum {
        CONTROL = 3, /* offset of the control word */
        SPEAKER = 2, /* the channel of port 0x61 */

        /* access of the control word, and which byte of a count comes next. */
        BYTE_LATCH = 0,
        BYTE_LOW = 1,
        BYTE_HIGH = 2,
        BYTE_BOTH = 3,        /* low first */
        BYTE_BOTH_SECOND = 4, /* … and that is through */

        READ_BACK = 3,
        READ_BACK_NO_COUNT = 0x20,
        READ_BACK_NO_STATUS = 0x10,
        STATUS_OUTPUT = 0x80,

        SPEAKER_GATE = 0x01,
        SPEAKER_DATA = 0x02,
        SPEAKER_REFRESH = 0x10, /* toggles: how BIOSes measure short times */
        SPEAKER_OUTPUT = 0x20,
};

#define NANOSECONDS    1000000000ULL
#define REFRESH_PERIOD 15085 /* nanoseconds of each half */
#define COUNT_MAX      0x10000U
#define COUNT_MAX_BCD  10000U

/* ---- Time ---- */

static uint64_t clock_now(const struct pit *pit)
{
        return pit->owner.clock(pit->owner.owner);
}

/* 64 bits of nanoseconds times the frequency do not fit: whole seconds go for themselves. */
static uint64_t to_ticks(uint64_t nanoseconds)
{
        return nanoseconds / NANOSECONDS * PIT_FREQUENCY + nanoseconds % NANOSECONDS * PIT_FREQUENCY / NANOSECONDS;
}

/* The first nanosecond at which so many ticks are over. */
static uint64_t to_nanoseconds(uint64_t ticks)
{
        return ticks / PIT_FREQUENCY * NANOSECONDS +
               (ticks % PIT_FREQUENCY * NANOSECONDS + PIT_FREQUENCY - 1) / PIT_FREQUENCY;
}

/* Data sheet, "Gate pin operations summary": in modes 0 and 4 a low gate holds the count, in 2 and 3 it stops it. */
static bool is_held(const struct pit_channel *channel)
{
        unsigned mode = channel->state.mode;
        return !channel->state.gate && (mode == 0 || mode == 2 || mode == 3 || mode == 4);
}

static uint64_t elapsed(const struct pit *pit, const struct pit_channel *channel)
{
        return to_ticks(is_held(channel) ? channel->held : clock_now(pit) - channel->loaded);
}

static bool is_periodic(const struct pit_channel *channel)
{
        return channel->state.mode == 2 || channel->state.mode == 3;
}

static bool output(const struct pit *pit, const struct pit_channel *channel)
{
        uint64_t ticks = elapsed(pit, channel);
        uint32_t count = channel->state.count;
        switch (channel->state.mode) {
        case 0:
        case 1: return ticks >= count;
        case 2: return is_held(channel) || ticks % count != count - 1;
        case 3: return is_held(channel) || ticks % count < (count + 1) / 2;
        default: return ticks != count; /* low for one clock when it is over */
        }
}

static uint16_t counter(const struct pit *pit, const struct pit_channel *channel)
{
        uint64_t ticks = elapsed(pit, channel);
        uint32_t count = channel->state.count, value;
        if (channel->state.mode == 2)
                value = count - (uint32_t)(ticks % count);
        else if (channel->state.mode == 3)
                value = count - (uint32_t)(2 * (ticks % count) % count); /* by twos, twice */
        else
                value = (uint32_t)(count - ticks); /* it goes on after the end */
        if (!channel->state.bcd)
                return (uint16_t)value;
        value %= COUNT_MAX_BCD;
        return (uint16_t)(value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10);
}

uint64_t pit_deadline(const struct pit *pit)
{
        const struct pit_channel *channel = &pit->channels[0];
        if (channel->waits || is_held(channel) || (!is_periodic(channel) && channel->ticks))
                return PIT_NEVER;
        return channel->loaded + to_nanoseconds((channel->ticks + 1) * channel->state.count);
}

void pit_run(struct pit *pit)
{
        struct pit_channel *channel = &pit->channels[0];
        if (pit_deadline(pit) > clock_now(pit))
                return;
        channel->ticks = is_periodic(channel) ? elapsed(pit, channel) / channel->state.count : 1;
        pit->owner.tick(pit->owner.owner);
}

/* ---- Counts ---- */

static void load(struct pit *pit, struct pit_channel *channel, uint16_t value)
{
        uint32_t count = value;
        if (channel->state.bcd)
                count = (value >> 12) * 1000U + (value >> 8 & 15) * 100U + (value >> 4 & 15) * 10U + (value & 15);
        if (!count)
                count = channel->state.bcd ? COUNT_MAX_BCD : COUNT_MAX;
        /* A count of one has no low half to make an edge of. */
        if (count == 1 && is_periodic(channel))
                count = 2;
        channel->state.count = count;
        channel->loaded = clock_now(pit);
        channel->held = 0;
        channel->ticks = 0;
        channel->waits = false;
}

static void set_gate(struct pit *pit, struct pit_channel *channel, bool gate)
{
        bool rises = gate && !channel->state.gate, falls = !gate && channel->state.gate;
        unsigned mode = channel->state.mode;
        if (falls)
                channel->held = clock_now(pit) - channel->loaded;
        channel->state.gate = gate;
        if (rises && (mode == 0 || mode == 4))
                channel->loaded = clock_now(pit) - channel->held;
        else if (rises)
                channel->loaded = clock_now(pit);
        if (rises && mode != 0 && mode != 4)
                channel->ticks = 0;
}

static void write_count(struct pit *pit, struct pit_channel *channel, uint8_t value)
{
        struct pit_channel_state *state = &channel->state;
        switch (state->write_state) {
        case BYTE_LOW: load(pit, channel, value); break;
        case BYTE_HIGH: load(pit, channel, (uint16_t)(value << 8)); break;
        case BYTE_BOTH:
                state->write_latch = value;
                state->write_state = BYTE_BOTH_SECOND;
                break;
        default: state->write_state = BYTE_BOTH; load(pit, channel, (uint16_t)(state->write_latch | value << 8));
        }
}

/* What was latched stays until it is read: a second latch before that is ignored. */
static void latch_count(const struct pit *pit, struct pit_channel *channel)
{
        if (channel->state.count_latched)
                return;
        channel->state.latched_count = counter(pit, channel);
        channel->state.count_latched = channel->state.access;
}

static void latch_status(const struct pit *pit, struct pit_channel *channel)
{
        struct pit_channel_state *state = &channel->state;
        if (state->status_latched)
                return;
        state->status = (uint8_t)((output(pit, channel) ? STATUS_OUTPUT : 0) | state->access << 4 | state->mode << 1 |
                                  state->bcd);
        state->status_latched = 1;
}

static void read_back(struct pit *pit, uint8_t value)
{
        for (unsigned i = 0; i < PIT_CHANNELS; i++) {
                if (!(value >> (i + 1) & 1))
                        continue;
                if (!(value & READ_BACK_NO_COUNT))
                        latch_count(pit, &pit->channels[i]);
                if (!(value & READ_BACK_NO_STATUS))
                        latch_status(pit, &pit->channels[i]);
        }
}

static void control(struct pit *pit, uint8_t value)
{
        unsigned number = value >> 6, access = value >> 4 & 3, mode = value >> 1 & 7;
        if (number == READ_BACK) {
                read_back(pit, value);
                return;
        }
        struct pit_channel *channel = &pit->channels[number];
        if (access == BYTE_LATCH) {
                latch_count(pit, channel);
                return;
        }
        struct pit_channel_state *state = &channel->state;
        state->access = state->read_state = state->write_state = (uint8_t)access;
        state->mode = (uint8_t)(mode > 5 ? mode - 4 : mode);
        state->bcd = value & 1;
        state->count_latched = state->status_latched = 0;
        /* Nothing is counted until there is a count. */
        channel->waits = true;
        channel->ticks = 0;
        state->count = COUNT_MAX;
        channel->loaded = clock_now(pit);
        channel->held = 0;
}

static uint8_t read_latched(struct pit_channel_state *state)
{
        switch (state->count_latched) {
        case BYTE_LOW: state->count_latched = 0; return (uint8_t)state->latched_count;
        case BYTE_BOTH: state->count_latched = BYTE_BOTH_SECOND; return (uint8_t)state->latched_count;
        default: state->count_latched = 0; return (uint8_t)(state->latched_count >> 8);
        }
}

static uint8_t read_count(const struct pit *pit, struct pit_channel *channel)
{
        struct pit_channel_state *state = &channel->state;
        if (state->status_latched) {
                state->status_latched = 0;
                return state->status;
        }
        if (state->count_latched)
                return read_latched(state);
        uint16_t now = counter(pit, channel);
        switch (state->read_state) {
        case BYTE_HIGH: return (uint8_t)(now >> 8);
        case BYTE_BOTH: state->read_state = BYTE_BOTH_SECOND; return (uint8_t)now;
        case BYTE_BOTH_SECOND: state->read_state = BYTE_BOTH; return (uint8_t)(now >> 8);
        default: return (uint8_t)now;
        }
}

static uint64_t pit_read(void *device, uint64_t offset, unsigned size)
{
        struct pit *pit = device;
        (void)size;
        return offset == CONTROL ? 0 : read_count(pit, &pit->channels[offset]);
}

static void pit_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
        struct pit *pit = device;
        (void)size;
        if (offset == CONTROL)
                control(pit, (uint8_t)value);
        else
                write_count(pit, &pit->channels[offset], (uint8_t)value);
}

static uint64_t speaker_read(void *device, uint64_t offset, unsigned size)
{
        const struct pit *pit = device;
        const struct pit_channel *channel = &pit->channels[SPEAKER];
        (void)offset;
        (void)size;
        return (channel->state.gate ? SPEAKER_GATE : 0) | (pit->speaker ? SPEAKER_DATA : 0) |
               (clock_now(pit) / REFRESH_PERIOD & 1 ? SPEAKER_REFRESH : 0) |
               (output(pit, channel) ? SPEAKER_OUTPUT : 0);
}

static void speaker_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
        struct pit *pit = device;
        (void)offset;
        (void)size;
        pit->speaker = value & SPEAKER_DATA;
        set_gate(pit, &pit->channels[SPEAKER], value & SPEAKER_GATE);
}

const struct bus_operations pit_operations = { "pit", pit_read, pit_write };
const struct bus_operations pit_speaker_operations = { "speaker", speaker_read, speaker_write };

/* ---- State ---- */

void pit_init(struct pit *pit, const struct pit_owner *owner)
{
        *pit = (struct pit){ .owner = *owner };
        for (unsigned i = 0; i < PIT_CHANNELS; i++) {
                control(pit, (uint8_t)(i << 6 | BYTE_BOTH << 4 | 3 << 1));
                pit->channels[i].state.gate = i != SPEAKER;
        }
}

void pit_get(const struct pit *pit, struct pit_state *state)
{
        *state = (struct pit_state){ .speaker = pit->speaker };
        for (unsigned i = 0; i < PIT_CHANNELS; i++) {
                const struct pit_channel *channel = &pit->channels[i];
                state->channels[i] = channel->state;
                state->channels[i].age = (int64_t)(is_held(channel) ? channel->held : clock_now(pit) - channel->loaded);
        }
}

void pit_set(struct pit *pit, const struct pit_state *state)
{
        pit->speaker = state->speaker;
        for (unsigned i = 0; i < PIT_CHANNELS; i++) {
                struct pit_channel *channel = &pit->channels[i];
                channel->state = state->channels[i];
                uint32_t count = channel->state.count;
                uint64_t age = channel->state.age < 0 ? 0 : (uint64_t)channel->state.age;
                channel->state.count = !count || count > COUNT_MAX ? COUNT_MAX : count;
                channel->state.mode = (uint8_t)(channel->state.mode > 5 ? 3 : channel->state.mode);
                channel->loaded = clock_now(pit) - age;
                channel->held = age;
                channel->waits = false;
                uint64_t over = to_ticks(age) / channel->state.count;
                channel->ticks = is_periodic(channel) || !over ? over : 1;
        }
}
