/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"

static struct {
        int fd;
        bool json, debug;
} target = { .fd = -1 };

static const char *const names[] = {
        [LOG_LEVEL_ERROR] = "error",
        [LOG_LEVEL_WARNING] = "warning",
        [LOG_LEVEL_INFO] = "info",
        [LOG_LEVEL_DEBUG] = "debug",
};

int log_open(const char *path, bool json, bool debug, struct error *err)
{
        target.json = json;
        target.debug = debug;
        if (!path || !*path)
                return 0;
        target.fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
        if (target.fd < 0)
                return error_errno(err, "cannot open the log file %s", path);
        return 0;
}

static char *format_line(enum log_level level, const char *text)
{
        struct timespec now;
        struct tm broken;
        char when[64];
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &broken);
        strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &broken);

        /* A JSON string is also a valid quoted string of the text form. */
        json_t *string = json_string(text);
        if (!string)
                string = json_string("(a message that is not valid UTF-8)");
        _cleanup_free_ char *quoted = json_dumps(string, JSON_ENCODE_ANY);
        json_decref(string);
        if (!quoted)
                return NULL;
        if (target.json)
                return text_format("{\"level\":\"%s\",\"msg\":%s,\"time\":\"%s\"}\n", names[level], quoted, when);
        return text_format("time=\"%s\" level=%s msg=%s\n", when, names[level], quoted);
}

void log_write(enum log_level level, const char *format, ...)
{
        if (level == LOG_LEVEL_DEBUG && !target.debug)
                return;
        char text[1536];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);

        if (target.fd < 0) {
                if (level != LOG_LEVEL_ERROR)
                        dprintf(STDERR_FILENO, "%s: %s: %s\n", program_invocation_short_name, names[level], text);
                return;
        }
        _cleanup_free_ char *line = format_line(level, text);
        if (line)
                write_all(target.fd, line, strlen(line));
}

void log_warning(const char *text)
{
        log_write(LOG_LEVEL_WARNING, "%s", text);
}
