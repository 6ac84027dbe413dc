/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/cgroup_devices.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "container/cgroup_tree.h"

/* config-linux.md, "Default Devices", and any node may be made as long as it cannot be opened. */
static const struct device_rule default_rules[] = {
        { true, 'c', DEVICE_ANY, DEVICE_ANY, DEVICE_MKNOD },
        { true, 'b', DEVICE_ANY, DEVICE_ANY, DEVICE_MKNOD },
        { true, 'c', 1, 3, DEVICE_ALL },            /* null */
        { true, 'c', 1, 5, DEVICE_ALL },            /* zero */
        { true, 'c', 1, 7, DEVICE_ALL },            /* full */
        { true, 'c', 1, 8, DEVICE_ALL },            /* random */
        { true, 'c', 1, 9, DEVICE_ALL },            /* urandom */
        { true, 'c', 5, 0, DEVICE_ALL },            /* tty */
        { true, 'c', 5, 2, DEVICE_ALL },            /* ptmx */
        { true, 'c', 136, DEVICE_ANY, DEVICE_ALL }, /* pts, the console's included */
};

static bool is_everything(const struct device_rule *rule)
{
        return rule->type == 'a' && rule->major == DEVICE_ANY && rule->minor == DEVICE_ANY &&
               rule->access == DEVICE_ALL;
}

int device_rules(const struct resources *resources, struct device_rule **rules, size_t *count, struct error *err)
{
        /* A rule for both types is two, but for the one that is about everything. */
        struct device_rule *list = calloc(2 * resources->device_count + ARRAY_SIZE(default_rules) + 1, sizeof(*list));
        if (!list)
                return error_memory(err);
        size_t n = 0;
        for (size_t i = 0; i < resources->device_count; i++) {
                struct device_rule rule = resources->devices[i];
                if (is_everything(&rule)) {
                        n = 0; /* nothing before it matters any more */
                        list[n++] = rule;
                        continue;
                }
                for (const char *type = "bc"; *type; type++) {
                        if (rule.type != 'a' && rule.type != *type)
                                continue;
                        list[n] = rule;
                        list[n++].type = *type;
                }
        }
        bool all = n == 1 && is_everything(&list[0]) && list[0].allow;
        if (!all) {
                memcpy(&list[n], default_rules, sizeof(default_rules));
                n += ARRAY_SIZE(default_rules);
        }
        *rules = list;
        *count = n;
        return 0;
}

/* ---- v1 ---- */

static bool covers(int32_t wide, int32_t narrow)
{
        return wide == DEVICE_ANY || wide == narrow;
}

static bool rule_covers(const struct device_rule *wide, const struct device_rule *narrow)
{
        return wide->type == narrow->type && covers(wide->major, narrow->major) && covers(wide->minor, narrow->minor);
}

static bool overlap(int32_t a, int32_t b)
{
        return a == DEVICE_ANY || b == DEVICE_ANY || a == b;
}

static bool rules_overlap(const struct device_rule *a, const struct device_rule *b)
{
        return a->type == b->type && overlap(a->major, b->major) && overlap(a->minor, b->minor);
}

static void number_text(int32_t number, char text[12])
{
        if (number == DEVICE_ANY)
                text_copy(text, 12, "*");
        else
                snprintf(text, 12, "%d", (int)number);
}

static void rule_text(const struct device_rule *rule, char text[48])
{
        char major[12], minor[12];
        number_text(rule->major, major);
        number_text(rule->minor, minor);
        snprintf(text, 48, "%c %s:%s %s%s%s", rule->type, major, minor, rule->access & DEVICE_READ ? "r" : "",
                 rule->access & DEVICE_WRITE ? "w" : "", rule->access & DEVICE_MKNOD ? "m" : "");
}

static void add_exception(struct device_list *list, const struct device_rule *rule)
{
        unsigned missing = rule->access;
        for (size_t i = 0; i < list->count; i++) {
                struct device_rule *there = &list->exceptions[i];
                if (rule_covers(there, rule))
                        missing &= ~there->access;
                if (there->type == rule->type && there->major == rule->major && there->minor == rule->minor) {
                        there->access |= rule->access;
                        return;
                }
        }
        if (missing)
                list->exceptions[list->count++] = *rule;
}

/* A rule that agrees with the default: exceptions within it go; one that is wider can only go whole. */
static int remove_exceptions(struct device_list *list, const struct device_rule *rule, struct error *err)
{
        size_t kept = 0;
        for (size_t i = 0; i < list->count; i++) {
                struct device_rule there = list->exceptions[i];
                bool touched = rules_overlap(&there, rule) && there.access & rule->access;
                if (touched && !rule_covers(rule, &there)) {
                        char wide[48], narrow[48];
                        rule_text(&there, wide);
                        rule_text(rule, narrow);
                        return error_set(
                                err, -EOPNOTSUPP,
                                "linux.resources.devices: a rule %s \"%s\", a part of what an earlier "
                                "rule says of \"%s\"; the cgroup v1 of this host cannot hold that, name the devices "
                                "one by one",
                                rule->allow ? "allows" : "denies", narrow, wide);
                }
                if (touched)
                        there.access &= ~rule->access;
                if (there.access)
                        list->exceptions[kept++] = there;
        }
        list->count = kept;
        return 0;
}

