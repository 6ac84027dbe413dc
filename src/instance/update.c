/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "instance/connection.h"
#include "instance/events.h"
#include "instance/folder.h"
#include "instance/message.h"
#include "instance/spec.h"

/* What can change while an instance lives. */
static const char *const changeable[] = {
        "memory",    "memory_swap", "memory_reservation", "cpus",       "cpu_shares",   "cpu_period",
        "cpu_quota", "cpuset_cpus", "cpuset_mems",        "pids_limit", "blkio_weight", "restart",
};

static int check_changes(const json_t *changes, struct error *err)
{
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)changes, name, value) {
                bool known = false;
                for (size_t i = 0; i < ARRAY_SIZE(changeable); i++)
                        known |= text_equal(name, changeable[i]);
                if (!known)
                        return error_set(err, -EINVAL, "%s cannot be changed after creation", name);
        }
        return json_object_size(changes)
                       ? 0
                       : error_set(err, -EINVAL, "there is nothing to change; give a limit or --restart");
}

/* Device rules stay as they are: `update` is not about them. */
static int apply_limits(struct instance *instance, const struct instance_settings *settings,
                        const struct instance_settings *changes, struct error *err)
{
        const struct vessel *vessel = vessel_of(instance);
        json_t *built = NULL;
        int r = spec_resources(settings, &built, err);
        _cleanup_json_ json_t *resources = built;
        if (r < 0)
                return r;
        json_object_del(resources, "devices");
        if (vessel->update)
                r = vessel->update(instance, settings, changes, resources, err);
        if (r < 0)
                return r;
        _cleanup_free_ char *text = json_dumps(resources, JSON_COMPACT);
        _cleanup_close_ int file = memfd_create("resources", MFD_CLOEXEC);
        _cleanup_free_ char *path = text_format("/proc/%d/fd/%d", (int)getpid(), file);
        if (!text || !path || file < 0 || write_all(file, text, strlen(text)) < 0)
                return error_errno(err, "cannot describe the limits to the runtime");
        return runtime_call(instance, (char *const[]){ "update", "--resources", path, instance->id, NULL }, err);
}

static int tell_policy(struct instance *instance, const char *policy, struct error *err)
{
        _cleanup_close_ int connection = connection_open(instance, 0, err);
        if (connection < 0)
                return connection;
        int r = message_send(connection, MESSAGE_POLICY, NULL, 0, policy, strlen(policy) + 1);
        return r < 0 ? error_code(err, r, "cannot speak to the monitor") : connection_await_done(connection, err);
}

static int merge(struct instance *instance, json_t *changes, struct instance_settings *settings, struct error *err)
{
        json_t *updates = json_object_get(instance->state, "updates");
        if (!updates && json_object_set_new(instance->state, "updates", updates = json_object()) < 0)
                return error_memory(err);
        /* --cpus and its two parts replace each other. */
        if (json_object_get(changes, "cpus")) {
                json_object_set_new(updates, "cpu_period", json_integer(0));
                json_object_set_new(updates, "cpu_quota", json_integer(0));
        }
        if (json_object_update(updates, changes) < 0)
                return error_memory(err);
        return instance_settings_of(instance, settings, err);
}

int instance_update(struct instance *instance, const struct instance_settings *changes, struct error *err)
{
        _cleanup_json_ json_t *given = instance_settings_write(changes);
        int r = given ? check_changes(given, err) : error_memory(err);
        if (!r)
                r = cpus_check_host(changes->cpus, err);
        if (r < 0)
                return r;
        _cleanup_close_ int lock = instance_lock(instance, err);
        if (lock < 0)
                return lock;
        r = instance_look(instance, err);
        if (r < 0)
                return r;
        struct instance_settings settings;
        r = merge(instance, given, &settings, err);
        if (r < 0)
                return r;
        bool limits = json_object_size(given) > (json_object_get(given, "restart") ? 1 : 0);
        if (instance->run && limits)
                r = apply_limits(instance, &settings, changes, err);
        if (!r && instance->run && changes->restart)
                r = tell_policy(instance, changes->restart, err);
        instance_settings_free(&settings);
        if (!r)
                r = instance_save_state(instance, true, err);
        if (!r)
                event_of_instance(instance, "update");
        return r;
}
