/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk of the guest: a virtio block device on a disk image.
 *
 * Each queue has a thread of its own, which waits for the driver's notifications, takes requests off the queue
 * under the machine's lock, does the input and output without it, and answers them. A file that a guest may write
 * is locked for it; one that is read-only may be shared by any number of guests. Where the host has no room left,
 * the guest sees an error, or is paused until disk_resume().
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "hosted/disk_image.h"
#include "hosted/token_bucket.h"

struct vmm;
struct disk;

struct disk_settings {
        char path[4096];
        char serial[24];    /* at most VIRTIO_BLOCK_SERIAL bytes */
        char backing[4096]; /* where images behind it may lie; empty: beside it */
        enum disk_format format;
        bool read_only, full_pauses;
        unsigned queues; /* 1 to DISK_QUEUES_MAX */
        struct rate_settings rate;
};

#define DISK_QUEUES_MAX 8

/*
 * "FILE[,ro][,format=raw|qcow2][,backing=FOLDER][,full=error|pause][,serial=TEXT][,queues=N][,rate-bytes=RATE[:BURST]]
 * [,rate-operations=RATE[:BURST]]". -EINVAL.
 */
int disk_parse(const char *text, unsigned cpus, struct disk_settings *settings, struct error *err);

/* Opens the file and puts the disk on the machine; the guest must not run yet. */
int disk_open(struct vmm *vmm, const struct disk_settings *settings, struct disk **disk, struct error *err);
/* Starts its threads: in the jail, before the processors. */
int disk_start(struct disk *disk, struct error *err);
/* Goes on with what waited for room on the host. The machine's lock is held. */
void disk_resume(struct disk *disk);
/* From now on; the machine's lock is held. */
void disk_set_rate(struct disk *disk, const struct rate_settings *rate);
/* Ends its threads; what was under way is finished. The processors have stopped. */
void disk_close(struct disk *disk);

void disk_print_statistics(const struct disk *disk);
