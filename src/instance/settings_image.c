/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "instance/settings.h"

static bool same_key(const char *a, const char *b)
{
        size_t length = strcspn(a, "=");
        return length == strcspn(b, "=") && !strncmp(a, b, length);
}

/* The image's entries first, except those whose key the user gives: the later of two equal keys wins. */
static int put_before(char ***list, char **image_entries)
{
        char **merged = NULL;
        int r = 0;
        for (char **entry = image_entries; !r && entry && *entry; entry++) {
                bool overridden = false;
                for (char **own = *list; own && *own; own++)
                        overridden |= same_key(*entry, *own);
                if (!overridden)
                        r = list_append(&merged, *entry);
        }
        for (char **own = *list; !r && own && *own; own++)
                r = list_append(&merged, *own);
        if (r < 0) {
                list_free(merged);
                return r;
        }
        list_free(*list);
        *list = merged;
        return 0;
}

static int merge_environment(struct instance_settings *settings, const struct json_at *config)
{
        _cleanup_list_ char **entries = NULL;
        json_get_strings(config, "Env", &entries);
        return put_before(&settings->environment, entries);
}

static int merge_labels(struct instance_settings *settings, const struct json_at *config)
{
        struct json_at labels = json_get_object(config, "Labels");
        _cleanup_list_ char **entries = NULL;
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)labels.value, key, value) {
                struct json_at at = json_get(&labels, key);
                const char *text = json_string_at(&at);
                if (text && list_printf(&entries, "%s=%s", key, text) < 0)
                        return -ENOMEM;
        }
        return put_before(&settings->labels, entries);
}

/* Keys of an object that is used as a set ("ExposedPorts", "Volumes"). */
static int merge_set(char ***list, const struct json_at *config, const char *name, bool unless_prefix)
{
        struct json_at set = json_get_object(config, name);
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)set.value, key, value) {
                bool given = false;
                for (char **own = *list; own && *own; own++) {
                        const char *target = unless_prefix ? strchr(*own, ':') : NULL;
                        target = target ? target + 1 : *own;
                        size_t length = strcspn(target, ":");
                        given |= length == strlen(key) && !strncmp(target, key, length);
                }
                if (!given && list_append(list, key) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static void merge_health(struct instance_settings *settings, const struct json_at *config)
{
        struct json_at health = json_get_object(config, "Healthcheck");
        if (!health.value || settings->no_healthcheck)
                return;
        const struct {
                const char *key;
                uint64_t *value;
        } times[] = { { "Interval", &settings->health_interval },
                      { "Timeout", &settings->health_timeout },
                      { "StartPeriod", &settings->health_start_period },
                      { "StartInterval", &settings->health_start_interval } };
        for (size_t i = 0; i < ARRAY_SIZE(times); i++)
                if (!*times[i].value)
                        json_get_u64(&health, times[i].key, times[i].value);
        if (!settings->health_retries)
                json_get_i64(&health, "Retries", 0, INT32_MAX, &settings->health_retries);
        if (settings->health_command)
                return;
        _cleanup_list_ char **test = NULL;
        json_get_strings(&health, "Test", &test);
        if (!test || !test[0] || text_equal(test[0], "NONE"))
                return;
        settings->health_test = TAKE_PTR(test);
}

static int merge_lists(struct instance_settings *settings, const struct json_at *config)
{
        /* Docker's rule: an entry point of the user's own takes the image's command away. */
        if (!settings->entrypoint) {
                json_get_strings(config, "Entrypoint", &settings->entrypoint);
                if (!settings->command)
                        json_get_strings(config, "Cmd", &settings->command);
        }
        if (!settings->user)
                json_get_string(config, "User", &settings->user);
        if (!settings->workdir)
                json_get_string(config, "WorkingDir", &settings->workdir);
        if (!settings->stop_signal)
                json_get_string(config, "StopSignal", &settings->stop_signal);
        if (settings->workdir && !*settings->workdir)
                settings->workdir = NULL;
        if (settings->user && !*settings->user)
                settings->user = NULL;
        if (settings->stop_signal && !*settings->stop_signal)
                settings->stop_signal = NULL;
        merge_health(settings, config);

        int r = merge_environment(settings, config);
        if (!r)
                r = merge_labels(settings, config);
        if (!r)
                r = merge_set(&settings->expose, config, "ExposedPorts", false);
        if (!r)
                r = merge_set(&settings->volumes, config, "Volumes", true);
        return r;
}

int instance_settings_merge_image(struct instance_settings *settings, const json_t *image_config, struct error *err)
{
        /* Strings are borrowed from the image's document, so it is kept with what the settings borrowed from so far. */
        json_t *source = json_array();
        if (!source || (settings->source && json_array_append(source, settings->source) < 0) ||
            json_array_append(source, (json_t *)image_config) < 0) {
                json_decref(source);
                return error_memory(err);
        }
        json_decref(settings->source);
        settings->source = source;

        struct json_reader reader = { .document = "image configuration", .err = err };
        struct json_at root = json_root(&reader, image_config);
        struct json_at config = json_get_object(&root, "config");
        if (!config.value)
                return json_failed(&root);
        if (merge_lists(settings, &config) < 0)
                return error_memory(err);
        return json_failed(&root);
}
