/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vm stop, kill, rm, pause, resume, reset, power, set: what is done to virtual machines. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "cli/verbs.h"
#include "cli/vm.h"
#include "virtual_machine/snapshot.h"

int call_vm(struct call *call, const char *name, struct vm **vm, struct error *err)
{
        struct host *host;
        int r = call_host(call, &host, err);
        return r < 0 ? r : vm_find(host, name, vm, err);
}

struct action {
        int (*act)(struct vm *vm, void *context, struct error *err);
        void *context;
};

static int act_on(struct call *call, const char *operand, void *context, struct error *err)
{
        const struct action *action = context;
        _cleanup_vm_ struct vm *vm = NULL;
        int r = call_vm(call, operand, &vm, err);
        if (!r)
                r = action->act(vm, action->context, err);
        if (r >= 0)
                puts(operand);
        return r;
}

int call_each_vm(struct call *call, int (*act)(struct vm *vm, void *context, struct error *err), void *context)
{
        struct action action = { act, context };
        return call_each(call, act_on, &action);
}

/* ---- stop, kill, rm ---- */

struct stop_options {
        int64_t time;
};

static const struct option_spec stop_option_table[] = {
        { "time", 't', OPTION_NUMBER, offsetof(struct stop_options, time), "SECONDS",
          "when to end what has not shut down (30); -1: never" },
        { 0 },
};
static const struct option_spec *const stop_tables[] = { stop_option_table, NULL };

static void prepare_stop(void *target)
{
        ((struct stop_options *)target)->time = 30;
}

static int stop_one(struct vm *vm, void *context, struct error *err)
{
        const struct stop_options *options = context;
        return vm_stop(vm, options->time > 1000000 || options->time < 0 ? -1 : (int)options->time, err);
}

static int stop(struct call *call, void *target, struct error *err)
{
        (void)err;
        return call_each_vm(call, stop_one, target);
}

static int kill_one(struct vm *vm, void *context, struct error *err)
{
        (void)context;
        return vm_kill(vm, err);
}

static int kill_all(struct call *call, void *target, struct error *err)
{
        (void)err;
        return call_each_vm(call, kill_one, target);
}

struct remove_options {
        bool force;
};

static const struct option_spec remove_option_table[] = {
        { "force", 'f', OPTION_FLAG, offsetof(struct remove_options, force), NULL, "end those that run" },
        { 0 },
};
static const struct option_spec *const remove_tables[] = { remove_option_table, NULL };

static int remove_one(struct vm *vm, void *context, struct error *err)
{
        const struct remove_options *options = context;
        return vm_remove(vm, options->force, err);
}

static int remove_all(struct call *call, void *target, struct error *err)
{
        (void)err;
        return call_each_vm(call, remove_one, target);
}

/* ---- What the control socket has a word for ---- */

static int command_one(struct vm *vm, void *context, struct error *err)
{
        return vm_command(vm, context, err);
}

static int pause_all(struct call *call, void *target, struct error *err)
{
        (void)target, (void)err;
        return call_each_vm(call, command_one, (void *)"pause");
}

static int resume_all(struct call *call, void *target, struct error *err)
{
        (void)target, (void)err;
        return call_each_vm(call, command_one, (void *)"resume");
}

static int power_all(struct call *call, void *target, struct error *err)
{
        (void)target, (void)err;
        return call_each_vm(call, command_one, (void *)"power");
}

static int reset_all(struct call *call, void *target, struct error *err)
{
        (void)target, (void)err;
        return call_each_vm(call, command_one, (void *)"reset");
}

/* ---- snapshot ---- */

struct snapshot_options {
        bool remove;
};

static const struct option_spec snapshot_option_table[] = {
        { "rm", 0, OPTION_FLAG, offsetof(struct snapshot_options, remove), NULL, "remove that snapshot" },
        { 0 },
};
static const struct option_spec *const snapshot_tables[] = { snapshot_option_table, NULL };

static int snapshot(struct call *call, void *target, struct error *err)
{
        const struct snapshot_options *options = target;
        _cleanup_vm_ struct vm *vm = NULL;
        int r = call_vm(call, call->operands[0], &vm, err);
        if (!r)
                r = options->remove ? vm_snapshot_remove(vm, call->operands[1], err)
                                    : vm_snapshot_save(vm, call->operands[1], err);
        if (!r)
                puts(call->operands[1]);
        return r;
}

