/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/config.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>

#include "base/file.h"
#include "base/text.h"

/* The kernel's limit, which glibc's HOST_NAME_MAX repeats: __NEW_UTS_LEN. */
#define UTS_NAME_MAX 64

static int check_version(const struct json_at *root)
{
        const char *version = NULL;
        if (!json_need_string(root, "ociVersion", &version))
                return json_failed(root);
        struct json_at at = json_get(root, "ociVersion");
        char *end;
        unsigned long major = isdigit((unsigned char)*version) ? strtoul(version, &end, 10) : ULONG_MAX;
        if (major == ULONG_MAX || *end != '.' || !isdigit((unsigned char)end[1]))
                return json_misfit(&at, "is \"%s\", which is not a version as 1.2.0", version);
        /* Minor versions only add: what an older reader would ignore is refused or ignored field by field. */
        if (major != 1)
                return json_misfit(&at, "is %s; this runtime reads 1.0.0 to " OCI_VERSION, version);
        return 0;
}

static int parse_annotations(const struct json_at *root, struct config *config)
{
        struct json_at at = json_get_object(root, "annotations");
        config->annotations = at.value;
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)at.value, key, value) {
                struct json_at member = json_get(&at, key);
                if (!*key)
                        return json_misfit(&at, "has an empty key");
                if (!json_string_at(&member))
                        break;
        }
        return json_failed(root);
}

static int parse_uts_name(const struct json_at *root, const char *key, const struct namespaces *namespaces,
                          const char **name)
{
        if (!json_get_string(root, key, name) || !**name)
                return json_failed(root);
        struct json_at at = json_get(root, key);
        if (strlen(*name) > UTS_NAME_MAX)
                return json_misfit(&at, "is longer than the %d bytes that the kernel keeps", UTS_NAME_MAX);
        if (!namespaces_separate(namespaces, CLONE_NEWUTS))
                return json_misfit(&at, "needs a uts namespace in linux.namespaces: it would change the host");
        return 0;
}

static int parse_mappings(const struct json_at *platform, struct config *config)
{
        struct json_at uids = json_get_array(platform, "uidMappings"), gids = json_get_array(platform, "gidMappings");
        id_map_parse(&uids, &config->uids);
        id_map_parse(&gids, &config->gids);
        if (json_failed(platform))
                return json_failed(platform);
        if ((config->uids.count || config->gids.count) && !namespaces_have(&config->namespaces, CLONE_NEWUSER))
                return json_misfit(config->uids.count ? &uids : &gids, "needs a user namespace in linux.namespaces");
        if (!(config->namespaces.create & CLONE_NEWUSER))
                return 0;
        if (!config->uids.count)
                return json_misfit(&uids, "is required with a new user namespace");
        if (!config->gids.count)
                return json_misfit(&gids, "is required with a new user namespace");
        return 0;
}

static void parse_time_offset(const struct json_at *offsets, const char *clock, struct time_offset *offset)
{
        struct json_at at = json_get_object(offsets, clock);
        if (!at.value)
                return;
        int64_t nanoseconds = 0;
        json_get_i64(&at, "secs", INT64_MIN, INT64_MAX, &offset->seconds);
        json_get_i64(&at, "nanosecs", 0, 999999999, &nanoseconds);
        offset->nanoseconds = (uint32_t)nanoseconds;
        offset->present = true;
}

static int parse_time_offsets(const struct json_at *platform, struct config *config)
{
        struct json_at at = json_get_object(platform, "timeOffsets");
        if (!at.value)
                return json_failed(platform);
        parse_time_offset(&at, "monotonic", &config->monotonic);
        parse_time_offset(&at, "boottime", &config->boottime);
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)at.value, key, value)
                if (strcmp(key, "monotonic") && strcmp(key, "boottime"))
                        return json_misfit(&at, "names the unknown clock \"%s\"", key);
        if ((config->monotonic.present || config->boottime.present) && !(config->namespaces.create & CLONE_NEWTIME))
                return json_misfit(&at, "needs a new time namespace in linux.namespaces");
        return json_failed(platform);
}

