/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/test_point.h"
#include "base/text.h"
#include "instance/folder.h"
#include "instance/message.h"
#include "instance/monitor.h"
#include "instance/spawn.h"
#include "instance/start.h"
#include "instance/vessel.h"

#define STOP_SECONDS 10 /* docker's default */

static int write_bundle(struct start *start, struct error *err)
{
        const struct spec_input input = {
                .id = start->instance->id,
                .settings = &start->settings,
                .identity = &start->identity,
                .mounts = start->mounts,
                .mount_count = start->mount_count,
                .root = start->root_path,
                .hostname = start->hostname,
                .files = start->files,
                .init = start->init,
                .network_namespace = start->network_namespace,
                .pid_of = start->pid_of,
                .ipc_of = start->ipc_of,
                .shm = start->shm,
                .ids = start->ids,
                .id_count = start->id_count,
                .user_namespace = start->userns_path,
                .rootless = start->host->rootless,
        };
        json_t *spec = NULL;
        int r = spec_build(&input, &spec, err);
        _cleanup_json_ json_t *owned = spec;
        if (!r)
                r = vessel_of(start->instance)->describe(start, spec, err);
        return r < 0 ? r : json_replace(start->run_folder, "bundle/config.json", owned, false, err);
}

static json_t *health_of(const struct instance_settings *settings)
{
        if (settings->no_healthcheck)
                return NULL;
        json_t *test = NULL;
        char *const *exec = settings->health_test;
        if (settings->health_command)
                test = json_pack("[s, s, s]", "/bin/sh", "-c", settings->health_command);
        else if (list_length(exec) > 1 && text_equal(exec[0], "CMD-SHELL"))
                test = json_pack("[s, s, s]", "/bin/sh", "-c", exec[1]);
        else if (list_length(exec) > 1 && text_equal(exec[0], "CMD"))
                test = spec_strings((const char *const *)exec + 1);
        if (!test)
                return NULL;
        return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I}", "test", test, "interval",
                         (json_int_t)settings->health_interval, "timeout", (json_int_t)settings->health_timeout,
                         "start_period", (json_int_t)settings->health_start_period, "start_interval",
                         (json_int_t)settings->health_start_interval, "retries", (json_int_t)settings->health_retries);
}

/* Of this process, where memory is counted: proc_pid_cgroup(5), "number:controllers:path". The caller's. */
static char *own_memory_cgroup(void)
{
        _cleanup_free_ char *data = NULL;
        if (file_read(AT_FDCWD, "/proc/self/cgroup", 65536, &data, NULL, NULL) < 0)
                return NULL;
        char *unified = NULL, *rest = data, *line;
        while ((line = strsep(&rest, "\n"))) {
                char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
                if (!path)
                        continue;
                *path++ = 0;
                if (text_equal(controllers, ":memory"))
                        return strdup(path);
                if (text_equal(controllers, ":"))
                        unified = path;
        }
        return unified ? strdup(unified) : NULL;
}

/* Where the runtime puts the instance: an ordinary user's are beside the group of the command. The caller's. */
static char *cgroup_of(const struct start *start)
{
        const char *parent = start->settings.cgroup_parent ? start->settings.cgroup_parent : "/onggi";
        _cleanup_free_ char *own = start->host->rootless ? own_memory_cgroup() : NULL;
        char *slash = own ? strrchr(own, '/') : NULL;
        if (slash)
                *slash = 0;
        return text_format("%s%s/%s", slash ? own : "", parent, start->instance->id);
}

