/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/soft/cpuid.h"

#include "base/cleanup.h"

/*
 * AMD's vendor: kernels then keep their page tables in one piece, since AMD's processors do not leak through them (and this one
 * does not speculate at all). Features are those that the interpreter has: x86-64-v2 and what makes a kernel's life easier.
 */
#define VENDOR_EBX 0x68747541 /* "AuthenticAMD" */
#define VENDOR_EDX 0x69746e65
#define VENDOR_ECX 0x444d4163

#define FAMILY_MODEL 0x00a00f11 /* family 19h, model 1, stepping 1 */

/* Leaf 1. */
#define FEATURES_EDX                                                                                                   \
        0x078bfbfd /* fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 */
#define FEATURES_ECX 0x80d82201 /* sse3 ssse3 cx16 sse4.1 sse4.2 x2apic(no) movbe popcnt hypervisor */
/* Leaf 7: fsgsbase, smep, erms, smap, adx. */
#define FEATURES_7_EBX 0x00180281
/* Leaf 80000001: the same as leaf 1, syscall nx 1gb-pages rdtscp lm; lahf_lm abm. */
#define FEATURES_AMD_EDX 0x2d93fbfd
#define FEATURES_AMD_ECX 0x00000021

static const struct {
        uint32_t leaf;
        struct cpuid values;
} leaves[] = {
        { 0x00000000, { 0x0000000d, VENDOR_EBX, VENDOR_ECX, VENDOR_EDX } },
        { 0x00000007, { 0, FEATURES_7_EBX, 0, 0 } },
        { 0x40000000, { 0x40000000, 0x67676e6f, 0x6e6f2069, 0x20696767 } }, /* "onggi onggi " */
        { 0x80000000, { 0x8000001e, VENDOR_EBX, VENDOR_ECX, VENDOR_EDX } },
        { 0x80000001, { FAMILY_MODEL, 0, FEATURES_AMD_ECX, FEATURES_AMD_EDX } },
        { 0x80000002, { 0x67676e6f, 0x6f732069, 0x61777466, 0x43206572 } }, /* "onggi software CPU" */
        { 0x80000003, { 0x00005550, 0, 0, 0 } },
        { 0x80000005, { 0xff40ff40, 0xff40ff40, 0x20080140, 0x20080140 } },
        { 0x80000006, { 0, 0x42004200, 0x02008140, 0 } },
        { 0x80000007, { 0, 0, 0, 0x100 } },      /* the time-stamp counter's rate is constant */
        { 0x80000008, { 0x00003028, 0, 0, 0 } }, /* 40 bits of physical, 48 of linear addresses */
};

struct cpuid cpuid_read(const struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf)
{
        struct cpuid found = { 0 };
        if (leaf == 1) {
                found = (struct cpuid){ FAMILY_MODEL, vcpu->number << 24 | 1 << 16 | 8 << 8, FEATURES_ECX,
                                        FEATURES_EDX };
                return found;
        }
        if (leaf == 0x8000001e)
                return (struct cpuid){ vcpu->number, 0, 0, 0 };
        for (size_t i = 0; i < ARRAY_SIZE(leaves); i++)
                if (leaves[i].leaf == leaf && (leaf != 7 || !subleaf))
                        found = leaves[i].values;
        return found;
}
