/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/timestamp.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

void timestamp_format(const struct timespec *time, char text[TIMESTAMP_SIZE])
{
        struct tm tm;
        gmtime_r(&time->tv_sec, &tm);
        size_t n = strftime(text, TIMESTAMP_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(text + n, TIMESTAMP_SIZE - n, ".%09ldZ", time->tv_nsec);
}

void timestamp_now(char text[TIMESTAMP_SIZE])
{
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        timestamp_format(&now, text);
}

static const char *parse_fraction(const char *text, long *nanoseconds)
{
        long scale = 100000000;
        *nanoseconds = 0;
        if (*text != '.' && *text != ',')
                return text;
        for (text++; isdigit((unsigned char)*text); text++, scale /= 10)
                *nanoseconds += (*text - '0') * scale;
        return text;
}

int timestamp_parse(const char *text, struct timespec *time)
{
        struct tm tm = { 0 };
        const char *rest = strptime(text, "%Y-%m-%d", &tm);
        long fraction = 0, offset = 0;
        if (!rest)
                return -EINVAL;
        if (*rest == 'T' || *rest == ' ') {
                rest = strptime(rest + 1, "%H:%M:%S", &tm);
                if (!rest)
                        return -EINVAL;
                rest = parse_fraction(rest, &fraction);
        }
        if (*rest == '+' || *rest == '-') {
                unsigned hours, minutes;
                int end = 0;
                if (sscanf(rest + 1, "%2u:%2u%n", &hours, &minutes, &end) != 2 || rest[1 + end] || hours > 23 ||
                    minutes > 59)
                        return -EINVAL;
                offset = (long)(hours * 3600 + minutes * 60) * (*rest == '+' ? 1 : -1);
        } else if (*rest && strcmp(rest, "Z")) {
                return -EINVAL;
        }
        time->tv_sec = timegm(&tm) - offset;
        time->tv_nsec = fraction;
        return 0;
}

int timestamp_parse_loose(const char *text, struct timespec *time)
{
        if (!timestamp_parse(text, time))
                return 0;
        size_t digits = strspn(text, "0123456789");
        if (digits && (!text[digits] || text[digits] == '.')) {
                uint64_t seconds = 0;
                char whole[24];
                snprintf(whole, sizeof(whole), "%.*s", digits < sizeof(whole) ? (int)digits : 0, text);
                if (parse_u64(whole, &seconds) < 0 || *parse_fraction(text + digits, &time->tv_nsec))
                        return -EINVAL;
                time->tv_sec = (time_t)seconds;
                return 0;
        }
        uint64_t back;
        if (parse_duration(text, &back) < 0)
                return -EINVAL;
        clock_gettime(CLOCK_REALTIME, time);
        time->tv_sec -= (time_t)(back / 1000000000);
        time->tv_nsec -= (long)(back % 1000000000);
        if (time->tv_nsec < 0) {
                time->tv_nsec += 1000000000;
                time->tv_sec--;
        }
        return 0;
}

int timestamp_compare(const struct timespec *a, const struct timespec *b)
{
        if (a->tv_sec != b->tv_sec)
                return a->tv_sec < b->tv_sec ? -1 : 1;
        return a->tv_nsec == b->tv_nsec ? 0 : a->tv_nsec < b->tv_nsec ? -1 : 1;
}
