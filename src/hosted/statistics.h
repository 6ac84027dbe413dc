/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the machine and its process have counted. */
#pragma once

#include <jansson.h>

struct vmm;

/* For people, on standard error. */
void statistics_print(const struct vmm *vmm);
/*
 * For programs: "exits", "devices", "resets" (where a reset ends nothing) and "returned" into an object. The machine's
 * lock is held.
 */
void statistics_fill(const struct vmm *vmm, json_t *object);
