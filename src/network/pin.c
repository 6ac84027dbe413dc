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
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>

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

/* Something that is done inside a network namespace. */
struct errand {
        int namespace; /* -1: a new one */
        int (*work)(void *data, struct error *err);
        void *data;
        struct error *err;
        int result;
};

static int enter_and_work(void *data)
{
        struct errand *errand = data;
        if (errand->namespace < 0 && unshare(CLONE_NEWNET) < 0)
                errand->result = error_errno(errand->err, "making a network namespace");
        else if (errand->namespace >= 0 && setns(errand->namespace, CLONE_NEWNET) < 0)
                errand->result = error_errno(errand->err, "entering a network namespace");
        else
                errand->result = errand->work(errand->data, errand->err);
        return 0;
}

#define ERRAND_STACK ((size_t)256 * 1024)

/*
 * By a child that shares our memory and descriptors, while we wait: an ordinary user may leave the host's network
 * namespace but never come back to it.
 */
static int run_errand(struct errand *errand)
{
        char *stack = mmap(NULL, ERRAND_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (stack == MAP_FAILED)
                return error_memory(errand->err);
        pid_t child = clone(enter_and_work, stack + ERRAND_STACK, CLONE_VM | CLONE_VFORK | CLONE_FILES, errand);
        int r = child < 0 ? error_errno(errand->err, "starting a child to enter a network namespace") : 0;
        while (child > 0 && waitpid(child, NULL, __WALL) < 0 && errno == EINTR)
                continue;
        munmap(stack, ERRAND_STACK);
        return r < 0 ? r : errand->result;
}

static int open_route(void *data, struct error *err)
{
        return netlink_open(NETLINK_ROUTE, data, err);
}

int pin_route(int namespace, struct netlink **route, struct error *err)
{
        return run_errand(&(struct errand){ .namespace = namespace, .work = open_route, .data = route, .err = err });
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
static int furnish(void *data, struct error *err)
{
        const char *path = data;
        int r = raise_loopback(err);
        if (r < 0)
                return r;
        /*
         * No neighbour on a network shall be able to announce itself as the router. And addresses are given once, so
         * none has to wait two seconds until nobody else claims it. There may be no IPv6 at all.
         */
        file_poke(AT_FDCWD, "/proc/sys/net/ipv6/conf/default/accept_ra", "0", NULL);
        file_poke(AT_FDCWD, "/proc/sys/net/ipv6/conf/default/accept_dad", "0", NULL);
        if (mount("/proc/thread-self/ns/net", path, NULL, MS_BIND, NULL) < 0)
                return error_errno(err, "pinning a network namespace at %s", path);
        return 0;
}

static int make_pin(struct networks *networks, const char *instance, char **path, struct error *err)
{
        int r;
        _cleanup_free_ char *made = text_format("%s/netns/%s", networks->state, instance);
        if (!made)
                return error_memory(err);
        _cleanup_close_ int fd = openat(networks->pins, instance, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0400);
        if (fd < 0)
                return error_errno(err, "making %s", made);
        test_point("network.pin.file-made");
        if (!is_namespace(fd)) {
                r = run_errand(&(struct errand){ .namespace = -1, .work = furnish, .data = made, .err = err });
                if (r < 0) {
                        unlinkat(networks->pins, instance, 0);
                        return r;
                }
        }
        test_point("network.pin.made");
        *path = TAKE_PTR(made);
        return 0;
}

int netns_make(struct networks *networks, const char *instance, char **path, struct error *err)
{
        int r = check_name(instance, err);
        return r < 0 ? r : make_pin(networks, instance, path, err);
}

static int remove_pin(struct networks *networks, const char *instance, struct error *err)
{
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

int netns_remove(struct networks *networks, const char *instance, struct error *err)
{
        int r = check_name(instance, err);
        return r < 0 ? r : remove_pin(networks, instance, err);
}

#define BRIDGES ".bridges"

int pin_bridges_route(struct networks *networks, struct netlink **route, struct error *err)
{
        _cleanup_free_ char *path = NULL;
        int r = make_pin(networks, BRIDGES, &path, err);
        if (r < 0)
                return r;
        _cleanup_close_ int namespace = open(path, O_RDONLY | O_CLOEXEC);
        if (namespace < 0)
                return error_errno(err, "the namespace of the bridges");
        return pin_route(namespace, route, err);
}

int pin_bridges_remove(struct networks *networks, struct error *err)
{
        return remove_pin(networks, BRIDGES, err);
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
