/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/own_interrupts.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "hosted/vmm_private.h"
#include "machine/interrupts.h"

#define NANOSECONDS 1000000000ULL

/* One CPU; all under the machine's lock. */
struct own_cpu {
        bool halted;
        bool in_guest; /* or about to enter it */
        bool kick;     /* the main loop is to bring it out */
};

struct own_interrupts {
        struct vmm *vmm;
        struct interrupts interrupts;
        struct interrupt_cpu *cpus;
        struct own_cpu *own;
        unsigned count;
        struct event_source timer;
        uint64_t armed; /* the timer's time; UINT64_MAX: not at all */
        pthread_cond_t woken;
};

/* ---- What the controllers ask for ---- */

static uint64_t clock_of(void *context)
{
        struct timespec now;
        (void)context;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * NANOSECONDS + (uint64_t)now.tv_nsec;
}

/* Threads of devices may not send signals: the main loop does that. */
static void wake_cpu(void *context, unsigned number)
{
        struct own_interrupts *own = context;
        struct own_cpu *cpu = &own->own[number];
        pthread_cond_broadcast(&own->woken);
        if (cpu->in_guest && !cpu->kick) {
                cpu->kick = true;
                vmm_wake(own->vmm);
        }
        if (own->cpus[number].init || own->cpus[number].start_up)
                vmm_wake(own->vmm);
}

/* ---- The timer ---- */

static struct timespec time_of(uint64_t nanoseconds)
{
        return (struct timespec){ (time_t)(nanoseconds / NANOSECONDS), (long)(nanoseconds % NANOSECONDS) };
}

