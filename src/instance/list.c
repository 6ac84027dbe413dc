/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "instance/folder.h"
#include "instance/instance.h"
#include "instance/mount_setting.h"
#include "instance/name.h"
#include "instance/network_setting.h"
#include "instance/port_filter.h"
#include "instance/setting_text.h"
#include "instance/vessel.h"

void instance_list_free(struct instance **list, size_t count)
{
        for (size_t i = 0; i < count; i++)
                instance_free(list[i]);
        free(list);
}

static const char *created_of(const struct instance *instance)
{
        const char *created = json_string_value(json_object_get(instance->config, "created"));
        return created ? created : "";
}

/* RFC 3339 in UTC sorts as time does. */
static int newest_first(const void *a, const void *b)
{
        return strcmp(created_of(*(struct instance *const *)b), created_of(*(struct instance *const *)a));
}

struct listing {
        struct instance **list;
        size_t count, room;
};

static int add(struct listing *listing, struct instance *instance, struct error *err)
{
        if (listing->count == listing->room) {
                size_t room = listing->room ? listing->room * 2 : 32;
                struct instance **grown = reallocarray(listing->list, room, sizeof(*grown));
                if (!grown)
                        return error_memory(err);
                listing->list = grown;
                listing->room = room;
        }
        listing->list[listing->count++] = instance;
        return 0;
}

