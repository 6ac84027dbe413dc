/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

/* What each namespace keeps apart; a name that ends in '/' stands for all below it. */
static const struct {
        const char *path;
        int namespace;
} separate[] = {
        { "net/", CLONE_NEWNET },
        { "fs/mqueue/", CLONE_NEWIPC },
        { "kernel/msgmax", CLONE_NEWIPC },
        { "kernel/msgmnb", CLONE_NEWIPC },
        { "kernel/msgmni", CLONE_NEWIPC },
        { "kernel/msg_next_id", CLONE_NEWIPC },
        { "kernel/sem", CLONE_NEWIPC },
        { "kernel/sem_next_id", CLONE_NEWIPC },
        { "kernel/shmall", CLONE_NEWIPC },
        { "kernel/shmmax", CLONE_NEWIPC },
        { "kernel/shmmni", CLONE_NEWIPC },
        { "kernel/shm_next_id", CLONE_NEWIPC },
        { "kernel/shm_rmid_forced", CLONE_NEWIPC },
        { "kernel/domainname", CLONE_NEWUTS },
};

/* "net.ipv4.conf.eth0/1.forwarding" and "net/ipv4/conf/eth0.1/forwarding" are the same: sysctl.d(5). */
static int path_of(const char *name, char path[static PATH_MAX])
{
        size_t length = strlen(name);
        if (!length || length >= PATH_MAX)
                return -ENAMETOOLONG;
        memcpy(path, name, length + 1);
        const char *first = strpbrk(name, "./");
        if (!first || *first == '/')
                return 0;
        for (char *c = path; *c; c++)
                *c = *c == '.' ? '/' : *c == '/' ? '.' : *c;
        return 0;
}

static int namespace_of(const char *path)
{
        for (size_t i = 0; i < ARRAY_SIZE(separate); i++)
                if (text_ends(separate[i].path, "/") ? text_starts(path, separate[i].path)
                                                     : !strcmp(path, separate[i].path))
                        return separate[i].namespace;
        return 0;
}

static int check(const struct json_at *at, const char *path, const struct namespaces *namespaces)
{
        if (!strcmp(path, "kernel/hostname"))
                return json_misfit(at, "is set by the member hostname, not by linux.sysctl");
        if (path[0] == '/' || text_starts(path, "../") || strstr(path, "/../") || text_ends(path, "/..") ||
            strstr(path, "//"))
                return json_misfit(at, "is not the name of a kernel parameter");
        int namespace = namespace_of(path);
        if (!namespace)
                return json_misfit(at, "belongs to no namespace: it would change the host");
        if (!namespaces_separate(namespaces, namespace))
                return json_misfit(at, "needs a %s namespace of the container's own: it would change the host",
                                   namespace == CLONE_NEWNET   ? "network"
                                   : namespace == CLONE_NEWIPC ? "ipc"
                                                               : "uts");
        return 0;
}

int sysctls_parse(const struct json_at *at, const struct namespaces *namespaces, struct sysctls *sysctls)
{
        size_t count = json_failed(at) || !at->value ? 0 : json_object_size(at->value);
        if (!count)
                return json_failed(at);
        sysctls->list = calloc(count, sizeof(*sysctls->list));
        if (!sysctls->list)
                return at->reader->code = error_memory(at->reader->err);

        const char *name;
        json_t *value;
        json_object_foreach((json_t *)at->value, name, value) {
                struct json_at member = json_get(at, name);
                char path[PATH_MAX];
                const char *string = json_string_at(&member);
                if (!string)
                        return json_failed(at);
                if (path_of(name, path) < 0)
                        return json_misfit(&member, "is not the name of a kernel parameter");
                if (check(&member, path, namespaces) < 0)
                        return json_failed(at);
                sysctls->list[sysctls->count++] = (struct sysctl){ .name = name, .value = string };
        }
        return 0;
}

void sysctls_free(struct sysctls *sysctls)
{
        free(sysctls->list);
        *sysctls = (struct sysctls){ 0 };
}

int sysctls_apply(const struct sysctls *sysctls, int proc_sys, struct error *err)
{
        for (size_t i = 0; i < sysctls->count; i++) {
                const struct sysctl *sysctl = &sysctls->list[i];
                char path[PATH_MAX];
                path_of(sysctl->name, path);
                _cleanup_close_ int fd = open_in_root(proc_sys, path, O_WRONLY, 0, err);
                int r = fd < 0 ? fd : write_all(fd, sysctl->value, strlen(sysctl->value));
                if (r < 0)
                        return error_code(err, r, "cannot set linux.sysctl %s to \"%s\"", sysctl->name, sysctl->value);
        }
        return 0;
}
