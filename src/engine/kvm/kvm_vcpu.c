/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/kvm/kvm_private.h"

void kvm_vcpu_close(struct vcpu *vcpu)
{
        if (vcpu->run)
                munmap(vcpu->run, vcpu->engine->run_size);
        if (vcpu->fd >= 0)
                close(vcpu->fd);
        free(vcpu);
}

DEFINE_CLEANUP(vcpu, struct vcpu, kvm_vcpu_close)

int kvm_vcpu_open(struct engine *engine, unsigned number, struct vcpu **result, struct error *err)
{
        _cleanup_(vcpu) struct vcpu *vcpu = calloc(1, sizeof(*vcpu));
        if (!vcpu)
                return error_memory(err);
        vcpu->engine = engine;
        vcpu->number = number;
        vcpu->fd = ioctl(engine->vm, KVM_CREATE_VCPU, (unsigned long)topology_apic_id(&engine->topology, number));
        if (vcpu->fd < 0)
                return error_errno(err, "KVM cannot make CPU %u", number);
        void *run = mmap(NULL, engine->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
        if (run == MAP_FAILED)
                return error_errno(err, "cannot map what KVM shares of CPU %u", number);
        vcpu->run = run;
        int r = kvm_set_cpuid(vcpu, err);
        if (r < 0)
                return r;
        kvm_set_first_msrs(vcpu);
        *result = TAKE_PTR(vcpu);
        return 0;
}

const char *kvm_vcpu_failure(const struct vcpu *vcpu)
{
        return vcpu->failure;
}

void kvm_vcpu_kick(struct vcpu *vcpu)
{
        /*
         * Read by KVM_RUN at its entry; a thread that is in the guest already needs a signal besides, which its owner
         * sends.
         */
        __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

void kvm_vcpu_was_paused(struct vcpu *vcpu)
{
        /* Fails for a guest that does not use KVM's clock, which then has no way to know. */
        ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL, 0);
}

/* ---- Exits ---- */

static enum engine_exit_kind fail(struct vcpu *vcpu, const char *what, unsigned long long detail)
{
        struct kvm_regs registers = { 0 };
        struct kvm_sregs system = { 0 };
        ioctl(vcpu->fd, KVM_GET_REGS, &registers);
        ioctl(vcpu->fd, KVM_GET_SREGS, &system);
        snprintf(vcpu->failure, sizeof(vcpu->failure),
                 "%s (0x%llx) at instruction 0x%llx of CPU %u (rsp 0x%llx, cr0 0x%llx, cr3 0x%llx, efer 0x%llx)", what,
                 detail, (unsigned long long)registers.rip, vcpu->number, (unsigned long long)registers.rsp,
                 (unsigned long long)system.cr0, (unsigned long long)system.cr3, (unsigned long long)system.efer);
        return ENGINE_EXIT_FAILED;
}

static enum engine_exit_kind exit_port(struct vcpu *vcpu, struct engine_exit *exit)
{
        struct kvm_run *run = vcpu->run;
        exit->address = run->io.port;
        exit->size = run->io.size;
        exit->write = run->io.direction == KVM_EXIT_IO_OUT;
        exit->count = run->io.count;
        exit->data = (uint8_t *)run + run->io.data_offset;
        return ENGINE_EXIT_PORT;
}

static enum engine_exit_kind exit_mmio(struct vcpu *vcpu, struct engine_exit *exit)
{
        struct kvm_run *run = vcpu->run;
        exit->address = run->mmio.phys_addr;
        exit->size = run->mmio.len;
        exit->write = run->mmio.is_write;
        exit->count = 1;
        exit->data = run->mmio.data;
        return ENGINE_EXIT_MMIO;
}

static enum engine_exit_kind exit_halt(struct vcpu *vcpu, struct engine_exit *exit)
{
        (void)vcpu;
        (void)exit;
        return ENGINE_EXIT_HALT;
}

static enum engine_exit_kind exit_shutdown(struct vcpu *vcpu, struct engine_exit *exit)
{
        (void)exit;
        fail(vcpu, "triple fault", 0);
        return ENGINE_EXIT_SHUTDOWN;
}

static enum engine_exit_kind exit_refused(struct vcpu *vcpu, struct engine_exit *exit)
{
        (void)exit;
        return fail(vcpu, "the processor refused to enter the guest",
                    vcpu->run->fail_entry.hardware_entry_failure_reason);
}

/* KVM met an instruction that it must emulate and cannot: api.rst, KVM_EXIT_INTERNAL_ERROR. */
static enum engine_exit_kind exit_internal(struct vcpu *vcpu, struct engine_exit *exit)
{
        (void)exit;
        struct kvm_run *run = vcpu->run;
        if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION)
                return fail(vcpu, "KVM met an error of its own", run->internal.suberror);
        bool bytes_known = run->emulation_failure.ndata >= 3 &&
                           (run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES);
        char text[112] = "KVM cannot emulate an instruction";
        if (bytes_known) {
                size_t at = strlen(text);
                text[at++] = ':';
                for (unsigned i = 0; i < run->emulation_failure.insn_size && at + 4 < sizeof(text); i++)
                        at += (size_t)snprintf(text + at, sizeof(text) - at, " %02x",
                                               run->emulation_failure.insn_bytes[i]);
        }
        return fail(vcpu, text, run->internal.suberror);
}

