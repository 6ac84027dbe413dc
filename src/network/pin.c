/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/pin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include "base/file.h"
#include "base/test_point.h"
#include "base/text.h"
#include "network/link.h"

static int check_name(const char *instance, struct error *err)
{
        size_t length = strlen(instance);
        if (length && length <= 128 && instance[0] != '.' && !strchr(instance, '/'))
                return 0;
        return error_set(err, -EINVAL, "\"%s\" is no instance's id", instance);
}

static bool is_namespace(int fd)
{
        struct statfs status;
        return !fstatfs(fd, &status) && status.f_type == NSFS_MAGIC && ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET;
}

int pin_open(struct networks *networks, const char *instance, struct error *err)
{
        int r = check_name(instance, err);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = openat(networks->pins, instance, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return error_errno(err, "the network namespace of the instance %s", instance);
        if (!is_namespace(fd))
                return error_set(err, -ENOENT, "the instance %s has no network namespace", instance);
        return TAKE_FD(fd);
}

bool pin_exists(struct networks *networks, const char *instance)
{
        _cleanup_close_ int fd = pin_open(networks, instance, NULL);
        return fd >= 0;
}

static int open_home(struct networks *networks, struct error *err)
{
        if (networks->home < 0)
                networks->home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        return networks->home < 0 ? error_errno(err, "the host's network namespace in /proc") : 0;
}

/* Whoever cannot come back would do the rest of his work to the wrong host. */
static void go_home(struct networks *networks)
{
        if (setns(networks->home, CLONE_NEWNET) < 0)
                abort();
}

int pin_route(struct networks *networks, int namespace, struct netlink **route, struct error *err)
{
        int r = open_home(networks, err);
        if (r < 0)
                return r;
        if (setns(namespace, CLONE_NEWNET) < 0)
                return error_errno(err, "entering a network namespace");
        r = netlink_open(NETLINK_ROUTE, route, err);
        go_home(networks);
        return r;
}

static int raise_loopback(struct error *err)
{
        _cleanup_netlink_ struct netlink *route = NULL;
        int r = netlink_open(NETLINK_ROUTE, &route, err);
        if (r < 0)
                return r;
        link_up_queue(route, 1);
        return netlink_commit(route, NULL, NULL, "bringing up the loopback interface", err);
}

/* Runs in the new namespace. */
static int furnish(const char *path, struct error *err)
{
        int r = raise_loopback(err);
        if (r < 0)
                return r;
        /* No neighbour on a network shall be able to announce itself as the router. There may be no IPv6 at all. */
        file_poke(AT_FDCWD, "/proc/sys/net/ipv6/conf/default/accept_ra", "0", NULL);
        if (mount("/proc/thread-self/ns/net", path, NULL, MS_BIND, NULL) < 0)
                return error_errno(err, "pinning a network namespace at %s", path);
        return 0;
}

static int make_namespace(struct networks *networks, const char *path, struct error *err)
{
        int r = open_home(networks, err);
        if (r < 0)
                return r;
        if (unshare(CLONE_NEWNET) < 0)
                return error_errno(err, "making a network namespace");
        r = furnish(path, err);
        go_home(networks);
        return r;
}

int netns_make(struct networks *networks, const char *instance, char **path, struct error *err)
{
        int r = check_name(instance, err);
        if (r < 0)
                return r;
        _cleanup_free_ char *made = text_format("%s/netns/%s", networks->state, instance);
        if (!made)
                return error_memory(err);
        _cleanup_close_ int fd = openat(networks->pins, instance, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0400);
        if (fd < 0)
                return error_errno(err, "making %s", made);
        test_point("network.pin.file-made");
        if (!is_namespace(fd)) {
                r = make_namespace(networks, made, err);
                if (r < 0) {
                        unlinkat(networks->pins, instance, 0);
                        return r;
                }
        }
        test_point("network.pin.made");
        *path = TAKE_PTR(made);
        return 0;
}

int netns_remove(struct networks *networks, const char *instance, struct error *err)
{
        int r = check_name(instance, err);
        if (r < 0)
                return r;
        _cleanup_free_ char *path = text_format("%s/netns/%s", networks->state, instance);
        if (!path)
                return error_memory(err);
        /* There is one mount, or several after commands that died at the wrong moment; EINVAL: there is none. */
        while (!umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW))
                continue;
        if (errno != EINVAL && errno != ENOENT)
                return error_errno(err, "unmounting the network namespace %s", path);
        test_point("network.pin.unmounted");
        if (unlinkat(networks->pins, instance, 0) < 0 && errno != ENOENT)
                return error_errno(err, "removing %s", path);
        return 0;
}

int pins_remove_others(struct networks *networks, char *const *instances, struct error *err)
{
        _cleanup_closedir_ DIR *folder = NULL;
        int fd = openat(networks->pins, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;
        if (fd < 0 || !(folder = fdopendir(fd)))
                return error_errno(err, "listing %s/netns", networks->state);
        for (struct dirent *entry; (entry = readdir(folder));) {
                if (entry->d_name[0] == '.' || list_contains(instances, entry->d_name))
                        continue;
                int r = netns_remove(networks, entry->d_name, err);
                if (r < 0)
                        result = r;
        }
        return result;
}
