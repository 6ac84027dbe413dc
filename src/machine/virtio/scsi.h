/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio SCSI host (virtio 1.2, section 5.6) with one target: a CD-ROM drive with a disc in it (MMC-6, SPC-4).
 *
 * It is there because firmware boots discs from SCSI drives, not from virtio block devices. The disc is read in blocks
 * of 2048 bytes through the back end, at once. Freestanding.
 */
#pragma once

#include "machine/virtio/device.h"

#define SCSI_BLOCK 2048

struct scsi_backend {
        void *owner;
        uint32_t blocks;
        /* 0, or a negative code: the drive tells of a medium error. Within `blocks`. */
        int (*read)(void *owner, uint32_t block, void *bytes);
};

struct virtio_scsi {
        struct virtio_device device;
        struct scsi_backend backend;
        uint32_t sense_size, cdb_size; /* as the driver has set them: its requests have this form */
};

void virtio_scsi_init(struct virtio_scsi *scsi, const struct scsi_backend *backend);
