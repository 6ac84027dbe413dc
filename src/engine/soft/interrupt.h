/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exceptions and interrupts on their way to the guest's handler, and back: AMD64 APM vol. 2, chapter 8. */
#pragma once

#include "engine/soft/vcpu.h"

enum event_kind { EVENT_EXCEPTION, EVENT_EXTERNAL, EVENT_SOFTWARE /* INT n, INT3, INTO */ };

struct event {
        enum event_kind kind;
        uint8_t vector;
        bool has_code;
        uint32_t code;
        uint64_t rip; /* where the handler returns to */
};

/* Enters the handler; faults on the way are raised like any other and leave the vcpu as it was. */
void interrupt_enter(struct vcpu *vcpu, const struct event *event);

/* Whether one exception on the way to the handler of another makes a double fault: APM vol. 2, section 8.2.9. */
bool interrupt_doubles(uint8_t first, uint8_t second);
