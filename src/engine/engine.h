/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An engine: what runs a guest's instructions. One interface, one folder an engine (kvm/, later soft/, svm/, vmx/).
 *
 * The host of the machine opens an engine for one machine and makes its virtual CPUs; engine_run() runs one until
 * the machine must act and says why it came back. The engine does not know devices: the caller answers the exit
 * (for a read by filling in its value) and runs again. A vcpu is used by one thread at a time, but for vcpu_kick(),
 * which any thread may call.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "machine/address.h"
#include "machine/cpu_state.h"
#include "machine/memory.h"

enum engine_exit_kind {
        ENGINE_EXIT_PORT,     /* IN or OUT */
        ENGINE_EXIT_MMIO,     /* an access to no memory, or a write to a ROM */
        ENGINE_EXIT_HALT,     /* HLT with no interrupt pending; only from engines that bring no local APIC */
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
        unsigned cpus;
        bool bare; /* no interrupt controllers at all: for self-tests and guests that poll */
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

        int (*vcpu_open)(struct engine *engine, unsigned number, struct vcpu **vcpu, struct error *err);
        void (*vcpu_close)(struct vcpu *vcpu);
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
        const char *(*failure)(const struct vcpu *vcpu);
};
