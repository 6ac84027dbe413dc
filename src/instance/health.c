/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Health checks as docker defines them: a command inside the container at an interval; exit 0 is healthy, anything
 * else a failure, `retries` failures in a row make it unhealthy; failures in the start period do not count unless it
 * was healthy already.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/text.h"
#include "instance/events.h"
#include "instance/monitor.h"
#include "instance/spawn.h"
#include "instance/timestamp.h"

#define SECOND      1000000000ULL
#define LOG_ENTRIES 5

/* Linux 6.9; older kernels answer EINVAL. */
#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1UL << 2)
#endif

static void set(uint64_t *value, const json_t *object, const char *key, uint64_t otherwise)
{
        json_int_t number = json_integer_value(json_object_get(object, key));
        *value = number > 0 ? (uint64_t)number : otherwise;
}

static void timer_ready(struct monitor *monitor, struct source *source, uint32_t events);
static void output_ready(struct monitor *monitor, struct source *source, uint32_t events);

void health_read(struct monitor *monitor, json_t *settings)
{
        struct health *health = &monitor->health;
        json_t *test = json_object_get(settings, "test");
        if (!json_array_size(test))
                return;
        uint64_t retries;
        set(&health->interval, settings, "interval", 30 * SECOND);
        set(&health->timeout, settings, "timeout", 30 * SECOND);
        set(&health->start_period, settings, "start_period", 0);
        set(&health->start_interval, settings, "start_interval", 5 * SECOND);
        set(&retries, settings, "retries", 3);
        health->retries = (int64_t)retries;
        health->test = test;
        health->timer.ready = timer_ready;
        health->output.ready = output_ready;
        health->log = json_array();
}

static bool in_start_period(const struct health *health)
{
        return monitor_clock() - health->began < health->start_period;
}

static void arm(struct monitor *monitor)
{
        struct health *health = &monitor->health;
        bool early =
                in_start_period(health) && health->state != HEALTH_HEALTHY && health->start_interval < health->interval;
        monitor_timer(monitor, &health->timer, early ? health->start_interval : health->interval);
}

void health_begin(struct monitor *monitor)
{
        struct health *health = &monitor->health;
        if (!health->test)
                return;
        health->state = HEALTH_STARTING;
        health->failures = 0;
        health->began = monitor_clock();
        arm(monitor);
}

