/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/capability.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Index is the number: include/uapi/linux/capability.h. */
static const char *const names[] = {
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETPCAP",
        "CAP_LINUX_IMMUTABLE",
        "CAP_NET_BIND_SERVICE",
        "CAP_NET_BROADCAST",
        "CAP_NET_ADMIN",
        "CAP_NET_RAW",
        "CAP_IPC_LOCK",
        "CAP_IPC_OWNER",
        "CAP_SYS_MODULE",
        "CAP_SYS_RAWIO",
        "CAP_SYS_CHROOT",
        "CAP_SYS_PTRACE",
        "CAP_SYS_PACCT",
        "CAP_SYS_ADMIN",
        "CAP_SYS_BOOT",
        "CAP_SYS_NICE",
        "CAP_SYS_RESOURCE",
        "CAP_SYS_TIME",
        "CAP_SYS_TTY_CONFIG",
        "CAP_MKNOD",
        "CAP_LEASE",
        "CAP_AUDIT_WRITE",
        "CAP_AUDIT_CONTROL",
        "CAP_SETFCAP",
        "CAP_MAC_OVERRIDE",
        "CAP_MAC_ADMIN",
        "CAP_SYSLOG",
        "CAP_WAKE_ALARM",
        "CAP_BLOCK_SUSPEND",
        "CAP_AUDIT_READ",
        "CAP_PERFMON",
        "CAP_BPF",
        "CAP_CHECKPOINT_RESTORE",
};

int capability_from_name(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                if (!strcmp(name, names[i]))
                        return (int)i;
        }
        return -EINVAL;
}

const char *capability_name(unsigned number)
{
        return number < ARRAY_SIZE(names) ? names[number] : "a capability";
}

/* Older kernels know fewer: to them the others are unknown as well. */
static bool kernel_knows(int number)
{
        return prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0;
}

static void parse_set(const struct json_at *at, const char *key, uint64_t *set, void (*warn)(const char *text))
{
        struct json_at array = json_get_array(at, key);
        for (size_t i = 0; i < json_count(&array); i++) {
                struct json_at element = json_element(&array, i);
                const char *name = json_string_at(&element);
                if (!name)
                        return;
                int number = capability_from_name(name);
                if (number >= 0 && kernel_knows(number)) {
                        *set |= UINT64_C(1) << number;
                } else if (warn) {
                        char text[160];
                        snprintf(text, sizeof(text),
                                 "process.capabilities.%s: %.64s is not a capability of this kernel; it is "
                                 "left out",
                                 key, name);
                        warn(text);
                }
        }
}

int capabilities_parse(const struct json_at *at, struct capabilities *sets, void (*warn)(const char *text),
                       struct error *err)
{
        (void)err; /* misfits go to the reader's, which is the same */
        *sets = (struct capabilities){ 0 };
        parse_set(at, "bounding", &sets->bounding, warn);
        parse_set(at, "effective", &sets->effective, warn);
        parse_set(at, "permitted", &sets->permitted, warn);
        parse_set(at, "inheritable", &sets->inheritable, warn);
        parse_set(at, "ambient", &sets->ambient, warn);
        return json_failed(at);
}

static int drop_bounding(uint64_t keep, struct error *err)
{
        for (int number = 0; number < 64; number++) {
                if (keep >> number & 1)
                        continue;
                int held = prctl(PR_CAPBSET_READ, number, 0, 0, 0);
                if (held < 0)
                        return 0; /* past the last one */
                if (held && prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0)
                        return error_errno(err, "cannot drop %s from the bounding set",
                                           capability_name((unsigned)number));
        }
        return 0;
}

static int change_identity(uid_t uid, gid_t gid, const gid_t *groups, size_t count, bool set_groups, struct error *err)
{
        if (set_groups && syscall(SYS_setgroups, count, groups) < 0)
                return error_errno(err, "cannot set the additional groups");
        if (syscall(SYS_setresgid, gid, gid, gid) < 0)
                return error_errno(err, "cannot become group %u; is it mapped in the container's user namespace?", gid);
        if (syscall(SYS_setresuid, uid, uid, uid) < 0)
                return error_errno(err, "cannot become user %u; is it mapped in the container's user namespace?", uid);
        return 0;
}

static int set_sets(const struct capabilities *sets, struct error *err)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2];
        if (syscall(SYS_capget, &header, data) < 0)
                return error_errno(err, "cannot read the capabilities");

        /* What the caller lacks it cannot give; the specification asks to go on without. */
        uint64_t held = data[0].permitted | (uint64_t)data[1].permitted << 32;
        uint64_t inherited = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
        uint64_t permitted = sets->permitted & held;
        uint64_t effective = sets->effective & permitted;
        uint64_t inheritable = sets->inheritable & (inherited | (held & sets->bounding));
        for (int i = 0; i < 2; i++) {
                data[i].effective = (uint32_t)(effective >> 32 * i);
                data[i].permitted = (uint32_t)(permitted >> 32 * i);
                data[i].inheritable = (uint32_t)(inheritable >> 32 * i);
        }
        if (syscall(SYS_capset, &header, data) < 0)
                return error_errno(err, "cannot set the capabilities");

        uint64_t ambient = sets->ambient & permitted & inheritable;
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
                return error_errno(err, "cannot clear the ambient capabilities");
        for (unsigned number = 0; ambient >> number; number++) {
                if (ambient >> number & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) < 0)
                        return error_errno(err, "cannot raise the ambient capability %s", capability_name(number));
        }
        return 0;
}

int capabilities_apply(const struct capabilities *sets, uid_t uid, gid_t gid, const gid_t *groups, size_t count,
                       bool set_groups, struct error *err)
{
        int r = drop_bounding(sets->bounding, err);
        if (r < 0)
                return r;
        if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
                return error_errno(err, "cannot keep capabilities over the change of user");
        r = change_identity(uid, gid, groups, count, set_groups, err);
        if (r < 0)
                return r;
        if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
                return error_errno(err, "cannot reset the keeping of capabilities");
        return set_sets(sets, err);
}

json_t *capabilities_features(void)
{
        json_t *list = json_array();
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                json_array_append_new(list, json_string(names[i]));
        return list;
}
