/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "instance/environment.h"

#define SPEC_VERSION "1.2.0"

/* Docker's lists: what tells about or acts on the host. */
static const char *const masked_paths[] = {
        "/proc/asound",
        "/proc/acpi",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/sys/firmware",
        "/sys/devices/virtual/powercap",
        NULL,
};
static const char *const readonly_paths[] = { "/proc/bus",           "/proc/fs", "/proc/irq", "/proc/sys",
                                              "/proc/sysrq-trigger", NULL };

json_t *spec_strings(const char *const *list)
{
        json_t *array = json_array();
        for (; array && list && *list; list++)
                if (json_array_append_new(array, json_string(*list)) < 0) {
                        json_decref(array);
                        return NULL;
                }
        return array;
}

char **spec_arguments(const struct instance_settings *settings)
{
        size_t entry = list_length(settings->entrypoint), command = list_length(settings->command);
        /* --entrypoint "" takes the image's away. */
        if (entry == 1 && !settings->entrypoint[0][0])
                entry = 0;
        char **arguments = calloc(entry + command + 1, sizeof(char *));
        for (size_t i = 0; arguments && i < entry; i++)
                arguments[i] = settings->entrypoint[i];
        for (size_t i = 0; arguments && i < command; i++)
                arguments[entry + i] = settings->command[i];
        return arguments;
}

static int add_default(char ***environment, char *const *given, const char *name, const char *value)
{
        return environment_get(given, name) ? 0 : list_printf(environment, "%s=%s", name, value);
}

static json_t *environment_of(const struct spec_input *input)
{
        char *const *given = input->settings->environment;
        _cleanup_list_ char **all = NULL;
        if (add_default(&all, given, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") < 0 ||
            add_default(&all, given, "HOSTNAME", input->hostname) < 0 ||
            (input->settings->tty && add_default(&all, given, "TERM", "xterm") < 0))
                return NULL;
        for (; given && *given; given++)
                if (list_append(&all, *given) < 0)
                        return NULL;
        if (add_default(&all, input->settings->environment, "HOME", input->identity->home) < 0)
                return NULL;
        return spec_strings((const char *const *)all);
}

static int add_limits(json_t *process, char *const *texts, struct error *err)
{
        if (!texts)
                return 0;
        json_t *limits = json_array();
        json_object_set_new(process, "rlimits", limits);
        for (; *texts; texts++) {
                struct ulimit limit;
                int r = ulimit_parse(*texts, &limit, err);
                if (r < 0)
                        return r;
                /* UINT64_MAX, unlimited, is -1 here: jansson's integers are signed, and the runtime reads both. */
                json_t *entry = json_pack("{s:s, s:I, s:I}", "type", limit.type, "soft", (json_int_t)limit.soft, "hard",
                                          (json_int_t)limit.hard);
                if (json_array_append_new(limits, entry) < 0)
                        return error_memory(err);
        }
        return 0;
}

static json_t *user_of(const struct identity *identity)
{
        json_t *groups = json_array();
        for (size_t i = 0; groups && i < identity->count; i++)
                json_array_append_new(groups, json_integer(identity->groups[i]));
        return json_pack("{s:I, s:I, s:o}", "uid", (json_int_t)identity->uid, "gid", (json_int_t)identity->gid,
                         "additionalGids", groups);
}

int spec_process(const struct spec_input *input, char *const *arguments, json_t **process, struct error *err)
{
        const struct instance_settings *settings = input->settings;
        struct security_settings security;
        int r = security_settings_parse(settings->security_options, &security, err);
        if (r < 0)
                return r;
        json_t *capabilities;
        r = spec_capabilities(settings, &capabilities, err);
        if (r < 0)
                return r;
        _cleanup_json_ json_t *object =
                json_pack("{s:b, s:o, s:o, s:o, s:s, s:o, s:b}", "terminal", settings->tty, "user",
                          user_of(input->identity), "args", spec_strings((const char *const *)arguments), "env",
                          environment_of(input), "cwd", settings->workdir ? settings->workdir : "/", "capabilities",
                          capabilities, "noNewPrivileges", security.no_new_privileges);
        if (!object)
                return error_memory(err);
        if (settings->oom_score_adj)
                json_object_set_new(object, "oomScoreAdj", json_integer(settings->oom_score_adj));
        if (security.apparmor[0] && !text_equal(security.apparmor, "unconfined"))
                json_object_set_new(object, "apparmorProfile", json_string(security.apparmor));
        if (security.label[0])
                json_object_set_new(object, "selinuxLabel", json_string(security.label));
        r = add_limits(object, settings->ulimits, err);
        if (!r)
                *process = TAKE_PTR(object);
        return r;
}

static void add_namespace(json_t *namespaces, const char *type, const char *path)
{
        json_array_append_new(namespaces, json_pack("{s:s, s:s*}", "type", type, "path", path && *path ? path : NULL));
}

static void add_shared(json_t *namespaces, const char *type, const char *mode, pid_t other)
{
        char path[48];
        if (text_equal(mode, "host"))
                return;
        snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)other, type);
        add_namespace(namespaces, type, other ? path : NULL);
}