/* ---- set ---- */

struct set_options {
        const char *cpus;
        uint64_t memory;
};

static const struct option_spec set_option_table[] = {
        { "cpus", 0, OPTION_STRING, offsetof(struct set_options, cpus), "NUMBER", "CPU time that it gets" },
        { "memory", 'm', OPTION_SIZE, offsetof(struct set_options, memory), "SIZE",
          "how much of its memory the guest keeps: the rest is given back to the host, if the guest has a balloon" },
        { 0 },
};
static const struct option_spec *const set_tables[] = { set_option_table, NULL };

struct limits {
        double cpus;
        uint64_t memory;
};

static int set_one(struct vm *vm, void *context, struct error *err)
{
        const struct limits *limits = context;
        return vm_limit(vm, limits->cpus, limits->memory, err);
}

static int set(struct call *call, void *target, struct error *err)
{
        const struct set_options *options = target;
        struct limits limits = { .memory = options->memory };
        char *end = NULL;
        if (options->cpus)
                limits.cpus = strtod(options->cpus, &end);
        if (options->cpus && (end == options->cpus || *end || !(limits.cpus >= 0.01 && limits.cpus <= VM_CPUS_MAX)))
                return error_set(err, -EINVAL, "--cpus is a number from 0.01 to %d, not \"%s\"", VM_CPUS_MAX,
                                 options->cpus);
        if (!options->cpus && !options->memory)
                return error_set(err, -EINVAL, "nothing to set: give --cpus or --memory");
        return call_each_vm(call, set_one, &limits);
}

/* ---- The commands ---- */

#define MACHINES .usage = "MACHINE [MACHINE...]", .min = 1, .max = OPERANDS_MAX

const struct command command_vm_stop = {
        .summary = "Shut virtual machines down by their power button",
        MACHINES,
        .description = "A guest that does not shut down in time is ended as by pulling the plug.",
        .operands = OPERAND_MACHINE,
        .options = stop_tables,
        .options_size = sizeof(struct stop_options),
        .prepare = prepare_stop,
        .run = stop,
};

const struct command command_vm_kill = {
        .summary = "End virtual machines at once",
        MACHINES,
        .operands = OPERAND_MACHINE,
        .run = kill_all,
};

const struct command command_vm_remove = {
        .summary = "Remove virtual machines; their disks are left alone",
        MACHINES,
        .operands = OPERAND_MACHINE,
        .options = remove_tables,
        .options_size = sizeof(struct remove_options),
        .run = remove_all,
};

const struct command command_vm_pause = {
        .summary = "Keep the processors of virtual machines from running",
        MACHINES,
        .operands = OPERAND_MACHINE,
        .run = pause_all,
};

const struct command command_vm_resume = {
        .summary = "Let paused virtual machines run on",
        MACHINES,
        .operands = OPERAND_MACHINE,
        .run = resume_all,
};

const struct command command_vm_power = {
        .summary = "Press the power button of virtual machines",
        MACHINES,
        .operands = OPERAND_MACHINE,
        .run = power_all,
};

const struct command command_vm_reset = {
        .summary = "Reset virtual machines, as by a reset button",
        MACHINES,
        .operands = OPERAND_MACHINE,
        .run = reset_all,
};

const struct command command_vm_snapshot = {
        .summary = "Save a virtual machine that runs, under a name",
        .usage = "MACHINE SNAPSHOT",
        .description = "Processors, devices and memory; what disks hold is not part of it. It runs on. `onggi vm\n"
                       "restore` starts it from there, `onggi vm inspect` lists the names.",
        .min = 2,
        .max = 2,
        .operands = OPERAND_MACHINE,
        .options = snapshot_tables,
        .options_size = sizeof(struct snapshot_options),
        .run = snapshot,
};

const struct command command_vm_set = {
        .summary = "Change the limits of virtual machines that run",
        MACHINES,
        .description = "What was said at creation holds again at the next start.",
        .operands = OPERAND_MACHINE,
        .options = set_tables,
        .options_size = sizeof(struct set_options),
        .run = set,
};
