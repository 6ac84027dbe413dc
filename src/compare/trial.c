/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/process.h"
#include "compare/comparison.h"

#define SECOND 1000000000ULL

static uint64_t now(void)
{
        struct timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

/* Takes what is there; what has no room goes. Returns false at its end. */
static bool take(int fd, char *output, size_t size)
{
        char data[4096];
        ssize_t n = read(fd, data, sizeof(data));
        if (n < 0)
                return errno == EINTR || errno == EAGAIN;
        size_t length = strlen(output), room = size - 1 - length;
        memcpy(output + length, data, (size_t)n < room ? (size_t)n : room);
        output[length + ((size_t)n < room ? (size_t)n : room)] = 0;
        return n > 0;
}

/* The program's output up to its end, or to the time-out. */
static int follow(const struct comparison *comparison, int output, uint64_t begin, bool only_first, struct trial *trial,
                  struct error *err)
{
        for (;;) {
                uint64_t spent = now() - begin, timeout = comparison->settings->timeout;
                if (spent >= timeout)
                        return error_set(err, -ETIMEDOUT, "it did not end within %llu s",
                                         (unsigned long long)(timeout / SECOND));
                struct pollfd polls[] = { { .fd = output, .events = POLLIN },
                                          { .fd = comparison->signals, .events = POLLIN } };
                if (poll(polls, ARRAY_SIZE(polls), (int)((timeout - spent) / 1000000) + 1) < 0 && errno != EINTR)
                        return error_errno(err, "cannot wait for output");
                if (polls[1].revents)
                        return error_set(err, -EINTR, "interrupted");
                if (!polls[0].revents)
                        continue;
                if (!trial->first_output && trial->output[0] == 0 && polls[0].revents & POLLIN)
                        trial->first_output = now() - begin;
                if (!take(output, trial->output, sizeof(trial->output)) || (only_first && trial->output[0]))
                        return 0;
        }
}

static double seconds_of(const struct timeval *time)
{
        return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static void reap(pid_t pid, struct trial *trial)
{
        struct rusage usage = { 0 };
        int status = 0;
        while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR)
                ;
        trial->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        trial->cpu = seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime);
}

static int run(const struct comparison *comparison, char *const *argv, bool only_first, struct trial *trial,
               struct error *err)
{
        int ends[2];
        *trial = (struct trial){ 0 };
        _cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC),
                            errors = memfd_create("errors", MFD_CLOEXEC);
        if (null < 0 || errors < 0 || pipe2(ends, O_CLOEXEC) < 0)
                return error_errno(err, "cannot start %s", argv[0]);
        _cleanup_close_ int in = ends[0], out = ends[1];
        uint64_t begin = now();
        pid_t pid;
        int r = process_spawn(argv, (int[]){ null, out, errors }, &pid, err);
        if (r < 0)
                return r;
        close(TAKE_FD(out));
        r = follow(comparison, in, begin, only_first, trial, err);
        if (r < 0 || (only_first && trial->output[0]))
                kill(pid, SIGKILL);
        reap(pid, trial);
        trial->end = now() - begin;
        /* Nothing came but the end. */
        if (!trial->output[0])
                trial->first_output = 0;
        ssize_t n = pread(errors, trial->errors, sizeof(trial->errors) - 1, 0);
        trial->errors[n < 0 ? 0 : n] = 0;
        return r;
}

int trial_program(const struct comparison *comparison, char *const *argv, struct trial *trial, struct error *err)
{
        return run(comparison, argv, false, trial, err);
}

static int whole(const struct comparison *comparison, char *const *words, char ***argv)
{
        const struct host *host = comparison->settings->host;
        char *const begin[] = { comparison->program, "--root", host->root, "--state", host->state, NULL };
        int r = 0;
        for (char *const *word = begin; !r && *word; word++)
                r = list_append(argv, *word);
        for (; !r && *words; words++)
                r = list_append(argv, *words);
        return r;
}

int trial_run(const struct comparison *comparison, char *const *words, struct trial *trial, struct error *err)
{
        _cleanup_list_ char **argv = NULL;
        if (whole(comparison, words, &argv) < 0)
                return error_memory(err);
        return trial_program(comparison, argv, trial, err);
}

int trial_output(const struct comparison *comparison, char *const *words, struct trial *trial, struct error *err)
{
        _cleanup_list_ char **argv = NULL;
        if (whole(comparison, words, &argv) < 0)
                return error_memory(err);
        return run(comparison, argv, true, trial, err);
}

int trial_ok(const struct comparison *comparison, char *const *words, struct trial *trial, struct error *err)
{
        int r = trial_run(comparison, words, trial, err);
        if (r < 0 || !trial->exit_code)
                return r;
        char *reason = trial->errors;
        reason[strcspn(reason, "\n")] = 0;
        if (text_starts(reason, "onggi: "))
                reason += strlen("onggi: ");
        return error_set(err, -EIO, "%s (exit status %d)", *reason ? reason : "it failed without a word",
                         trial->exit_code);
}

int companion_start(const struct comparison *comparison, char *const *words, struct companion *companion,
                    struct error *err)
{
        _cleanup_list_ char **argv = NULL;
        int to[2], from[2];
        if (whole(comparison, words, &argv) < 0)
                return error_memory(err);
        if (pipe2(to, O_CLOEXEC) < 0)
                return error_errno(err, "cannot make a pipe");
        _cleanup_close_ int their_input = to[0], input = to[1];
        if (pipe2(from, O_CLOEXEC) < 0)
                return error_errno(err, "cannot make a pipe");
        _cleanup_close_ int output = from[0], their_output = from[1];
        int r = process_spawn(argv, (int[]){ their_input, their_output, -1 }, &companion->pid, err);
        if (r < 0)
                return r;
        companion->input = TAKE_FD(input);
        companion->output = TAKE_FD(output);
        return 0;
}

int companion_end(struct companion *companion, char *output, size_t size, struct error *err)
{
        int code = 1;
        output[0] = 0;
        close(companion->input);
        while (take(companion->output, output, size))
                ;
        close(companion->output);
        int r = process_wait(companion->pid, &code);
        if (r < 0)
                return error_code(err, r, "cannot wait for the neighbour");
        return code ? error_set(err, -EIO, "the neighbour failed with exit status %d", code) : 0;
}
