/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "container/cgroup_tree.h"

ssize_t control_read(int directory, const char *file, char *buffer, size_t size)
{
        _cleanup_close_ int fd = openat(directory, file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;
        ssize_t length;
        do
                length = read(fd, buffer, size - 1);
        while (length < 0 && errno == EINTR);
        if (length < 0)
                return -errno;
        while (length > 0 && buffer[length - 1] == '\n')
                length--;
        buffer[length] = 0;
        return length;
}

int control_write(int directory, const char *file, const char *text)
{
        _cleanup_close_ int fd = openat(directory, file, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;
        ssize_t written;
        do
                written = write(fd, text, strlen(text));
        while (written < 0 && errno == EINTR);
        return written < 0 ? -errno : 0;
}

const struct cgroup_directory *cgroup_unified(const struct cgroup *cgroup)
{
        for (size_t i = 0; i < cgroup->count; i++)
                if (cgroup->directories[i].version == 2 && cgroup->directories[i].fd >= 0)
                        return &cgroup->directories[i];
        return NULL;
}

const struct cgroup_directory *cgroup_find(const struct cgroup *cgroup, enum controller controller)
{
        for (size_t i = 0; i < cgroup->count; i++)
                if (cgroup->directories[i].controllers & CONTROLLER_BIT(controller) && cgroup->directories[i].fd >= 0)
                        return &cgroup->directories[i];
        return NULL;
}

const struct cgroup_directory *cgroup_main(const struct cgroup *cgroup)
{
        const struct cgroup_directory *freezer = cgroup_find(cgroup, CONTROLLER_FREEZER);
        if (freezer)
                return freezer;
        const struct cgroup_directory *unified = cgroup_unified(cgroup);
        if (unified)
                return unified;
        const struct cgroup_directory *pids = cgroup_find(cgroup, CONTROLLER_PIDS);
        for (size_t i = 0; i < cgroup->count && !pids; i++)
                if (cgroup->directories[i].fd >= 0)
                        pids = &cgroup->directories[i];
        return pids;
}

int cgroup_directory(const struct cgroup *cgroup)
{
        const struct cgroup_directory *unified = cgroup_unified(cgroup);
        return unified ? unified->fd : -1;
}

static int open_directory(const char *path)
{
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        return fd < 0 ? -errno : fd;
}

/* ---- making the directories ---- */

/*
 * A v1 cpuset starts without processors and memory nodes, and nothing can join it before it has some. With
 * cgroup.clone_children set on the folders that are ours, the kernel fills in the container's own; elsewhere we copy.
 */
static int inherit_cpuset(const char *parent, int fd)
{
        char value[4096];
        if (control_read(fd, "cpuset.cpus", value, sizeof(value)) > 0)
                return 0;
        _cleanup_close_ int above = open_directory(parent);
        if (above < 0)
                return above;
        static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                ssize_t n = control_read(above, files[i], value, sizeof(value));
                if (n < 0)
                        return n == -ENOENT ? 0 : (int)n;
                int r = n ? control_write(fd, files[i], value) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int prepare_parent(const struct cgroup_directory *directory, const char *parent, const char *path)
{
        if (!(directory->version == 1 && directory->controllers & CONTROLLER_BIT(CONTROLLER_CPUSET)))
                return 0;
        _cleanup_close_ int fd = open_directory(path);
        int r = fd < 0 ? fd : inherit_cpuset(parent, fd);
        if (!r)
                control_write(fd, "cgroup.clone_children", "1");
        return r;
}

/* Makes what is missing of the path between the mount point and the last part. */
static int make_parents(struct cgroup_directory *directory)
{
        _cleanup_free_ char *path = strdup(directory->path), *parent = strdup(directory->mount);
        if (!path || !parent)
                return -ENOMEM;
        for (char *slash = path + strlen(directory->mount) + 1; (slash = strchr(slash, '/')); slash++) {
                *slash = 0;
                int r = mkdir(path, 0755) < 0 ? -errno : prepare_parent(directory, parent, path);
                if (r < 0 && r != -EEXIST)
                        return r;
                directory->parents_made += !r;
                free(parent);
                if (!(parent = strdup(path)))
                        return -ENOMEM;
                *slash = '/';
        }
        return 0;
}

static int check_reuse(const struct cgroup_directory *directory, pid_t placeholder, struct error *err)
{
        char value[128], expected[16];
        snprintf(expected, sizeof(expected), "%d", (int)placeholder);
        ssize_t n = control_read(directory->fd, "cgroup.procs", value, sizeof(value));
        if (n > 0 && strcmp(value, expected))
                return error_set(
                        err, -EBUSY,
                        "the control group %s holds processes already (%.*s…); choose another cgroupsPath or id",
                        directory->path, (int)strcspn(value, "\n"), value);
        bool frozen = control_read(directory->fd, "freezer.state", value, sizeof(value)) > 0 && strcmp(value, "THAWED");
        if (!frozen)
                frozen = control_read(directory->fd, "cgroup.freeze", value, sizeof(value)) > 0 && !strcmp(value, "1");
        if (frozen)
                return error_set(err, -EBUSY, "the control group %s is frozen; thaw it or choose another cgroupsPath",
                                 directory->path);
        return 0;
}

static int make_directory(struct cgroup_directory *directory, pid_t placeholder, struct error *err)
{
        /* A concurrent removal may take a parent away between our two steps. */
        int r = 0;
        for (int tries = 0; tries < 8; tries++) {
                r = mkdir(directory->path, 0755) < 0 ? -errno : 0;
                if (r != -ENOENT)
                        break;
                r = make_parents(directory);
                if (r < 0)
                        break;
        }
        directory->made = !r;
        if (r < 0 && r != -EEXIST)
                return error_code(err, r, "cannot create the control group %s", directory->path);

        bool existed = r == -EEXIST;
        directory->fd = open_directory(directory->path);
        if (directory->fd < 0)
                return error_code(err, directory->fd, "cannot open the control group %s", directory->path);
        r = existed ? check_reuse(directory, placeholder, err) : 0;
        if (r < 0 || directory->version != 1 || !(directory->controllers & CONTROLLER_BIT(CONTROLLER_CPUSET)))
                return r;

        _cleanup_free_ char *parent =
                strndup(directory->path, (size_t)(strrchr(directory->path, '/') - directory->path));
        r = parent ? inherit_cpuset(parent, directory->fd) : -ENOMEM;
        return r < 0 ? error_code(err, r, "cannot give the control group %s the processors of its parent",
                                  directory->path)
                     : 0;
}

static bool no_permission(int code)
{
        return code == -EACCES || code == -EPERM || code == -EROFS;
}

/* As an ordinary user, the place that may be ours is beside our own cgroup, not below the root. */
char *cgroup_directory_path(const struct cgroup_hierarchy *hierarchy, const struct cgroup_place *place)
{
        const char *own = place->beside_own && hierarchy->own && strcmp(hierarchy->own, "/") ? hierarchy->own : "";
        size_t parent = *own ? (size_t)(strrchr(own, '/') - own) : 0;
        return text_format("%s%.*s%s", hierarchy->mount, (int)parent, own, place->below);
}

static int add_directory(struct cgroup *cgroup, struct cgroup_hierarchy *hierarchy, const struct cgroup_place *place,
                         struct error *err)
{
        struct cgroup_directory *directory = &cgroup->directories[cgroup->count++];
        char *path = cgroup_directory_path(hierarchy, place);
        *directory = (struct cgroup_directory){
                .version = hierarchy->version,
                .controllers = hierarchy->controllers,
                .name = TAKE_PTR(hierarchy->name),
                .path = path,
                .mount = TAKE_PTR(hierarchy->mount),
                .fd = -1,
                .join = -1,
        };
        if (!path)
                return error_memory(err);
        int r = make_directory(directory, place->placeholder, err);
        if (!place->rootless || !no_permission(r))
                return r;
        if (directory->fd >= 0)
                close(TAKE_FD(directory->fd));
        return 0;
}

static void undo(struct cgroup *cgroup)
{
        for (size_t i = 0; i < cgroup->count; i++) {
                struct cgroup_directory *directory = &cgroup->directories[i];
                unsigned levels = directory->parents_made + directory->made;
                while (levels-- && !rmdir(directory->path))
                        *strrchr(directory->path, '/') = 0;
        }
}

int cgroup_create_in(struct cgroup_layout *layout, const struct cgroup_place *place, const struct resources *resources,
                     struct cgroup **cgroup, struct error *err)
{
        struct cgroup *made = calloc(1, sizeof(*made));
        if (!made)
                return error_memory(err);
        made->rootless = place->rootless;
        made->created = true;
        int r = 0;
        for (size_t i = 0; !r && i < layout->count; i++)
                r = add_directory(made, &layout->hierarchies[i], place, err);
        if (!r)
                r = cgroup_enable_needed(made, resources, err);
        if (r < 0) {
                undo(made);
                cgroup_free(made);
                return r;
        }
        *cgroup = made;
        return 0;
}

static int create_scope(struct cgroup_layout *layout, struct cgroup_place *place, const struct resources *resources,
                        struct cgroup **cgroup, struct error *err)
{
        _cleanup_free_ char *unit = NULL, *landed = NULL;
        bool only_v2 = layout->count == 1 && layout->hierarchies[0].version == 2;
        int started = cgroup_scope_start(place->below, place->rootless, only_v2, resources, &unit, &place->placeholder,
                                         &landed, err);
        if (started < 0)
                return started;
        if (started) {
                place->below = landed;
                place->beside_own = false;
        }
        int r = cgroup_create_in(layout, place, resources, cgroup, err);
        if (!started || r < 0) {
                /* Without it the scope is empty and goes. */
                cgroup_placeholder_end(place->placeholder);
                return r;
        }
        (*cgroup)->unit = TAKE_PTR(unit);
        (*cgroup)->placeholder = place->placeholder;
        return 0;
}

int cgroup_create(const char *id, const char *path, bool systemd, bool rootless, const struct resources *resources,
                  struct cgroup **cgroup, struct error *err)
{
        _cleanup_free_ char *below = NULL;
        int r = cgroup_path(id, path, systemd, rootless, &below, err);
        if (r < 0)
                return r;
        struct cgroup_layout layout;
        r = cgroup_layout_read(rootless, &layout, err);
        if (r < 0)
                return error_prefix(err, "cannot find the host's control groups");
        struct cgroup_place place = { .below = below, .beside_own = rootless, .rootless = rootless };
        r = systemd ? create_scope(&layout, &place, resources, cgroup, err)
                    : cgroup_create_in(&layout, &place, resources, cgroup, err);
        cgroup_layout_free(&layout);
        return r;
}

void cgroup_free(struct cgroup *cgroup)
{
        if (!cgroup)
                return;
        for (size_t i = 0; i < cgroup->count; i++) {
                struct cgroup_directory *directory = &cgroup->directories[i];
                cleanup_close(&directory->fd);
                cleanup_close(&directory->join);
                free(directory->name);
                free(directory->mount);
                free(directory->path);
        }
        cgroup_placeholder_end(cgroup->placeholder);
        free(cgroup->unit);
        free(cgroup);
}
