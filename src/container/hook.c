/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "container/log.h"

static const char *const names[HOOK_POINTS] = {
        [HOOK_PRESTART] = "prestart",
        [HOOK_CREATE_RUNTIME] = "createRuntime",
        [HOOK_CREATE_CONTAINER] = "createContainer",
        [HOOK_START_CONTAINER] = "startContainer",
        [HOOK_POSTSTART] = "poststart",
        [HOOK_POSTSTOP] = "poststop",
};

const char *hook_point_name(enum hook_point point)
{
        return names[point];
}

static int parse_one(const struct json_at *at, struct hook *hook)
{
        if (!json_is_object(at->value))
                return json_misfit(at, "must be an object");
        int64_t timeout = 0;
        json_need_string(at, "path", &hook->path);
        json_get_strings(at, "args", &hook->args);
        json_get_strings(at, "env", &hook->env);
        json_get_i64(at, "timeout", 1, INT32_MAX / 1000, &timeout);
        if (json_failed(at))
                return json_failed(at);
        if (hook->path[0] != '/')
                return json_misfit(at, "has the path \"%s\", which must be absolute", hook->path);
        if ((!hook->args || !hook->args[0]) && list_append(&hook->args, hook->path) < 0)
                return at->reader->code = error_memory(at->reader->err);
        hook->timeout = (int)timeout;
        return 0;
}

int hooks_parse(const struct json_at *at, struct hooks *hooks)
{
        for (int point = 0; point < HOOK_POINTS; point++) {
                struct json_at list = json_get_array(at, names[point]);
                size_t count = json_count(&list);
                if (!count)
                        continue;
                hooks->lists[point] = calloc(count, sizeof(struct hook));
                if (!hooks->lists[point])
                        return at->reader->code = error_memory(at->reader->err);
                hooks->counts[point] = count;
                for (size_t i = 0; i < count; i++) {
                        struct json_at element = json_element(&list, i);
                        if (parse_one(&element, &hooks->lists[point][i]) < 0)
                                return json_failed(at);
                }
        }
        return json_failed(at);
}

void hooks_free(struct hooks *hooks)
{
        for (int point = 0; point < HOOK_POINTS; point++) {
                for (size_t i = 0; i < hooks->counts[point]; i++) {
                        list_free(hooks->lists[point][i].args);
                        list_free(hooks->lists[point][i].env);
                }
                free(hooks->lists[point]);
        }
        *hooks = (struct hooks){ 0 };
}

/* The state as a file: a hook may read it as slowly as it likes, or not at all, and nobody waits for a full pipe. */
static int state_file(const json_t *state, struct error *err)
{
        _cleanup_free_ char *data = json_dumps(state, JSON_COMPACT);
        if (!data)
                return error_memory(err);
        _cleanup_close_ int fd = memfd_create("state", MFD_CLOEXEC);
        if (fd < 0)
                return error_errno(err, "cannot hold the state for hooks");
        int r = write_all(fd, data, strlen(data));
        if (r < 0)
                return error_code(err, r, "cannot hold the state for hooks");
        return TAKE_FD(fd);
}

static void __attribute__((noreturn)) become(const struct hook *hook, int input, int output)
{
        char *nothing[] = { NULL };
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
                _exit(126);
        execve(hook->path, hook->args, hook->env ? hook->env : nothing);
        dprintf(STDERR_FILENO, "%s", strerror(errno));
        _exit(127);
}

static int64_t milliseconds_now(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct said {
        char text[400];
        size_t length;
};

/* Returns what read(2) does. The first bytes are kept for an error. */
static ssize_t listen_once(int output, struct said *said)
{
        char chunk[512];
        ssize_t n = read(output, chunk, sizeof(chunk));
        size_t room = sizeof(said->text) - 1 - said->length;
        size_t kept = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room;
        memcpy(said->text + said->length, chunk, kept);
        said->length += kept;
        return n;
}

/*
 * Reads what the hook writes until it ends, and then no more than an error quotes: a process that it left behind may
 * write for ever. Returns -ETIMEDOUT past the deadline.
 */
static int follow(int pidfd, int output, int timeout, struct said *said)
{
        int64_t deadline = milliseconds_now() + timeout * 1000LL;
        for (;;) {
                struct pollfd waits[2] = { { .fd = pidfd, .events = POLLIN }, { .fd = output, .events = POLLIN } };
                int64_t left = timeout ? deadline - milliseconds_now() : -1;
                if (timeout && left <= 0)
                        return -ETIMEDOUT;
                if (poll(waits, 2, (int)left) < 0 && errno != EINTR)
                        return -errno;
                if (waits[0].revents)
                        break;
                if (waits[1].revents && listen_once(output, said) == 0)
                        output = -1;
        }
        while (output >= 0 && said->length < sizeof(said->text) - 1 && listen_once(output, said) > 0)
                continue;
        return 0;
}

static int run_one(const struct hook *hook, int state, struct error *err)
{
        int ends[2];
        if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
                return error_errno(err, "cannot start %s", hook->path);
        _cleanup_close_ int output = ends[0], input = ends[1];
        fcntl(input, F_SETFL, 0);
        lseek(state, 0, SEEK_SET);

        pid_t pid = fork();
        if (pid < 0)
                return error_errno(err, "cannot start %s", hook->path);
        if (!pid)
                become(hook, state, input);
        close(TAKE_FD(input));

        _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        struct said heard = { 0 };
        char *said = heard.text;
        int r = pidfd < 0 ? -errno : follow(pidfd, output, hook->timeout, &heard);
        if (r < 0)
                kill(pid, SIGKILL);
        int status = 0;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        if (r == -ETIMEDOUT)
                return error_set(err, r, "%s did not end within its %d seconds", hook->path, hook->timeout);
        if (r < 0)
                return error_code(err, r, "cannot follow %s", hook->path);
        if (!status)
                return 0;

        said[strcspn(said, "\n")] = 0;
        const char *colon = *said ? ": " : "";
        if (WIFSIGNALED(status))
                return error_set(err, -ECANCELED, "%s was ended by signal %d%s%s", hook->path, WTERMSIG(status), colon,
                                 said);
        return error_set(err, -ECANCELED, "%s ended with status %d%s%s", hook->path, WEXITSTATUS(status), colon, said);
}

int hooks_run(const struct hooks *hooks, enum hook_point point, const json_t *state, struct error *err)
{
        if (!hooks->counts[point])
                return 0;
        _cleanup_close_ int file = state_file(state, err);
        if (file < 0)
                return file;
        for (size_t i = 0; i < hooks->counts[point]; i++) {
                struct error own = { 0 };
                int r = run_one(&hooks->lists[point][i], file, &own);
                if (r >= 0)
                        continue;
                if (point != HOOK_POSTSTOP)
                        return error_set(err, r, "%s hook %zu: %s", names[point], i, own.text);
                log_write(LOG_LEVEL_WARNING, "%s hook %zu: %s", names[point], i, own.text);
        }
        return 0;
}
