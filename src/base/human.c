/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/human.h"

#include <stddef.h>
#include <stdio.h>

#include "base/cleanup.h"

static const char *size(uint64_t bytes, double step, const char *const units[], size_t count, int digits,
                        char text[HUMAN_ROOM])
{
        double value = (double)bytes;
        size_t unit = 0;
        /* What would be rounded up to the step belongs to the next unit: 999.9 kB is 1 MB. */
        for (; value >= step - 0.5 && unit + 1 < count; unit++)
                value /= step;
        snprintf(text, HUMAN_ROOM, "%.*g%s", digits, value, units[unit]);
        return text;
}

const char *human_size(uint64_t bytes, char text[HUMAN_ROOM])
{
        static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
        return size(bytes, 1000, units, ARRAY_SIZE(units), 3, text);
}

const char *human_size_binary(uint64_t bytes, char text[HUMAN_ROOM])
{
        static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
        return size(bytes, 1024, units, ARRAY_SIZE(units), 4, text);
}

const char *human_duration(int64_t seconds, char text[HUMAN_ROOM])
{
        static const int64_t minute = 60, hour = 3600, day = 24 * 3600;
        static const struct step {
                int64_t below;    /* in seconds; the first that fits is used */
                int64_t unit;     /* in seconds; 0: the text as it stands */
                const char *text; /* follows the number */
        } steps[] = {
                { 1, 0, "Less than a second" },
                { 2, 0, "1 second" },
                { minute, 1, "seconds" },
                { 2 * minute, 0, "About a minute" },
                { hour - minute / 2, minute, "minutes" },
                { hour + hour / 2, 0, "About an hour" },
                { 2 * day, hour, "hours" },
                { 14 * day, day, "days" },
                { 60 * day, 7 * day, "weeks" },
                { 730 * day, 30 * day, "months" },
                { INT64_MAX, 365 * day, "years" },
        };
        const struct step *step = steps;
        while (seconds >= step->below && step->below < INT64_MAX)
                step++;
        if (step->unit) {
                int64_t count = seconds / step->unit;
                /* Only hours are rounded; 1 h 45 min is "2 hours". */
                if (step->unit == hour)
                        count = (seconds + hour / 2) / hour;
                snprintf(text, HUMAN_ROOM, "%lld %s", (long long)count, step->text);
        } else {
                snprintf(text, HUMAN_ROOM, "%s", step->text);
        }
        return text;
}
