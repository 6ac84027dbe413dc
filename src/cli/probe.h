/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Probes: what this host offers, found out by using it, and for what is missing, what that costs and how to get it.
 *
 * A probe that would change its process (namespaces, mounts) runs in a child that ends with it and is killed when it
 * hangs, so nothing of a probe is left on the host.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"

enum finding_state {
        FINDING_OK,
        FINDING_LIMITED, /* containers run, something of them does not */
        FINDING_MISSING, /* no container can run */
};

/* Strings of `cost` and `cure` are constant, or live as long as the report; both NULL where all is well. */
struct finding {
        const char *topic;
        enum finding_state state;
        const char *cost; /* what does not work without it */
        const char *cure; /* how to get it */
};

struct probe_report {
        json_t *findings; /* array of {"topic", "state", "found", "cost", "cure"}; owned by whoever made it */
        bool failed;      /* memory ran out */
        bool missing;     /* there is a FINDING_MISSING */
};

const char *finding_state_name(enum finding_state state); /* "ok", "limited", "missing" */

/* Adds a finding; the format says what was found. */
void probe_add(struct probe_report *report, const struct finding *finding, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* Adds the topic as FINDING_OK with `found`, or, after a failure, the whole finding with the error's text. */
void probe_add_result(struct probe_report *report, const struct finding *finding, int result, const char *found,
                      const struct error *err);

/* Runs `probe` in a child. Returns what it returned, with its error; -ETIMEDOUT after a few seconds. */
int probe_in_child(int (*probe)(struct error *err), struct error *err);
/* For use in a child: a user namespace in which it is root, where it is not root already. */
int probe_become_root(struct error *err);
/* For use in a child: the same, but as an ordinary user has to do it. */
int probe_become_root_without_privilege(struct error *err);

/* ---- The probes, by file ---- */

void probe_kernel(struct probe_report *report);  /* probe_kernel.c: version, seccomp, security modules */
void probe_cgroups(struct probe_report *report); /* probe_cgroup.c */
void probe_users(struct probe_report *report);   /* probe_user.c: user namespaces, sub-ids, id-mapped mounts */
void probe_overlay(struct probe_report *report); /* probe_overlay.c */
void probe_network(struct probe_report *report); /* probe_network.c: bridge, veth, nftables, tun, pasta */
void probe_kvm(struct probe_report *report);     /* probe_kvm.c */
