/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first content of a volume: what the image has at the place where it is mounted, as docker has it.
 *
 * One starter at a time fills, under the lock <root>/volumes/<name>/.lock. While it does, the file `filling` is there:
 * whoever comes next and finds it knows that the filler was killed or failed, and empties the volume first. So no
 * instance starts with a volume that is filled in part.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct volume_filling {
        int volume, data, lock; /* its folder, _data in it, and what closes it to others; -1: not open */
};

/*
 * Waits for another that fills the volume whose _data is at `path`. Returns 1 where the volume is empty and `wanted`:
 * then the caller fills filling->data, and where it does not call volume_filled(), the next one starts over. 0: nothing
 * is to do.
 */
int volume_fill_begin(const char *path, bool wanted, struct volume_filling *filling, struct error *err);
/* All is there. */
int volume_filled(struct volume_filling *filling, struct error *err);
/* To be called in any case. */
void volume_filling_release(struct volume_filling *filling);
