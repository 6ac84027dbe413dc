/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "hosted/disk.h"

#define USAGE                                                                                                          \
        "FILE[,ro][,format=raw|qcow2][,backing=FOLDER][,full=error|pause][,serial=TEXT][,queues=N]"                    \
        "[,rate-bytes=RATE][,rate-operations=RATE]"

static int set_ro(const char *value, struct disk_settings *settings, struct error *err)
{
        (void)value;
        (void)err;
        settings->read_only = true;
        return 0;
}

static int set_format(const char *value, struct disk_settings *settings, struct error *err)
{
        return disk_format_parse(value, &settings->format) < 0
                       ? error_set(err, -EINVAL, "a disk's format is raw or qcow2, not %s", value)
                       : 0;
}

static int set_backing(const char *value, struct disk_settings *settings, struct error *err)
{
        if (!*value || strlen(value) >= sizeof(settings->backing))
                return error_set(err, -EINVAL, "backing= needs the folder of the images behind a disk");
        TEXT_COPY(settings->backing, value);
        return 0;
}

static int set_full(const char *value, struct disk_settings *settings, struct error *err)
{
        settings->full_pauses = !strcmp(value, "pause");
        return settings->full_pauses || !strcmp(value, "error")
                       ? 0
                       : error_set(err, -EINVAL,
                                   "where the host is full, a disk's guest sees an error or is paused: "
                                   "full=error or full=pause, not %s",
                                   value);
}

static int set_serial(const char *value, struct disk_settings *settings, struct error *err)
{
        if (strlen(value) > VIRTIO_BLOCK_SERIAL)
                return error_set(err, -EINVAL, "a disk's serial has at most %d letters, not %s", VIRTIO_BLOCK_SERIAL,
                                 value);
        TEXT_COPY(settings->serial, value);
        return 0;
}

static int set_queues(const char *value, struct disk_settings *settings, struct error *err)
{
        uint64_t queues;
        if (parse_u64(value, &queues) < 0 || !queues || queues > DISK_QUEUES_MAX)
                return error_set(err, -EINVAL, "a disk has 1 to %d queues, not %s", DISK_QUEUES_MAX, value);
        settings->queues = (unsigned)queues;
        return 0;
}

static const struct {
        const char *name; /* with its "=" where it has a value */
        int (*set)(const char *value, struct disk_settings *settings, struct error *err);
} items[] = {
        { "ro", set_ro },      { "format=", set_format }, { "backing=", set_backing },
        { "full=", set_full }, { "serial=", set_serial }, { "queues=", set_queues },
};

static int set_item(const char *item, struct disk_settings *settings, struct error *err)
{
        for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
                size_t length = strlen(items[i].name);
                if (items[i].name[length - 1] == '=' ? text_starts(item, items[i].name) : !strcmp(item, items[i].name))
                        return items[i].set(item + length, settings, err);
        }
        int r = rate_limit_item(item, "rate-operations", &settings->rate, err);
        return r ? r < 0 ? r : 0 : error_set(err, -EINVAL, "--disk does not know \"%s\"; it takes " USAGE, item);
}

int disk_parse(const char *text, unsigned cpus, struct disk_settings *settings, struct error *err)
{
        *settings = (struct disk_settings){ .queues = cpus < DISK_QUEUES_MAX ? cpus : DISK_QUEUES_MAX };
        _cleanup_free_ char *copy = strdup(text);
        if (!copy)
                return error_memory(err);
        char *rest = copy, *path = strsep(&rest, ",");
        if (!*path || strlen(path) >= sizeof(settings->path))
                return error_set(err, -EINVAL, "--disk needs a file: " USAGE);
        TEXT_COPY(settings->path, path);
        for (char *item; (item = strsep(&rest, ","));) {
                int r = set_item(item, settings, err);
                if (r < 0)
                        return r;
        }
        return 0;
}
