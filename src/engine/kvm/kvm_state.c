/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "engine/kvm/kvm_private.h"

_Static_assert(sizeof(((struct kvm_xsave *)0)->region) == CPU_XSAVE_SIZE,
               "KVM's XSAVE area is the architecture's page");

/* Member of struct kvm_regs for each register of the encoding's order. */
static const size_t register_offsets[CPU_REGISTERS] = {
        [CPU_RAX] = offsetof(struct kvm_regs, rax), [CPU_RCX] = offsetof(struct kvm_regs, rcx),
        [CPU_RDX] = offsetof(struct kvm_regs, rdx), [CPU_RBX] = offsetof(struct kvm_regs, rbx),
        [CPU_RSP] = offsetof(struct kvm_regs, rsp), [CPU_RBP] = offsetof(struct kvm_regs, rbp),
        [CPU_RSI] = offsetof(struct kvm_regs, rsi), [CPU_RDI] = offsetof(struct kvm_regs, rdi),
        [CPU_R8] = offsetof(struct kvm_regs, r8),   [CPU_R9] = offsetof(struct kvm_regs, r9),
        [CPU_R10] = offsetof(struct kvm_regs, r10), [CPU_R11] = offsetof(struct kvm_regs, r11),
        [CPU_R12] = offsetof(struct kvm_regs, r12), [CPU_R13] = offsetof(struct kvm_regs, r13),
        [CPU_R14] = offsetof(struct kvm_regs, r14), [CPU_R15] = offsetof(struct kvm_regs, r15),
};

#define APIC_REGISTER_DISTANCE 16

_Static_assert(CPU_APIC_REGISTERS *APIC_REGISTER_DISTANCE == KVM_APIC_REG_SIZE, "KVM's part of the APIC's page");

static const size_t segment_offsets[CPU_SEGMENTS] = {
        [CPU_ES] = offsetof(struct kvm_sregs, es),    [CPU_CS] = offsetof(struct kvm_sregs, cs),
        [CPU_SS] = offsetof(struct kvm_sregs, ss),    [CPU_DS] = offsetof(struct kvm_sregs, ds),
        [CPU_FS] = offsetof(struct kvm_sregs, fs),    [CPU_GS] = offsetof(struct kvm_sregs, gs),
        [CPU_LDTR] = offsetof(struct kvm_sregs, ldt), [CPU_TR] = offsetof(struct kvm_sregs, tr),
};

#define MEMBER(struct_pointer, offset, type) ((type *)(void *)((char *)(struct_pointer) + (offset)))

static struct kvm_segment segment_to_kvm(const struct cpu_segment *segment)
{
        uint16_t attributes = segment->attributes;
        return (struct kvm_segment){
                .base = segment->base,
                .limit = segment->limit,
                .selector = segment->selector,
                .type = attributes & SEGMENT_TYPE,
                .s = !!(attributes & SEGMENT_CODE_OR_DATA),
                .dpl = attributes >> SEGMENT_DPL_SHIFT & 3,
                .present = !!(attributes & SEGMENT_PRESENT),
                .avl = !!(attributes & SEGMENT_AVAILABLE),
                .l = !!(attributes & SEGMENT_LONG),
                .db = !!(attributes & SEGMENT_DEFAULT_32),
                .g = !!(attributes & SEGMENT_GRANULAR),
                .unusable = !(attributes & SEGMENT_PRESENT),
        };
}

static struct cpu_segment segment_from_kvm(const struct kvm_segment *segment)
{
        unsigned attributes = segment->type | (segment->s ? SEGMENT_CODE_OR_DATA : 0) |
                              (unsigned)segment->dpl << SEGMENT_DPL_SHIFT | (segment->avl ? SEGMENT_AVAILABLE : 0) |
                              (segment->l ? SEGMENT_LONG : 0) | (segment->db ? SEGMENT_DEFAULT_32 : 0) |
                              (segment->g ? SEGMENT_GRANULAR : 0) |
                              (segment->present && !segment->unusable ? SEGMENT_PRESENT : 0);
        return (struct cpu_segment){ .base = segment->base,
                                     .limit = segment->limit,
                                     .selector = segment->selector,
                                     .attributes = (uint16_t)attributes };
}

