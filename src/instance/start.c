/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/test_point.h"
#include "base/text.h"
#include "instance/exit_code.h"
#include "instance/folder.h"
#include "instance/network_setting.h"
#include "instance/vessel.h"

int running_process(struct host *host, const char *option, const char *name, pid_t *pid, struct error *err)
{
        struct instance *other;
        int r = instance_find(host, name, &other, err);
        if (r < 0)
                return error_prefix(err, "%s container:%s", option, name);
        *pid = (pid_t)json_integer_value(json_object_get(other->run, "pid"));
        instance_free(other);
        if (*pid > 0)
                return 0;
        return error_set(err, -ESRCH, "%s container:%s: that instance does not run", option, name);
}

static int read_ids(struct start *start, struct error *err)
{
        const char *userns = start->settings.userns;
        if (!userns || text_equal(userns, "host") || start->settings.privileged)
                return 0;
        if (!text_equal(userns, "auto"))
                return id_ranges_parse(userns, start->ids, &start->id_count, err);
        /* An ordinary user's instances are in a user namespace already. */
        if (start->host->rootless)
                return 0;
        int64_t first = 0;
        struct json_reader reader = { .document = "config.json", .err = err };
        struct json_at root = json_root(&reader, start->instance->config);
        json_get_i64(&root, "id_range", 1, UINT32_MAX - ID_RANGE_SIZE, &first);
        if (!first)
                json_misfit(&root, "has no id_range although --userns is auto");
        start->ids[0] = (struct id_range){ 0, (uint32_t)first, ID_RANGE_SIZE };
        start->id_count = 1;
        return json_failed(&root);
}

/* Docker's rule: only what was made to be shared is. */
static int share_ipc(struct start *start, const char *name, struct error *err)
{
        struct instance *other;
        int r = running_process(start->host, "--ipc", name, &start->ipc_of, err);
        if (!r)
                r = instance_find(start->host, name, &other, err);
        if (r < 0)
                return r;
        json_t *mode = json_object_get(json_object_get(other->config, "settings"), "ipc_mode");
        if (text_equal(json_string_value(mode), "shareable"))
                start->shm = run_folder_path(start->host, other->id, "shm");
        else
                r = error_set(err, -EINVAL, "--ipc container:%s: that instance was not created with --ipc shareable",
                              name);
        instance_free(other);
        return !r && !start->shm ? error_memory(err) : r;
}

static int find_shared(struct start *start, struct error *err)
{
        const char *pid = mode_container(start->settings.pid_mode), *ipc = mode_container(start->settings.ipc_mode);
        int r = pid ? running_process(start->host, "--pid", pid, &start->pid_of, err) : 0;
        if (!r && ipc)
                r = share_ipc(start, ipc, err);
        if (!r && text_equal(start->settings.ipc_mode, "shareable") &&
            !(start->shm = run_folder_path(start->host, start->instance->id, "shm")))
                r = error_memory(err);
        return r;
}

/* Whose network is shared, his name is used: it is the one that his addresses have. */
static int take_hostname(struct start *start, const char *name, struct error *err)
{
        struct instance *other;
        int r = instance_find(start->host, name, &other, err);
        if (r < 0)
                return error_prefix(err, "--network container:%s", name);
        struct instance_settings settings;
        r = instance_settings_of(other, &settings, err);
        if (!r) {
                start->hostname = instance_hostname(other, &settings);
                instance_settings_free(&settings);
        }
        instance_free(other);
        return !r && !start->hostname ? error_memory(err) : r;
}

static int choose_hostname(struct start *start, struct error *err)
{
        const struct instance_settings *settings = &start->settings;
        struct utsname host;
        if (network_settings_kind(settings) == NETWORK_CONTAINER && !text_equal(settings->uts_mode, "host"))
                return take_hostname(start, network_settings_container(settings), err);
        bool hosts_name = text_equal(settings->uts_mode, "host") || network_settings_kind(settings) == NETWORK_HOST;
        if (settings->hostname)
                start->hostname = strdup(settings->hostname);
        else if (hosts_name && !uname(&host))
                start->hostname = strdup(host.nodename);
        else
                start->hostname = strndup(start->instance->id, 12);
        return start->hostname ? 0 : error_memory(err);
}

