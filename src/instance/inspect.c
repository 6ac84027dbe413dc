/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "instance/folder.h"
#include "instance/inspect.h"
#include "instance/instance.h"
#include "instance/mount_setting.h"
#include "instance/network_setting.h"
#include "instance/spec.h"
#include "instance/vessel.h"

#define NEVER "0001-01-01T00:00:00Z" /* how docker writes no time */

static const char *text_of(const json_t *object, const char *key, const char *otherwise)
{
        const char *value = json_string_value(json_object_get(object, key));
        return value && *value ? value : otherwise;
}

static json_t *state_of(const struct instance *instance)
{
        const json_t *now = instance->run ? instance->run : instance->state;
        enum instance_status status = instance->status;
        json_t *state =
                json_pack("{s:s, s:b, s:b, s:b, s:b, s:b, s:I, s:I, s:s, s:s, s:s}", "Status",
                          instance_status_name(status), "Running",
                          status == INSTANCE_RUNNING || status == INSTANCE_PAUSED, "Paused", status == INSTANCE_PAUSED,
                          "Restarting", status == INSTANCE_RESTARTING, "OOMKilled",
                          json_is_true(json_object_get(now, "oom_killed")), "Dead", status == INSTANCE_DEAD, "Pid",
                          json_integer_value(json_object_get(instance->run, "pid")), "ExitCode",
                          json_integer_value(json_object_get(now, "exit_code")), "Error", text_of(now, "error", ""),
                          "StartedAt", text_of(now, "started", NEVER), "FinishedAt", text_of(now, "finished", NEVER));
        json_t *health = json_object_get(instance->run, "health");
        if (state && health)
                json_object_set(state, "Health", health);
        return state;
}

static json_t *health_check_of(const struct instance_settings *settings)
{
        if (settings->no_healthcheck || (!settings->health_command && !settings->health_test))
                return NULL;
        json_t *test = settings->health_command ? json_pack("[s, s]", "CMD-SHELL", settings->health_command)
                                                : spec_strings((const char *const *)settings->health_test);
        return json_pack("{s:o, s:I, s:I, s:I, s:I}", "Test", test, "Interval", (json_int_t)settings->health_interval,
                         "Timeout", (json_int_t)settings->health_timeout, "StartPeriod",
                         (json_int_t)settings->health_start_period, "Retries", (json_int_t)settings->health_retries);
}

static void expose(json_t *object, const struct published_port *port)
{
        for (unsigned i = 0; i < port->count; i++) {
                char key[16];
                snprintf(key, sizeof(key), "%u/%s", port->container + i, port->udp ? "udp" : "tcp");
                json_object_set_new(object, key, json_object());
        }
}

/* Those that the image or --expose names, and those that are published. */
static json_t *exposed_of(const struct instance_settings *settings)
{
        json_t *object = json_object();
        char *const *const lists[] = { settings->expose, settings->ports };
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                for (char *const *text = lists[i]; text && *text; text++) {
                        struct published_port port;
                        if (!published_port_parse(*text, &port, NULL))
                                expose(object, &port);
                }
        return object;
}

static json_t *config_of(const struct instance *instance, const struct instance_settings *settings)
{
        _cleanup_free_ char *hostname = instance_hostname(instance, settings);
        json_t *config = json_pack("{s:s*, s:s, s:s, s:b, s:b, s:o, s:o, s:o, s:s, s:s, s:o, s:o}", "Hostname",
                                   hostname, "Domainname", settings->domainname ? settings->domainname : "", "User",
                                   settings->user ? settings->user : "", "Tty", settings->tty, "OpenStdin",
                                   settings->interactive, "Env", inspect_list(settings->environment), "Cmd",
                                   inspect_list(settings->command), "Entrypoint", inspect_list(settings->entrypoint),
                                   "Image", settings->image ? settings->image : "", "WorkingDir",
                                   settings->workdir ? settings->workdir : "", "Labels", inspect_map(settings->labels),
                                   "ExposedPorts", exposed_of(settings));
        if (!config)
                return NULL;
        if (settings->stop_signal)
                json_object_set_new(config, "StopSignal", json_string(settings->stop_signal));
        if (settings->stop_timeout >= 0)
                json_object_set_new(config, "StopTimeout", json_integer(settings->stop_timeout));
        json_t *check = health_check_of(settings);
        if (check)
                json_object_set_new(config, "Healthcheck", check);
        return config;
}

