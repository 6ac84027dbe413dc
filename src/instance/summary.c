/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/text.h"
#include "instance/folder.h"
#include "instance/instance.h"
#include "instance/mount_setting.h"
#include "instance/network_setting.h"
#include "instance/spec.h"
#include "instance/timestamp.h"
#include "instance/vessel.h"

/* Docker's words for a span of time. */
static char *span_text(int64_t seconds)
{
        static const struct {
                int64_t below, unit;
                const char *one, *many;
        } spans[] = {
                { 60, 1, "1 second", "seconds" },           { 3600, 60, "About a minute", "minutes" },
                { 172800, 3600, "About an hour", "hours" }, { 1209600, 86400, "1 day", "days" },
                { 5184000, 604800, "1 week", "weeks" },     { 63072000, 2592000, "1 month", "months" },
                { INT64_MAX, 31536000, "1 year", "years" },
        };
        if (seconds < 1)
                return strdup("Less than a second");
        for (size_t i = 0; i < ARRAY_SIZE(spans); i++)
                if (seconds < spans[i].below) {
                        long long count = seconds / spans[i].unit;
                        return count == 1 ? strdup(spans[i].one) : text_format("%lld %s", count, spans[i].many);
                }
        return NULL;
}

static char *ago(const json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));
        struct timespec then, now;
        if (!text || timestamp_parse(text, &then) < 0)
                return strdup("");
        clock_gettime(CLOCK_REALTIME, &now);
        return span_text(now.tv_sec - then.tv_sec);
}

static char *status_text(const struct instance *instance)
{
        _cleanup_free_ char *since =
                ago(instance->run ? instance->run : instance->state, instance->run ? "started" : "finished");
        const json_t *health = json_object_get(instance->run, "health");
        const char *checked = json_string_value(json_object_get(health, "Status"));
        long long code =
                json_integer_value(json_object_get(instance->run ? instance->run : instance->state, "exit_code"));
        switch (instance->status) {
        case INSTANCE_CREATED: return strdup("Created");
        case INSTANCE_RUNNING:
                if (!checked)
                        return text_format("Up %s", since);
                return text_format("Up %s (%s%s)", since, text_equal(checked, "starting") ? "health: " : "", checked);
        case INSTANCE_PAUSED: return text_format("Up %s (Paused)", since);
        case INSTANCE_RESTARTING: {
                _cleanup_free_ char *ended = ago(instance->run, "finished");
                return text_format("Restarting (%lld) %s ago", code, ended);
        }
        case INSTANCE_EXITED: {
                const char *reason = json_string_value(json_object_get(instance->state, "reason"));
                bool told = reason && *reason;
                return text_format("Exited (%lld) %s ago%s%s%s", code, since, told ? " (" : "", told ? reason : "",
                                   told ? ")" : "");
        }
        case INSTANCE_DEAD: break;
        }
        return strdup("Dead");
}

static char *command_text(const struct instance_settings *settings)
{
        _cleanup_free_ char **arguments = spec_arguments(settings);
        struct text text = { 0 };
        for (char **argument = arguments; argument && *argument; argument++)
                text_printf(&text, "%s%s", argument == arguments ? "" : " ", *argument);
        return text_take(&text);
}

static char *ports_text(struct instance *instance)
{
        json_t *ports = NULL, *port;
        size_t i;
        struct text text = { 0 };
        instance_ports(instance, &ports, NULL);
        json_array_foreach(ports, i, port) {
                const char *address = json_string_value(json_object_get(port, "host_address"));
                const char *inside = json_string_value(json_object_get(port, "container"));
                long long number = json_integer_value(json_object_get(port, "host"));
                const char *comma = text.length ? ", " : "";
                if (address && *address)
                        text_printf(&text, strchr(address, ':') ? "%s[%s]:%lld->%s" : "%s%s:%lld->%s", comma, address,
                                    number, inside);
                else
                        text_printf(&text, "%s0.0.0.0:%lld->%s, [::]:%lld->%s", comma, number, inside, number, inside);
        }
        json_decref(ports);
        return text_take(&text);
}

/* One without a value ends in "=", so that it can be told from the rest of another's value. */
static char *labels_text(char *const *labels)
{
        struct text text = { 0 };
        for (char *const *label = labels; label && *label; label++)
                text_printf(&text, "%s%s%s", label == labels ? "" : ",", *label, strchr(*label, '=') ? "" : "=");
        return text_take(&text);
}

static char *networks_text(const struct instance_settings *settings)
{
        static const char *const names[] = { [NETWORK_NONE] = "none", [NETWORK_HOST] = "host" };
        enum network_kind kind = network_settings_kind(settings);
        if (kind == NETWORK_CONTAINER)
                return text_format("container:%s", network_settings_container(settings));
        if (kind != NETWORK_BRIDGED)
                return strdup(names[kind]);
        struct text text = { 0 };
        for (size_t i = 0; i < network_settings_count(settings); i++) {
                struct network_setting network;
                if (network_setting_parse(settings, i, &network, NULL) < 0)
                        continue;
                text_printf(&text, "%s%s", i ? "," : "", network.name);
                network_setting_free(&network);
        }
        return text_take(&text);
}

static char *mounts_text(const struct instance_settings *settings, size_t *volumes)
{
        struct mount_setting *mounts;
        size_t count;
        struct text text = { 0 };
        *volumes = 0;
        if (mount_settings_collect(settings, &mounts, &count, NULL) < 0)
                return text_take(&text);
        for (size_t i = 0; i < count; i++) {
                *volumes += mounts[i].kind == MOUNT_VOLUME;
                text_printf(&text, "%s%s", i ? "," : "", mounts[i].source ? mounts[i].source : mounts[i].target);
        }
        mount_settings_free(mounts, count);
        return text_take(&text);
}

static void set(json_t *object, const char *key, char *text)
{
        json_object_set_new(object, key, json_string(text ? text : ""));
        free(text);
}

json_t *instance_summary(struct instance *instance, bool size)
{
        struct instance_settings settings;
        size_t volumes = 0;
        if (instance_settings_of(instance, &settings, NULL) < 0)
                settings = instance_settings_default();
        const json_t *image = json_object_get(instance->config, "image");
        json_t *row =
                json_pack("{s:s, s:s, s:O, s:O, s:s, s:s, s:s}", "ID", instance->id, "Names", instance->name, "Image",
                          json_object_get(image, "reference"), "CreatedAt",
                          json_object_get(instance->config, "created"), "State", instance_status_name(instance->status),
                          "Isolation", vessel_of(instance)->name, "Engine", instance_engine(instance));
        if (row) {
                set(row, "Command", command_text(&settings));
                _cleanup_free_ char *created = ago(instance->config, "created");
                set(row, "RunningFor", text_format("%s ago", created ? created : ""));
                set(row, "Status", status_text(instance));
                set(row, "Ports", ports_text(instance));
                set(row, "Labels", labels_text(settings.labels));
                set(row, "Mounts", mounts_text(&settings, &volumes));
                set(row, "Networks", networks_text(&settings));
                set(row, "LocalVolumes", text_format("%zu", volumes));
        }
        if (row && size)
                set(row, "Size", text_format("%lluB", (unsigned long long)instance_written(instance)));
        instance_settings_free(&settings);
        return row;
}
