/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk of the guest: a virtio block device whose back end is a raw file or a block device of the host.
 *
 * Each queue has a thread of its own, which waits for the driver's notifications, takes requests off the queue
 * under the machine's lock, does the input and output without it, and answers them. A file that a guest may write
 * is locked for it; one that is read-only may be shared by any number of guests.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct vmm;
struct disk;

struct disk_settings {
        char path[4096];
        char serial[24]; /* at most VIRTIO_BLOCK_SERIAL bytes */
        bool read_only;
        unsigned queues;
};

/* "FILE[,ro][,serial=TEXT][,queues=N]". -EINVAL. */
int disk_parse(const char *text, unsigned cpus, struct disk_settings *settings, struct error *err);

/* Opens the file and puts the disk on the machine; the guest must not run yet. */
int disk_open(struct vmm *vmm, const struct disk_settings *settings, struct disk **disk, struct error *err);
/* Starts its threads: in the jail, before the processors. */
int disk_start(struct disk *disk, struct error *err);
/* Ends its threads; what was under way is finished. The processors have stopped. */
void disk_close(struct disk *disk);

void disk_print_statistics(const struct disk *disk);
