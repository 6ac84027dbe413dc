/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vm create, run, start, __finish. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/verbs.h"
#include "cli/vm.h"
#include "virtual_machine/snapshot.h"

/* ---- Options ---- */

struct create_options {
        const char *name, *kernel, *append, *firmware, *cpus, *cpu, *network, *address, *mac, *engine, *on_reset;
        char **disks, **isos, **initrds, **modules, **shares, **ports, **labels;
        uint64_t memory;
        bool detach, remove;
};

#define AT(field) offsetof(struct create_options, field)
static const struct option_spec create_option_table[] = {
        { "name", 0, OPTION_STRING, AT(name), "NAME", "its name (one is made up)" },
        { "disk", 0, OPTION_LIST, AT(disks), "FILE[,OPTIONS]",
          "a raw or qcow2 image or a block device, with ro, format=, backing=, full=error|pause, serial=, queues=, "
          "rate-bytes=, rate-operations=; may be given more than once" },
        { "iso", 0, OPTION_LIST, AT(isos), "FILE", "a CD" },
        { "kernel", 0, OPTION_STRING, AT(kernel), "FILE", "start this kernel, without firmware" },
        { "initrd", 0, OPTION_LIST, AT(initrds), "FILE", "the kernel's initial RAM disk; several follow one another" },
        { "module", 0, OPTION_LIST, AT(modules), "FILE[,ARGUMENTS]", "a module of a PVH or multiboot kernel" },
        { "append", 0, OPTION_STRING, AT(append), "TEXT", "the kernel's command line" },
        { "firmware", 0, OPTION_STRING, AT(firmware), "bios|uefi|FILE", "start by firmware" },
        { "cpus", 0, OPTION_STRING, AT(cpus), "NUMBER",
          "virtual CPUs (1); 1.5 are two that get the time of one and a half" },
        { "cpu", 0, OPTION_STRING, AT(cpu), "host|baseline|LIST", "features of the virtual CPUs (host)" },
        { "memory", 'm', OPTION_SIZE, AT(memory), "SIZE", "RAM (256m)" },
        { "net", 0, OPTION_STRING, AT(network), "NETWORK|user|none",
          "the network that its card is on (default); user: by passt" },
        { "network", 0, OPTION_STRING, AT(network), "NETWORK|user|none", NULL },
        { "ip", 0, OPTION_STRING, AT(address), "ADDRESS", "its IPv4 address there" },
        { "mac-address", 0, OPTION_STRING, AT(mac), "MAC", "its card's hardware address" },
        { "publish", 'p', OPTION_LIST, AT(ports), "[ADDRESS:][PORT:]PORT[/tcp|/udp]", "publish a port on the host" },
        { "share", 0, OPTION_LIST, AT(shares), "TAG=FOLDER[,ro]",
          "a folder that the guest mounts by its tag (virtiofs)" },
        { "on-reset", 0, OPTION_STRING, AT(on_reset), "restart|stop", "what the guest's reset does (restart)" },
        { "engine", 0, OPTION_STRING, AT(engine), "auto|kvm|soft",
          "what runs its instructions (the first that can run an ordinary kernel); a named one is used even if it cannot" },
        { "label", 'l', OPTION_LIST, AT(labels), "KEY[=VALUE]", "attach a label" },
        { "rm", 0, OPTION_FLAG, AT(remove), NULL, "remove it when it ends" },
        { 0 },
};
static const struct option_spec run_option_table[] = {
        { "detach", 'd', OPTION_FLAG, AT(detach), NULL, "print its id and do not show its console" },
        { 0 },
};
#undef AT
static const struct option_spec *const create_tables[] = { create_option_table, NULL };
static const struct option_spec *const run_tables[] = { run_option_table, create_option_table, NULL };

static int read_settings(const struct create_options *options, struct vm_settings *settings, struct error *err)
{
        const struct {
                const char *given;
                char **place;
        } texts[] = {
                { options->name, &settings->name },         { options->kernel, &settings->kernel },
                { options->append, &settings->append },     { options->firmware, &settings->firmware },
                { options->cpus, &settings->cpus },         { options->cpu, &settings->cpu },
                { options->network, &settings->network },   { options->address, &settings->address },
                { options->on_reset, &settings->on_reset }, { options->mac, &settings->mac },
                { options->engine, &settings->engine },
        };
        const struct {
                char **given;
                char ***place;
        } lists[] = {
                { options->modules, &settings->modules }, { options->disks, &settings->disks },
                { options->isos, &settings->isos },       { options->shares, &settings->shares },
                { options->initrds, &settings->initrds }, { options->ports, &settings->ports },
                { options->labels, &settings->labels },
        };
        *settings = vm_settings_default();
        bool failed = false;
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                failed |= texts[i].given && !(*texts[i].place = strdup(texts[i].given));
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                failed |= lists[i].given && !(*lists[i].place = list_copy(lists[i].given));
        if (options->memory)
                settings->memory = options->memory;
        settings->remove = options->remove;
        return failed ? error_memory(err) : 0;
}

static int create_vm(struct call *call, const struct create_options *options, struct vm **vm, struct error *err)
{
        struct host *host;
        struct vm_settings settings;
        int r = read_settings(options, &settings, err);
        if (!r)
                r = call_host(call, &host, err);
        if (!r)
                r = vm_create(host, &settings, vm, err);
        vm_settings_free(&settings);
        return r;
}

