/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/security_label.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"

/* Kernels from 5.1 on keep the modules' files apart; older ones have the first module's file only. */
#define APPARMOR_EXEC "thread-self/attr/apparmor/exec"
#define EXEC          "thread-self/attr/exec"
#define KEYS          "thread-self/attr/keycreate"

static bool has_selinux(void)
{
        return !access("/sys/fs/selinux/enforce", F_OK);
}

static bool is_yes(const char *path)
{
        _cleanup_free_ char *text = NULL;
        return file_read(AT_FDCWD, path, 16, &text, NULL, NULL) == 0 && *text == 'Y';
}

int security_label_apparmor(int proc, const char *profile, struct error *err)
{
        if (!profile || !*profile)
                return 0;
        if (!is_yes("/sys/module/apparmor/parameters/enabled")) {
                if (!strcmp(profile, "unconfined"))
                        return 0;
                return error_set(err, -EOPNOTSUPP,
                                 "process.apparmorProfile is \"%s\", but this host has no AppArmor; leave "
                                 "it out",
                                 profile);
        }
        _cleanup_free_ char *command = text_format("exec %s", profile);
        if (!command)
                return error_memory(err);
        int r = file_poke(proc, APPARMOR_EXEC, command, err);
        if (r == -ENOENT && !faccessat(proc, APPARMOR_EXEC, F_OK, 0))
                return error_set(err, r, "AppArmor has no profile \"%s\"; load it with apparmor_parser", profile);
        if (r == -ENOENT)
                r = file_poke(proc, EXEC, command, err);
        return r < 0 && err ? error_prefix(err, "cannot use the AppArmor profile \"%s\"", profile) : r;
}

int security_label_selinux(int proc, const char *label, struct error *err)
{
        if (!label || !*label)
                return 0;
        if (!has_selinux())
                return error_set(err, -EOPNOTSUPP,
                                 "process.selinuxLabel is \"%s\", but this host has no SELinux; leave it out", label);
        int r = file_poke(proc, EXEC, label, err);
        return r < 0 && err ? error_prefix(err, "cannot use the SELinux label \"%s\"", label) : r;
}

int security_label_keys(int proc, const char *label, struct error *err)
{
        if (!has_selinux())
                return 0;
        return file_poke(proc, KEYS, label ? label : "", err);
}
