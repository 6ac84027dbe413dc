/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/soft/msr.h"

#include <stddef.h>
#include <x86intrin.h>

#include "base/cleanup.h"
#include "engine/soft/memory.h"

const uint32_t msr_saved[] = { MSR_TSC,   MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,   MSR_PAT,     MSR_STAR,
                               MSR_LSTAR, MSR_CSTAR,       MSR_SFMASK,       MSR_KERNEL_GS_BASE, MSR_TSC_AUX, 0 };

static const struct {
        uint32_t index;
        size_t at;
        bool is_address; /* must be canonical */
} plain[] = {
        { MSR_SYSENTER_CS, offsetof(struct vcpu, sysenter_cs), false },
        { MSR_SYSENTER_ESP, offsetof(struct vcpu, sysenter_rsp), true },
        { MSR_SYSENTER_EIP, offsetof(struct vcpu, sysenter_rip), true },
        { MSR_MISC_ENABLE, offsetof(struct vcpu, misc_enable), false },
        { MSR_PAT, offsetof(struct vcpu, pat), false },
        { MSR_STAR, offsetof(struct vcpu, star), false },
        { MSR_LSTAR, offsetof(struct vcpu, lstar), true },
        { MSR_CSTAR, offsetof(struct vcpu, cstar), true },
        { MSR_SFMASK, offsetof(struct vcpu, flag_mask), false },
        { MSR_KERNEL_GS_BASE, offsetof(struct vcpu, kernel_gs_base), true },
        { MSR_TSC_AUX, offsetof(struct vcpu, tsc_aux), false },
        { MSR_FS_BASE, offsetof(struct vcpu, segments[CPU_FS].base), true },
        { MSR_GS_BASE, offsetof(struct vcpu, segments[CPU_GS].base), true },
        { MSR_APIC_BASE, offsetof(struct vcpu, apic_base), false },
};

/* The time-stamp counter has one rate, whatever the processor's: APM vol. 2, section 3.2.10. */
#define MSR_HWCR      0xc0010015
#define HWCR_TSC_RATE (1U << 24)

/*
 * Registers of AMD's processors that kernels look at without asking CPUID first: they read as 0 (but for HWCR) and writes
 * have no effect. Machine check, microcode, power and performance: there is nothing behind them.
 */
static const struct {
        uint32_t first, last;
} empty[] = {
        { 0x8b, 0x8b },             /* PATCH_LEVEL */
        { 0xfe, 0xfe },             /* MTRRcap: none */
        { 0x179, 0x17b },           /* MCG_CAP, MCG_STATUS, MCG_CTL */
        { 0x1d9, 0x1dc },           /* DBG_CTL and last branch records */
        { 0x200, 0x26f },           /* MTRRs */
        { 0x2ff, 0x2ff },           /* MTRRdefType */
        { 0x400, 0x41f },           /* machine check banks */
        { 0xc0010000, 0xc0010007 }, /* performance counters */
        { 0xc0010010, 0xc0010010 }, /* SYSCFG */
        { MSR_HWCR, MSR_HWCR },
        { 0xc001001f, 0xc001001f }, /* NB_CFG */
        { 0xc0010055, 0xc0010055 }, /* interrupt pending message */
        { 0xc0010112, 0xc0010113 }, /* TSEG */
        { 0xc0011020, 0xc001102f }, /* LS_CFG, DC_CFG, … */
};

static bool is_empty(uint32_t index)
{
        for (size_t i = 0; i < ARRAY_SIZE(empty); i++)
                if (index >= empty[i].first && index <= empty[i].last)
                        return true;
        return false;
}

uint64_t tsc_read(const struct vcpu *vcpu)
{
        return __rdtsc() + vcpu->tsc_offset;
}

bool msr_read(struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
        for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
                if (plain[i].index == index) {
                        *value = *(const uint64_t *)(const void *)((const char *)vcpu + plain[i].at);
                        return true;
                }
        }
        *value = index == MSR_EFER   ? vcpu->efer
                 : index == MSR_TSC  ? tsc_read(vcpu)
                 : index == MSR_HWCR ? HWCR_TSC_RATE
                                     : 0;
        return index == MSR_EFER || index == MSR_TSC || is_empty(index);
}

static bool write_efer(struct vcpu *vcpu, uint64_t value)
{
        const uint64_t known = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
        if (value & ~known || (vcpu->cr0 & CR0_PG && (value ^ vcpu->efer) & EFER_LME))
                return false;
        vcpu->efer = (value & ~(uint64_t)EFER_LMA) | (vcpu->efer & EFER_LMA);
        memory_flush(vcpu, true);
        return true;
}

bool msr_write(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
        for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
                if (plain[i].index != index)
                        continue;
                if (plain[i].is_address && !is_canonical(value))
                        return false;
                *(uint64_t *)(void *)((char *)vcpu + plain[i].at) = value;
                return true;
        }
        if (index == MSR_EFER)
                return write_efer(vcpu, value);
        if (index == MSR_TSC) {
                vcpu->tsc_offset = value - __rdtsc();
                return true;
        }
        return is_empty(index);
}
