/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/setting_text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/text.h"

int restart_policy_parse(const char *text, struct restart_policy *policy, struct error *err)
{
        static const char *const names[] = { "no", "always", "unless-stopped", "on-failure" };
        *policy = (struct restart_policy){ .kind = RESTART_NO };
        if (!text || !*text)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (text_equal(text, names[i])) {
                        policy->kind = (int)i;
                        return 0;
                }
        if (text_starts(text, "on-failure:") && !parse_u64(strchr(text, ':') + 1, &policy->tries)) {
                policy->kind = RESTART_ON_FAILURE;
                return 0;
        }
        return error_set(err, -EINVAL, "--restart \"%s\": write no, always, unless-stopped or on-failure[:tries]",
                         text);
}

static int parse_limit(const char *text, uint64_t *value)
{
        if (text_equal(text, "unlimited") || text_equal(text, "-1")) {
                *value = UINT64_MAX;
                return 0;
        }
        return parse_u64(text, value);
}

int ulimit_parse(const char *text, struct ulimit *limit, struct error *err)
{
        static const char *const names[] = { "core",     "cpu",        "data",   "fsize", "locks", "memlock",
                                             "msgqueue", "nice",       "nofile", "nproc", "rss",   "rtprio",
                                             "rttime",   "sigpending", "stack",  "as" };
        char copy[128];
        char *value = NULL, *hard = NULL;
        if (strlen(text) < sizeof(copy)) {
                TEXT_COPY(copy, text);
                value = strchr(copy, '=');
        }
        if (!value)
                return error_set(err, -EINVAL, "--ulimit \"%s\": write name=soft[:hard]", text);
        *value++ = 0;
        hard = strchr(value, ':');
        if (hard)
                *hard++ = 0;
        bool found = false;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                found |= text_equal(names[i], copy);
        if (!found)
                return error_set(err, -EINVAL, "--ulimit \"%s\": there is no limit named \"%s\"", text, copy);
        if (parse_limit(value, &limit->soft) < 0 || parse_limit(hard ? hard : value, &limit->hard) < 0)
                return error_set(err, -EINVAL, "--ulimit \"%s\": a limit is a number or unlimited", text);
        if (limit->soft > limit->hard)
                return error_set(err, -EINVAL, "--ulimit \"%s\": the soft limit is above the hard one", text);
        int length = snprintf(limit->type, sizeof(limit->type), "RLIMIT_");
        for (const char *c = copy; *c && length + 1 < (int)sizeof(limit->type); c++)
                limit->type[length++] = (char)toupper((unsigned char)*c);
        limit->type[length] = 0;
        return 0;
}

int device_rate_parse(const char *option, const char *text, bool is_size, struct device_rate *rate, struct error *err)
{
        const char *colon = strrchr(text, ':');
        size_t length = colon ? (size_t)(colon - text) : 0;
        if (!colon || text[0] != '/' || length >= sizeof(rate->path))
                return error_set(err, -EINVAL, "%s \"%s\": write /dev/path:%s", option, text,
                                 is_size ? "size" : "number");
        memcpy(rate->path, text, length);
        rate->path[length] = 0;
        int r = is_size ? parse_size(colon + 1, &rate->value) : parse_u64(colon + 1, &rate->value);
        if (r < 0)
                return error_set(err, -EINVAL, "%s \"%s\": \"%s\" is not a %s", option, text, colon + 1,
                                 is_size ? "size" : "number");
        return 0;
}

static bool access_valid(const char *access)
{
        return *access && strlen(access) <= 3 && access[strspn(access, "rwm")] == 0;
}

static int copy_path(char target[SETTING_PATH_MAX], const char *start, size_t length, const char *text,
                     struct error *err)
{
        if (!length || length >= SETTING_PATH_MAX || start[0] != '/')
                return error_set(err, -EINVAL, "--device \"%s\": write /host/path[:/path inside[:rwm]]", text);
        memcpy(target, start, length);
        target[length] = 0;
        return 0;
}

int device_setting_parse(const char *text, struct device_setting *device, struct error *err)
{
        TEXT_COPY(device->access, "rwm");
        size_t host = strcspn(text, ":");
        int r = copy_path(device->host, text, host, text, err);
        if (r < 0)
                return r;
        TEXT_COPY(device->container, device->host);
        if (!text[host])
                return 0;
        const char *rest = text + host + 1;
        if (access_valid(rest)) {
                TEXT_COPY(device->access, rest);
                return 0;
        }
        size_t inside = strcspn(rest, ":");
        r = copy_path(device->container, rest, inside, text, err);
        if (r < 0 || !rest[inside])
                return r;
        if (!access_valid(rest + inside + 1))
                return error_set(err, -EINVAL, "--device \"%s\": access is made of r, w and m", text);
        TEXT_COPY(device->access, rest + inside + 1);
        return 0;
}

