/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mounts of the caller's mount namespace, as /proc/self/mountinfo lists them.
 */
#pragma once

#include "base/error.h"

struct host_mount {
        const char *root;  /* what of the file system is mounted */
        const char *point; /* where; octal escapes decoded */
        const char *type;
        const char *options; /* of the superblock, separated by commas */
};

/*
 * Calls visit() for each mount in order until it returns other than 0, and returns that. The strings last for the
 * call.
 */
int host_mounts_each(int (*visit)(const struct host_mount *mount, void *context, struct error *err), void *context,
                     struct error *err);

/*
 * Takes away, or covers, every proc and sysfs that is not below `except`: for a root that is entered without a pivot.
 */
int host_mounts_hide(const char *except, struct error *err);
