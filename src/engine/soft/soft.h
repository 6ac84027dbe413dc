/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The software engine: an x86-64 processor as an ordinary program, for hosts without usable hardware virtualization.
 *
 * It brings no interrupt controllers; the machine's are used. Of the host it wants memory that can be executable (for x87 and SSE
 * instructions), nothing else.
 */
#pragma once

#include "engine/engine.h"

extern const struct engine_operations soft_engine;

/* Whether this host lets the engine have what it wants: 0, or a negative errno with the reason. */
int soft_self_test(struct error *err);
