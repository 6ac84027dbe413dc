/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "container/cgroup_tree.h"

/* Controllers that a v2 host gives every container: those whose statistics and limits engines expect to find. */
#define UNIFIED_DEFAULT                                                                                                \
        (CONTROLLER_BIT(CONTROLLER_CPU) | CONTROLLER_BIT(CONTROLLER_CPUSET) | CONTROLLER_BIT(CONTROLLER_MEMORY) |      \
         CONTROLLER_BIT(CONTROLLER_BLOCK) | CONTROLLER_BIT(CONTROLLER_PIDS))

static uint32_t read_controllers(int fd, const char *file)
{
        char list[512];
        return control_read(fd, file, list, sizeof(list)) < 0 ? 0 : controllers_parse(list, " ", 2);
}

static int enable_one(int fd, enum controller controller)
{
        char text[32];
        snprintf(text, sizeof(text), "+%s", controller_name(controller, 2));
        return control_write(fd, "cgroup.subtree_control", text);
}

static int explain(enum controller controller, int code, const char *path, struct error *err)
{
        const char *name = controller_name(controller, 2);
        switch (code) {
        case -ENOENT:
                return error_set(err, code,
                                 "the host has no cgroup v2 controller \"%s\" at %s; boot with it enabled (see "
                                 "/proc/cgroups and cgroup_disable= on the kernel's command line) or remove the limit",
                                 name, path);
        case -EBUSY:
                return error_set(err, code,
                                 "cannot enable the controller \"%s\" below the control group %s: it holds processes "
                                 "itself, and cgroup v2 wants them in leaves; move them to a child or choose another "
                                 "cgroupsPath",
                                 name, path);
        case -EOPNOTSUPP:
                return error_set(err, code,
                                 "cannot enable the controller \"%s\" below the control group %s: it is threaded; "
                                 "choose another cgroupsPath",
                                 name, path);
        default:
                return error_code(err, code, "cannot enable the controller \"%s\" below the control group %s", name,
                                  path);
        }
}

/*
 * Whether processes stand in the way. The kernel itself refuses only some controllers then; the others would turn the
 * control group into a threaded one, whose children cannot be entered. The root of all is free of the rule and has no
 * type.
 */
static bool holds_processes(int fd)
{
        char some[16];
        return !faccessat(fd, "cgroup.type", F_OK, 0) && control_read(fd, "cgroup.procs", some, sizeof(some)) > 0;
}

/* One level: all that are wanted and not there yet; a failure counts only for those that are required. */
static int enable_level(const char *path, uint32_t wanted, uint32_t required, struct error *err)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return error_errno(err, "cannot open the control group %s", path);
        uint32_t offered = read_controllers(fd, "cgroup.controllers");
        uint32_t enabled = read_controllers(fd, "cgroup.subtree_control");
        bool occupied = wanted & ~enabled && holds_processes(fd);
        for (enum controller i = 0; i < CONTROLLER_COUNT; i++) {
                uint32_t bit = CONTROLLER_BIT(i);
                if (!(wanted & bit) || enabled & bit || !controller_name(i, 2))
                        continue;
                int r = !(offered & bit) ? -ENOENT : occupied ? -EBUSY : enable_one(fd, i);
                if (r < 0 && required & bit)
                        return explain(i, r, path, err);
        }
        return 0;
}

static int enable_path(struct cgroup_directory *directory, uint32_t wanted, uint32_t required, struct error *err)
{
        directory->controllers = read_controllers(directory->fd, "cgroup.controllers");
        if (!(wanted & ~directory->controllers))
                return 0;

        _cleanup_free_ char *path = strdup(directory->path);
        if (!path)
                return error_memory(err);
        for (char *slash = path + strlen(directory->mount); (slash = strchr(slash, '/')); slash++) {
                *slash = 0;
                int r = enable_level(path, wanted, required, err);
                if (r < 0)
                        return r;
                *slash = '/';
        }
        directory->controllers = read_controllers(directory->fd, "cgroup.controllers");
        return 0;
}

void cgroup_enable_named(const struct cgroup_directory *directory, const char *name)
{
        _cleanup_free_ char *path = strdup(directory->path), *text = text_format("+%s", name);
        char *slash = path ? path + strlen(directory->mount) : NULL;
        while (text && slash && (slash = strchr(slash, '/'))) {
                *slash = 0;
                _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (fd >= 0 && !holds_processes(fd))
                        control_write(fd, "cgroup.subtree_control", text);
                *slash++ = '/';
        }
}

int cgroup_enable_needed(struct cgroup *cgroup, const struct resources *resources, struct error *err)
{
        uint32_t v1 = 0, needed = resources ? resources_controllers(resources) : 0;
        struct cgroup_directory *unified = NULL;
        for (size_t i = 0; i < cgroup->count; i++) {
                if (cgroup->directories[i].version == 1)
                        v1 |= cgroup->directories[i].controllers;
                else if (cgroup->directories[i].fd >= 0)
                        unified = &cgroup->directories[i];
        }
        needed &= ~v1;
        uint32_t wanted = needed | (cgroup->count == 1 && cgroup->created ? UNIFIED_DEFAULT : 0);
        /* Without a v2 directory the missing controller is reported with the limit that needs it. */
        return unified && wanted ? enable_path(unified, wanted, needed, err) : 0;
}