int device_list_build(const struct device_rule *rules, size_t count, struct device_list *list, struct error *err)
{
        *list = (struct device_list){ .exceptions = calloc(count + 1, sizeof(*list->exceptions)) };
        if (!list->exceptions)
                return error_memory(err);
        int r = 0;
        for (size_t i = 0; !r && i < count; i++) {
                if (is_everything(&rules[i])) {
                        list->allow = rules[i].allow;
                        list->count = 0;
                } else if (rules[i].allow == list->allow) {
                        r = remove_exceptions(list, &rules[i], err);
                } else {
                        add_exception(list, &rules[i]);
                }
        }
        if (r < 0)
                free(TAKE_PTR(list->exceptions));
        return r;
}

static int write_rule(int fd, const char *text)
{
        return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static bool is_exception(const struct device_list *list, const char *line, size_t length)
{
        for (size_t i = 0; i < list->count; i++) {
                char text[48];
                rule_text(&list->exceptions[i], text);
                if (strlen(text) == length && !memcmp(text, line, length))
                        return true;
        }
        return false;
}

/*
 * The kernel's list of a container that may be running: additions first, then what is too much goes, so no device that
 * is allowed before and after is denied in between. 1 if the default itself has to change, and so the list starts anew.
 */
static int update_list(int directory, int allow, int deny, const struct device_list *list)
{
        _cleanup_free_ char *now = NULL;
        int r = file_read(directory, "devices.list", CONTROL_FILE_MAX, &now, NULL, NULL);
        if (r < 0 || list->allow || *now == 'a')
                return 1;
        for (size_t i = 0; !r && i < list->count; i++) {
                char text[48];
                rule_text(&list->exceptions[i], text);
                r = write_rule(allow, text);
        }
        for (char *line = now, *end; !r && *line; line = *end ? end + 1 : end) {
                end = strchrnul(line, '\n');
                if (is_exception(list, line, (size_t)(end - line)))
                        continue;
                char text[64];
                snprintf(text, sizeof(text), "%.*s", (int)(end - line), line);
                r = write_rule(deny, text);
        }
        /* What was taken away may have held a part of a rule that stays ("rw" taken from "rwm"). */
        for (size_t i = 0; !r && i < list->count; i++) {
                char text[48];
                rule_text(&list->exceptions[i], text);
                r = write_rule(allow, text);
        }
        return r;
}

static int apply_list(const struct cgroup_directory *directory, const struct device_list *list, bool running,
                      struct error *err)
{
        _cleanup_close_ int allow = openat(directory->fd, "devices.allow", O_WRONLY | O_CLOEXEC);
        _cleanup_close_ int deny = openat(directory->fd, "devices.deny", O_WRONLY | O_CLOEXEC);
        if (allow < 0 || deny < 0)
                return error_errno(err, "cannot open %s/devices.%s", directory->path, allow < 0 ? "allow" : "deny");
        int r = running ? update_list(directory->fd, allow, deny, list) : 1;
        if (r <= 0)
                return r < 0 ? error_code(err, r, "linux.resources.devices: cannot change %s/devices.list",
                                          directory->path)
                             : 0;
        r = write_rule(list->allow ? allow : deny, "a");
        for (size_t i = 0; !r && i < list->count; i++) {
                char text[48];
                rule_text(&list->exceptions[i], text);
                r = write_rule(list->allow ? deny : allow, text);
                if (r < 0)
                        return error_code(err, r, "linux.resources.devices: cannot write \"%s\" to %s/devices.%s%s",
                                          text, directory->path, list->allow ? "deny" : "allow",
                                          r == -EPERM ? " (the control group above does not allow it)" : "");
        }
        return r < 0 ? error_code(err, r, "linux.resources.devices: cannot set the default of %s", directory->path) : 0;
}

/* ---- both ---- */

static int apply_v1(const struct cgroup_directory *directory, const struct device_rule *rules, size_t count,
                    bool running, struct error *err)
{
        struct device_list list;
        int r = device_list_build(rules, count, &list, err);
        if (r < 0)
                return r;
        r = apply_list(directory, &list, running, err);
        free(list.exceptions);
        return r;
}

static int apply_v2(const struct cgroup_directory *directory, const struct device_rule *rules, size_t count,
                    struct error *err)
{
        _cleanup_free_ struct bpf_insn *program = NULL;
        size_t length = 0;
        int r = device_program_build(rules, count, &program, &length, err);
        if (r < 0)
                return r;
        r = device_program_attach(directory->fd, program, length, err);
        return r < 0 ? error_prefix(err, "linux.resources.devices: %s", directory->path) : 0;
}

int cgroup_apply_devices(const struct cgroup *cgroup, const struct resources *resources, struct error *err)
{
        _cleanup_free_ struct device_rule *rules = NULL;
        size_t count = 0;
        int r = device_rules(resources, &rules, &count, err);
        if (r < 0)
                return r;
        const struct cgroup_directory *v1 = cgroup_find(cgroup, CONTROLLER_DEVICES), *v2 = cgroup_unified(cgroup);
        if (v1)
                r = apply_v1(v1, rules, count, !cgroup->created, err);
        else if (v2)
                r = apply_v2(v2, rules, count, err);
        else if (!cgroup->rootless)
                return error_set(err, -EOPNOTSUPP,
                                 "linux.resources.devices: this host has neither the devices controller of "
                                 "cgroup v1 nor cgroup v2, so no device can be denied; mount one of them");
        /* An ordinary user cannot make device nodes that the host's file permissions do not guard. */
        return cgroup->rootless && (r == -EPERM || r == -EACCES) ? 0 : r;
}
