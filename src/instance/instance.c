/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/text.h"
#include "instance/folder.h"
#include "instance/name.h"

#define HOSTNAME_FILE_MAX 256

static const char *const status_names[] = {
        [INSTANCE_CREATED] = "created", [INSTANCE_RUNNING] = "running",       [INSTANCE_PAUSED] = "paused",
        [INSTANCE_EXITED] = "exited",   [INSTANCE_RESTARTING] = "restarting", [INSTANCE_DEAD] = "dead",
};

const char *instance_status_name(enum instance_status status)
{
        return status_names[status];
}

static enum instance_status status_from(const json_t *object, enum instance_status otherwise)
{
        const char *name = json_string_value(json_object_get(object, "status"));
        for (size_t i = 0; i < ARRAY_SIZE(status_names); i++)
                if (text_equal(name, status_names[i]))
                        return (enum instance_status)i;
        return otherwise;
}

void instance_free(struct instance *instance)
{
        if (!instance)
                return;
        free(instance->name);
        if (instance->folder >= 0)
                close(instance->folder);
        json_decref(instance->config);
        json_decref(instance->state);
        json_decref(instance->run);
        free(instance);
}

int run_folder_open(const struct host *host, const char *id)
{
        _cleanup_free_ char *path = run_folder_path(host, id, "");
        int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        return fd < 0 ? -errno : fd;
}

int run_folder_make(const struct host *host, const char *id, struct error *err)
{
        _cleanup_free_ char *path = run_folder_path(host, id, "bundle");
        if (!path)
                return error_memory(err);
        _cleanup_close_ int bundle = directory_make(path, 0711, err);
        if (bundle < 0)
                return bundle;
        return run_folder_open(host, id);
}

char *run_folder_path(const struct host *host, const char *id, const char *name)
{
        return text_format("%s/instances/%s/%s", host->state, id, name);
}

char *instance_hostname(const struct instance *instance, const struct instance_settings *settings)
{
        _cleanup_free_ char *written = NULL;
        _cleanup_close_ int folder = instance->run ? run_folder_open(instance->host, instance->id) : -1;
        if (folder >= 0 && !file_read(folder, "hostname", HOSTNAME_FILE_MAX, &written, NULL, NULL))
                return strndup(written, strcspn(written, "\n"));
        return settings->hostname ? strdup(settings->hostname) : strndup(instance->id, 12);
}

/* The name may change under a rename, the rest of what state.json says too: read anew at every look. */
static int read_state(struct instance *instance, struct error *err)
{
        _cleanup_json_ json_t *state = NULL;
        int r = json_read(instance->folder, "state.json", &state, err);
        if (r < 0)
                return r;
        struct json_reader reader = { .document = "state.json", .err = err };
        struct json_at root = json_root(&reader, state);
        const char *name = NULL, *text;
        bool flag;
        int64_t number;
        json_need_string(&root, "name", &name);
        json_need_string(&root, "status", &text);
        json_get_string(&root, "started", &text);
        json_get_string(&root, "finished", &text);
        json_get_string(&root, "error", &text);
        json_get_string(&root, "reason", &text);
        json_get_string(&root, "engine", &text);
        json_get_bool(&root, "oom_killed", &flag);
        json_get_bool(&root, "stopped", &flag);
        json_get_bool(&root, "transient", &flag);
        json_get_i64(&root, "exit_code", -1, INT32_MAX, &number);
        json_get_i64(&root, "restart_count", 0, INT64_MAX, &number);
        json_get_object(&root, "updates");
        if (json_failed(&root))
                return json_failed(&root);
        if (!instance_name_valid(name))
                return error_set(err, -EINVAL, "state.json: \"%s\" is not a name", name);
        char *copy = strdup(name);
        if (!copy)
                return error_memory(err);
        free(instance->name);
        instance->name = copy;
        json_decref(instance->state);
        instance->state = TAKE_PTR(state);
        return 0;
}

