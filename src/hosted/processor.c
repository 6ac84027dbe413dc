/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "hosted/own_interrupts.h"
#include "hosted/restart.h"
#include "hosted/thread.h"
#include "hosted/vmm_private.h"

static void on_kick(int signal)
{
        (void)signal; /* its arrival alone brings KVM_RUN back */
}

/* A register that the engine does not know: the guest gets its fault, and the statistics say what it looked for. */
static void count_msr(struct processor *processor, uint32_t index)
{
        for (unsigned i = 0; i < PROCESSOR_MSRS_COUNTED; i++) {
                struct msr_count *msr = &processor->msrs[i];
                if (msr->count && msr->index != index)
                        continue;
                msr->index = index;
                msr->count++;
                return;
        }
}

static void act(struct processor *processor, struct engine_exit *exit)
{
        struct vmm *vmm = processor->vmm;
        processor->exits[exit->kind]++;
        if (vmm->own && own_interrupts_exit(vmm->own, processor->number, exit))
                return;
        switch (exit->kind) {
        case ENGINE_EXIT_PORT:
                machine_port(&vmm->machine, (uint16_t)exit->address, exit->size, exit->write, exit->data, exit->count);
                break;
        case ENGINE_EXIT_MMIO:
                machine_mmio(&vmm->machine, gpa(exit->address), exit->size, exit->write, exit->data);
                break;
        case ENGINE_EXIT_MSR: count_msr(processor, (uint32_t)exit->address); break;
        case ENGINE_EXIT_KICKED: break;
        case ENGINE_EXIT_SHUTDOWN:
                if (vmm->restart) {
                        restart_ask(vmm);
                        break;
                }
                /* fall through */
        default: /* nothing can wake a CPU that halts without a local APIC; the others are ends of themselves */
                if (!vmm->failed)
                        vmm->failed = processor;
                vmm_wake(vmm);
                break;
        }
}

/* Stays here while processors are to rest. The lock is held. */
static void rest(struct vmm *vmm)
{
        vmm->resting++;
        pthread_cond_broadcast(&vmm->rested);
        while (vmm->paused && !vmm->stopping)
                pthread_cond_wait(&vmm->resumed, &vmm->lock);
        vmm->resting--;
}

/* Returns whether the guest goes on. */
static bool answer(struct processor *processor, struct engine_exit *exit)
{
        struct vmm *vmm = processor->vmm;
        pthread_mutex_lock(&vmm->lock);
        act(processor, exit);
        pthread_cond_broadcast(&vmm->rested);
        /*
         * A CPU rests between two instructions, so that its state can be read: the one that it left the guest with is
         * finished by running again, which the kick then ends at once.
         */
        if (vmm->paused && (exit->kind == ENGINE_EXIT_KICKED || exit->kind == ENGINE_EXIT_SHUTDOWN))
                rest(vmm);
        else if (vmm->paused)
                vmm->operations->kick(processor->vcpu);
        bool runs = !vmm->failed && vmm->end == MACHINE_RUNS && !vmm->stopping;
        pthread_mutex_unlock(&vmm->lock);
        return runs;
}

/* Where the engine has interrupt controllers, there is nothing to do before it runs. */
static void prepare(struct processor *processor)
{
        struct vmm *vmm = processor->vmm;
        if (!vmm->own)
                return;
        pthread_mutex_lock(&vmm->lock);
        own_interrupts_enter(vmm->own, processor->number);
        pthread_mutex_unlock(&vmm->lock);
}

static void *run(void *context)
{
        struct processor *processor = context;
        struct engine_exit exit;
        vmm_confine_thread(processor->vmm, JAIL_PROCESSOR);
        do {
                prepare(processor);
                processor->vmm->operations->run(processor->vcpu, &exit);
        } while (answer(processor, &exit));
        return NULL;
}

int processors_open(struct vmm *vmm, unsigned count, const struct cpu_state *entry, struct error *err)
{
        vmm->processors = calloc(count, sizeof(*vmm->processors));
        if (!vmm->processors)
                return error_memory(err);
        for (unsigned i = 0; i < count; i++) {
                struct processor *processor = &vmm->processors[i];
                *processor = (struct processor){ .vmm = vmm, .number = i };
                int r = vmm->operations->vcpu_open(vmm->engine, i, &processor->vcpu, err);
                if (r < 0)
                        return r;
                vmm->processor_count = i + 1;
        }
        return entry ? vmm->operations->set_state(vmm->processors[0].vcpu, entry, err) : 0;
}

int processors_start(struct vmm *vmm, struct error *err)
{
        sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_kick }, NULL);
        for (unsigned i = 0; i < vmm->processor_count; i++) {
                struct processor *processor = &vmm->processors[i];
                int r = thread_start(&processor->thread, run, processor);
                if (r < 0)
                        return error_code(err, r, "cannot start the thread of virtual CPU %u", i);
                processor->started = true;
        }
        return 0;
}

static void kick_all(struct vmm *vmm)
{
        if (vmm->own)
                own_interrupts_wake_all(vmm->own);
        for (unsigned i = 0; i < vmm->processor_count; i++) {
                struct processor *processor = &vmm->processors[i];
                if (!processor->started)
                        continue;
                vmm->operations->kick(processor->vcpu);
                pthread_kill(processor->thread, SIGUSR1);
        }
}

void processors_pause(struct vmm *vmm)
{
        pthread_mutex_lock(&vmm->lock);
        if (vmm->end == MACHINE_RUNS && !vmm->failed) {
                vmm->paused = true;
                kick_all(vmm);
                while (vmm->resting < vmm->processor_count && vmm->end == MACHINE_RUNS && !vmm->failed)
                        pthread_cond_wait(&vmm->rested, &vmm->lock);
        }
        pthread_mutex_unlock(&vmm->lock);
}

void processors_resume(struct vmm *vmm)
{
        pthread_mutex_lock(&vmm->lock);
        /* Its clock stood still: a guest that knows of it does not take the gap for a processor that hangs. */
        for (unsigned i = 0; vmm->paused && i < vmm->processor_count; i++)
                vmm->operations->was_paused(vmm->processors[i].vcpu);
        vmm->paused = false;
        pthread_cond_broadcast(&vmm->resumed);
        pthread_mutex_unlock(&vmm->lock);
}

void processors_stop(struct vmm *vmm)
{
        pthread_mutex_lock(&vmm->lock);
        vmm->stopping = true;
        pthread_cond_broadcast(&vmm->resumed);
        pthread_mutex_unlock(&vmm->lock);
        kick_all(vmm);
        for (unsigned i = 0; i < vmm->processor_count; i++) {
                if (vmm->processors[i].started)
                        pthread_join(vmm->processors[i].thread, NULL);
                vmm->processors[i].started = false;
        }
}

void processors_close(struct vmm *vmm)
{
        for (unsigned i = 0; i < vmm->processor_count; i++)
                vmm->operations->vcpu_close(vmm->processors[i].vcpu);
        free(vmm->processors);
        vmm->processors = NULL;
        vmm->processor_count = 0;
}
