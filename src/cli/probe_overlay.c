/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/probe.h"

/* A mount namespace of its own with a tmpfs on /tmp, and an overlay in that. */
static int mount_overlay(const char *options, struct error *err)
{
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return error_errno(err, "cannot make a mount namespace");
        if (mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0)
                return error_errno(err, "cannot mount a tmpfs");
        if (mkdir("/tmp/lower", 0700) < 0 || mkdir("/tmp/upper", 0700) < 0 || mkdir("/tmp/work", 0700) < 0 ||
            mkdir("/tmp/root", 0700) < 0)
                return error_errno(err, "cannot make folders in a tmpfs");
        if (mount("overlay", "/tmp/root", "overlay", 0, options) < 0)
                return error_errno(err, "cannot mount an overlay");
        return 0;
}

static int as_root(struct error *err)
{
        return mount_overlay("lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work", err);
}

static int as_ordinary_user(struct error *err)
{
        int r = probe_become_root_without_privilege(err);
        return r < 0 ? r : mount_overlay("userxattr,lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work", err);
}

void probe_overlay(struct probe_report *report)
{
        bool root = !geteuid();
        const struct finding overlay = {
                .topic = "overlayfs",
                .state = FINDING_MISSING,
                .cost = "containers cannot share the layers of images",
                .cure = "modprobe overlay; a kernel with CONFIG_OVERLAY_FS",
        };
        const struct finding in_user_namespaces = {
                .topic = "overlayfs for ordinary users",
                .state = root ? FINDING_LIMITED : FINDING_MISSING,
                .cost = "only root can run containers",
                .cure = "a kernel of 5.11 or later, with user namespaces for ordinary users",
        };
        struct error err = { 0 };
        if (root)
                probe_add_result(report, &overlay, probe_in_child(as_root, &err), "works", &err);
        probe_add_result(report, &in_user_namespaces, probe_in_child(as_ordinary_user, &err),
                         "works in a user namespace", &err);
}
