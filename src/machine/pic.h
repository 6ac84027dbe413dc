/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two 8259A interrupt controllers of a PC, the second behind line 2 of the first: Intel 8259A data sheet (231468), and
 * the edge/level registers of the 82371 (290562, section 4.1.5).
 *
 * Lines 0 to 15. The pair has one output, which says that a vector can be taken. Both are always cascaded, in 8086 mode.
 * Used where the engine brings none; the machine's lock is held around every call. Freestanding.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine/bus.h"
#include "machine/chip_state.h"

/* Ports of the first, the second, and of the two edge/level registers. */
#define PIC_FIRST_PORT  0x20
#define PIC_SECOND_PORT 0xa0
#define PIC_PORTS       2
#define PIC_LEVEL_PORT  0x4d0

struct pic_pair;

/* One of them, as the bus knows it. */
struct pic {
        struct pic_pair *pair;
        struct pic_state state;
};

struct pic_pair {
        struct pic pics[2];
        void *owner;
        void (*output)(void *owner, bool raised); /* at every change */
        bool raised;
};

extern const struct bus_operations pic_operations;       /* the device is a struct pic */
extern const struct bus_operations pic_level_operations; /* the device is the struct pic_pair */

void pic_init(struct pic_pair *pair, void *owner, void (*output)(void *owner, bool raised));
void pic_line(struct pic_pair *pair, unsigned line, bool raised);
/* What a processor is answered that acknowledges: the vector, which is then in service. Line 7's where there is none. */
uint8_t pic_take(struct pic_pair *pair);
/* Takes over a saved state; the fields of struct chip_state. */
void pic_set(struct pic_pair *pair, const struct pic_state states[2]);
