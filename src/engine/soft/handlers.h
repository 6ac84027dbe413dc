/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the interpreter does for each operation. A handler reads operands, then changes registers and memory; vcpu->next_rip is
 * the next instruction's address already. Handlers are listed by family, each family in a file of its own.
 */
#pragma once

#include "engine/soft/vcpu.h"

typedef void (*handler)(struct vcpu *vcpu, const struct instruction *in);

struct handler_row {
        enum operation operation;
        handler run;
};

/* Fills a table that is indexed by operation; what has no handler raises #UD. */
void handlers_fill(handler table[OPERATION_COUNT]);

/* Each ends with a NULL handler. */
extern const struct handler_row integer_handlers[], control_handlers[], string_handlers[], system_handlers[],
        segment_handlers[], far_handlers[], vector_handlers[];