static enum engine_exit_kind exit_window(struct vcpu *vcpu, struct engine_exit *exit)
{
        (void)exit;
        vcpu->run->request_interrupt_window = 0;
        return ENGINE_EXIT_WINDOW;
}

static enum engine_exit_kind exit_priority(struct vcpu *vcpu, struct engine_exit *exit)
{
        (void)vcpu;
        (void)exit;
        return ENGINE_EXIT_PRIORITY;
}

static enum engine_exit_kind exit_msr(struct vcpu *vcpu, struct engine_exit *exit)
{
        struct kvm_run *run = vcpu->run;
        run->msr.error = 1;
        exit->address = run->msr.index;
        exit->size = sizeof(run->msr.data);
        exit->count = 1;
        exit->write = run->exit_reason == KVM_EXIT_X86_WRMSR;
        exit->data = (uint8_t *)&run->msr.data;
        exit->refused = &run->msr.error;
        return ENGINE_EXIT_MSR;
}

static enum engine_exit_kind (*const exits[])(struct vcpu *, struct engine_exit *) = {
        [KVM_EXIT_IO] = exit_port,
        [KVM_EXIT_MMIO] = exit_mmio,
        [KVM_EXIT_HLT] = exit_halt,
        [KVM_EXIT_IRQ_WINDOW_OPEN] = exit_window,
        [KVM_EXIT_SET_TPR] = exit_priority,
        [KVM_EXIT_X86_RDMSR] = exit_msr,
        [KVM_EXIT_X86_WRMSR] = exit_msr,
        [KVM_EXIT_SHUTDOWN] = exit_shutdown,
        [KVM_EXIT_FAIL_ENTRY] = exit_refused,
        [KVM_EXIT_INTERNAL_ERROR] = exit_internal,
};

/*
 * Linux 6.8: an access to guest memory that this process cannot give, with the address (api.rst,
 * KVM_EXIT_MEMORY_FAULT). Newer than some headers.
 */
#define EXIT_MEMORY_FAULT 39

struct memory_fault {
        uint64_t flags, at, size;
};

static enum engine_exit_kind run_failed(struct vcpu *vcpu, int code)
{
        struct memory_fault fault;
        memcpy(&fault, vcpu->run->padding, sizeof(fault));
        if ((code == EFAULT || code == EHWPOISON) && vcpu->run->exit_reason == EXIT_MEMORY_FAULT)
                return fail(vcpu,
                            code == EFAULT ? "the host has no memory for the guest's address"
                                           : "the host's memory is damaged at the guest's address",
                            fault.at);
        return fail(vcpu, strerror(code), (unsigned)code);
}

void kvm_vcpu_run(struct vcpu *vcpu, struct engine_exit *exit)
{
        struct kvm_run *run = vcpu->run;
        *exit = (struct engine_exit){ .kind = ENGINE_EXIT_KICKED };
        int code = ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? errno : 0;
        if (vcpu->engine->bare) {
                exit->task_priority = (uint8_t)run->cr8;
                exit->apic_base = run->apic_base;
        }
        if (code == EINTR || code == EAGAIN) {
                __atomic_store_n(&run->immediate_exit, 0, __ATOMIC_SEQ_CST);
                return;
        }
        if (code)
                exit->kind = run_failed(vcpu, code);
        else if (run->exit_reason < ARRAY_SIZE(exits) && exits[run->exit_reason])
                exit->kind = exits[run->exit_reason](vcpu, exit);
        else
                exit->kind = fail(vcpu, "KVM left the guest for a reason that is not handled", run->exit_reason);
}

/* ---- Interrupts of a machine that has controllers of its own ---- */

bool kvm_vcpu_can_interrupt(const struct vcpu *vcpu)
{
        return vcpu->run->ready_for_interrupt_injection && vcpu->run->if_flag;
}

int kvm_vcpu_interrupt(struct vcpu *vcpu, uint8_t vector)
{
        struct kvm_interrupt interrupt = { .irq = vector };
        if (!kvm_vcpu_can_interrupt(vcpu))
                return -EBUSY;
        vcpu->run->ready_for_interrupt_injection = 0; /* one an entry; KVM says anew after it */
        return ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt) < 0 ? -errno : 0;
}

void kvm_vcpu_want_window(struct vcpu *vcpu, bool wanted)
{
        vcpu->run->request_interrupt_window = wanted;
}

int kvm_vcpu_nmi(struct vcpu *vcpu)
{
        return ioctl(vcpu->fd, KVM_NMI, 0) < 0 ? -errno : 0;
}

void kvm_vcpu_set_task_priority(struct vcpu *vcpu, uint8_t priority)
{
        vcpu->run->cr8 = priority;
}
