/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/cpu_state.h"

struct cpu_segment cpu_flat_segment(uint16_t selector, bool code)
{
        /* Types: code, readable, accessed; data, writable, accessed: APM vol. 2, tables 4-3 and 4-4. */
        unsigned attributes = (code ? 0xbu | SEGMENT_LONG : 0x3u | SEGMENT_DEFAULT_32) | SEGMENT_CODE_OR_DATA |
                              SEGMENT_PRESENT | SEGMENT_GRANULAR;
        return (struct cpu_segment){ .limit = UINT32_MAX, .selector = selector, .attributes = (uint16_t)attributes };
}

struct cpu_segment cpu_flat_task(uint16_t selector)
{
        /* A busy 64-bit task segment of the least length: APM vol. 2, table 4-6 and section 12.2.5. */
        return (struct cpu_segment){ .limit = 0x67, .selector = selector, .attributes = 0xb | SEGMENT_PRESENT };
}

void cpu_reset_floating_point(struct cpu_state *state)
{
        /*
         * In the legacy area of XSAVE: FCW at 0, MXCSR at 24; values of a reset: SDM vol. 1, sections 8.1.5 and
         * 10.2.3.
         */
        static const uint8_t control_word[] = { 0x7f, 0x03 }, mxcsr[] = { 0x80, 0x1f, 0, 0 };
        __builtin_memset(state->xsave, 0, sizeof(state->xsave));
        __builtin_memcpy(state->xsave, control_word, sizeof(control_word));
        __builtin_memcpy(state->xsave + 24, mxcsr, sizeof(mxcsr));
}