static int write_orders(struct start *start, uint32_t hello, struct error *err)
{
        const struct instance_settings *settings = &start->settings;
        const struct host *host = start->host;
        uint64_t log_size;
        unsigned log_files;
        int r = log_options_parse(settings->log_options, &log_size, &log_files, err);
        if (r < 0)
                return r;
        int signal = settings->stop_signal ? signal_from_name(settings->stop_signal) : SIGTERM;
        int64_t seconds = settings->stop_timeout >= 0 ? settings->stop_timeout : STOP_SECONDS;
        const struct vessel *vessel = vessel_of(start->instance);
        char *program;
        r = vessel_runtime(vessel, host, &program, err);
        if (r < 0)
                return r;
        _cleanup_free_ char *runtime = program, *containers = text_format("%s/%s", host->state, vessel->containers);
        _cleanup_free_ char *finish = text_format("%s/onggi-finish", host->libexec);
        _cleanup_free_ char *cgroup = cgroup_of(start);
        if (!containers || !finish || !cgroup)
                return error_memory(err);
        _cleanup_json_ json_t *orders = json_pack(
                "{s:s, s:s, s:s, s:s, s:s, s:s*, s:s*, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:b, s:i, s:I, s:i, s:I, s:s*, s:i, "
                "s:o*}",
                "id", start->instance->id, "name", start->instance->name, "image",
                settings->image ? settings->image : "", "runtime", runtime, "containers", containers, "guardian",
                vessel->guardian, "engine", start->engine, "root", host->root, "state", host->state, "finish", finish,
                "cgroup", cgroup, "tty", settings->tty, "interactive", settings->interactive, "keeps_log",
                !text_equal(settings->log_driver, "none"), "removes", settings->remove, "rootless", host->rootless,
                "stop_signal", signal, "stop_timeout", (json_int_t)seconds * 1000, "log_files", (int)log_files,
                "log_size", (json_int_t)log_size, "restart", settings->restart, "starter", (int)hello, "health",
                health_of(settings));
        if (!orders)
                return error_memory(err);
        return json_replace(start->run_folder, "monitor.json", orders, false, err);
}

/* In the child: the descriptors that the monitor expects, and nothing of ours. */
static void arrange(const void *context)
{
        const int *given = context;
        int copies[MONITOR_FD_COUNT];
        setsid();
        for (int i = 0; i < MONITOR_FD_COUNT; i++)
                if ((copies[i] = fcntl(given[i], F_DUPFD_CLOEXEC, MONITOR_FD_COUNT)) < 0)
                        _exit(126);
        for (int i = 0; i < MONITOR_FD_COUNT; i++)
                if (dup2(copies[i], i) < 0)
                        _exit(126);
        if (chdir("/") < 0)
                _exit(126);
}

static pid_t spawn(struct start *start, int lock, int connection, struct error *err)
{
        _cleanup_free_ char *path = text_format("%s/onggi-monitor", start->host->libexec);
        _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (!path || null < 0)
                return error_errno(err, "cannot start the monitor");
        const int given[MONITOR_FD_COUNT] = {
                null, null, null, connection, lock, start->root, start->instance->folder
        };
        char *const arguments[] = { "onggi-monitor", start->run_path, NULL };
        pid_t child = spawn_program(&(struct spawning){ path, arguments, arrange, given });
        return child < 0 ? error_code(err, child, "cannot start the monitor") : child;
}

static int await_start(int connection, int *exit_code, struct error *err)
{
        _cleanup_free_ struct message *message = malloc(sizeof(*message));
        if (!message)
                return error_memory(err);
        int r = message_receive(connection, message);
        if (r == 1 && message->type == MESSAGE_STARTED)
                return 0;
        if (r == 1 && message->type == MESSAGE_FAILED) {
                *exit_code = message_number(message, 0);
                return error_set(err, -EIO, "%s", message_text(message, 1));
        }
        return error_set(err, -EPIPE, "the instance's monitor was killed while it started the instance");
}

int start_monitor(struct start *start, int lock, uint32_t hello, int *exit_code, struct error *err)
{
        *exit_code = 125;
        int r = write_bundle(start, err);
        if (!r)
                r = write_orders(start, hello, err);
        if (r < 0)
                return r;
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return error_errno(err, "cannot make a socket");
        _cleanup_close_ int ours = ends[0], theirs = ends[1];
        pid_t monitor = spawn(start, lock, theirs, err);
        if (monitor < 0)
                return monitor;
        test_point("instance.start.monitor.spawned");
        close(TAKE_FD(theirs));
        r = await_start(ours, exit_code, err);
        if (r < 0) {
                int status;
                while (waitpid(monitor, &status, 0) < 0 && errno == EINTR)
                        ;
                return r;
        }
        return TAKE_FD(ours);
}
