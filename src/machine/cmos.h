/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The CMOS clock of a PC: Motorola MC146818A data sheet, with the century where PCs keep it (register 0x32).
 *
 * The time is the host's, in UTC; writes to the time have no effect, other registers keep what is written. Its
 * alarm and periodic interrupts never come: kernels have better timers. The machine's lock guards it.
 */
#pragma once

#include <stdint.h>

#include "machine/bus.h"
#include "machine/state.h"

#define CMOS_PORT      0x70
#define CMOS_PORTS     2
#define CMOS_REGISTERS 128

struct cmos {
        int64_t (*wall_clock)(void *context); /* seconds since 1970 */
        void *context;
        uint8_t index;
        uint8_t registers[CMOS_REGISTERS];
};

extern const struct bus_operations cmos_operations;

void cmos_init(struct cmos *cmos, int64_t (*wall_clock)(void *context), void *context);

void cmos_save(const struct cmos *cmos, struct state_writer *writer);
int cmos_restore(struct cmos *cmos, struct state_reader *reader);
