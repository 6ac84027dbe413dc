/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The generation of a machine: 128 bits in guest memory that change whenever the machine goes on from a saved state, so
 * that its system makes new what must not be twice: Microsoft, "Virtual Machine Generation ID" (2012).
 *
 * They lie where acpi.h's table says (ACPI_GENERATION). Linux mixes them into its random numbers at the notification.
 * Freestanding.
 */
#pragma once

#include "machine/machine.h"

#define GENERATION_SIZE 16

/* Before the guest first runs. 0 or -EFAULT. */
int generation_start(struct machine *machine, const uint8_t generation[GENERATION_SIZE]);
/* After a restore: another one, and the guest is notified. The machine's lock is held. */
int generation_renew(struct machine *machine, const uint8_t generation[GENERATION_SIZE]);
