/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/image_config.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/process.h"
#include "base/text.h"
#include "image/manifest.h"

typedef void field_check(const struct json_at *object, const char *key);

struct field {
        const char *key;
        field_check *check;
};

static void check_string(const struct json_at *object, const char *key)
{
        const char *text;
        json_get_string(object, key, &text);
}

static void check_bool(const struct json_at *object, const char *key)
{
        bool value;
        json_get_bool(object, key, &value);
}

static void check_strings(const struct json_at *object, const char *key)
{
        struct json_at list = json_get_array(object, key);
        for (size_t i = 0; i < json_count(&list); i++) {
                struct json_at at = json_element(&list, i);
                json_string_at(&at);
        }
}

static void check_environment(const struct json_at *object, const char *key)
{
        struct json_at list = json_get_array(object, key);
        for (size_t i = 0; i < json_count(&list); i++) {
                struct json_at at = json_element(&list, i);
                const char *entry = json_string_at(&at);
                if (entry && (entry[0] == '=' || !entry[0]))
                        json_misfit(&at, "must be NAME=VALUE");
        }
}

static void check_labels(const struct json_at *object, const char *key)
{
        struct json_at labels = json_get_object(object, key);
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)labels.value, name, value)
                check_string(&labels, name);
}

/* Volumes and ports are sets: objects whose values are empty objects. */
static void check_set(const struct json_at *object, const char *key)
{
        struct json_at set = json_get_object(object, key);
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)set.value, name, value) {
                if (!json_is_object(value) && !json_is_null(value)) {
                        struct json_at at = json_get(&set, name);
                        json_misfit(&at, "must be an empty object");
                }
        }
}

/* "port", "port/tcp", "port/udp", "port/sctp", each with a range as "from-to" */
static bool is_port(const char *text)
{
        _cleanup_free_ char *copy = strdup(text);
        char *protocol = copy ? strchr(copy, '/') : NULL;
        if (protocol) {
                *protocol++ = 0;
                if (strcmp(protocol, "tcp") && strcmp(protocol, "udp") && strcmp(protocol, "sctp"))
                        return false;
        }
        char *last = copy ? strchr(copy, '-') : NULL;
        if (last)
                *last++ = 0;
        uint64_t from, to;
        if (!copy || parse_u64(copy, &from) < 0 || from > 65535)
                return false;
        return !last || (!parse_u64(last, &to) && to >= from && to <= 65535);
}

static void check_ports(const struct json_at *object, const char *key)
{
        check_set(object, key);
        struct json_at ports = json_get_object(object, key);
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)ports.value, name, value) {
                if (is_port(name))
                        continue;
                struct json_at at = json_get(&ports, name);
                json_misfit(&at, "must be named by a port, as in \"80/tcp\"");
        }
}

static void check_volumes(const struct json_at *object, const char *key)
{
        check_set(object, key);
        struct json_at volumes = json_get_object(object, key);
        const char *path;
        json_t *value;
        json_object_foreach((json_t *)volumes.value, path, value) {
                if (path[0] == '/')
                        continue;
                struct json_at at = json_get(&volumes, path);
                json_misfit(&at, "must be named by an absolute path");
        }
}

static void check_stop_signal(const struct json_at *object, const char *key)
{
        const char *name = "";
        if (json_get_string(object, key, &name) && name[0] && signal_from_name(name) < 0) {
                struct json_at at = json_get(object, key);
                json_misfit(&at, "is \"%.40s\", which is not a signal", name);
        }
}

static void check_natural(const struct json_at *object, const char *key)
{
        int64_t value;
        json_get_i64(object, key, 0, INT64_MAX, &value);
}

/* -1: none */
static void check_limit(const struct json_at *object, const char *key)
{
        int64_t value;
        json_get_i64(object, key, -1, INT64_MAX, &value);
}

static void check_seconds(const struct json_at *object, const char *key)
{
        int64_t value;
        json_get_i64(object, key, -1, INT32_MAX, &value);
}

static void check_fields(const struct json_at *object, const struct field *fields)
{
        for (; fields->key; fields++)
                fields->check(object, fields->key);
}

static void check_health_test(const struct json_at *object, const char *key)
{
        check_strings(object, key);
        struct json_at test = json_get_array(object, key);
        if (!json_count(&test))
                return;
        struct json_at first = json_element(&test, 0);
        const char *kind = json_string_at(&first);
        if (kind && kind[0] && strcmp(kind, "NONE") && strcmp(kind, "CMD") && strcmp(kind, "CMD-SHELL"))
                json_misfit(&first, "is \"%.40s\"; expected NONE, CMD or CMD-SHELL", kind);
}

static const struct field health_fields[] = {
        { "Test", check_health_test },
        { "Interval", check_natural },
        { "Timeout", check_natural },
        { "Retries", check_natural },
        { "StartPeriod", check_natural },
        { "StartInterval", check_natural },
        { NULL },
};

static void check_health(const struct json_at *object, const char *key)
{
        struct json_at health = json_get_object(object, key);
        check_fields(&health, health_fields);
}

