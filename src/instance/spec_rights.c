/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/text.h"
#include "container/default_profile.h"
#include "instance/seccomp_profile.h"
#include "instance/spec.h"

/* capabilities(7), in the kernel's order. */
static const char *const all_capabilities[] = {
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "KILL",
        "SETGID",
        "SETUID",
        "SETPCAP",
        "LINUX_IMMUTABLE",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_ADMIN",
        "NET_RAW",
        "IPC_LOCK",
        "IPC_OWNER",
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_CHROOT",
        "SYS_PTRACE",
        "SYS_PACCT",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_NICE",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "MKNOD",
        "LEASE",
        "AUDIT_WRITE",
        "AUDIT_CONTROL",
        "SETFCAP",
        "MAC_OVERRIDE",
        "MAC_ADMIN",
        "SYSLOG",
        "WAKE_ALARM",
        "BLOCK_SUSPEND",
        "AUDIT_READ",
        "PERFMON",
        "BPF",
        "CHECKPOINT_RESTORE",
};

static int bit_of(const char *name)
{
        if (!strncasecmp(name, "CAP_", 4))
                name += 4;
        for (size_t i = 0; i < ARRAY_SIZE(all_capabilities); i++)
                if (!strcasecmp(name, all_capabilities[i]))
                        return (int)i;
        return -1;
}

/* The last capability that the running kernel knows: more would only be warned about. */
static unsigned kernel_capabilities(void)
{
        char text[16];
        unsigned last = ARRAY_SIZE(all_capabilities) - 1;
        _cleanup_close_ int fd = open("/proc/sys/kernel/cap_last_cap", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        text[n < 0 ? 0 : n] = 0;
        sscanf(text, "%u", &last);
        return last + 1 < ARRAY_SIZE(all_capabilities) ? last + 1 : ARRAY_SIZE(all_capabilities);
}

static int change(uint64_t *set, const char *option, char *const *names, bool add, uint64_t all, struct error *err)
{
        for (; names && *names; names++) {
                int bit = bit_of(*names);
                uint64_t bits = !strcasecmp(*names, "ALL") ? all : bit >= 0 ? 1ULL << bit : 0;
                if (!bits)
                        return error_set(err, -EINVAL, "%s \"%s\" is not a capability; capabilities(7) lists them",
                                         option, *names);
                *set = add ? *set | bits : *set & ~bits;
        }
        return 0;
}

static int capability_set(const struct instance_settings *settings, uint64_t *capabilities, struct error *err)
{
        uint64_t all = (1ULL << kernel_capabilities()) - 1;
        uint64_t set = settings->privileged ? all : default_capabilities();
        /* Docker's order: "--cap-drop ALL --cap-add X" leaves X, "--cap-add ALL --cap-drop X" all but X. */
        bool drops_all = false;
        for (char *const *name = settings->cap_drop; name && *name; name++)
                drops_all |= !strcasecmp(*name, "ALL");
        int r = drops_all ? change(&set, "--cap-drop", settings->cap_drop, false, all, err)
                          : change(&set, "--cap-add", settings->cap_add, true, all, err);
        if (!r)
                r = drops_all ? change(&set, "--cap-add", settings->cap_add, true, all, err)
                              : change(&set, "--cap-drop", settings->cap_drop, false, all, err);
        *capabilities = set;
        return r;
}

int spec_capabilities(const struct instance_settings *settings, json_t **capabilities, struct error *err)
{
        uint64_t set;
        int r = capability_set(settings, &set, err);
        if (r < 0)
                return r;
        _cleanup_json_ json_t *names = json_array();
        for (size_t i = 0; i < ARRAY_SIZE(all_capabilities); i++) {
                char name[32];
                snprintf(name, sizeof(name), "CAP_%s", all_capabilities[i]);
                if (set & 1ULL << i)
                        json_array_append_new(names, json_string(name));
        }
        *capabilities = json_pack("{s:O, s:O, s:O}", "bounding", names, "effective", names, "permitted", names);
        return *capabilities ? 0 : error_memory(err);
}

static int read_profile(const char *path, const json_t *capabilities, json_t **seccomp, struct error *err)
{
        json_t *read = NULL;
        int r = json_read(AT_FDCWD, path, &read, err);
        _cleanup_json_ json_t *profile = read;
        const struct seccomp_host host = seccomp_host_here(capabilities);
        if (!r)
                r = seccomp_profile_translate(profile, path, &host, seccomp, err);
        return r < 0 ? error_prefix(err, "--security-opt seccomp") : 0;
}

static int file_profile(const struct instance_settings *settings, const char *path, json_t **seccomp, struct error *err)
{
        json_t *sets = NULL;
        int r = spec_capabilities(settings, &sets, err);
        if (!r)
                r = read_profile(path, json_object_get(sets, "bounding"), seccomp, err);
        json_decref(sets);
        return r;
}

int spec_seccomp(const struct instance_settings *settings, json_t **seccomp, struct error *err)
{
        struct security_settings security;
        uint64_t set;
        *seccomp = NULL;
        int r = security_settings_parse(settings->security_options, &security, err);
        if (r < 0 || security.seccomp_unconfined)
                return r;
        if (security.seccomp_file[0])
                return file_profile(settings, security.seccomp_file, seccomp, err);
        if (settings->privileged)
                return 0;
        r = capability_set(settings, &set, err);
        if (r < 0)
                return r;
        *seccomp = default_seccomp_profile(set);
        return *seccomp ? 0 : error_memory(err);
}
