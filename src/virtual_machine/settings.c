/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtual_machine/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "instance/name.h"
#include "network/network.h"

enum kind { STRING, LIST, BYTES, FLAG };

/* How each is called in config.json. */
static const struct {
        const char *name;
        enum kind kind;
        size_t offset;
} fields[] = {
        { "name", STRING, offsetof(struct vm_settings, name) },
        { "disks", LIST, offsetof(struct vm_settings, disks) },
        { "shares", LIST, offsetof(struct vm_settings, shares) },
        { "isos", LIST, offsetof(struct vm_settings, isos) },
        { "kernel", STRING, offsetof(struct vm_settings, kernel) },
        { "append", STRING, offsetof(struct vm_settings, append) },
        { "firmware", STRING, offsetof(struct vm_settings, firmware) },
        { "cpu", STRING, offsetof(struct vm_settings, cpu) },
        { "initrds", LIST, offsetof(struct vm_settings, initrds) },
        { "modules", LIST, offsetof(struct vm_settings, modules) },
        { "on_reset", STRING, offsetof(struct vm_settings, on_reset) },
        { "cpus", STRING, offsetof(struct vm_settings, cpus) },
        { "memory", BYTES, offsetof(struct vm_settings, memory) },
        { "network", STRING, offsetof(struct vm_settings, network) },
        { "address", STRING, offsetof(struct vm_settings, address) },
        { "mac", STRING, offsetof(struct vm_settings, mac) },
        { "ports", LIST, offsetof(struct vm_settings, ports) },
        { "labels", LIST, offsetof(struct vm_settings, labels) },
        { "engine", STRING, offsetof(struct vm_settings, engine) },
        { "remove", FLAG, offsetof(struct vm_settings, remove) },
};

struct vm_settings vm_settings_default(void)
{
        return (struct vm_settings){ .memory = 256ULL << 20 };
}

static void *place(const struct vm_settings *settings, size_t i)
{
        return (char *)settings + fields[i].offset;
}

void vm_settings_free(struct vm_settings *settings)
{
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                if (fields[i].kind == STRING)
                        free(*(char **)place(settings, i));
                else if (fields[i].kind == LIST)
                        list_free(*(char ***)place(settings, i));
        }
        *settings = (struct vm_settings){ 0 };
}

static json_t *strings(char *const *list)
{
        json_t *array = json_array();
        for (; list && *list; list++)
                json_array_append_new(array, json_string(*list));
        return array;
}

static json_t *write_field(const struct vm_settings *settings, size_t i)
{
        const void *value = place(settings, i);
        switch (fields[i].kind) {
        case STRING: return *(char *const *)value ? json_string(*(char *const *)value) : NULL;
        case LIST: return *(char **const *)value ? strings(*(char **const *)value) : NULL;
        case BYTES: return json_integer((json_int_t) * (const uint64_t *)value);
        case FLAG: return *(const bool *)value ? json_true() : NULL;
        }
        return NULL;
}

json_t *vm_settings_write(const struct vm_settings *settings)
{
        json_t *object = json_object();
        for (size_t i = 0; object && i < ARRAY_SIZE(fields); i++) {
                json_t *value = write_field(settings, i);
                if (value && json_object_set_new(object, fields[i].name, value) < 0) {
                        json_decref(object);
                        return NULL;
                }
        }
        return object;
}

static void read_field(const struct json_at *at, struct vm_settings *settings, size_t i)
{
        const char *text = NULL;
        switch (fields[i].kind) {
        case STRING:
                if (json_get_string(at, fields[i].name, &text))
                        *(char **)place(settings, i) = strdup(text);
                break;
        case LIST: json_get_strings(at, fields[i].name, place(settings, i)); break;
        case BYTES: json_get_u64(at, fields[i].name, place(settings, i)); break;
        case FLAG: json_get_bool(at, fields[i].name, place(settings, i)); break;
        }
}

int vm_settings_read(const json_t *object, struct vm_settings *settings, struct error *err)
{
        struct json_reader reader = { .document = "config.json", .err = err };
        const struct json_at at = json_root(&reader, object);
        *settings = vm_settings_default();
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                read_field(&at, settings, i);
        if (json_failed(&at))
                vm_settings_free(settings);
        return json_failed(&at);
}

/* ---- Checks ---- */

static double cpus_of(const struct vm_settings *settings)
{
        char *end;
        double number = settings->cpus ? strtod(settings->cpus, &end) : 1;
        return settings->cpus && (end == settings->cpus || *end) ? NAN : number;
}

unsigned vm_settings_cpus(const struct vm_settings *settings)
{
        return (unsigned)ceil(cpus_of(settings));
}

int64_t vm_settings_quota(const struct vm_settings *settings)
{
        return settings->cpus ? (int64_t)(cpus_of(settings) * 100000) : 0;
}

