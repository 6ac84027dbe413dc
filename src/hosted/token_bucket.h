/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A limit of how much may pass in a time: a bucket that fills at a rate, up to a burst, and is emptied by what passes.
 *
 * The level is kept as time: so many nanoseconds of the rate are saved up. Something larger than the burst passes when
 * the bucket is not empty, and what comes after it waits the longer. Belongs to one device, under that device's lock.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct token_bucket {
        uint64_t rate;  /* a second; 0: no limit */
        uint64_t burst; /* that may pass at once after a rest */
        uint64_t last;  /* nanoseconds: when it was filled last */
        int64_t credit; /* nanoseconds */
};

/* burst 0: what the rate gives in 100 ms. A bucket starts full. */
void token_bucket_set(struct token_bucket *bucket, uint64_t rate, uint64_t burst, uint64_t now);

/* 0: `amount` may pass, and is taken. Otherwise the nanoseconds until it is worth asking again. */
uint64_t token_bucket_take(struct token_bucket *bucket, uint64_t amount, uint64_t now);
/* The same without taking: whether something may pass. */
uint64_t token_bucket_wait(struct token_bucket *bucket, uint64_t now);

/* "RATE" or "RATE:BURST", each with a unit as parse_size() has it. -EINVAL. */
int token_bucket_parse(const char *text, uint64_t *rate, uint64_t *burst);

/* Limits of one device: bytes, and operations or frames. */
struct rate_limit {
        struct token_bucket bytes, operations;
};

struct rate_settings {
        uint64_t bytes, bytes_burst, operations, operations_burst;
};

void rate_limit_set(struct rate_limit *limit, const struct rate_settings *settings, uint64_t now);
/* As token_bucket_take() of one operation of so many bytes. */
uint64_t rate_limit_take(struct rate_limit *limit, uint64_t bytes, uint64_t now);
uint64_t rate_limit_wait(struct rate_limit *limit, uint64_t now);
/* "rate-bytes=…" and `operations` "=…": 1 taken, 0 something else, -EINVAL with *err. */
int rate_limit_item(const char *item, const char *operations, struct rate_settings *settings, struct error *err);