static int create(struct call *call, void *target, struct error *err)
{
        _cleanup_vm_ struct vm *vm = NULL;
        int r = create_vm(call, target, &vm, err);
        if (!r)
                puts(vm->id);
        return r;
}

/* ---- run, start ---- */

static int start_vm(struct vm *vm, const char *restore, struct error *err)
{
        _cleanup_free_ char *warning = NULL;
        int r = vm_start(vm, restore, &warning, err);
        if (!r && warning)
                fprintf(stderr, "onggi: warning: %s\n", warning);
        return r;
}

/* The monitor is our child, and ends as the guest did. */
static int show_until_end(struct vm *vm, struct error *err)
{
        pid_t monitor = (pid_t)json_integer_value(json_object_get(json_object_get(vm->run, "monitor"), "pid"));
        bool escaped = false;
        int status = 0;
        fflush(stdout);
        int r = vm_console(vm, &escaped, err);
        if (r < 0)
                return r;
        if (escaped) {
                fprintf(stderr, "onggi: %s runs on; `onggi vm console %s` shows it again\n", vm->name, vm->name);
                return 0;
        }
        if (waitpid(monitor, &status, 0) == monitor && WIFEXITED(status))
                return WEXITSTATUS(status);
        r = vm_wait(vm, -1, err);
        return r == -ENOENT ? 0 : r;
}

static int run(struct call *call, void *target, struct error *err)
{
        const struct create_options *options = target;
        _cleanup_vm_ struct vm *vm = NULL;
        int r = create_vm(call, options, &vm, err);
        if (r < 0)
                return r;
        r = start_vm(vm, NULL, err);
        if (r < 0) {
                if (options->remove)
                        vm_remove(vm, true, NULL);
                return r;
        }
        if (!options->detach)
                return show_until_end(vm, err);
        puts(vm->id);
        return 0;
}

struct start_options {
        bool attach;
};

static const struct option_spec start_option_table[] = {
        { "attach", 'a', OPTION_FLAG, offsetof(struct start_options, attach), NULL,
          "show its console from its first output on, and wait for its end" },
        { 0 },
};
static const struct option_spec *const start_tables[] = { start_option_table, NULL };

static int start_one(struct vm *vm, void *context, struct error *err)
{
        (void)context;
        return start_vm(vm, NULL, err);
}

static int start(struct call *call, void *target, struct error *err)
{
        const struct start_options *options = target;
        if (!options->attach)
                return call_each_vm(call, start_one, NULL);
        if (call->operand_count != 1)
                return error_set(err, -EINVAL, "--attach is for one virtual machine at a time");
        _cleanup_vm_ struct vm *vm = NULL;
        int r = call_vm(call, call->operands[0], &vm, err);
        if (!r)
                r = start_vm(vm, NULL, err);
        return r < 0 ? r : show_until_end(vm, err);
}

static int restore(struct call *call, void *target, struct error *err)
{
        _cleanup_vm_ struct vm *vm = NULL;
        _cleanup_free_ char *path = NULL;
        (void)target;
        int r = call_vm(call, call->operands[0], &vm, err);
        if (!r)
                r = vm_snapshot_find(vm, call->operands[1], &path, err);
        if (!r)
                r = start_vm(vm, path, err);
        if (!r)
                puts(call->operands[0]);
        return r;
}

/* What a machine's monitor becomes. */
static int finish(struct call *call, void *target, struct error *err)
{
        struct host *host;
        int exit_code = 0;
        (void)target;
        int r = call_host(call, &host, err);
        if (!r)
                r = vm_finish_ended(host, call->operands[0], &exit_code, err);
        return r < 0 ? r : exit_code;
}

#define WHAT_STARTS                                                                                                    \
        "A kernel is started directly, disks and CDs by firmware. Its card is on the same\n"                           \
        "networks as containers: it has a leased address, a name there, and published\n"                               \
        "ports. A Linux that is started by --kernel is told its address on its command\n"                              \
        "line; any other system must be given it by hand, as `onggi vm inspect` shows it.\n\n"

const struct command command_vm_create = {
        .summary = "Create a virtual machine for any operating system",
        .usage = "",
        .description = WHAT_STARTS "Prints its id. Images are run by `onggi run --isolation vm`.",
        .options = create_tables,
        .options_size = sizeof(struct create_options),
        .run = create,
};

const struct command command_vm_run = {
        .summary = "Create and start a virtual machine, and show its console",
        .usage = "",
        .description = WHAT_STARTS "^] leaves the console, and the machine runs on.\n\n"
                                   "    onggi vm run --rm --memory 1g --disk debian.qcow2\n"
                                   "    onggi vm run --kernel vmlinuz --initrd initrd.img --append console=ttyS0",
        .failure_status = STATUS_RUN_FAILED,
        .options = run_tables,
        .options_size = sizeof(struct create_options),
        .run = run,
};

const struct command command_vm_start = {
        .summary = "Start virtual machines",
        .usage = "MACHINE [MACHINE...]",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_MACHINE,
        .options = start_tables,
        .options_size = sizeof(struct start_options),
        .run = start,
};

const struct command command_vm_restore = {
        .summary = "Start a virtual machine from one of its snapshots",
        .usage = "MACHINE SNAPSHOT",
        .description =
                "It goes on where it was saved, with the same addresses. Its disks must hold what they held then.",
        .min = 2,
        .max = 2,
        .operands = OPERAND_MACHINE,
        .run = restore,
};

const struct command command_vm_finish = {
        .usage = "ID",
        .min = 1,
        .max = 1,
        .raw = true,
        .run = finish,
};
