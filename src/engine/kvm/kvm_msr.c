/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Model-specific registers, and the time-stamp counter: api.rst, KVM_GET_MSR_INDEX_LIST and KVM_SET_MSRS;
 * devices/vcpu.rst, KVM_VCPU_TSC_CTRL.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <x86intrin.h>

#include "base/cleanup.h"
#include "engine/kvm/kvm_private.h"

/* Intel SDM vol. 4. */
enum {
        MSR_APIC_BASE = 0x1b,
        MSR_TSC_DEADLINE = 0x6e0,
        MSR_MISC_ENABLE = 0x1a0,
        MSR_SPEC_CTRL = 0x48,
        MSR_PAT = 0x277,
        MSR_MTRR_DEFAULT = 0x2ff,
};

/* What KVM has and does not list: memory types. Read where there is such a register. */
static const uint32_t unlisted[] = {
        0x200,   0x201,         0x202, 0x203, 0x204, 0x205, 0x206,
        0x207,   0x208,         0x209, 0x20a, 0x20b, 0x20c, 0x20d,
        0x20e,   0x20f,         0x250, 0x258, 0x259, 0x268, 0x269,
        0x26a,   0x26b,         0x26c, 0x26d, 0x26e, 0x26f, MSR_MTRR_DEFAULT,
        MSR_PAT, MSR_SPEC_CTRL,
};

#define LISTED_MAX 1000

int kvm_read_msr_list(int kvm, struct kvm_msr_list **result, struct error *err)
{
        _cleanup_free_ struct kvm_msr_list *list = calloc(1, sizeof(*list) + LISTED_MAX * sizeof(list->indices[0]));
        if (!list)
                return error_memory(err);
        list->nmsrs = LISTED_MAX - ARRAY_SIZE(unlisted);
        if (ioctl(kvm, KVM_GET_MSR_INDEX_LIST, list) < 0)
                return error_errno(err, "KVM does not tell which MSRs it has");
        for (size_t i = 0; i < ARRAY_SIZE(unlisted); i++) {
                bool there = false;
                for (unsigned j = 0; j < list->nmsrs && !there; j++)
                        there = list->indices[j] == unlisted[i];
                if (!there)
                        list->indices[list->nmsrs++] = unlisted[i];
        }
        *result = TAKE_PTR(list);
        return 0;
}

/* struct kvm_msrs with room for its entries. */
struct msr_list {
        uint32_t count, reserved;
        struct kvm_msr_entry entries[CPU_MSRS_MAX];
};

_Static_assert(offsetof(struct msr_list, entries) == sizeof(struct kvm_msrs), "the layout of struct kvm_msrs");

/* ---- The time-stamp counter ---- */

static uint64_t wall_clock(void)
{
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static bool tsc_offset(struct vcpu *vcpu, unsigned long request, uint64_t *offset)
{
        struct kvm_device_attr attribute = { .group = KVM_VCPU_TSC_CTRL,
                                             .attr = KVM_VCPU_TSC_OFFSET,
                                             .addr = (uintptr_t)offset };
        return ioctl(vcpu->fd, request, &attribute) >= 0;
}

/* One moment for all CPUs, so that their counters keep the distance that they have: CPU 0 comes first. */
static void fix_moment(struct vcpu *vcpu)
{
        struct engine *engine = vcpu->engine;
        if (vcpu->number && engine->tsc_moment)
                return;
        engine->tsc_moment = __rdtsc();
        engine->tsc_wall = wall_clock();
}

static void get_tsc(struct vcpu *vcpu, struct cpu_state *state)
{
        uint64_t offset, *counter = cpu_state_msr(state, MSR_TSC);
        int khz = ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0);
        state->tsc_khz = khz > 0 ? (uint64_t)khz : 0;
        fix_moment(vcpu);
        state->tsc_read_at = vcpu->engine->tsc_wall;
        /* A counter that is scaled or has no offset to be read keeps what KVM read a moment ago. */
        if (counter && tsc_offset(vcpu, KVM_GET_DEVICE_ATTR, &offset))
                *counter = vcpu->engine->tsc_moment + offset;
}

/* KVM takes rates this near to be one: arch/x86/kvm/x86.c, tsc_tolerance_ppm. */
#define TSC_TOLERANCE_PPM 250

static int set_tsc_rate(struct vcpu *vcpu, uint64_t khz, struct error *err)
{
        int own = ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0);
        if (!khz || own <= 0)
                return 0;
        uint64_t away = khz > (uint64_t)own ? khz - (uint64_t)own : (uint64_t)own - khz;
        if (away * 1000000 <= (uint64_t)own * TSC_TOLERANCE_PPM)
                return 0;
        if (khz > INT32_MAX || ioctl(vcpu->fd, KVM_SET_TSC_KHZ, (unsigned long)khz) < 0)
                return error_set(err, -ENOTSUP,
                                 "the saved machine counts time at %" PRIu64
                                 " kHz, this host at %d kHz, and its processor "
                                 "cannot scale",
                                 khz, own);
        return 0;
}

/* Time that passed since the counter was read, in its ticks: it goes on as the clocks of the guest do. */
static uint64_t ticks_since(const struct vcpu *vcpu, const struct cpu_state *state)
{
        uint64_t now = vcpu->engine->tsc_wall;
        if (!state->tsc_read_at || !state->tsc_khz || now <= state->tsc_read_at)
                return 0;
        return (uint64_t)((unsigned __int128)(now - state->tsc_read_at) * state->tsc_khz / 1000000);
}

