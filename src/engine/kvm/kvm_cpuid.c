/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <asm/kvm_para.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "engine/kvm/kvm_private.h"

/* CPUID leaves: AMD APM vol. 3, appendix E; Intel SDM vol. 2A, "CPUID". */
enum {
        LEAF_FEATURES = 0x1,
        LEAF_CACHES = 0x4,
        LEAF_MORE_FEATURES = 0x7,
        LEAF_PERFORMANCE = 0xa,
        LEAF_TOPOLOGY = 0xb,
        LEAF_XSAVE = 0xd,
        LEAF_TOPOLOGY_V2 = 0x1f,
        LEAF_KVM_FEATURES = 0x40000001,
        LEAF_AMD_HIGHEST = 0x80000000,
        LEAF_AMD_FEATURES = 0x80000001,
        LEAF_AMD_SIZES = 0x80000008,
        LEAF_AMD_CACHES = 0x8000001d,
        LEAF_AMD_TOPOLOGY = 0x8000001e,

        FEATURES_ECX_TSC_DEADLINE = 1 << 24,
        FEATURES_ECX_HYPERVISOR = 1u << 31,
        FEATURES_EDX_MULTI_THREADING = 1 << 28,
        AMD_ECX_CMP_LEGACY = 1 << 1,
        AMD_ECX_TOPOLOGY = 1 << 22,
        XSAVE_AVX = 1 << 2,
        XSAVE_AVX512 = 7 << 5,
        XSAVE_KEYS = 1 << 9,
        KVM_CLOCKS =
                1 << KVM_FEATURE_CLOCKSOURCE | 1 << KVM_FEATURE_CLOCKSOURCE2 | 1 << KVM_FEATURE_CLOCKSOURCE_STABLE_BIT,

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

/*
 * Threads of a core, CPUs of a socket, and the end; the number of the APIC is the whole of it: SDM vol. 2A, leaf 0x0b.
 */
static struct kvm_cpuid_entry2 topology_leaf(uint32_t leaf, unsigned level, const struct topology *topology,
                                             uint32_t apic_id)
{
        const struct {
                unsigned kind, bits, cpus;
        } levels[TOPOLOGY_LEVELS] = {
                { TOPOLOGY_LEVEL_THREAD, topology_thread_bits(topology), topology->threads },
                { TOPOLOGY_LEVEL_CORE, topology_socket_bits(topology), topology->cores * topology->threads },
        };
        return (struct kvm_cpuid_entry2){
                .function = leaf,
                .index = level,
                .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
                .eax = levels[level].bits,
                .ebx = levels[level].cpus,
                .ecx = level | levels[level].kind << 8,
                .edx = apic_id,
        };
}

/* A cache's leaf: how many APIC numbers share it, less one, in bits 25:14: SDM vol. 2A, leaf 4; APM vol. 3, E.4.15. */
static void fit_cache(struct kvm_cpuid_entry2 *leaf, const struct topology *topology)
{
        unsigned level = leaf->eax >> 5 & 7;
        unsigned bits = level >= 3 ? topology_socket_bits(topology) : topology_thread_bits(topology);
        if (!(leaf->eax & 0x1f))
                return;
        leaf->eax = (leaf->eax & 0x3fff) | ((1u << bits) - 1) << 14;
        if (leaf->function == LEAF_CACHES) /* cores in the package, less one, in bits 31:26 */
                leaf->eax |= (((1u << topology_bits(topology->cores)) - 1) & 0x3f) << 26;
}

static void fit_features(struct kvm_cpuid_entry2 *leaf, const struct cpu_model *model)
{
        uint32_t *outputs[] = { &leaf->eax, &leaf->ebx, &leaf->ecx, &leaf->edx };
        for (unsigned i = 0; i < CPU_FEATURE_WORDS; i++) {
                const struct cpu_feature_word *word = &cpu_feature_words[i];
                if (word->leaf == leaf->function && word->subleaf == leaf->index)
                        *outputs[word->output] &= model->kept[i];
        }
        /* Further features that have no names. */
        if (leaf->function == LEAF_MORE_FEATURES && leaf->index && !model->all)
                leaf->eax = leaf->ebx = leaf->ecx = leaf->edx = 0;
}

static bool keeps(const struct cpu_model *model, uint32_t leaf, enum cpuid_register output, unsigned bit)
{
        for (unsigned i = 0; i < CPU_FEATURE_WORDS; i++)
                if (cpu_feature_words[i].leaf == leaf && cpu_feature_words[i].output == output)
                        return model->kept[i] >> bit & 1;
        return true;
}

/* Parts of XSAVE's area that the model has: SDM vol. 1, section 13.1. */
static uint64_t xsave_parts(const struct cpu_model *model)
{
        if (!keeps(model, LEAF_FEATURES, CPUID_ECX, 26))
                return 0;
        uint64_t parts = model->all ? UINT64_MAX : 3;
        if (!model->all && keeps(model, LEAF_FEATURES, CPUID_ECX, 28))
                parts |= XSAVE_AVX;
        if (!keeps(model, LEAF_MORE_FEATURES, CPUID_EBX, 16))
                parts &= ~(uint64_t)XSAVE_AVX512;
        if (!keeps(model, LEAF_FEATURES, CPUID_ECX, 28))
                parts &= ~(uint64_t)(XSAVE_AVX | XSAVE_AVX512);
        return keeps(model, LEAF_MORE_FEATURES, CPUID_ECX, 3) ? parts : parts & ~(uint64_t)XSAVE_KEYS;
}

static void fit_xsave(struct kvm_cpuid_entry2 *leaf, const struct cpu_model *model)
{
        uint64_t parts = xsave_parts(model);
        bool left_out = leaf->index > 1 && leaf->index < 64 && !(parts >> leaf->index & 1);
        if (leaf->index == 0) {
                leaf->eax &= (uint32_t)parts;
                leaf->edx &= (uint32_t)(parts >> 32);
        }
        if (!parts || left_out)
                leaf->eax = leaf->ebx = leaf->ecx = leaf->edx = 0;
}

static void fit(struct kvm_cpuid_entry2 *leaf, const struct engine *engine, unsigned number, bool deadline)
{
        const struct topology *topology = &engine->topology;
        unsigned in_socket = topology->cores * topology->threads;
        uint32_t apic_id = topology_apic_id(topology, number);
        fit_features(leaf, &engine->model);
        switch (leaf->function) {
        case LEAF_FEATURES:
                leaf->ebx = (leaf->ebx & 0x0000ffff) | (in_socket & 0xff) << 16 | apic_id << 24;
                leaf->ecx |= FEATURES_ECX_HYPERVISOR | (deadline ? FEATURES_ECX_TSC_DEADLINE : 0);
                leaf->edx = in_socket > 1 ? leaf->edx | FEATURES_EDX_MULTI_THREADING
                                          : leaf->edx & ~(uint32_t)FEATURES_EDX_MULTI_THREADING;
                break;
        case LEAF_CACHES:
        case LEAF_AMD_CACHES: fit_cache(leaf, topology); break;
        case LEAF_PERFORMANCE: /* no performance counters: they differ from host to host */
                leaf->eax = leaf->ebx = leaf->ecx = leaf->edx = 0;
                break;
        case LEAF_XSAVE: fit_xsave(leaf, &engine->model); break;
        case LEAF_KVM_FEATURES:
                if (engine->no_clock)
                        leaf->eax &= ~(uint32_t)KVM_CLOCKS;
                break;
        case LEAF_AMD_FEATURES:
                leaf->ecx = in_socket > 1 ? leaf->ecx | AMD_ECX_CMP_LEGACY : leaf->ecx & ~(uint32_t)AMD_ECX_CMP_LEGACY;
                break;
        case LEAF_AMD_SIZES: leaf->ecx = topology_socket_bits(topology) << 12 | (in_socket - 1); break;
        case LEAF_AMD_TOPOLOGY:
                leaf->eax = apic_id;
                leaf->ebx = (apic_id >> topology_thread_bits(topology) & 0xff) | (topology->threads - 1) << 8;
                leaf->ecx = apic_id >> topology_socket_bits(topology); /* the node: one a socket */
                break;
        default: break;
        }
}

int kvm_check_model(const struct engine *engine, struct error *err)
{
        for (unsigned i = 0; i < CPU_FEATURE_WORDS; i++) {
                const struct cpu_feature_word *word = &cpu_feature_words[i];
                uint32_t has = 0;
                for (unsigned j = 0; j < engine->cpuid->nent; j++) {
                        const struct kvm_cpuid_entry2 *leaf = &engine->cpuid->entries[j];
                        const uint32_t outputs[] = { leaf->eax, leaf->ebx, leaf->ecx, leaf->edx };
                        if (leaf->function == word->leaf && leaf->index == word->subleaf)
                                has = outputs[word->output];
                }
                uint32_t missing = engine->model.wanted[i] & ~has;
                if (missing)
                        return error_set(err, -ENOTSUP, "--cpu: KVM does not have \"%s\" on this host",
                                         cpu_feature_name(i, (unsigned)__builtin_ctz(missing)));
        }
        return 0;
}

static bool is_amd(const struct kvm_cpuid2 *cpuid)
{
        for (unsigned i = 0; i < cpuid->nent; i++)
                if (!cpuid->entries[i].function) /* "AuthenticAMD", "HygonGenuine": EBX has the first letters */
                        return cpuid->entries[i].ebx == 0x68747541 || cpuid->entries[i].ebx == 0x6f677948;
        return false;
}

/*
 * The leaves of topology, which are ours whatever KVM says of the host's. Where it says nothing, the highest leaves are
 * told to reach to them, and AMD's extension to be there: without it Linux takes all threads for cores.
 */
static void add_topology(struct kvm_cpuid2 *cpuid, const struct engine *engine, unsigned number, bool second)
{
        uint32_t apic_id = topology_apic_id(&engine->topology, number);
        bool amd = is_amd(cpuid);
        for (unsigned i = 0; i < cpuid->nent; i++) {
                struct kvm_cpuid_entry2 *leaf = &cpuid->entries[i];
                if (leaf->function == 0 && leaf->eax < LEAF_TOPOLOGY)
                        leaf->eax = LEAF_TOPOLOGY;
                if (amd && leaf->function == LEAF_AMD_HIGHEST && leaf->eax < LEAF_AMD_TOPOLOGY)
                        leaf->eax = LEAF_AMD_TOPOLOGY;
                if (amd && leaf->function == LEAF_AMD_FEATURES)
                        leaf->ecx |= AMD_ECX_TOPOLOGY;
        }
        for (unsigned level = 0; level < TOPOLOGY_LEVELS; level++)
                cpuid->entries[cpuid->nent++] = topology_leaf(LEAF_TOPOLOGY, level, &engine->topology, apic_id);
        for (unsigned level = 0; second && level < TOPOLOGY_LEVELS; level++)
                cpuid->entries[cpuid->nent++] = topology_leaf(LEAF_TOPOLOGY_V2, level, &engine->topology, apic_id);
        if (amd) {
                struct kvm_cpuid_entry2 *leaf = &cpuid->entries[cpuid->nent++];
                *leaf = (struct kvm_cpuid_entry2){ .function = LEAF_AMD_TOPOLOGY };
                fit(leaf, engine, number, false);
        }
}

/* What KVM says of topology is the host's, or empty. */
static bool is_topology(uint32_t leaf)
{
        return leaf == LEAF_TOPOLOGY || leaf == LEAF_TOPOLOGY_V2 || leaf == LEAF_AMD_TOPOLOGY;
}

int kvm_set_cpuid(struct vcpu *vcpu, struct error *err)
{
        const struct engine *engine = vcpu->engine;
        const struct kvm_cpuid2 *supported = engine->cpuid;
        _cleanup_free_ struct kvm_cpuid2 *cpuid =
                calloc(1, sizeof(*cpuid) + (supported->nent + 2 * TOPOLOGY_LEVELS + 1) * sizeof(supported->entries[0]));
        if (!cpuid)
                return error_memory(err);
        /*
         * KVM emulates the deadline timer of its own local APIC, and does not say so among the features: api.rst,
         * 4.46.
         */
        bool deadline = !engine->bare && ioctl(engine->kvm, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
        bool second = false;
        for (unsigned i = 0; i < supported->nent; i++) {
                second |= supported->entries[i].function == LEAF_TOPOLOGY_V2;
                if (is_topology(supported->entries[i].function))
                        continue;
                cpuid->entries[cpuid->nent] = supported->entries[i];
                fit(&cpuid->entries[cpuid->nent++], engine, vcpu->number, deadline);
        }
        add_topology(cpuid, engine, vcpu->number, second);
        if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) < 0)
                return error_errno(err, "KVM does not take the features of CPU %u", vcpu->number);
        return 0;
}
