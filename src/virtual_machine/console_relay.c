/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtual_machine/console_relay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LAST_WORDS 1000 /* milliseconds */

int console_relay_open(struct console_relay *relay, int guest, const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        relay->guest = guest;
        for (size_t i = 0; i < CONSOLE_CLIENTS; i++)
                relay->clients[i].fd = -1;
        relay->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (relay->listener < 0 || strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path) + 1);
        unlink(path);
        if (bind(relay->listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(relay->listener, 8) < 0)
                return -errno;
        return fcntl(guest, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

void console_relay_poll(const struct console_relay *relay, struct pollfd fds[CONSOLE_FDS])
{
        fds[0] = (struct pollfd){ relay->guest, (short)(POLLIN | (relay->typed_length ? POLLOUT : 0)), 0 };
        fds[1] = (struct pollfd){ relay->listener, POLLIN, 0 };
        for (size_t i = 0; i < CONSOLE_CLIENTS; i++) {
                const struct console_client *client = &relay->clients[i];
                /* Somebody whose typing the guest cannot take yet is heard later. */
                int events = (relay->typed_length ? 0 : POLLIN) | (client->place < relay->written ? POLLOUT : 0);
                fds[i + 2] = (struct pollfd){ client->fd, (short)events, 0 };
        }
}

static void drop(struct console_client *client)
{
        close(client->fd);
        client->fd = -1;
}

/* Sends as much as the client takes without a wait. */
static void send_kept(struct console_relay *relay, struct console_client *client)
{
        while (client->fd >= 0 && client->place < relay->written) {
                if (relay->written - client->place > CONSOLE_KEPT)
                        client->place = relay->written - CONSOLE_KEPT;
                size_t start = client->place % CONSOLE_KEPT, length = relay->written - client->place;
                if (length > CONSOLE_KEPT - start)
                        length = CONSOLE_KEPT - start;
                ssize_t n = send(client->fd, relay->kept + start, length, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (n < 0 && errno != EAGAIN && errno != EINTR)
                        drop(client);
                if (n <= 0)
                        return;
                client->place += (uint64_t)n;
        }
}

static void take_output(struct console_relay *relay)
{
        size_t start = relay->written % CONSOLE_KEPT;
        ssize_t n = read(relay->guest, relay->kept + start, CONSOLE_KEPT - start);
        if (n > 0) {
                relay->written += (uint64_t)n;
        } else if (!n || (errno != EAGAIN && errno != EINTR)) {
                close(relay->guest);
                relay->guest = -1;
        }
}

static void pass_typed(struct console_relay *relay)
{
        if (relay->guest < 0) {
                relay->typed_length = 0;
                return;
        }
        ssize_t n = send(relay->guest, relay->typed, relay->typed_length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0)
                return;
        relay->typed_length -= (size_t)n;
        memmove(relay->typed, relay->typed + n, relay->typed_length);
}

static void hear(struct console_relay *relay, struct console_client *client)
{
        ssize_t n = recv(client->fd, relay->typed, sizeof(relay->typed), MSG_DONTWAIT);
        if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
                drop(client);
        if (n > 0)
                relay->typed_length = (size_t)n;
        pass_typed(relay);
}

static void welcome(struct console_relay *relay)
{
        int fd = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        for (size_t i = 0; fd >= 0 && i < CONSOLE_CLIENTS; i++)
                if (relay->clients[i].fd < 0) {
                        relay->clients[i] = (struct console_client){ .fd = fd };
                        return;
                }
        if (fd >= 0)
                close(fd);
}

void console_relay_serve(struct console_relay *relay, const struct pollfd fds[CONSOLE_FDS])
{
        if (fds[0].revents & ~POLLOUT)
                take_output(relay);
        if (relay->typed_length)
                pass_typed(relay);
        for (size_t i = 0; i < CONSOLE_CLIENTS; i++) {
                struct console_client *client = &relay->clients[i];
                if (client->fd < 0 || client->fd != fds[i + 2].fd)
                        continue;
                /* One that is gone shows as readable, too. */
                if ((fds[i + 2].revents & ~POLLOUT) && !relay->typed_length)
                        hear(relay, client);
                else if (fds[i + 2].revents & (POLLHUP | POLLERR))
                        drop(client);
                send_kept(relay, client);
        }
        if (fds[1].revents)
                welcome(relay);
}

static int64_t milliseconds(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void console_relay_close(struct console_relay *relay)
{
        int64_t until = milliseconds() + LAST_WORDS;
        for (bool late = false; !late;) {
                struct pollfd fds[CONSOLE_FDS];
                bool waits = relay->guest >= 0;
                console_relay_poll(relay, fds);
                for (size_t i = 0; i < CONSOLE_CLIENTS; i++)
                        waits |= relay->clients[i].fd >= 0 && relay->clients[i].place < relay->written;
                int64_t left = until - milliseconds();
                late = !waits || left <= 0 || poll(fds, CONSOLE_FDS, (int)left) < 0;
                if (!late)
                        console_relay_serve(relay, fds);
        }
        for (size_t i = 0; i < CONSOLE_CLIENTS; i++)
                if (relay->clients[i].fd >= 0)
                        drop(&relay->clients[i]);
        close(relay->listener);
        if (relay->guest >= 0)
                close(relay->guest);
        relay->guest = -1;
}
