/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

int message_send(int fd, enum message_type type, const int32_t *numbers, size_t number_count, const void *data,
                 size_t length)
{
        unsigned char letter = (unsigned char)type;
        struct iovec parts[] = { { &letter, 1 },
                                 { (void *)numbers, number_count * sizeof(*numbers) },
                                 { (void *)data, length } };
        struct msghdr packet = { .msg_iov = parts, .msg_iovlen = 3 };
        ssize_t n;
        do
                n = sendmsg(fd, &packet, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : 0;
}

int message_receive(int fd, struct message *message)
{
        unsigned char letter;
        struct iovec parts[] = { { &letter, 1 }, { message->data, sizeof(message->data) - 1 } };
        struct msghdr packet = { .msg_iov = parts, .msg_iovlen = 2 };
        ssize_t n;
        do
                n = recvmsg(fd, &packet, 0);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == ECONNRESET ? 0 : -errno;
        if (!n)
                return 0;
        if (packet.msg_flags & MSG_TRUNC)
                return -EMSGSIZE;
        message->type = (enum message_type)letter;
        message->length = (size_t)n - 1;
        message->data[message->length] = 0;
        return 1;
}

int32_t message_number(const struct message *message, size_t i)
{
        int32_t number = 0;
        if (message->length >= (i + 1) * sizeof(number))
                memcpy(&number, message->data + i * sizeof(number), sizeof(number));
        return number;
}

const char *message_text(const struct message *message, size_t numbers)
{
        return message->length > numbers * sizeof(int32_t) ? message->data + numbers * sizeof(int32_t) : "";
}
