/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/test_point.h"
#include "base/text.h"
#include "instance/exit_code.h"
#include "instance/monitor.h"
#include "instance/spawn.h"
#include "instance/vessel.h"

#define RUNTIME_LOG_MAX 65536

struct child {
        pid_t parent;
        const int *standard;
};

/* The runtime dies with us, so that nothing half-made goes on being made. */
static void arrange(const void *context)
{
        const struct child *child = context;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != child->parent)
                _exit(126);
        for (int i = 0; i < 3; i++)
                if (dup2(child->standard[i], i) < 0)
                        _exit(126);
}

static pid_t spawn(struct monitor *monitor, char *const argv[], const int standard[3])
{
        const struct child child = { getpid(), standard };
        return spawn_program(&(struct spawning){ monitor->runtime, argv, arrange, &child });
}

static int wait_for(pid_t pid)
{
        int code = 1;
        return process_wait(pid, &code) < 0 ? 1 : code;
}

/* The last line that has a message is the reason. */
static void runtime_error(struct monitor *monitor, struct error *err)
{
        _cleanup_free_ char *data = NULL;
        if (file_read(monitor->run_folder, "runtime.log", RUNTIME_LOG_MAX, &data, NULL, NULL) < 0)
                data = NULL;
        error_set(err, -EIO, "the runtime failed without a word");
        char *rest = data, *line;
        while (rest && (line = strsep(&rest, "\n"))) {
                json_t *entry;
                if (json_parse(line, strlen(line), "log", &entry, NULL) < 0)
                        continue;
                const char *text = json_string_value(json_object_get(entry, "msg"));
                if (text)
                        error_set(err, -EIO, "%s", text);
                json_decref(entry);
        }
        unlinkat(monitor->run_folder, "runtime.log", 0);
}

int container_runtime(struct monitor *monitor, const char *verb, const char *option, struct error *err)
{
        _cleanup_free_ char *log = text_format("%s/runtime.log", monitor->run_path);
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (!log || null < 0)
                return error_memory(err);
        char *argv[] = { (char *)monitor->runtime,
                         "--root",
                         (char *)monitor->containers,
                         "--log",
                         log,
                         "--log-format",
                         "json",
                         "--rootless",
                         monitor->rootless ? "true" : "false",
                         (char *)verb,
                         option ? (char *)option : (char *)monitor->id,
                         option ? (char *)monitor->id : NULL,
                         NULL };
        pid_t pid = spawn(monitor, argv, (int[]){ null, null, null });
        close(null);
        if (pid < 0)
                return error_code(err, pid, "cannot start %s", monitor->runtime);
        if (!wait_for(pid))
                return 0;
        runtime_error(monitor, err);
        return -EIO;
}

/* A guest that hangs answers no runtime, and must not hold us up: who is asked is reaped with the other children. */
static int ask_runtime(struct monitor *monitor, int signal)
{
        char number[16];
        snprintf(number, sizeof(number), "%d", signal);
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null < 0)
                return -errno;
        char *argv[] = { (char *)monitor->runtime,
                         "--root",
                         (char *)monitor->containers,
                         "kill",
                         (char *)monitor->id,
                         number,
                         NULL };
        pid_t pid = spawn(monitor, argv, (int[]){ null, null, null });
        close(null);
        return pid < 0 ? pid : 0;
}

int container_signal(struct monitor *monitor, int signal)
{
        if (monitor->guardian && signal != SIGKILL)
                return ask_runtime(monitor, signal);
        return process_signal(monitor->pidfd, signal);
}

void container_reason(struct monitor *monitor, char *text, size_t size)
{
        _cleanup_free_ char *data = NULL;
        text[0] = 0;
        if (file_read(monitor->run_folder, VESSEL_REASON_FILE, 4096, &data, NULL, NULL) < 0)
                return;
        unlinkat(monitor->run_folder, VESSEL_REASON_FILE, 0);
        snprintf(text, size, "%.*s", (int)strcspn(data, "\n"), data);
}

static int read_pid(struct monitor *monitor, struct error *err)
{
        _cleanup_free_ char *text = NULL;
        int r = file_read(monitor->run_folder, "pid", 32, &text, NULL, err);
        if (r < 0)
                return r;
        monitor->pid = atoi(text);
        monitor->pidfd = monitor->pid > 0 ? (int)syscall(SYS_pidfd_open, monitor->pid, 0) : -1;
        if (monitor->pidfd >= 0)
                return 0;
        r = errno;
        monitor->pid = 0;
        return error_code(err, -r, "cannot watch the container's first process %s", text);
}

