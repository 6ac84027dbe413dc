/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine's devices as saved state: the record "machine" with what there is, then a record or more of each device.
 *
 * Memory, processors and an engine's own chips are not among them. No back end is: which file is behind a disk is said
 * anew where the machine is restored; that it is a disk must agree. All processors are out of the guest, and nothing is
 * in flight. Freestanding.
 */
#pragma once

#include "machine/machine.h"

void machine_save(const struct machine *machine, struct state_writer *writer);

/* What machine_restore() did not like, for people. */
struct machine_misfit {
        const char *device;   /* "serial", "virtio"… */
        unsigned number;      /* which of the virtio devices, from 1; 0: another device */
        unsigned saved, here; /* virtio ids, where these are the misfit; 0: none */
};

/*
 * Puts the devices of a machine that was just made, or reset, into that state; what the driver had asked of queues is
 * taken up again. -EINVAL or -ENOTSUP with *misfit: the machine is then in no state to run.
 */
int machine_restore(struct machine *machine, struct state_reader *reader, struct machine_misfit *misfit);

/* What back ends have in hand is dropped; the registers follow by machine_restore() of the first state. */
void machine_quiet(struct machine *machine);

/* Requests that a back end has taken off a queue and not answered. */
bool machine_is_busy(const struct machine *machine);
