/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Times commands as their caller sees them: from before posix_spawn() until the child was waited for.
 *
 * usage: stopwatch ROUNDS < plan > samples
 *
 * The plan is one step a line, its fields separated by tabs, and is gone through ROUNDS times, so commands that are to be
 * compared take turns and the machine's noise hits all of them alike:
 *
 *   time LABEL PROGRAM ARGUMENT...   prints "LABEL nanoseconds KiB", the latter the child's peak resident memory
 *   do   -     PROGRAM ARGUMENT...   runs it without timing
 *   gone -     FILE                  waits until the process whose id FILE holds has ended
 *
 * Every command must succeed: the first one that does not ends the measurement with status 1, its own output on stderr.
 * vfork() semantics of posix_spawn() keep the cost of starting a child independent of this program's size.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_STEPS  256
#define MAX_FIELDS 64

struct step {
        char *fields[MAX_FIELDS + 1]; /* kind, label, program, arguments, NULL */
};

static int64_t nanoseconds(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Returns the number of steps, or -1 where the plan is longer than we accept. */
static int read_plan(struct step steps[MAX_STEPS])
{
        int count = 0;
        char *line = NULL;
        size_t room = 0;
        while (getline(&line, &room, stdin) > 0) {
                line[strcspn(line, "\n")] = 0;
                if (count == MAX_STEPS)
                        return -1;
                char *rest = strdup(line), *field;
                int fields = 0;
                while ((field = strsep(&rest, "\t"))) {
                        if (fields == MAX_FIELDS)
                                return -1;
                        steps[count].fields[fields++] = field;
                }
                if (fields < 3)
                        return -1;
                count++;
        }
        free(line);
        return count;
}

static void wait_until_gone(const char *path)
{
        FILE *file = fopen(path, "re");
        int pid = 0;
        if (file && fscanf(file, "%d", &pid) != 1)
                pid = 0;
        if (file)
                fclose(file);
        int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
        if (fd < 0)
                return; /* it is gone already */
        struct pollfd ended = { .fd = fd, .events = POLLIN };
        while (poll(&ended, 1, -1) < 0 && errno == EINTR)
                ;
        close(fd);
}

static void show_output(int output)
{
        char text[4096];
        ssize_t n;
        lseek(output, 0, SEEK_SET);
        while ((n = read(output, text, sizeof(text))) > 0)
                if (write(STDERR_FILENO, text, (size_t)n) < 0)
                        return;
}

/* `output` receives the child's stdout and stderr. */
static bool run(struct step *step, int output, bool timed)
{
        posix_spawn_file_actions_t files;
        posix_spawn_file_actions_init(&files);
        posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO);
        if (ftruncate(output, 0) < 0)
                return false;

        pid_t pid;
        int status = -1;
        struct rusage usage;
        int64_t start = nanoseconds();
        int failed = posix_spawnp(&pid, step->fields[2], &files, NULL, step->fields + 2, environ);
        if (!failed)
                while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR)
                        ;
        int64_t end = nanoseconds();
        posix_spawn_file_actions_destroy(&files);

        if (failed || status) {
                fprintf(stderr, "stopwatch: %s ended with status %d: ", step->fields[2], failed ? failed : status);
                show_output(output);
                return false;
        }
        if (timed)
                printf("%s\t%lld\t%ld\n", step->fields[1], (long long)(end - start), usage.ru_maxrss);
        return true;
}

int main(int argc, char **argv)
{
        static struct step steps[MAX_STEPS];
        long rounds = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
        int count = read_plan(steps);
        if (rounds < 1 || count < 1) {
                fprintf(stderr, "usage: stopwatch ROUNDS < plan (at most %d steps of %d fields)\n", MAX_STEPS,
                        MAX_FIELDS);
                return 2;
        }
        int output = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (output < 0) {
                perror("stopwatch: /tmp");
                return 1;
        }
        for (long round = 0; round < rounds; round++) {
                for (int i = 0; i < count; i++) {
                        if (!strcmp(steps[i].fields[0], "gone"))
                                wait_until_gone(steps[i].fields[2]);
                        else if (!run(&steps[i], output, !strcmp(steps[i].fields[0], "time")))
                                return 1;
                }
        }
        return 0;
}
