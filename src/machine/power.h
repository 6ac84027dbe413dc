/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fixed hardware of ACPI: power button, power-off, reset, and the timer. ACPI Specification 6.4, section 4.8.
 *
 * The machine claims its ports; acpi.h tells the guest where they are. The machine is always in ACPI mode. The
 * machine's lock is held around every call. Freestanding.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine/bus.h"
#include "machine/state.h"

/* Ports, and offsets of the registers among them. */
#define POWER_PORT  0x600
#define POWER_PORTS 16
enum {
        POWER_EVENT = 0,   /* PM1a status and enable, two bytes each */
        POWER_CONTROL = 4, /* PM1a control, two bytes */
        POWER_TIMER = 8,   /* 32 bits at 3.579545 MHz */
        POWER_RESET = 12,
        POWER_EVENTS = 13, /* GPE0 status and enable, a byte each */
};

/* General-purpose events, by bit of GPE0. */
enum { POWER_EVENT_GENERATION = 0 /* generation.h */ };

#define POWER_RESET_VALUE 1
#define POWER_SLEEP_OFF   5 /* SLP_TYP of S5 */
#define POWER_LINE        9 /* the system control interrupt: level, active high */

struct power_backend {
        void *owner;
        uint64_t (*clock)(void *owner); /* nanoseconds, never going back */
        void (*interrupt)(void *owner, bool raised);
        void (*off)(void *owner);
        void (*reset)(void *owner);
};

struct power {
        struct power_backend backend;
        uint16_t status, enable, control;
        uint8_t event_status, event_enable; /* GPE0 */
};

extern const struct bus_operations power_operations;

void power_init(struct power *power, const struct power_backend *backend);
/* A press of the power button: the guest's system shuts down, if it wants to. */
void power_press(struct power *power);
/* A general-purpose event: the guest's system runs the method that the tables name for it. */
void power_raise(struct power *power, unsigned event);

void power_save(const struct power *power, struct state_writer *writer);
int power_restore(struct power *power, struct state_reader *reader);
