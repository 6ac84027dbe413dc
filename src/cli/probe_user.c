/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/probe.h"
#include "instance/id_map.h"

/* A detached bind mount of a tmpfs, seen through the ids of a user namespace: mount_setattr(2), MOUNT_ATTR_IDMAP. */
static int id_mapped_mount(struct error *err)
{
        const struct id_range range = { .container = 0, .host = 100000, .count = 65536 };
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0)
                return error_errno(err, "cannot mount a tmpfs in a mount namespace");
        _cleanup_close_ int names = id_map_namespace(&range, 1, err);
        if (names < 0)
                return names;
        _cleanup_close_ int tree = (int)syscall(SYS_open_tree, AT_FDCWD, "/tmp", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)names };
        if (tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
                return error_errno(err, "cannot map the ids of a mount");
        return 0;
}

/* How many ids the file grants to the user: "name-or-number:first:count" lines, subuid(5). */
static uint64_t granted(const char *file, const char *name, uid_t uid)
{
        uint64_t total = 0;
        _cleanup_free_ char *text = NULL, *number = text_format("%u", uid);
        if (!number || file_read(AT_FDCWD, file, 1024 * 1024, &text, NULL, NULL) < 0)
                return 0;
        char *next = text;
        for (char *line; (line = strsep(&next, "\n"));) {
                const char *owner = strsep(&line, ":");
                if (!line || (strcmp(owner, name) && strcmp(owner, number)))
                        continue;
                const char *count = strchr(line, ':');
                total += count ? strtoull(count + 1, NULL, 10) : 0;
        }
        return total;
}

static bool on_path(const char *program)
{
        static const char *const folders[] = { "/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin" };
        for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
                _cleanup_free_ char *path = text_format("%s/%s", folders[i], program);
                if (path && !access(path, X_OK))
                        return true;
        }
        return false;
}

/* Root needs none. */
static void probe_subordinate_ids(struct probe_report *report)
{
        struct finding finding = {
                .topic = "sub-ids",
                .cost = "an ordinary user's containers cannot have users of their own",
                .cure = "package uidmap, and a line such as \"NAME:100000:65536\" in /etc/subuid and /etc/subgid",
        };
        bool helpers = on_path("newuidmap") && on_path("newgidmap");
        uid_t uid = getuid();
        const struct passwd *user = uid ? getpwuid(uid) : NULL;
        const char *name = user ? user->pw_name : "";
        uint64_t uids = granted("/etc/subuid", name, uid), gids = granted("/etc/subgid", name, uid);
        if (!helpers)
                finding.state = uid ? FINDING_MISSING : FINDING_LIMITED;
        else if (uid && (!uids || !gids))
                finding.state = FINDING_MISSING;
        if (!helpers)
                probe_add(report, &finding, "newuidmap and newgidmap are not installed");
        else if (!uid)
                probe_add(report, &finding, "newuidmap is installed; root needs no sub-ids");
        else
                probe_add(report, &finding, "%llu user ids and %llu group ids for %s", (unsigned long long)uids,
                          (unsigned long long)gids, *name ? name : "this user");
}

void probe_users(struct probe_report *report)
{
        const struct finding namespaces = {
                .topic = "user namespaces",
                .state = geteuid() ? FINDING_MISSING : FINDING_LIMITED,
                .cost = "only root can run containers, and --userns does not work",
                .cure = "sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000; "
                        "on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0",
        };
        const struct finding mounts = {
                .topic = "id-mapped mounts",
                .state = FINDING_LIMITED,
                .cost = "with --userns, image layers and volumes cannot be shared between ids",
                .cure = "a kernel of 5.19 or later",
        };
        struct error err = { 0 };
        probe_add_result(report, &namespaces, probe_in_child(probe_become_root_without_privilege, &err),
                         "ordinary users can make them", &err);
        probe_subordinate_ids(report);
        if (!geteuid())
                probe_add_result(report, &mounts, probe_in_child(id_mapped_mount, &err), "work on tmpfs", &err);
}
