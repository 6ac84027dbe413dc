/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A 16550A serial port, as the PC has four of: National Semiconductor PC16550D data sheet.
 *
 * The machine owns it and claims eight ports for it. Bytes that the guest sends go to the back end at once, so the
 * transmitter is always empty; bytes for the guest wait in the receive FIFO of 16 and beyond it with the back end,
 * which asks serial_room() first. Baud rate, parity and break are registers that keep their value and mean nothing.
 * One thread at a time: the machine's lock is held around every call.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine/bus.h"
#include "machine/state.h"

#define SERIAL_PORTS 8
#define SERIAL_FIFO  16

/* What the port needs of its owner. */
struct serial_backend {
        void *owner;
        void (*send)(void *owner, const uint8_t *bytes, size_t length);
        void (*interrupt)(void *owner, bool raised); /* the level of the interrupt line */
        void (*room)(void *owner);                   /* the guest read: there is room again; may be NULL */
};

struct serial {
        struct serial_backend backend;
        uint8_t interrupt_enable, fifo_control, line_control, modem_control, scratch;
        uint8_t divisor[2];
        uint8_t line_errors;      /* overrun, until line status is read */
        bool transmitter_pending; /* "transmitter empty" was not yet told */
        bool raised;
        uint8_t fifo[SERIAL_FIFO];
        unsigned head, count;
};

extern const struct bus_operations serial_operations;

void serial_init(struct serial *serial, const struct serial_backend *backend);

/* Free places in the receive FIFO. */
size_t serial_room(const struct serial *serial);
/* Bytes for the guest; those beyond serial_room() are lost and reported to it as an overrun, as the chip does. */
void serial_receive(struct serial *serial, const uint8_t *bytes, size_t length);

void serial_save(const struct serial *serial, struct state_writer *writer);
int serial_restore(struct serial *serial, struct state_reader *reader);
