/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An engine: what runs a guest's instructions. One interface, one folder an engine (kvm/, later soft/, svm/, vmx/).
 *
 * The host of the machine opens an engine for one machine and makes its virtual CPUs; engine_run() runs one until
 * the machine must act and says why it came back. The engine does not know devices: the caller answers the exit
 * (for a read by filling in its value) and runs again. A vcpu is used by one thread at a time, but for kick(), which
 * any thread may call.
 *
 * Interrupts come in two ways. An engine that has interrupt controllers itself (has()) is told of lines and messages,
 * and halts, wakes and starts CPUs by itself. For one that has none the machine's own controllers decide which vector a
 * CPU takes next; whoever runs the vcpu then does, before each run():
 *
 *   if the controllers have a vector for this CPU:
 *           if can_interrupt(vcpu): take the vector off the controllers, and interrupt(vcpu, vector)
 *           else: want_window(vcpu, true), so that run() comes back (ENGINE_EXIT_WINDOW) once it can
 *
 * and has the controllers follow `task_priority` and `apic_base` of each exit. A CPU that halts (ENGINE_EXIT_HALT) is
 * run again when there is a vector, or after an nmi(). INIT and start-up messages between CPUs are set_state() of the
 * one that they go to.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "machine/address.h"
#include "machine/chip_state.h"
#include "machine/cpu_state.h"
#include "machine/memory.h"
#include "machine/topology.h"

enum engine_exit_kind {
        ENGINE_EXIT_PORT,     /* IN or OUT */
        ENGINE_EXIT_MMIO,     /* an access to no memory, or a write to a ROM */
        ENGINE_EXIT_HALT,     /* HLT with no interrupt pending; only from engines that bring no local APIC */
        ENGINE_EXIT_WINDOW,   /* can_interrupt() is true now, as want_window() asked; from the same engines */
        ENGINE_EXIT_PRIORITY, /* the guest lowered CR8, the task priority; from the same engines */
        ENGINE_EXIT_MSR,      /* RDMSR or WRMSR of a register that the engine does not know; `address` is its index */
        ENGINE_EXIT_SHUTDOWN, /* triple fault */
        ENGINE_EXIT_KICKED,   /* vcpu_kick() */
        ENGINE_EXIT_FAILED,   /* the engine cannot go on; vcpu_failure() has the words */
        ENGINE_EXITS,
};

struct engine_exit {
        enum engine_exit_kind kind;
        uint64_t address; /* port number or guest-physical address */
        unsigned size;    /* bytes of one access: 1, 2, 4 or 8 */
        bool write;
        /* `count` values of `size` bytes, little-endian: to be used (write) or filled in (read) before the next run. */
        uint8_t *data;
        unsigned count;
        /* Of ENGINE_EXIT_MSR. Set already: the guest gets a general-protection fault unless the caller clears it. */
        uint8_t *refused;
        /* What controllers of the machine have to follow; 0 where the engine has a local APIC. */
        uint8_t task_priority; /* CR8 */
        uint64_t apic_base;    /* the MSR */
};

/* Which of the PC's interrupt controllers and timers the engine has itself; the machine provides the others. */
enum {
        ENGINE_HAS_LOCAL_APIC = 1 << 0,
        ENGINE_HAS_IOAPIC = 1 << 1,
        ENGINE_HAS_PIC = 1 << 2,
        ENGINE_HAS_PIT = 1 << 3,
        ENGINE_HAS_CLOCK = 1 << 4, /* a paravirtual clock */
};

struct engine;
struct vcpu;

struct engine_settings {
        struct topology topology; /* how many CPUs, and how they hang together */
        const char *cpu;          /* which features they have, as cpu_model.h reads it; NULL: all of the host's */
        bool bare;                /* no interrupt controllers: the machine's own are used, or none */
        bool no_clock;            /* no paravirtual clock either */
};

/* What changed since the last look: one bit a page, for each region of guest memory, by its place in the struct. */
struct engine_changes {
        uint64_t *pages[GUEST_MEMORY_REGIONS_MAX]; /* NULL: nobody asks about this region */
};

struct engine_operations {
        const char *name;
        int (*open)(const struct engine_settings *settings, struct engine **engine, struct error *err);
        void (*close)(struct engine *engine);
        unsigned (*has)(const struct engine *engine); /* ENGINE_HAS_… */
        int (*map)(struct engine *engine, const struct guest_memory *memory, struct error *err);
        int (*interrupt_line)(struct engine *engine, unsigned line, bool raised);
        int (*message_interrupt)(struct engine *engine, uint64_t address, uint32_t data);
        /*
         * From now on (or no longer: present false) a 16-bit write of the guest to `at` adds one to the eventfd
         * instead of leaving the guest. NULL in engines that have no such thing.
         */
        int (*doorbell)(struct engine *engine, uint64_t at, int eventfd, bool present);

        /* The controllers and the clock that the engine has itself. All CPUs are out of run(). */
        int (*get_chips)(struct engine *engine, struct chip_state *chips, struct error *err);
        int (*set_chips)(struct engine *engine, const struct chip_state *chips, struct error *err);

        /*
         * Watches which pages the guest writes, from now on, or no longer. collect_changes() adds those since the last
         * call (or the start) to *changes and forgets them; CPUs may be running. What the machine's devices write is
         * not among them: guest_memory_region.dirty is. NULL in engines that cannot.
         */
        int (*watch_changes)(struct engine *engine, bool on, struct error *err);
        int (*collect_changes)(struct engine *engine, struct engine_changes *changes, struct error *err);

        int (*vcpu_open)(struct engine *engine, unsigned number, struct vcpu **vcpu, struct error *err);
        void (*vcpu_close)(struct vcpu *vcpu);
        /*
         * The vcpu is out of run(), its last exit's instruction finished: it came back with ENGINE_EXIT_KICKED. CPU 0
         * comes first, to which the others' time-stamp counters are kept in step. get_state() reads all that the CPU
         * has; set_state() sets the MSRs that are named and leaves the others.
         */
        int (*set_state)(struct vcpu *vcpu, const struct cpu_state *state, struct error *err);
        int (*get_state)(struct vcpu *vcpu, struct cpu_state *state, struct error *err);
        /* Returns when the machine must act, with *exit filled. Finishes the last exit's instruction first. */
        void (*run)(struct vcpu *vcpu, struct engine_exit *exit);
        /*
         * Brings the vcpu out of run() with ENGINE_EXIT_KICKED, now or at its next entry. Any thread, signal handlers
         * too.
         */
        void (*kick)(struct vcpu *vcpu);
        /* The vcpu did not run for a while: its guest is told so where there is a way. It is out of run(). */
        void (*was_paused)(struct vcpu *vcpu);

        /* For a machine with interrupt controllers of its own, see above; the vcpu is out of run(). */
        bool (*can_interrupt)(const struct vcpu *vcpu);
        int (*interrupt)(struct vcpu *vcpu,
                         uint8_t vector); /* taken at the next run(); -EBUSY unless can_interrupt() */
        void (*want_window)(struct vcpu *vcpu, bool wanted);
        int (*nmi)(struct vcpu *vcpu);
        void (*set_task_priority)(struct vcpu *vcpu,
                                  uint8_t priority); /* CR8, as the local APIC's register was written */

        const char *(*failure)(const struct vcpu *vcpu);
};
