/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "instance/spec.h"

#define CPU_PERIOD 100000 /* microseconds: the kernel's and docker's */

static void set_size(json_t *object, const char *key, uint64_t value)
{
        if (value)
                json_object_set_new(object, key, json_integer(value == UINT64_MAX ? -1 : (json_int_t)value));
}

/* Swap can be limited only where the kernel counts it. */
static bool swap_is_counted(void)
{
        return !access("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", F_OK) ||
               !access("/sys/fs/cgroup/cgroup.controllers", F_OK);
}

static json_t *memory_of(const struct instance_settings *s)
{
        json_t *memory = json_object();
        set_size(memory, "limit", s->memory);
        set_size(memory, "reservation", s->memory_reservation);
        set_size(memory, "swap", s->memory_swap);
        /* Docker's rule: as much swap as memory where only memory is given. */
        if (s->memory && s->memory < INT64_MAX / 2 && !s->memory_swap && swap_is_counted())
                set_size(memory, "swap", 2 * s->memory);
        if (s->memory_swappiness >= 0)
                json_object_set_new(memory, "swappiness", json_integer(s->memory_swappiness));
        if (s->oom_kill_disable)
                json_object_set_new(memory, "disableOOMKiller", json_true());
        return memory;
}

static int processors_of(const struct instance_settings *s, json_t **cpu, struct error *err)
{
        _cleanup_json_ json_t *object = json_object();
        set_size(object, "shares", s->cpu_shares);
        set_size(object, "period", s->cpu_period);
        set_size(object, "quota", s->cpu_quota);
        if (s->cpus) {
                uint64_t billionths;
                int r = cpus_parse(s->cpus, &billionths, err);
                if (r < 0)
                        return r;
                set_size(object, "period", CPU_PERIOD);
                set_size(object, "quota", billionths / (1000000000 / CPU_PERIOD));
        }
        if (s->cpuset_cpus)
                json_object_set_new(object, "cpus", json_string(s->cpuset_cpus));
        if (s->cpuset_mems)
                json_object_set_new(object, "mems", json_string(s->cpuset_mems));
        *cpu = TAKE_PTR(object);
        return 0;
}

static int add_rates(json_t *block, const char *key, const char *option, char *const *texts, bool is_size,
                     struct error *err)
{
        if (!texts)
                return 0;
        json_t *list = json_array();
        json_object_set_new(block, key, list);
        for (; *texts; texts++) {
                struct device_rate rate;
                struct stat st;
                int r = device_rate_parse(option, *texts, is_size, &rate, err);
                if (r < 0)
                        return r;
                if (stat(rate.path, &st) < 0)
                        return error_errno(err, "%s: %s", option, rate.path);
                if (!S_ISBLK(st.st_mode))
                        return error_set(err, -ENOTBLK, "%s: %s is not a block device", option, rate.path);
                json_array_append_new(list, json_pack("{s:I, s:I, s:I}", "major", (json_int_t)major(st.st_rdev),
                                                      "minor", (json_int_t)minor(st.st_rdev),
                                                      text_equal(key, "weightDevice") ? "weight" : "rate",
                                                      (json_int_t)rate.value));
        }
        return 0;
}

static int block_of(const struct instance_settings *s, json_t **block, struct error *err)
{
        _cleanup_json_ json_t *object = json_object();
        set_size(object, "weight", (uint64_t)s->blkio_weight);
        int r = add_rates(object, "weightDevice", "--blkio-weight-device", s->blkio_weight_device, false, err);
        if (!r)
                r = add_rates(object, "throttleReadBpsDevice", "--device-read-bps", s->device_read_bps, true, err);
        if (!r)
                r = add_rates(object, "throttleWriteBpsDevice", "--device-write-bps", s->device_write_bps, true, err);
        if (!r)
                r = add_rates(object, "throttleReadIOPSDevice", "--device-read-iops", s->device_read_iops, false, err);
        if (!r)
                r = add_rates(object, "throttleWriteIOPSDevice", "--device-write-iops", s->device_write_iops, false,
                              err);
        if (!r)
                *block = TAKE_PTR(object);
        return r;
}

static void set_if_filled(json_t *object, const char *key, json_t *value)
{
        if (json_object_size(value))
                json_object_set(object, key, value);
        json_decref(value);
}

int spec_resources(const struct instance_settings *settings, json_t **resources, struct error *err)
{
        json_t *cpu = NULL, *block = NULL;
        _cleanup_json_ json_t *object = json_object();
        int r = processors_of(settings, &cpu, err);
        if (r < 0)
                return r;
        set_if_filled(object, "cpu", cpu);
        r = block_of(settings, &block, err);
        if (r < 0)
                return r;
        set_if_filled(object, "blockIO", block);
        set_if_filled(object, "memory", memory_of(settings));
        if (settings->pids_limit)
                json_object_set_new(object, "pids", json_pack("{s:I}", "limit", (json_int_t)settings->pids_limit));
        json_object_set_new(object, "devices",
                            json_pack("[{s:b, s:s}]", "allow", settings->privileged, "access", "rwm"));
        *resources = TAKE_PTR(object);
        return *resources ? 0 : error_memory(err);
}

