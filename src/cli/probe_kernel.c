/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "cli/probe.h"

/* mount_setattr(2) is the newest system call that nothing else can stand in for. */
#define KERNEL_MAJOR 5
#define KERNEL_MINOR 12

static void probe_version(struct probe_report *report)
{
        struct finding finding = {
                .topic = "kernel",
                .state = FINDING_MISSING,
                .cost = "system calls that containers are made with (openat2, mount_setattr) are not there",
                .cure = "boot a kernel of 5.12 or later; Debian 12 has 6.1",
        };
        struct utsname system;
        unsigned major = 0, minor = 0;
        if (uname(&system) < 0 || sscanf(system.release, "%u.%u", &major, &minor) != 2)
                snprintf(system.release, sizeof(system.release), "unknown");
        if (major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR))
                finding.state = FINDING_OK;
        probe_add(report, &finding, "Linux %s on %s", system.release, system.machine);
}

static bool has_action(unsigned action)
{
        return !syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
}

static void probe_seccomp(struct probe_report *report)
{
        static const struct finding none = {
                .topic = "seccomp",
                .state = FINDING_MISSING,
                .cost = "system calls cannot be filtered; only --security-opt seccomp=unconfined would run",
                .cure = "a kernel built with CONFIG_SECCOMP_FILTER, as all of Debian's are",
        };
        static const struct finding some = {
                .topic = "seccomp",
                .state = FINDING_LIMITED,
                .cost = "profiles that pass system calls on to another program (SCMP_ACT_NOTIFY) are refused",
                .cure = "a kernel of 5.0 or later",
        };
        static const struct finding fine = { .topic = "seccomp" };
        if (!has_action(SECCOMP_RET_ERRNO))
                probe_add(report, &none, "no filters");
        else if (!has_action(SECCOMP_RET_USER_NOTIF))
                probe_add(report, &some, "filters without user notification");
        else
                probe_add(report, &fine, "filters, with user notification");
}

static void probe_security_modules(struct probe_report *report)
{
        struct finding finding = {
                .topic = "security modules",
                .cost = "one wall less: --security-opt apparmor=… and label=… have no effect here",
                .cure = "boot with lsm=…,apparmor (Debian: package apparmor), or SELinux",
        };
        _cleanup_free_ char *enabled = NULL;
        bool apparmor = !file_read(AT_FDCWD, "/sys/module/apparmor/parameters/enabled", 16, &enabled, NULL, NULL) &&
                        enabled[0] == 'Y';
        bool selinux = !access("/sys/fs/selinux/enforce", F_OK);
        if (!apparmor && !selinux)
                finding.state = FINDING_LIMITED;
        probe_add(report, &finding, "%s", apparmor ? "AppArmor" : selinux ? "SELinux" : "neither AppArmor nor SELinux");
}

void probe_kernel(struct probe_report *report)
{
        probe_version(report);
        probe_seccomp(report);
        probe_security_modules(report);
}
