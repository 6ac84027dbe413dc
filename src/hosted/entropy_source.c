/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/entropy_source.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "hosted/vmm_private.h"
#include "machine/virtio/entropy.h"

struct entropy_source {
        struct virtio_entropy entropy;
        struct virtio_transport transport;
        struct doorbell doorbell;
};

static int fill(void *owner, void *bytes, size_t length)
{
        (void)owner;
        return getrandom(bytes, length, 0) == (ssize_t)length ? 0 : -EIO;
}

void entropy_source_close(struct entropy_source *source)
{
        doorbells_close(&source->doorbell, 1);
        free(source);
}

DEFINE_CLEANUP(source, struct entropy_source, entropy_source_close)

int entropy_source_open(struct vmm *vmm, struct entropy_source **result, struct error *err)
{
        _cleanup_(source) struct entropy_source *source = calloc(1, sizeof(*source));
        if (!source)
                return error_memory(err);
        source->doorbell.fd = -1;
        virtio_entropy_init(&source->entropy, &(struct entropy_backend){ .owner = source, .fill = fill });
        int r = doorbells_open(vmm, &source->transport, 1, &source->doorbell, err);
        if (!r)
                r = doorbells_serve(vmm, &source->doorbell, 1, err);
        if (r < 0)
                return r;
        r = machine_add_virtio(&vmm->machine, &source->transport, &source->entropy.device);
        if (r < 0)
                return error_code(err, r, "there is no place for an entropy device on the machine");
        *result = TAKE_PTR(source);
        return 0;
}