static int parse_personality(const struct json_at *platform, struct config *config)
{
        struct json_at at = json_get_object(platform, "personality");
        if (!at.value)
                return json_failed(platform);
        const char *domain = NULL;
        if (!json_need_string(&at, "domain", &domain))
                return json_failed(platform);
        struct json_at flags = json_get_array(&at, "flags");
        if (json_count(&flags))
                return json_misfit(&flags, "must be empty: no flag is defined");
        struct json_at named = json_get(&at, "domain");
        if (!strcmp(domain, "LINUX"))
                config->personality = PER_LINUX;
        else if (!strcmp(domain, "LINUX32"))
                config->personality = PER_LINUX32;
        else
                return json_misfit(&named, "is \"%s\"; it must be LINUX or LINUX32", domain);
        config->has_personality = true;
        return json_failed(platform);
}

static int parse_platform(const struct json_at *root, struct config *config)
{
        struct json_at at = json_get_object(root, "linux");
        struct json_at namespaces = json_get_array(&at, "namespaces");
        if (namespaces_parse(&namespaces, &config->namespaces) < 0)
                return json_failed(root);
        if (!namespaces_have(&config->namespaces, CLONE_NEWNS))
                return json_misfit(&namespaces, "must have one of type mount: the host's mounts would change");
        if (parse_mappings(&at, config) < 0 || parse_time_offsets(&at, config) < 0 ||
            parse_personality(&at, config) < 0 || scheduling_parse_memory_policy(&at, &config->memory) < 0 ||
            intel_rdt_parse(&at, &config->rdt) < 0 || network_devices_parse(&at, &config->devices) < 0)
                return json_failed(root);
        if (config->devices.count && !namespaces_separate(&config->namespaces, CLONE_NEWNET))
                return json_misfit(&at, "has netDevices, which need a network namespace of the container's own");
        struct json_at sysctl = json_get_object(&at, "sysctl");
        if (sysctls_parse(&sysctl, &config->namespaces, &config->sysctls) < 0)
                return json_failed(root);
        json_get_string(&at, "cgroupsPath", &config->cgroups_path);
        if (config->cgroups_path && !*config->cgroups_path)
                config->cgroups_path = NULL;
        return json_failed(root);
}

/* What one part says of another: the program's numbers must exist in the container's user namespace. */
static int check_numbers(const struct json_at *root, const struct config *config)
{
        if (!(config->namespaces.create & CLONE_NEWUSER) || !config->has_program)
                return 0;
        struct json_at process = json_get_object(root, "process"), user = json_get_object(&process, "user");
        if (!id_map_holds(&config->uids, config->program.uid))
                return json_misfit(&user, "has the uid %u, which linux.uidMappings does not map", config->program.uid);
        if (!id_map_holds(&config->gids, config->program.gid))
                return json_misfit(&user, "has the gid %u, which linux.gidMappings does not map", config->program.gid);
        for (size_t i = 0; i < config->program.group_count; i++)
                if (!id_map_holds(&config->gids, config->program.groups[i]))
                        return json_misfit(&user, "has the additional gid %u, which linux.gidMappings does not map",
                                           config->program.groups[i]);
        return 0;
}

static bool mounts_cgroup(const struct json_at *root)
{
        struct json_at mounts = json_get_array(root, "mounts");
        for (size_t i = 0; i < json_count(&mounts); i++) {
                const char *type = json_string_value(json_object_get(json_array_get(mounts.value, i), "type"));
                if (type && (!strcmp(type, "cgroup") || !strcmp(type, "cgroup2")))
                        return true;
        }
        return false;
}

