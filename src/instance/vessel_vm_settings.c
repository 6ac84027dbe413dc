/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "instance/network_setting.h"
#include "instance/setting_text.h"
#include "instance/vessel_private.h"

#define MIB (1024 * 1024ULL)

#define DEFAULT_MEMORY (512 * MIB)
#define LEAST_MEMORY   (64 * MIB) /* a stock kernel with its initramfs does not boot with less */
#define MEMORY_UNIT    (2 * MIB)  /* of the pages that map guest memory where the host has such */
#define PROCESSORS_MAX 64         /* as many as onggi-vmm makes */

/* An option that shares something of the host's kernel, which a virtual machine does not run on. */
struct refusal {
        size_t offset; /* in struct instance_settings: of a string, or of a list */
        bool list;
        const char *option;
        const char *allowed[3]; /* words that mean the same as leaving the option out */
        const char *reason;
};

#define STRING(field) offsetof(struct instance_settings, field), false
#define LIST(field)   offsetof(struct instance_settings, field), true

static const struct refusal refusals[] = {
        { STRING(pid_mode), "--pid", { "", "private" }, "its processes are its own kernel's" },
        { STRING(ipc_mode), "--ipc", { "", "private", "none" }, "its shared memory is its own kernel's" },
        { STRING(uts_mode), "--uts", { "", "private" }, "its host name is its own kernel's" },
        { STRING(cgroupns), "--cgroupns", { "", "private" }, "its control groups are its own kernel's" },
        { STRING(userns),
          "--userns",
          { "", "host" },
          "its users are its own kernel's, and none of them is a user of the host" },
        { LIST(devices), "--device", { 0 }, "devices of the host cannot be given to it" },
        { LIST(device_rules), "--device-cgroup-rule", { 0 }, "it has devices of its own only" },
};

static bool is_refused(const struct instance_settings *settings, const struct refusal *refusal)
{
        const void *at = (const char *)settings + refusal->offset;
        if (refusal->list)
                return *(char **const *)at;
        const char *given = *(const char *const *)at;
        for (size_t i = 0; i < ARRAY_SIZE(refusal->allowed); i++)
                if (text_equal(given, refusal->allowed[i]))
                        return false;
        return given;
}

static int check_shared(const struct instance_settings *settings, struct error *err)
{
        for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
                if (is_refused(settings, &refusals[i]))
                        return error_set(err, -EINVAL, "%s does not go with --isolation vm: %s", refusals[i].option,
                                         refusals[i].reason);
        enum network_kind kind = network_settings_kind(settings);
        if (kind == NETWORK_HOST || kind == NETWORK_CONTAINER)
                return error_set(err, -EINVAL,
                                 "--network %s does not go with --isolation vm, which has a network stack of its own; "
                                 "use a network and --publish",
                                 kind == NETWORK_HOST ? "host" : "container:NAME");
        return 0;
}

int vm_check_settings(const struct instance_settings *settings, struct error *err)
{
        int r = check_shared(settings, err);
        if (r < 0)
                return r;
        if (settings->memory == UINT64_MAX)
                return error_set(err, -EINVAL, "--memory -1: a virtual machine has a size; give one");
        if (settings->memory && settings->memory < LEAST_MEMORY)
                return error_set(err, -EINVAL, "--memory %llu: a virtual machine needs %llu MiB at least",
                                 (unsigned long long)settings->memory, LEAST_MEMORY / MIB);
        unsigned processors = vm_processors(settings);
        if (processors > PROCESSORS_MAX)
                return error_set(err, -EINVAL, "--cpus: a virtual machine has at most %d processors, not %u",
                                 PROCESSORS_MAX, processors);
        return 0;
}

uint64_t vm_memory(const struct instance_settings *settings)
{
        if (!settings->memory)
                return DEFAULT_MEMORY;
        return (settings->memory + MEMORY_UNIT - 1) / MEMORY_UNIT * MEMORY_UNIT;
}

unsigned vm_processors(const struct instance_settings *settings)
{
        const uint64_t one = 1000000000;
        uint64_t billionths = one, period = settings->cpu_period ? settings->cpu_period : 100000;
        if (settings->cpus && cpus_parse(settings->cpus, &billionths, NULL) < 0)
                billionths = one;
        else if (settings->cpu_quota && settings->cpu_quota < INT64_MAX / one)
                billionths = settings->cpu_quota * one / period;
        return billionths ? (unsigned)((billionths + one - 1) / one) : 1;
}
