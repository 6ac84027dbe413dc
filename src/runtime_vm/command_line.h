/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How onggi-vmm is called: the arguments and descriptors of one virtual machine.
 */
#pragma once

#include "base/error.h"
#include "container/program.h"
#include "runtime_vm/machine_settings.h"
#include "runtime_vm/wire.h"

struct command_line {
        const struct program *program;
        const struct machine_settings *settings;
        char *const *shares;
        const struct wires *wires;
        int archive;     /* follows the initramfs */
        int terminal;    /* -1: standard input, output and error are the program's */
        int log, reason; /* onggi-vmm's own */
};

/* Executes onggi-vmm in the working directory, which is where its sockets will be. Returns only when it fails. */
int command_line_execute(const struct command_line *line, struct error *err);