static int set_registers(struct vcpu *vcpu, const struct cpu_state *state, struct error *err)
{
        struct kvm_regs registers = { .rip = state->rip, .rflags = state->rflags };
        for (unsigned i = 0; i < CPU_REGISTERS; i++)
                *MEMBER(&registers, register_offsets[i], __u64) = state->registers[i];
        if (ioctl(vcpu->fd, KVM_SET_REGS, &registers) < 0)
                return error_errno(err, "KVM does not take the registers of CPU %u", vcpu->number);

        struct kvm_sregs system;
        if (ioctl(vcpu->fd, KVM_GET_SREGS, &system) < 0)
                return error_errno(err, "KVM does not give the system registers of CPU %u", vcpu->number);
        for (unsigned i = 0; i < CPU_SEGMENTS; i++)
                *MEMBER(&system, segment_offsets[i], struct kvm_segment) = segment_to_kvm(&state->segments[i]);
        system.gdt = (struct kvm_dtable){ .base = state->gdt.base, .limit = state->gdt.limit };
        system.idt = (struct kvm_dtable){ .base = state->idt.base, .limit = state->idt.limit };
        system.cr0 = state->cr0;
        system.cr2 = state->cr2;
        system.cr3 = state->cr3;
        system.cr4 = state->cr4;
        system.cr8 = state->cr8;
        system.efer = state->efer;
        if (state->apic_base)
                system.apic_base = state->apic_base;
        memset(system.interrupt_bitmap, 0, sizeof(system.interrupt_bitmap));
        vcpu->run->cr8 = state->cr8; /* without a local APIC of KVM's, each run begins with it */
        if (ioctl(vcpu->fd, KVM_SET_SREGS, &system) < 0)
                return error_errno(err, "KVM does not take the system registers of CPU %u", vcpu->number);
        return 0;
}

static int set_floating_point(struct vcpu *vcpu, const struct cpu_state *state, struct error *err)
{
        struct kvm_xsave area;
        memcpy(area.region, state->xsave, sizeof(area.region));
        struct kvm_xcrs control = { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = state->xcr0 } } };
        /*
         * XCR0 first: it says which parts of the area count. Where the guest's CPU has no XSAVE there is none to set.
         */
        if (state->xcr0 > 1 && ioctl(vcpu->fd, KVM_SET_XCRS, &control) < 0)
                return error_errno(err, "KVM does not take XCR0 0x%llx of CPU %u", (unsigned long long)state->xcr0,
                                   vcpu->number);
        if (ioctl(vcpu->fd, KVM_SET_XSAVE, &area) < 0)
                return error_errno(err, "KVM does not take the floating-point state of CPU %u", vcpu->number);
        return 0;
}

static int set_events(struct vcpu *vcpu, const struct cpu_state *state, struct error *err)
{
        const struct cpu_events *events = &state->events;
        struct kvm_vcpu_events to = {
                .flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
                         (events->start_up_pending ? KVM_VCPUEVENT_VALID_SIPI_VECTOR : 0),
                .sipi_vector = events->start_up_vector,
                .exception = { .injected = events->exception_pending,
                               .nr = events->exception_vector,
                               .has_error_code = events->exception_has_code,
                               .error_code = events->exception_code },
                .interrupt = { .injected = events->interrupt_injected,
                               .nr = events->interrupt_vector,
                               .soft = events->interrupt_soft,
                               .shadow = events->interrupt_shadow ? KVM_X86_SHADOW_INT_STI : 0 },
                .nmi = { .injected = events->nmi_injected,
                         .pending = events->nmi_pending,
                         .masked = events->nmi_masked },
        };
        if (ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &to) < 0)
                return error_errno(err, "KVM does not take the pending events of CPU %u", vcpu->number);
        return 0;
}