static json_t *vessel_object(const struct instance *instance, const struct instance_settings *settings)
{
        const struct vessel *vessel = vessel_of(instance);
        json_t *object = json_pack("{s:s, s:s}", "Isolation", vessel->name, "Engine", instance_engine(instance));
        if (object && vessel->show)
                vessel->show(settings, object);
        return object;
}

static json_t *bindings_of(const json_t *ports)
{
        json_t *object = json_object(), *port;
        size_t i;
        json_array_foreach(ports, i, port) {
                const char *inside = text_of(port, "container", "");
                json_t *list = json_object_get(object, inside);
                if (!list && !json_object_set_new(object, inside, json_array()))
                        list = json_object_get(object, inside);
                char number[16];
                snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(json_object_get(port, "host")));
                json_array_append_new(list, json_pack("{s:s, s:s}", "HostIp", text_of(port, "host_address", "0.0.0.0"),
                                                      "HostPort", number));
        }
        return object;
}

static json_t *mounts_of(const struct instance *instance, const struct instance_settings *settings)
{
        static const char *const kinds[] = {
                [MOUNT_BIND] = "bind", [MOUNT_VOLUME] = "volume", [MOUNT_TMPFS] = "tmpfs"
        };
        struct mount_setting *mounts;
        size_t count;
        json_t *list = json_array();
        if (mount_settings_collect(settings, &mounts, &count, NULL) < 0)
                return list;
        for (size_t i = 0; i < count; i++) {
                const struct mount_setting *mount = &mounts[i];
                _cleanup_free_ char *path =
                        mount->kind == MOUNT_VOLUME && mount->source
                                ? text_format("%s/volumes/%s/_data", instance->host->root, mount->source)
                                : strdup(mount->source ? mount->source : "");
                bool writable = !list_contains(mount->options, "ro") && !list_contains(mount->options, "rro");
                _cleanup_free_ char *mode = NULL;
                struct text options = { 0 };
                for (char *const *option = mount->options; option && *option; option++)
                        text_printf(&options, "%s%s", options.length ? "," : "", *option);
                mode = text_take(&options);
                json_t *entry = json_pack("{s:s, s:s*, s:s, s:s*, s:b}", "Type", kinds[mount->kind], "Source", path,
                                          "Destination", mount->target, "Mode", mode, "RW", writable);
                if (mount->kind == MOUNT_VOLUME && mount->source)
                        json_object_set_new(entry, "Name", json_string(mount->source));
                json_array_append_new(list, entry);
        }
        mount_settings_free(mounts, count);
        return list;
}

static json_t *attachments_of(const struct instance *instance)
{
        _cleanup_close_ int folder = instance->run ? run_folder_open(instance->host, instance->id) : -1;
        json_t *attachments = NULL;
        if (folder < 0 || json_read(folder, "network.json", &attachments, NULL) < 0)
                return json_array();
        return attachments;
}

/* What `network ls` calls them; not known of one that was removed by force. */
static void add_network_ids(const struct instance *instance, json_t *attached)
{
        struct networks *networks;
        const struct host *host = instance->host;
        const char *name;
        json_t *entry;
        if (!json_object_size(attached) || networks_open(host->root, host->state, host->rootless, &networks, NULL) < 0)
                return;
        json_object_foreach(attached, name, entry) {
                json_t *network = NULL;
                if (!network_inspect(networks, name, &network, NULL))
                        json_object_set(entry, "NetworkID", json_object_get(network, "id"));
                json_decref(network);
        }
        networks_close(networks);
}

