/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/test_point.h"
#include "base/text.h"
#include "container/cgroup.h"
#include "image/store.h"
#include "instance/events.h"
#include "instance/folder.h"
#include "instance/id_map.h"
#include "instance/name.h"
#include "instance/network_setting.h"
#include "instance/timestamp.h"
#include "instance/volume.h"

/* What a killed creator or eraser leaves is renamed to this first, so that it is no instance any more. */
#define REMOVED_PREFIX ".removed-"

int instance_save_state(struct instance *instance, bool durable, struct error *err)
{
        return json_replace(instance->folder, "state.json", instance->state, durable, err);
}

/*
 * Control groups that a runtime made which was killed before it could write down that it did. To make them once more
 * is the way to find all of them; a group with processes in it is refused, and was written down.
 */
static int remove_control_groups(const struct host *host, const char *id, const char *parent)
{
        _cleanup_free_ char *path = text_format("%s/%s", parent ? parent : "/onggi", id);
        struct cgroup *cgroup;
        int r = path ? cgroup_create(id, path, false, host->rootless, NULL, &cgroup, NULL) : -ENOMEM;
        if (r < 0)
                return r;
        r = cgroup_remove(cgroup, NULL);
        cgroup_free(cgroup);
        return r;
}

static bool ended_well(int run_folder)
{
        json_t *record = NULL;
        bool well = !json_read(run_folder, "run.json", &record, NULL) &&
                    text_equal(json_string_value(json_object_get(record, "status")), "exited");
        json_decref(record);
        return well;
}

static int delete_container(const struct host *host, const char *id, struct error *err)
{
        int r = 0;
        for (const struct vessel *const *vessel = vessels; !r && *vessel; vessel++) {
                _cleanup_free_ char *path = text_format("%s/%s/%s", host->state, (*vessel)->containers, id);
                if (!path)
                        return error_memory(err);
                if (!access(path, F_OK))
                        r = vessel_runtime_call(host, *vessel, (char *const[]){ "delete", "--force", (char *)id, NULL },
                                                err);
        }
        return r;
}

static int end_container(struct instance *instance, struct error *err)
{
        return delete_container(instance->host, instance->id, err);
}

int instance_release_network(struct instance *instance, struct error *err)
{
        struct instance_settings settings;
        int r = instance_settings_of(instance, &settings, NULL);
        bool attached = r < 0 || network_settings_kind(&settings) != NETWORK_HOST;
        if (!r) {
                attached = network_settings_kind(&settings) == NETWORK_BRIDGED;
                instance_settings_free(&settings);
        }
        if (!attached)
                return 0;
        struct networks *networks;
        r = networks_open(instance->host->root, instance->host->state, instance->host->rootless, &networks, err);
        if (r < 0)
                return r;
        r = network_release(networks, instance->id, err);
        networks_close(networks);
        return r < 0 ? r : id_map_unpin(instance->host->state, instance->id, err);
}

static void take_member(json_t *state, const json_t *run, const char *key)
{
        json_t *value = json_object_get(run, key);
        if (value)
                json_object_set(state, key, value);
}

bool instance_take_end(struct instance *instance, const json_t *run)
{
        static const char *const members[] = { "started", "finished", "exit_code",     "oom_killed", "stopped",
                                               "error",   "reason",   "restart_count", "engine" };
        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                take_member(instance->state, run, members[i]);
        bool ended = text_equal(json_string_value(json_object_get(run, "status")), "exited");
        if (!ended) {
                char now[TIMESTAMP_SIZE];
                timestamp_now(now);
                json_object_set_new(instance->state, "exit_code", json_integer(137));
                json_object_set_new(instance->state, "finished", json_string(now));
                json_object_set_new(instance->state, "error",
                                    json_string("its monitor was killed; the instance was stopped"));
        }
        json_object_set_new(instance->state, "status", json_string("exited"));
        instance->status = INSTANCE_EXITED;
        return ended;
}

static int record_end(struct instance *instance, const json_t *run, struct error *err)
{
        if (!instance_take_end(instance, run))
                event_of_instance(instance, "die");
        return instance_save_state(instance, true, err);
}

