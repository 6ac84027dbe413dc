/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The root file system of a virtual machine: the image as one read-only file that all of its machines share, and a disk
 * for what the instance writes. On this side the layers are mounted as well, to find users in and to fill volumes from.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "base/process.h"
#include "base/test_point.h"
#include "base/text.h"
#include "image/erofs.h"
#include "image/store.h"
#include "image/writable_disk.h"
#include "instance/folder.h"
#include "instance/overlay.h"
#include "instance/start.h"
#include "instance/vessel_private.h"

/* It is sparse: what the guest does not write takes no room on the host. */
DEFINE_CLEANUP(store, struct store, store_close)

#define DISK_SIZE (16ULL << 30)

/* By its number: its name may be another image's by now. */
static int find_image_file(struct start *start, struct error *err)
{
        const json_t *image = json_object_get(start->instance->config, "image");
        const char *id = json_string_value(json_object_get(image, "id"));
        _cleanup_(store) struct store *store = NULL;
        _cleanup_image_ struct image *found = NULL;
        int r = id ? store_open(start->host->root, &store, err)
                   : error_set(err, -EBADMSG, "config.json names no image");
        if (!r)
                r = store_find(store, id, &found, err);
        return r < 0 ? r : store_erofs(store, found, &start->image_file, err);
}

static int make_disk(const struct start *start, struct error *err)
{
        if (!faccessat(start->instance->folder, VM_DISK, F_OK, AT_SYMLINK_NOFOLLOW))
                return 0;
        int r = writable_disk_make(start->host->root, DISK_SIZE, start->instance->folder, VM_DISK, err);
        test_point("instance.start.disk.made");
        return r;
}

int vm_root(struct start *start, struct error *err)
{
        _cleanup_list_ char **layers = NULL;
        int r = instance_layers(start->instance, &layers, err);
        if (!r)
                r = find_image_file(start, err);
        if (!r)
                r = make_disk(start, err);
        if (r < 0)
                return r;
        start->root = overlay_mount_layers(layers, err);
        return start->root < 0 ? start->root : 0;
}

/* As the monitor has it in its mount namespace. */
int vm_open_root(const struct instance *instance, struct error *err)
{
        pid_t pid = (pid_t)json_integer_value(json_object_get(instance->run, "monitor"));
        uint64_t start = (uint64_t)json_integer_value(json_object_get(instance->run, "monitor_start"));
        _cleanup_free_ char *path =
                text_format("/proc/%d/root%s/instances/%s/rootfs", (int)pid, instance->host->state, instance->id);
        if (!path)
                return error_memory(err);
        _cleanup_close_ int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_close_ int monitor = root < 0 ? -errno : process_open(pid, start);
        if (monitor < 0)
                return error_code(err, monitor, "cannot open the root folder of instance %s", instance->name);
        return TAKE_FD(root);
}