static int read_config(struct instance *instance, struct error *err)
{
        int r = json_read(instance->folder, "config.json", &instance->config, err);
        if (r < 0)
                return r;
        struct json_reader reader = { .document = "config.json", .err = err };
        struct json_at root = json_root(&reader, instance->config);
        const char *text;
        _cleanup_list_ char **layers = NULL;
        _cleanup_list_ char **anonymous = NULL;
        json_need_string(&root, "created", &text);
        struct json_at image = json_get_object(&root, "image");
        json_need_string(&image, "reference", &text);
        json_need_string(&image, "digest", &text);
        json_need_string(&image, "id", &text);
        json_get_strings(&root, "layers", &layers);
        json_get_strings(&root, "anonymous", &anonymous);
        json_get_object(&root, "settings");
        return json_failed(&root);
}

static struct instance *new_instance(struct host *host, const char *id)
{
        struct instance *instance = calloc(1, sizeof(*instance));
        if (instance) {
                instance->host = host;
                instance->folder = -1;
                TEXT_COPY(instance->id, id);
        }
        return instance;
}

/* An instance whose files cannot be read can still be named, listed and removed. */
static int make_dead(struct instance *instance, const struct error *reason)
{
        instance->status = INSTANCE_DEAD;
        free(instance->name);
        instance->name = text_format("%.12s", instance->id);
        json_decref(instance->config);
        json_decref(instance->state);
        instance->config = json_pack("{s:s, s:{s:s, s:s, s:s}, s:{}}", "created", "1970-01-01T00:00:00.000000000Z",
                                     "image", "reference", "", "digest", "", "id", "", "settings");
        instance->state = json_pack("{s:s, s:s, s:s, s:i}", "name", instance->name ? instance->name : "", "status",
                                    "dead", "error", reason->text, "exit_code", 255);
        return instance->name && instance->config && instance->state ? 0 : -ENOMEM;
}

int instance_open(struct host *host, const char *id, struct instance **instance, struct error *err)
{
        if (!instance_id_valid(id))
                return error_set(err, -ENOENT, "no instance has the id %s", id);
        _cleanup_free_ char *path = text_format("%s/instances/%s", host->root, id);
        struct instance *new = new_instance(host, id);
        if (!new || !path) {
                instance_free(new);
                return error_memory(err);
        }
        new->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        /* state.json is written last: without it there is no instance (yet). */
        if (new->folder < 0 || faccessat(new->folder, "state.json", F_OK, 0) < 0) {
                instance_free(new);
                return error_set(err, -ENOENT, "no instance has the id %.12s", id);
        }
        struct error reason = { 0 };
        int r = read_config(new, &reason);
        if (!r)
                r = read_state(new, &reason);
        if (r == -ENOENT && faccessat(new->folder, "state.json", F_OK, 0) < 0) {
                instance_free(new);
                return error_set(err, -ENOENT, "instance %.12s is being removed", id);
        }
        if (r < 0)
                r = make_dead(new, &reason);
        else
                new->status = status_from(new->state, INSTANCE_EXITED);
        if (r < 0) {
                instance_free(new);
                return error_memory(err);
        }
        *instance = new;
        return 0;
}

/* A monitor that has written down the end is only about to go: what it ran is to be finished by whoever comes first. */
static bool runs(const json_t *run)
{
        if (text_equal(json_string_value(json_object_get(run, "status")), "exited"))
                return false;
        pid_t pid = (pid_t)json_integer_value(json_object_get(run, "monitor"));
        uint64_t start = (uint64_t)json_integer_value(json_object_get(run, "monitor_start"));
        int fd = start ? process_open(pid, start) : -ESRCH;
        if (fd >= 0)
                close(fd);
        return fd >= 0;
}

int instance_look(struct instance *instance, struct error *err)
{
        json_decref(instance->run);
        instance->run = NULL;
        if (instance->status == INSTANCE_DEAD)
                return 0;
        _cleanup_close_ int folder = run_folder_open(instance->host, instance->id);
        json_t *record = NULL, *run = NULL;
        if (folder >= 0 && !json_read(folder, "run.json", &record, NULL) && runs(record))
                run = TAKE_PTR(record);
        _cleanup_json_ json_t *ended = record;
        /* Read after run.json: whoever finishes a run writes state.json first and removes run.json then. */
        int r = read_state(instance, err);
        if (r < 0) {
                json_decref(run);
                return r;
        }
        instance->run = run;
        instance->status = status_from(run ? run : instance->state, run ? INSTANCE_RUNNING : INSTANCE_EXITED);
        /* Not finished yet, by us or by whoever is at it; what is shown is the truth already. */
        if (ended)
                instance_take_end(instance, ended);
        return !run && (folder >= 0 || json_is_true(json_object_get(instance->state, "transient")));
}

