/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "instance/network_setting.h"
#include "instance/setting_text.h"
#include "instance/spec.h"

json_t *inspect_list(char *const *list)
{
        return list ? spec_strings((const char *const *)list) : json_null();
}

json_t *inspect_map(char *const *lines)
{
        json_t *object = json_object();
        for (; lines && *lines; lines++) {
                const char *value = strchr(*lines, '=');
                _cleanup_free_ char *key = value ? strndup(*lines, (size_t)(value - *lines)) : strdup(*lines);
                if (key)
                        json_object_set_new(object, key, json_string(value ? value + 1 : ""));
        }
        return object;
}

static json_t *restart_of(const struct instance_settings *settings)
{
        struct restart_policy policy = { 0 };
        restart_policy_parse(settings->restart, &policy, NULL);
        const char *text = settings->restart ? settings->restart : "no";
        _cleanup_free_ char *name = strndup(text, strcspn(text, ":"));
        return json_pack("{s:s*, s:I}", "Name", name, "MaximumRetryCount", (json_int_t)policy.tries);
}

static void bind_port(json_t *object, const struct published_port *port)
{
        for (unsigned i = 0; i < port->count; i++) {
                char inside[16], outside[16] = "";
                snprintf(inside, sizeof(inside), "%u/%s", port->container + i, port->udp ? "udp" : "tcp");
                if (port->host)
                        snprintf(outside, sizeof(outside), "%u", port->host + i);
                if (!json_object_get(object, inside))
                        json_object_set_new(object, inside, json_array());
                json_array_append_new(json_object_get(object, inside),
                                      json_pack("{s:s, s:s}", "HostIp", port->host_address, "HostPort", outside));
        }
}

/* As they were asked for; what they have become is in NetworkSettings. */
static json_t *bindings_of(const struct instance_settings *settings)
{
        json_t *object = json_object();
        for (char *const *text = settings->ports; text && *text; text++) {
                struct published_port port;
                if (!published_port_parse(*text, &port, NULL))
                        bind_port(object, &port);
        }
        return object;
}

static json_int_t limit(uint64_t value)
{
        return value == UINT64_MAX ? -1 : (json_int_t)value;
}

static json_t *devices_of(const struct instance_settings *settings)
{
        json_t *list = json_array();
        for (char *const *text = settings->devices; text && *text; text++) {
                struct device_setting device;
                if (!device_setting_parse(*text, &device, NULL))
                        json_array_append_new(list,
                                              json_pack("{s:s, s:s, s:s}", "PathOnHost", device.host, "PathInContainer",
                                                        device.container, "CgroupPermissions", device.access));
        }
        return list;
}

/* "/run:size=1m" is {"/run": "size=1m"}. */
static json_t *tmpfs_of(const struct instance_settings *settings)
{
        json_t *object = json_object();
        for (char *const *text = settings->tmpfs; text && *text; text++) {
                const char *options = strchr(*text, ':');
                _cleanup_free_ char *target = strndup(*text, strcspn(*text, ":"));
                if (target)
                        json_object_set_new(object, target, json_string(options ? options + 1 : ""));
        }
        return object;
}

static void add_files(json_t *host, const struct instance_settings *settings)
{
        json_object_set_new(host, "Devices", devices_of(settings));
        json_object_set_new(host, "DeviceCgroupRules", inspect_list(settings->device_rules));
        json_object_set_new(host, "Tmpfs", tmpfs_of(settings));
        json_object_set_new(host, "GroupAdd", inspect_list(settings->groups));
        json_object_set_new(host, "CgroupParent", json_string(settings->cgroup_parent ? settings->cgroup_parent : ""));
}

static json_t *rates_of(const char *option, char *const *texts, const char *value_name, bool sizes)
{
        json_t *list = json_array();
        for (; texts && *texts; texts++) {
                struct device_rate rate;
                if (!device_rate_parse(option, *texts, sizes, &rate, NULL))
                        json_array_append_new(list, json_pack("{s:s, s:I}", "Path", rate.path, value_name,
                                                              (json_int_t)rate.value));
        }
        return list;
}

