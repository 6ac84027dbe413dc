/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/netlink.h"

#include <linux/netlink.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define FIRST_ROOM  ((size_t)64 * 1024)
#define ANSWER_ROOM ((size_t)64 * 1024)

struct netlink {
        struct mnl_socket *socket;
        char *queue;
        size_t used; /* up to the start of the message that is being built */
        size_t room;
        struct nlmsghdr *last; /* the message that is being built, NULL: none */
        uint32_t sequence;
        bool failed;
        alignas(struct nlmsghdr) char answers[ANSWER_ROOM];
};

int netlink_open(int bus, struct netlink **netlink, struct error *err)
{
        struct netlink *self = calloc(1, sizeof(*self));
        if (!self)
                return error_memory(err);
        self->queue = malloc(FIRST_ROOM);
        self->room = FIRST_ROOM;
        self->sequence = (uint32_t)time(NULL);
        self->socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
        if (!self->queue || !self->socket || mnl_socket_bind(self->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
                error_errno(err, "opening a netlink socket");
                netlink_close(self);
                return err ? err->code : -EIO;
        }
        /*
         * Explanations are a convenience of newer kernels: older ones refuse these options, and nothing is lost by
         * it.
         */
        mnl_socket_setsockopt(self->socket, NETLINK_EXT_ACK, &(int){ 1 }, sizeof(int));
        mnl_socket_setsockopt(self->socket, NETLINK_CAP_ACK, &(int){ 1 }, sizeof(int));
        *netlink = self;
        return 0;
}

void netlink_close(struct netlink *netlink)
{
        if (!netlink)
                return;
        if (netlink->socket)
                mnl_socket_close(netlink->socket);
        free(netlink->queue);
        free(netlink);
}

void netlink_discard(struct netlink *netlink)
{
        netlink->used = 0;
        netlink->last = NULL;
        netlink->failed = false;
}

static void finish_last(struct netlink *netlink)
{
        if (netlink->last)
                netlink->used += MNL_ALIGN(netlink->last->nlmsg_len);
        netlink->last = NULL;
}

static void make_room(struct netlink *netlink)
{
        if (netlink->room - netlink->used >= NETLINK_MESSAGE_ROOM)
                return;
        char *larger = realloc(netlink->queue, netlink->room * 2);
        if (larger) {
                netlink->queue = larger;
                netlink->room *= 2;
                return;
        }
        /* What follows is built over the start of the queue and never sent. */
        netlink->failed = true;
        netlink->used = 0;
}

struct nlmsghdr *netlink_request(struct netlink *netlink, uint16_t type, uint16_t flags)
{
        finish_last(netlink);
        make_room(netlink);
        netlink->last = mnl_nlmsg_put_header(netlink->queue + netlink->used);
        netlink->last->nlmsg_type = type;
        netlink->last->nlmsg_flags = NLM_F_REQUEST | flags;
        netlink->last->nlmsg_seq = ++netlink->sequence;
        return netlink->last;
}

static int find_explanation(const struct nlattr *attribute, void *data)
{
        const char **text = data;
        if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
                *text = mnl_attr_get_str(attribute);
        return MNL_CB_OK;
}

static const char *explanation(const struct nlmsghdr *message)
{
        const struct nlmsgerr *failure = mnl_nlmsg_get_payload(message);
        const char *text = NULL;
        unsigned skip = sizeof(*failure);
        if (!(message->nlmsg_flags & NLM_F_ACK_TLVS))
                return NULL;
        if (!(message->nlmsg_flags & NLM_F_CAPPED))
                skip += failure->msg.nlmsg_len - sizeof(failure->msg);
        if (message->nlmsg_len > NLMSG_HDRLEN + MNL_ALIGN(skip))
                mnl_attr_parse(message, skip, find_explanation, &text);
        return text;
}

static int read_failure(const struct nlmsghdr *message, const char *what, struct error *err)
{
        const struct nlmsgerr *failure = mnl_nlmsg_get_payload(message);
        if (mnl_nlmsg_get_payload_len(message) < sizeof(*failure))
                return error_set(err, -EBADMSG, "%s: the kernel's answer is cut short", what);
        if (!failure->error)
                return 0;
        const char *text = explanation(message);
        if (text && *text)
                return error_set(err, failure->error, "%s: %s (%s)", what, strerror(-failure->error), text);
        return error_code(err, failure->error, "%s", what);
}

struct exchange {
        netlink_reader reader;
        void *data;
        const char *what;
        struct error *err;
        int code; /* the first failure */
};

static void read_message(const struct nlmsghdr *message, struct exchange *exchange)
{
        int code = 0;
        if (message->nlmsg_type == NLMSG_ERROR)
                code = read_failure(message, exchange->what, exchange->code ? NULL : exchange->err);
        else if (message->nlmsg_type >= NLMSG_MIN_TYPE && exchange->reader && !exchange->code)
                code = exchange->reader(message, exchange->data);
        if (code < 0 && !exchange->code)
                exchange->code = code;
}

static void read_answers(struct netlink *netlink, struct exchange *exchange)
{
        for (;;) {
                /* All answers are queued by the time sendmsg(2) returns; a dump goes on as its parts are received. */
                ssize_t length = recv(mnl_socket_get_fd(netlink->socket), netlink->answers, ANSWER_ROOM, MSG_DONTWAIT);
                if (length < 0 && errno == EINTR)
                        continue;
                if (length < 0 && errno == EAGAIN)
                        return;
                if (length < 0 && !exchange->code) {
                        exchange->code = error_errno(exchange->err, "%s: reading the kernel's answer", exchange->what);
                        /* ENOBUFS: answers were lost, those that are left must not be taken for the next request's. */
                        if (errno == ENOBUFS)
                                continue;
                }
                if (length < 0)
                        return;
                int left = (int)length;
                for (const struct nlmsghdr *message = (const void *)netlink->answers; mnl_nlmsg_ok(message, left);
                     message = mnl_nlmsg_next(message, &left))
                        read_message(message, exchange);
        }
}

int netlink_commit(struct netlink *netlink, netlink_reader reader, void *data, const char *what, struct error *err)
{
        struct exchange exchange = { .reader = reader, .data = data, .what = what, .err = err };
        finish_last(netlink);
        size_t length = netlink->used;
        bool failed = netlink->failed;
        netlink_discard(netlink);
        if (failed)
                return error_memory(err);
        if (!length)
                return 0;
        /* A batch is one datagram: it must fit into the send buffer as a whole. */
        if (length > FIRST_ROOM)
                setsockopt(mnl_socket_get_fd(netlink->socket), SOL_SOCKET, SO_SNDBUFFORCE, &(int){ (int)length * 2 },
                           sizeof(int));
        while (mnl_socket_sendto(netlink->socket, netlink->queue, length) < 0)
                if (errno != EINTR)
                        return error_errno(err, "%s: sending to the kernel", what);
        read_answers(netlink, &exchange);
        return exchange.code;
}
