/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/probe.h"
#include "container/cgroup_layout.h"

/* The controllers behind options that people use; v2 has the work of devices and freezer built in. */
static const struct {
        enum controller controller;
        bool only_v1;
        const char *cost, *cure;
} wanted[] = {
        { CONTROLLER_MEMORY, false, "--memory limits nothing, stats show no memory",
          "boot with cgroup_enable=memory; the kernel needs CONFIG_MEMCG" },
        { CONTROLLER_CPU, false, "--cpus and --cpu-shares limit nothing",
          "a kernel with CONFIG_CGROUP_SCHED and CONFIG_CFS_BANDWIDTH" },
        { CONTROLLER_PIDS, false, "--pids-limit limits nothing", "a kernel with CONFIG_CGROUP_PIDS" },
        { CONTROLLER_CPUSET, false, "--cpuset-cpus limits nothing", "a kernel with CONFIG_CPUSETS" },
        { CONTROLLER_BLOCK, false, "--device-read-bps and its kin limit nothing",
          "a kernel with CONFIG_BLK_CGROUP and CONFIG_BLK_DEV_THROTTLING" },
        { CONTROLLER_DEVICES, true, "containers are kept from devices by capabilities alone",
          "mount the hierarchy: mount -t cgroup -o devices cgroup /sys/fs/cgroup/devices" },
        { CONTROLLER_FREEZER, true, "pause and unpause do not work",
          "mount the hierarchy: mount -t cgroup -o freezer cgroup /sys/fs/cgroup/freezer" },
};

struct hosted {
        uint32_t v1, v2; /* bits of the controllers */
        bool has_v1, has_v2, writable;
};

static void look_at(const struct cgroup_hierarchy *hierarchy, struct hosted *hosted)
{
        if (hierarchy->version == 1) {
                hosted->has_v1 = true;
                hosted->v1 |= hierarchy->controllers;
        } else {
                _cleanup_free_ char *path = text_format("%s/cgroup.controllers", hierarchy->mount), *list = NULL;
                hosted->has_v2 = true;
                if (path && !file_read(AT_FDCWD, path, 4096, &list, NULL, NULL))
                        hosted->v2 |= controllers_parse(list, " \n", 2);
        }
        if (!access(hierarchy->own ? hierarchy->own : hierarchy->mount, W_OK))
                hosted->writable = true;
}

static void append_names(struct text *text, const char *version, uint32_t controllers, unsigned number)
{
        text_printf(text, "%s%s:", text->length ? "; " : "", version);
        size_t before = text->length;
        for (unsigned i = 0; i < CONTROLLER_COUNT; i++)
                if (controllers & CONTROLLER_BIT(i) && controller_name(i, number))
                        text_printf(text, " %s", controller_name(i, number));
        if (text->length == before)
                text_append(text, " no controllers");
}

static void add_layout(struct probe_report *report, const struct hosted *hosted)
{
        struct finding finding = {
                .topic = "control groups",
                .cost = "no limits, no statistics and no pause for this user's containers",
                .cure = "a systemd user session on a host with cgroup v2 delegates them",
        };
        if (!hosted->writable)
                finding.state = FINDING_LIMITED;
        _cleanup_text_ struct text found = { 0 };
        if (hosted->has_v1)
                append_names(&found, "v1", hosted->v1, 1);
        if (hosted->has_v2)
                append_names(&found, "v2", hosted->v2, 2);
        if (!hosted->writable)
                text_append(&found, "; not writable for this user");
        probe_add(report, &finding, "%s", found.data ? found.data : "");
}

void probe_cgroups(struct probe_report *report)
{
        static const struct finding none = {
                .topic = "control groups",
                .state = FINDING_MISSING,
                .cost = "containers cannot be limited, counted or killed as one",
                .cure = "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
        };
        struct cgroup_layout layout = { 0 };
        struct error err = { 0 };
        struct hosted hosted = { 0 };
        if (cgroup_layout_read(true, &layout, &err) < 0) {
                probe_add(report, &none, "%s", err.text);
                return;
        }
        for (size_t i = 0; i < layout.count; i++)
                look_at(&layout.hierarchies[i], &hosted);
        cgroup_layout_free(&layout);
        if (!hosted.has_v1 && !hosted.has_v2) {
                probe_add(report, &none, "no hierarchy is mounted");
                return;
        }
        add_layout(report, &hosted);
        for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
                if ((hosted.v1 | hosted.v2) & CONTROLLER_BIT(wanted[i].controller) || (wanted[i].only_v1 && !hosted.v1))
                        continue;
                const struct finding finding = { "control groups", FINDING_LIMITED, wanted[i].cost, wanted[i].cure };
                probe_add(report, &finding, "no controller %s",
                          controller_name(wanted[i].controller, wanted[i].only_v1 ? 1 : 2));
        }
}
