/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/namespace.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

const struct namespace_kind namespace_kinds[NAMESPACE_KINDS] = {
        { CLONE_NEWUSER, "user", "user" },  { CLONE_NEWIPC, "ipc", "ipc" },  { CLONE_NEWUTS, "uts", "uts" },
        { CLONE_NEWNET, "network", "net" }, { CLONE_NEWPID, "pid", "pid" },  { CLONE_NEWCGROUP, "cgroup", "cgroup" },
        { CLONE_NEWTIME, "time", "time" },  { CLONE_NEWNS, "mount", "mnt" },
};

void namespaces_init(struct namespaces *namespaces)
{
        *namespaces = (struct namespaces){ 0 };
        for (int i = 0; i < NAMESPACE_KINDS; i++)
                namespaces->fds[i] = -1;
}

void namespaces_close(struct namespaces *namespaces)
{
        for (int i = 0; i < NAMESPACE_KINDS; i++)
                if (namespaces->fds[i] >= 0)
                        close(TAKE_FD(namespaces->fds[i]));
}

static int kind_of(const char *type)
{
        for (int i = 0; i < NAMESPACE_KINDS; i++)
                if (!strcmp(namespace_kinds[i].type, type))
                        return i;
        return -1;
}

int namespaces_parse(const struct json_at *array, struct namespaces *namespaces)
{
        for (size_t i = 0; i < json_count(array); i++) {
                struct json_at at = json_element(array, i);
                if (!json_is_object(at.value))
                        return json_misfit(&at, "must be an object");
                const char *type = NULL, *path = NULL;
                json_need_string(&at, "type", &type);
                json_get_string(&at, "path", &path);
                if (json_failed(&at))
                        return json_failed(&at);
                int kind = kind_of(type);
                if (kind < 0)
                        return json_misfit(&at, "has the unknown type \"%s\"", type);
                int flag = namespace_kinds[kind].flag;
                if (namespaces_have(namespaces, flag))
                        return json_misfit(&at, "repeats the type \"%s\"", type);
                if (path && *path && path[0] != '/')
                        return json_misfit(&at, "has the path \"%s\", which must be absolute", path);
                if (path && *path) {
                        namespaces->join |= flag;
                        namespaces->paths[kind] = path;
                } else {
                        namespaces->create |= flag;
                }
        }
        return json_failed(array);
}

int namespaces_open(struct namespaces *namespaces, struct error *err)
{
        for (int i = 0; i < NAMESPACE_KINDS; i++) {
                const char *path = namespaces->paths[i];
                if (!path)
                        continue;
                int fd = namespaces->fds[i] = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
                if (fd < 0)
                        return error_errno(err, "cannot open the %s namespace %s", namespace_kinds[i].type, path);
                int type = ioctl(fd, NS_GET_NSTYPE);
                if (type != namespace_kinds[i].flag)
                        return error_set(err, -EINVAL, "%s is not a %s namespace", path, namespace_kinds[i].type);
        }
        return 0;
}

void namespaces_adopt(struct namespaces *namespaces, int flag, int fd)
{
        for (int i = 0; i < NAMESPACE_KINDS; i++)
                if (namespace_kinds[i].flag == flag)
                        namespaces->fds[i] = fd;
        namespaces->create &= ~flag;
        namespaces->join |= flag;
}

int namespaces_descriptor(const struct namespaces *namespaces, int flag)
{
        for (int i = 0; i < NAMESPACE_KINDS; i++)
                if (namespace_kinds[i].flag == flag)
                        return namespaces->fds[i];
        return -1;
}

int namespaces_enter(const struct namespaces *namespaces, int flags, struct error *err)
{
        for (int i = 0; i < NAMESPACE_KINDS; i++) {
                const struct namespace_kind *kind = &namespace_kinds[i];
                if (!(namespaces->join & flags & kind->flag))
                        continue;
                if (setns(namespaces->fds[i], kind->flag) < 0)
                        return error_errno(err, "cannot join the %s namespace %s", kind->type,
                                           namespaces->paths[i] ? namespaces->paths[i] : "of the container");
        }
        return 0;
}

bool namespaces_separate(const struct namespaces *namespaces, int flag)
{
        if (namespaces->create & flag)
                return true;
        for (int i = 0; i < NAMESPACE_KINDS; i++) {
                if (namespace_kinds[i].flag != flag || !namespaces->paths[i])
                        continue;
                char own[32];
                struct stat ours, theirs;
                snprintf(own, sizeof(own), "/proc/self/ns/%s", namespace_kinds[i].file);
                return !stat(own, &ours) && !stat(namespaces->paths[i], &theirs) && ours.st_ino != theirs.st_ino;
        }
        return false;
}
