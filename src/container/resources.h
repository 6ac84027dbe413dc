/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linux.resources as numbers and lists: what config.json asks of the control groups, checked but tied to no version of
 * them.
 *
 * OCI runtime-spec config-linux.md, sections "Allowed Device list" to "Unified". Made by resources_parse() (cgroup.h),
 * owned by whoever called it, read by cgroup_apply(). Where the specification is silent, 0 means "not set", as engines
 * write it in `update`; pids.limit, swappiness and idle are the exceptions, for which 0 is a value.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct number {
        bool present;
        int64_t value;
};

/* Bits as in BPF_DEVCG_ACC_…, so that a rule goes into an eBPF program as it is. */
enum device_access {
        DEVICE_MKNOD = 1,
        DEVICE_READ = 2,
        DEVICE_WRITE = 4,
        DEVICE_ALL = 7,
};

#define DEVICE_ANY (-1)

struct device_rule {
        bool allow;
        char type;            /* 'a' both, 'b' block, 'c' character */
        int32_t major, minor; /* DEVICE_ANY: all */
        unsigned access;      /* bits of enum device_access */
};

enum throttle {
        THROTTLE_READ_BPS,
        THROTTLE_WRITE_BPS,
        THROTTLE_READ_IOPS,
        THROTTLE_WRITE_IOPS,
        THROTTLE_COUNT,
};

struct block_limit {
        int64_t major, minor;
        struct number weight, leaf_weight; /* of weightDevice */
        struct number rate;                /* of a throttle; bytes or operations a second */
};

struct block_limits {
        struct block_limit *items;
        size_t count;
};

struct hugepage_limit {
        char *page_size; /* "2MB" */
        int64_t limit;   /* bytes */
};

struct network_priority {
        char *name;
        int64_t priority;
};

struct rdma_limit {
        char *device;
        struct number handles, objects;
};

struct unified_value {
        char *key, *value;
};

struct resources {
        bool devices_present;
        struct device_rule *devices;
        size_t device_count;

        struct {
                struct number limit, reservation, swap, kernel, kernel_tcp; /* bytes, -1 unlimited */
                struct number swappiness;
                struct number disable_oom_killer, use_hierarchy, check_before_update; /* 0 or 1 */
        } memory;
        struct {
                struct number shares, quota, burst, period, realtime_runtime, realtime_period,
                        idle; /* times in microseconds */
                char *cpus, *mems;
        } cpu;
        struct {
                struct number weight, leaf_weight;
                struct block_limits weight_devices, throttles[THROTTLE_COUNT];
        } block;
        struct number pids_limit; /* -1 unlimited */
        struct number class_id;
        struct network_priority *priorities;
        size_t priority_count;
        struct hugepage_limit *hugepages;
        size_t hugepage_count;
        struct rdma_limit *rdma;
        size_t rdma_count;
        struct unified_value *unified;
        size_t unified_count;
};

/* Names in linux.resources.blockIO, for example "throttleReadBpsDevice". */
const char *throttle_field(enum throttle throttle);

/* Bits of enum controller (cgroup_layout.h) that these limits need; device rules are not among them. */
uint32_t resources_controllers(const struct resources *resources);
