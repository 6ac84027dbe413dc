/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/token_bucket.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

#define SECOND        1000000000U
#define DEFAULT_BURST 10 /* parts of a second */

static int64_t time_of(const struct token_bucket *bucket, uint64_t amount)
{
        unsigned __int128 time = (unsigned __int128)amount * SECOND / bucket->rate;
        return time > INT64_MAX / 4 ? INT64_MAX / 4 : (int64_t)time;
}

void token_bucket_set(struct token_bucket *bucket, uint64_t rate, uint64_t burst, uint64_t now)
{
        if (!burst)
                burst = rate / DEFAULT_BURST ? rate / DEFAULT_BURST : 1;
        *bucket = (struct token_bucket){ .rate = rate, .burst = burst, .last = now };
        bucket->credit = rate ? time_of(bucket, burst) : 0;
}

static void fill(struct token_bucket *bucket, uint64_t now)
{
        int64_t most = time_of(bucket, bucket->burst);
        uint64_t passed = now > bucket->last ? now - bucket->last : 0;
        bucket->last = now;
        if (passed > INT64_MAX / 4)
                passed = INT64_MAX / 4;
        bucket->credit += (int64_t)passed;
        if (bucket->credit > most)
                bucket->credit = most;
}

uint64_t token_bucket_wait(struct token_bucket *bucket, uint64_t now)
{
        if (!bucket->rate)
                return 0;
        fill(bucket, now);
        return bucket->credit > 0 ? 0 : (uint64_t)-bucket->credit + 1;
}

uint64_t token_bucket_take(struct token_bucket *bucket, uint64_t amount, uint64_t now)
{
        uint64_t wait = token_bucket_wait(bucket, now);
        if (!wait && bucket->rate)
                bucket->credit -= time_of(bucket, amount);
        return wait;
}

int token_bucket_parse(const char *text, uint64_t *rate, uint64_t *burst)
{
        _cleanup_free_ char *copy = strdup(text);
        if (!copy)
                return -ENOMEM;
        char *colon = strchr(copy, ':');
        if (colon)
                *colon++ = '\0';
        uint64_t a_second, at_once = 0;
        if (parse_size(copy, &a_second) < 0 || (colon && parse_size(colon, &at_once) < 0))
                return -EINVAL;
        *rate = a_second;
        *burst = at_once;
        return 0;
}

/* ---- Of a device ---- */

void rate_limit_set(struct rate_limit *limit, const struct rate_settings *settings, uint64_t now)
{
        token_bucket_set(&limit->bytes, settings->bytes, settings->bytes_burst, now);
        token_bucket_set(&limit->operations, settings->operations, settings->operations_burst, now);
}

uint64_t rate_limit_wait(struct rate_limit *limit, uint64_t now)
{
        uint64_t bytes = token_bucket_wait(&limit->bytes, now), operations = token_bucket_wait(&limit->operations, now);
        return bytes > operations ? bytes : operations;
}

uint64_t rate_limit_take(struct rate_limit *limit, uint64_t bytes, uint64_t now)
{
        uint64_t wait = rate_limit_wait(limit, now);
        if (wait)
                return wait;
        (void)token_bucket_take(&limit->bytes, bytes, now);
        (void)token_bucket_take(&limit->operations, 1, now);
        return 0;
}

int rate_limit_item(const char *item, const char *operations, struct rate_settings *settings, struct error *err)
{
        const char *equals = strchr(item, '=');
        if (!equals)
                return 0;
        size_t length = (size_t)(equals - item);
        bool bytes = length == strlen("rate-bytes") && !memcmp(item, "rate-bytes", length);
        if (!bytes && (length != strlen(operations) || memcmp(item, operations, length)))
                return 0;
        int r = bytes ? token_bucket_parse(equals + 1, &settings->bytes, &settings->bytes_burst)
                      : token_bucket_parse(equals + 1, &settings->operations, &settings->operations_burst);
        return r < 0 ? error_set(err, r, "\"%s\" is no rate; it is RATE or RATE:BURST a second, as 10m or 10m:64m",
                                 equals + 1)
                     : 1;
}
