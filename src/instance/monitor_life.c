/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/process.h"
#include "base/test_point.h"
#include "base/text.h"
#include "instance/events.h"
#include "instance/exit_code.h"
#include "instance/monitor.h"
#include "instance/timestamp.h"

static const char *const health_names[] = { "none", "starting", "healthy", "unhealthy" };

/* run.json lies in a folder that a reboot empties, so it is not synced. */
void life_save(struct monitor *monitor)
{
        uint64_t own_start = 0, start = 0;
        process_start_time(getpid(), &own_start);
        if (monitor->pid)
                process_start_time(monitor->pid, &start);
        json_t *run =
                json_pack("{s:s, s:i, s:I, s:i, s:I, s:s, s:s, s:i, s:b, s:b, s:s, s:s, s:s*, s:I}", "status",
                          monitor->status, "monitor", (int)getpid(), "monitor_start", (json_int_t)own_start, "pid",
                          (int)monitor->pid, "pid_start", (json_int_t)start, "started", monitor->started, "finished",
                          monitor->finished, "exit_code", monitor->exit_code, "oom_killed", monitor->oom_killed,
                          "stopped", monitor->stopped_by_user, "error", monitor->error_text, "reason", monitor->reason,
                          "engine", monitor->engine, "restart_count", (json_int_t)monitor->restart_count);
        if (monitor->health.test)
                json_object_set_new(run, "health",
                                    json_pack("{s:s, s:I, s:O*}", "Status", health_names[monitor->health.state],
                                              "FailingStreak", (json_int_t)monitor->health.failures, "Log",
                                              monitor->health.log));
        json_replace(monitor->run_folder, "run.json", run, false, NULL);
        json_decref(run);
}

static void event(struct monitor *monitor, const char *action)
{
        json_t *attributes = json_pack("{s:s, s:s}", "name", monitor->name, "image", monitor->image);
        if (text_equal(action, "die")) {
                char code[16];
                snprintf(code, sizeof(code), "%d", monitor->exit_code);
                json_object_set_new(attributes, "exitCode", json_string(code));
        }
        event_append(monitor->state, "container", action, monitor->id, attributes);
        json_decref(attributes);
}

static int run(struct monitor *monitor, int *exit_code, struct error *err)
{
        int r = container_run(monitor, exit_code, err);
        if (r < 0)
                return r;
        monitor->status = "running";
        monitor->paused = monitor->oom_killed = false;
        monitor->error_text[0] = monitor->reason[0] = 0;
        timestamp_now(monitor->started);
        monitor->began = (struct timespec){ 0 };
        clock_gettime(CLOCK_MONOTONIC, &monitor->began);
        health_begin(monitor);
        life_save(monitor);
        return 0;
}

int life_start(struct monitor *monitor, struct error *err)
{
        int32_t exit_code = 125;
        /* The instance's lock is held for us until it runs: nobody looks, so nothing is written down before. */
        int r = run(monitor, &exit_code, err);
        if (r < 0) {
                message_send(MONITOR_FD_STARTER, MESSAGE_FAILED, &exit_code, 1, err->text, strlen(err->text));
                return r;
        }
        test_point("monitor.started");
        event(monitor, "start");
        message_send(MONITOR_FD_STARTER, MESSAGE_STARTED, NULL, 0, NULL, 0);
        close(MONITOR_FD_LOCK);
        return 0;
}

static void retry(struct monitor *monitor, struct source *source, uint32_t events);

static void pause_before_retry(struct monitor *monitor)
{
        monitor->status = "restarting";
        monitor->restart_timer.ready = retry;
        life_save(monitor);
        if (monitor_timer(monitor, &monitor->restart_timer, monitor->history.pause) < 0)
                monitor->over = true;
}

static void end(struct monitor *monitor)
{
        monitor->status = "exited";
        if (!monitor->removes || !clients_will_finish(monitor))
                life_save(monitor);
        test_point("monitor.exited");
        struct error err;
        container_runtime(monitor, "delete", "--force", &err);
        test_point("monitor.deleted");
        monitor->over = true;
}

static void retry(struct monitor *monitor, struct source *source, uint32_t events)
{
        (void)events;
        uint64_t expirations;
        if (read(source->fd, &expirations, sizeof(expirations)) != sizeof(expirations))
                return;
        struct error err;
        int exit_code;
        monitor->restart_count++;
        if (!run(monitor, &exit_code, &err)) {
                event(monitor, "start");
                return;
        }
        snprintf(monitor->error_text, sizeof(monitor->error_text), "%s", err.text);
        monitor->exit_code = exit_code;
        monitor->oom_killed = exit_code == EXIT_CODE_OUT_OF_MEMORY;
        if (restart_decide(&monitor->policy, &monitor->history, exit_code, monitor->stopped, 0))
                pause_before_retry(monitor);
        else
                end(monitor);
}

/* In the largest unit that needs no fraction. */
static void write_size(uint64_t bytes, char text[32])
{
        static const char *const units[] = { "bytes", "KiB", "MiB", "GiB" };
        size_t unit = 0;
        for (; unit + 1 < ARRAY_SIZE(units) && bytes % 1024 == 0; unit++)
                bytes /= 1024;
        snprintf(text, 32, "%llu %s", (unsigned long long)bytes, units[unit]);
}

/* What `inspect` shows as its error, and who is attached is told. */
static void explain_lack_of_memory(struct monitor *monitor)
{
        char size[32];
        uint64_t limit = container_memory_limit(monitor);
        write_size(limit, size);
        if (limit == UINT64_MAX)
                snprintf(
                        monitor->error_text, sizeof(monitor->error_text),
                        "the program was killed because the host, or a control group above its own, had no memory left; "
                        "free some, or limit with --memory what takes too much");
        else
                snprintf(monitor->error_text, sizeof(monitor->error_text),
                         "the program was killed because its memory limit of %s was reached; "
                         "raise it with --memory, or let the program use less",
                         size);
        clients_send(monitor, HELLO_STREAMS, MESSAGE_NOTICE, monitor->error_text, strlen(monitor->error_text));
}