static int parse_device_number(const char *text, int64_t *number)
{
        if (text_equal(text, "*")) {
                *number = -1;
                return 0;
        }
        return parse_i64(text, number) < 0 || *number < 0 ? -EINVAL : 0;
}

int device_rule_parse(const char *text, struct device_rule *rule, struct error *err)
{
        char major[16], minor[16], access[8];
        int end = 0;
        if (sscanf(text, "%c %15[0-9*]:%15[0-9*] %7[rwm]%n", &rule->type, major, minor, access, &end) != 4 ||
            text[end] || !strchr("abc", rule->type) || parse_device_number(major, &rule->major) < 0 ||
            parse_device_number(minor, &rule->minor) < 0 || !access_valid(access))
                return error_set(err, -EINVAL,
                                 "--device-cgroup-rule \"%s\": write \"c 1:3 rwm\" (a, b or c; * for all)", text);
        TEXT_COPY(rule->access, access);
        return 0;
}

int cpus_parse(const char *text, uint64_t *billionths, struct error *err)
{
        uint64_t whole = 0, part = 0, scale = 1000000000;
        const char *c = text;
        for (; isdigit((unsigned char)*c) && whole < 1000000; c++)
                whole = whole * 10 + (uint64_t)(*c - '0');
        bool digits = c != text;
        if (*c == '.')
                for (c++; isdigit((unsigned char)*c) && scale > 1; c++) {
                        scale /= 10;
                        part += (uint64_t)(*c - '0') * scale;
                        digits = true;
                }
        if (*c || !digits)
                return error_set(err, -EINVAL, "--cpus \"%s\": write a decimal number of processors, as 1.5", text);
        *billionths = whole * 1000000000 + part;
        /* The kernel's least quota is 1 ms in its period of 100 ms. */
        if (*billionths < 10000000)
                return error_set(err, -EINVAL, "--cpus \"%s\": at least 0.01", text);
        return 0;
}

int cpus_check_host(const char *text, struct error *err)
{
        uint64_t billionths;
        if (!text)
                return 0;
        int r = cpus_parse(text, &billionths, err);
        long count = sysconf(_SC_NPROCESSORS_ONLN);
        if (r < 0 || count < 1 || billionths <= (uint64_t)count * 1000000000)
                return r;
        return error_set(err, -EINVAL, "--cpus %s: must be from 0.01 to %ld, as this host has only %ld processors",
                         text, count, count);
}

bool host_name_valid(const char *name)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
        size_t length = strlen(name);
        return length && length <= 253 && strspn(name, letters) == length;
}

int host_entry_parse(const char *text, struct host_entry *entry, struct error *err)
{
        size_t name = strcspn(text, ":=");
        const char *address = text[name] ? text + name + 1 : "";
        unsigned char binary[16];
        size_t length = strlen(address);
        bool bracketed = length > 2 && address[0] == '[' && address[length - 1] == ']';
        if (bracketed) {
                address++;
                length -= 2;
        }
        if (!name || name >= sizeof(entry->name) || length >= sizeof(entry->address) || strcspn(text, " \t\n") < name)
                return error_set(err, -EINVAL, "--add-host \"%s\": write name:address", text);
        memcpy(entry->name, text, name);
        entry->name[name] = 0;
        if (!host_name_valid(entry->name))
                return error_set(err, -EINVAL, "--add-host \"%s\": \"%s\" is not a name", text, entry->name);
        memcpy(entry->address, address, length);
        entry->address[length] = 0;
        if (!text_equal(entry->address, "host-gateway") && inet_pton(AF_INET, entry->address, binary) != 1 &&
            inet_pton(AF_INET6, entry->address, binary) != 1)
                return error_set(err, -EINVAL, "--add-host \"%s\": \"%s\" is not an address", text, entry->address);
        return 0;
}

const char *mode_container(const char *text)
{
        return text && text_starts(text, "container:") ? text + strlen("container:") : NULL;
}

