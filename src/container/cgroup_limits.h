/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How limits that the specification words for cgroup v1 are written on v2; the parts that are arithmetic alone.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "container/cgroup_tree.h"

/*
 * cpu.shares (2 to 262144, usually 1024) to cpu.weight (1 to 10000, usually 100): through both ends and the usual
 * value, as runc 1.3.2 and crun 1.23 convert, so that a container weighs the same under each of them.
 */
uint64_t cpu_weight_of_shares(uint64_t shares);

/* blockIO weight (10 to 1000) to io.weight (1 to 10000), linear. */
uint64_t io_weight_of_block_weight(uint64_t weight);

int apply_block(const struct cgroup_directory *directory, const struct resources *resources, struct error *err);
