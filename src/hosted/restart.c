/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/restart.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "hosted/guest_ram.h"
#include "hosted/snapshot.h"
#include "hosted/snapshot_memory.h"
#include "hosted/vmm_private.h"
#include "machine/machine_state.h"

/* A guest that lived less than a second so many times in a row will not live longer the next time. */
#define SHORT_LIVES_MAX 16
#define SHORT_LIFE_MS   1000

struct restart {
        int memory; /* RAM before the guest first ran, as snapshot_memory.h has it */
        uint8_t *records;
        size_t length;
        int64_t born; /* milliseconds */
        unsigned short_lives;
        uint64_t count;
};

static int64_t milliseconds(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void restart_close(struct restart *restart)
{
        if (restart->memory >= 0)
                close(restart->memory);
        free(restart->records);
        free(restart);
}

DEFINE_CLEANUP(restart, struct restart, restart_close)

/* ---- Before ---- */

static int save_records(struct vmm *vmm, struct restart *restart, struct error *err)
{
        struct state_writer measure = { .room = 0 };
        machine_save(&vmm->machine, &measure);
        size_t room =
                measure.length + vmm->processor_count * 2 * sizeof(struct cpu_state) + 2 * sizeof(struct chip_state);
        restart->records = malloc(room);
        if (!restart->records)
                return error_memory(err);
        struct state_writer writer = { .data = restart->records, .room = room };
        int r = machine_records_save(vmm, &writer, err);
        restart->length = writer.length;
        return r < 0 || writer.length <= room ? r : error_set(err, -ENOSPC, "the machine's state is too large");
}

int restart_open(struct vmm *vmm, struct restart **result, struct error *err)
{
        const struct snapshot_header nameless = { .changes = false };
        struct guest_memory *memory = &vmm->machine.memory;
        _cleanup_(restart) struct restart *restart = calloc(1, sizeof(*restart));
        if (!restart)
                return error_memory(err);
        restart->memory = memfd_create("onggi-reset", MFD_CLOEXEC);
        if (restart->memory < 0)
                return error_errno(err, "cannot make a file for the guest's memory at its start");
        int r = snapshot_memory_write(memory, restart->memory, &nameless, NULL, err);
        if (!r)
                r = save_records(vmm, restart, err);
        if (r < 0)
                return r;
        r = guest_ram_return(memory, restart->memory, vmm->share_count);
        if (r < 0)
                return error_code(err, r, "cannot map the guest's memory at its start");
        restart->born = milliseconds();
        *result = TAKE_PTR(restart);
        return 0;
}

/* ---- Again ---- */

uint64_t restart_count(const struct restart *restart)
{
        return restart->count;
}

void restart_ask(struct vmm *vmm)
{
        if (vmm->end != MACHINE_RUNS || vmm->reset_asked)
                return;
        if (!vmm->restart) {
                vmm->end = MACHINE_RESET;
        } else {
                vmm->reset_asked = true;
                vmm->resume_after_reset = !vmm->paused;
                vmm->paused = true;
        }
        vmm_wake(vmm);
}

static bool lives_too_short(struct restart *restart)
{
        int64_t now = milliseconds();
        restart->short_lives = now - restart->born < SHORT_LIFE_MS ? restart->short_lives + 1 : 0;
        restart->born = now;
        restart->count++;
        return restart->short_lives > SHORT_LIVES_MAX;
}

/* The lock is held, the processors rest. */
static int go_back(struct vmm *vmm, struct error *err)
{
        const struct restart *restart = vmm->restart;
        struct state_reader reader = { .data = restart->records, .length = restart->length };
        machine_quiet(&vmm->machine);
        int r = guest_ram_return(&vmm->machine.memory, restart->memory, vmm->share_count);
        if (r < 0)
                return error_code(err, r, "cannot map the guest's memory at its start");
        return machine_records_restore(vmm, &reader, "the machine's start", err);
}

void restart_serve(struct vmm *vmm)
{
        struct error err = { 0 };
        pthread_mutex_lock(&vmm->lock);
        bool asked = vmm->reset_asked;
        pthread_mutex_unlock(&vmm->lock);
        if (!asked)
                return;
        processors_pause(vmm);
        pthread_mutex_lock(&vmm->lock);
        vmm->reset_asked = false;
        if (vmm->watching) /* memory is another one now */
                snapshot_watch_stop(vmm);
        bool endless = lives_too_short(vmm->restart);
        int r = endless || vmm->end != MACHINE_RUNS ? 0 : go_back(vmm, &err);
        if (endless || r < 0) {
                vmm->end = vmm->end == MACHINE_RUNS ? MACHINE_RESET : vmm->end;
                vmm->why = endless ? "its guest resets it endlessly, and never ran for a second of the last 16 times"
                                   : "it could not be reset";
        }
        if (r < 0)
                fprintf(stderr, "onggi-vmm: cannot reset the machine: %s\n", err.text);
        bool resume = vmm->resume_after_reset;
        pthread_mutex_unlock(&vmm->lock);
        if (resume)
                processors_resume(vmm);
}
