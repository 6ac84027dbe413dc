/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The I/O APIC: Intel 82093AA data sheet (290566). 24 lines, each of which is sent to the local APICs as a message.
 *
 * Lines are raised or not; which voltage that is (the polarity in the table) is nobody's concern here. Used where the engine
 * brings none; the machine's lock is held around every call. Freestanding.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine/bus.h"
#include "machine/chip_state.h"

#define IO_APIC_BASE   0xfec00000ULL
#define IO_APIC_LENGTH 0x1000

/* How a message is delivered: SDM vol. 3A, section 11.6.1 (the interrupt command register). */
enum interrupt_delivery {
        DELIVER_FIXED = 0,
        DELIVER_LOWEST_PRIORITY = 1,
        DELIVER_SMI = 2,
        DELIVER_NMI = 4,
        DELIVER_INIT = 5,
        DELIVER_START_UP = 6,
        DELIVER_EXTERNAL = 7, /* the vector comes from the 8259A */
};

struct interrupt_message {
        uint32_t destination; /* an APIC's number, or a set of them */
        bool logical;         /* a set */
        bool extended;        /* the destination has 32 bits: x2APIC */
        enum interrupt_delivery delivery;
        uint8_t vector;
        bool level, deassert;
};

/* The message that a write of `data` to `address` (0xfeexxxxx) stands for: SDM vol. 3A, section 11.11. */
struct interrupt_message interrupt_message_of(uint64_t address, uint32_t data);

struct io_apic {
        struct io_apic_state state;
        void *owner;
        void (*send)(void *owner, const struct interrupt_message *message);
};

extern const struct bus_operations io_apic_operations;

void io_apic_init(struct io_apic *apic, void *owner,
                  void (*send)(void *owner, const struct interrupt_message *message));
void io_apic_line(struct io_apic *apic, unsigned line, bool raised);
/* A local APIC has ended a level-triggered interrupt: a line that is still raised is sent again. */
void io_apic_end(struct io_apic *apic, uint8_t vector);
void io_apic_set(struct io_apic *apic, const struct io_apic_state *state);
