/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
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

        FEATURES_ECX_HYPERVISOR = 1u << 31,
        FEATURES_EDX_MULTI_THREADING = 1 << 28,

        TOPOLOGY_LEVEL_THREAD = 1,
        TOPOLOGY_LEVEL_CORE = 2,
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

/* One thread a core, all cores in one package; the APIC id is the vcpu's number. */
static void set_topology(struct kvm_cpuid_entry2 *leaf, unsigned number, unsigned cpus)
{
        bool thread = leaf->index == 0;
        leaf->eax = thread ? 0 : leaf->index == 1 ? id_bits(cpus) : 0;
        leaf->ebx = thread ? 1 : leaf->index == 1 ? cpus : 0;
        leaf->ecx = leaf->index | (thread               ? TOPOLOGY_LEVEL_THREAD << 8
                                   : leaf->index == 1 ? TOPOLOGY_LEVEL_CORE << 8
                                                      : 0);
        leaf->edx = number;
}

static void fit(struct kvm_cpuid_entry2 *leaf, unsigned number, unsigned cpus)
{
        switch (leaf->function) {
        case LEAF_FEATURES:
                leaf->ebx = (leaf->ebx & 0x0000ffff) | (cpus & 0xff) << 16 | number << 24;
                leaf->ecx |= FEATURES_ECX_HYPERVISOR;
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
        case LEAF_TOPOLOGY:
        case LEAF_TOPOLOGY_V2:
                set_topology(leaf, number, cpus);
                break;
        case LEAF_AMD_SIZES:
                leaf->ecx = id_bits(cpus) << 12 | (cpus - 1);
                break;
        case LEAF_AMD_TOPOLOGY:
                leaf->eax = number;
                leaf->ebx = number; /* one thread a core */
                leaf->ecx = 0;
                break;
        default:
                break;
        }
}

int kvm_set_cpuid(struct vcpu *vcpu, struct error *err)
{
        const struct kvm_cpuid2 *supported = vcpu->engine->cpuid;
        size_t size = sizeof(*supported) + supported->nent * sizeof(supported->entries[0]);
        _cleanup_free_ struct kvm_cpuid2 *cpuid = malloc(size);
        if (!cpuid)
                return error_memory(err);
        memcpy(cpuid, supported, size);
        for (unsigned i = 0; i < cpuid->nent; i++)
                fit(&cpuid->entries[i], vcpu->number, vcpu->engine->cpus);
        if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) < 0)
                return error_errno(err, "KVM does not take the features of CPU %u", vcpu->number);
        return 0;
}
