/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/events.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "instance/instance.h"
#include "instance/timestamp.h"

#define EVENTS_BYTES_MAX (1024 * 1024)

/* A line is one write(2) with O_APPEND, so lines of several writers never mix. */
void event_append(const char *state, const char *type, const char *action, const char *id, const json_t *attributes)
{
        char now[TIMESTAMP_SIZE];
        timestamp_now(now);
        _cleanup_json_ json_t *event = json_pack("{s:s, s:s, s:s, s:s, s:O*}", "time", now, "Type", type, "Action",
                                                 action, "id", id, "attributes", attributes);
        _cleanup_free_ char *line = event ? json_dumps(event, JSON_COMPACT) : NULL;
        _cleanup_free_ char *path = text_format("%s/events", state), *old = text_format("%s/events.1", state);
        if (!line || !path || !old)
                return;
        _cleanup_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return;
        size_t length = strlen(line);
        line[length] = '\n';
        if (write(fd, line, length + 1) < 0)
                return;
        struct stat st;
        if (!fstat(fd, &st) && st.st_size > EVENTS_BYTES_MAX)
                rename(path, old);
}

void event_of_instance(const struct instance *instance, const char *action)
{
        struct json_t *image = json_object_get(json_object_get(instance->config, "image"), "reference");
        _cleanup_json_ json_t *attributes = json_pack("{s:s*, s:O*}", "name", instance->name, "image", image);
        json_t *code = json_object_get(instance->state, "exit_code");
        if (attributes && text_equal(action, "die") && json_is_integer(code))
                json_object_set_new(attributes, "exitCode", json_integer(json_integer_value(code)));
        event_append(instance->host->state, "container", action, instance->id, attributes);
}

static const char *member(const json_t *object, const char *key)
{
        const char *value = json_string_value(json_object_get(object, key));
        return value ? value : "";
}

static bool label_matches(const json_t *attributes, const char *wanted)
{
        size_t length = strcspn(wanted, "=");
        char key[256];
        snprintf(key, sizeof(key), "%.*s", length < sizeof(key) ? (int)length : 0, wanted);
        const char *value = json_string_value(json_object_get(attributes, key));
        return value && (!wanted[length] || text_equal(value, wanted + length + 1));
}

static bool subject_matches(const json_t *event, const char *type, const char *value)
{
        const json_t *attributes = json_object_get(event, "attributes");
        if (!text_equal(member(event, "Type"), type))
                return false;
        return text_equal(member(attributes, "name"), value) || text_starts(member(event, "id"), value);
}

static bool filter_matches(const json_t *event, const char *filter)
{
        const json_t *attributes = json_object_get(event, "attributes");
        const char *value = strchr(filter, '=');
        if (!value)
                return false;
        value++;
        if (text_starts(filter, "type="))
                return text_equal(member(event, "Type"), value);
        if (text_starts(filter, "event="))
                return text_equal(member(event, "Action"), value);
        if (text_starts(filter, "label="))
                return label_matches(attributes, value);
        if (text_starts(filter, "image=") && text_equal(member(event, "Type"), "container"))
                return text_equal(member(attributes, "image"), value);
        char type[32];
        snprintf(type, sizeof(type), "%.*s", (int)(value - 1 - filter) < 31 ? (int)(value - 1 - filter) : 0, filter);
        return subject_matches(event, type, value);
}

/* Filters of one key are alternatives, those of different keys must all fit: docker's rule. */
static bool wanted(const json_t *event, char *const *filters)
{
        for (char *const *filter = filters; filter && *filter; filter++) {
                size_t key = strcspn(*filter, "=");
                bool any = false;
                for (char *const *other = filters; *other; other++)
                        any |= strcspn(*other, "=") == key && !strncmp(*filter, *other, key) &&
                               filter_matches(event, *other);
                if (!any)
                        return false;
        }
        return true;
}

struct reader {
        const struct event_query *query;
        int (*each)(const json_t *event, void *context);
        void *context;
        struct text line; /* what was read of a line that is not whole yet */
};

