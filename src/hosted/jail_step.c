/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "hosted/jail_private.h"

/* ---- Namespaces ---- */

/* One user and one group, who are themselves: user_namespaces(7). */
static int map_self(uid_t uid, gid_t gid, struct error *err)
{
        char uids[32], gids[32];
        snprintf(uids, sizeof(uids), "%u %u 1", uid, uid);
        snprintf(gids, sizeof(gids), "%u %u 1", gid, gid);
        int r = file_poke(AT_FDCWD, "/proc/self/setgroups", "deny", err);
        if (!r)
                r = file_poke(AT_FDCWD, "/proc/self/uid_map", uids, err);
        return r < 0 ? r : file_poke(AT_FDCWD, "/proc/self/gid_map", gids, err);
}

int jail_leave_namespaces(int flags, struct error *err)
{
        uid_t uid = geteuid();
        gid_t gid = getegid();
        if (!unshare(flags))
                return 1;
        if (errno != EPERM)
                return error_errno(err, "cannot leave the host's namespaces");
        /* Limits and security modules of the host may forbid user namespaces, each with an errno of its own. */
        if (unshare(flags | CLONE_NEWUSER) < 0)
                return 0;
        int r = map_self(uid, gid, err);
        return r < 0 ? r : 1;
}

static int open_empty_file_system(struct error *err)
{
        _cleanup_close_ int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
        if (context < 0 || fsconfig(context, FSCONFIG_SET_STRING, "size", "4096", 0) < 0 ||
            fsconfig(context, FSCONFIG_SET_STRING, "mode", "0555", 0) < 0 ||
            fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return error_errno(err, "cannot make an empty file system");
        int fd = fsmount(context, FSMOUNT_CLOEXEC,
                         MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
        return fd < 0 ? error_errno(err, "cannot mount an empty file system") : fd;
}

int jail_open_mount(const char *path, uint64_t attributes, bool recursive, struct error *err)
{
        unsigned flags = recursive ? AT_RECURSIVE : 0;
        struct mount_attr set = { .attr_set = attributes | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
        _cleanup_close_ int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
        if (fd < 0)
                return error_errno(err, "cannot open %s", path);
        if (mount_setattr(fd, "", AT_EMPTY_PATH | flags, &set, sizeof(set)) < 0)
                return error_errno(err, "cannot restrict the mount of %s", path);
        return TAKE_FD(fd);
}

int jail_change_root(int mounted, struct error *err)
{
        _cleanup_close_ int empty = mounted < 0 ? open_empty_file_system(err) : -1;
        if (mounted < 0 && empty < 0)
                return empty;
        int root = mounted < 0 ? empty : mounted;
        /* What the host unmounts must not stay in use by our copy of its mounts. */
        if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
                return error_errno(err, "cannot separate mounts from the host's");
        /*
         * The new root is attached nowhere, so that from its top no way leads up, as after pivot_root(2); but that and
         * unmounting the old root would take the start of each guest 16 ms.
         */
        if (fchdir(root) < 0 || chroot(".") < 0)
                return error_errno(err, "cannot change the root");
        return 0;
}

/* ---- Landlock ---- */

/* What each version of its interface brought: landlock(7). */
static const uint64_t rights[] = {
        (1ULL << 13) - 1, /* version 1: from EXECUTE to MAKE_SYM */
        1ULL << 13,       /* REFER */
        1ULL << 14,       /* TRUNCATE */
        0,                /* of networks */
        1ULL << 15,       /* IOCTL_DEV */
};

#define VERSION_REFER 2

/* struct landlock_ruleset_attr as it grew; older kernels take the beginning. */
struct ruleset {
        uint64_t files, network, scope;
};

static int add_folder(int rules, int folder, uint64_t files)
{
        const struct landlock_path_beneath_attr beneath = { .allowed_access = files, .parent_fd = folder };
        return (int)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
}

int jail_lock_files(int folder, uint64_t allowed, struct error *err)
{
        long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
        /* Before REFER nobody could be allowed to move files between folders. */
        if (version < 1 || (allowed & LANDLOCK_ACCESS_FS_REFER && version < VERSION_REFER))
                return 0;
        struct ruleset ruleset = { 0 };
        for (long i = 0; i < version && i < (long)ARRAY_SIZE(rights); i++)
                ruleset.files |= rights[i];
        /* Version 4: binding to and connecting from TCP ports; 6: abstract sockets and signals of others. */
        size_t size = version >= 6 ? sizeof(ruleset) : version >= 4 ? offsetof(struct ruleset, scope) : 8;
        ruleset.network = 3;
        ruleset.scope = 3;
        _cleanup_close_ int rules = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
        if (rules < 0)
                return errno == EOPNOTSUPP || errno == EPERM ? 0 : error_errno(err, "cannot make Landlock's rules");
        if (folder >= 0 && add_folder(rules, folder, ruleset.files & allowed) < 0)
                return error_errno(err, "cannot tell Landlock of a folder");
        if (syscall(SYS_landlock_restrict_self, rules, 0) < 0)
                return error_errno(err, "cannot lock the file system away");
        return 0;
}

/* ---- Privileges ---- */

int jail_keep_capabilities(uint64_t kept, struct error *err)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
        if (syscall(SYS_capget, &header, data) < 0)
                return error_errno(err, "cannot read capabilities");
        /* The bounding set first, which needs a capability; an ordinary user has none to lose. */
        for (int i = 0; i <= CAP_LAST_CAP; i++)
                if (!(kept & (1ULL << i)))
                        prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
        for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
                data[i].permitted &= (uint32_t)(kept >> (32 * i));
                data[i].effective = data[i].permitted;
                data[i].inheritable = 0;
        }
        if (syscall(SYS_capset, &header, data) < 0)
                return error_errno(err, "cannot drop capabilities");
        return 0;
}

int jail_close_ways(struct error *err)
{
        const struct rlimit none = { 0, 0 };
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return error_errno(err, "cannot give up new privileges");
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
                return error_errno(err, "cannot forbid core dumps");
        return 0;
}
