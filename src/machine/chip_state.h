/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of a PC's interrupt controllers, timer and clock, the same for every engine and for the machine's own:
 * Intel 8259A, 8254 and 82093AA data sheets.
 *
 * Whoever has the chips (an engine, or the machine where the engine brings none) fills this struct or takes it over.
 * Freestanding.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine/state.h"

/* One 8259A. */
struct pic_state {
        uint8_t last_lines;   /* levels of the inputs, to see edges */
        uint8_t requested;    /* IRR */
        uint8_t masked;       /* IMR */
        uint8_t in_service;   /* ISR */
        uint8_t priority_add; /* the line of highest priority */
        uint8_t base;         /* vector of line 0, from ICW2 */
        uint8_t init_state;   /* the initialization command word that comes next, 0 when done */
        uint8_t level;        /* ELCR: lines that are level-triggered */
        bool read_in_service, poll, special_mask, auto_end, rotate_on_auto_end, special_fully_nested, init_needs_4;
};

#define IO_APIC_LINES 24

struct io_apic_state {
        uint64_t base;      /* guest-physical address */
        uint8_t id, select; /* IOAPICID, IOREGSEL */
        uint32_t lines;     /* levels of the inputs */
        uint64_t redirection[IO_APIC_LINES];
};

#define PIT_CHANNELS 3

/* One counter of an 8254. */
struct pit_channel_state {
        uint32_t count; /* 1 to 65536 */
        uint16_t latched_count;
        uint8_t count_latched, status_latched, status;
        uint8_t read_state, write_state,
                write_latch;  /* which byte of 16 bits comes next: 0 none, 1 low, 2 high, 3 both */
        uint8_t access, mode; /* of the control word */
        bool bcd, gate;
        int64_t age; /* nanoseconds since the count was loaded */
};

struct pit_state {
        struct pit_channel_state channels[PIT_CHANNELS];
        bool speaker; /* bit 1 of port 0x61 */
};

struct clock_state {
        uint64_t guest; /* nanoseconds that the guest's paravirtual clock shows */
        uint64_t wall;  /* nanoseconds since 1970 at that moment; 0: not known, time stands still until it is set */
};

struct chip_state {
        struct pic_state pics[2]; /* the first and the one behind it */
        struct io_apic_state io_apic;
        struct pit_state pit;
        struct clock_state clock;
};

void chip_state_save(const struct chip_state *chips, struct state_writer *writer);
/* 0, or -EINVAL or -ENOTSUP as state_open(); *chips is whole or untouched. Values are within their fields' ranges. */
int chip_state_restore(struct chip_state *chips, struct state_reader *reader);
