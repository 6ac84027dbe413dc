/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/test_point.h"
#include "base/text.h"
#include "instance/name.h"
#include "instance/timestamp.h"
#include "virtual_machine/folder.h"

/* In <root>/machines: shared while a folder exists that its creator has not locked yet. */
#define MAKING_LOCK    ".making"
#define REMOVED_PREFIX ".removed-"

/* ---- Folders ---- */

int vm_folders_open(const struct host *host, struct error *err)
{
        _cleanup_free_ char *path = text_format("%s/machines", host->root);
        _cleanup_free_ char *names = path ? text_format("%s/by-name", path) : NULL;
        if (!names)
                return error_memory(err);
        _cleanup_close_ int by_name = directory_make(names, 0700, err);
        if (by_name < 0)
                return by_name;
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? error_errno(err, "cannot open %s", path) : fd;
}

int vm_run_folder_open(const struct host *host, const char *id)
{
        _cleanup_free_ char *path = text_format("%s/machines/%s", host->state, id);
        int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        return fd < 0 ? -errno : fd;
}

void vm_free(struct vm *vm)
{
        if (!vm)
                return;
        if (vm->folder >= 0)
                close(vm->folder);
        json_decref(vm->config);
        json_decref(vm->state);
        json_decref(vm->run);
        free(vm->name);
        free(vm);
}

DEFINE_CLEANUP(vm, struct vm, vm_free)

int vm_lock(struct vm *vm, struct error *err)
{
        _cleanup_close_ int lock = lock_take(vm->folder, "lock", true, err);
        if (lock >= 0 && faccessat(vm->folder, "config.json", F_OK, 0) < 0)
                return error_set(err, -ENOENT, "the virtual machine %s is gone", vm->name);
        return TAKE_FD(lock);
}

int vm_save_state(struct vm *vm, bool durable, struct error *err)
{
        return json_replace(vm->folder, "state.json", vm->state, durable, err);
}

int vm_settings_of(const struct vm *vm, struct vm_settings *settings, struct error *err)
{
        int r = vm_settings_read(json_object_get(vm->config, "settings"), settings, err);
        return r < 0 ? error_prefix(err, "virtual machine %s", vm->name) : 0;
}

/* ---- Making ---- */

static int fill(struct vm *vm, struct vm_settings *settings, int machines, struct error *err)
{
        char now[TIMESTAMP_SIZE];
        int r = settings->name ? name_take(machines, settings->name, vm->id, err)
                               : name_invent(machines, vm->id, &settings->name, err);
        if (r < 0)
                return r;
        test_point("vm.create.named");
        timestamp_now(now);
        vm->name = strdup(settings->name);
        vm->config = json_pack("{s:s, s:s, s:s, s:o}", "id", vm->id, "name", settings->name, "created", now, "settings",
                               vm_settings_write(settings));
        vm->state = json_pack("{s:s}", "status", "created");
        if (!vm->name || !vm->config || !vm->state)
                return error_memory(err);
        r = json_replace(vm->folder, "config.json", vm->config, true, err);
        test_point("vm.create.configured");
        return r < 0 ? r : vm_save_state(vm, true, err);
}

