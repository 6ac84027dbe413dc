/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "hosted/tap.h"

#define USAGE "tap=NAME, fd=N or user, and queues=N, publish=HOST:GUEST, address=MAC, rate-bytes=RATE, rate-frames=RATE"

static int parse_address(const char *text, uint8_t address[6])
{
        unsigned bytes[6];
        char rest;
        if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &bytes[4], &bytes[5],
                   &rest) != 6 ||
            (bytes[0] & 1))
                return -EINVAL;
        for (unsigned i = 0; i < 6; i++)
                address[i] = (uint8_t)bytes[i];
        return 0;
}

static int set_tap(const char *value, struct tap_settings *settings, struct error *err)
{
        if (!*value || strlen(value) >= sizeof(settings->name) || strchr(value, '/') || strchr(value, '%'))
                return error_set(err, -EINVAL, "\"%s\" is no name of a network interface", value);
        TEXT_COPY(settings->name, value);
        return 0;
}

static int set_fd(const char *value, struct tap_settings *settings, struct error *err)
{
        uint64_t fd;
        if (parse_u64(value, &fd) < 0 || fd > INT32_MAX)
                return error_set(err, -EINVAL, "fd= needs the number of a descriptor, not \"%s\"", value);
        if (settings->fd_count == VIRTIO_NETWORK_PAIRS_MAX)
                return error_set(err, -EINVAL, "a network card has at most %d descriptors", VIRTIO_NETWORK_PAIRS_MAX);
        settings->fds[settings->fd_count++] = (int)fd;
        return 0;
}

static int set_queues(const char *value, struct tap_settings *settings, struct error *err)
{
        uint64_t pairs;
        if (parse_u64(value, &pairs) < 0 || !pairs || pairs > VIRTIO_NETWORK_PAIRS_MAX)
                return error_set(err, -EINVAL, "a network card has 1 to %d pairs of queues, not %s",
                                 VIRTIO_NETWORK_PAIRS_MAX, value);
        settings->pairs = (unsigned)pairs;
        return 0;
}

static int set_address(const char *value, struct tap_settings *settings, struct error *err)
{
        return parse_address(value, settings->address) < 0
                       ? error_set(err, -EINVAL, "\"%s\" is no Ethernet address of one card", value)
                       : 0;
}

static int set_user(const char *value, struct tap_settings *settings, struct error *err)
{
        (void)value;
        (void)err;
        settings->user = true;
        return 0;
}

static int set_publish(const char *value, struct tap_settings *settings, struct error *err)
{
        return passt_publish(&settings->passt, value, err);
}

static const struct {
        const char *name; /* with its "=" where it has a value */
        int (*set)(const char *value, struct tap_settings *settings, struct error *err);
} items[] = {
        { "tap=", set_tap },         { "fd=", set_fd },    { "queues=", set_queues },
        { "address=", set_address }, { "user", set_user }, { "publish=", set_publish },
};

static int set_item(const char *item, struct tap_settings *settings, struct error *err)
{
        for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
                size_t length = strlen(items[i].name);
                if (items[i].name[length - 1] == '=' ? text_starts(item, items[i].name) : !strcmp(item, items[i].name))
                        return items[i].set(item + length, settings, err);
        }
        int r = rate_limit_item(item, "rate-frames", &settings->rate, err);
        return r ? r < 0 ? r : 0 : error_set(err, -EINVAL, "--network does not know \"%s\"; it takes " USAGE, item);
}

static int check(struct tap_settings *settings, struct error *err)
{
        if (!!settings->name[0] + !!settings->fd_count + settings->user != 1)
                return error_set(err, -EINVAL, "--network needs tap=NAME or fd=N or user");
        if (settings->passt.tcp[0] + settings->passt.udp[0] && !settings->user)
                return error_set(err, -EINVAL, "publish= is for a network card by passt: user,publish=HOST:GUEST");
        if (settings->fd_count)
                settings->pairs = settings->fd_count;
        if (settings->user && settings->pairs > 1)
                return error_set(err, -EINVAL, "a network card by passt has one pair of queues");
        return 0;
}

int tap_parse(const char *text, struct tap_settings *settings, struct error *err)
{
        *settings = (struct tap_settings){ .pairs = 1 };
        if (getrandom(settings->address, sizeof(settings->address), 0) != sizeof(settings->address))
                return error_errno(err, "cannot make an address for a network card");
        settings->address[0] = (uint8_t)((settings->address[0] & 0xfc) | 2); /* one card's, locally administered */
        _cleanup_free_ char *copy = strdup(text);
        if (!copy)
                return error_memory(err);
        char *rest = copy;
        for (char *item; (item = strsep(&rest, ","));) {
                int r = set_item(item, settings, err);
                if (r < 0)
                        return r;
        }
        return check(settings, err);
}
