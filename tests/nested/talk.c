/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ends of streams for tests, where there is no socat: vsock in a guest, Unix sockets in its host.
 *
 *   talk vsock-echo PORT COUNT        answers COUNT connections, one after the other, with what they send
 *   talk unix-echo PATH COUNT
 *   talk vsock-send CID:PORT          standard input to the connection, what comes back to standard output
 *   talk unix-send PATH [FIRST-LINE]
 */
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

union address {
        struct sockaddr any;
        struct sockaddr_vm vm;
        struct sockaddr_un un;
};

static void fail(const char *what)
{
        perror(what);
        exit(1);
}

static socklen_t parse(const char *text, int vsock, union address *address)
{
        memset(address, 0, sizeof(*address));
        if (!vsock) {
                address->un.sun_family = AF_UNIX;
                strncpy(address->un.sun_path, text, sizeof(address->un.sun_path) - 1);
                return sizeof(address->un);
        }
        const char *port = strchr(text, ':');
        address->vm.svm_family = AF_VSOCK;
        address->vm.svm_cid = port ? (unsigned)atoi(text) : VMADDR_CID_ANY;
        address->vm.svm_port = (unsigned)atoi(port ? port + 1 : text);
        return sizeof(address->vm);
}

static void copy(int from, int to)
{
        char bytes[65536];
        ssize_t n;
        while ((n = read(from, bytes, sizeof(bytes))) > 0)
                for (ssize_t done = 0; done < n;) {
                        ssize_t written = write(to, bytes + done, (size_t)(n - done));
                        if (written < 0)
                                fail("write");
                        done += written;
                }
        if (n < 0)
                fail("read");
}

static void echo(int listener, int count)
{
        while (count--) {
                int connection = accept(listener, NULL, NULL);
                if (connection < 0)
                        fail("accept");
                copy(connection, connection);
                close(connection);
        }
}

static void talk(int connection, const char *first_line)
{
        if (first_line)
                dprintf(connection, "%s\n", first_line);
        if (!fork()) {
                copy(STDIN_FILENO, connection);
                shutdown(connection, SHUT_WR);
                _exit(0);
        }
        copy(connection, STDOUT_FILENO);
        wait(NULL);
}

int main(int argc, char **argv)
{
        if (argc < 3)
                return 2;
        union address address;
        int vsock = !strncmp(argv[1], "vsock", 5);
        socklen_t length = parse(argv[2], vsock, &address);
        int fd = socket(vsock ? AF_VSOCK : AF_UNIX, SOCK_STREAM, 0);
        if (fd < 0)
                fail("socket");
        if (strstr(argv[1], "-echo")) {
                if (bind(fd, &address.any, length) < 0 || listen(fd, 8) < 0)
                        fail("listen");
                echo(fd, atoi(argv[3]));
        } else {
                if (connect(fd, &address.any, length) < 0)
                        fail("connect");
                talk(fd, argv[3]);
        }
        return 0;
}
