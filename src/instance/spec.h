/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The OCI configuration (runtime-spec config.md) that an instance's settings amount to: what onggi-runtime is given.
 *
 * Built anew for each start, when everything that only then is known stands in a struct spec_input: the mounted root,
 * who the user is, the network namespace, other instances whose namespaces are shared. spec_build() asks nothing of
 * the outside but device numbers of files in /dev.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "instance/mount_setting.h"
#include "instance/setting_text.h"
#include "instance/settings.h"
#include "instance/user_lookup.h"

#define SPEC_INIT "/sbin/onggi-reaper" /* where --init puts it */

struct spec_input {
        const char *id;
        const struct instance_settings *settings;
        const struct identity *identity;
        const struct mount_setting *mounts; /* sources are absolute paths, also of volumes */
        size_t mount_count;
        const char *root; /* where the monitor attaches the root file system */
        const char *hostname;
        const char *files;             /* folder of hosts, hostname, resolv.conf; NULL: the image's own are used */
        const char *init;              /* path of onggi-reaper, NULL without --init */
        const char *network_namespace; /* path; "": a new one of its own; NULL: the host's */
        pid_t pid_of, ipc_of;          /* first processes of instances whose namespaces are shared, 0: none */
        const char *shm;               /* folder that is /dev/shm, NULL: a tmpfs of its own */
        const struct id_range *ids;    /* of its own user namespace */
        size_t id_count;               /* 0: none */
        const char *user_namespace;    /* path of one with those ids to join, NULL: a new one */
        bool rootless;
};

int spec_build(const struct spec_input *input, json_t **spec, struct error *err);

/* The process object alone, also for exec: user, env, cwd, capabilities, rlimits. `arguments` is borrowed. */
int spec_process(const struct spec_input *input, char *const *arguments, json_t **process, struct error *err);
/* Arguments as docker puts them together: entry point and command. The list's strings are the settings'; free() it
 * only. */
char **spec_arguments(const struct instance_settings *settings);

/* linux.resources alone, also for update. */
int spec_resources(const struct instance_settings *settings, json_t **resources, struct error *err);

/* Parts of spec_build(), each in its own file. */
int spec_mounts(const struct spec_input *input, json_t **mounts, struct error *err);
int spec_devices(const struct spec_input *input, json_t *devices, json_t *rules, struct error *err);
/* Whether the device of --device is among the mounts, not among the devices. */
bool spec_binds_device(const struct spec_input *input, const struct device_setting *device);
/* *capabilities for process.capabilities; the five sets. */
int spec_capabilities(const struct instance_settings *settings, json_t **capabilities, struct error *err);
/* linux.seccomp: the default profile, that of a file, or NULL where unconfined. */
int spec_seccomp(const struct instance_settings *settings, json_t **seccomp, struct error *err);

/* [strings…]; NULL without memory. */
json_t *spec_strings(const char *const *list);
