/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the commands of `onggi vm` share. */
#pragma once

#include "base/cleanup.h"
#include "cli/command.h"
#include "virtual_machine/virtual_machine.h"

DEFINE_CLEANUP(vm, struct vm, vm_free)
#define _cleanup_vm_ _cleanup_(vm)

/* The machine that an operand names. */
int call_vm(struct call *call, const char *name, struct vm **vm, struct error *err);
/* As call_each_instance(), for machines. */
int call_each_vm(struct call *call, int (*act)(struct vm *vm, void *context, struct error *err), void *context);
