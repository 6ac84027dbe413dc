/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/handle.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/netlink.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "network/hosts.h"
#include "network/later.h"
#include "network/pin.h"
#include "network/sweep.h"

#define USUAL_STATE "/run/onggi"

/* FNV-1a: spreads names well enough, and nobody gains by making two of his own networks collide. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
        do {
                hash ^= (unsigned char)*text;
                hash *= UINT64_C(0x100000001b3);
        } while (*text++);
        return hash;
}

uint64_t networks_hash(const struct networks *networks, const char *first, ...)
{
        uint64_t hash = hash_text(UINT64_C(0xcbf29ce484222325), networks->realm);
        va_list texts;
        va_start(texts, first);
        for (const char *text = first; text; text = va_arg(texts, const char *))
                hash = hash_text(hash, text);
        va_end(texts);
        return hash ^ hash >> 32;
}

/* For us alone: leases tell who runs what, and a pinned namespace is a way into an instance. */
static int open_folder(const char *parent, const char *name, int *fd, struct error *err)
{
        struct stat status;
        _cleanup_close_ int above = directory_make(parent, 0711, err);
        if (above < 0)
                return above;
        if (mkdirat(above, name, 0700) < 0 && errno != EEXIST)
                return error_errno(err, "cannot create the folder %s/%s", parent, name);
        *fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (*fd < 0 || fstat(*fd, &status) < 0)
                return error_errno(err, "cannot open the folder %s/%s", parent, name);
        if (status.st_mode & 0077 && fchmod(*fd, 0700) < 0)
                return error_errno(err, "cannot keep others out of the folder %s/%s", parent, name);
        return 0;
}

static void name_kernel_objects(struct networks *networks)
{
        _cleanup_free_ char *real = realpath(networks->state, NULL);
        const char *state = real ? real : networks->state;
        if (strcmp(state, USUAL_STATE))
                snprintf(networks->realm, sizeof(networks->realm), "%08" PRIx32,
                         (uint32_t)networks_hash(networks, state, NULL));
        const char *dash = networks->realm[0] ? "-" : "";
        snprintf(networks->table, sizeof(networks->table), "onggi%s%s", dash, networks->realm);
        snprintf(networks->default_bridge, sizeof(networks->default_bridge), "onggi%s",
                 networks->realm[0] ? networks->realm : "0");
}

int networks_open(const char *root, const char *state, bool rootless, struct networks **networks, struct error *err)
{
        struct networks *self = calloc(1, sizeof(*self));
        if (!self)
                return error_memory(err);
        *self = (struct networks){ .root = strdup(root),
                                   .state = strdup(state),
                                   .rootless = rootless,
                                   .definitions = -1,
                                   .leases = -1,
                                   .pins = -1 };
        int r = self->root && self->state ? 0 : error_memory(err);
        if (!r)
                r = open_folder(root, "networks", &self->definitions, err);
        if (!r)
                r = open_folder(state, "networks", &self->leases, err);
        if (!r)
                r = open_folder(state, "netns", &self->pins, err);
        if (r < 0) {
                networks_close(self);
                return r;
        }
        name_kernel_objects(self);
        *networks = self;
        return 0;
}

void networks_close(struct networks *networks)
{
        if (!networks)
                return;
        if (networks->names_behind)
                later_start(networks, &(struct later){ "names", 20, names_catch_up });
        if (networks->sweep)
                later_start(networks, &(struct later){ "sweep", 1000, sweep_now });
        netlink_close(networks->route);
        netlink_close(networks->netfilter);
        for (size_t i = 0; i < 3; i++) {
                int fd = (const int[]){ networks->definitions, networks->leases, networks->pins }[i];
                if (fd >= 0)
                        close(fd);
        }
        free(networks->root);
        free(networks->state);
        free(networks);
}

int networks_lock(struct networks *networks, struct error *err)
{
        /* Held for a few milliseconds at most and never removed, so a plain wait in the kernel's queue is fairest. */
        _cleanup_close_ int fd = openat(networks->leases, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return error_errno(err, "the lock of the networks in %s", networks->state);
        while (flock(fd, LOCK_EX) < 0)
                if (errno != EINTR)
                        return error_errno(err, "locking the networks in %s", networks->state);
        return TAKE_FD(fd);
}

int networks_route(struct networks *networks, struct netlink **route, struct error *err)
{
        int r = 0;
        if (!networks->route && networks->rootless)
                r = pin_bridges_route(networks, &networks->route, err);
        else if (!networks->route)
                r = netlink_open(NETLINK_ROUTE, &networks->route, err);
        *route = networks->route;
        return r;
}

int networks_netfilter(struct networks *networks, struct netlink **netfilter, struct error *err)
{
        int r = networks->netfilter ? 0 : netlink_open(NETLINK_NETFILTER, &networks->netfilter, err);
        *netfilter = networks->netfilter;
        return r;
}
