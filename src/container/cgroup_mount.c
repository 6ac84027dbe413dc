/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/cgroup_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "container/host_mounts.h"
#include "container/mount.h"

#define HOST_ROOT "/sys/fs/cgroup"
/* /proc/self/cgroup: a line a hierarchy. */
#define GROUPS_MAX (1024 * 1024)

struct hierarchies {
        int folder; /* the tmpfs */
        uint64_t attributes;
        const char *groups; /* /proc/self/cgroup, NULL where its paths do not start at the host's root */
};

static int mount_unified(int target, uint64_t attributes, struct error *err)
{
        _cleanup_close_ int mount = mount_create("cgroup2", "cgroup", NULL, attributes, err);
        if (mount == -EPERM || mount == -EBUSY) {
                /* A user namespace without a cgroup namespace of its own. */
                mount = mount_clone(AT_FDCWD, HOST_ROOT, true, err);
                struct mount_change change = { .set = attributes };
                int r = mount < 0 ? mount : mount_change(mount, &change, MS_PRIVATE, true, err);
                if (r < 0)
                        return r;
        }
        return mount < 0 ? mount : mount_attach(mount, target, err);
}

/*
 * Options of the superblock that name the hierarchy: controllers and name=…; those of the VFS and cgroup's switches
 * go.
 */
static bool names_hierarchy(const char *word)
{
        static const char *const others[] = { "rw",          "ro",    "clone_children", "cpuset_v2_mode",
                                              "noprefix",    "xattr", "nsdelegate",     "memory_recursiveprot",
                                              "favordynmods" };
        for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
                if (!strcmp(word, others[i]))
                        return false;
        }
        return !text_starts(word, "release_agent=");
}

static int hierarchy_words(const char *options, char ***words, struct error *err)
{
        _cleanup_free_ char *copy = strdup(options);
        if (!copy)
                return error_memory(err);
        bool named_only = true;
        for (char *rest = copy, *word; (word = strsep(&rest, ","));) {
                if (!names_hierarchy(word))
                        continue;
                named_only &= text_starts(word, "name=");
                if (list_append(words, word) < 0)
                        return error_memory(err);
        }
        /* A hierarchy without controllers must be asked for as such. */
        return named_only && list_append(words, "none") < 0 ? error_memory(err) : 0;
}

/* Whether the comma list `controllers` of /proc/self/cgroup is that of the mount with these options. */
static bool same_hierarchy(const struct host_mount *host, const char *controllers)
{
        if (!strcmp(host->type, "cgroup2"))
                return !*controllers;
        size_t length = strcspn(controllers, ",");
        if (!length)
                return false;
        for (const char *word = host->options; *word; word += strcspn(word, ","), word += *word == ',') {
                if (!strncmp(word, controllers, length) && (!word[length] || word[length] == ','))
                        return true;
        }
        return false;
}

/* The path of the caller's group in the hierarchy; the caller's to free, NULL if it is in none. */
static char *own_group(const struct hierarchies *all, const struct host_mount *host)
{
        _cleanup_free_ char *copy = strdup(all->groups);
        for (char *rest = copy, *line; rest && (line = strsep(&rest, "\n"));) {
                char *controllers = strchr(line, ':');
                char *path = controllers ? strchr(controllers + 1, ':') : NULL;
                if (!path)
                        continue;
                *path++ = 0;
                if (same_hierarchy(host, controllers + 1))
                        return strdup(path);
        }
        return NULL;
}

static int open_hierarchy(const struct hierarchies *all, const struct host_mount *host, struct error *err)
{
        if (!all->groups) {
                _cleanup_list_ char **words = NULL;
                int r = strcmp(host->type, "cgroup2") ? hierarchy_words(host->options, &words, err) : 0;
                return r < 0 ? r : mount_create(host->type, "cgroup", words, all->attributes, err);
        }
        _cleanup_free_ char *group = own_group(all, host);
        if (!group)
                return error_set(err, -ENOENT, "this process is in no control group of %s", host->point);
        /* A host that is a container itself mounts its hierarchies from a group on; paths start there. */
        const char *below =
                text_starts(group, host->root) && strcmp(host->root, "/") ? group + strlen(host->root) : group;
        _cleanup_free_ char *path = text_format("%s/%s", host->point, below);
        if (!path)
                return error_memory(err);
        _cleanup_close_ int mount = mount_clone(AT_FDCWD, path, false, err);
        struct mount_change change = { .set = all->attributes };
        int r = mount < 0 ? mount : mount_change(mount, &change, MS_PRIVATE, false, err);
        return r < 0 ? r : TAKE_FD(mount);
}

static int link_controllers(int folder, const char *name, struct error *err)
{
        if (!strchr(name, ','))
                return 0;
        _cleanup_free_ char *copy = strdup(name);
        if (!copy)
                return error_memory(err);
        for (char *rest = copy, *word; (word = strsep(&rest, ","));) {
                if (symlinkat(name, folder, word) < 0 && errno != EEXIST)
                        return error_errno(err, "cannot make the link %s", word);
        }
        return 0;
}

static int mount_hierarchy(const struct host_mount *host, void *context, struct error *err)
{
        struct hierarchies *all = context;
        const char *name = host->point + strlen(HOST_ROOT "/");
        if (strcmp(host->type, "cgroup") && strcmp(host->type, "cgroup2"))
                return 0;
        if (!text_starts(host->point, HOST_ROOT "/") || !*name || strchr(name, '/'))
                return 0;
        if (mkdirat(all->folder, name, 0755) < 0)
                return errno == EEXIST ? 0 : error_errno(err, "cannot make the folder %s", name);
        _cleanup_close_ int mount = open_hierarchy(all, host, err);
        if (mount < 0)
                return mount;
        if (move_mount(mount, "", all->folder, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
                return error_errno(err, "cannot attach the control groups of %s", name);
        return link_controllers(all->folder, name, err);
}

int cgroup_mount_groups(char **groups, struct error *err)
{
        return file_read(AT_FDCWD, "/proc/self/cgroup", GROUPS_MAX, groups, NULL, err);
}

int cgroup_mount(int target, uint64_t attributes, bool own_namespace, const char *groups, struct error *err)
{
        struct statfs fs;
        if (statfs(HOST_ROOT, &fs) < 0)
                return error_errno(err, "cannot find the host's control groups at %s", HOST_ROOT);
        if (fs.f_type == CGROUP2_SUPER_MAGIC)
                return mount_unified(target, attributes, err);

        _cleanup_free_ char *now = NULL;
        int r = own_namespace ? 0 : cgroup_mount_groups(&now, err);
        if (r < 0)
                return r;
        char mode[] = "mode=755";
        char *words[] = { mode, NULL };
        _cleanup_close_ int folder =
                mount_create("tmpfs", "cgroup", words, attributes & ~(uint64_t)MOUNT_ATTR_RDONLY, err);
        if (folder < 0)
                return folder;
        r = mount_attach(folder, target, err);
        if (r < 0)
                return r;
        struct hierarchies all = { folder, attributes, own_namespace ? groups : now };
        r = host_mounts_each(mount_hierarchy, &all, err);
        if (r < 0 || !(attributes & MOUNT_ATTR_RDONLY))
                return r;
        struct mount_change change = { .set = MOUNT_ATTR_RDONLY };
        return mount_change(folder, &change, 0, false, err);
}