static int set_debug(struct vcpu *vcpu, const struct cpu_state *state, struct error *err)
{
        struct kvm_debugregs debug = { .dr6 = state->dr6, .dr7 = state->dr7 };
        memcpy(debug.db, state->debug, sizeof(debug.db));
        if (ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &debug) < 0)
                return error_errno(err, "KVM does not take the debug registers of CPU %u", vcpu->number);
        return 0;
}

/* KVM's number for each activity: api.rst, KVM_GET_MP_STATE. */
static const uint32_t activities[] = {
        [CPU_RUNNING] = KVM_MP_STATE_RUNNABLE,
        [CPU_HALTED] = KVM_MP_STATE_HALTED,
        [CPU_WAITS_FOR_SIPI] = KVM_MP_STATE_INIT_RECEIVED,
        [CPU_WAITS_FOR_INIT] = KVM_MP_STATE_UNINITIALIZED,
};

static int set_activity(struct vcpu *vcpu, const struct cpu_state *state, struct error *err)
{
        /* Without KVM's local APIC a CPU only ever runs. */
        if (vcpu->engine->bare)
                return 0;
        struct kvm_mp_state to = { .mp_state = activities[state->activity] };
        if (ioctl(vcpu->fd, KVM_SET_MP_STATE, &to) < 0)
                return error_errno(err, "KVM does not take the activity of CPU %u", vcpu->number);
        return 0;
}

/* Its registers 16 bytes apart, in the form of struct kvm_lapic_state and of the APIC's page. */
static int set_apic(struct vcpu *vcpu, const struct cpu_state *state, struct error *err)
{
        struct kvm_lapic_state to = { { 0 } };
        if (vcpu->engine->bare || !state->has_apic)
                return 0;
        for (unsigned i = 0; i < CPU_APIC_REGISTERS; i++)
                memcpy(to.regs + i * APIC_REGISTER_DISTANCE, &state->apic[i], sizeof(state->apic[i]));
        if (ioctl(vcpu->fd, KVM_SET_LAPIC, &to) < 0)
                return error_errno(err, "KVM does not take the local APIC of CPU %u", vcpu->number);
        return 0;
}

