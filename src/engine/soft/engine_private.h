/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The software engine of one machine: what its virtual CPUs share. */
#pragma once

#include <stdatomic.h>

#include "engine/engine.h"
#include "engine/soft/handlers.h"

/* What is known of a page of guest memory. */
struct code_page {
        /* Counts the writes into the page since code of it was decoded; odd: none of it is decoded now. */
        _Atomic uint32_t version;
};

struct engine {
        const struct guest_memory *memory;
        struct code_page *pages[GUEST_MEMORY_REGIONS_MAX]; /* one for each page of a region */
        unsigned cpus;
        _Atomic uint64_t tsc_offset; /* of CPU 0, when its state was last set */
        handler handlers[OPERATION_COUNT];
};

/* Never 0: the version of code that is decoded from this page from now on. NULL page: it is not memory. */
struct code_page *engine_code_page(struct engine *engine, uint64_t physical);
