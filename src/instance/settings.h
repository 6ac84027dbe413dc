/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The settings of an instance: what `create` and `run` accept, in docker's words and in docker's units.
 *
 * Every field has one of the kinds of base/options.h, so a command's option table fills the struct directly. Strings
 * borrow (from argv, or from the document in `source`), lists are owned. The struct starts as
 * instance_settings_default() and ends with instance_settings_free(). Zero, NULL and an empty list mean "not given"
 * unless a comment says otherwise. instance_settings_check() reads each text in it, so whoever uses checked settings
 * meets no surprise.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct instance_settings {
        /* What runs. */
        const char *image;          /* as the user named it */
        char **command;             /* operands after the image; empty: the image's */
        char **entrypoint;          /* --entrypoint (one item); [""]: none; empty: the image's */
        const char *workdir, *user; /* -w, -u user[:group] by name or number */
        char **groups;              /* --group-add */
        char **environment;         /* -e NAME=VALUE; NAME alone copies the caller's */
        char **environment_files;   /* --env-file; read by instance_create() */
        bool tty, interactive;      /* -t, -i */
        bool init;                  /* --init: a small process 1 that reaps and forwards signals */
        const char *stop_signal;    /* --stop-signal */
        int64_t stop_timeout;       /* --stop-timeout, seconds; -1: 10 */

        /* How it is called. */
        const char *name, *hostname, *domainname;
        char **labels, **label_files; /* -l key[=value], --label-file */
        const char *id_file;          /* --cidfile: written by instance_create(), must not exist */
        bool remove;                  /* --rm */
        const char *restart;          /* --restart no|always|unless-stopped|on-failure[:n] */
        const char *isolation;        /* --isolation container|vm */
        const char *kernel;           /* --kernel FILE|VERSION, of a virtual machine */
        const char *engine;           /* --engine auto|kvm, of a virtual machine */
        const char *pull;             /* --pull missing|always|never: what to do is the command's */

        /* Files. */
        char **volumes;      /* -v [source:]target[:options] */
        char **mounts;       /* --mount type=…,source=…,target=… */
        char **tmpfs;        /* --tmpfs path[:options] */
        char **volumes_from; /* --volumes-from instance[:ro] */
        bool read_only;      /* --read-only */
        uint64_t shm_size;   /* --shm-size, bytes; 0: 64 MiB */
        char **devices;      /* --device host[:container[:rwm]] */
        char **device_rules; /* --device-cgroup-rule "c 1:3 rwm" */

        /* Limits; sizes in bytes, UINT64_MAX: without limit, 0: not given. */
        uint64_t memory, memory_swap, memory_reservation;
        int64_t memory_swappiness; /* 0…100; -1: not given */
        bool oom_kill_disable;
        int64_t oom_score_adj; /* -1000…1000; 0 is docker's default as well */
        const char *cpus;      /* --cpus, a decimal number of processors */
        uint64_t cpu_shares, cpu_period,
                cpu_quota; /* quota and period in microseconds (OPTION_NUMBER in docker, not sizes) */
        const char *cpuset_cpus, *cpuset_mems;
        int64_t pids_limit;                           /* 0: not given, -1: without limit */
        int64_t blkio_weight;                         /* 10…1000 */
        char **blkio_weight_device;                   /* path:weight */
        char **device_read_bps, **device_write_bps;   /* path:size */
        char **device_read_iops, **device_write_iops; /* path:number */
        char **ulimits;                               /* name=soft[:hard] */
        const char *cgroup_parent;

        /* What it may do. */
        bool privileged;
        char **cap_add, **cap_drop; /* with or without CAP_, any case; ALL */
        /* no-new-privileges, seccomp=unconfined|FILE, apparmor=, label=, systempaths=unconfined */
        char **security_options;
        char **sysctls;     /* name=value */
        const char *userns; /* --userns auto|host|uid:host:count[,…] */
        const char *pid_mode, *ipc_mode, *uts_mode,
                *cgroupns; /* host, private, container:NAME (pid, ipc), shareable, none (ipc) */

        /* Network. */
        /* --network none|host|container:NAME|NETWORK[:ip=…,alias=…,mac-address=…]; empty: default */
        char **networks;
        char **network_aliases;               /* --network-alias, on the first network */
        const char *address, *address6, *mac; /* --ip, --ip6, --mac-address on the first network */
        char **ports;                         /* -p */
        bool publish_all;                     /* -P */
        char **expose;                        /* --expose port[-port][/protocol] */
        char **dns, **dns_options, **dns_search;
        char **extra_hosts; /* --add-host name:address; address host-gateway is the bridge's */

        /* Log. */
        const char *log_driver; /* file (json-file, local: the same), none */
        char **log_options;     /* max-size=…, max-file=… */

        /* Health; times in nanoseconds, 0: docker's default (30 s, 30 s, 0, 5 s). */
        const char *health_command; /* --health-cmd, run by /bin/sh -c */
        char **health_test;         /* an image's exec form; health_command wins */
        uint64_t health_interval, health_timeout, health_start_period, health_start_interval;
        int64_t health_retries; /* 0: 3 */
        bool no_healthcheck;

        json_t *source; /* owned: what the strings borrow from after instance_settings_read() */
};

/* Fields that are not zero by default: stop_timeout -1, memory_swappiness -1. */
struct instance_settings instance_settings_default(void);
void instance_settings_free(struct instance_settings *settings);

/* Checks every text and range. -EINVAL with a text that names the option as a user writes it ("--memory …"). */
int instance_settings_check(const struct instance_settings *settings, struct error *err);

/* As a JSON object with one member for each field that is given; the caller's. NULL without memory. */
json_t *instance_settings_write(const struct instance_settings *settings);
/* Reads such an object (from a stranger's file: unknown members and wrong types are refused), then checks it. */
int instance_settings_read(json_t *object, struct instance_settings *settings, struct error *err);

/*
 * Fills in what the user left out from the image's configuration (image-spec config.md, "config"): command, entrypoint,
 * environment, user, folder, labels, ports, volumes, stop signal, health check. New strings live in settings->source.
 */
int instance_settings_merge_image(struct instance_settings *settings, const json_t *image_config, struct error *err);
