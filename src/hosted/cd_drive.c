/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/cd_drive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "hosted/vmm_private.h"
#include "machine/virtio/scsi.h"

#define QUEUES 3

struct cd_drive {
        struct virtio_scsi scsi;
        struct virtio_transport transport;
        struct doorbell doorbells[QUEUES];
        int disc;
};

static int read_block(void *owner, uint32_t block, void *bytes)
{
        const struct cd_drive *drive = owner;
        ssize_t done;
        do
                done = pread(drive->disc, bytes, SCSI_BLOCK, (off_t)block * SCSI_BLOCK);
        while (done < 0 && errno == EINTR);
        if (done < 0)
                return -errno;
        memset((char *)bytes + done, 0, SCSI_BLOCK - (size_t)done);
        return 0;
}

void cd_drive_close(struct cd_drive *drive)
{
        doorbells_close(drive->doorbells, QUEUES);
        if (drive->disc >= 0)
                close(drive->disc);
        free(drive);
}

DEFINE_CLEANUP(drive, struct cd_drive, cd_drive_close)

static int open_disc(struct cd_drive *drive, const char *path, uint32_t *blocks, struct error *err)
{
        struct stat st;
        drive->disc = open(path, O_RDONLY | O_CLOEXEC);
        if (drive->disc < 0 || fstat(drive->disc, &st) < 0)
                return error_errno(err, "cannot open disc %s", path);
        if (!S_ISREG(st.st_mode) || !st.st_size)
                return error_set(err, -EINVAL, "disc %s is not a file with contents", path);
        if (st.st_size / SCSI_BLOCK >= UINT32_MAX - 1)
                return error_set(err, -EFBIG, "disc %s is larger than 8 TiB", path);
        *blocks = (uint32_t)((st.st_size + SCSI_BLOCK - 1) / SCSI_BLOCK);
        return 0;
}

int cd_drive_open(struct vmm *vmm, const char *path, struct cd_drive **result, struct error *err)
{
        _cleanup_(drive) struct cd_drive *drive = calloc(1, sizeof(*drive));
        uint32_t blocks = 0;
        if (!drive)
                return error_memory(err);
        for (unsigned i = 0; i < QUEUES; i++)
                drive->doorbells[i].fd = -1;
        int r = open_disc(drive, path, &blocks, err);
        if (r < 0)
                return r;
        virtio_scsi_init(&drive->scsi, &(struct scsi_backend){ .owner = drive, .blocks = blocks, .read = read_block });
        r = doorbells_open(vmm, &drive->transport, QUEUES, drive->doorbells, err);
        if (!r)
                r = doorbells_serve(vmm, drive->doorbells, QUEUES, err);
        if (r < 0)
                return r;
        r = machine_add_virtio(&vmm->machine, &drive->transport, &drive->scsi.device);
        if (r < 0)
                return error_code(err, r, "there is no place for a CD drive on the machine");
        *result = TAKE_PTR(drive);
        return 0;
}