static json_t *networks_of(const struct instance *instance, const json_t *attachments, const json_t *ports)
{
        json_t *networks = json_object(), *attachment;
        size_t i;
        json_array_foreach(attachments, i, attachment) {
                const char *name = text_of(attachment, "network", "");
                json_object_set_new(networks, name,
                                    json_pack("{s:s, s:s, s:I, s:s, s:s, s:s}", "NetworkID", "", "IPAddress",
                                              text_of(attachment, "address", ""), "IPPrefixLen",
                                              json_integer_value(json_object_get(attachment, "prefix")), "Gateway",
                                              text_of(attachment, "gateway", ""), "GlobalIPv6Address",
                                              text_of(attachment, "address6", ""), "MacAddress",
                                              text_of(attachment, "mac", "")));
        }
        add_network_ids(instance, networks);
        const json_t *first = json_array_get(attachments, 0);
        return json_pack("{s:s, s:s, s:s, s:o, s:o}", "IPAddress", text_of(first, "address", ""), "Gateway",
                         text_of(first, "gateway", ""), "MacAddress", text_of(first, "mac", ""), "Ports",
                         bindings_of(ports), "Networks", networks);
}

int instance_ports(struct instance *instance, json_t **ports, struct error *err)
{
        _cleanup_json_ json_t *attachments = attachments_of(instance);
        _cleanup_json_ json_t *list = json_array();
        json_t *attachment, *port;
        size_t i, j;
        json_array_foreach(attachments, i, attachment)
                json_array_foreach(json_object_get(attachment, "ports"), j, port) {
                        char inside[32];
                        snprintf(inside, sizeof(inside), "%lld/%s",
                                 (long long)json_integer_value(json_object_get(port, "container")),
                                 text_of(port, "protocol", "tcp"));
                        json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "container", inside, "host_address",
                                                              text_of(port, "host_address", ""), "host",
                                                              json_integer_value(json_object_get(port, "host"))));
                }
        *ports = TAKE_PTR(list);
        return *ports ? 0 : error_memory(err);
}

static json_t *whole(struct instance *instance, const struct instance_settings *settings)
{
        _cleanup_json_ json_t *attachments = attachments_of(instance);
        json_t *ports = NULL;
        instance_ports(instance, &ports, NULL);
        _cleanup_free_ char **arguments = spec_arguments(settings);
        const char *path = arguments && arguments[0] ? arguments[0] : "";
        _cleanup_free_ char *name = text_format("/%s", instance->name);
        _cleanup_free_ char *folder = text_format("%s/instances/%s", instance->host->root, instance->id);
        _cleanup_free_ char *run = text_format("%s/instances/%s", instance->host->state, instance->id);
        const json_t *now = instance->run ? instance->run : instance->state;
        json_t *object =
                json_pack("{s:s, s:O, s:s, s:o, s:o, s:s, s:s*, s:I, s:s, s:o, s:o, s:o, s:o, s:o}", "Id", instance->id,
                          "Created", json_object_get(instance->config, "created"), "Path", path, "Args",
                          spec_strings((const char *const *)(*path ? arguments + 1 : arguments)), "State",
                          state_of(instance), "Image", text_of(json_object_get(instance->config, "image"), "id", ""),
                          "Name", name, "RestartCount", json_integer_value(json_object_get(now, "restart_count")),
                          "Driver", "overlay", "HostConfig", inspect_host_config(settings), "Config",
                          config_of(instance, settings), "Mounts", mounts_of(instance, settings), "NetworkSettings",
                          networks_of(instance, attachments, ports), "Vessel", vessel_object(instance, settings));
        json_decref(ports);
        const struct {
                const char *key, *folder, *file;
        } paths[] = { { "LogPath", folder, "log" },
                      { "HostnamePath", run, "hostname" },
                      { "HostsPath", run, "hosts" },
                      { "ResolvConfPath", run, "resolv.conf" } };
        for (size_t i = 0; object && i < ARRAY_SIZE(paths); i++) {
                _cleanup_free_ char *file = text_format("%s/%s", paths[i].folder, paths[i].file);
                json_object_set_new(object, paths[i].key, json_string(file ? file : ""));
        }
        return object;
}

int instance_inspect(struct instance *instance, bool size, json_t **object, struct error *err)
{
        struct instance_settings settings;
        if (instance_settings_of(instance, &settings, NULL) < 0)
                settings = instance_settings_default();
        *object = whole(instance, &settings);
        instance_settings_free(&settings);
        if (*object && size)
                json_object_set_new(*object, "SizeRw", json_integer((json_int_t)instance_written(instance)));
        return *object ? 0 : error_memory(err);
}