static int collect(struct host *host, int instances, struct listing *listing, struct error *err)
{
        int own = openat(instances, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_closedir_ DIR *folder = own < 0 ? NULL : fdopendir(own);
        if (!folder)
                return error_errno(err, "cannot read the folder of instances");
        struct dirent *entry;
        int r = 0;
        while (!r && (entry = readdir(folder))) {
                struct instance *instance;
                if (!instance_id_valid(entry->d_name) || instance_open(host, entry->d_name, &instance, NULL) < 0)
                        continue;
                /* One that cannot be put right is shown all the same; one that is gone by now is not. */
                bool gone = instance_refresh(instance, NULL) == -ENOENT;
                r = gone ? 0 : add(listing, instance, err);
                if (gone || r < 0)
                        instance_free(instance);
        }
        return r;
}

/* ---- Filters ---- */

struct candidate {
        struct instance *instance;
        struct instance_settings settings;
        const char *before, *since; /* times of the instances that those filters name */
};

static bool label_fits(const struct candidate *candidate, const char *value)
{
        for (char *const *label = candidate->settings.labels; label && *label; label++) {
                size_t length = strcspn(*label, "=");
                if (text_equal(*label, value) ||
                    (!strchr(value, '=') && strlen(value) == length && text_starts(*label, value)))
                        return true;
        }
        return false;
}

static bool name_fits(const struct candidate *candidate, const char *value)
{
        return strstr(candidate->instance->name, value[0] == '/' ? value + 1 : value);
}

static bool id_fits(const struct candidate *candidate, const char *value)
{
        return text_starts(candidate->instance->id, value);
}

static bool status_fits(const struct candidate *candidate, const char *value)
{
        return text_equal(instance_status_name(candidate->instance->status), value);
}

static bool exit_fits(const struct candidate *candidate, const char *value)
{
        int64_t code;
        return candidate->instance->status == INSTANCE_EXITED && !parse_i64(value, &code) &&
               code == json_integer_value(json_object_get(candidate->instance->state, "exit_code"));
}

static bool image_fits(const struct candidate *candidate, const char *value)
{
        const json_t *image = json_object_get(candidate->instance->config, "image");
        const char *reference = json_string_value(json_object_get(image, "reference"));
        const char *id = json_string_value(json_object_get(image, "id"));
        if (text_equal(reference, value) ||
            (id && (text_starts(id, value) || text_starts(id + strcspn(id, ":") + 1, value))))
                return true;
        size_t length = strlen(value);
        return reference && text_starts(reference, value) && text_equal(reference + length, ":latest");
}

static bool volume_fits(const struct candidate *candidate, const char *value)
{
        struct mount_setting *mounts;
        size_t count;
        if (mount_settings_collect(&candidate->settings, &mounts, &count, NULL) < 0)
                return false;
        bool found = false;
        for (size_t i = 0; i < count; i++)
                found |= text_equal(mounts[i].source, value) || text_equal(mounts[i].target, value);
        mount_settings_free(mounts, count);
        return found;
}

static bool network_fits(const struct candidate *candidate, const char *value)
{
        const struct instance_settings *settings = &candidate->settings;
        if (network_settings_kind(settings) != NETWORK_BRIDGED)
                return settings->networks && text_equal(settings->networks[0], value);
        for (size_t i = 0; i < network_settings_count(settings); i++) {
                struct network_setting network;
                if (network_setting_parse(settings, i, &network, NULL) < 0)
                        continue;
                bool same = text_equal(network.name, text_equal(value, "bridge") ? "default" : value);
                network_setting_free(&network);
                if (same)
                        return true;
        }
        return false;
}

static bool health_fits(const struct candidate *candidate, const char *value)
{
        const char *health =
                json_string_value(json_object_get(json_object_get(candidate->instance->run, "health"), "Status"));
        return text_equal(health ? health : "none", value);
}

static bool before_fits(const struct candidate *candidate, const char *value)
{
        (void)value;
        return candidate->before && strcmp(created_of(candidate->instance), candidate->before) < 0;
}

static bool since_fits(const struct candidate *candidate, const char *value)
{
        (void)value;
        return candidate->since && strcmp(created_of(candidate->instance), candidate->since) > 0;
}

static bool publish_fits(const struct candidate *candidate, const char *value)
{
        struct port_filter ports;
        return !port_filter_parse(value, &ports) && port_filter_fits_published(&ports, candidate->instance);
}

static bool expose_fits(const struct candidate *candidate, const char *value)
{
        struct port_filter ports;
        return !port_filter_parse(value, &ports) &&
               port_filter_fits_exposed(&ports, candidate->instance, &candidate->settings);
}

static bool restart_fits(const struct candidate *candidate, const char *value)
{
        const char *restart = candidate->settings.restart ? candidate->settings.restart : "no";
        size_t length = strlen(value);
        return text_starts(restart, value) && (!restart[length] || restart[length] == ':');
}

static bool boot_fits(const struct candidate *candidate, const char *value)
{
        struct restart_policy policy;
        if (restart_policy_parse(candidate->settings.restart, &policy, NULL) < 0)
                return false;
        bool stopped = json_is_true(json_object_get(candidate->instance->state, "stopped"));
        bool wanted = policy.kind == RESTART_ALWAYS || (policy.kind == RESTART_UNLESS_STOPPED && !stopped);
        return text_equal(value, wanted ? "true" : "false");
}

static const struct {
        const char *name;
        bool (*fits)(const struct candidate *candidate, const char *value);
        bool every; /* all given must fit; otherwise one of them is enough */
} filters[] = {
        { "id", id_fits, false },
        { "name", name_fits, false },
        { "label", label_fits, true },
        { "status", status_fits, false },
        { "exited", exit_fits, false },
        { "ancestor", image_fits, false },
        { "volume", volume_fits, false },
        { "network", network_fits, false },
        { "health", health_fits, false },
        { "before", before_fits, true },
        { "since", since_fits, true },
        { "publish", publish_fits, false },
        { "expose", expose_fits, false },
        { "restart-policy", restart_fits, false },
        { "should-start-on-boot", boot_fits, true },
};

static const char *value_of(const char *filter, const char *name)
{
        size_t length = strlen(name);
        return text_starts(filter, name) && filter[length] == '=' ? filter + length + 1 : NULL;
}

static int check_ports(const char *filter, struct error *err)
{
        struct port_filter ports;
        const char *value = value_of(filter, "publish");
        if (!value)
                value = value_of(filter, "expose");
        if (!value || !port_filter_parse(value, &ports))
                return 0;
        return error_set(err, -EINVAL, "--filter %s: write PORT[-PORT][/PROTOCOL]", filter);
}

static int check_filters(char *const *texts, struct error *err)
{
        for (; texts && *texts; texts++) {
                bool known = false;
                for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
                        known |= value_of(*texts, filters[i].name) != NULL;
                if (!known)
                        return error_set(
                                err, -EINVAL,
                                "unknown filter \"%s\"; there are id, name, label, status, exited, ancestor, "
                                "volume, network, health, before, since, publish, expose, restart-policy and should-start-on-boot",
                                *texts);
                if (check_ports(*texts, err) < 0)
                        return -EINVAL;
        }
        return 0;
}

static bool fits(const struct candidate *candidate, char *const *texts)
{
        for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
                bool given = false, any = false, all = true;
                for (char *const *text = texts; text && *text; text++) {
                        const char *value = value_of(*text, filters[i].name);
                        if (!value)
                                continue;
                        bool fit = filters[i].fits(candidate, value);
                        given = true;
                        any |= fit;
                        all &= fit;
                }
                if (given && !(filters[i].every ? all : any))
                        return false;
        }
        return true;
}

static bool wants_stopped(const struct instance_filter *filter)
{
        if (filter->all || filter->last)
                return true;
        for (char *const *text = filter->filters; text && *text; text++)
                if (value_of(*text, "status") || value_of(*text, "exited"))
                        return true;
        return false;
}