static void arm(struct own_interrupts *own, uint64_t deadline)
{
        if (deadline >= own->armed)
                return;
        own->armed = deadline;
        const struct itimerspec when = { .it_value = time_of(deadline ? deadline : 1) };
        timerfd_settime(own->timer.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void timer_ready(void *owner, uint32_t events)
{
        struct own_interrupts *own = owner;
        uint64_t count;
        (void)events;
        (void)!read(own->timer.fd, &count, sizeof(count));
        pthread_mutex_lock(&own->vmm->lock);
        own->armed = UINT64_MAX;
        for (unsigned i = 0; i < own->count; i++) {
                interrupts_run(&own->interrupts, i);
                if (own->own[i].in_guest && interrupts_next(&own->interrupts, i) >= 0)
                        wake_cpu(own, i);
                arm(own, interrupts_deadline(&own->interrupts, i));
        }
        pthread_mutex_unlock(&own->vmm->lock);
}

/* ---- CPUs that others start ---- */

/* SDM vol. 3A, section 9.4.4.2: at vector * 4096, in real mode. */
static void start_cpu(struct own_interrupts *own, unsigned number)
{
        struct interrupt_cpu *cpu = &own->cpus[number];
        struct cpu_state *state = calloc(1, sizeof(*state));
        struct error reason;
        if (!state)
                return; /* the guest sees a CPU that does not come up */
        cpu_reset(state);
        state->segments[CPU_CS].selector = (uint16_t)(cpu->start_up_vector << 8);
        state->segments[CPU_CS].base = (uint64_t)cpu->start_up_vector << 12;
        state->rip = 0;
        cpu->start_up = false;
        own->own[number].halted = false;
        if (own->vmm->operations->set_state(own->vmm->processors[number].vcpu, state, &reason) < 0)
                cpu->waits_for_start = true;
        free(state);
        pthread_cond_broadcast(&own->woken);
}

void own_interrupts_serve(struct own_interrupts *own)
{
        struct vmm *vmm = own->vmm;
        pthread_mutex_lock(&vmm->lock);
        for (unsigned i = 0; i < own->count; i++) {
                struct own_cpu *cpu = &own->own[i];
                if (cpu->kick || (own->cpus[i].init && cpu->in_guest)) {
                        cpu->kick = false;
                        vmm->operations->kick(vmm->processors[i].vcpu);
                        pthread_kill(vmm->processors[i].thread, SIGUSR1);
                }
                /* It sleeps when it has seen its INIT, or was never started. */
                if (own->cpus[i].start_up && !own->cpus[i].init && !cpu->in_guest)
                        start_cpu(own, i);
        }
        pthread_mutex_unlock(&vmm->lock);
}

/* ---- A CPU's thread ---- */

static bool is_to_rest(const struct vmm *vmm)
{
        return vmm->paused || vmm->stopping || vmm->failed || vmm->end != MACHINE_RUNS;
}

static void sleep_until(struct own_interrupts *own, uint64_t deadline)
{
        if (deadline == UINT64_MAX) {
                pthread_cond_wait(&own->woken, &own->vmm->lock);
                return;
        }
        const struct timespec when = time_of(deadline);
        pthread_cond_timedwait(&own->woken, &own->vmm->lock, &when);
}

/* Returns whether it got one, or will as soon as it can. */
static bool give_interrupt(struct own_interrupts *own, unsigned number)
{
        const struct engine_operations *operations = own->vmm->operations;
        struct vcpu *vcpu = own->vmm->processors[number].vcpu;
        struct own_cpu *cpu = &own->own[number];
        if (own->cpus[number].nmi) {
                own->cpus[number].nmi = cpu->halted = false;
                operations->nmi(vcpu);
        }
        bool wanted = interrupts_next(&own->interrupts, number) >= 0;
        bool taken = wanted && operations->can_interrupt(vcpu);
        if (taken) {
                cpu->halted = false;
                operations->interrupt(vcpu, interrupts_take(&own->interrupts, number));
                wanted = interrupts_next(&own->interrupts, number) >= 0;
        }
        operations->want_window(vcpu, wanted);
        return !cpu->halted;
}

void own_interrupts_enter(struct own_interrupts *own, unsigned number)
{
        struct vmm *vmm = own->vmm;
        struct interrupt_cpu *cpu = &own->cpus[number];
        own->own[number].in_guest = false;
        for (;;) {
                cpu->init = false;
                if (is_to_rest(vmm)) {
                        vmm->operations->kick(vmm->processors[number].vcpu);
                        return;
                }
                if (cpu->start_up)
                        vmm_wake(vmm);
                interrupts_run(&own->interrupts, number);
                bool sleeps = cpu->waits_for_start || cpu->start_up;
                if (!sleeps && give_interrupt(own, number))
                        break;
                sleep_until(own, sleeps ? UINT64_MAX : interrupts_deadline(&own->interrupts, number));
        }
        own->own[number].in_guest = true;
        arm(own, interrupts_deadline(&own->interrupts, number));
}

static bool use_msr(struct own_interrupts *own, unsigned number, struct engine_exit *exit)
{
        uint64_t value;
        memcpy(&value, exit->data, sizeof(value));
        int r = interrupts_msr(&own->interrupts, number, (uint32_t)exit->address, exit->write, &value);
        if (r == -ENOENT)
                return false;
        memcpy(exit->data, &value, sizeof(value));
        if (!r)
                *exit->refused = 0;
        return true;
}

/* The engine tells of the MSR as it was written; what is not allowed there does not change ours. */
static void follow(struct own_interrupts *own, unsigned number, const struct engine_exit *exit)
{
        struct local_apic *apic = &own->cpus[number].apic;
        local_apic_set_task_priority(apic, exit->task_priority);
        if (exit->apic_base && exit->apic_base != apic->base)
                local_apic_write_msr(apic, MSR_APIC_BASE, exit->apic_base);
}

bool own_interrupts_exit(struct own_interrupts *own, unsigned number, struct engine_exit *exit)
{
        struct vmm *vmm = own->vmm;
        own->own[number].in_guest = own->own[number].kick = false;
        follow(own, number, exit);
        switch (exit->kind) {
        case ENGINE_EXIT_HALT: own->own[number].halted = true; return true;
        case ENGINE_EXIT_WINDOW:
        case ENGINE_EXIT_PRIORITY: return true;
        case ENGINE_EXIT_MSR: return use_msr(own, number, exit);
        case ENGINE_EXIT_MMIO:
                if (!interrupts_mmio(&own->interrupts, number, exit->address, exit->size, exit->write, exit->data))
                        return false;
                vmm->operations->set_task_priority(vmm->processors[number].vcpu,
                                                   local_apic_task_priority(&own->cpus[number].apic));
                return true;
        default: return false;
        }
}

void own_interrupts_wake_all(struct own_interrupts *own)
{
        pthread_cond_broadcast(&own->woken);
}

void own_interrupts_line(struct own_interrupts *own, unsigned line, bool raised)
{
        interrupts_line(&own->interrupts, line, raised);
}

void own_interrupts_message(struct own_interrupts *own, uint64_t address, uint32_t data)
{
        interrupts_message(&own->interrupts, address, data);
}

/* ---- Making and ending them ---- */

void own_interrupts_close(struct own_interrupts *own)
{
        if (own->timer.fd >= 0)
                close(own->timer.fd);
        pthread_cond_destroy(&own->woken);
        free(own->cpus);
        free(own->own);
        free(own);
}

DEFINE_CLEANUP(own_interrupts, struct own_interrupts, own_interrupts_close)

static int make_controllers(struct own_interrupts *own, const struct topology *topology, struct error *err)
{
        const struct interrupts_host host = { .context = own, .clock = clock_of, .tsc = clock_of, .wake = wake_cpu };
        uint32_t *numbers = calloc(own->count, sizeof(*numbers));
        own->cpus = calloc(own->count, sizeof(*own->cpus));
        own->own = calloc(own->count, sizeof(*own->own));
        if (!numbers || !own->cpus || !own->own) {
                free(numbers);
                return error_memory(err);
        }
        for (unsigned i = 0; i < own->count; i++)
                numbers[i] = topology_apic_id(topology, i);
        interrupts_init(&own->interrupts, &host, own->cpus, numbers, own->count);
        free(numbers);
        int r = interrupts_claim(&own->interrupts, &own->vmm->machine.ports, &own->vmm->machine.mmio);
        return r < 0 ? error_code(err, r, "cannot give the machine its interrupt controllers") : 0;
}

int own_interrupts_open(struct vmm *vmm, const struct topology *topology, struct own_interrupts **result,
                        struct error *err)
{
        _cleanup_(own_interrupts) struct own_interrupts *own = calloc(1, sizeof(*own));
        pthread_condattr_t attributes;
        if (!own)
                return error_memory(err);
        own->vmm = vmm;
        own->count = topology_cpus(topology);
        own->armed = UINT64_MAX;
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&own->woken, &attributes);
        pthread_condattr_destroy(&attributes);
        own->timer =
                (struct event_source){ timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), timer_ready, own };
        if (own->timer.fd < 0)
                return error_errno(err, "cannot make a timer");
        int r = event_loop_add(&vmm->loop, &own->timer, EPOLLIN);
        if (r < 0)
                return error_code(err, r, "cannot wait for a timer");
        r = make_controllers(own, topology, err);
        if (r < 0)
                return r;
        *result = TAKE_PTR(own);
        return 0;
}
