/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshots for tests, where there is nothing but a shell.
 *
 *   save take CONTROL FOLDER [watch|changes]   a snapshot by the control socket into a new folder; prints the answer
 *   save ask CONTROL COMMAND                   one command without arguments; prints the answer
 *   save time PROGRAM ARGUMENTS…               runs onggi-vmm, and prints on standard error how many microseconds passed until it
 *                                              said that its guest runs
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what)
{
        perror(what);
        exit(1);
}

static int connect_to(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                fail(path);
        return fd;
}

static int ask(int fd, const char *line, const int *files)
{
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(2 * sizeof(int))];
        } ancillary = { .header = { CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
        struct iovec bytes = { (char *)line, strlen(line) };
        struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1 };
        if (files) {
                memcpy(CMSG_DATA(&ancillary.header), files, 2 * sizeof(int));
                message.msg_control = &ancillary;
                message.msg_controllen = sizeof(ancillary);
        }
        char answer[4096];
        if (sendmsg(fd, &message, 0) < 0)
                fail("sendmsg");
        ssize_t n = read(fd, answer, sizeof(answer));
        if (n <= 0)
                fail("no answer");
        (void)!write(STDOUT_FILENO, answer, (size_t)n);
        return !memmem(answer, (size_t)n, "\"ok\"", 4);
}

static int take(const char *control, const char *folder, const char *kind)
{
        char path[256], line[256];
        int files[2];
        mkdir(folder, 0700);
        for (int i = 0; i < 2; i++) {
                snprintf(path, sizeof(path), "%s/%s", folder, i ? "memory" : "state");
                files[i] = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
                if (files[i] < 0)
                        fail(path);
        }
        snprintf(line, sizeof(line),
                 kind ? "{\"command\": \"snapshot\", \"%s\": true}\n" : "{\"command\": \"snapshot\"}\n", kind);
        return ask(connect_to(control), line, files);
}

static long long microseconds(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static int time_program(char **arguments)
{
        int report[2], status;
        char text[16], byte;
        char *with[64] = { arguments[0], "--report", text };
        for (int i = 1; arguments[i] && i < 60; i++)
                with[i + 2] = arguments[i];
        if (pipe(report) < 0)
                fail("pipe");
        snprintf(text, sizeof(text), "%d", report[1]);
        long long start = microseconds();
        pid_t child = fork();
        if (!child) {
                close(report[0]);
                execvp(with[0], with);
                fail(with[0]);
        }
        close(report[1]);
        if (read(report[0], &byte, 1) == 1)
                fprintf(stderr, "runs after %lld us\n", microseconds() - start);
        while (read(report[0], &byte, 1) == 1)
                ;
        waitpid(child, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int main(int argc, char **argv)
{
        char line[256];
        if (argc >= 4 && !strcmp(argv[1], "take"))
                return take(argv[2], argv[3], argv[4]);
        if (argc == 4 && !strcmp(argv[1], "ask")) {
                snprintf(line, sizeof(line), "{\"command\": \"%s\"}\n", argv[3]);
                return ask(connect_to(argv[2]), line, NULL);
        }
        if (argc >= 3 && !strcmp(argv[1], "time"))
                return time_program(argv + 2);
        fprintf(stderr, "usage: see the source\n");
        return 2;
}
