/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sockets of a running virtual machine: VM_CONTROL_SOCKET of onggi-vmm, VM_CONSOLE_SOCKET of its monitor. */
#pragma once

#include "virtual_machine/folder.h"

/* A connected descriptor. -EOPNOTSUPP if it does not run. */
int machine_socket_connect(const struct vm *vm, const char *name, struct error *err);
/* vm_ask(), with open files that come along. */
int machine_socket_ask(const struct vm *vm, const json_t *request, const int *files, size_t count, json_t **answer,
                       struct error *err);
