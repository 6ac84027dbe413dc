/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kernel ls, import, rm, default: what virtual machines of images start with. */
#include "kernel/kernel.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/human.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "instance/instance.h"

static const struct option_spec *const list_tables[] = { listing_option_table, NULL };

static const struct column columns[] = {
        { "Release", NULL, SHORTEN_NOT, false },
        { "Default", NULL, SHORTEN_NOT, false },
        { "Size", NULL, SHORTEN_NOT, false },
        { "Source", NULL, SHORTEN_NOT, false },
        { 0 },
};
static const struct listing listing = { "Release", columns };

static int list(struct call *call, void *target, struct error *err)
{
        struct host *host;
        _cleanup_json_ json_t *kernels = NULL;
        int r = call_host(call, &host, err);
        if (!r)
                r = kernel_list(host->root, &kernels, err);
        if (r < 0)
                return r;
        size_t i;
        json_t *kernel;
        json_array_foreach(kernels, i, kernel) {
                char size[HUMAN_ROOM];
                human_size((uint64_t)json_integer_value(json_object_get(kernel, "Size")), size);
                json_object_set_new(kernel, "Size", json_string(size));
        }
        return listing_print(&listing, kernels, target, stdout, err);
}

/* Handed to onggi-kernel, which reads packages; its options, errors and exit status are the command's. */
static int import(struct call *call, void *target, struct error *err)
{
        (void)target;
        struct host *host;
        int r = call_host(call, &host, err);
        if (r < 0)
                return r;
        static const char program_name[] = "onggi-kernel";
        _cleanup_free_ char *program = host_program(host, program_name);
        _cleanup_free_ char *init = host_program(host, "onggi-init");
        if (!program || !init)
                return error_set(err, -ENOENT, "%s was not found beside onggi", program ? "onggi-init" : program_name);
        _cleanup_list_ char **argv = NULL;
        const char *const words[] = { program_name, "--root", host->root, "--init", init, "--runtime", host->runtime };
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (list_append(&argv, words[i]) < 0)
                        return error_memory(err);
        for (char **word = call->operands; *word; word++)
                if (list_append(&argv, *word) < 0)
                        return error_memory(err);
        execv(program, argv);
        return error_errno(err, "cannot execute %s", program);
}

static int remove_one(struct call *call, const char *name, void *context, struct error *err)
{
        struct host *host;
        (void)context;
        int r = call_host(call, &host, err);
        if (!r)
                r = kernel_remove(host->root, name, err);
        if (!r)
                puts(name);
        return r;
}

static int remove_all(struct call *call, void *target, struct error *err)
{
        (void)err;
        return call_each(call, remove_one, target);
}

static int set_default(struct call *call, void *target, struct error *err)
{
        struct host *host;
        (void)target;
        int r = call_host(call, &host, err);
        if (!r)
                r = kernel_set_default(host->root, call->operands[0], err);
        if (!r)
                puts(call->operands[0]);
        return r;
}

const struct command command_kernel_list = {
        .summary = "List the kernels of virtual machines",
        .usage = "",
        .options = list_tables,
        .options_size = sizeof(struct listing_options),
        .run = list,
};

const struct command command_kernel_import = {
        .summary = "Take a kernel from /boot, a file or a package",
        .usage = "[OPTIONS] [KERNEL|PACKAGE.deb]",
        .description = "Without an operand it is the newest in /boot, those of Debian's cloud flavour first.\n"
                       "The kernel is unpacked and put beside an initramfs with what a guest needs. Prints\n"
                       "its release. The first one is the default.\n"
                       "    onggi kernel import\n"
                       "    onggi kernel import linux-image-6.1.0-18-cloud-amd64_6.1.76-1_amd64.deb",
        .max = OPERANDS_MAX,
        .raw = true,
        .run = import,
};

const struct command command_kernel_remove = {
        .summary = "Remove kernels",
        .usage = "RELEASE [RELEASE...]",
        .description = "Machines that run are not touched.",
        .min = 1,
        .max = OPERANDS_MAX,
        .run = remove_all,
};

const struct command command_kernel_default = {
        .summary = "Choose the kernel that virtual machines start with",
        .usage = "RELEASE",
        .min = 1,
        .max = 1,
        .run = set_default,
};
