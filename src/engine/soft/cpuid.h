/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the software CPU says of itself: AMD64 APM vol. 3, appendix E. */
#pragma once

#include <stdint.h>

#include "engine/soft/vcpu.h"

struct cpuid {
        uint32_t eax, ebx, ecx, edx;
};

struct cpuid cpuid_read(const struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf);