int vm_create(struct host *host, struct vm_settings *settings, struct vm **result, struct error *err)
{
        int r = vm_settings_check(settings, err);
        _cleanup_close_ int machines = r < 0 ? -1 : vm_folders_open(host, err);
        if (machines < 0)
                return r < 0 ? r : machines;
        _cleanup_(vm) struct vm *vm = calloc(1, sizeof(*vm));
        if (!vm)
                return error_memory(err);
        vm->host = host;
        vm->folder = -1;
        r = instance_id_make(vm->id, err);
        _cleanup_close_ int making = r < 0 ? -1 : lock_take(machines, MAKING_LOCK, false, err);
        if (making < 0)
                return r < 0 ? r : making;
        if (mkdirat(machines, vm->id, 0700) < 0)
                return error_errno(err, "cannot create a folder in %s/machines", host->root);
        test_point("vm.create.folder.made");
        vm->folder = openat(machines, vm->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_close_ int lock = vm->folder < 0 ? -1 : lock_take(vm->folder, "lock", true, err);
        r = lock < 0 ? (vm->folder < 0 ? error_errno(err, "cannot open a folder just made") : lock)
                     : fill(vm, settings, machines, err);
        if (r < 0) {
                if (settings->name)
                        name_drop(machines, settings->name, vm->id, NULL);
                tree_remove(machines, vm->id, NULL);
                return r;
        }
        *result = TAKE_PTR(vm);
        return 0;
}

/* ---- Finding ---- */

int vm_process(const json_t *run, const char *key)
{
        const json_t *process = json_object_get(run, key);
        pid_t pid = (pid_t)json_integer_value(json_object_get(process, "pid"));
        return pid > 0 ? process_open(pid, (uint64_t)json_integer_value(json_object_get(process, "start"))) : -ESRCH;
}

static bool lives(const json_t *run, const char *key)
{
        pid_t pid = (pid_t)json_integer_value(json_object_get(json_object_get(run, key), "pid"));
        _cleanup_close_ int fd = pid == getpid() ? -1 : vm_process(run, key);
        return fd >= 0;
}

int vm_look(struct vm *vm, struct error *err)
{
        _cleanup_close_ int folder = vm_run_folder_open(vm->host, vm->id);
        _cleanup_json_ json_t *run = NULL, *state = NULL;
        if (folder >= 0)
                json_read(folder, "run.json", &run, NULL);
        int r = json_read(vm->folder, "state.json", &state, err);
        if (r < 0)
                return r;
        json_decref(vm->state);
        vm->state = TAKE_PTR(state);
        json_decref(vm->run);
        vm->run = NULL;
        if (run && (lives(run, "monitor") || lives(run, "vmm")))
                vm->run = TAKE_PTR(run);
        return !vm->run && folder >= 0;
}

int vm_open(struct host *host, const char *id, struct vm **result, struct error *err)
{
        _cleanup_close_ int machines = vm_folders_open(host, err);
        if (machines < 0)
                return machines;
        _cleanup_(vm) struct vm *vm = calloc(1, sizeof(*vm));
        if (!vm)
                return error_memory(err);
        vm->host = host;
        TEXT_COPY(vm->id, id);
        vm->folder = openat(machines, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (vm->folder < 0 || faccessat(vm->folder, "state.json", F_OK, 0) < 0)
                return error_set(err, -ENOENT, "there is no virtual machine %s", id);
        int r = json_read(vm->folder, "config.json", &vm->config, err);
        if (r < 0)
                return r;
        const char *name = json_string_value(json_object_get(vm->config, "name"));
        vm->name = strdup(name ? name : id);
        if (!vm->name)
                return error_memory(err);
        *result = TAKE_PTR(vm);
        return 0;
}

int vm_refresh(struct vm *vm, struct error *err)
{
        int r = vm_look(vm, err);
        if (r <= 0)
                return r;
        /* Somebody who holds the lock is starting or finishing it. */
        _cleanup_close_ int lock = lock_try(vm->folder, "lock", true, NULL);
        if (lock < 0)
                return 0;
        r = vm_look(vm, err);
        if (r > 0)
                r = vm_finish(vm, err);
        if (r < 0)
                return r;
        if (faccessat(vm->folder, "config.json", F_OK, 0) < 0)
                return error_set(err, -ENOENT, "the virtual machine %s is gone", vm->name);
        return 0;
}

static int find_prefix(int machines, const char *prefix, char id[65], struct error *err)
{
        int own = openat(machines, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_closedir_ DIR *folder = own < 0 ? NULL : fdopendir(own);
        if (!folder)
                return error_errno(err, "cannot read the folder of virtual machines");
        int found = 0;
        for (struct dirent *entry; *prefix && (entry = readdir(folder));)
                if (instance_id_valid(entry->d_name) && text_starts(entry->d_name, prefix)) {
                        found++;
                        text_copy(id, 65, entry->d_name);
                }
        if (found == 1)
                return 0;
        if (found)
                return error_set(err, -EEXIST, "\"%s\" is the start of several virtual machines' ids", prefix);
        return error_set(err, -ENOENT, "there is no virtual machine \"%s\"", prefix);
}

int vm_find(struct host *host, const char *name, struct vm **result, struct error *err)
{
        char id[65];
        _cleanup_close_ int machines = vm_folders_open(host, err);
        if (machines < 0)
                return machines;
        int r = vm_sweep(host, machines, err);
        if (!r && name_resolve(machines, name, id) < 0)
                r = find_prefix(machines, name, id, err);
        _cleanup_(vm) struct vm *vm = NULL;
        if (!r)
                r = vm_open(host, id, &vm, err);
        if (!r)
                r = vm_refresh(vm, err);
        if (r == -ENOENT)
                error_set(err, r, "there is no virtual machine \"%s\"", name);
        if (!r)
                *result = TAKE_PTR(vm);
        return r;
}

void vm_list_free(struct vm **list, size_t count)
{
        for (size_t i = 0; i < count; i++)
                vm_free(list[i]);
        free(list);
}

static int newest_first(const void *a, const void *b)
{
        const struct vm *const *one = a, *const *other = b;
        const char *first = json_string_value(json_object_get((*one)->config, "created"));
        const char *second = json_string_value(json_object_get((*other)->config, "created"));
        return strcmp(second ? second : "", first ? first : "");
}

static int collect(struct host *host, DIR *folder, struct vm ***list, size_t *count, struct error *err)
{
        for (struct dirent *entry; (entry = readdir(folder));) {
                struct vm *vm;
                if (!instance_id_valid(entry->d_name) || vm_open(host, entry->d_name, &vm, NULL) < 0)
                        continue;
                /* One that cannot be put right is shown all the same; one that is gone by now is not. */
                struct vm **grown = NULL;
                bool gone = vm_refresh(vm, NULL) == -ENOENT;
                if (!gone && !(grown = reallocarray(*list, *count + 1, sizeof(struct vm *)))) {
                        vm_free(vm);
                        return error_memory(err);
                }
                if (gone) {
                        vm_free(vm);
                        continue;
                }
                *list = grown;
                grown[(*count)++] = vm;
        }
        return 0;
}

int vm_list(struct host *host, struct vm ***list, size_t *count, struct error *err)
{
        *list = NULL;
        *count = 0;
        _cleanup_close_ int machines = vm_folders_open(host, err);
        int r = machines < 0 ? machines : vm_sweep(host, machines, err);
        if (r < 0)
                return r;
        _cleanup_closedir_ DIR *folder = fdopendir(machines);
        if (!folder)
                return error_errno(err, "cannot read the folder of virtual machines");
        TAKE_FD(machines);
        r = collect(host, folder, list, count, err);
        if (r < 0)
                vm_list_free(*list, *count);
        else if (*count)
                qsort(*list, *count, sizeof(**list), newest_first);
        return r;
}

/* ---- Erasing ---- */

int vm_erase(struct vm *vm, struct error *err)
{
        char removed[sizeof(REMOVED_PREFIX) + 64];
        _cleanup_close_ int machines = vm_folders_open(vm->host, err);
        if (machines < 0)
                return machines;
        snprintf(removed, sizeof(removed), REMOVED_PREFIX "%.64s", vm->id);
        if (renameat(machines, vm->id, machines, removed) < 0)
                return error_errno(err, "cannot remove the virtual machine %s", vm->name);
        test_point("vm.erase.renamed");
        int r = name_drop(machines, vm->name, vm->id, err);
        return r < 0 ? r : tree_remove(machines, removed, err);
}

/* A folder without state.json whose lock is free: its creator was killed. */
static bool is_half_made(int machines, const char *id)
{
        _cleanup_close_ int folder = openat(machines, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (folder < 0 || !faccessat(folder, "state.json", F_OK, 0))
                return false;
        _cleanup_close_ int making = lock_take(machines, MAKING_LOCK, true, NULL);
        _cleanup_close_ int lock = making < 0 ? -1 : lock_try(folder, "lock", true, NULL);
        return lock >= 0 && faccessat(folder, "state.json", F_OK, 0) < 0;
}

static int sweep_names(int machines, struct error *err)
{
        int own = openat(machines, "by-name", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_closedir_ DIR *names = own < 0 ? NULL : fdopendir(own);
        char id[65];
        int r = names ? 0 : error_errno(err, "cannot read the names of virtual machines");
        for (struct dirent *entry; !r && (entry = readdir(names));)
                if (!name_resolve(machines, entry->d_name, id) &&
                    faccessat(machines, id, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                        r = name_drop(machines, entry->d_name, id, err);
        return r;
}

/* Run folders whose machine is gone: they were finished, but for the folder itself. */
static int sweep_runs(const struct host *host, int machines, struct error *err)
{
        _cleanup_free_ char *path = text_format("%s/machines", host->state);
        if (!path)
                return error_memory(err);
        _cleanup_closedir_ DIR *runs = opendir(path);
        int r = 0;
        for (struct dirent *entry; !r && runs && (entry = readdir(runs));)
                if (instance_id_valid(entry->d_name) &&
                    faccessat(machines, entry->d_name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                        r = tree_remove(dirfd(runs), entry->d_name, err);
        return r;
}

int vm_sweep(const struct host *host, int machines, struct error *err)
{
        int own = openat(machines, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_closedir_ DIR *folder = own < 0 ? NULL : fdopendir(own);
        int r = folder ? 0 : error_errno(err, "cannot read the folder of virtual machines");
        for (struct dirent *entry; !r && (entry = readdir(folder));)
                if (text_starts(entry->d_name, REMOVED_PREFIX) ||
                    (instance_id_valid(entry->d_name) && is_half_made(machines, entry->d_name)))
                        r = tree_remove(machines, entry->d_name, err);
        if (!r)
                r = sweep_names(machines, err);
        return r < 0 ? r : sweep_runs(host, machines, err);
}