static const char *created_of_named(const struct listing *listing, char *const *texts, const char *key)
{
        for (; texts && *texts; texts++) {
                const char *value = value_of(*texts, key);
                for (size_t i = 0; value && i < listing->count; i++)
                        if (text_equal(listing->list[i]->name, value) || text_starts(listing->list[i]->id, value))
                                return created_of(listing->list[i]);
        }
        return NULL;
}

static void keep_fitting(struct listing *listing, const struct instance_filter *filter)
{
        bool stopped = wants_stopped(filter);
        const char *before = created_of_named(listing, filter->filters, "before");
        const char *since = created_of_named(listing, filter->filters, "since");
        /* Marked first: the times of those that go are still needed. */
        bool *keep = calloc(listing->count + 1, sizeof(*keep));
        for (size_t i = 0; keep && i < listing->count; i++) {
                struct candidate candidate = { .instance = listing->list[i], .before = before, .since = since };
                if (instance_settings_of(candidate.instance, &candidate.settings, NULL) < 0)
                        candidate.settings = instance_settings_default();
                keep[i] = (stopped || candidate.instance->run) && fits(&candidate, filter->filters);
                instance_settings_free(&candidate.settings);
        }
        size_t kept = 0;
        for (size_t i = 0; i < listing->count; i++)
                if (keep && keep[i] && (!filter->last || kept < (size_t)filter->last))
                        listing->list[kept++] = listing->list[i];
                else
                        instance_free(listing->list[i]);
        listing->count = kept;
        free(keep);
}

/* Virtual machines of `onggi vm` have attachments, too, and are finished by their own commands. */
static int list_machines(const struct host *host, char ***ids)
{
        _cleanup_free_ char *path = text_format("%s/machines", host->root);
        _cleanup_closedir_ DIR *folder = path ? opendir(path) : NULL;
        int r = 0;
        for (struct dirent *entry; !r && folder && (entry = readdir(folder));)
                if (instance_id_valid(entry->d_name))
                        r = list_append(ids, entry->d_name);
        return r;
}

/* Leases, interfaces and rules of instances that are gone. */
static int repair_networks(struct host *host, const struct listing *listing, struct error *err)
{
        _cleanup_free_ char *leases = text_format("%s/netns", host->state);
        /* Nothing was ever attached since the last boot: nothing to repair. */
        if (!leases || access(leases, F_OK) < 0)
                return 0;
        _cleanup_list_ char **ids = NULL;
        for (size_t i = 0; i < listing->count; i++)
                if (list_append(&ids, listing->list[i]->id) < 0)
                        return error_memory(err);
        if (list_machines(host, &ids) < 0)
                return error_memory(err);
        struct networks *networks;
        int r = networks_open(host->root, host->state, host->rootless, &networks, err);
        if (r < 0)
                return r;
        r = network_repair(networks, ids, err);
        networks_close(networks);
        return r;
}

int instance_list(struct host *host, const struct instance_filter *filter, struct instance ***list, size_t *count,
                  struct error *err)
{
        int r = check_filters(filter->filters, err);
        _cleanup_close_ int instances = r < 0 ? -1 : instances_open(host->root, err);
        if (instances < 0)
                return r < 0 ? r : instances;
        struct listing listing = { 0 };
        r = instances_sweep(host, instances, err);
        if (!r)
                r = collect(host, instances, &listing, err);
        if (r < 0) {
                instance_list_free(listing.list, listing.count);
                return r;
        }
        repair_networks(host, &listing, NULL);
        if (listing.count)
                qsort(listing.list, listing.count, sizeof(*listing.list), newest_first);
        keep_fitting(&listing, filter);
        *list = listing.list;
        *count = listing.count;
        return 0;
}

int instance_prune(struct host *host, char *const *filter_texts, char ***removed, uint64_t *freed, struct error *err)
{
        struct instance **list;
        size_t count;
        const struct instance_filter filter = { .all = true, .filters = filter_texts };
        int r = instance_list(host, &filter, &list, &count, err);
        if (r < 0)
                return r;
        *freed = 0;
        for (size_t i = 0; !r && i < count; i++) {
                if (list[i]->run)
                        continue;
                uint64_t size = instance_written(list[i]);
                r = instance_remove(list[i], false, false, err);
                if (r == -EBUSY)
                        r = 0; /* started meanwhile */
                else if (!r) {
                        *freed += size;
                        r = list_append(removed, list[i]->id) < 0 ? error_memory(err) : 0;
                }
        }
        instance_list_free(list, count);
        return r;
}
