/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Model-specific registers of the software CPU: AMD64 APM vol. 2, appendix A. */
#pragma once

#include "engine/soft/vcpu.h"

enum {
        MSR_APIC_BASE = 0x1b,
        MSR_MTRR_CAPABILITIES = 0xfe,
        MSR_SYSENTER_CS = 0x174,
        MSR_SYSENTER_ESP = 0x175,
        MSR_SYSENTER_EIP = 0x176,
        MSR_MISC_ENABLE = 0x1a0,
        MSR_PAT = 0x277,
};
#define MSR_EFER           0xc0000080
#define MSR_STAR           0xc0000081
#define MSR_LSTAR          0xc0000082
#define MSR_CSTAR          0xc0000083
#define MSR_SFMASK         0xc0000084
#define MSR_FS_BASE        0xc0000100
#define MSR_GS_BASE        0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define MSR_TSC_AUX        0xc0000103

/* false: there is none of this number, or it refuses the value. */
bool msr_read(struct vcpu *vcpu, uint32_t index, uint64_t *value);
bool msr_write(struct vcpu *vcpu, uint32_t index, uint64_t value);
/* All that a saved state holds; ends with 0. */
extern const uint32_t msr_saved[];

/* The guest's time-stamp counter. */
uint64_t tsc_read(const struct vcpu *vcpu);
