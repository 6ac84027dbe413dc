/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/test_point.h"
#include "base/text.h"
#include "instance/connection.h"
#include "instance/events.h"
#include "instance/folder.h"
#include "instance/message.h"
#include "instance/name.h"
#include "instance/network_setting.h"
#include "instance/start.h"

#define MONITOR_END_MS 10000 /* how long a monitor may take to end after it has said that it will */

/* Waits until the monitor (or onggi-finish, which takes its place and number) has ended. */
static void await_monitor(const struct instance *instance)
{
        _cleanup_close_ int monitor =
                process_open((pid_t)json_integer_value(json_object_get(instance->run, "monitor")),
                             (uint64_t)json_integer_value(json_object_get(instance->run, "monitor_start")));
        struct pollfd poll_for = { .fd = monitor, .events = POLLIN };
        if (monitor >= 0)
                poll(&poll_for, 1, MONITOR_END_MS);
}

/* After a run: whatever is left is cleaned up. An instance with --rm is gone afterwards, which is no error. */
static int finish(struct instance *instance, struct error *err)
{
        _cleanup_close_ int lock = instance_lock(instance, NULL);
        if (lock == -ENOENT)
                return 0;
        if (lock < 0)
                return error_code(err, lock, "cannot lock instance %s", instance->name);
        int r = instance_look(instance, err);
        if (r == 1)
                r = instance_finish(instance, err);
        return r == -ENOENT ? 0 : r;
}

static int end_of_run(struct instance *instance, int connection, bool ended, struct error *err)
{
        /* A hang-up tells that the monitor is dead, or about to be. */
        close(connection);
        if (!instance->run)
                instance_look(instance, NULL);
        await_monitor(instance);
        test_point(ended ? "instance.end.announced" : "instance.end.lost");
        return finish(instance, err);
}

/* Follows a connection to the end; the monitor's death counts as one. */
static int follow(struct instance *instance, int connection, const struct attachment *attachment, bool to_the_end,
                  int *exit_code, struct error *err)
{
        bool tty = json_is_true(json_object_get(json_object_get(instance->config, "settings"), "tty"));
        bool ended = false;
        struct error lost = { 0 };
        int r = connection_copy(connection, attachment, tty && attachment->streams, exit_code,
                                to_the_end ? &ended : NULL, &lost);
        if (!r && (*exit_code < 0 || !to_the_end)) {
                close(connection);
                return 0;
        }
        int end = end_of_run(instance, connection, ended, err);
        if (r == -EPIPE) {
                *exit_code = 137;
                return error_set(err, r, "instance %s: %s; it was stopped", instance->name, lost.text);
        }
        if (r < 0)
                return error_set(err, r, "instance %s: %s", instance->name, lost.text);
        return end;
}

/* An instance with --rm goes while its monitor still deletes the container: two processors, half the time. */
static int follow_and_erase(struct instance *instance, int connection, const struct attachment *attachment,
                            int *exit_code, struct error *err)
{
        _cleanup_close_ int connected = connection;
        bool tty = json_is_true(json_object_get(json_object_get(instance->config, "settings"), "tty"));
        int r = connection_copy(connected, attachment, tty && attachment->streams, exit_code, NULL, err);
        if (r == -EPIPE)
                return follow(instance, TAKE_FD(connected), attachment, true, exit_code, err);
        if (r < 0 || *exit_code < 0)
                return r;
        test_point("instance.end.announced");
        _cleanup_close_ int lock = instance_lock(instance, NULL);
        if (lock < 0)
                return lock == -ENOENT ? 0 : error_code(err, lock, "cannot lock instance %s", instance->name);
        r = instance_release_network(instance, err);
        if (!r)
                r = instance_erase(instance, true, err);
        test_point("instance.end.erased");
        connection_await_end(connected);
        return r < 0 ? r : instance_finish_erased(instance, err);
}

static uint32_t hello_of(const struct attachment *attachment)
{
        return HELLO_EXIT | (attachment->streams ? HELLO_STREAMS : 0) | (attachment->input ? HELLO_INPUT : 0);
}

/* It is to run again: after a power cut, too. */
static int forget_stop(struct instance *instance, struct error *err)
{
        if (!json_is_true(json_object_get(instance->state, "stopped")))
                return 0;
        json_object_del(instance->state, "stopped");
        return instance_save_state(instance, true, err);
}