int mode_check(const char *option, const char *text, bool container, const char *const *allowed, struct error *err)
{
        const char *other = mode_container(text);
        if (!text || (container && other && *other))
                return 0;
        for (; *allowed; allowed++)
                if (text_equal(text, *allowed))
                        return 0;
        return error_set(err, -EINVAL, "%s \"%s\" is not known", option, text);
}

int id_ranges_parse(const char *text, struct id_range *ranges, size_t *count, struct error *err)
{
        *count = 0;
        while (*text) {
                unsigned container, host, length;
                int end = 0;
                if (*count == ID_RANGES_MAX || !isdigit((unsigned char)*text) ||
                    sscanf(text, "%9u:%9u:%9u%n", &container, &host, &length, &end) != 3 || !length ||
                    (text[end] && text[end] != ','))
                        return error_set(err, -EINVAL,
                                         "--userns: at \"%s\": write auto, host or inside:outside:count[,…]", text);
                ranges[(*count)++] = (struct id_range){ container, host, length };
                text += end + (text[end] == ',');
        }
        return *count ? 0 : error_set(err, -EINVAL, "--userns: an empty map");
}

static bool copy_text(char *target, size_t room, const char *text)
{
        return snprintf(target, room, "%s", text) < (int)room;
}

int security_settings_parse(char *const *options, struct security_settings *security, struct error *err)
{
        memset(security, 0, sizeof(*security));
        for (; options && *options; options++) {
                const char *value = *options + strcspn(*options, "=:");
                size_t length = (size_t)(value - *options);
                char key[32];
                snprintf(key, sizeof(key), "%.*s", length < sizeof(key) ? (int)length : 0, *options);
                if (*value)
                        value++;
                bool fits = true;
                if (text_equal(key, "no-new-privileges"))
                        security->no_new_privileges = !text_equal(value, "false");
                else if (text_equal(key, "seccomp") && text_equal(value, "unconfined"))
                        security->seccomp_unconfined = true;
                else if (text_equal(key, "seccomp") && *value)
                        fits = copy_text(security->seccomp_file, sizeof(security->seccomp_file),
                                         text_equal(value, "builtin") ? "" : value);
                else if (text_equal(key, "apparmor"))
                        fits = copy_text(security->apparmor, sizeof(security->apparmor), value);
                else if (text_equal(key, "label"))
                        fits = copy_text(security->label, sizeof(security->label),
                                         text_equal(value, "disable") ? "" : value);
                else if (text_equal(key, "systempaths") && text_equal(value, "unconfined"))
                        security->unmasked = true;
                else
                        return error_set(err, -EINVAL,
                                         "--security-opt \"%s\" is not known; there are no-new-privileges, "
                                         "seccomp=, apparmor=, label= and systempaths=unconfined",
                                         *options);
                if (!fits)
                        return error_set(err, -EINVAL, "--security-opt \"%.40s…\" is too long", *options);
        }
        return 0;
}

int log_options_parse(char *const *options, uint64_t *size_max, unsigned *files_max, struct error *err)
{
        static const char *const ignored[] = { "labels", "labels-regex", "env",      "env-regex",
                                               "tag",    "mode",         "compress", "max-buffer-size" };
        *size_max = 0;
        *files_max = 1;
        bool files_given = false;
        for (; options && *options; options++) {
                const char *value = strchr(*options, '=');
                uint64_t number;
                if (!value)
                        return error_set(err, -EINVAL, "--log-opt \"%s\": write name=value", *options);
                value++;
                if (text_starts(*options, "max-size=")) {
                        if (parse_size(value, size_max) < 0 || (*size_max && *size_max < 4096))
                                return error_set(err, -EINVAL, "--log-opt \"%s\": a size of at least 4k", *options);
                        continue;
                }
                if (text_starts(*options, "max-file=")) {
                        if (parse_u64(value, &number) < 0 || number < 1 || number > 1000)
                                return error_set(err, -EINVAL, "--log-opt \"%s\": a number from 1 to 1000", *options);
                        *files_max = (unsigned)number;
                        files_given = true;
                        continue;
                }
                bool known = false;
                for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
                        known |= strlen(ignored[i]) == (size_t)(value - 1 - *options) &&
                                 text_starts(*options, ignored[i]);
                if (!known)
                        return error_set(err, -EINVAL, "--log-opt \"%s\" is not known; there are max-size and max-file",
                                         *options);
        }
        /* One file that is renamed away when full would leave nothing to read: the tail lives in the one before. */
        if (*size_max && (!files_given || *files_max < 2))
                *files_max = 2;
        return 0;
}
