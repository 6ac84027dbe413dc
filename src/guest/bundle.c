/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest/bundle.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

/* Members that say something of the host. */
static const char *const of_the_host[] = { "hooks", NULL };
static const char *const of_the_host_linux[] = { "cgroupsPath",       "uidMappings", "gidMappings", "timeOffsets",
                                                 "intelRdt",          "mountLabel",  "netDevices",  "namespaces",
                                                 "rootfsPropagation", NULL };
static const char *const of_the_host_process[] = { "apparmorProfile", "selinuxLabel",    "scheduler",
                                                   "ioPriority",      "execCPUAffinity", NULL };
static const char *const of_the_host_mount[] = { "uidMappings", "gidMappings", NULL };
static const char *const of_the_program_resources[] = { "pids", "devices", NULL };

/* A whole set of its own; the network is the machine's, and so are users and time. */
static const char *const namespaces[] = { "pid", "mount", "ipc", "uts", "cgroup" };

static void drop(json_t *object, const char *const *members)
{
        for (; *members; members++)
                json_object_del(object, *members);
}

static void keep_only(json_t *object, const char *const *members)
{
        const char *key;
        void *next;
        json_t *value;
        json_object_foreach_safe(object, next, key, value)
                if (!list_contains((char *const *)members, key))
                        json_object_del(object, key);
}

/* The object member `key`, made where missing; NULL where it is something else or memory is short. */
static json_t *object_of(json_t *parent, const char *key)
{
        json_t *object = json_object_get(parent, key);
        if (!object && !json_object_set_new(parent, key, json_object()))
                object = json_object_get(parent, key);
        return json_is_object(object) ? object : NULL;
}

static int set_namespaces(json_t *linux_object)
{
        json_t *list = json_array();
        int failed = !list;
        for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
                failed |= json_array_append_new(list, json_pack("{s:s}", "type", namespaces[i])) < 0;
        failed |= json_object_set_new(linux_object, "namespaces", list) < 0;
        return failed ? -ENOMEM : 0;
}

static int move_sysctls(json_t *linux_object, json_t *sysctls)
{
        json_t *all = json_object_get(linux_object, "sysctl"), *value;
        const char *name;
        void *next;
        json_object_foreach_safe(all, next, name, value) {
                if (!text_starts(name, "net.") && !text_starts(name, "net/"))
                        continue;
                if (json_object_set(sysctls, name, value) < 0)
                        return -ENOMEM;
                json_object_del(all, name);
        }
        return 0;
}

int bundle_adapt(json_t *config, const char *root, json_t **result, struct error *err)
{
        if (!json_is_object(config))
                return error_set(err, -EINVAL, "config.json must be an object");
        json_t *root_object = object_of(config, "root"), *linux_object = object_of(config, "linux"), *mount;
        json_t *process = json_object_get(config, "process"), *mounts = json_object_get(config, "mounts");
        _cleanup_json_ json_t *sysctls = json_object();
        size_t i;
        if (!root_object || !linux_object || !sysctls)
                return error_set(err, -EINVAL, "config.json: root and linux must be objects");

        drop(config, of_the_host);
        drop(linux_object, of_the_host_linux);
        drop(process, of_the_host_process);
        json_array_foreach(mounts, i, mount)
                drop(mount, of_the_host_mount);
        keep_only(json_object_get(linux_object, "resources"), of_the_program_resources);
        int r = set_namespaces(linux_object);
        if (!r)
                r = move_sysctls(linux_object, sysctls);
        if (!r)
                r = json_object_set_new(root_object, "path", json_string(root)) ? -ENOMEM : 0;
        if (r < 0)
                return error_memory(err);
        *result = TAKE_PTR(sysctls);
        return 0;
}