static pid_t parent_of(pid_t pid)
{
        char path[32];
        _cleanup_free_ char *text = NULL;
        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        int parent = 0;
        if (file_read(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0)
                return 0;
        const char *name_end = strrchr(text, ')');
        return name_end && sscanf(name_end + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

/* The program inside, by the number that the runtime wrote; as the runtime's child it is surely not another one. */
static int open_program(struct monitor *monitor)
{
        _cleanup_free_ char *text = NULL;
        if (file_read(monitor->run_folder, "health.pid", 32, &text, NULL, NULL) < 0)
                return -ESRCH;
        pid_t pid = (pid_t)strtol(text, NULL, 10);
        _cleanup_close_ int program = pid > 0 ? process_open(pid, 0) : -ESRCH;
        return program >= 0 && parent_of(pid) == monitor->health.pid ? TAKE_FD(program) : -ESRCH;
}

/* The program has a session of its own, so a signal to the runtime's process group does not reach it. */
static void end_check(struct monitor *monitor)
{
        _cleanup_close_ int program = open_program(monitor);
        if (program >= 0 && syscall(SYS_pidfd_send_signal, program, SIGKILL, NULL, PIDFD_SIGNAL_PROCESS_GROUP) < 0)
                process_signal(program, SIGKILL);
        kill(-monitor->health.pid, SIGKILL);
}

void health_end(struct monitor *monitor)
{
        struct health *health = &monitor->health;
        if (!health->test)
                return;
        if (health->pid)
                end_check(monitor);
        monitor_timer(monitor, &health->timer, 0);
        monitor_forget(monitor, &health->output);
        if (health->state == HEALTH_STARTING || health->state == HEALTH_HEALTHY)
                health->state = HEALTH_UNHEALTHY;
}

/* process.json for `onggi-runtime exec`: the container's own process with the check's arguments and no terminal. */
static int write_process(struct monitor *monitor)
{
        if (!faccessat(monitor->run_folder, "health.json", F_OK, 0))
                return 0;
        json_t *spec;
        int r = json_read(monitor->run_folder, "bundle/config.json", &spec, NULL);
        if (r < 0)
                return r;
        json_t *process = json_object_get(spec, "process");
        json_object_set(process, "args", monitor->health.test);
        json_object_set_new(process, "terminal", json_false());
        r = json_replace(monitor->run_folder, "health.json", process, false, NULL);
        json_decref(spec);
        return r;
}

/* A process group of its own, so that a runtime that takes too long can be ended with all that it started. */
static void arrange(const void *context)
{
        const int *standard = context;
        if (dup2(standard[0], 0) < 0 || dup2(standard[1], 1) < 0 || dup2(standard[1], 2) < 0)
                _exit(126);
        setpgid(0, 0);
}

static pid_t spawn_check(struct monitor *monitor, int output)
{
        _cleanup_free_ char *process = text_format("%s/health.json", monitor->run_path);
        _cleanup_free_ char *number = text_format("%s/health.pid", monitor->run_path);
        _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        char *argv[] = { (char *)monitor->runtime,
                         "--root",
                         (char *)monitor->containers,
                         "--rootless",
                         monitor->rootless ? "true" : "false",
                         "exec",
                         "--process",
                         process,
                         "--pid-file",
                         number,
                         (char *)monitor->id,
                         NULL };
        if (!process || !number || null < 0)
                return -ENOMEM;
        unlinkat(monitor->run_folder, "health.pid", 0);
        const int standard[] = { null, output };
        return spawn_program(&(struct spawning){ monitor->runtime, argv, arrange, standard });
}

static void start_check(struct monitor *monitor)
{
        struct health *health = &monitor->health;
        int ends[2];
        if (monitor->paused || write_process(monitor) < 0 || pipe2(ends, O_CLOEXEC) < 0) {
                arm(monitor);
                return;
        }
        health->length = 0;
        health->timed_out = false;
        timestamp_now(health->started);
        health->pid = spawn_check(monitor, ends[1]);
        close(ends[1]);
        if (health->pid < 0) {
                health->pid = 0;
                close(ends[0]);
                arm(monitor);
                return;
        }
        health->output.fd = ends[0];
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        monitor_watch(monitor, &health->output, EPOLLIN);
        monitor_timer(monitor, &health->timer, health->timeout);
}

/* Goes off when a check is due, or when the one that runs has taken too long. */
static void timer_ready(struct monitor *monitor, struct source *source, uint32_t events)
{
        (void)events;
        uint64_t expirations;
        if (read(source->fd, &expirations, sizeof(expirations)) != sizeof(expirations) || !monitor->pid)
                return;
        if (!monitor->health.pid) {
                start_check(monitor);
                return;
        }
        monitor->health.timed_out = true;
        end_check(monitor);
}

static void output_ready(struct monitor *monitor, struct source *source, uint32_t events)
{
        (void)events;
        struct health *health = &monitor->health;
        char beyond[4096];
        bool full = health->length >= sizeof(health->text) - 1;
        ssize_t n = full ? read(source->fd, beyond, sizeof(beyond))
                         : read(source->fd, health->text + health->length, sizeof(health->text) - 1 - health->length);
        if (n > 0 && !full)
                health->length += (size_t)n;
        if (!n || (n < 0 && errno != EAGAIN))
                monitor_forget(monitor, source);
}

static void change_state(struct monitor *monitor, enum health_state state)
{
        if (monitor->health.state == state)
                return;
        monitor->health.state = state;
        json_t *attributes = json_pack("{s:s, s:s}", "name", monitor->name, "image", monitor->image);
        event_append(monitor->state, "container",
                     state == HEALTH_HEALTHY ? "health_status: healthy" : "health_status: unhealthy", monitor->id,
                     attributes);
        json_decref(attributes);
}

static void remember(struct monitor *monitor, int code)
{
        struct health *health = &monitor->health;
        char now[TIMESTAMP_SIZE];
        timestamp_now(now);
        health->text[health->length] = 0;
        /* Output that is not UTF-8 cannot be in JSON: it is left out, not the result. */
        json_t *text = json_string(health->timed_out ? "Health check exceeded its timeout" : health->text);
        if (json_array_size(health->log) >= LOG_ENTRIES)
                json_array_remove(health->log, 0);
        json_array_append_new(health->log, json_pack("{s:s, s:s, s:i, s:o}", "Start", health->started, "End", now,
                                                     "ExitCode", code, "Output", text ? text : json_string("")));
}

bool health_reap(struct monitor *monitor, pid_t pid, int code)
{
        struct health *health = &monitor->health;
        if (pid != health->pid)
                return false;
        health->pid = 0;
        if (health->output.fd >= 0)
                output_ready(monitor, &health->output, EPOLLIN);
        monitor_forget(monitor, &health->output);
        if (!monitor->pid)
                return true;
        if (health->timed_out)
                code = -1;
        remember(monitor, code);
        if (!code) {
                health->failures = 0;
                change_state(monitor, HEALTH_HEALTHY);
        } else if (!in_start_period(health) || health->state == HEALTH_HEALTHY) {
                health->failures++;
                if (health->failures >= health->retries)
                        change_state(monitor, HEALTH_UNHEALTHY);
        }
        arm(monitor);
        life_save(monitor);
        return true;
}
