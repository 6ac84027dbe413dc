/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/rootfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "container/id_map.h"
#include "container/masked_path.h"
#include "container/root_path.h"
#include "container/rootfs_private.h"

DEFINE_CLEANUP(rootfs, struct rootfs, rootfs_free)

static char *absolute(const char *folder, const char *path)
{
        return *path == '/' ? strdup(path) : text_format("%s/%s", folder, path);
}

static int parse_root(const struct json_at *config, const char *bundle, struct rootfs *rootfs, struct error *err)
{
        struct json_at root = json_get_object(config, "root");
        const char *path = NULL;
        if (!root.value && !json_failed(config))
                return json_misfit(&root, "is required");
        if (!json_need_string(&root, "path", &path))
                return json_failed(&root);
        json_get_bool(&root, "readonly", &rootfs->read_only);
        if (!*path)
                return json_misfit(&root, "has an empty path");
        rootfs->path = absolute(bundle, path);
        return rootfs->path ? json_failed(&root) : error_memory(err);
}

static int parse_id_maps(const struct json_at *object, struct id_map *uids, struct id_map *gids)
{
        struct json_at uids_at = json_get_array(object, "uidMappings"), gids_at = json_get_array(object, "gidMappings");
        int r = id_map_parse(&uids_at, uids);
        if (!r)
                r = id_map_parse(&gids_at, gids);
        if (!r && !uids->count != !gids->count)
                r = json_misfit(object, "has only one of uidMappings and gidMappings; they go together");
        return r;
}

/*
 * SELinux gives the files of a new file system one label by its option context=; those below keep labels of their
 * own.
 */
static int add_label(struct rootfs_mount *mount, const char *label, struct error *err)
{
        static const char *const without[] = { "proc", "sysfs", "mqueue", "cgroup", "cgroup2" };
        if (!label || !*label || mount->options.bind || mount->options.remount ||
            access("/sys/fs/selinux/enforce", F_OK) < 0)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(without); i++) {
                if (!strcmp(mount->type, without[i]))
                        return 0;
        }
        for (char **word = mount->options.words; word && *word; word++) {
                if (text_starts(*word, "context="))
                        return 0;
        }
        return list_printf(&mount->options.words, "context=%s", label) < 0 ? error_memory(err) : 0;
}

static int check_mount(const struct json_at *at, const struct rootfs_mount *mount)
{
        const struct mount_options *options = &mount->options;
        bool maps_ids = options->id_map || mount->uids.count;
        if (options->bind && !options->remount && !*mount->source)
                return json_misfit(at, "is a bind mount and must have a source");
        if (!options->bind && !options->remount && !*mount->type)
                return json_misfit(at, "must have a type, or \"bind\" among its options");
        if (maps_ids && !options->bind)
                return json_misfit(at, "maps the owners of files, which only a bind mount can");
        if (options->copy_up && strcmp(mount->type, "tmpfs") != 0)
                return json_misfit(at, "has the option tmpcopyup, which only a tmpfs can have");
        return 0;
}

static int parse_mount(const struct json_at *at, const char *bundle, const char *label, struct rootfs_mount *mount,
                       struct error *err)
{
        const char *target = NULL, *type = "", *source = "";
        _cleanup_list_ char **options = NULL;
        json_need_string(at, "destination", &target);
        json_get_string(at, "type", &type);
        json_get_string(at, "source", &source);
        json_get_strings(at, "options", &options);
        if (!json_failed(at) && !*target)
                json_misfit(at, "has an empty destination");
        if (json_failed(at))
                return json_failed(at);

        for (char **word = options; word && *word; word++) {
                int r = mount_options_add(&mount->options, *word, err);
                if (r < 0)
                        return r;
        }
        /* Engines write the type "bind" in place of the option, too. */
        if (!strcmp(type, "bind") || !strcmp(type, "rbind")) {
                mount->options.bind = true;
                mount->options.bind_tree |= *type == 'r';
        }
        mount->target = root_path_clean(target);
        mount->type = strdup(mount->options.bind ? "" : type);
        mount->source = mount->options.bind ? absolute(bundle, source) : strdup(*source ? source : type);
        if (mount->options.bind && !*source && mount->source)
                *mount->source = 0;
        if (!mount->target || !mount->type || !mount->source)
                return error_memory(err);
        int r = parse_id_maps(at, &mount->uids, &mount->gids);
        if (!r)
                r = check_mount(at, mount);
        return r < 0 ? r : add_label(mount, label, err);
}