static int parse_all(const struct json_at *root, const char *bundle, struct config *config, struct error *err)
{
        struct json_at top = json_get_object(root, "root");
        json_get_string(&top, "path", &config->root);
        if (parse_annotations(root, config) < 0 || parse_platform(root, config) < 0 ||
            parse_uts_name(root, "hostname", &config->namespaces, &config->hostname) < 0 ||
            parse_uts_name(root, "domainname", &config->namespaces, &config->domainname) < 0 ||
            check_numbers(root, config) < 0)
                return json_failed(root);

        config->mounts_cgroup = mounts_cgroup(root);
        struct json_at platform = json_get_object(root, "linux"), resources = json_get_object(&platform, "resources");
        if (json_failed(root))
                return json_failed(root);
        int r = resources_parse(&resources, &config->resources, err);
        return r < 0 ? r : rootfs_parse(root, bundle, &config->rootfs, err);
}

static int parse(struct config *config, const char *bundle, enum config_parts parts, struct error *err)
{
        int r = json_parse(config->text, config->length, "config.json", &config->document, err);
        if (r < 0)
                return r;
        struct json_reader reader = { .document = "config.json", .err = err };
        struct json_at root = json_root(&reader, config->document);
        if (json_failed(&root) || check_version(&root) < 0)
                return json_failed(&root);

        if (parts & CONFIG_PROGRAM) {
                struct json_at process = json_get_object(&root, "process");
                config->has_program = process.value;
                r = process.value ? program_parse(&process, &config->program, err) : json_failed(&root);
                if (r < 0)
                        return r;
        }
        if (parts & CONFIG_HOOKS) {
                struct json_at hooks = json_get_object(&root, "hooks");
                if (hooks_parse(&hooks, &config->hooks) < 0)
                        return json_failed(&root);
        }
        return (parts & CONFIG_ALL) == CONFIG_ALL ? parse_all(&root, bundle, config, err) : 0;
}

static int parse_owned(char *text, size_t length, const char *bundle, enum config_parts parts, struct config **config,
                       struct error *err)
{
        _cleanup_(config) struct config *made = calloc(1, sizeof(*made));
        if (!made) {
                free(text);
                return error_memory(err);
        }
        namespaces_init(&made->namespaces);
        made->text = text;
        made->length = length;
        int r = parse(made, bundle, parts, err);
        if (r < 0)
                return r;
        *config = TAKE_PTR(made);
        return 0;
}

int config_parse(const char *text, size_t length, const char *bundle, enum config_parts parts, struct config **config,
                 struct error *err)
{
        char *copy = malloc(length + 1);
        if (!copy)
                return error_memory(err);
        memcpy(copy, text, length);
        copy[length] = 0;
        return parse_owned(copy, length, bundle, parts, config, err);
}

int config_read(int dir, const char *bundle, enum config_parts parts, struct config **config, struct error *err)
{
        char *text;
        size_t length;
        int r = file_read(dir, "config.json", JSON_BYTES_MAX, &text, &length, err);
        if (r < 0)
                return error_prefix(err, "%s is not a bundle", bundle);
        return parse_owned(text, length, bundle, parts, config, err);
}

void config_free(struct config *config)
{
        if (!config)
                return;
        program_free(&config->program);
        namespaces_close(&config->namespaces);
        id_map_free(&config->uids);
        id_map_free(&config->gids);
        sysctls_free(&config->sysctls);
        hooks_free(&config->hooks);
        network_devices_free(&config->devices);
        intel_rdt_free(&config->rdt);
        if (config->rootfs)
                rootfs_free(config->rootfs);
        if (config->resources)
                resources_free(config->resources);
        json_decref(config->document);
        free(config->text);
        free(config);
}

int config_seccomp(const struct config *config, const char *cache, struct seccomp **seccomp, struct error *err)
{
        struct json_reader reader = { .document = "config.json", .err = err };
        struct json_at root = json_root(&reader, config->document);
        struct json_at platform = json_get_object(&root, "linux"), at = json_get_object(&platform, "seccomp");
        if (json_failed(&root))
                return json_failed(&root);
        return seccomp_prepare(&at, cache, seccomp, err);
}