static json_t *namespaces_of(const struct spec_input *input)
{
        const struct instance_settings *settings = input->settings;
        json_t *list = json_array();
        add_shared(list, "pid", settings->pid_mode, input->pid_of);
        add_shared(list, "ipc", settings->ipc_mode, input->ipc_of);
        add_shared(list, "uts", settings->uts_mode, 0);
        add_shared(list, "cgroup", settings->cgroupns, 0);
        add_namespace(list, "mount", NULL);
        if (input->network_namespace)
                add_namespace(list, "network", input->network_namespace);
        if (input->id_count)
                add_namespace(list, "user", input->user_namespace);
        return list;
}

static json_t *mappings_of(const struct spec_input *input)
{
        json_t *list = json_array();
        for (size_t i = 0; i < input->id_count; i++)
                json_array_append_new(list,
                                      json_pack("{s:I, s:I, s:I}", "containerID", (json_int_t)input->ids[i].container,
                                                "hostID", (json_int_t)input->ids[i].host, "size",
                                                (json_int_t)input->ids[i].count));
        return list;
}

static int add_sysctls(json_t *linux_object, char *const *texts, bool low_ports, struct error *err)
{
        json_t *object = json_object();
        json_object_set_new(linux_object, "sysctl", object);
        /* As docker: a network namespace of its own has no privileged ports to guard, and may ping. */
        if (low_ports)
                json_object_set_new(object, "net.ipv4.ip_unprivileged_port_start", json_string("0"));
        for (; texts && *texts; texts++) {
                const char *value = strchr(*texts, '=');
                _cleanup_free_ char *name = strndup(*texts, (size_t)(value - *texts));
                if (!name || json_object_set_new(object, name, json_string(value + 1)) < 0)
                        return error_memory(err);
        }
        return 0;
}

static int add_restrictions(const struct spec_input *input, json_t *linux_object, struct error *err)
{
        const struct instance_settings *settings = input->settings;
        struct security_settings security;
        int r = security_settings_parse(settings->security_options, &security, err);
        json_t *seccomp = NULL;
        if (!r)
                r = spec_seccomp(settings, &seccomp, err);
        if (r < 0)
                return r;
        if (seccomp)
                json_object_set_new(linux_object, "seccomp", seccomp);
        if (settings->privileged || security.unmasked)
                return 0;
        json_object_set_new(linux_object, "maskedPaths", spec_strings(masked_paths));
        json_object_set_new(linux_object, "readonlyPaths", spec_strings(readonly_paths));
        return 0;
}

static int build_linux(const struct spec_input *input, json_t **linux_object, struct error *err)
{
        const struct instance_settings *settings = input->settings;
        json_t *resources;
        int r = spec_resources(settings, &resources, err);
        if (r < 0)
                return r;
        _cleanup_free_ char *cgroup =
                text_format("%s/%s", settings->cgroup_parent ? settings->cgroup_parent : "/onggi", input->id);
        _cleanup_json_ json_t *object = json_pack("{s:s*, s:o, s:o}", "cgroupsPath", cgroup, "namespaces",
                                                  namespaces_of(input), "resources", resources);
        json_t *devices = json_array();
        if (!object || json_object_set_new(object, "devices", devices) < 0)
                return error_memory(err);
        r = spec_devices(input, devices, json_object_get(resources, "devices"), err);
        if (!r)
                r = add_sysctls(object, settings->sysctls, input->network_namespace && !input->id_count, err);
        if (!r)
                r = add_restrictions(input, object, err);
        if (r < 0)
                return r;
        if (input->id_count) {
                json_object_set_new(object, "uidMappings", mappings_of(input));
                json_object_set_new(object, "gidMappings", mappings_of(input));
        }
        *linux_object = TAKE_PTR(object);
        return 0;
}

int spec_build(const struct spec_input *input, json_t **spec, struct error *err)
{
        const struct instance_settings *settings = input->settings;
        _cleanup_free_ char **own = spec_arguments(settings);
        _cleanup_list_ char **arguments = NULL;
        if (!own || (input->init && (list_append(&arguments, SPEC_INIT) < 0 || list_append(&arguments, "--") < 0)))
                return error_memory(err);
        for (char **argument = own; *argument; argument++)
                if (list_append(&arguments, *argument) < 0)
                        return error_memory(err);

        json_t *process = NULL, *mounts = NULL, *linux_object = NULL;
        int r = spec_process(input, arguments, &process, err);
        if (!r)
                r = spec_mounts(input, &mounts, err);
        if (!r)
                r = build_linux(input, &linux_object, err);
        if (r < 0) {
                json_decref(process);
                json_decref(mounts);
                return r;
        }
        bool own_uts = !text_equal(settings->uts_mode, "host");
        *spec = json_pack("{s:s, s:o, s:{s:s, s:b}, s:s*, s:s*, s:o, s:o}", "ociVersion", SPEC_VERSION, "process",
                          process, "root", "path", input->root, "readonly", settings->read_only, "hostname",
                          own_uts ? input->hostname : NULL, "domainname", own_uts ? settings->domainname : NULL,
                          "mounts", mounts, "linux", linux_object);
        return *spec ? 0 : error_memory(err);
}
