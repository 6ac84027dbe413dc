/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/device_node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "container/mount.h"
#include "container/root_path.h"

#define MODE_DEFAULT 0666
/* Documentation/admin-guide/devices.txt: the slaves of Unix98 terminals. */
#define PTS_MAJOR_FIRST 136
#define PTS_MAJOR_LAST  143

static const struct {
        const char *path;
        unsigned major, minor;
} default_devices[] = {
        { "/dev/null", 1, 3 },   { "/dev/zero", 1, 5 },    { "/dev/full", 1, 7 },
        { "/dev/random", 1, 8 }, { "/dev/urandom", 1, 9 }, { "/dev/tty", 5, 0 },
};

static mode_t type_of(const char *type)
{
        static const struct {
                const char *letter;
                mode_t type;
        } types[] = { { "c", S_IFCHR }, { "u", S_IFCHR }, { "b", S_IFBLK }, { "p", S_IFIFO } };
        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
                if (!strcmp(type, types[i].letter))
                        return types[i].type;
        }
        return 0;
}

static int parse_node(const struct json_at *at, struct device_node *node, struct error *err)
{
        const char *type = "", *path = "";
        int64_t major = -1, minor = -1, mode = MODE_DEFAULT, uid = 0, gid = 0;
        json_need_string(at, "type", &type);
        json_need_string(at, "path", &path);
        json_get_i64(at, "major", 0, 0xfff, &major);
        json_get_i64(at, "minor", 0, 0xfffff, &minor);
        json_get_i64(at, "fileMode", 0, UINT32_MAX, &mode);
        json_get_i64(at, "uid", 0, UINT32_MAX - 1, &uid);
        json_get_i64(at, "gid", 0, UINT32_MAX - 1, &gid);
        mode_t kind = type_of(type);
        if (!json_failed(at) && !kind)
                json_misfit(at, "has the type \"%s\"; it must be \"c\", \"u\", \"b\" or \"p\"", type);
        if (!json_failed(at) && kind != S_IFIFO && (major < 0 || minor < 0))
                json_misfit(at, "must have major and minor");
        if (!json_failed(at) && (*path != '/' || !path[1]))
                json_misfit(at, "has the path \"%s\"; it must be absolute", path);
        if (json_failed(at))
                return json_failed(at);
        /* Engines copy st_mode here, type bits and all. */
        *node = (struct device_node){
                .path = root_path_clean(path),
                .mode = kind | ((mode_t)mode & 07777),
                .device = kind == S_IFIFO ? 0 : makedev((unsigned)major, (unsigned)minor),
                .uid = (uid_t)uid,
                .gid = (gid_t)gid,
        };
        if (!node->path)
                return error_memory(err);
        return node->path[1] ? 0 : json_misfit(at, "has the path \"%s\"; it must name a file", path);
}

static bool has_path(const struct device_node *nodes, size_t count, const char *path)
{
        for (size_t i = 0; i < count; i++) {
                if (!strcmp(nodes[i].path, path))
                        return true;
        }
        return false;
}

int device_nodes_parse(const struct json_at *array, struct device_node **nodes, size_t *count, struct error *err)
{
        size_t asked = json_count(array), used = 0;
        struct device_node *all = calloc(asked + ARRAY_SIZE(default_devices), sizeof(*all));
        if (!all)
                return error_memory(err);
        int r = 0;
        for (size_t i = 0; i < asked && r >= 0; i++) {
                struct json_at at = json_element(array, i);
                r = parse_node(&at, &all[i], err);
                used += all[i].path != NULL;
        }
        for (size_t i = 0; i < ARRAY_SIZE(default_devices) && r >= 0; i++) {
                if (has_path(all, asked, default_devices[i].path))
                        continue;
                all[used].path = strdup(default_devices[i].path);
                all[used].mode = S_IFCHR | MODE_DEFAULT;
                all[used].device = makedev(default_devices[i].major, default_devices[i].minor);
                if (!all[used++].path)
                        r = error_memory(err);
        }
        if (r < 0) {
                device_nodes_free(all, used);
                return r;
        }
        *nodes = all;
        *count = used;
        return 0;
}

void device_nodes_free(struct device_node *nodes, size_t count)
{
        for (size_t i = 0; i < count; i++)
                free(nodes[i].path);
        free(nodes);
}

static bool is_device(const struct stat *st, const struct device_node *node)
{
        return (st->st_mode & S_IFMT) == (node->mode & S_IFMT) && (S_ISFIFO(node->mode) || st->st_rdev == node->device);
}