static int run(struct monitor *monitor, struct error *err)
{
        _cleanup_free_ char *log = text_format("%s/runtime.log", monitor->run_path);
        _cleanup_free_ char *bundle = text_format("%s/bundle", monitor->run_path),
                            *pid_file = text_format("%s/pid", monitor->run_path);
        /* By our descriptor, as it was bound: the whole path may be too long for a socket's address. */
        _cleanup_free_ char *console = text_format("/proc/%d/fd/%d/console", (int)getpid(), monitor->run_folder);
        if (!log || !bundle || !pid_file || !console)
                return error_memory(err);
        char *argv[20] = { (char *)monitor->runtime,
                           "--root",
                           (char *)monitor->containers,
                           "--log",
                           log,
                           "--log-format",
                           "json",
                           "--rootless",
                           monitor->rootless ? "true" : "false",
                           "run",
                           "--detach",
                           "--bundle",
                           bundle,
                           "--pid-file",
                           pid_file };
        int n = 15;
        if (monitor->tty) {
                argv[n++] = "--console-socket";
                argv[n++] = console;
        }
        argv[n] = (char *)monitor->id;
        pid_t pid = spawn(monitor, argv, monitor->container);
        if (pid < 0)
                return error_code(err, pid, "cannot start %s", monitor->runtime);
        test_point("monitor.runtime.spawned");
        if (wait_for(pid)) {
                runtime_error(monitor, err);
                return -EIO;
        }
        return read_pid(monitor, err);
}

int container_run(struct monitor *monitor, int *exit_code, struct error *err)
{
        *exit_code = 125;
        int r = streams_open(monitor, err);
        if (!r && (r = run(monitor, err)) < 0)
                *exit_code = exit_code_of_failure(err->text);
        if (!r && monitor->tty)
                r = streams_take_terminal(monitor, err);
        for (int i = 0; i < 3; i++) {
                if (monitor->container[i] >= 0)
                        close(monitor->container[i]);
                monitor->container[i] = -1;
        }
        if (r < 0) {
                struct error ignored;
                streams_close(monitor);
                if (monitor->pidfd >= 0)
                        close(monitor->pidfd);
                monitor->pidfd = -1;
                monitor->pid = 0;
                container_runtime(monitor, "delete", "--force", &ignored);
        }
        return r;
}

static char *read_cgroup(const struct monitor *monitor, const char *mount, const char *file)
{
        _cleanup_free_ char *path = text_format("%s%s/%s", mount, monitor->cgroup, file);
        char *data = NULL;
        return path && !file_read(AT_FDCWD, path, 4096, &data, NULL, NULL) ? data : NULL;
}

static uint64_t read_oom_kills(const struct monitor *monitor, const char *mount, const char *file)
{
        _cleanup_free_ char *data = read_cgroup(monitor, mount, file);
        const char *line = data ? strstr(data, "oom_kill ") : NULL;
        return line ? strtoull(line + strlen("oom_kill "), NULL, 10) : 0;
}

uint64_t container_oom_kills(const struct monitor *monitor)
{
        return read_oom_kills(monitor, "/sys/fs/cgroup/memory", "memory.oom_control") +
               read_oom_kills(monitor, "/sys/fs/cgroup", "memory.events") +
               read_oom_kills(monitor, "/sys/fs/cgroup/unified", "memory.events");
}

uint64_t container_memory_limit(const struct monitor *monitor)
{
        static const char *const files[][2] = {
                { "/sys/fs/cgroup/memory", "memory.limit_in_bytes" },
                { "/sys/fs/cgroup", "memory.max" },
                { "/sys/fs/cgroup/unified", "memory.max" },
        };
        const uint64_t without = INT64_MAX / 2; /* v1 has no word for it, only numbers near the largest; v2 has "max" */
        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                _cleanup_free_ char *data = read_cgroup(monitor, files[i][0], files[i][1]);
                uint64_t limit = data ? strtoull(data, NULL, 10) : 0;
                if (limit && limit < without)
                        return limit;
        }
        return UINT64_MAX;
}
