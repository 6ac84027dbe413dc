/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/settings.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/json.h"
#include "base/options.h"
#include "base/text.h"

struct field {
        const char *name;
        enum option_kind kind;
        size_t offset;
};

#define FIELD(name, kind)                                                                                              \
        {                                                                                                              \
#name, OPTION_##kind, offsetof(struct instance_settings, name)                                         \
        }

static const struct field fields[] = {
        FIELD(image, STRING),
        FIELD(command, LIST),
        FIELD(entrypoint, LIST),
        FIELD(workdir, STRING),
        FIELD(user, STRING),
        FIELD(groups, LIST),
        FIELD(environment, LIST),
        FIELD(tty, FLAG),
        FIELD(interactive, FLAG),
        FIELD(init, FLAG),
        FIELD(stop_signal, STRING),
        FIELD(stop_timeout, NUMBER),
        FIELD(name, STRING),
        FIELD(hostname, STRING),
        FIELD(domainname, STRING),
        FIELD(labels, LIST),
        FIELD(remove, FLAG),
        FIELD(restart, STRING),
        FIELD(isolation, STRING),
        FIELD(kernel, STRING),
        FIELD(engine, STRING),
        FIELD(volumes, LIST),
        FIELD(mounts, LIST),
        FIELD(tmpfs, LIST),
        FIELD(read_only, FLAG),
        FIELD(shm_size, SIZE),
        FIELD(devices, LIST),
        FIELD(device_rules, LIST),
        FIELD(memory, SIZE),
        FIELD(memory_swap, SIZE),
        FIELD(memory_reservation, SIZE),
        FIELD(memory_swappiness, NUMBER),
        FIELD(oom_kill_disable, FLAG),
        FIELD(oom_score_adj, NUMBER),
        FIELD(cpus, STRING),
        FIELD(cpu_shares, SIZE),
        FIELD(cpu_period, SIZE),
        FIELD(cpu_quota, SIZE),
        FIELD(cpuset_cpus, STRING),
        FIELD(cpuset_mems, STRING),
        FIELD(pids_limit, NUMBER),
        FIELD(blkio_weight, NUMBER),
        FIELD(blkio_weight_device, LIST),
        FIELD(device_read_bps, LIST),
        FIELD(device_write_bps, LIST),
        FIELD(device_read_iops, LIST),
        FIELD(device_write_iops, LIST),
        FIELD(ulimits, LIST),
        FIELD(cgroup_parent, STRING),
        FIELD(privileged, FLAG),
        FIELD(cap_add, LIST),
        FIELD(cap_drop, LIST),
        FIELD(security_options, LIST),
        FIELD(sysctls, LIST),
        FIELD(userns, STRING),
        FIELD(pid_mode, STRING),
        FIELD(ipc_mode, STRING),
        FIELD(uts_mode, STRING),
        FIELD(cgroupns, STRING),
        FIELD(networks, LIST),
        FIELD(network_aliases, LIST),
        FIELD(address, STRING),
        FIELD(address6, STRING),
        FIELD(mac, STRING),
        FIELD(ports, LIST),
        FIELD(publish_all, FLAG),
        FIELD(expose, LIST),
        FIELD(dns, LIST),
        FIELD(dns_options, LIST),
        FIELD(dns_search, LIST),
        FIELD(extra_hosts, LIST),
        FIELD(log_driver, STRING),
        FIELD(log_options, LIST),
        FIELD(health_command, STRING),
        FIELD(health_test, LIST),
        FIELD(health_interval, TIME),
        FIELD(health_timeout, TIME),
        FIELD(health_start_period, TIME),
        FIELD(health_start_interval, TIME),
        FIELD(health_retries, NUMBER),
        FIELD(no_healthcheck, FLAG),
};

/* Read where the instance is created and not kept: the lists that must be freed all the same. */
static const size_t transient_lists[] = {
        offsetof(struct instance_settings, environment_files),
        offsetof(struct instance_settings, label_files),
        offsetof(struct instance_settings, volumes_from),
};