/* Locks and looks; returns the lock, or 0 where it runs already. */
static int lock_stopped(struct instance *instance, struct error *err)
{
        _cleanup_close_ int lock = instance_lock(instance, err);
        if (lock < 0)
                return lock;
        int r = instance_look(instance, err);
        if (r == 1)
                r = instance_finish(instance, err);
        if (r < 0)
                return r;
        if (instance->status == INSTANCE_DEAD)
                return error_set(err, -EBADMSG, "instance %.12s cannot be used, only removed: %s", instance->id,
                                 json_string_value(json_object_get(instance->state, "error")));
        if (instance->run)
                return 0;
        r = forget_stop(instance, err);
        return r < 0 ? r : TAKE_FD(lock);
}

int instance_start(struct instance *instance, struct error *err)
{
        int lock = lock_stopped(instance, err), exit_code;
        if (lock <= 0)
                return lock;
        int connection = instance_launch(instance, lock, 0, &exit_code, err);
        if (connection < 0)
                return connection;
        close(connection);
        int r = instance_look(instance, err);
        return r < 0 ? r : 0;
}

int instance_start_attached(struct instance *instance, const struct attachment *attachment, int *exit_code,
                            struct error *err)
{
        int lock = lock_stopped(instance, err);
        *exit_code = 125;
        if (!lock)
                return instance_attach(instance, attachment, exit_code, err);
        if (lock < 0)
                return lock;
        int connection = instance_launch(instance, lock, hello_of(attachment) | HELLO_FINISH, exit_code, err);
        return connection < 0 ? connection : follow(instance, connection, attachment, true, exit_code, err);
}

int instance_attach(struct instance *instance, const struct attachment *attachment, int *exit_code, struct error *err)
{
        *exit_code = 125;
        if (instance->status == INSTANCE_PAUSED)
                return error_set(err, -EBUSY, "instance %s is paused; unpause it first", instance->name);
        int connection = connection_open(instance, hello_of(attachment), err);
        return connection < 0 ? connection : follow(instance, connection, attachment, false, exit_code, err);
}

int instance_wait(struct instance *instance, int *exit_code, struct error *err)
{
        int connection = connection_open(instance, HELLO_EXIT, NULL);
        if (connection >= 0) {
                const struct attachment none = { 0 };
                struct error lost = { 0 };
                int r = connection_copy(connection, &none, false, exit_code, NULL, &lost);
                close(connection);
                if (r != -EPIPE)
                        return r < 0 ? error_set(err, r, "%s", lost.text) : 0;
        }
        /* Somebody may be finishing it: under the lock it is finished. */
        int r = finish(instance, err);
        *exit_code = (int)json_integer_value(json_object_get(instance->state, "exit_code"));
        return r;
}

int instance_stop(struct instance *instance, int signal, int timeout, struct error *err)
{
        int connection = connection_open(instance, HELLO_EXIT | HELLO_FINISH, NULL);
        if (connection < 0)
                return finish(instance, err);
        int64_t milliseconds = timeout < 0 ? -1 : (int64_t)timeout * 1000;
        const int32_t numbers[] = { signal, milliseconds > INT32_MAX ? INT32_MAX : (int32_t)milliseconds };
        int r = message_send(connection, MESSAGE_STOP, numbers, 2, NULL, 0);
        const struct attachment none = { 0 };
        int exit_code;
        bool ended = false;
        if (!r)
                r = connection_copy(connection, &none, false, &exit_code, &ended, NULL);
        if (r < 0 && r != -EPIPE)
                error_code(err, r, "cannot wait for instance %s", instance->name);
        int end = end_of_run(instance, connection, ended, err);
        if (!end)
                event_of_instance(instance, "stop");
        return r < 0 && r != -EPIPE ? r : end;
}

int instance_restart(struct instance *instance, int signal, int timeout, struct error *err)
{
        int r = instance_stop(instance, signal, timeout, err);
        if (!r)
                r = instance_start(instance, err);
        if (!r)
                event_of_instance(instance, "restart");
        return r;
}

/* One order with an answer. */
static int order(struct instance *instance, enum message_type type, int32_t number, const char *text, struct error *err)
{
        _cleanup_close_ int connection = connection_open(instance, 0, err);
        if (connection < 0)
                return connection;
        int r = text ? message_send(connection, type, NULL, 0, text, strlen(text) + 1)
                     : message_send(connection, type, &number, 1, NULL, 0);
        if (r < 0)
                return error_code(err, r, "cannot speak to the monitor of instance %s", instance->name);
        r = connection_await_done(connection, err);
        return r < 0 ? error_prefix(err, "instance %s", instance->name) : 0;
}

int instance_kill(struct instance *instance, int signal, struct error *err)
{
        int r = order(instance, MESSAGE_SIGNAL, signal, NULL, err);
        if (!r)
                event_of_instance(instance, "kill");
        return r;
}

