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

/* struct kvm_msrs with room for its entries. */
struct msr_list {
        uint32_t count, reserved;
        struct kvm_msr_entry entries[CPU_MSRS_MAX];
};

_Static_assert(offsetof(struct msr_list, entries) == sizeof(struct kvm_msrs), "the layout of struct kvm_msrs");

static int set_msrs(struct vcpu *vcpu, const struct cpu_state *state, struct error *err)
{
        struct msr_list msrs = { .count = state->msr_count };
        if (!state->msr_count)
                return 0;
        for (unsigned i = 0; i < state->msr_count; i++)
                msrs.entries[i] = (struct kvm_msr_entry){ .index = state->msrs[i].index, .data = state->msrs[i].value };
        int done = ioctl(vcpu->fd, KVM_SET_MSRS, &msrs);
        if (done < 0)
                return error_errno(err, "KVM does not take the MSRs of CPU %u", vcpu->number);
        /* A short count is the error, and names the first that was refused. */
        if ((unsigned)done < state->msr_count)
                return error_set(err, -EINVAL, "KVM refuses MSR 0x%x = 0x%llx of CPU %u", state->msrs[done].index,
                                 (unsigned long long)state->msrs[done].value, vcpu->number);
        return 0;
}

static int set_events(struct vcpu *vcpu, const struct cpu_state *state, struct error *err)
{
        const struct cpu_events *events = &state->events;
        struct kvm_vcpu_events to = {
                .flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
                .exception = { .injected = events->exception_pending,
                               .nr = events->exception_vector,
                               .has_error_code = events->exception_has_code,
                               .error_code = events->exception_code },
                .interrupt = { .injected = events->interrupt_injected,
                               .nr = events->interrupt_vector,
                               .shadow = events->interrupt_shadow ? KVM_X86_SHADOW_INT_STI : 0 },
                .nmi = { .pending = events->nmi_pending, .masked = events->nmi_masked },
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
        [CPU_WAITS_FOR_SIPI] = KVM_MP_STATE_UNINITIALIZED,
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

int kvm_set_state(struct vcpu *vcpu, const struct cpu_state *state, struct error *err)
{
        static int (*const steps[])(struct vcpu *, const struct cpu_state *, struct error *) = {
                /* MSRs and events last: setting registers clears what is pending (api.rst, KVM_SET_REGS) */
                set_activity, set_registers, set_floating_point, set_debug, set_msrs, set_events,
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

/* Reads those MSRs whose indices stand in *state. */
static int get_msrs(struct vcpu *vcpu, struct cpu_state *state, struct error *err)
{
        struct msr_list msrs = { .count = state->msr_count };
        if (!state->msr_count)
                return 0;
        for (unsigned i = 0; i < state->msr_count; i++)
                msrs.entries[i].index = state->msrs[i].index;
        int done = ioctl(vcpu->fd, KVM_GET_MSRS, &msrs);
        if (done < 0 || (unsigned)done < state->msr_count)
                return error_set(err, -EINVAL, "KVM does not give MSR 0x%x of CPU %u",
                                 state->msrs[done < 0 ? 0 : done].index, vcpu->number);
        for (unsigned i = 0; i < state->msr_count; i++)
                state->msrs[i].value = msrs.entries[i].data;
        return 0;
}

static int get_events(struct vcpu *vcpu, struct cpu_state *state, struct error *err)
{
        struct kvm_vcpu_events from;
        struct kvm_debugregs debug;
        struct kvm_mp_state activity = { .mp_state = KVM_MP_STATE_RUNNABLE };
        if (ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &from) < 0 || ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &debug) < 0 ||
            (!vcpu->engine->bare && ioctl(vcpu->fd, KVM_GET_MP_STATE, &activity) < 0))
                return error_errno(err, "KVM does not give the pending events of CPU %u", vcpu->number);
        state->events = (struct cpu_events){
                .exception_pending = from.exception.injected,
                .exception_vector = from.exception.nr,
                .exception_has_code = from.exception.has_error_code,
                .exception_code = from.exception.error_code,
                .interrupt_injected = from.interrupt.injected,
                .interrupt_vector = from.interrupt.nr,
                .interrupt_shadow = !!from.interrupt.shadow,
                .nmi_pending = from.nmi.pending,
                .nmi_masked = from.nmi.masked,
        };
        memcpy(state->debug, debug.db, sizeof(state->debug));
        state->dr6 = debug.dr6;
        state->dr7 = debug.dr7;
        state->activity = activity.mp_state == KVM_MP_STATE_RUNNABLE ? CPU_RUNNING
                          : activity.mp_state == KVM_MP_STATE_HALTED ? CPU_HALTED
                                                                     : CPU_WAITS_FOR_SIPI;
        return 0;
}

int kvm_get_state(struct vcpu *vcpu, struct cpu_state *state, struct error *err)
{
        int r = get_registers(vcpu, state, err);
        if (!r)
                r = get_floating_point(vcpu, state, err);
        if (!r)
                r = get_msrs(vcpu, state, err);
        if (!r)
                r = get_events(vcpu, state, err);
        return r;
}
