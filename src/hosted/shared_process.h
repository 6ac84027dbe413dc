/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that serves one shared folder: it alone of a virtual machine's processes keeps privileges over files,
 * and sees nothing but that folder and the guest's memory.
 *
 * The virtual machine's process makes it before it runs a guest. It takes the device's queues over while the driver
 * is there (struct shared_message), serves each in a thread that the guest's notifications wake, and says by
 * eventfds when the driver is to be interrupted. It ends with the other end of its channel. What comes over the
 * channel is checked like a guest's: the other end faces the guest.
 */
#pragma once

#include <sys/types.h>

#include "base/error.h"
#include "hosted/shared_session.h"
#include "machine/virtio/filesystem.h"

enum shared_command { SHARED_START, SHARED_STOP };

/* Over a SOCK_SEQPACKET channel; each is answered by one byte. */
struct shared_message {
        enum shared_command command;
        unsigned count;
        struct virtqueue queues[VIRTIO_FILESYSTEM_QUEUES_MAX];
};

struct shared_process {
        const char *path; /* of the folder */
        struct shared_session_settings session;
        struct guest_memory *memory; /* mapped shared */
        unsigned queue_count;
        int kicks[VIRTIO_FILESYSTEM_QUEUES_MAX]; /* the guest notified */
        int calls[VIRTIO_FILESYSTEM_QUEUES_MAX]; /* the driver is to be interrupted */
        int broken;                              /* the driver broke a queue */
        bool no_jail;
};

/*
 * Makes the process, which has copies of the descriptors. Returns its number when it is ready to serve, with the
 * channel to it in *channel, or a negative errno. Called while this process has one thread.
 */
pid_t shared_process_start(const struct shared_process *process, int *channel, struct error *err);
