/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest/guest_socket.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BACKLOG 64

int guest_socket_connect(unsigned port, struct error *err)
{
        struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port };
        _cleanup_close_ int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return error_errno(err, "cannot connect to port %u of the host", port);
        return TAKE_FD(fd);
}

int guest_socket_listen(unsigned port, struct error *err)
{
        struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port };
        _cleanup_close_ int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0)
                return error_errno(err, "cannot listen at vsock port %u", port);
        return TAKE_FD(fd);
}

int guest_socket_accept(int listener)
{
        for (;;) {
                struct sockaddr_vm peer;
                socklen_t length = sizeof(peer);
                int fd = accept4(listener, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (fd < 0)
                        return -errno;
                if (peer.svm_cid == VMADDR_CID_HOST)
                        return fd;
                close(fd);
        }
}