static int parse_mounts(const struct json_at *config, const char *bundle, const char *label, struct rootfs *rootfs,
                        struct error *err)
{
        struct json_at mounts = json_get_array(config, "mounts");
        size_t count = json_count(&mounts);
        rootfs->mounts = calloc(count ? count : 1, sizeof(*rootfs->mounts));
        if (!rootfs->mounts)
                return error_memory(err);
        for (size_t i = 0; i < count; i++)
                rootfs->mounts[i].fd = -1;
        rootfs->mount_count = count;
        for (size_t i = 0; i < count; i++) {
                struct json_at at = json_element(&mounts, i);
                int r = parse_mount(&at, bundle, label, &rootfs->mounts[i], err);
                if (r < 0)
                        return r;
                struct rootfs_mount *mount = &rootfs->mounts[i];
                if (mount->options.id_map && !mount->uids.count && !rootfs->uids.count)
                        return json_misfit(&at, "has the option idmap, but neither the mount nor the container has "
                                                "uidMappings and gidMappings");
        }
        return json_failed(&mounts);
}

static int parse_paths(const struct json_at *linux_at, const char *key, char ***paths)
{
        struct json_at array = json_get_array(linux_at, key);
        for (size_t i = 0; i < json_count(&array); i++) {
                struct json_at at = json_element(&array, i);
                const char *path = json_string_at(&at);
                if (path && *path != '/')
                        json_misfit(&at, "is \"%s\"; it must be absolute", path);
        }
        json_get_strings(linux_at, key, paths);
        return json_failed(linux_at);
}

static int parse_namespaces(const struct json_at *linux_at, struct rootfs *rootfs)
{
        struct json_at array = json_get_array(linux_at, "namespaces");
        for (size_t i = 0; i < json_count(&array); i++) {
                struct json_at at = json_element(&array, i);
                const char *type = "";
                json_get_string(&at, "type", &type);
                rootfs->own_mounts |= !strcmp(type, "mount");
                rootfs->own_users |= !strcmp(type, "user");
        }
        return json_failed(linux_at);
}

static int parse_linux(const struct json_at *linux_at, struct rootfs *rootfs, struct error *err)
{
        const char *propagation = NULL;
        if (json_get_string(linux_at, "rootfsPropagation", &propagation) && *propagation) {
                rootfs->propagation = mount_propagation(propagation);
                if (!rootfs->propagation) {
                        struct json_at at = json_get(linux_at, "rootfsPropagation");
                        return json_misfit(&at, "is \"%s\"; it must be shared, slave, private or unbindable",
                                           propagation);
                }
        }
        int r = parse_namespaces(linux_at, rootfs);
        if (!r)
                r = parse_id_maps(linux_at, &rootfs->uids, &rootfs->gids);
        if (!r)
                r = parse_paths(linux_at, "maskedPaths", &rootfs->masked);
        if (!r)
                r = parse_paths(linux_at, "readonlyPaths", &rootfs->readonly);
        if (r < 0)
                return r;
        struct json_at devices = json_get_array(linux_at, "devices");
        if (json_failed(&devices))
                return json_failed(&devices);
        return device_nodes_parse(&devices, &rootfs->devices, &rootfs->device_count, err);
}

/* Without a mount namespace of its own everything below would be done to the host. */
static int check_host_mounts(const struct json_at *config, const struct rootfs *rootfs)
{
        if (rootfs->own_mounts)
                return 0;
        if (rootfs->mount_count || rootfs->masked || rootfs->readonly || rootfs->read_only)
                return json_misfit(config,
                                   "asks for mounts, masked or read-only paths or a read-only root; they need a "
                                   "\"mount\" among linux.namespaces");
        return 0;
}

int rootfs_parse(const struct json_at *config, const char *bundle, struct rootfs **result, struct error *err)
{
        _cleanup_(rootfs) struct rootfs *rootfs = calloc(1, sizeof(*rootfs));
        if (!rootfs)
                return error_memory(err);
        rootfs->source = rootfs->root = -1;
        struct json_at linux_at = json_get_object(config, "linux");
        const char *label = NULL;
        int r = parse_root(config, bundle, rootfs, err);
        if (!r)
                r = parse_linux(&linux_at, rootfs, err);
        json_get_string(&linux_at, "mountLabel", &label);
        if (!r)
                r = parse_mounts(config, bundle, label, rootfs, err);
        if (!r)
                r = check_host_mounts(config, rootfs);
        if (!r)
                r = json_failed(config);
        if (r < 0)
                return r;
        *result = TAKE_PTR(rootfs);
        return 0;
}

static void free_mount(struct rootfs_mount *mount)
{
        free(mount->target);
        free(mount->type);
        free(mount->source);
        id_map_free(&mount->uids);
        id_map_free(&mount->gids);
        mount_options_free(&mount->options);
        if (mount->fd >= 0)
                close(mount->fd);
}

void rootfs_free(struct rootfs *rootfs)
{
        if (!rootfs)
                return;
        for (size_t i = 0; i < rootfs->mount_count; i++)
                free_mount(&rootfs->mounts[i]);
        free(rootfs->mounts);
        device_nodes_free(rootfs->devices, rootfs->device_count);
        list_free(rootfs->masked);
        list_free(rootfs->readonly);
        id_map_free(&rootfs->uids);
        id_map_free(&rootfs->gids);
        free(rootfs->path);
        if (rootfs->source >= 0)
                close(rootfs->source);
        if (rootfs->root >= 0)
                close(rootfs->root);
        free(rootfs);
}