/* The file in front of `rest` (",ro,…") becomes a path from the root, in place. */
static int settle_path(const char *option, char **text, size_t start, bool folder, struct error *err)
{
        size_t length = strcspn(*text + start, ",");
        const char *rest = *text + start + length;
        _cleanup_free_ char *given = strndup(*text + start, length);
        _cleanup_free_ char *path = given ? realpath(given, NULL) : NULL;
        struct stat st;
        if (!given)
                return error_memory(err);
        if (!path || stat(path, &st) < 0)
                return error_errno(err, "--%s %s", option, given);
        if (folder != S_ISDIR(st.st_mode) || !(folder || S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
                return error_set(err, -EINVAL, "--%s %s: that is no %s", option, given, folder ? "folder" : "file");
        if (access(path, R_OK) < 0)
                return error_errno(err, "--%s %s", option, given);
        if (strchr(path, ','))
                return error_set(err, -EINVAL, "--%s %s: a path with a comma cannot be told from its options", option,
                                 path);
        char *settled = text_format("%.*s%s%s", (int)start, *text, path, rest);
        if (!settled)
                return error_memory(err);
        free(*text);
        *text = settled;
        return 0;
}

static int settle_all(const char *option, char **list, bool folder, struct error *err)
{
        for (; list && *list; list++) {
                const char *equals = folder ? strchr(*list, '=') : NULL;
                if (folder && (!equals || equals == *list))
                        return error_set(err, -EINVAL, "--%s takes TAG=FOLDER, not \"%s\"", option, *list);
                int r = settle_path(option, list, equals ? (size_t)(equals - *list) + 1 : 0, folder, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int settle_firmware(struct vm_settings *settings, struct error *err)
{
        bool named =
                !settings->firmware || text_equal(settings->firmware, "bios") || text_equal(settings->firmware, "uefi");
        return named ? 0 : settle_path("firmware", &settings->firmware, 0, false, err);
}

static int check_size(const struct vm_settings *settings, struct error *err)
{
        double cpus = cpus_of(settings);
        if (!(cpus >= 0.01 && cpus <= VM_CPUS_MAX))
                return error_set(err, -EINVAL, "--cpus is a number from 0.01 to %d, not \"%s\"", VM_CPUS_MAX,
                                 settings->cpus);
        if (settings->memory < VM_MEMORY_MIN || settings->memory > 1ULL << 46)
                return error_set(err, -EINVAL, "--memory is a size from 1m to 64t");
        if (settings->memory % 4096)
                return error_set(err, -EINVAL, "--memory is a whole number of pages of 4096 bytes");
        return 0;
}

static int check_ports(const struct vm_settings *settings, struct error *err)
{
        for (char *const *text = settings->ports; text && *text; text++) {
                struct published_port port;
                int r = published_port_parse(*text, &port, err);
                if (r < 0)
                        return r;
        }
        if (text_equal(settings->network, "user") && (settings->address || settings->mac))
                return error_set(err, -EINVAL, "--ip and --mac-address need a network, and --net is user");
        bool alone = text_equal(settings->network, "none");
        if (alone && (settings->ports || settings->address || settings->mac))
                return error_set(err, -EINVAL, "--publish, --ip and --mac-address need a network, and --net is none");
        return 0;
}

static int check_boot(const struct vm_settings *settings, struct error *err)
{
        if (!settings->kernel && !settings->firmware && !settings->disks && !settings->isos)
                return error_set(err, -EINVAL, "nothing to start: give --kernel, --disk, --iso or --firmware");
        if (list_length(settings->isos) > 1)
                return error_set(err, -EINVAL, "a machine has one CD drive: give --iso once");
        if (settings->kernel && settings->firmware)
                return error_set(err, -EINVAL, "--kernel starts without firmware: give one of --kernel and --firmware");
        if (!settings->kernel && (settings->initrds || settings->append || settings->modules))
                return error_set(err, -EINVAL, "--%s is for --kernel, which is not given",
                                 settings->initrds   ? "initrd"
                                 : settings->modules ? "module"
                                                     : "append");
        if (settings->on_reset && !text_equal(settings->on_reset, "stop") && !text_equal(settings->on_reset, "restart"))
                return error_set(err, -EINVAL, "--on-reset is stop or restart, not \"%s\"", settings->on_reset);
        return 0;
}

int vm_settings_check(struct vm_settings *settings, struct error *err)
{
        if (settings->name && !instance_name_valid(settings->name))
                return error_set(err, -EINVAL,
                                 "\"%s\" is no name; a name has at least two letters, digits, '_', '.' or '-', "
                                 "the first a letter or digit",
                                 settings->name);
        int r = check_boot(settings, err);
        if (!r)
                r = check_size(settings, err);
        if (!r)
                r = check_ports(settings, err);
        if (!r)
                r = settle_firmware(settings, err);
        if (!r && settings->kernel)
                r = settle_path("kernel", &settings->kernel, 0, false, err);
        if (!r)
                r = settle_all("initrd", settings->initrds, false, err);
        if (!r)
                r = settle_all("module", settings->modules, false, err);
        if (!r)
                r = settle_all("disk", settings->disks, false, err);
        if (!r)
                r = settle_all("iso", settings->isos, false, err);
        return r < 0 ? r : settle_all("share", settings->shares, true, err);
}
