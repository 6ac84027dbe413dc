/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/import.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/test_point.h"
#include "base/text.h"
#include "kernel/bzimage.h"
#include "kernel/initramfs.h"
#include "kernel/module_set.h"
#include "kernel/package.h"
#include "kernel/unpack.h"

#define BOOT             "/boot"
#define PREFIX           "vmlinuz-"
#define KERNEL_BYTES_MAX ((size_t)256 << 20)

struct importing {
        const struct kernel_source *source;
        const struct kernel_programs *programs;
        const char *file; /* for errors and kernel.json */
        int kernels;
        char release[BZIMAGE_RELEASE_MAX + 1];
        char *vmlinux;
        size_t length;
        char **modules;
};

/* ---- Which one ---- */

static int is_kernel(const struct dirent *entry)
{
        return text_starts(entry->d_name, PREFIX);
}

/* The path, which the caller frees. */
static int find_in_boot(char **path, struct error *err)
{
        struct dirent **entries = NULL;
        int count = scandir(BOOT, &entries, is_kernel, versionsort);
        const char *best = NULL;
        for (int i = 0; i < count; i++)
                if (!best || strstr(entries[i]->d_name, "cloud") || !strstr(best, "cloud"))
                        best = entries[i]->d_name;
        *path = best ? text_format(BOOT "/%s", best) : NULL;
        for (int i = 0; i < count; i++)
                free(entries[i]);
        free(entries);
        if (!best)
                return error_set(err, -ENOENT,
                                 "there is no kernel in " BOOT "; name a kernel's file or a package, or install one "
                                 "(Debian: apt install linux-image-cloud-amd64)");
        return *path ? 0 : error_memory(err);
}

/* ---- Its parts ---- */

/* Reads the kernel at `name`, packed or not: what it is and what it unpacks to. */
static int read_kernel(struct importing *importing, int dir, const char *name, struct error *err)
{
        _cleanup_free_ char *bytes = NULL;
        size_t length;
        struct bzimage image;
        int r = file_read(dir, name, KERNEL_BYTES_MAX, &bytes, &length, err);
        if (r < 0)
                return r;
        if (length > SELFMAG && !memcmp(bytes, ELFMAG, SELFMAG)) {
                importing->vmlinux = TAKE_PTR(bytes);
                importing->length = length;
                r = kernel_release_find(importing->vmlinux, length, importing->release, err);
                return r < 0 ? error_prefix(err, "%s", importing->file) : 0;
        }
        r = bzimage_parse(bytes, length, &image, err);
        if (!r)
                r = unpack_kernel(bytes + image.payload, image.payload_length, &importing->vmlinux, &importing->length,
                                  err);
        if (r < 0)
                return error_prefix(err, "%s", importing->file);
        TEXT_COPY(importing->release, image.release);
        return 0;
}

static int copy_modules(struct importing *importing, int from, int folder, struct error *err)
{
        if (mkdirat(folder, "modules", 0755) < 0)
                return error_errno(err, "cannot make a folder for modules");
        _cleanup_close_ int target = openat(folder, "modules", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (target < 0)
                return error_errno(err, "cannot open the folder for modules");
        return module_set_copy(from, target, &importing->modules, err);
}

static int open_modules(const struct importing *importing, struct error *err)
{
        _cleanup_free_ char *path = importing->source->modules ? strdup(importing->source->modules)
                                                               : text_format("/lib/modules/%s", importing->release);
        if (!path)
                return error_memory(err);
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? error_errno(err, "cannot open %s, the modules of that kernel; --modules says where they are",
                                    path)
                      : fd;
}

static int describe(const struct importing *importing, int folder, struct error *err)
{
        _cleanup_json_ json_t *programs = NULL;
        json_t *modules = json_array();
        int r = initramfs_programs(importing->programs, &programs, err);
        for (size_t i = 0; i < list_length(importing->modules); i++)
                json_array_append_new(modules, json_string(importing->modules[i]));
        _cleanup_json_ json_t *about =
                json_pack("{s:i, s:s, s:s, s:o, s:O}", "version", 1, "release", importing->release, "source",
                          importing->file, "modules", modules, "programs", programs);
        if (r < 0)
                return r;
        return about ? json_replace(folder, "kernel.json", about, true, err) : error_memory(err);
}

/* Everything in its folder, which gets its name at the end. `modules` are the kernel's own. */
static int make(struct importing *importing, int modules, struct error *err)
{
        _cleanup_close_ int folder = kernels_begin(importing->kernels, importing->release, err);
        if (folder < 0)
                return folder;
        int r = file_replace(folder, "vmlinux", importing->vmlinux, importing->length, 0644, err);
        test_point("kernel.import.vmlinux");
        if (!r)
                r = copy_modules(importing, modules, folder, err);
        if (!r)
                r = initramfs_write(folder, importing->programs, err);
        if (!r)
                r = describe(importing, folder, err);
        test_point("kernel.import.made");
        return r < 0 ? r : kernels_finish(importing->kernels, importing->release, importing->source->make_default, err);
}

static int import_file(struct importing *importing, struct error *err)
{
        int r = read_kernel(importing, AT_FDCWD, importing->file, err);
        if (r < 0)
                return r;
        _cleanup_close_ int modules = open_modules(importing, err);
        return modules < 0 ? modules : make(importing, modules, err);
}

/* The package is taken apart beside the store first: a folder that the next import removes if this one is killed. */
static int import_package(struct importing *importing, struct error *err)
{
        static const char name[] = ".package";
        int r = tree_remove(importing->kernels, name, err);
        if (!r && mkdirat(importing->kernels, name, 0700) < 0)
                r = error_errno(err, "cannot make a folder beside the kernels");
        _cleanup_close_ int folder = r < 0 ? r : openat(importing->kernels, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
                return r < 0 ? r : error_errno(err, "cannot open a folder beside the kernels");
        r = package_extract(importing->file, folder, err);
        if (!r && faccessat(folder, "vmlinuz", F_OK, 0))
                r = error_set(err, -EBADMSG, "there is no kernel in it; linux-image-… packages have one");
        if (r < 0)
                error_prefix(err, "%s", importing->file);
        else
                r = read_kernel(importing, folder, "vmlinuz", err);
        _cleanup_close_ int modules = -1;
        if (!r) {
                modules = importing->source->modules ? open_modules(importing, err)
                                                     : openat(folder, "modules", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (modules < 0)
                        r = importing->source->modules
                                    ? modules
                                    : error_set(err, -EBADMSG, "%s: there are no modules in it", importing->file);
        }
        if (!r)
                r = make(importing, modules, err);
        int removed = tree_remove(importing->kernels, name, r < 0 ? NULL : err);
        return r < 0 ? r : removed;
}

int kernel_import(const char *root, const struct kernel_source *source, const struct kernel_programs *programs,
                  char **release, struct error *err)
{
        _cleanup_free_ char *found = NULL;
        int r = source->file ? 0 : find_in_boot(&found, err);
        if (r < 0)
                return r;
        _cleanup_close_ int kernels = kernels_open(root, err);
        _cleanup_close_ int lock = kernels < 0 ? kernels : kernels_lock(kernels, err);
        if (lock < 0)
                return lock;
        struct importing importing = {
                .source = source, .programs = programs, .file = source->file ? source->file : found, .kernels = kernels
        };
        r = text_ends(importing.file, ".deb") ? import_package(&importing, err) : import_file(&importing, err);
        free(importing.vmlinux);
        list_free(importing.modules);
        if (r < 0)
                return r;
        *release = strdup(importing.release);
        return *release ? 0 : error_memory(err);
}
