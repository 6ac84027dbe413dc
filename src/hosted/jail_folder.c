/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/jail_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "hosted/jail_private.h"

#define NUMBERS "/proc/self/fd"

static int open_path(const char *path, struct error *err)
{
        int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? error_errno(err, "cannot open %s", path) : fd;
}

int jail_folder_enter(const char *path, bool read_only, bool no_jail, int *folder, int *numbers, struct error *err)
{
        int flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET;
        int alone = no_jail ? 0 : jail_leave_namespaces(flags, err);
        if (alone < 0)
                return alone;
        uint64_t attributes = read_only ? MOUNT_ATTR_RDONLY : 0;
        /* A relative path and a link in it are the caller's to give: the folder is looked up as they see it. */
        *folder = alone ? jail_open_mount(path, attributes, true, err) : open_path(path, err);
        if (*folder < 0)
                return *folder;
        *numbers = alone ? jail_open_mount(NUMBERS, 0, false, err) : open_path(NUMBERS, err);
        int r = *numbers < 0 ? *numbers : alone ? jail_change_root(-1, err) : 0;
        if (r < 0)
                close(*folder);
        return r;
}

/*
 * What a guest's users may do to their own files and its root to all of them, a server must be able to do for
 * them. None of it reaches beyond the mount of the folder.
 */
#define BIT(capability) (1ULL << (capability))
#define TO_READ         BIT(CAP_DAC_READ_SEARCH)
#define TO_WRITE                                                                                                       \
        (BIT(CAP_DAC_OVERRIDE) | BIT(CAP_CHOWN) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) | BIT(CAP_SETFCAP) |               \
         BIT(CAP_MKNOD) | BIT(CAP_SETUID) | BIT(CAP_SETGID))

int jail_folder_lock(int folder, bool read_only, bool no_jail, struct error *err)
{
        /*
         * A thread that makes a file as one of the guest's users stays able to do so where the guest's kernel let it.
         * An ordinary user may not change this, and has nothing to keep either.
         */
        (void)prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED, 0, 0, 0);
        if (no_jail)
                return 0;
        int r = jail_keep_capabilities(read_only ? TO_READ : TO_WRITE, err);
        if (!r)
                r = jail_close_ways(err);
        return r < 0 ? r : jail_lock_files(folder, UINT64_MAX, err);
}