/* A program that is out of sight may not have ended by itself: the guard of it tells, or its own death does. */
static void explain_end(struct monitor *monitor, int status)
{
        if (!monitor->guardian)
                return;
        char text[sizeof(monitor->error_text)];
        container_reason(monitor, text, sizeof(text));
        if (!text[0] && WIFSIGNALED(status) && !monitor->stopped && !monitor->error_text[0])
                snprintf(text, sizeof(text), "%s was killed by %s", monitor->guardian, signal_name(WTERMSIG(status)));
        if (text[0])
                snprintf(monitor->error_text, sizeof(monitor->error_text), "%s", text);
        monitor->oom_killed |= text_starts(text, "out of memory");
        /* In lists there is room for what stands before the first colon. */
        snprintf(monitor->reason, sizeof(monitor->reason), "%.*s", (int)strcspn(monitor->error_text, ":;"),
                 monitor->error_text);
        if (text[0])
                clients_send(monitor, HELLO_STREAMS, MESSAGE_NOTICE, text, strlen(text));
}

static void container_ended(struct monitor *monitor, int status)
{
        monitor->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        monitor->pid = 0;
        if (monitor->pidfd >= 0)
                close(monitor->pidfd);
        monitor->pidfd = -1;
        timestamp_now(monitor->finished);
        /* As docker: whichever of its processes it was, the last run was short of memory. */
        monitor->oom_killed = container_oom_kills(monitor);
        streams_drain(monitor);
        health_end(monitor);
        monitor_timer(monitor, &monitor->stop_timer, 0);
        if (monitor->oom_killed)
                event(monitor, "oom");
        if (monitor->oom_killed && monitor->exit_code == 128 + SIGKILL && !monitor->stopped)
                explain_lack_of_memory(monitor);
        explain_end(monitor, status);
        event(monitor, "die");

        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        uint64_t ran = (uint64_t)(now.tv_sec - monitor->began.tv_sec) * 1000000000;
        bool again = restart_decide(&monitor->policy, &monitor->history, monitor->exit_code, monitor->stopped, ran);
        if (again) {
                struct error err;
                container_runtime(monitor, "delete", "--force", &err);
                pause_before_retry(monitor);
        }
        clients_send(monitor, HELLO_EXIT, MESSAGE_EXITED, &(int32_t){ monitor->exit_code }, sizeof(int32_t));
        if (!again)
                end(monitor);
}

void life_signals(struct monitor *monitor, struct source *source, uint32_t events)
{
        (void)events;
        struct signalfd_siginfo info;
        while (read(source->fd, &info, sizeof(info)) == sizeof(info))
                if (info.ssi_signo == SIGTERM)
                        life_stop(monitor, 0, -1);
        int status;
        pid_t pid;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
                if (pid == monitor->pid)
                        container_ended(monitor, status);
                else /* a check, or an orphan of the container's that became ours */
                        health_reap(monitor, pid, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
        }
}

static void force(struct monitor *monitor, struct source *source, uint32_t events)
{
        (void)events;
        uint64_t expirations;
        if (read(source->fd, &expirations, sizeof(expirations)) == sizeof(expirations) && monitor->pidfd >= 0)
                process_signal(monitor->pidfd, SIGKILL);
}

void life_stop(struct monitor *monitor, int signal, int64_t timeout)
{
        monitor->stopped = true;
        if (!monitor->pid) {
                /* It waits for its next try, which now never comes. */
                monitor_timer(monitor, &monitor->restart_timer, 0);
                clients_send(monitor, HELLO_EXIT, MESSAGE_EXITED, &(int32_t){ monitor->exit_code }, sizeof(int32_t));
                end(monitor);
                return;
        }
        struct error err;
        if (timeout < 0)
                timeout = monitor->stop_timeout;
        container_signal(monitor, !timeout ? SIGKILL : signal ? signal : monitor->stop_signal);
        if (monitor->paused)
                life_freeze(monitor, false, &err);
        monitor->stop_timer.ready = force;
        if (timeout)
                monitor_timer(monitor, &monitor->stop_timer, (uint64_t)timeout * 1000000);
}

void life_kill(struct monitor *monitor, int signal, struct error *err)
{
        if (!monitor->pid) {
                error_set(err, -ESRCH, "it does not run");
                return;
        }
        /* As docker: whom the user kills is not started again. */
        if (signal == SIGKILL || signal == monitor->stop_signal)
                monitor->stopped = monitor->stopped_by_user = true;
        int r = container_signal(monitor, signal);
        if (r < 0) {
                error_code(err, r, "cannot send %s", signal_name(signal));
                return;
        }
        struct error ignored;
        if (signal == SIGKILL && monitor->paused)
                life_freeze(monitor, false, &ignored);
}

void life_freeze(struct monitor *monitor, bool freeze, struct error *err)
{
        if (!monitor->pid || monitor->paused == freeze) {
                error_set(err, -EINVAL, "it %s",
                          !monitor->pid ? "does not run"
                          : freeze      ? "is paused already"
                                        : "is not paused");
                return;
        }
        if (container_runtime(monitor, freeze ? "pause" : "resume", NULL, err) < 0)
                return;
        monitor->paused = freeze;
        monitor->status = freeze ? "paused" : "running";
        life_save(monitor);
        event(monitor, freeze ? "pause" : "unpause");
}
