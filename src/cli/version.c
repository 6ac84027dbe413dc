/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stddef.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "base/json.h"
#include "cli/output.h"
#include "cli/verbs.h"

struct version_options {
        const char *format;
};

static const struct option_spec version_option_table[] = {
        { "format", 'f', OPTION_STRING, offsetof(struct version_options, format), "FORMAT",
          "json, or a template such as {{.Version}}" },
        { 0 },
};
static const struct option_spec *const version_tables[] = { version_option_table, NULL };

static int version(struct call *call, void *target, struct error *err)
{
        (void)call;
        const struct version_options *options = target;
        if (!options->format) {
                puts("onggi " ONGGI_VERSION);
                return 0;
        }
        struct utsname system;
        if (uname(&system) < 0)
                return error_errno(err, "cannot ask for the kernel's version");
        _cleanup_json_ json_t *object = json_pack("{s:s, s:s, s:s, s:s}", "Version", ONGGI_VERSION, "Os", "linux",
                                                  "Arch", system.machine, "KernelVersion", system.release);
        return object ? object_print(object, options->format, stdout, err) : error_memory(err);
}

const struct command command_version = {
        .summary = "Show the version of onggi",
        .usage = "",
        .options = version_tables,
        .options_size = sizeof(struct version_options),
        .run = version,
};