int instance_pause(struct instance *instance, struct error *err)
{
        return order(instance, MESSAGE_FREEZE, 1, NULL, err);
}

int instance_unpause(struct instance *instance, struct error *err)
{
        return order(instance, MESSAGE_FREEZE, 0, NULL, err);
}

/* The others on its networks find it by its new name; its host name and aliases stay. */
static int rename_on_networks(struct instance *instance, struct error *err)
{
        struct instance_settings settings;
        int r = instance_settings_of(instance, &settings, err);
        if (r < 0)
                return r;
        char short_id[13];
        snprintf(short_id, sizeof(short_id), "%.12s", instance->id);
        _cleanup_list_ char **names = NULL;
        if (list_append(&names, instance->name) < 0 ||
            list_append(&names, settings.hostname ? settings.hostname : short_id) < 0)
                r = error_memory(err);
        for (char *const *alias = settings.network_aliases; !r && alias && *alias; alias++)
                if (list_append(&names, *alias) < 0)
                        r = error_memory(err);
        struct networks *networks;
        if (!r && network_settings_kind(&settings) == NETWORK_BRIDGED &&
            !(r = networks_open(instance->host->root, instance->host->state, instance->host->rootless, &networks,
                                err))) {
                r = network_rename(networks, instance->id, (const char *const *)names, err);
                networks_close(networks);
        }
        instance_settings_free(&settings);
        return r;
}

int instance_rename(struct instance *instance, const char *name, struct error *err)
{
        if (!instance_name_valid(name))
                return error_set(err, -EINVAL,
                                 "\"%s\" is not a name: letters, digits and \"_.-\", two at least, the first a letter "
                                 "or digit",
                                 name);
        _cleanup_close_ int lock = instance_lock(instance, err);
        if (lock < 0)
                return lock;
        int r = instance_look(instance, err);
        if (r < 0)
                return r;
        if (text_equal(name, instance->name))
                return error_set(err, -EINVAL, "that is its name already");
        _cleanup_close_ int instances = instances_open(instance->host->root, err);
        if (instances < 0)
                return instances;
        r = name_take(instances, name, instance->id, err);
        if (r < 0)
                return r;
        test_point("instance.rename.taken");
        _cleanup_free_ char *old = instance->name;
        instance->name = strdup(name);
        json_object_set_new(instance->state, "name", json_string(name));
        r = instance->name ? instance_save_state(instance, true, err) : error_memory(err);
        if (r < 0) {
                name_drop(instances, name, instance->id, NULL);
                return r;
        }
        if (instance->run)
                rename_on_networks(instance, NULL);
        event_of_instance(instance, "rename");
        return name_drop(instances, old, instance->id, err);
}

int instance_remove(struct instance *instance, bool force, bool volumes, struct error *err)
{
        int r = 0;
        if (instance->run && !force)
                return error_set(err, -EBUSY, "instance %s is %s; stop it first, or remove it with --force",
                                 instance->name, instance_status_name(instance->status));
        if (instance->run)
                r = instance_stop(instance, SIGKILL, 0, err);
        if (r < 0)
                return r;
        _cleanup_close_ int lock = instance_lock(instance, NULL);
        if (lock == -ENOENT)
                return 0; /* it had --rm */
        if (lock < 0)
                return error_code(err, lock, "cannot lock instance %s", instance->name);
        r = instance_look(instance, err);
        if (r == 1)
                r = instance_finish(instance, err);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        if (instance->run)
                return error_set(err, -EBUSY, "instance %s was started meanwhile", instance->name);
        return instance_erase(instance, volumes, err);
}

int instance_run(struct host *host, const struct instance_settings *settings, bool detach,
                 const struct attachment *attachment, char **id, int *exit_code, struct error *err)
{
        struct instance *instance;
        int lock;
        bool lasts = detach || !settings->remove;
        *exit_code = 125;
        int r = instance_create_locked(host, settings, lasts, settings->remove, &instance, &lock, err);
        if (r < 0)
                return r;
        uint32_t hello = detach ? 0 : hello_of(attachment) | HELLO_FINISH | (attachment->input ? HELLO_ONCE : 0);
        int connection = instance_launch(instance, lock, hello, exit_code, err);
        if (connection < 0) {
                r = connection;
                if (settings->remove)
                        instance_remove(instance, true, true, NULL);
        } else if (detach) {
                close(connection);
                *exit_code = 0;
                if (id && !(*id = strdup(instance->id)))
                        r = error_memory(err);
        } else if (settings->remove) {
                r = follow_and_erase(instance, connection, attachment, exit_code, err);
        } else {
                r = follow(instance, connection, attachment, true, exit_code, err);
        }
        instance_free(instance);
        return r;
}
