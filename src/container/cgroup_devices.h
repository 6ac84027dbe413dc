/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which device nodes a container may open or make: linux.resources.devices in order, then what every container has.
 *
 * The last rule that speaks of a device and an access decides it; what none speaks of is denied. On v2 an eBPF program
 * holds the rules just so. A v1 devices cgroup holds less: a default and a list of exceptions from it, without order;
 * rules that cannot be said that way are refused rather than widened.
 */
#pragma once

#include <linux/bpf.h>
#include <stddef.h>

#include "base/error.h"
#include "container/resources.h"

/* The rules of `resources` and, after them, the default ones. The caller frees *rules. */
int device_rules(const struct resources *resources, struct device_rule **rules, size_t *count, struct error *err);

/* What a v1 devices cgroup holds. */
struct device_list {
        bool allow; /* the default */
        struct device_rule *exceptions;
        size_t count;
};

/* -EOPNOTSUPP where the rules cannot be said so. The caller frees list->exceptions. */
int device_list_build(const struct device_rule *rules, size_t count, struct device_list *list, struct error *err);

/* Instructions of a BPF_PROG_TYPE_CGROUP_DEVICE program for the rules. The caller frees *program. */
int device_program_build(const struct device_rule *rules, size_t count, struct bpf_insn **code, size_t *length,
                         struct error *err);

/*
 * Loads the program and puts it in the place of the one that this function attached to the directory before, in one
 * step.
 */
int device_program_attach(int directory, const struct bpf_insn *program, size_t length, struct error *err);