static int make_run_folder(struct start *start, struct error *err)
{
        start->run_folder = run_folder_make(start->host, start->instance->id, err);
        if (start->run_folder < 0)
                return start->run_folder;
        if (mkdirat(start->run_folder, "rootfs", 0755) < 0 && errno != EEXIST)
                return error_errno(err, "cannot create a folder in %s", start->run_path);
        if (text_equal(start->settings.ipc_mode, "shareable") &&
            ((mkdirat(start->run_folder, "shm", 01777) < 0 && errno != EEXIST) ||
             fchmodat(start->run_folder, "shm", 01777, 0) < 0))
                return error_errno(err, "cannot create a folder in %s", start->run_path);
        test_point("instance.start.folder.made");
        return 0;
}

static int prepare(struct start *start, struct error *err)
{
        struct instance *instance = start->instance;
        start->run_path = text_format("%s/instances/%s", start->host->state, instance->id);
        start->root_path = text_format("%s/instances/%s/rootfs", start->host->state, instance->id);
        start->files = start->run_path ? strdup(start->run_path) : NULL;
        if (!start->run_path || !start->root_path || !start->files)
                return error_memory(err);
        int r = instance_settings_of(instance, &start->settings, err);
        if (!r && start->settings.init && !(start->init = text_format("%s/onggi-reaper", start->host->libexec)))
                r = error_memory(err);
        if (!r)
                r = vessel_of(instance)->ready(start->host, &start->settings, &start->engine, err);
        if (!r)
                r = read_ids(start, err);
        if (!r)
                r = find_shared(start, err);
        if (!r)
                r = choose_hostname(start, err);
        if (!r)
                r = make_run_folder(start, err);
        if (!r)
                r = start_root(start, err);
        if (!r)
                r = start_network(start, err);
        if (!r)
                r = start_files(start, err);
        return r;
}

static void release(struct start *start)
{
        instance_settings_free(&start->settings);
        mount_settings_free(start->mounts, start->mount_count);
        identity_free(&start->identity);
        free(start->run_path);
        free(start->root_path);
        free(start->hostname);
        free(start->files);
        free(start->network_namespace);
        free(start->init);
        free(start->image_file);
        free(start->userns_path);
        free(start->shm);
        if (start->userns >= 0)
                close(start->userns);
        if (start->root >= 0)
                close(start->root);
        if (start->run_folder >= 0)
                close(start->run_folder);
}

/* As for a killed starter. That it was not run at all is kept with the reason. */
static void undo(struct instance *instance, int run_folder, int exit_code, const struct error *reason)
{
        if (run_folder >= 0)
                unlinkat(run_folder, "run.json", 0);
        instance_finish(instance, NULL);
        json_object_set_new(instance->state, "exit_code", json_integer(exit_code));
        json_object_set_new(instance->state, "oom_killed", json_boolean(exit_code == EXIT_CODE_OUT_OF_MEMORY));
        json_object_set_new(instance->state, "error", json_string(reason->text));
        instance_save_state(instance, false, NULL);
}

int instance_launch(struct instance *instance, int lock, uint32_t hello, int *exit_code, struct error *err)
{
        _cleanup_close_ int held = lock;
        struct start start = {
                .instance = instance, .host = instance->host, .run_folder = -1, .root = -1, .userns = -1
        };
        struct error own = { 0 };
        *exit_code = 125;
        int r = prepare(&start, &own);
        if (!r)
                r = start_monitor(&start, held, hello, exit_code, &own);
        if (r < 0) {
                undo(instance, start.run_folder, *exit_code, &own);
                if (err)
                        *err = own;
        }
        release(&start);
        return r;
}
