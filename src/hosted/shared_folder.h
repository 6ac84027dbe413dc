/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A folder of the host that the guest mounts by its tag (virtiofs): the device, and the process that serves it
 * (shared_process.h).
 *
 * Opened before anything else of the guest's, when its memory is there: that has to be mapped shared (guest_ram.h).
 * Only by the main thread.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "hosted/shared_session.h"
#include "machine/virtio/filesystem.h"

struct vmm;
struct shared_folder;

struct shared_folder_settings {
        char tag[VIRTIO_FILESYSTEM_TAG + 1];
        char path[4096];
        unsigned queues; /* of requests */
        struct shared_session_settings session;
};

/*
 * TAG=FOLDER[,ro][,cache=auto|always|never][,writeback][,queues=N]. A comma in the folder's name is written twice.
 * -EINVAL.
 */
int shared_folder_parse(const char *text, unsigned cpus, struct shared_folder_settings *settings, struct error *err);

int shared_folder_open(struct vmm *vmm, const struct shared_folder_settings *settings, bool no_jail,
                       struct shared_folder **folder, struct error *err);
void shared_folder_close(struct shared_folder *folder);
