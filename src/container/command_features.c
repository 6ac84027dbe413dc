/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "container/capability.h"
#include "container/cgroup.h"
#include "container/command.h"
#include "container/config.h"

/* features.md and features-linux.md: what the binary knows, whatever this host has. */

static json_t *hook_names(void)
{
        json_t *list = json_array();
        for (int point = 0; point < HOOK_POINTS; point++)
                json_array_append_new(list, json_string(hook_point_name((enum hook_point)point)));
        return list;
}

static json_t *mount_options(void)
{
        json_t *list = json_array();
        for (const char *const *option = rootfs_mount_options(); *option; option++)
                json_array_append_new(list, json_string(*option));
        return list;
}

static json_t *namespace_types(void)
{
        json_t *list = json_array();
        for (int i = 0; i < NAMESPACE_KINDS; i++)
                json_array_append_new(list, json_string(namespace_kinds[i].type));
        return list;
}

static json_t *platform(void)
{
        return json_pack("{s:o, s:o, s:o, s:o, s:{s:b}, s:{s:b}, s:o, s:{s:b, s:b, s:b}, s:{s:{s:b}}, s:{s:b}}",
                         "namespaces", namespace_types(), "capabilities", capabilities_features(), "cgroup",
                         cgroup_features(), "seccomp", seccomp_features(), "apparmor", "enabled", 1, "selinux",
                         "enabled", 1, "memoryPolicy", scheduling_features(), "intelRdt", "enabled", 1, "schemata", 1,
                         "monitoring", 1, "mountExtensions", "idmap", "enabled", 1, "netDevices", "enabled", 1);
}

static int run(const struct global_options *global, const struct command *command, int argc, char **argv,
               struct error *err)
{
        (void)global;
        char **operands;
        int r = command_parse(command, argc, argv, NULL, &operands, err);
        if (r)
                return r < 0 ? r : 0;
        _cleanup_json_ json_t *features =
                json_pack("{s:s, s:s, s:o, s:o, s:o, s:{s:s}, s:[]}", "ociVersionMin", "1.0.0", "ociVersionMax",
                          OCI_VERSION, "hooks", hook_names(), "mountOptions", mount_options(), "linux", platform(),
                          "annotations", "io.onggi.runtime.version", ONGGI_VERSION,
                          "potentiallyUnsafeConfigAnnotations");
        _cleanup_free_ char *text = features ? json_dumps(features, JSON_INDENT(2)) : NULL;
        if (!text)
                return error_memory(err);
        puts(text);
        return 0;
}

const struct command command_features = {
        .name = "features",
        .operands = "",
        .help = "print what this runtime can do, as JSON",
        .fewest = 0,
        .most = 0,
        .run = run,
};