int instance_lock(struct instance *instance, struct error *err)
{
        _cleanup_close_ int lock = lock_take(instance->folder, "lock", true, err);
        if (lock < 0)
                return lock == -ENOENT ? error_set(err, -ENOENT, "instance %s was removed meanwhile", instance->name)
                                       : lock;
        /* Erasing begins with a rename: the folder of that name must still be the one that was opened. */
        _cleanup_free_ char *path = text_format("%s/instances/%s", instance->host->root, instance->id);
        struct stat held, named;
        if (!path || fstat(instance->folder, &held) < 0 || stat(path, &named) < 0 || held.st_ino != named.st_ino)
                return error_set(err, -ENOENT, "instance %s was removed meanwhile", instance->name);
        return TAKE_FD(lock);
}

/* Looks, and finishes what a killed process left if nobody else is at it. */
static int look_and_repair(struct instance *instance, struct error *err)
{
        int r = instance_look(instance, err);
        if (r <= 0)
                return r;
        _cleanup_close_ int lock = lock_try(instance->folder, "lock", true, err);
        if (lock == -EWOULDBLOCK)
                return 0;
        if (lock < 0)
                return lock;
        /* Under the lock once more: the one before us may have started or finished it. */
        r = instance_look(instance, err);
        if (r <= 0)
                return r;
        r = instance_finish(instance, err);
        if (!r)
                r = instance_look(instance, err);
        return r < 0 ? r : 0;
}

int instance_refresh(struct instance *instance, struct error *err)
{
        int r = look_and_repair(instance, err);
        return r == -ENOENT ? error_set(err, -ENOENT, "instance %s is gone", instance->name) : r;
}

static int find_prefix(int instances, const char *prefix, char id[65], struct error *err)
{
        int own = openat(instances, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_closedir_ DIR *folder = own < 0 ? NULL : fdopendir(own);
        if (!folder)
                return error_errno(err, "cannot read the folder of instances");
        unsigned found = 0;
        struct dirent *entry;
        while ((entry = readdir(folder)))
                if (instance_id_valid(entry->d_name) && text_starts(entry->d_name, prefix)) {
                        found++;
                        text_copy(id, 65, entry->d_name);
                }
        if (found > 1)
                return error_set(err, -EEXIST, "%u instances have an id that starts with %s; give more digits", found,
                                 prefix);
        return found ? 0 : -ENOENT;
}

int instance_find(struct host *host, const char *name, struct instance **instance, struct error *err)
{
        _cleanup_close_ int instances = instances_open(host->root, err);
        if (instances < 0)
                return instances;
        char id[65];
        int r = name_resolve(instances, name, id);
        if (r < 0 && *name && strlen(name) <= 64 && strspn(name, "0123456789abcdef") == strlen(name))
                r = find_prefix(instances, name, id, err);
        if (r == -EEXIST)
                return r;
        if (!r)
                r = instance_open(host, id, instance, err);
        if (!r) {
                r = look_and_repair(*instance, err);
                if (r < 0)
                        instance_free(*instance);
        }
        /* A repair may have found that it was an instance with --rm: then it is gone. */
        if (r == -ENOENT)
                return error_set(err, -ENOENT, "no instance is named \"%s\"; `onggi ps --all` lists them", name);
        return r;
}

int instance_layers(const struct instance *instance, char ***layers, struct error *err)
{
        struct json_reader reader = { .document = "config.json", .err = err };
        struct json_at root = json_root(&reader, instance->config);
        json_get_strings(&root, "layers", layers);
        return json_failed(&root);
}

int instance_settings_of(const struct instance *instance, struct instance_settings *settings, struct error *err)
{
        _cleanup_json_ json_t *all = json_copy(json_object_get(instance->config, "settings"));
        json_t *updates = json_object_get(instance->state, "updates");
        if (!all)
                all = json_object();
        if (!all || (updates && json_object_update(all, updates) < 0))
                return error_memory(err);
        return instance_settings_read(all, settings, err);
}
