/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hosted/vmm_private.h"

int doorbells_open(struct vmm *vmm, struct virtio_transport *transport, unsigned queues, struct doorbell *doorbells,
                   struct error *err)
{
        for (unsigned i = 0; i < queues; i++)
                doorbells[i] = (struct doorbell){ .vmm = vmm, .transport = transport, .queue = i, .fd = -1 };
        for (unsigned i = 0; i < queues; i++) {
                doorbells[i].fd = eventfd(0, EFD_CLOEXEC);
                if (doorbells[i].fd < 0)
                        return error_errno(err, "cannot make an eventfd for a device's queue");
                doorbells[i].next = vmm->doorbells;
                vmm->doorbells = &doorbells[i];
        }
        return 0;
}

static void rung(void *owner, uint32_t events)
{
        struct doorbell *doorbell = owner;
        uint64_t count;
        (void)events;
        (void)!read(doorbell->fd, &count, sizeof(count));
        pthread_mutex_lock(&doorbell->vmm->lock);
        virtio_pci_notify(doorbell->transport, doorbell->queue);
        pthread_mutex_unlock(&doorbell->vmm->lock);
}

int doorbells_serve(struct vmm *vmm, struct doorbell *doorbells, unsigned queues, struct error *err)
{
        for (unsigned i = 0; i < queues; i++) {
                doorbells[i].source =
                        (struct event_source){ .fd = doorbells[i].fd, .ready = rung, .owner = &doorbells[i] };
                int r = event_loop_add(&vmm->loop, &doorbells[i].source, EPOLLIN);
                if (r < 0)
                        return error_code(err, r, "cannot wait for a device's notifications");
        }
        return 0;
}

void doorbells_close(struct doorbell *doorbells, unsigned queues)
{
        for (unsigned i = 0; i < queues; i++)
                if (doorbells[i].fd >= 0)
                        close(doorbells[i].fd);
}

void host_doorbell(void *context, struct virtio_transport *transport, unsigned queue, uint64_t at, bool present)
{
        struct vmm *vmm = context;
        if (!vmm->operations->doorbell)
                return;
        for (struct doorbell *doorbell = vmm->doorbells; doorbell; doorbell = doorbell->next)
                /* Where the engine refuses, notifications leave the guest and reach the device all the same. */
                if (doorbell->transport == transport && doorbell->queue == queue)
                        vmm->operations->doorbell(vmm->engine, at, doorbell->fd, present);
}