static int take_line(struct reader *reader)
{
        if (text_failed(&reader->line))
                return -ENOMEM;
        json_t *parsed = NULL;
        int r = json_parse(reader->line.data ? reader->line.data : "", reader->line.length, "event", &parsed, NULL);
        text_free(&reader->line);
        _cleanup_json_ json_t *event = parsed;
        struct timespec time;
        if (r < 0 || timestamp_parse(member(event, "time"), &time) < 0)
                return 0;
        const struct event_query *query = reader->query;
        if (timestamp_compare(&time, &query->since) < 0 || !wanted(event, query->filters))
                return 0;
        if (query->until.tv_sec && timestamp_compare(&time, &query->until) > 0)
                return 0;
        return reader->each(event, reader->context);
}

static int drain(struct reader *reader, int fd)
{
        char data[16384];
        ssize_t n;
        while ((n = read(fd, data, sizeof(data))) > 0)
                for (ssize_t start = 0, i = 0; i < n; i++) {
                        if (data[i] != '\n') {
                                if (i + 1 == n)
                                        text_append_bytes(&reader->line, data + start, (size_t)(n - start));
                                continue;
                        }
                        text_append_bytes(&reader->line, data + start, (size_t)(i - start));
                        start = i + 1;
                        int r = take_line(reader);
                        if (r)
                                return r;
                }
        return 0;
}

static int until_timeout(const struct timespec *until)
{
        struct timespec now;
        if (!until->tv_sec)
                return -1;
        clock_gettime(CLOCK_REALTIME, &now);
        int64_t left = (until->tv_sec - now.tv_sec) * 1000 + (until->tv_nsec - now.tv_nsec) / 1000000 + 1;
        return left <= 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

static int open_events(const char *path)
{
        return open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* Follows the file over its renames: the watch on the folder tells of a new one, the old is read to its end first. */
static int follow(struct reader *reader, const char *path, int *fd, int watch)
{
        for (;;) {
                int r = drain(reader, *fd);
                if (r)
                        return r;
                struct stat held, named;
                if (!fstat(*fd, &held) && (stat(path, &named) < 0 || held.st_ino != named.st_ino)) {
                        int next = open_events(path);
                        if (next < 0)
                                return -errno;
                        close(*fd);
                        *fd = next;
                        continue;
                }
                struct pollfd poll_for = { .fd = watch, .events = POLLIN };
                int timeout = until_timeout(&reader->query->until);
                if (!timeout)
                        return 0;
                char ignored[4096];
                if (poll(&poll_for, 1, timeout) > 0 && read(watch, ignored, sizeof(ignored)) < 0 && errno != EAGAIN)
                        return -errno;
        }
}

static int check_filters(char *const *filters, struct error *err)
{
        static const char *const keys[] = { "type", "event", "container", "image", "volume", "network", "label" };
        for (; filters && *filters; filters++) {
                bool known = false;
                size_t length = strcspn(*filters, "=");
                for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                        known |= (*filters)[length] && strlen(keys[i]) == length && text_starts(*filters, keys[i]);
                if (!known)
                        return error_set(err, -EINVAL,
                                         "unknown filter \"%s\"; there are type, event, container, image, volume, "
                                         "network and label",
                                         *filters);
        }
        return 0;
}

int events_read(struct host *host, const struct event_query *query, int (*each)(const json_t *event, void *context),
                void *context, struct error *err)
{
        _cleanup_free_ char *path = text_format("%s/events", host->state),
                            *old = text_format("%s/events.1", host->state);
        if (!path || !old)
                return error_memory(err);
        if (check_filters(query->filters, err) < 0)
                return -EINVAL;
        struct reader reader = { .query = query, .each = each, .context = context };
        _cleanup_close_ int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        _cleanup_close_ int fd = open_events(path);
        if (fd < 0 || watch < 0)
                return error_errno(err, "cannot read the events in %s", path);
        if (inotify_add_watch(watch, host->state, IN_MODIFY | IN_CREATE | IN_MOVED_FROM) < 0)
                return error_errno(err, "cannot watch %s", path);

        int r = 0;
        if (query->since.tv_sec) {
                _cleanup_close_ int before = open(old, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
                if (before >= 0)
                        r = drain(&reader, before);
        } else if (lseek(fd, 0, SEEK_END) < 0) {
                r = -errno;
        }
        if (!r)
                r = follow(&reader, path, &fd, watch);
        text_free(&reader.line);
        return r < 0 ? error_code(err, r, "cannot read the events in %s", path) : r;
}
