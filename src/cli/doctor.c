/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctor: whether containers run here, and what is missing. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/output.h"
#include "cli/probe.h"
#include "cli/verbs.h"

struct doctor_options {
        const char *format;
};

static const struct option_spec doctor_option_table[] = {
        { "format", 'f', OPTION_STRING, offsetof(struct doctor_options, format), "FORMAT",
          "json, or a template such as {{.Containers}}" },
        { 0 },
};
static const struct option_spec *const doctor_tables[] = { doctor_option_table, NULL };

static void (*const probes[])(struct probe_report *report) = {
        probe_kernel, probe_cgroups, probe_overlay, probe_users, probe_network, probe_kvm,
};

static const char *member(const json_t *finding, const char *key)
{
        const char *text = json_string_value(json_object_get(finding, key));
        return text ? text : "";
}

static void print_finding(const json_t *finding)
{
        printf("  %-8s %-30s %s\n", member(finding, "state"), member(finding, "topic"), member(finding, "found"));
        if (*member(finding, "cost"))
                printf("%41s costs:  %s\n%41s remedy: %s\n", "", member(finding, "cost"), "", member(finding, "cure"));
}

static void print_findings(const struct probe_report *report)
{
        printf("Containers %s on this machine%s.\n\n", report->missing ? "cannot run" : "can run",
               geteuid() ? " for an ordinary user" : "");
        size_t i;
        json_t *finding;
        json_array_foreach(report->findings, i, finding)
                print_finding(finding);
}

static int doctor(struct call *call, void *target, struct error *err)
{
        (void)call;
        const struct doctor_options *options = target;
        _cleanup_json_ json_t *findings = json_array();
        struct probe_report report = { .findings = findings };
        /* Children are forked: what stands in the buffer would be written twice. */
        fflush(stdout);
        for (size_t i = 0; i < ARRAY_SIZE(probes); i++)
                probes[i](&report);
        if (!findings || report.failed)
                return error_memory(err);

        if (!options->format) {
                print_findings(&report);
        } else {
                _cleanup_json_ json_t *object =
                        json_pack("{s:b, s:O}", "Containers", !report.missing, "Findings", findings);
                int r = object ? object_print(object, options->format, stdout, err) : error_memory(err);
                if (r < 0)
                        return r;
        }
        return report.missing ? STATUS_FAILED : 0;
}

const struct command command_doctor = {
        .summary = "Say what this machine offers, what is missing and how to get it",
        .usage = "",
        .description =
                "Tries what containers and virtual machines need and says, for each thing that is missing, what that\n"
                "costs and how to get it: the kernel's version, seccomp, security modules, control groups (v1, v2 or\n"
                "both, and which controllers are where), overlayfs and user namespaces for root and for ordinary\n"
                "users, sub-ids, id-mapped mounts, network namespaces, bridges, nftables, tun, pasta, and KVM, by\n"
                "running a few instructions of an ordinary kernel in it.\n\n"
                "What it tries it tries in namespaces of its own, so nothing is left behind. Each line is \"ok\",\n"
                "\"limited\" (containers run, something of them does not) or \"missing\" (none runs). The exit status\n"
                "is 0 if containers can run.",
        .options = doctor_tables,
        .options_size = sizeof(struct doctor_options),
        .run = doctor,
};
