/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an instance is made of on disk, and under which kernel it runs. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/human.h"
#include "base/json.h"
#include "compare/comparison.h"
#include "instance/disk_usage.h"
#include "instance/folder.h"
#include "runtime_vm/machine_annotations.h"

/* The contestant's instance that waits, found; its bundle's annotations as well where `annotations` is not NULL. */
static int find_idle(const struct comparison *comparison, const struct contestant *contestant,
                     struct instance **instance, json_t **annotations, struct error *err)
{
        int r = instance_find(comparison->settings->host, contestant->idle, instance, err);
        if (r < 0 || !annotations)
                return r;
        _cleanup_close_ int folder = run_folder_open((*instance)->host, (*instance)->id);
        json_t *bundle = NULL;
        r = folder < 0 ? error_code(err, folder, "the instance does not run")
                       : json_read(folder, "bundle/config.json", &bundle, err);
        json_t *found = json_object_get(bundle, "annotations");
        *annotations = found ? json_incref(found) : json_object();
        json_decref(bundle);
        if (r < 0)
                instance_free(*instance);
        return r;
}

static uint64_t file_usage(const char *path)
{
        struct stat st;
        if (stat(path, &st) < 0)
                return 0;
        return S_ISDIR(st.st_mode) ? disk_usage(AT_FDCWD, path) : (uint64_t)st.st_blocks * 512;
}

static void set_size(json_t *cell, uint64_t bytes)
{
        char text[HUMAN_ROOM];
        cell_set(cell, (double)bytes, "bytes", "%s", human_size(bytes, text));
}

int measure_kernel(struct comparison *comparison, struct contestant *contestant, json_t *cell, struct error *err)
{
        struct trial trial;
        int r = trial_ok(comparison, (char *const[]){ "exec", contestant->idle, COMPARE_LOAD, "kernel", NULL }, &trial,
                         err);
        if (r < 0)
                return r;
        trial.output[strcspn(trial.output, "\n")] = 0;
        json_object_set_new(cell, "text", json_string(trial.output));
        return 0;
}

int measure_image(struct comparison *comparison, struct contestant *contestant, json_t *cell, struct error *err)
{
        struct instance *instance;
        json_t *notes;
        int r = find_idle(comparison, contestant, &instance, &notes, err);
        if (r < 0)
                return r;
        const char *file = json_string_value(json_object_get(notes, MACHINE_ANNOTATION_IMAGE));
        _cleanup_list_ char **layers = NULL;
        uint64_t bytes = file ? file_usage(file) : 0;
        r = instance_layers(instance, &layers, err);
        for (char **layer = layers; !r && !file && layer && *layer; layer++)
                bytes += file_usage(*layer);
        json_decref(notes);
        instance_free(instance);
        if (!r)
                set_size(cell, bytes);
        return r;
}

int measure_kernel_files(struct comparison *comparison, struct contestant *contestant, json_t *cell, struct error *err)
{
        struct instance *instance;
        json_t *notes;
        int r = find_idle(comparison, contestant, &instance, &notes, err);
        if (r < 0)
                return r;
        const char *kernel = json_string_value(json_object_get(notes, MACHINE_ANNOTATION_KERNEL));
        _cleanup_free_ char *folder = kernel ? text_format("%s/kernels/%s", instance->host->root, kernel) : NULL;
        _cleanup_free_ char *vmlinux = folder ? text_format("%s/vmlinux", folder) : NULL;
        _cleanup_free_ char *initramfs = folder ? text_format("%s/initramfs", folder) : NULL;
        if (vmlinux && initramfs)
                set_size(cell, file_usage(vmlinux) + file_usage(initramfs));
        else
                cell_set(cell, 0, "bytes", "none of its own");
        json_decref(notes);
        instance_free(instance);
        return 0;
}

int measure_written(struct comparison *comparison, struct contestant *contestant, json_t *cell, struct error *err)
{
        struct instance *instance;
        int r = find_idle(comparison, contestant, &instance, NULL, err);
        if (r < 0)
                return r;
        set_size(cell, instance_written(instance));
        instance_free(instance);
        return 0;
}
