/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APIC of one virtual CPU, with its timer: Intel SDM vol. 3A, chapter 11; AMD64 APM vol. 2, chapter 16.
 *
 * xAPIC by its page and x2APIC by its MSRs. The timer counts nanoseconds of the clock that the owner passes in (1 GHz);
 * nothing runs by itself: whoever runs the CPU asks for local_apic_deadline() and calls local_apic_run() when that has come.
 * Used where the engine brings none; the machine's lock is held around every call. Freestanding.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine/cpu_state.h"
#include "machine/io_apic.h"

#define LOCAL_APIC_BASE   0xfee00000ULL
#define LOCAL_APIC_LENGTH 0x1000
#define LOCAL_APIC_NEVER  UINT64_MAX

/* MSRs. */
#define MSR_APIC_BASE      0x1b
#define MSR_TSC_DEADLINE   0x6e0
#define MSR_X2APIC_FIRST   0x800
#define MSR_X2APIC_LAST    0x83f
#define APIC_BASE_FIRST    (1ULL << 8) /* the processor that starts the others */
#define APIC_BASE_EXTENDED (1ULL << 10)
#define APIC_BASE_ENABLED  (1ULL << 11)

struct local_apic_owner {
        void *owner;
        uint64_t (*clock)(void *owner);                                     /* nanoseconds, never going back */
        uint64_t (*tsc)(void *owner);                                       /* the CPU's time-stamp counter */
        uint64_t tsc_khz;                                                   /* 0: there is no TSC-deadline mode */
        void (*send)(void *owner, const struct interrupt_message *message); /* to all but itself, by destination */
        void (*end)(void *owner, uint8_t vector);                           /* of a level-triggered interrupt */
};

struct local_apic {
        struct local_apic_owner owner;
        uint32_t id;
        uint64_t base; /* the MSR */
        uint32_t registers[CPU_APIC_REGISTERS];
        uint32_t errors;        /* since the last write to the error status register */
        uint64_t timer_started; /* of the clock; when the initial count was written */
        bool timer_runs;
        uint64_t deadline; /* of the time-stamp counter; 0: none */
};

void local_apic_init(struct local_apic *apic, uint32_t id, bool first, const struct local_apic_owner *owner);
/* What an INIT message does: all but the number, the base and what a guest cannot reset. */
void local_apic_reset(struct local_apic *apic);

/* ---- Interrupts ---- */

/* A message has come. What is no fixed interrupt is the caller's. */
void local_apic_accept(struct local_apic *apic, uint8_t vector, bool level);
/* Whether a message's destination names this one. */
bool local_apic_is_meant(const struct local_apic *apic, const struct interrupt_message *message);
/* The class of what the CPU is at: the less, the sooner it takes a message of lowest priority. */
uint8_t local_apic_priority(const struct local_apic *apic);
/* The vector that the CPU takes next, or -1. */
int local_apic_vector(const struct local_apic *apic);
/* Takes it: from now on it is in service. */
void local_apic_take(struct local_apic *apic, uint8_t vector);
/* Whether the 8259A's output leads to this CPU (its LINT0), and whether its LINT1 does what NMI does. */
bool local_apic_takes_external(const struct local_apic *apic);
bool local_apic_takes_nmi(const struct local_apic *apic);
/* CR8 of the CPU, 0 to 15. */
void local_apic_set_task_priority(struct local_apic *apic, uint8_t priority);
uint8_t local_apic_task_priority(const struct local_apic *apic);

/* ---- Time ---- */

/* Of the clock; LOCAL_APIC_NEVER where the timer does not run. */
uint64_t local_apic_deadline(const struct local_apic *apic);
void local_apic_run(struct local_apic *apic);

/* ---- Registers ---- */

/* Of the page, at an offset below LOCAL_APIC_LENGTH. */
uint64_t local_apic_read(struct local_apic *apic, uint64_t offset);
void local_apic_write(struct local_apic *apic, uint64_t offset, uint32_t value);
/* MSRs. 0, or -EINVAL where the guest gets a general-protection fault. */
int local_apic_read_msr(struct local_apic *apic, uint32_t index, uint64_t *value);
int local_apic_write_msr(struct local_apic *apic, uint32_t index, uint64_t value);

/* ---- Saved state: fields of struct cpu_state ---- */

void local_apic_get(const struct local_apic *apic, uint32_t registers[CPU_APIC_REGISTERS]);
void local_apic_set(struct local_apic *apic, const uint32_t registers[CPU_APIC_REGISTERS], uint64_t base,
                    uint64_t deadline);