/* ---- Devices ---- */

static int add_rule(json_t *rules, char type, int64_t major_number, int64_t minor_number, const char *access_text)
{
        char type_text[2] = { type, 0 };
        json_t *rule = json_pack("{s:b, s:s, s:s}", "allow", true, "type", type_text, "access", access_text);
        if (rule && major_number >= 0)
                json_object_set_new(rule, "major", json_integer(major_number));
        if (rule && minor_number >= 0)
                json_object_set_new(rule, "minor", json_integer(minor_number));
        return json_array_append_new(rules, rule);
}

static int add_device(json_t *devices, json_t *rules, const struct stat *st, const char *path, const char *access_text,
                      struct error *err)
{
        bool block = S_ISBLK(st->st_mode);
        json_t *device = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "path", path, "type", block ? "b" : "c",
                                   "major", (json_int_t)major(st->st_rdev), "minor", (json_int_t)minor(st->st_rdev),
                                   "fileMode", (json_int_t)(st->st_mode & 07777), "uid", (json_int_t)st->st_uid, "gid",
                                   (json_int_t)st->st_gid);
        if (json_array_append_new(devices, device) < 0 ||
            (rules && add_rule(rules, block ? 'b' : 'c', major(st->st_rdev), minor(st->st_rdev), access_text) < 0))
                return error_memory(err);
        return 0;
}

#define DEVICE_DEPTH_MAX 8

/* Every device below a folder of /dev; what the runtime provides itself is left out. */
static int add_devices_below(json_t *devices, json_t *rules, const char *host, const char *inside,
                             const char *access_text, unsigned depth, struct error *err)
{
        static const char *const own[] = { "pts",  "shm",    "mqueue",  "fd",  "console", "null", "zero",
                                           "full", "random", "urandom", "tty", "ptmx",    NULL };
        _cleanup_closedir_ DIR *folder = opendir(host);
        if (!folder)
                return error_errno(err, "--device %s", host);
        struct dirent *entry;
        int r = 0;
        while (!r && (entry = readdir(folder))) {
                if (entry->d_name[0] == '.' ||
                    (text_equal(inside, "/dev") && list_contains((char **)own, entry->d_name)))
                        continue;
                _cleanup_free_ char *host_path = text_format("%s/%s", host, entry->d_name);
                _cleanup_free_ char *path = text_format("%s/%s", inside, entry->d_name);
                struct stat st;
                if (!host_path || !path)
                        return error_memory(err);
                if (lstat(host_path, &st) < 0)
                        continue;
                if (S_ISDIR(st.st_mode) && depth < DEVICE_DEPTH_MAX)
                        r = add_devices_below(devices, rules, host_path, path, access_text, depth + 1, err);
                else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
                        r = add_device(devices, rules, &st, path, access_text, err);
        }
        return r;
}

bool spec_binds_device(const struct spec_input *input, const struct device_setting *device)
{
        return (input->rootless || input->id_count) && !text_equal(device->host, device->container);
}

int spec_devices(const struct spec_input *input, json_t *devices, json_t *rules, struct error *err)
{
        const struct instance_settings *settings = input->settings;
        _cleanup_json_ json_t *bound = json_array(); /* they are mounts, and only the rules are needed */
        int r = 0;
        if (settings->privileged)
                r = add_devices_below(devices, NULL, "/dev", "/dev", "rwm", 0, err);
        for (char *const *text = settings->devices; !r && text && *text; text++) {
                struct device_setting device;
                struct stat st;
                r = device_setting_parse(*text, &device, err);
                if (r < 0)
                        return r;
                if (stat(device.host, &st) < 0)
                        return error_errno(err, "--device %s", device.host);
                json_t *nodes = spec_binds_device(input, &device) ? bound : devices;
                if (S_ISDIR(st.st_mode))
                        r = add_devices_below(nodes, rules, device.host, device.container, device.access, 0, err);
                else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
                        r = add_device(nodes, rules, &st, device.container, device.access, err);
                else
                        r = error_set(err, -ENODEV, "--device %s is neither a device nor a folder of devices",
                                      device.host);
        }
        for (char *const *text = settings->device_rules; !r && text && *text; text++) {
                struct device_rule rule;
                r = device_rule_parse(*text, &rule, err);
                if (!r && add_rule(rules, rule.type, rule.major, rule.minor, rule.access) < 0)
                        r = error_memory(err);
        }
        return r;
}
