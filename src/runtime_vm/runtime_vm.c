/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The virtual machine: the program runs under a kernel of its own, on onggi-vmm. */
#include "container/runtime.h"
#include "runtime_vm/machine.h"
#include "runtime_vm/machine_exec.h"
#include "runtime_vm/machine_process.h"

const struct runtime runtime = {
        .name = "onggi-runtime-vm",
        .purpose = "Runs containers in virtual machines of their own",
        .prepare = machine_process_prepare,
        .fit = machine_fit,
        .start_process = machine_process_start,
        .expect = machine_expect,
        .await = machine_await,
        .signal = machine_signal,
        .exec = machine_exec,
        .list_processes = machine_list_processes,
        .measure = machine_measure,
        .report = machine_report,
        .clean = machine_clean,
};
