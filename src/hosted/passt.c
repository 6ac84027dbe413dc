/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/passt.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/process.h"
#include "base/text.h"

#define LENGTH    4
#define FRAME_MAX 65549 /* 65535 bytes and Ethernet's header */
#define ROOM      (2 * (LENGTH + FRAME_MAX))

struct passt {
        int fd;
        pid_t pid;
        bool ended;
        size_t kept_from, kept_to; /* of `kept`: bytes of a frame that the socket did not take */
        uint8_t kept[LENGTH + FRAME_MAX];
        size_t from, to; /* of `come`: bytes that were received and not taken */
        uint8_t come[ROOM];
};

/* ---- Frames ---- */

static void keep(struct passt *passt, const struct iovec *vector, unsigned count, size_t sent)
{
        passt->kept_from = passt->kept_to = 0;
        for (unsigned i = 0; i < count; i++) {
                size_t skip = sent < vector[i].iov_len ? sent : vector[i].iov_len;
                sent -= skip;
                memcpy(passt->kept + passt->kept_to, (const char *)vector[i].iov_base + skip, vector[i].iov_len - skip);
                passt->kept_to += vector[i].iov_len - skip;
        }
}

void passt_send(struct passt *passt, const struct virtqueue_part *parts, unsigned count)
{
        struct iovec vector[VIRTQUEUE_PARTS_MAX + 1];
        size_t length = 0;
        for (unsigned i = 0; i < count; i++) {
                vector[i + 1] = (struct iovec){ parts[i].host, parts[i].length };
                length += parts[i].length;
        }
        if (length > FRAME_MAX || passt->ended || passt->kept_from != passt->kept_to)
                return;
        uint32_t prefix = htobe32((uint32_t)length);
        vector[0] = (struct iovec){ &prefix, sizeof(prefix) };
        const struct msghdr message = { .msg_iov = vector, .msg_iovlen = count + 1 };
        ssize_t sent = sendmsg(passt->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
                return; /* it has ended, as the next receive tells */
        if (sent != (ssize_t)(LENGTH + length))
                keep(passt, vector, count + 1, sent < 0 ? 0 : (size_t)sent);
}

bool passt_flush(struct passt *passt)
{
        size_t left = passt->kept_to - passt->kept_from;
        if (!left)
                return true;
        ssize_t sent = sendto(passt->fd, passt->kept + passt->kept_from, left, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        passt->kept_from = sent < 0 ? passt->kept_to : passt->kept_from + (size_t)sent;
        return passt->kept_from == passt->kept_to;
}

static size_t next_length(const struct passt *passt)
{
        uint32_t prefix;
        memcpy(&prefix, passt->come + passt->from, sizeof(prefix));
        return be32toh(prefix);
}

bool passt_has_frame(const struct passt *passt)
{
        size_t there = passt->to - passt->from;
        return there >= LENGTH && there - LENGTH >= next_length(passt);
}

/* More bytes behind those that are there. 1, 0 if there are none now, -EPIPE. */
static int fetch(struct passt *passt)
{
        memmove(passt->come, passt->come + passt->from, passt->to - passt->from);
        passt->to -= passt->from;
        passt->from = 0;
        ssize_t n = recvfrom(passt->fd, passt->come + passt->to, ROOM - passt->to, MSG_DONTWAIT, NULL, NULL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n > 0)
                passt->to += (size_t)n;
        /* No frame is as long as that: the stream has lost its step. */
        if (n <= 0 || (passt->to >= LENGTH && next_length(passt) > FRAME_MAX))
                passt->ended = true;
        return passt->ended ? -EPIPE : 1;
}

int passt_receive(struct passt *passt, uint8_t *frame, size_t room)
{
        while (!passt_has_frame(passt)) {
                int r = passt->ended ? -EPIPE : fetch(passt);
                if (r <= 0)
                        return r;
        }
        size_t length = next_length(passt);
        bool fits = length && length <= room;
        if (fits)
                memcpy(frame, passt->come + passt->from + LENGTH, length);
        passt->from += LENGTH + length;
        /* The frame behind it shows its length only now. */
        if (passt->to - passt->from >= LENGTH && next_length(passt) > FRAME_MAX)
                passt->ended = true;
        return fits ? (int)length : passt_receive(passt, frame, room);
}

/* ---- The process ---- */

void passt_explain(struct passt *passt, char *text, size_t room)
{
        int status = 0;
        pid_t found = passt->pid > 0 ? waitpid(passt->pid, &status, WNOHANG) : -1;
        if (found == passt->pid)
                passt->pid = -1;
        if (found > 0 && WIFEXITED(status))
                snprintf(text, room, "passt ended with status %d", WEXITSTATUS(status));
        else if (found > 0)
                snprintf(text, room, "passt was ended by signal %d", WTERMSIG(status));
        else
                snprintf(text, room, "passt closed its end of the wire");
}

void passt_close(struct passt *passt)
{
        if (passt->fd >= 0)
                close(passt->fd);
        /* It ends with the socket; whoever started us, or process 1, takes what is left of it. */
        free(passt);
}

DEFINE_CLEANUP(passt, struct passt, passt_close)

int passt_descriptor(const struct passt *passt)
{
        return passt->fd;
}

int passt_open(const struct passt_settings *settings, struct passt **result, struct error *err)
{
        _cleanup_(passt) struct passt *passt = calloc(1, sizeof(*passt));
        int ends[2];
        if (!passt)
                return error_memory(err);
        passt->fd = -1;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
                return error_errno(err, "cannot make a socket for passt");
        passt->fd = ends[0];
        _cleanup_close_ int theirs = ends[1];
        char number[16];
        snprintf(number, sizeof(number), "%d", theirs);
        const char *argv[12] = { "passt", "--quiet", "--foreground", "--fd", number };
        unsigned count = 5;
        if (settings->tcp[0]) {
                argv[count++] = "--tcp-ports";
                argv[count++] = settings->tcp;
        }
        if (settings->udp[0]) {
                argv[count++] = "--udp-ports";
                argv[count++] = settings->udp;
        }
        const int standard[3] = { -1, STDERR_FILENO, -1 };
        if (fcntl(theirs, F_SETFD, 0) < 0)
                return error_errno(err, "cannot hand a socket to passt");
        int r = process_spawn((char *const *)argv, standard, &passt->pid, err);
        if (r < 0)
                return error_prefix(err, "a user-mode network needs passt (Debian: passt)");
        *result = TAKE_PTR(passt);
        return 0;
}

/* ---- Ports ---- */

static bool is_port(const char *text, size_t length)
{
        char copy[8];
        uint64_t port;
        if (!length || length >= sizeof(copy))
                return false;
        memcpy(copy, text, length);
        copy[length] = '\0';
        return !parse_u64(copy, &port) && port && port <= UINT16_MAX;
}

static int add(char *list, size_t room, const char *item)
{
        size_t length = strlen(list);
        int n = snprintf(list + length, room - length, "%s%s", length ? "," : "", item);
        return n < 0 || (size_t)n >= room - length ? -E2BIG : 0;
}

int passt_publish(struct passt_settings *settings, const char *text, struct error *err)
{
        _cleanup_free_ char *copy = strdup(text), *item = NULL;
        if (!copy)
                return error_memory(err);
        char *slash = strchr(copy, '/');
        bool udp = slash && !strcmp(slash, "/udp"), tcp = !slash || !strcmp(slash, "/tcp");
        if (slash)
                *slash = '\0';
        char *guest = strrchr(copy, ':');
        if (guest)
                *guest++ = '\0';
        char *host = guest ? strrchr(copy, ':') : NULL;
        const char *address = host ? copy : NULL;
        host = host ? host + 1 : copy;
        if (address)
                host[-1] = '\0';
        if ((!udp && !tcp) || !guest || !is_port(host, strlen(host)) || !is_port(guest, strlen(guest)) ||
            (address && (!*address || strpbrk(address, "/,"))))
                return error_set(err, -EINVAL, "publish=%s: it takes [ADDRESS:]HOST:GUEST[/udp], two ports", text);
        item = address ? text_format("%s/%s:%s", address, host, guest) : text_format("%s:%s", host, guest);
        if (!item)
                return error_memory(err);
        return add(udp ? settings->udp : settings->tcp, sizeof(settings->tcp), item) < 0
                       ? error_set(err, -E2BIG, "too many ports are published")
                       : 0;
}
