/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "cli/probe.h"
#include "engine/kvm/kvm.h"

#define NO_KVM                                                                                                         \
        "turn on virtualization in the firmware, or nesting in the hypervisor below; modprobe kvm_amd or kvm_intel"

static const struct {
        int code; /* of kvm_self_test() */
        const char *cure;
} cures[] = {
        { -ENOENT, NO_KVM },
        { -ENODEV, NO_KVM },
        { -EACCES, "add this user to the group that /dev/kvm has: usermod -aG kvm NAME" },
        { -ENOTSUP, "a host with hardware virtualization of its own; this one's /dev/kvm emulates it in part" },
        { 0, "see the error" },
};

void probe_kvm(struct probe_report *report)
{
        struct finding finding = {
                .topic = "KVM",
                .state = FINDING_LIMITED,
                .cost = "nothing for containers; virtual machines cannot use it",
        };
        struct error err = { 0 };
        int r = kvm_self_test(&err);
        size_t i = 0;
        while (cures[i].code && cures[i].code != r)
                i++;
        finding.cure = cures[i].cure;
        probe_add_result(report, &finding, r, "runs what an ordinary kernel needs", &err);
}
