/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtio SCSI host with its CD drive under a hostile driver. */
#include "machine/virtio/scsi.h"

#include "fuzz_device.h"

static struct virtio_scsi scsi;

static int read_block(void *owner, uint32_t block, void *bytes)
{
        (void)owner;
        memset(bytes, (int)block, SCSI_BLOCK);
        return block % 7 ? 0 : -5;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        virtio_scsi_init(&scsi, &(struct scsi_backend){ .blocks = 1000, .read = read_block });
        fuzz_device(&scsi.device, NULL, data, size);
        return 0;
}
