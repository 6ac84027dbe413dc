/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "engine/kvm/kvm_private.h"

/* CPUID leaves: AMD APM vol. 3, appendix E; Intel SDM vol. 2A, "CPUID". */
enum {
        LEAF_FEATURES = 0x1,
        LEAF_CACHES = 0x4,
        LEAF_PERFORMANCE = 0xa,
        LEAF_TOPOLOGY = 0xb,
        LEAF_TOPOLOGY_V2 = 0x1f,
        LEAF_AMD_SIZES = 0x80000008,
        LEAF_AMD_TOPOLOGY = 0x8000001e,

        FEATURES_ECX_TSC_DEADLINE = 1 << 24,
        FEATURES_ECX_HYPERVISOR = 1u << 31,
        FEATURES_EDX_MULTI_THREADING = 1 << 28,

        TOPOLOGY_LEVEL_THREAD = 1,
        TOPOLOGY_LEVEL_CORE = 2,
        TOPOLOGY_LEVELS = 3,
};

int kvm_read_supported_cpuid(int kvm, struct kvm_cpuid2 **result, struct error *err)
{
        for (unsigned room = 100; room <= 1000; room *= 2) {
                _cleanup_free_ struct kvm_cpuid2 *cpuid =
                        calloc(1, sizeof(*cpuid) + room * sizeof(struct kvm_cpuid_entry2));
                if (!cpuid)
                        return error_memory(err);
                cpuid->nent = room;
                if (!ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid)) {
                        *result = TAKE_PTR(cpuid);
                        return 0;
                }
                if (errno != E2BIG)
                        break;
        }
        return error_errno(err, "KVM does not tell which CPU features it supports");
}

/* Bits that number `cpus` CPUs. */
static unsigned id_bits(unsigned cpus)
{
        unsigned bits = 0;
        while ((1u << bits) < cpus)
                bits++;
        return bits;
}

/*
 * One thread a core, all cores in one package; the APIC id is the vcpu's number. Level 0 threads, 1 cores, 2 the end.
 */
static struct kvm_cpuid_entry2 topology(unsigned level, unsigned number, unsigned cpus)
{
        static const unsigned kinds[] = { TOPOLOGY_LEVEL_THREAD, TOPOLOGY_LEVEL_CORE, 0 };
        return (struct kvm_cpuid_entry2){
                .function = LEAF_TOPOLOGY,
                .index = level,
                .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
                .eax = level == 1 ? id_bits(cpus) : 0,
                .ebx = level == 0   ? 1
                       : level == 1 ? cpus
                                    : 0,
                .ecx = level | kinds[level] << 8,
                .edx = number,
        };
}

static void fit(struct kvm_cpuid_entry2 *leaf, unsigned number, unsigned cpus, bool deadline)
{
        switch (leaf->function) {
        case LEAF_FEATURES:
                leaf->ebx = (leaf->ebx & 0x0000ffff) | (cpus & 0xff) << 16 | number << 24;
                leaf->ecx |= FEATURES_ECX_HYPERVISOR | (deadline ? FEATURES_ECX_TSC_DEADLINE : 0);
                leaf->edx = cpus > 1 ? leaf->edx | FEATURES_EDX_MULTI_THREADING
                                     : leaf->edx & ~(uint32_t)FEATURES_EDX_MULTI_THREADING;
                break;
        case LEAF_CACHES:
                /* cores in the package less one; the last level is shared by all of them, the others by one */
                if (leaf->eax & 0x1f)
                        leaf->eax = (leaf->eax & 0x3fff) | (cpus - 1) << 26 |
                                    ((leaf->eax >> 5 & 7) >= 3 ? (cpus - 1) << 14 : 0);
                break;
        case LEAF_PERFORMANCE: /* no performance counters: they differ from host to host */
                leaf->eax = leaf->ebx = leaf->ecx = leaf->edx = 0;
                break;
        case LEAF_AMD_SIZES: leaf->ecx = id_bits(cpus) << 12 | (cpus - 1); break;
        case LEAF_AMD_TOPOLOGY:
                leaf->eax = number;
                leaf->ebx = number; /* one thread a core */
                leaf->ecx = 0;
                break;
        default: break;
        }
}

int kvm_set_cpuid(struct vcpu *vcpu, struct error *err)
{
        const struct engine *engine = vcpu->engine;
        const struct kvm_cpuid2 *supported = engine->cpuid;
        _cleanup_free_ struct kvm_cpuid2 *cpuid =
                calloc(1, sizeof(*cpuid) + (supported->nent + TOPOLOGY_LEVELS) * sizeof(supported->entries[0]));
        if (!cpuid)
                return error_memory(err);
        /*
         * KVM emulates the deadline timer of its own local APIC, and does not say so among the features: api.rst,
         * 4.46.
         */
        bool deadline = !engine->bare && ioctl(engine->kvm, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
        bool has_topology = false;
        for (unsigned i = 0; i < supported->nent; i++) {
                uint32_t leaf = supported->entries[i].function;
                has_topology |= leaf == LEAF_TOPOLOGY;
                /* What KVM says of topology is the host's, or empty: ours follows. */
                if (leaf == LEAF_TOPOLOGY || leaf == LEAF_TOPOLOGY_V2)
                        continue;
                cpuid->entries[cpuid->nent] = supported->entries[i];
                fit(&cpuid->entries[cpuid->nent++], vcpu->number, engine->cpus, deadline);
        }
        for (unsigned level = 0; has_topology && level < TOPOLOGY_LEVELS; level++)
                cpuid->entries[cpuid->nent++] = topology(level, vcpu->number, engine->cpus);
        if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) < 0)
                return error_errno(err, "KVM does not take the features of CPU %u", vcpu->number);
        return 0;
}
