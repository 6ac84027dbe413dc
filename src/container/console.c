/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/console.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

/* The same in every C library, and not in glibc's headers. */
#ifndef DEVPTS_SUPER_MAGIC
#define DEVPTS_SUPER_MAGIC 0x1cd1
#endif

int console_open(int root, const struct program *program, int *master, int *slave, struct error *err)
{
        _cleanup_close_ int fd = open_in_root(root, "dev/pts/ptmx", O_RDWR | O_NOCTTY, 0, err);
        if (fd < 0)
                return error_prefix(err, "a terminal needs devpts mounted on /dev/pts");
        struct statfs fs;
        if (fstatfs(fd, &fs) < 0 || fs.f_type != DEVPTS_SUPER_MAGIC)
                return error_set(err, -EINVAL,
                                 "a terminal needs devpts mounted on /dev/pts; what is there is no devpts");
        int unlocked = 0;
        if (ioctl(fd, TIOCSPTLCK, &unlocked) < 0)
                return error_errno(err, "cannot unlock the terminal");
        /* By the master and not by the name in dev/pts, which could by then be another one. */
        _cleanup_close_ int peer = ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (peer < 0)
                return error_errno(err, "cannot open the terminal");
        if (program->rows || program->columns) {
                struct winsize size = { .ws_row = program->rows, .ws_col = program->columns };
                if (ioctl(peer, TIOCSWINSZ, &size) < 0)
                        return error_errno(err, "cannot set the size of the terminal");
        }
        if (fchown(peer, program->uid, (gid_t)-1) < 0)
                return error_errno(err, "cannot give the terminal to the user %u", program->uid);
        *master = TAKE_FD(fd);
        *slave = TAKE_FD(peer);
        return 0;
}

int console_connect(const char *path, struct error *err)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char indirect[64];
        _cleanup_close_ int target = -1;
        if (strlen(path) >= sizeof(address.sun_path)) {
                /* A longer path than a socket's address holds is reached by its descriptor. */
                target = open(path, O_PATH | O_CLOEXEC);
                if (target < 0)
                        return error_errno(err, "cannot open the console socket %s", path);
                snprintf(indirect, sizeof(indirect), "/proc/self/fd/%d", target);
                path = indirect;
        }
        memcpy(address.sun_path, path, strlen(path) + 1);
        _cleanup_close_ int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connection < 0 || connect(connection, (struct sockaddr *)&address, sizeof(address)) < 0)
                return error_errno(err, "cannot connect to the console socket %s", path);
        return TAKE_FD(connection);
}

int console_send(int connection, int master, struct error *err)
{
        unsigned number = 0;
        if (ioctl(master, TIOCGPTN, &number) < 0)
                return error_errno(err, "cannot name the terminal");
        char name[32];
        struct iovec part = { .iov_base = name,
                              .iov_len = (size_t)snprintf(name, sizeof(name), "/dev/pts/%u", number) };
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { .header = {
                              .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) } };
        memcpy(CMSG_DATA(&control.header), &master, sizeof(int));
        struct msghdr envelope = {
                .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.space)
        };
        ssize_t n;
        do
                n = sendmsg(connection, &envelope, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n < 0 ? error_errno(err, "cannot send the terminal to the console socket") : 0;
}

int console_take(int slave, struct error *err)
{
        if (ioctl(slave, TIOCSCTTY, 0) < 0)
                return error_errno(err, "cannot make the terminal the controlling one");
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
                if (dup2(slave, fd) < 0)
                        return error_errno(err, "cannot use the terminal as standard input and output");
        return 0;
}