static void add_block_limits(json_t *host, const struct instance_settings *settings)
{
        const struct {
                const char *key, *option, *value_name;
                char *const *texts;
                bool sizes;
        } limits[] = {
                { "BlkioWeightDevice", "--blkio-weight-device", "Weight", settings->blkio_weight_device, false },
                { "BlkioDeviceReadBps", "--device-read-bps", "Rate", settings->device_read_bps, true },
                { "BlkioDeviceWriteBps", "--device-write-bps", "Rate", settings->device_write_bps, true },
                { "BlkioDeviceReadIOps", "--device-read-iops", "Rate", settings->device_read_iops, false },
                { "BlkioDeviceWriteIOps", "--device-write-iops", "Rate", settings->device_write_iops, false },
        };
        json_object_set_new(host, "BlkioWeight", json_integer(settings->blkio_weight));
        for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
                json_object_set_new(host, limits[i].key,
                                    rates_of(limits[i].option, limits[i].texts, limits[i].value_name, limits[i].sizes));
}

json_t *inspect_host_config(const struct instance_settings *settings)
{
        uint64_t billionths = 0;
        if (settings->cpus)
                cpus_parse(settings->cpus, &billionths, NULL);
        const char *mode = list_length(settings->networks) ? settings->networks[0] : "default";
        json_t *host = json_pack(
                "{s:o, s:s, s:o, s:o, s:b, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:o, s:o, s:o}",
                "Binds", inspect_list(settings->volumes), "NetworkMode", mode, "PortBindings", bindings_of(settings),
                "RestartPolicy", restart_of(settings), "AutoRemove", settings->remove, "Privileged",
                settings->privileged, "ReadonlyRootfs", settings->read_only, "Memory", limit(settings->memory),
                "MemorySwap", limit(settings->memory_swap), "MemoryReservation", limit(settings->memory_reservation),
                "NanoCpus", (json_int_t)billionths, "CpuShares", limit(settings->cpu_shares), "CpuPeriod",
                limit(settings->cpu_period), "CpuQuota", limit(settings->cpu_quota), "PidsLimit",
                (json_int_t)settings->pids_limit, "CpusetCpus", settings->cpuset_cpus ? settings->cpuset_cpus : "",
                "CpusetMems", settings->cpuset_mems ? settings->cpuset_mems : "", "CapAdd",
                inspect_list(settings->cap_add), "CapDrop", inspect_list(settings->cap_drop), "SecurityOpt",
                inspect_list(settings->security_options));
        if (!host)
                return NULL;
        json_object_set_new(host, "ShmSize", json_integer(settings->shm_size ? limit(settings->shm_size) : 64 << 20));
        json_object_set_new(host, "Init", json_boolean(settings->init));
        json_object_set_new(host, "Dns", inspect_list(settings->dns));
        json_object_set_new(host, "ExtraHosts", inspect_list(settings->extra_hosts));
        json_object_set_new(host, "Sysctls", inspect_list(settings->sysctls));
        json_object_set_new(host, "Ulimits", inspect_list(settings->ulimits));
        json_object_set_new(host, "OomScoreAdj", json_integer(settings->oom_score_adj));
        json_object_set_new(host, "UsernsMode", json_string(settings->userns ? settings->userns : ""));
        json_object_set_new(host, "PidMode", json_string(settings->pid_mode ? settings->pid_mode : ""));
        json_object_set_new(host, "IpcMode", json_string(settings->ipc_mode ? settings->ipc_mode : "private"));
        json_object_set_new(host, "LogConfig",
                            json_pack("{s:s, s:o}", "Type", settings->log_driver ? settings->log_driver : "json-file",
                                      "Config", inspect_map(settings->log_options)));
        add_files(host, settings);
        add_block_limits(host, settings);
        return host;
}