static void check_working_dir(const struct json_at *object, const char *key)
{
        const char *path = "";
        json_get_string(object, key, &path);
        struct json_at at = json_get(object, key);
        if (strlen(path) >= 4096)
                json_misfit(&at, "is longer than a path can be");
}

static const struct field run_fields[] = {
        { "User", check_string },
        { "ExposedPorts", check_ports },
        { "Env", check_environment },
        { "Entrypoint", check_strings },
        { "Cmd", check_strings },
        { "Volumes", check_volumes },
        { "WorkingDir", check_working_dir },
        { "Labels", check_labels },
        { "StopSignal", check_stop_signal },
        { "ArgsEscaped", check_bool },
        { "Memory", check_natural },
        { "MemorySwap", check_limit },
        { "CpuShares", check_natural },
        { "Healthcheck", check_health },
        { "OnBuild", check_strings },
        { "Shell", check_strings },
        { "StopTimeout", check_seconds },
        { NULL },
};

static void check_run(const struct json_at *object, const char *key)
{
        struct json_at config = json_get_object(object, key);
        check_fields(&config, run_fields);
}

static const struct field history_fields[] = {
        { "created", check_string }, { "author", check_string },    { "created_by", check_string },
        { "comment", check_string }, { "empty_layer", check_bool }, { NULL },
};

static void check_history(const struct json_at *object, const char *key)
{
        struct json_at history = json_get_array(object, key);
        for (size_t i = 0; i < json_count(&history); i++) {
                struct json_at entry = json_element(&history, i);
                if (!json_is_object(entry.value))
                        json_misfit(&entry, "must be an object");
                else
                        check_fields(&entry, history_fields);
        }
}

/* RFC 3339, section 5.6, as far as a glance goes: it is shown and sorted by, never computed with. */
static void check_time(const struct json_at *object, const char *key)
{
        const char *time = NULL;
        if (!json_get_string(object, key, &time) || !time[0])
                return;
        static const char form[] = "dddd-dd-ddTdd:dd:dd";
        size_t i = 0;
        for (; form[i]; i++) {
                bool digit = time[i] >= '0' && time[i] <= '9';
                if (form[i] == 'd' ? !digit : form[i] != time[i])
                        break;
        }
        if (form[i] || strspn(time + i, "0123456789.:+-Z") != strlen(time + i) || strlen(time) > 40) {
                struct json_at at = json_get(object, key);
                json_misfit(&at, "is \"%.40s\"; expected a time as 2006-01-02T15:04:05Z", time);
        }
}

static const struct field image_fields[] = {
        { "created", check_time },        { "author", check_string },
        { "variant", check_string },      { "os.version", check_string },
        { "os.features", check_strings }, { "config", check_run },
        { "history", check_history },     { NULL },
};

static void need_name(const struct json_at *root, const char *key)
{
        const char *text = "x";
        json_need_string(root, key, &text);
        if (!text[0]) {
                struct json_at at = json_get(root, key);
                json_misfit(&at, "must not be empty");
        }
}

static struct json_at find_diff_ids(const struct json_at *root, struct json_at *rootfs)
{
        *rootfs = json_get_object(root, "rootfs");
        if (!rootfs->value && !json_failed(root))
                json_misfit(rootfs, "is required");
        const char *type = "layers";
        json_need_string(rootfs, "type", &type);
        if (strcmp(type, "layers")) {
                struct json_at at = json_get(rootfs, "type");
                json_misfit(&at, "is \"%.40s\"; expected \"layers\"", type);
        }
        return json_get_array(rootfs, "diff_ids");
}

static void parse_diff_ids(const struct json_at *list, struct digest *diff_ids)
{
        for (size_t i = 0; i < json_count(list); i++) {
                struct json_at at = json_element(list, i);
                struct error reason = { 0 };
                const char *text = json_string_at(&at);
                if (text && digest_parse(text, &diff_ids[i], &reason) < 0)
                        json_misfit(&at, "is not acceptable: %s", reason.text);
        }
}

int image_config_check(const json_t *config, const char *what, struct digest **diff_ids, size_t *count,
                       struct error *err)
{
        struct json_reader reader = { .document = what, .err = err };
        struct json_at root = json_root(&reader, config), rootfs;
        need_name(&root, "architecture");
        need_name(&root, "os");
        check_fields(&root, image_fields);
        struct json_at list = find_diff_ids(&root, &rootfs);
        if (json_count(&list) > IMAGE_LAYERS_MAX)
                json_misfit(&list, "has %zu entries; at most %d layers can be mounted", json_count(&list),
                            IMAGE_LAYERS_MAX);
        if (json_failed(&root))
                return json_failed(&root);

        _cleanup_free_ struct digest *parsed = calloc(json_count(&list) + 1, sizeof(*parsed));
        if (!parsed)
                return error_memory(err);
        parse_diff_ids(&list, parsed);
        if (json_failed(&root))
                return json_failed(&root);
        if (diff_ids) {
                *count = json_count(&list);
                *diff_ids = TAKE_PTR(parsed);
        }
        return 0;
}
