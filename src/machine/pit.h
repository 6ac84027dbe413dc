/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 8254 timer of a PC: Intel 8254 data sheet (231164). Channel 0 is the interrupt of line 0, channel 2 the speaker's, whose
 * gate and output are bits of port 0x61.
 *
 * Nothing runs by itself: whoever runs the CPUs asks for pit_deadline() and calls pit_run() when that has come. Ticks that
 * came while nobody looked are one. Used where the engine brings none; the machine's lock is held around every call.
 * Freestanding.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine/bus.h"
#include "machine/chip_state.h"

#define PIT_PORT         0x40
#define PIT_PORTS        4
#define PIT_SPEAKER_PORT 0x61
#define PIT_LINE         0
#define PIT_FREQUENCY    1193182U /* Hz */
#define PIT_NEVER        UINT64_MAX

struct pit_owner {
        void *owner;
        uint64_t (*clock)(void *owner); /* nanoseconds, never going back */
        void (*tick)(void *owner);      /* a rising edge of channel 0's output */
};

struct pit_channel {
        struct pit_channel_state state; /* but for its age */
        uint64_t loaded;                /* of the clock: when the count was */
        uint64_t held;                  /* nanoseconds of counting, while the gate holds it up */
        uint64_t ticks;                 /* rising edges since, that have been told */
        bool waits;                     /* for a count, after a control word */
};

struct pit {
        struct pit_owner owner;
        struct pit_channel channels[PIT_CHANNELS];
        bool speaker;
};

extern const struct bus_operations pit_operations, pit_speaker_operations;

void pit_init(struct pit *pit, const struct pit_owner *owner);
/* Of the clock; PIT_NEVER. */
uint64_t pit_deadline(const struct pit *pit);
void pit_run(struct pit *pit);

void pit_get(const struct pit *pit, struct pit_state *state);
void pit_set(struct pit *pit, const struct pit_state *state);
