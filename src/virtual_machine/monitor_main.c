/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * onggi-vm-monitor VMM REPORT TALK CONSOLE READY FINISH…: stays with one virtual machine. VMM is the process, a child; REPORT
 * and TALK are pipes from it, CONSOLE a socket to its standard input and output, READY a pipe to the command that started it,
 * FINISH the command to become when it has ended.
 *
 * The working directory is the machine's run folder. Written there: `report`, the last line of report.h; `log`, the newest
 * of what onggi-vmm said on standard error; `ended.json`, how the process ended. The starter is sent "running" when the guest
 * runs, or what onggi-vmm said before it ended. Small, and static: there is one for each machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "virtual_machine/console_relay.h"

#define EXIT_OURS 125
#define LOG_ROOM  (16 * 1024) /* bytes of the log that are kept, and as many again at most */

struct monitor {
        pid_t vmm;
        int pidfd, report, talk, ready;
        int log;
        off_t log_length;
        char line[4096]; /* the report's line that comes in */
        size_t length;
        struct console_relay console;
        char said[512]; /* the last line of the talk, for whoever waits for the start */
};

static void tell_starter(struct monitor *monitor, const char *text)
{
        if (monitor->ready < 0)
                return;
        (void)!write(monitor->ready, text, strlen(text));
        close(monitor->ready);
        monitor->ready = -1;
}

static void keep_report(const struct monitor *monitor)
{
        int fd = open("report", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0)
                return;
        (void)!write(fd, monitor->line, monitor->length);
        close(fd);
}

/* Lines longer than there is room for are none of ours. */
static void report_came(struct monitor *monitor)
{
        ssize_t n = read(monitor->report, monitor->line + monitor->length, sizeof(monitor->line) - monitor->length);
        if (n <= 0) {
                close(monitor->report);
                monitor->report = -1;
                return;
        }
        monitor->length += (size_t)n;
        for (char *end; (end = memchr(monitor->line, '\n', monitor->length));) {
                size_t rest = monitor->length - (size_t)(end + 1 - monitor->line);
                monitor->length = (size_t)(end - monitor->line);
                keep_report(monitor);
                if (memmem(monitor->line, monitor->length, "\"running\"", strlen("\"running\"")))
                        tell_starter(monitor, "running");
                memmove(monitor->line, end + 1, rest);
                monitor->length = rest;
        }
        if (monitor->length == sizeof(monitor->line))
                monitor->length = 0;
}

/* A log that has grown to twice its room starts again with its newer half. */
static void turn_log(struct monitor *monitor)
{
        static char half[LOG_ROOM];
        ssize_t n = pread(monitor->log, half, sizeof(half), monitor->log_length - LOG_ROOM);
        if (n < 0 || ftruncate(monitor->log, 0) < 0)
                return;
        monitor->log_length = pwrite(monitor->log, half, (size_t)n, 0);
}

static void remember_line(struct monitor *monitor, const char *bytes, size_t length)
{
        while (length && bytes[length - 1] == '\n')
                length--;
        const char *start = memrchr(bytes, '\n', length);
        start = start ? start + 1 : bytes;
        if (bytes + length > start)
                snprintf(monitor->said, sizeof(monitor->said), "%.*s", (int)(bytes + length - start), start);
}

static void talk_came(struct monitor *monitor)
{
        char bytes[4096];
        ssize_t n = read(monitor->talk, bytes, sizeof(bytes));
        if (n <= 0) {
                close(monitor->talk);
                monitor->talk = -1;
                return;
        }
        remember_line(monitor, bytes, (size_t)n);
        ssize_t written = pwrite(monitor->log, bytes, (size_t)n, monitor->log_length);
        monitor->log_length += written > 0 ? written : 0;
        if (monitor->log_length > 2 * LOG_ROOM)
                turn_log(monitor);
}

/* What it left in the pipes is read to their ends, unless a child of its own still holds them. */
static void drain(struct monitor *monitor)
{
        for (;;) {
                struct pollfd pipes[] = { { monitor->report, POLLIN, 0 }, { monitor->talk, POLLIN, 0 } };
                if (poll(pipes, 2, 0) <= 0)
                        return;
                if (pipes[0].revents)
                        report_came(monitor);
                if (pipes[1].revents)
                        talk_came(monitor);
        }
}

static void wait_for_end(struct monitor *monitor)
{
        struct pollfd fds[3 + CONSOLE_FDS];
        do {
                fds[0] = (struct pollfd){ monitor->pidfd, POLLIN, 0 };
                fds[1] = (struct pollfd){ monitor->report, POLLIN, 0 };
                fds[2] = (struct pollfd){ monitor->talk, POLLIN, 0 };
                console_relay_poll(&monitor->console, fds + 3);
                if (poll(fds, 3 + CONSOLE_FDS, -1) < 0) {
                        if (errno != EINTR)
                                return;
                        continue;
                }
                if (fds[1].revents)
                        report_came(monitor);
                if (fds[2].revents)
                        talk_came(monitor);
                console_relay_serve(&monitor->console, fds + 3);
        } while (!fds[0].revents);
}

static void record_end(pid_t vmm)
{
        int status = 0;
        struct timespec now;
        struct tm time;
        char text[64];
        while (waitpid(vmm, &status, 0) < 0 && errno == EINTR)
                ;
        clock_gettime(CLOCK_REALTIME, &now);
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &time));
        FILE *file = fopen("ended.json.new", "we");
        if (!file)
                return;
        fprintf(file, "{\"exit_code\": %d, \"signal\": %d, \"finished\": \"%s.%09ldZ\"}\n",
                WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
                WIFSIGNALED(status) ? WTERMSIG(status) : 0, text, now.tv_nsec);
        if (!fclose(file))
                rename("ended.json.new", "ended.json");
}

int main(int argc, char **argv)
{
        if (argc < 7) {
                dprintf(STDERR_FILENO, "usage: onggi-vm-monitor VMM REPORT TALK CONSOLE READY FINISH…\n");
                return EXIT_OURS;
        }
        static struct monitor monitor; /* too large for a stack */
        monitor.vmm = atoi(argv[1]);
        monitor.report = atoi(argv[2]);
        monitor.talk = atoi(argv[3]);
        monitor.ready = atoi(argv[5]);
        signal(SIGPIPE, SIG_IGN);
        monitor.pidfd = pidfd_open(monitor.vmm, 0);
        monitor.log = open("log", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (console_relay_open(&monitor.console, atoi(argv[4]), "console") < 0)
                kill(monitor.vmm, SIGKILL); /* nobody could reach it */
        if (monitor.pidfd >= 0)
                wait_for_end(&monitor);
        drain(&monitor);
        console_relay_close(&monitor.console);
        record_end(monitor.vmm);
        /* The starter finishes what never ran: two would be at it. */
        bool ran = monitor.ready < 0;
        tell_starter(&monitor, monitor.said[0] ? monitor.said : "onggi-vmm ended without a word");
        if (!ran)
                return EXIT_OURS;
        execv(argv[6], argv + 6);
        return EXIT_OURS;
}
