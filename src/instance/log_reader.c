/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/process.h"
#include "base/text.h"
#include "instance/folder.h"
#include "instance/log.h"
#include "instance/timestamp.h"

#define FILES_MAX      1000
#define LINE_MAX_BYTES (1024 * 1024) /* longer than any entry that log_append() is ever given */

int log_parse_time(const char *text, struct timespec *time)
{
        return timestamp_parse_loose(text, time);
}

int log_parse(const char *line, size_t length, struct log_entry *entry)
{
        char time[40];
        const char *space = memchr(line, ' ', length);
        size_t n = space ? (size_t)(space - line) : sizeof(time);
        /* "<time> stdout F " */
        if (n >= sizeof(time) || length < n + 10)
                return -EBADMSG;
        memcpy(time, line, n);
        time[n] = 0;
        const char *stream = space + 1;
        bool out = !memcmp(stream, "stdout ", 7), error = !memcmp(stream, "stderr ", 7);
        char tag = stream[7];
        if ((!out && !error) || (tag != 'F' && tag != 'P') || stream[8] != ' ' ||
            timestamp_parse(time, &entry->time) < 0)
                return -EBADMSG;
        entry->stream = out ? 1 : 2;
        entry->whole = tag == 'F';
        entry->text = stream + 9;
        entry->length = length - (size_t)(entry->text - line);
        return 0;
}

struct log_reader {
        const struct log_query *query;
        int (*each)(const struct log_entry *entry, void *context);
        void *context;
        int fd;           /* the file that is read */
        struct text line; /* its last line, as far as it is there */
        int64_t skip;     /* lines to pass over, for --tail */
};

static bool wanted(const struct log_query *query, const struct log_entry *entry)
{
        if (entry->stream == 1 ? query->no_stdout : query->no_stderr)
                return false;
        if (query->since.tv_sec && timestamp_compare(&entry->time, &query->since) < 0)
                return false;
        return !query->until.tv_sec || timestamp_compare(&entry->time, &query->until) <= 0;
}

static int take_line(struct log_reader *reader, int (*take)(struct log_reader *, const struct log_entry *))
{
        struct log_entry entry;
        int r = 0;
        if (!log_parse(reader->line.data ? reader->line.data : "", reader->line.length, &entry) &&
            wanted(reader->query, &entry))
                r = take(reader, &entry);
        reader->line.length = 0;
        return r;
}

/* Reads to the present end of the file, whole lines only. */
static int drain(struct log_reader *reader, int (*take)(struct log_reader *, const struct log_entry *))
{
        char data[32768];
        ssize_t n;
        while ((n = read(reader->fd, data, sizeof(data))) > 0) {
                const char *at = data, *end = data + n;
                while (at < end) {
                        const char *stop = memchr(at, '\n', (size_t)(end - at));
                        text_append_bytes(&reader->line, at, (size_t)((stop ? stop : end) - at));
                        if (text_failed(&reader->line))
                                return -ENOMEM;
                        if (!stop && reader->line.length > LINE_MAX_BYTES)
                                reader->line.length = 0;
                        at = stop ? stop + 1 : end;
                        int r = stop ? take_line(reader, take) : 0;
                        if (r)
                                return r;
                }
        }
        return n < 0 ? -errno : 0;
}

static int count_line(struct log_reader *reader, const struct log_entry *entry)
{
        reader->skip += entry->whole;
        return 0;
}

static int give_line(struct log_reader *reader, const struct log_entry *entry)
{
        if (reader->skip > 0) {
                reader->skip -= entry->whole;
                return 0;
        }
        return reader->each(entry, reader->context);
}

static int open_file(int folder, unsigned n)
{
        char name[24] = "log";
        if (n)
                snprintf(name, sizeof(name), "log.%u", n);
        return openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

/* The files as they are now, oldest first: a rotation while they are read renames them, but what is open stays what
 * it is. */
static size_t open_files(int folder, int files[FILES_MAX])
{
        size_t count = 0;
        for (unsigned n = 0; count < FILES_MAX; n++) {
                int fd = open_file(folder, n);
                if (fd < 0)
                        break;
                files[count++] = fd;
        }
        for (size_t i = 0; i < count / 2; i++) {
                int fd = files[i];
                files[i] = files[count - 1 - i];
                files[count - 1 - i] = fd;
        }
        return count;
}

static int read_all(struct log_reader *reader, const int *files, size_t count,
                    int (*take)(struct log_reader *, const struct log_entry *))
{
        int r = 0;
        for (size_t i = 0; !r && i < count; i++) {
                reader->fd = files[i];
                reader->line.length = 0;
                if (lseek(reader->fd, 0, SEEK_SET) < 0)
                        return -errno;
                r = drain(reader, take);
        }
        return r;
}

static bool still_runs(const struct instance *instance)
{
        int fd = process_open((pid_t)json_integer_value(json_object_get(instance->run, "monitor")),
                              (uint64_t)json_integer_value(json_object_get(instance->run, "monitor_start")));
        if (fd >= 0)
                close(fd);
        return fd >= 0;
}

/* Goes on with the newest file, over its renames, until the monitor has ended. */
static int follow(struct log_reader *reader, struct instance *instance)
{
        _cleanup_close_ int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        _cleanup_close_ int monitor =
                process_open((pid_t)json_integer_value(json_object_get(instance->run, "monitor")),
                             (uint64_t)json_integer_value(json_object_get(instance->run, "monitor_start")));
        char path[40];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", instance->folder);
        if (watch < 0 || inotify_add_watch(watch, path, IN_MODIFY | IN_CREATE | IN_MOVED_FROM) < 0)
                return -errno;
        for (;;) {
                bool running = monitor >= 0 && still_runs(instance);
                int r = drain(reader, give_line);
                if (r)
                        return r;
                struct stat held, newest;
                if (!fstat(reader->fd, &held) && !fstatat(instance->folder, "log", &newest, AT_SYMLINK_NOFOLLOW) &&
                    held.st_ino != newest.st_ino) {
                        int next = open_file(instance->folder, 0);
                        if (next < 0)
                                return -errno;
                        dup3(next, reader->fd, O_CLOEXEC);
                        close(next);
                        continue;
                }
                if (!running)
                        return 0;
                struct pollfd polls[] = { { .fd = watch, .events = POLLIN }, { .fd = monitor, .events = POLLIN } };
                char ignored[4096];
                if (poll(polls, 2, -1) > 0 && polls[0].revents && read(watch, ignored, sizeof(ignored)) < 0 &&
                    errno != EAGAIN)
                        return -errno;
        }
}

int log_read(struct instance *instance, const struct log_query *query,
             int (*each)(const struct log_entry *entry, void *context), void *context, struct error *err)
{
        _cleanup_free_ int *files = calloc(FILES_MAX, sizeof(int));
        if (!files)
                return error_memory(err);
        size_t count = open_files(instance->folder, files);
        if (!count)
                return 0;
        struct log_reader reader = { .query = query, .each = each, .context = context };
        int r = 0;
        if (query->tail >= 0) {
                r = read_all(&reader, files, count, count_line);
                reader.skip = reader.skip > query->tail ? reader.skip - query->tail : 0;
        }
        if (!r)
                r = read_all(&reader, files, count, give_line);
        if (!r && query->follow)
                r = follow(&reader, instance);
        text_free(&reader.line);
        for (size_t i = 0; i < count; i++)
                close(files[i]);
        return r < 0 ? error_code(err, r, "cannot read the log of instance %s", instance->name) : r;
}
