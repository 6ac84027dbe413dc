/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The root file system of an instance: its image's layers and a folder of its own on top, by the kernel's overlay.
 *
 * Documentation/filesystems/overlayfs.rst. The mount is made detached: it is in no mount table, ends with its last
 * descriptor, and is attached by the monitor inside its own mount namespace. Layers are id-mapped where the instance
 * has a user namespace of its own (mount_setattr(2)), so that files of the image are owned by the right ids and
 * shared all the same.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

struct overlay {
        char *const *layers;      /* paths, bottom first */
        const char *upper, *work; /* paths of folders on one file system; NULL: only the layers, read-only */
        const char *scratch;      /* an empty folder that older kernels need to put layers in for a moment */
        int userns;               /* namespace whose map the layers get, -1: none */
        bool user_attributes;     /* we are an ordinary user: "user." instead of "trusted." attributes */
        bool volatile_files;      /* never synced: what is written dies with the instance anyway */
};

/* Returns a descriptor of the detached mount. */
int overlay_mount(const struct overlay *overlay, struct error *err);
/* The same with what Linux 5.19 has, without lowerdir+ and layers by descriptor; overlay_mount() falls back to it. */
int overlay_mount_classic(const struct overlay *overlay, struct error *err);
/* The layers alone, read-only and with their ids as they are on disk. */
int overlay_mount_layers(char *const *layers, struct error *err);