/* Puts the host's device, checked to be the one that was asked for, on the file `name`. */
static int bind_node(int folder, const char *name, const struct device_node *node, struct error *err)
{
        _cleanup_close_ int mount = mount_clone(AT_FDCWD, node->path, false, err);
        struct stat st;
        if (mount < 0)
                return mount;
        if (fstat(mount, &st) < 0)
                return error_errno(err, "cannot read the host's %s", node->path);
        if (!is_device(&st, node))
                return error_set(err, -ENODEV,
                                 "the host's %s is not the device %u:%u, and a container with a user "
                                 "namespace of its own can only be given devices of the host",
                                 node->path, major(node->device), minor(node->device));
        _cleanup_close_ int target = root_path_make_file(folder, name, err);
        return target < 0 ? target : mount_attach(mount, target, err);
}

static int make_node(int folder, const char *name, const struct device_node *node, bool bind, struct error *err)
{
        if (bind && !S_ISFIFO(node->mode))
                return bind_node(folder, name, node, err);
        if (mknodat(folder, name, node->mode, node->device) < 0) {
                struct stat st;
                if (errno == EPERM && !S_ISFIFO(node->mode))
                        return bind_node(folder, name, node, err);
                if (errno != EEXIST || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        return error_errno(err, "cannot make it");
                if (!is_device(&st, node))
                        return error_set(err, -EEXIST, "the image has something else of that name");
                return 0;
        }
        if ((node->uid || node->gid) && fchownat(folder, name, node->uid, node->gid, AT_SYMLINK_NOFOLLOW) < 0)
                return error_errno(err, "cannot give it to %u:%u", node->uid, node->gid);
        return 0;
}

static int make_one(int root, int dev, const struct device_node *node, bool bind, struct error *err)
{
        bool below_dev = text_starts(node->path, "/dev/");
        const char *relative = node->path + (below_dev ? strlen("/dev/") : 1);
        const char *slash = strrchr(relative, '/');
        if (!slash)
                return make_node(below_dev ? dev : root, relative, node, bind, err);
        _cleanup_free_ char *folder_name = strndup(relative, (size_t)(slash - relative));
        if (!folder_name)
                return error_memory(err);
        _cleanup_close_ int folder = make_in_root(below_dev ? dev : root, folder_name, 0755, err);
        return folder < 0 ? folder : make_node(folder, slash + 1, node, bind, err);
}

int device_nodes_make(int root, const struct device_node *nodes, size_t count, bool bind, struct error *err)
{
        _cleanup_close_ int dev = root_path_make_folder(root, "dev", err);
        if (dev < 0)
                return dev;
        int r = 0;
        for (size_t i = 0; i < count && r >= 0; i++) {
                r = make_one(root, dev, &nodes[i], bind, err);
                if (r < 0 && err)
                        error_prefix(err, "device %s", nodes[i].path);
        }
        return r;
}

int device_links_make(int root, struct error *err)
{
        static const struct {
                const char *name, *target;
                bool if_exists;
        } links[] = {
                { "fd", "/proc/self/fd", true },       { "stdin", "/proc/self/fd/0", true },
                { "stdout", "/proc/self/fd/1", true }, { "stderr", "/proc/self/fd/2", true },
                { "core", "/proc/kcore", true },       { "ptmx", "pts/ptmx", false },
        };
        _cleanup_close_ int dev = root_path_make_folder(root, "dev", err);
        if (dev < 0)
                return dev;
        /* What /proc/self/fd holds is this process's own affair: that the folder is there answers for all four. */
        _cleanup_close_ int proc_fd = open_in_root(root, "proc/self/fd", O_PATH | O_DIRECTORY, 0, NULL);
        _cleanup_close_ int core = open_in_root(root, "proc/kcore", O_PATH, 0, NULL);
        for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
                if (links[i].if_exists && (strcmp(links[i].name, "core") ? proc_fd : core) < 0)
                        continue;
                if (!symlinkat(links[i].target, dev, links[i].name))
                        continue;
                /* An image may bring these links; its own ptmx would be that of the host. */
                if (errno == EEXIST && links[i].if_exists)
                        continue;
                if (errno != EEXIST || unlinkat(dev, links[i].name, 0) < 0 ||
                    symlinkat(links[i].target, dev, links[i].name) < 0)
                        return error_errno(err, "cannot make the link /dev/%s", links[i].name);
        }
        return 0;
}

int device_console_bind(int root, int slave, struct error *err)
{
        struct stat st;
        if (fstat(slave, &st) < 0)
                return error_errno(err, "cannot read the terminal");
        if (!S_ISCHR(st.st_mode) || major(st.st_rdev) < PTS_MAJOR_FIRST || major(st.st_rdev) > PTS_MAJOR_LAST)
                return error_set(err, -ENOTTY, "what should become /dev/console is not a terminal");
        _cleanup_close_ int dev = root_path_make_folder(root, "dev", err);
        if (dev < 0)
                return dev;
        _cleanup_close_ int mount = mount_clone(slave, "", false, err);
        if (mount < 0)
                return mount;
        _cleanup_close_ int target = root_path_make_file(dev, "console", err);
        if (target < 0)
                return target;
        return mount_attach(mount, target, err);
}