static int set_tsc(struct vcpu *vcpu, const struct cpu_state *state, struct error *err)
{
        uint64_t *saved = cpu_state_msr((struct cpu_state *)state, MSR_TSC), offset;
        if (!saved)
                return 0;
        int r = set_tsc_rate(vcpu, state->tsc_khz, err);
        if (r < 0)
                return r;
        fix_moment(vcpu);
        uint64_t now = *saved + ticks_since(vcpu, state);
        offset = now - vcpu->engine->tsc_moment;
        if (tsc_offset(vcpu, KVM_SET_DEVICE_ATTR, &offset))
                return 0;
        struct msr_list msrs = { .count = 1, .entries = { { .index = MSR_TSC, .data = now } } };
        if (ioctl(vcpu->fd, KVM_SET_MSRS, &msrs) != 1)
                return error_errno(err, "KVM does not take the time-stamp counter of CPU %u", vcpu->number);
        return 0;
}

/* ---- Setting ---- */

/*
 * KVM refuses to write some registers that it lets be read, whatever the value. That is no loss where the register
 * holds the value already.
 */
static bool has_value(struct vcpu *vcpu, const struct cpu_msr *msr)
{
        struct msr_list one = { .count = 1, .entries = { { .index = msr->index } } };
        return ioctl(vcpu->fd, KVM_GET_MSRS, &one) == 1 ? one.entries[0].data == msr->value : !msr->value;
}

static int set_list(struct vcpu *vcpu, const struct cpu_msr *msrs, unsigned count, struct error *err)
{
        struct msr_list list;
        while (count) {
                list.count = count;
                for (unsigned i = 0; i < count; i++)
                        list.entries[i] = (struct kvm_msr_entry){ .index = msrs[i].index, .data = msrs[i].value };
                int done = ioctl(vcpu->fd, KVM_SET_MSRS, &list);
                if (done < 0)
                        return error_errno(err, "KVM does not take the MSRs of CPU %u", vcpu->number);
                if ((unsigned)done >= count)
                        return 0;
                /* A short count is the error, and names the first that was refused. */
                if (!has_value(vcpu, &msrs[done]))
                        return error_set(err, -EINVAL, "KVM refuses MSR 0x%x = 0x%" PRIx64 " of CPU %u",
                                         msrs[done].index, msrs[done].value, vcpu->number);
                msrs += done + 1;
                count -= (unsigned)done + 1;
        }
        return 0;
}

/* The APIC's base is a system register, and the deadline counts against the time-stamp counter. */
static bool is_late(uint32_t index)
{
        return index == MSR_TSC_DEADLINE;
}

int kvm_set_msrs(struct vcpu *vcpu, const struct cpu_state *state, struct error *err)
{
        struct cpu_msr early[CPU_MSRS_MAX];
        unsigned count = 0;
        for (unsigned i = 0; i < state->msr_count; i++)
                if (!is_late(state->msrs[i].index) && state->msrs[i].index != MSR_TSC &&
                    state->msrs[i].index != MSR_APIC_BASE)
                        early[count++] = state->msrs[i];
        int r = set_list(vcpu, early, count, err);
        return r < 0 ? r : set_tsc(vcpu, state, err);
}

int kvm_set_late_msrs(struct vcpu *vcpu, const struct cpu_state *state, struct error *err)
{
        for (unsigned i = 0; i < state->msr_count; i++) {
                int r = is_late(state->msrs[i].index) ? set_list(vcpu, &state->msrs[i], 1, err) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

/*
 * All memory write-back, and string instructions fast: kernels that no firmware ran before find it so. Linux leaves
 * page attributes (PAT) alone where memory types are off.
 */
void kvm_set_first_msrs(struct vcpu *vcpu)
{
        enum { MTRR_ENABLE = 1 << 11, MTRR_WRITE_BACK = 6, MISC_FAST_STRINGS = 1 << 0 };
        struct msr_list misc = { .count = 1, .entries = { { .index = MSR_MISC_ENABLE } } };
        struct msr_list types = { .count = 1,
                                  .entries = { { .index = MSR_MTRR_DEFAULT, .data = MTRR_ENABLE | MTRR_WRITE_BACK } } };
        ioctl(vcpu->fd, KVM_SET_MSRS, &types);
        if (ioctl(vcpu->fd, KVM_GET_MSRS, &misc) == 1) {
                misc.entries[0].data |= MISC_FAST_STRINGS;
                ioctl(vcpu->fd, KVM_SET_MSRS, &misc);
        }
}

/* ---- Reading ---- */

/* Reads as many of the listed registers as this CPU has. */
int kvm_get_msrs(struct vcpu *vcpu, struct cpu_state *state, struct error *err)
{
        const struct kvm_msr_list *listed = vcpu->engine->msrs;
        struct msr_list list;
        state->msr_count = 0;
        for (unsigned next = 0; next < listed->nmsrs;) {
                unsigned count = listed->nmsrs - next < CPU_MSRS_MAX ? listed->nmsrs - next : CPU_MSRS_MAX;
                list.count = count;
                for (unsigned i = 0; i < count; i++)
                        list.entries[i] = (struct kvm_msr_entry){ .index = listed->indices[next + i] };
                int done = ioctl(vcpu->fd, KVM_GET_MSRS, &list);
                if (done < 0)
                        return error_errno(err, "KVM does not give the MSRs of CPU %u", vcpu->number);
                for (int i = 0; i < done; i++) {
                        if (state->msr_count == CPU_MSRS_MAX)
                                return error_set(err, -ENOSPC, "KVM has more MSRs than the %d that can be saved",
                                                 CPU_MSRS_MAX);
                        state->msrs[state->msr_count++] =
                                (struct cpu_msr){ list.entries[i].index, list.entries[i].data };
                }
                /* The one after those that were read is none of this CPU's. */
                next += (unsigned)done + ((unsigned)done < count);
        }
        get_tsc(vcpu, state);
        return 0;
}
