/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of one virtual machine's process share.
 *
 * struct vmm is the process: the machine, its engine, its processors and its back ends. `lock` guards the machine
 * (but for its memory) and what is marked so here; a back end takes it around every call into the machine, and does
 * its own slow work without it.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"
#include "hosted/event_loop.h"
#include "hosted/jail.h"
#include "hosted/outcome.h"
#include "hosted/vmm.h"
#include "machine/machine.h"

/*
 * One queue of a virtio device and the eventfd that a driver's notification of it ends in. Belongs to the device's
 * back end.
 */
struct doorbell {
        struct doorbell *next;
        struct vmm *vmm;
        struct virtio_transport *transport;
        unsigned queue;
        int fd;
        struct event_source source; /* of a device that the main loop serves */
};

#define PROCESSOR_MSRS_COUNTED 16

struct msr_count {
        uint32_t index;
        uint64_t count; /* 0: a free place */
};

struct processor {
        struct vmm *vmm;
        struct vcpu *vcpu;
        unsigned number;
        pthread_t thread;
        bool started;
        uint64_t exits[ENGINE_EXITS];                  /* its own thread's */
        struct msr_count msrs[PROCESSOR_MSRS_COUNTED]; /* that the engine does not know: by index; its own thread's */
};

struct console {
        struct event_source input;
        bool at_end, always_ready; /* nothing more will come; a file, which epoll does not take */
        bool waiting;              /* in the event loop, waiting for input */
};

struct boot_files;
struct cd_drive;
struct control;
struct own_interrupts;
struct disk;
struct entropy_source;
struct memory_return;
struct restart;
struct shared_folder;
struct snapshot;
struct socket_bridge;
struct tap;
struct window;

struct vmm {
        const struct vmm_settings *settings;
        const struct engine_operations *operations;
        struct engine *engine;
        struct machine machine;
        pthread_mutex_t lock;
        struct event_loop loop;
        struct event_source wake, signals;
        bool pressed; /* the power button, by a signal */
        struct console console;
        bool jailed;
        struct own_interrupts *own; /* NULL: the engine has interrupt controllers */
        int report;                 /* descriptor of report.h, or -1 */
        unsigned processor_count;
        struct processor *processors;
        struct doorbell *doorbells; /* all that the machine may ask for; fixed once the guest runs */
        unsigned disk_count;
        struct disk **disks;
        unsigned tap_count;
        struct tap **taps;
        unsigned share_count;
        struct shared_folder **shares; /* guest memory is mapped shared if there are any */
        struct cd_drive *cd_drive;
        struct boot_files *boot_files;
        struct entropy_source *entropy;
        struct memory_return *memory;
        struct socket_bridge *sockets;
        struct window *window;
        struct outcome outcome; /* the console's text, under the lock */
        unsigned complaints;    /* about the guest, that were logged */
        struct control *control;

        /* Under the lock: processors that are to rest, do rest, are to end. */
        bool paused, stopping;
        bool pause_asked; /* by a back end that cannot go on */
        unsigned resting;
        pthread_cond_t rested, resumed;

        /* Under the lock, of the main loop: see snapshot.h. */
        bool watching; /* changes against `snapshot_id` are known */
        uint8_t snapshot_id[16];

        struct snapshot *snapshot;            /* that it comes from, or NULL */
        struct restart *restart;              /* NULL: a reset ends the machine */
        bool reset_asked, resume_after_reset; /* under the lock */

        /* Under the lock: how it ended. */
        enum machine_end end;
        unsigned code;
        bool stopped;    /* by us, not by the guest */
        const char *why; /* it ended, where that is an error; NULL: `end` says all */
        const struct processor *failed;
};

/* Brings the main loop out of its wait. Any thread. */
void vmm_wake(struct vmm *vmm);
/* Has the main loop pause the guest, as the control socket would. Any thread; the lock is held. */
void vmm_ask_for_pause(struct vmm *vmm);

/* Ends the machine, unless it has. Under the lock. */
void vmm_stop(struct vmm *vmm);

/* First thing in each thread of the guest's: no way back, and no guest without it. */
void vmm_confine_thread(const struct vmm *vmm, enum jail_thread kind);

/* ---- Processors ---- */

/* Makes the virtual CPUs; the first enters at `entry` (NULL: states follow), the others wait to be started by it. */
int processors_open(struct vmm *vmm, unsigned count, const struct cpu_state *entry, struct error *err);
int processors_start(struct vmm *vmm, struct error *err);
/* Brings all out of the guest and keeps them out; returns when they are. */
void processors_pause(struct vmm *vmm);
void processors_resume(struct vmm *vmm);
/* Brings all out of the guest and waits for their threads. */
void processors_stop(struct vmm *vmm);
void processors_close(struct vmm *vmm);

/* ---- Notifications ---- */

/* Makes the doorbells of a device's queues: `doorbells` has one place a queue. */
int doorbells_open(struct vmm *vmm, struct virtio_transport *transport, unsigned queues, struct doorbell *doorbells,
                   struct error *err);
/* Has the main loop serve them: for devices without threads of their own. */
int doorbells_serve(struct vmm *vmm, struct doorbell *doorbells, unsigned queues, struct error *err);
void doorbells_close(struct doorbell *doorbells, unsigned queues);
/* struct machine_host */
void host_doorbell(void *context, struct virtio_transport *transport, unsigned queue, uint64_t at, bool present);

/* ---- The serial console on standard input and output ---- */

int console_open(struct vmm *vmm, struct error *err);
/* Moves input to the guest as far as there is room; asks for more when there will be. */
void console_serve(struct vmm *vmm);

/* ---- Signals ---- */

/* From here on SIGTERM, SIGINT and SIGQUIT stop the guest and not the process. */
int stop_signals_open(struct vmm *vmm, struct error *err);