static void *at(const struct instance_settings *settings, size_t offset)
{
        return (char *)settings + offset;
}

struct instance_settings instance_settings_default(void)
{
        return (struct instance_settings){ .stop_timeout = -1, .memory_swappiness = -1 };
}

void instance_settings_free(struct instance_settings *settings)
{
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (fields[i].kind == OPTION_LIST)
                        list_free(*(char ***)at(settings, fields[i].offset));
        for (size_t i = 0; i < ARRAY_SIZE(transient_lists); i++)
                list_free(*(char ***)at(settings, transient_lists[i]));
        json_decref(settings->source);
        *settings = instance_settings_default();
}

static json_t *list_to_json(char *const *list)
{
        json_t *array = json_array();
        for (; array && list && *list; list++)
                if (json_array_append_new(array, json_string(*list)) < 0) {
                        json_decref(array);
                        return NULL;
                }
        return array;
}

/* Every field is compared with its default: only what was given is written. */
static int write_field(json_t *object, const struct field *field, const struct instance_settings *settings,
                       const struct instance_settings *unset)
{
        const void *value = at(settings, field->offset);
        json_t *item = NULL;
        switch (field->kind) {
        case OPTION_FLAG:
                if (!*(const bool *)value)
                        return 0;
                item = json_true();
                break;
        case OPTION_STRING:
                if (!*(const char *const *)value)
                        return 0;
                item = json_string(*(const char *const *)value);
                break;
        case OPTION_LIST:
                if (!*(char **const *)value)
                        return 0;
                item = list_to_json(*(char **const *)value);
                break;
        case OPTION_NUMBER:
                if (*(const int64_t *)value == *(const int64_t *)at(unset, field->offset))
                        return 0;
                item = json_integer(*(const int64_t *)value);
                break;
        case OPTION_SIZE:
        case OPTION_TIME:
                if (!*(const uint64_t *)value)
                        return 0;
                /* UINT64_MAX, "without limit", is -1 in the file: JSON's numbers here are signed. */
                item = json_integer((int64_t) * (const uint64_t *)value);
                break;
        }
        return json_object_set_new(object, field->name, item);
}

json_t *instance_settings_write(const struct instance_settings *settings)
{
        const struct instance_settings unset = instance_settings_default();
        _cleanup_json_ json_t *object = json_object();
        for (size_t i = 0; object && i < ARRAY_SIZE(fields); i++)
                if (write_field(object, &fields[i], settings, &unset) < 0)
                        return NULL;
        return TAKE_PTR(object);
}

static void read_field(const struct json_at *object, const struct field *field, struct instance_settings *settings)
{
        void *value = at(settings, field->offset);
        int64_t number;
        switch (field->kind) {
        case OPTION_FLAG: json_get_bool(object, field->name, value); break;
        case OPTION_STRING: json_get_string(object, field->name, value); break;
        case OPTION_LIST: json_get_strings(object, field->name, value); break;
        case OPTION_NUMBER: json_get_i64(object, field->name, INT64_MIN, INT64_MAX, value); break;
        case OPTION_SIZE:
        case OPTION_TIME:
                if (json_get_i64(object, field->name, -1, INT64_MAX, &number))
                        *(uint64_t *)value = (uint64_t)number;
                break;
        }
}

static bool known(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (text_equal(fields[i].name, name))
                        return true;
        return false;
}

int instance_settings_read(json_t *object, struct instance_settings *settings, struct error *err)
{
        *settings = instance_settings_default();
        settings->source = json_incref(object);

        struct json_reader reader = { .document = "settings", .err = err };
        struct json_at root = json_root(&reader, object);
        const char *name;
        json_t *member;
        json_object_foreach(object, name, member)
                if (!known(name)) {
                        struct json_at where = json_get(&root, name);
                        json_misfit(&where, "is not a setting that this version knows");
                }
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                read_field(&root, &fields[i], settings);

        int r = json_failed(&root);
        if (!r)
                r = instance_settings_check(settings, err);
        if (r < 0)
                instance_settings_free(settings);
        return r;
}