int kvm_set_state(struct vcpu *vcpu, const struct cpu_state *state, struct error *err)
{
        static int (*const steps[])(struct vcpu *, const struct cpu_state *, struct error *) = {
                /*
                 * The APIC after its base, which is a system register; the deadline of its timer after it and the
                 * counter that it counts against; events last: setting registers clears them (api.rst, KVM_SET_REGS).
                 */
                set_activity, set_registers, set_floating_point, set_debug,
                kvm_set_msrs, set_apic,      kvm_set_late_msrs,  set_events,
        };
        if (state->msr_count > CPU_MSRS_MAX || state->activity >= ARRAY_SIZE(activities))
                return error_set(err, -EINVAL, "the state of CPU %u is not a valid one", vcpu->number);
        for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
                int r = steps[i](vcpu, state, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int get_registers(struct vcpu *vcpu, struct cpu_state *state, struct error *err)
{
        struct kvm_regs registers;
        struct kvm_sregs system;
        if (ioctl(vcpu->fd, KVM_GET_REGS, &registers) < 0 || ioctl(vcpu->fd, KVM_GET_SREGS, &system) < 0)
                return error_errno(err, "KVM does not give the registers of CPU %u", vcpu->number);
        state->rip = registers.rip;
        state->rflags = registers.rflags;
        for (unsigned i = 0; i < CPU_REGISTERS; i++)
                state->registers[i] = *MEMBER(&registers, register_offsets[i], __u64);
        for (unsigned i = 0; i < CPU_SEGMENTS; i++)
                state->segments[i] = segment_from_kvm(MEMBER(&system, segment_offsets[i], struct kvm_segment));
        state->gdt = (struct cpu_table){ system.gdt.base, system.gdt.limit };
        state->idt = (struct cpu_table){ system.idt.base, system.idt.limit };
        state->cr0 = system.cr0;
        state->cr2 = system.cr2;
        state->cr3 = system.cr3;
        state->cr4 = system.cr4;
        state->cr8 = system.cr8;
        state->efer = system.efer;
        state->apic_base = system.apic_base;
        return 0;
}

static int get_floating_point(struct vcpu *vcpu, struct cpu_state *state, struct error *err)
{
        struct kvm_xsave area;
        struct kvm_xcrs control;
        if (ioctl(vcpu->fd, KVM_GET_XSAVE, &area) < 0 || ioctl(vcpu->fd, KVM_GET_XCRS, &control) < 0)
                return error_errno(err, "KVM does not give the floating-point state of CPU %u", vcpu->number);
        memcpy(state->xsave, area.region, sizeof(state->xsave));
        for (unsigned i = 0; i < control.nr_xcrs && i < KVM_MAX_XCRS; i++)
                if (control.xcrs[i].xcr == 0)
                        state->xcr0 = control.xcrs[i].value;
        return 0;
}

static int get_events(struct vcpu *vcpu, struct cpu_state *state, struct error *err)
{
        struct kvm_vcpu_events from;
        struct kvm_debugregs debug;
        struct kvm_mp_state activity = { .mp_state = KVM_MP_STATE_RUNNABLE };
        if ((!vcpu->engine->bare && ioctl(vcpu->fd, KVM_GET_MP_STATE, &activity) < 0) ||
            ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &from) < 0 || ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &debug) < 0)
                return error_errno(err, "KVM does not give the pending events of CPU %u", vcpu->number);
        state->events = (struct cpu_events){
                .exception_pending = from.exception.injected,
                .exception_vector = from.exception.nr,
                .exception_has_code = from.exception.has_error_code,
                .exception_code = from.exception.error_code,
                .interrupt_injected = from.interrupt.injected,
                .interrupt_vector = from.interrupt.nr,
                .interrupt_soft = from.interrupt.soft,
                .interrupt_shadow = !!from.interrupt.shadow,
                .nmi_injected = from.nmi.injected,
                .nmi_pending = from.nmi.pending,
                .nmi_masked = from.nmi.masked,
        };
        memcpy(state->debug, debug.db, sizeof(state->debug));
        state->dr6 = debug.dr6;
        state->dr7 = debug.dr7;
        state->activity = CPU_RUNNING;
        for (unsigned i = 0; i < ARRAY_SIZE(activities); i++)
                if (activities[i] == activity.mp_state)
                        state->activity = (enum cpu_activity)i;
        /* Between the two messages that start a CPU: the second has come, and this is its vector. */
        state->events.start_up_pending = activity.mp_state == KVM_MP_STATE_SIPI_RECEIVED;
        state->events.start_up_vector = (uint8_t)from.sipi_vector;
        if (state->events.start_up_pending)
                state->activity = CPU_WAITS_FOR_SIPI;
        return 0;
}

static int get_apic(struct vcpu *vcpu, struct cpu_state *state, struct error *err)
{
        struct kvm_lapic_state from;
        state->has_apic = !vcpu->engine->bare;
        if (!state->has_apic)
                return 0;
        if (ioctl(vcpu->fd, KVM_GET_LAPIC, &from) < 0)
                return error_errno(err, "KVM does not give the local APIC of CPU %u", vcpu->number);
        for (unsigned i = 0; i < CPU_APIC_REGISTERS; i++)
                memcpy(&state->apic[i], from.regs + i * APIC_REGISTER_DISTANCE, sizeof(state->apic[i]));
        return 0;
}

int kvm_get_state(struct vcpu *vcpu, struct cpu_state *state, struct error *err)
{
        static int (*const steps[])(struct vcpu *, struct cpu_state *, struct error *) = {
                /* The activity first: KVM takes start-up messages in when it is asked for it. */
                get_events, get_registers, get_floating_point, get_apic, kvm_get_msrs,
        };
        *state = (struct cpu_state){ 0 };
        for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
                int r = steps[i](vcpu, state, err);
                if (r < 0)
                        return r;
        }
        return 0;
}
