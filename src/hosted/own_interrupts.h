/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine's own interrupt controllers (machine/interrupts.h) between the engine's virtual CPUs and the clock, where the
 * engine brings none.
 *
 * A CPU's thread asks before each entry what its CPU has to take, and sleeps here while the CPU halts or waits to be started.
 * For one that is in the guest a timer of the main loop watches its deadline, and the main loop brings it out; it also sets
 * the state of a CPU that is started, which is out of the guest then. The machine's lock is held around every call.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/engine.h"

struct vmm;
struct own_interrupts;

/* Before the processors, after the engine. */
int own_interrupts_open(struct vmm *vmm, const struct topology *topology, struct own_interrupts **own,
                        struct error *err);
void own_interrupts_close(struct own_interrupts *own);

void own_interrupts_line(struct own_interrupts *own, unsigned line, bool raised);
void own_interrupts_message(struct own_interrupts *own, uint64_t address, uint32_t data);

/* In a CPU's thread, before the guest is entered: gives the CPU its interrupt, or sleeps until it has something to do. */
void own_interrupts_enter(struct own_interrupts *own, unsigned cpu);
/* In the same thread, after an exit. Returns true where it was for the controllers alone. */
bool own_interrupts_exit(struct own_interrupts *own, unsigned cpu, struct engine_exit *exit);
/* Has those that sleep look around: the processors are to rest or to end. */
void own_interrupts_wake_all(struct own_interrupts *own);
/* Main loop, after vmm_wake(). */
void own_interrupts_serve(struct own_interrupts *own);
