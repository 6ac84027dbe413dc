/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "container/cgroup_tree.h"

static json_t *save_controllers(const struct cgroup_directory *directory)
{
        json_t *list = json_array();
        for (enum controller i = 0; i < CONTROLLER_COUNT; i++)
                if (directory->controllers & CONTROLLER_BIT(i))
                        json_array_append_new(list, json_string(controller_name(i, directory->version)));
        return list;
}

json_t *cgroup_save(const struct cgroup *cgroup)
{
        json_t *directories = json_array();
        for (size_t i = 0; i < cgroup->count; i++) {
                const struct cgroup_directory *directory = &cgroup->directories[i];
                if (directory->fd < 0)
                        continue;
                json_array_append_new(directories,
                                      json_pack("{s:i, s:s, s:s, s:s*, s:o}", "version", (int)directory->version,
                                                "mount", directory->mount, "path", directory->path, "name",
                                                directory->name, "controllers", save_controllers(directory)));
        }
        return json_pack("{s:o, s:b, s:s*}", "directories", directories, "rootless", cgroup->rootless, "unit",
                         cgroup->unit);
}

static uint32_t load_controllers(const struct json_at *at, unsigned version)
{
        uint32_t bits = 0;
        struct json_at list = json_get_array(at, "controllers");
        for (size_t i = 0; i < json_count(&list); i++) {
                struct json_at element = json_element(&list, i);
                const char *name = json_string_at(&element);
                bits |= name ? controllers_parse(name, ",", version) : 0;
        }
        return bits;
}

/* A path of our own making: it stays below its mount point, and ".." has no place in it. */
static bool well_formed(const char *path, const char *mount)
{
        size_t length = strlen(mount);
        return *mount == '/' && text_starts(path, mount) && path[length] == '/' && path[length + 1] &&
               !strstr(path, "/../") && !text_ends(path, "/..");
}

static void load_directory(const struct json_at *at, struct cgroup *cgroup)
{
        struct cgroup_directory *directory = &cgroup->directories[cgroup->count++];
        *directory = (struct cgroup_directory){ .fd = -1, .join = -1 };
        int64_t version = 0;
        const char *mount = "", *path = "", *name = NULL;
        json_get_i64(at, "version", 1, 2, &version);
        json_need_string(at, "mount", &mount);
        json_need_string(at, "path", &path);
        json_get_string(at, "name", &name);
        if (!version || !well_formed(path, mount))
                json_misfit(at, "is not a control group that this program saved");
        if (json_failed(at))
                return;
        directory->version = (unsigned)version;
        directory->controllers = load_controllers(at, directory->version);
        directory->mount = strdup(mount);
        directory->path = strdup(path);
        directory->name = name ? strdup(name) : NULL;
        if (!directory->mount || !directory->path || (name && !directory->name))
                at->reader->code = error_memory(at->reader->err);
        else
                directory->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

int cgroup_load(const json_t *saved, struct cgroup **cgroup, struct error *err)
{
        struct cgroup *loaded = calloc(1, sizeof(*loaded));
        if (!loaded)
                return error_memory(err);
        struct json_reader reader = { .document = "the saved control groups", .err = err };
        struct json_at root = json_root(&reader, saved), directories = json_get_array(&root, "directories");
        if (!json_is_object(saved) || !directories.value || json_count(&directories) > CGROUP_HIERARCHIES_MAX)
                json_misfit(&directories, "must be a list of at most %d", CGROUP_HIERARCHIES_MAX);
        for (size_t i = 0; i < json_count(&directories); i++) {
                struct json_at element = json_element(&directories, i);
                if (!json_is_object(element.value))
                        json_misfit(&element, "must be an object");
                load_directory(&element, loaded);
        }
        const char *unit = NULL;
        json_get_bool(&root, "rootless", &loaded->rootless);
        if (json_get_string(&root, "unit", &unit) && !(loaded->unit = strdup(unit)))
                reader.code = error_memory(err);
        if (reader.code) {
                cgroup_free(loaded);
                return reader.code;
        }
        *cgroup = loaded;
        return 0;
}

static int adopt_directory(struct cgroup *cgroup, struct cgroup_hierarchy *hierarchy, const struct cgroup_place *place)
{
        _cleanup_free_ char *path = cgroup_directory_path(hierarchy, place);
        if (!path)
                return -ENOMEM;
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        cgroup->directories[cgroup->count++] = (struct cgroup_directory){
                .version = hierarchy->version,
                .controllers = hierarchy->controllers,
                .name = TAKE_PTR(hierarchy->name),
                .mount = TAKE_PTR(hierarchy->mount),
                .path = TAKE_PTR(path),
                .fd = fd,
                .join = -1,
        };
        return 0;
}

int cgroup_adopt(const char *id, const char *path, bool systemd, bool rootless, struct cgroup **cgroup,
                 struct error *err)
{
        _cleanup_free_ char *below = NULL;
        struct cgroup_layout layout;
        int r = cgroup_path(id, path, systemd, rootless, &below, err);
        if (!r)
                r = cgroup_layout_read(rootless, &layout, err);
        if (r < 0)
                return r;
        struct cgroup_place place = { .below = below, .beside_own = rootless, .rootless = rootless };
        struct cgroup *found = calloc(1, sizeof(*found));
        r = found ? 0 : -ENOMEM;
        for (size_t i = 0; !r && i < layout.count; i++)
                r = adopt_directory(found, &layout.hierarchies[i], &place);
        cgroup_layout_free(&layout);
        if (r < 0) {
                cgroup_free(found);
                return error_code(err, r, "cannot find the control groups of the container %s", id);
        }
        found->adopted = true;
        found->rootless = rootless;
        *cgroup = found;
        return 0;
}

json_t *cgroup_paths(const struct cgroup *cgroup)
{
        json_t *paths = json_object();
        for (size_t i = 0; i < cgroup->count; i++) {
                const struct cgroup_directory *directory = &cgroup->directories[i];
                if (directory->fd < 0)
                        continue;
                if (directory->version == 2)
                        json_object_set_new(paths, "", json_string(directory->path));
                for (enum controller c = 0; directory->version == 1 && c < CONTROLLER_COUNT; c++)
                        if (directory->controllers & CONTROLLER_BIT(c))
                                json_object_set_new(paths, controller_name(c, 1), json_string(directory->path));
                _cleanup_free_ char *name = directory->name ? text_format("name=%s", directory->name) : NULL;
                if (name)
                        json_object_set_new(paths, name, json_string(directory->path));
        }
        return paths;
}

json_t *cgroup_features(void)
{
        return json_pack("{s:b, s:b, s:b, s:b, s:b}", "v1", 1, "v2", 1, "systemd", 1, "systemdUser", 1, "rdma", 1);
}
