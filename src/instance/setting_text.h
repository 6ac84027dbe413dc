/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The small languages inside settings: each text of one option taken apart, in one place for checking and for use.
 *
 * All return 0 or -EINVAL with a text that names the option; parts that point into a struct are arrays of it, nothing
 * is owned.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

#define SETTING_PATH_MAX 4096

struct restart_policy {
        enum { RESTART_NO, RESTART_ALWAYS, RESTART_UNLESS_STOPPED, RESTART_ON_FAILURE } kind;
        uint64_t tries; /* on-failure: 0 is without end */
};
/* "no", "always", "unless-stopped", "on-failure[:n]"; NULL is no. */
int restart_policy_parse(const char *text, struct restart_policy *policy, struct error *err);

struct ulimit {
        char type[24]; /* "RLIMIT_NOFILE" */
        uint64_t soft, hard;
};
int ulimit_parse(const char *text, struct ulimit *limit, struct error *err);

/* "path:value" of the --device-…-bps (sizes), -iops and --blkio-weight-device (numbers) options. */
struct device_rate {
        char path[SETTING_PATH_MAX];
        uint64_t value;
};
int device_rate_parse(const char *option, const char *text, bool is_size, struct device_rate *rate, struct error *err);

struct device_setting {
        char host[SETTING_PATH_MAX], container[SETTING_PATH_MAX];
        char access[4];
};
int device_setting_parse(const char *text, struct device_setting *device, struct error *err);

struct device_rule {
        char type;            /* a, b or c */
        int64_t major, minor; /* -1: all */
        char access[4];
};
int device_rule_parse(const char *text, struct device_rule *rule, struct error *err);

/* Decimal processors, at most nine places after the point, to billionths of a processor. */
int cpus_parse(const char *text, uint64_t *billionths, struct error *err);
/* Whether this host has that many (NULL: fine): asked when it is set, as later there may be fewer. */
int cpus_check_host(const char *text, struct error *err);

/* Letters, digits and "-_." alone, at most 253: what may stand in hosts and resolv.conf. */
bool host_name_valid(const char *name);

struct host_entry {
        char name[256], address[64]; /* address may be "host-gateway" */
};
int host_entry_parse(const char *text, struct host_entry *entry, struct error *err);

/* "private", "host", "container:NAME" …: what of it the option allows is the caller's list (NULL-terminated; NULL
 * text: fine). */
int mode_check(const char *option, const char *text, bool container, const char *const *allowed, struct error *err);
/* NAME of "container:NAME", else NULL. */
const char *mode_container(const char *text);

struct id_range {
        uint32_t container, host, count;
};
#define ID_RANGES_MAX 64
/* "container:host:count[,…]" into ranges[ID_RANGES_MAX]. */
int id_ranges_parse(const char *text, struct id_range *ranges, size_t *count, struct error *err);

struct security_settings {
        bool no_new_privileges, seccomp_unconfined, unmasked;
        char seccomp_file[SETTING_PATH_MAX]; /* "": the default profile */
        char apparmor[256], label[256];      /* "": none */
};
int security_settings_parse(char *const *options, struct security_settings *security, struct error *err);

/* --log-opt max-size=, max-file= (others docker knows and that change nothing here are accepted: labels, tag, mode,
 * compress). */
int log_options_parse(char *const *options, uint64_t *size_max, unsigned *files_max, struct error *err);
