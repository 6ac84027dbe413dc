/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's entropy device, filled from this kernel's generator.
 */
#pragma once

#include "base/error.h"

struct vmm;
struct entropy_source;

int entropy_source_open(struct vmm *vmm, struct entropy_source **source, struct error *err);
void entropy_source_close(struct entropy_source *source);
