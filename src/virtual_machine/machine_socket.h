/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sockets of a running virtual machine: VM_CONTROL_SOCKET of onggi-vmm, VM_CONSOLE_SOCKET of its monitor. */
#pragma once

#include "virtual_machine/folder.h"

/* A connected descriptor. -EOPNOTSUPP if it does not run. */
int machine_socket_connect(const struct vm *vm, const char *name, struct error *err);
