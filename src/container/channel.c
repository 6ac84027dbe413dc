/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/channel.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

int channel_open(int ends[2], struct error *err)
{
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return error_errno(err, "cannot make a channel to the container's process");
        return 0;
}

static size_t fill(struct message *message, enum message_type type, int code, const char *text)
{
        message->type = type;
        message->code = code;
        size_t length = text ? strnlen(text, sizeof(message->text) - 1) : 0;
        if (length)
                memcpy(message->text, text, length);
        message->text[length] = 0;
        return offsetof(struct message, text) + length + 1;
}

int channel_send(int channel, enum message_type type, int code, const char *text, int fd)
{
        struct message message;
        struct iovec part = { .iov_base = &message, .iov_len = fill(&message, type, code, text) };
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { 0 };
        struct msghdr envelope = { .msg_iov = &part, .msg_iovlen = 1 };
        if (fd >= 0) {
                envelope.msg_control = &control;
                envelope.msg_controllen = sizeof(control.space);
                control.header.cmsg_level = SOL_SOCKET;
                control.header.cmsg_type = SCM_RIGHTS;
                control.header.cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
        }
        ssize_t n;
        do
                n = sendmsg(channel, &envelope, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : 0;
}

int channel_receive(int channel, struct message *message, int *fd, struct error *err)
{
        struct iovec part = { .iov_base = message, .iov_len = sizeof(*message) };
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control;
        struct msghdr envelope = {
                .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.space)
        };
        ssize_t n;
        do
                n = recvmsg(channel, &envelope, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);

        _cleanup_close_ int received = -1;
        struct cmsghdr *header = n < 0 ? NULL : CMSG_FIRSTHDR(&envelope);
        if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int)))
                memcpy(&received, CMSG_DATA(header), sizeof(int));
        if (fd)
                *fd = TAKE_FD(received);

        if (!n || (n < 0 && errno == ECONNRESET)) {
                *message = (struct message){ .type = MESSAGE_END };
                return 0;
        }
        if (n < 0)
                return error_errno(err, "cannot read from the container's process");
        if ((size_t)n < offsetof(struct message, text) + 1)
                return error_set(err, -EPROTO, "a message of the container's process is cut short");
        message->text[(size_t)n - offsetof(struct message, text) - 1] = 0;
        return 0;
}

int channel_wait(int channel, struct error *err)
{
        struct message message;
        int r = channel_receive(channel, &message, NULL, err);
        if (r < 0)
                return r;
        return message.type == MESSAGE_CONTINUE ? 0 : error_set(err, -ECANCELED, "the runtime has ended");
}

void channel_report(int fd, const struct error *err)
{
        struct message message;
        size_t length = fill(&message, MESSAGE_ERROR, err->code, err->text);
        while (write(fd, &message, length) < 0 && errno == EINTR)
                ;
}

int channel_result(int fd, struct error *err)
{
        struct message message;
        ssize_t n;
        do
                n = read(fd, &message, sizeof(message));
        while (n < 0 && errno == EINTR);
        if (!n || (n < 0 && errno == ECONNRESET))
                return 0;
        if (n < 0)
                return error_errno(err, "cannot read the result of the container's process");
        if ((size_t)n <= offsetof(struct message, text) || message.type != MESSAGE_ERROR || message.code >= 0)
                return error_set(err, -EPROTO, "the container's process sent something that is not an error");
        message.text[(size_t)n - offsetof(struct message, text) - 1] = 0;
        return error_set(err, message.code, "%s", message.text);
}
