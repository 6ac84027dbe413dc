/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PC's interrupt controllers and timers together, for an engine that brings none: two 8259A, an I/O APIC, an 8254, and a
 * local APIC for each CPU. SDM vol. 3A, chapter 11; MultiProcessor Specification 1.4.
 *
 * They decide which vector a CPU takes next; whoever runs the CPUs follows engine.h: interrupts_run(), interrupts_next(),
 * interrupts_take() before each entry, and what is wanted of it besides (struct interrupt_cpu). Time comes from the clock that
 * the host passes in; interrupts_deadline() says when the CPU must be looked at again, also while it runs. The machine's lock
 * is held around every call. Freestanding.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine/bus.h"
#include "machine/local_apic.h"
#include "machine/pic.h"
#include "machine/pit.h"

struct interrupts;

/* One virtual CPU. What is wanted stays set until whoever runs the CPU has done it and clears it. */
struct interrupt_cpu {
        struct interrupts *interrupts;
        unsigned number;
        struct local_apic apic;
        bool nmi;             /* wanted: a non-maskable interrupt */
        bool init;            /* wanted: the state after an INIT message, to wait for a start-up message */
        bool start_up;        /* wanted: real mode at start_up_vector * 4096 */
        bool waits_for_start; /* since its INIT, or from the beginning */
        uint8_t start_up_vector;
};

struct interrupts_host {
        void *context;
        uint64_t (*clock)(void *context); /* nanoseconds, never going back */
        uint64_t (*tsc)(void *context);   /* time-stamp counter of the CPUs */
        uint64_t tsc_khz;                 /* 0: there is no TSC-deadline mode */
        /* There is something for this CPU to do, or its deadline may have come nearer. Any CPU's thread. */
        void (*wake)(void *context, unsigned cpu);
};

struct interrupts {
        struct interrupts_host host;
        struct pic_pair pics;
        struct io_apic io_apic;
        struct pit pit;
        unsigned cpu_count;
        struct interrupt_cpu *cpus; /* the caller's */
};

/* CPU i has the APIC number numbers[i]; all but the first wait to be started. */
void interrupts_init(struct interrupts *interrupts, const struct interrupts_host *host, struct interrupt_cpu *cpus,
                     const uint32_t *numbers, unsigned count);
/* Puts their ports and registers on the buses, but for the local APICs, which each CPU sees for itself. As bus_claim(). */
int interrupts_claim(struct interrupts *interrupts, struct bus *ports, struct bus *mmio);

/* struct machine_host: an interrupt of a device. Line 0, the timer's, is line 2 of the I/O APIC. */
void interrupts_line(struct interrupts *interrupts, unsigned line, bool raised);
void interrupts_message(struct interrupts *interrupts, uint64_t address, uint32_t data);

/* An access of this CPU's to its local APIC's page. Returns false where it is to something else. */
bool interrupts_mmio(struct interrupts *interrupts, unsigned cpu, uint64_t at, unsigned size, bool write,
                     uint8_t *data);
/* 0, -EINVAL where the guest gets a general-protection fault, -ENOENT where the MSR is not one of these. */
int interrupts_msr(struct interrupts *interrupts, unsigned cpu, uint32_t index, bool write, uint64_t *value);

/* What came due goes to the controllers. */
void interrupts_run(struct interrupts *interrupts, unsigned cpu);
/* Of the clock: when interrupts_run() has something to do; UINT64_MAX: never. */
uint64_t interrupts_deadline(const struct interrupts *interrupts, unsigned cpu);
/* The vector that the CPU takes next, or -1. The 8259A's is known only when it is taken: 0 stands for it. */
int interrupts_next(const struct interrupts *interrupts, unsigned cpu);
uint8_t interrupts_take(struct interrupts *interrupts, unsigned cpu);
