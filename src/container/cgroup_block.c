/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "container/cgroup_limits.h"

static const char *const throttle_files[THROTTLE_COUNT] = {
        [THROTTLE_READ_BPS] = "blkio.throttle.read_bps_device",
        [THROTTLE_WRITE_BPS] = "blkio.throttle.write_bps_device",
        [THROTTLE_READ_IOPS] = "blkio.throttle.read_iops_device",
        [THROTTLE_WRITE_IOPS] = "blkio.throttle.write_iops_device",
};

static const char *const throttle_keys[THROTTLE_COUNT] = {
        [THROTTLE_READ_BPS] = "rbps",
        [THROTTLE_WRITE_BPS] = "wbps",
        [THROTTLE_READ_IOPS] = "riops",
        [THROTTLE_WRITE_IOPS] = "wiops",
};

static bool has(const struct cgroup_directory *directory, const char *file)
{
        return !faccessat(directory->fd, file, F_OK, 0);
}

static int put(const struct cgroup_directory *directory, const char *field, size_t i, const char *file,
               const char *value, struct error *err)
{
        int r = control_write(directory->fd, file, value);
        if (!r)
                return 0;
        char place[32] = "";
        if (i != SIZE_MAX)
                snprintf(place, sizeof(place), "[%zu]", i);
        if (r == -ENOENT)
                return error_set(err, -EOPNOTSUPP,
                                 "linux.resources.blockIO.%s%s: this kernel has no control file %s/%s; it needs "
                                 "an I/O scheduler that keeps weights (modprobe bfq), or remove the limit",
                                 field, place, directory->path, file);
        if (r == -ENODEV || r == -ENXIO)
                return error_set(err, r, "linux.resources.blockIO.%s%s: there is no block device that \"%s\" names",
                                 field, place, value);
        return error_code(err, r, "linux.resources.blockIO.%s%s: cannot write \"%s\" to %s/%s", field, place, value,
                          directory->path, file);
}

/* Which files keep weights: those of BFQ, else the kernel's older ones (v1) or the ones of io.cost (v2). */
struct weight_files {
        const char *weight, *device, *leaf, *leaf_device;
        bool converted;
};

static struct weight_files weight_files(const struct cgroup_directory *directory)
{
        if (directory->version == 2) {
                if (has(directory, "io.bfq.weight"))
                        return (struct weight_files){ .weight = "io.bfq.weight", .device = "io.bfq.weight" };
                return (struct weight_files){ .weight = "io.weight", .device = "io.weight", .converted = true };
        }
        bool bfq = has(directory, "blkio.bfq.weight");
        return (struct weight_files){
                .weight = bfq ? "blkio.bfq.weight" : "blkio.weight",
                .device = bfq ? "blkio.bfq.weight_device" : "blkio.weight_device",
                .leaf = "blkio.leaf_weight",
                .leaf_device = "blkio.leaf_weight_device",
        };
}

static int put_weight(const struct cgroup_directory *directory, const char *field, size_t i, const char *file,
                      const struct block_limit *device, struct number weight, bool converted, struct error *err)
{
        if (!weight.present)
                return 0;
        if (!file)
                return error_set(err, -EOPNOTSUPP,
                                 "linux.resources.blockIO.%s: cgroup v2, which this host uses, has no weight for "
                                 "leaves; set weight instead",
                                 field);
        uint64_t value = (uint64_t)weight.value;
        if (converted && value)
                value = io_weight_of_block_weight(value);
        char text[64];
        if (device)
                snprintf(text, sizeof(text), "%" PRId64 ":%" PRId64 " %" PRIu64, device->major, device->minor, value);
        else
                snprintf(text, sizeof(text), "%" PRIu64, value);
        return put(directory, field, i, file, text, err);
}

static int apply_weights(const struct cgroup_directory *directory, const struct resources *resources, struct error *err)
{
        const struct block_limits *devices = &resources->block.weight_devices;
        if (!resources->block.weight.present && !resources->block.leaf_weight.present && !devices->count)
                return 0;
        struct weight_files files = weight_files(directory);
        int r = put_weight(directory, "weight", SIZE_MAX, files.weight, NULL, resources->block.weight, files.converted,
                           err);
        if (!r)
                r = put_weight(directory, "leafWeight", SIZE_MAX, files.leaf, NULL, resources->block.leaf_weight, false,
                               err);
        for (size_t i = 0; !r && i < devices->count; i++) {
                const struct block_limit *device = &devices->items[i];
                r = put_weight(directory, "weightDevice", i, files.device, device, device->weight, files.converted,
                               err);
                if (!r)
                        r = put_weight(directory, "weightDevice", i, files.leaf_device, device, device->leaf_weight,
                                       false, err);
        }
        return r;
}

static int apply_throttle(const struct cgroup_directory *directory, enum throttle throttle,
                          const struct block_limits *limits, struct error *err)
{
        for (size_t i = 0; i < limits->count; i++) {
                const struct block_limit *limit = &limits->items[i];
                char text[96];
                /* Rate 0 takes a limit back: v1 means that by 0, v2 by the word. */
                if (directory->version == 1)
                        snprintf(text, sizeof(text), "%" PRId64 ":%" PRId64 " %" PRId64, limit->major, limit->minor,
                                 limit->rate.value);
                else if (limit->rate.value)
                        snprintf(text, sizeof(text), "%" PRId64 ":%" PRId64 " %s=%" PRId64, limit->major, limit->minor,
                                 throttle_keys[throttle], limit->rate.value);
                else
                        snprintf(text, sizeof(text), "%" PRId64 ":%" PRId64 " %s=max", limit->major, limit->minor,
                                 throttle_keys[throttle]);
                int r = put(directory, throttle_field(throttle), i,
                            directory->version == 1 ? throttle_files[throttle] : "io.max", text, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

int apply_block(const struct cgroup_directory *directory, const struct resources *resources, struct error *err)
{
        int r = apply_weights(directory, resources, err);
        for (enum throttle i = 0; !r && i < THROTTLE_COUNT; i++)
                r = apply_throttle(directory, i, &resources->block.throttles[i], err);
        return r;
}