static bool removes_itself(const struct instance *instance)
{
        return json_is_true(json_object_get(json_object_get(instance->config, "settings"), "remove"));
}

static int remove_run_folder(struct instance *instance, struct error *err)
{
        _cleanup_free_ char *runs = text_format("%s/instances", instance->host->state);
        _cleanup_close_ int parent = runs ? open(runs, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (parent < 0)
                return error_errno(err, "cannot open %s", runs ? runs : "the folder of running instances");
        return tree_remove(parent, instance->id, err);
}

int instance_finish(struct instance *instance, struct error *err)
{
        _cleanup_close_ int folder = run_folder_open(instance->host, instance->id);
        /* `run --rm` was killed before its program ran: nobody will ever start that. */
        bool transient = json_is_true(json_object_get(instance->state, "transient"));
        if (folder < 0)
                return transient ? instance_erase(instance, true, err) : 0;
        int r = end_container(instance, err);
        json_t *settings = json_object_get(instance->config, "settings");
        if (!r && !ended_well(folder))
                remove_control_groups(instance->host, instance->id,
                                      json_string_value(json_object_get(settings, "cgroup_parent")));
        test_point("instance.finish.container.deleted");
        if (!r)
                r = instance_release_network(instance, err);
        test_point("instance.finish.network.released");
        if (r < 0)
                return error_prefix(err, "cannot clean up after instance %s", instance->name);

        json_t *record = NULL;
        bool erase = removes_itself(instance);
        if (!json_read(folder, "run.json", &record, NULL) && !erase)
                r = record_end(instance, record, err);
        bool ran = record;
        json_decref(record);
        if (r < 0)
                return r;
        test_point("instance.finish.recorded");
        if (erase && (ran || transient))
                r = instance_erase(instance, true, err);
        return r < 0 ? r : remove_run_folder(instance, err);
}

int instance_finish_erased(struct instance *instance, struct error *err)
{
        int r = end_container(instance, err);
        return r < 0 ? r : remove_run_folder(instance, err);
}

static int forget_volumes(struct host *host, const json_t *config)
{
        size_t i;
        json_t *name;
        json_array_foreach(json_object_get(config, "anonymous"), i, name)
                if (json_is_string(name) && volume_name_valid(json_string_value(name)))
                        volume_remove(host, json_string_value(name), true, NULL);
        return 0;
}

/* The folder is no instance any more (renamed, under its lock): everything that it had goes, its files last. */
static int erase_remains(struct host *host, int instances, const char *folder_name, const char *id, bool volumes,
                         struct error *err)
{
        _cleanup_close_ int folder = openat(instances, folder_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        json_t *config = NULL, *state = NULL;
        json_read(folder, "config.json", &config, NULL);
        json_read(folder, "state.json", &state, NULL);
        const char *name = json_string_value(json_object_get(state, "name"));
        if (!name)
                name = json_string_value(json_object_get(config, "name"));
        int r = name ? name_drop(instances, name, id, err) : 0;
        json_int_t range = json_integer_value(json_object_get(config, "id_range"));
        if (!r && range > 0 && range <= UINT32_MAX)
                r = id_range_drop(instances, id, &(struct id_range){ .host = (uint32_t)range }, err);

        struct store *store = NULL;
        if (!r)
                r = store_open(host->root, &store, err);
        if (!r)
                r = store_unpin(store, id, err);
        store_close(store);
        test_point("instance.erase.unpinned");
        /* Files before the volumes: a volume counts as used as long as a configuration names it. */
        if (!r)
                r = tree_remove(instances, folder_name, err);
        if (!r && volumes)
                r = forget_volumes(host, config);
        json_decref(config);
        json_decref(state);
        return r;
}

int instance_erase(struct instance *instance, bool volumes, struct error *err)
{
        _cleanup_close_ int instances = instances_open(instance->host->root, err);
        if (instances < 0)
                return instances;
        char removed[sizeof(REMOVED_PREFIX) + 64];
        snprintf(removed, sizeof(removed), REMOVED_PREFIX "%.64s", instance->id);
        if (renameat(instances, instance->id, instances, removed) < 0)
                return error_errno(err, "cannot remove instance %s", instance->name);
        test_point("instance.erase.renamed");
        event_of_instance(instance, "destroy");
        return erase_remains(instance->host, instances, removed, instance->id, volumes, err);
}

/* A folder without state.json whose lock is free: its creator was killed. Returns 1 where it was renamed away. */
static int condemn_half_made(int instances, const char *id)
{
        _cleanup_close_ int folder = openat(instances, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (folder < 0 || !faccessat(folder, "state.json", F_OK, 0))
                return 0;
        _cleanup_close_ int making = lock_take(instances, INSTANCES_MAKING_LOCK, true, NULL);
        _cleanup_close_ int lock = making < 0 ? -1 : lock_try(folder, "lock", true, NULL);
        if (lock < 0 || !faccessat(folder, "state.json", F_OK, 0))
                return 0;
        char removed[sizeof(REMOVED_PREFIX) + 64];
        snprintf(removed, sizeof(removed), REMOVED_PREFIX "%.64s", id);
        return !renameat(instances, id, instances, removed);
}

static int sweep_removed(struct host *host, int instances, const char *name, struct error *err)
{
        const char *id = name + strlen(REMOVED_PREFIX);
        if (!instance_id_valid(id))
                return 0;
        _cleanup_close_ int folder = openat(instances, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        _cleanup_close_ int lock = folder < 0 ? -1 : lock_try(folder, "lock", true, NULL);
        return lock < 0 ? 0 : erase_remains(host, instances, name, id, true, err);
}

static int sweep_names(int instances, struct error *err)
{
        int own = openat(instances, "by-name", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_closedir_ DIR *names = own < 0 ? NULL : fdopendir(own);
        if (!names)
                return error_errno(err, "cannot read the names of instances");
        struct dirent *entry;
        char id[65];
        int r = 0;
        while (!r && (entry = readdir(names)))
                if (!name_resolve(instances, entry->d_name, id) &&
                    faccessat(instances, id, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                        r = name_drop(instances, entry->d_name, id, err);
        return r;
}

/* Run folders whose instance is gone: a starter or eraser was killed between the two. */
static int sweep_runs(struct host *host, int instances, struct error *err)
{
        _cleanup_free_ char *path = text_format("%s/instances", host->state);
        if (!path)
                return error_memory(err);
        _cleanup_closedir_ DIR *runs = opendir(path);
        struct dirent *entry;
        int r = 0;
        while (!r && runs && (entry = readdir(runs))) {
                if (!instance_id_valid(entry->d_name) ||
                    !faccessat(instances, entry->d_name, F_OK, AT_SYMLINK_NOFOLLOW))
                        continue;
                char removed[sizeof(REMOVED_PREFIX) + 64];
                snprintf(removed, sizeof(removed), REMOVED_PREFIX "%.64s", entry->d_name);
                if (!faccessat(instances, removed, F_OK, AT_SYMLINK_NOFOLLOW))
                        continue; /* being erased right now */
                r = delete_container(host, entry->d_name, err);
                remove_control_groups(host, entry->d_name, NULL);
                if (!r)
                        r = tree_remove(dirfd(runs), entry->d_name, err);
        }
        return r;
}

int instances_sweep(struct host *host, int instances, struct error *err)
{
        int own = openat(instances, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_closedir_ DIR *folder = own < 0 ? NULL : fdopendir(own);
        if (!folder)
                return error_errno(err, "cannot read the folder of instances");
        struct dirent *entry;
        int r = 0;
        while (!r && (entry = readdir(folder))) {
                if (instance_id_valid(entry->d_name) && condemn_half_made(instances, entry->d_name)) {
                        char removed[sizeof(REMOVED_PREFIX) + 64];
                        snprintf(removed, sizeof(removed), REMOVED_PREFIX "%.64s", entry->d_name);
                        r = sweep_removed(host, instances, removed, err);
                } else if (text_starts(entry->d_name, REMOVED_PREFIX)) {
                        r = sweep_removed(host, instances, entry->d_name, err);
                }
        }
        if (!r)
                r = sweep_names(instances, err);
        if (!r)
                r = sweep_runs(host, instances, err);
        return r;
}
