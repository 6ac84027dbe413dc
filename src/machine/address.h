/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses of a guest: types that no integer and no host pointer turns into by accident.
 *
 * gpa_t is guest-physical, gva_t guest-virtual. Host memory is a plain pointer. Only guest_memory_span() leads from
 * a gpa_t to a pointer, and it can fail.
 */
#pragma once

#include <stdint.h>

typedef struct {
        uint64_t at;
} gpa_t;

typedef struct {
        uint64_t at;
} gva_t;

static inline gpa_t gpa(uint64_t at)
{
        return (gpa_t){ at };
}

static inline gva_t gva(uint64_t at)
{
        return (gva_t){ at };
}
