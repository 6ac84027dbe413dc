/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/test_point.h"
#include "base/text.h"
#include "kernel/initramfs.h"

#define DEFAULT "default"
#define LOCK    "lock"
#define MAKING  "tmp"

#define HOW_TO_GET_ONE                                                                                                 \
        "`onggi kernel import` takes one from /boot or a package (Debian: apt install linux-image-cloud-amd64)"

/* ---- Names ---- */

/* Of a folder of ours that holds a kernel. */
static bool is_release(const char *name)
{
        return *name >= '0' && *name <= '9' && !strchr(name, '/');
}

/* The folder of kernels, -ENOENT without a text where there is none yet. */
static int open_kernels(const char *root)
{
        _cleanup_free_ char *path = text_format("%s/kernels", root);
        if (!path)
                return -ENOMEM;
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

int kernels_open(const char *root, struct error *err)
{
        _cleanup_free_ char *path = text_format("%s/kernels", root);
        return path ? directory_make(path, 0755, err) : error_memory(err);
}

static bool read_default(int kernels, char release[static NAME_MAX + 1])
{
        ssize_t n = readlinkat(kernels, DEFAULT, release, NAME_MAX);
        release[n < 0 ? 0 : n] = 0;
        return n > 0 && is_release(release);
}

static int write_default(int kernels, const char *release, struct error *err)
{
        static const char making[] = DEFAULT ".new"; /* the lock is held: nobody else makes one */
        unlinkat(kernels, making, 0);
        if (symlinkat(release, kernels, making) < 0 || renameat(kernels, making, kernels, DEFAULT) < 0)
                return error_errno(err, "cannot make %s the default kernel", release);
        return 0;
}

static int open_release(int kernels, const char *release, struct error *err)
{
        if (!is_release(release))
                return error_set(err, -ENOENT, "\"%s\" is no release of a kernel; `onggi kernel ls` lists them",
                                 release);
        int fd = openat(kernels, release, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
                return error_set(err, -ENOENT, "there is no kernel %s; `onggi kernel ls` lists those that are there",
                                 release);
        return fd < 0 ? error_errno(err, "cannot open the kernel %s", release) : fd;
}

/* ---- Finding one ---- */

/* Makes the initramfs anew where the programs are not those that it was made of. */
static int refresh(int kernels, int folder, const struct kernel_programs *programs, json_t *about, struct error *err)
{
        _cleanup_json_ json_t *now = NULL;
        int r = initramfs_programs(programs, &now, err);
        if (r < 0 || (json_equal(now, json_object_get(about, "programs")) && !faccessat(folder, "initramfs", R_OK, 0)))
                return r;
        _cleanup_close_ int lock = lock_take(kernels, LOCK, true, err);
        if (lock < 0)
                return lock;
        r = initramfs_write(folder, programs, err);
        test_point("kernel.initramfs.written");
        if (!r && json_object_set(about, "programs", now) < 0)
                r = error_memory(err);
        return r < 0 ? r : json_replace(folder, "kernel.json", about, true, err);
}

static int fill(const char *root, const char *release, const json_t *about, struct kernel *kernel, struct error *err)
{
        const json_t *append = json_object_get(about, "command_line");
        kernel->release = strdup(release);
        kernel->vmlinux = text_format("%s/kernels/%s/vmlinux", root, release);
        kernel->initramfs = text_format("%s/kernels/%s/initramfs", root, release);
        kernel->command_line = strdup(json_is_string(append) ? json_string_value(append) : KERNEL_COMMAND_LINE);
        if (!kernel->release || !kernel->vmlinux || !kernel->initramfs || !kernel->command_line)
                return error_memory(err);
        return access(kernel->vmlinux, R_OK) ? error_errno(err, "cannot read %s", kernel->vmlinux) : 0;
}

int kernel_find(const char *root, const char *release, const struct kernel_programs *programs, struct kernel **result,
                struct error *err)
{
        char by_default[NAME_MAX + 1];
        _cleanup_close_ int kernels = open_kernels(root);
        if (kernels < 0 && kernels != -ENOENT)
                return error_code(err, kernels, "cannot open %s/kernels", root);
        if (!release) {
                if (kernels < 0 || !read_default(kernels, by_default))
                        return error_set(err, -ENOENT, "there is no kernel for virtual machines yet; " HOW_TO_GET_ONE);
                release = by_default;
        }
        if (kernels < 0)
                return error_set(err, -ENOENT, "there is no kernel %s; " HOW_TO_GET_ONE, release);
        _cleanup_json_ json_t *about = NULL;
        _cleanup_(kernel) struct kernel *kernel = calloc(1, sizeof(*kernel));
        _cleanup_close_ int folder = open_release(kernels, release, err);
        if (folder < 0)
                return folder;
        int r = json_read(folder, "kernel.json", &about, err);
        if (!r)
                r = refresh(kernels, folder, programs, about, err);
        if (!r)
                r = kernel ? fill(root, release, about, kernel, err) : error_memory(err);
        if (r < 0)
                return error_prefix(err, "kernel %s", release);
        *result = TAKE_PTR(kernel);
        return 0;
}

void kernel_free(struct kernel *kernel)
{
        free(kernel->release);
        free(kernel->vmlinux);
        free(kernel->initramfs);
        free(kernel->command_line);
        free(kernel);
}

/* ---- Listing, removing ---- */

static json_int_t size_of(int folder, const char *name)
{
        struct stat st;
        return fstatat(folder, name, &st, 0) ? 0 : (json_int_t)st.st_blocks * 512;
}

static int describe(const char *root, int kernels, const char *release, bool is_default, json_t *list,
                    struct error *err)
{
        _cleanup_json_ json_t *about = NULL;
        _cleanup_close_ int folder = open_release(kernels, release, err);
        if (folder < 0)
                return folder == -ENOENT ? 0 : folder; /* removed meanwhile */
        _cleanup_free_ char *path = text_format("%s/kernels/%s", root, release);
        int r = json_read(folder, "kernel.json", &about, err);
        if (r < 0)
                return error_prefix(err, "kernel %s", release);
        const json_t *source = json_object_get(about, "source");
        json_t *one = json_pack("{s:s, s:b, s:I, s:s, s:i, s:s}", "Release", release, "Default", is_default, "Size",
                                size_of(folder, "vmlinux") + size_of(folder, "initramfs"), "Source",
                                json_is_string(source) ? json_string_value(source) : "", "Modules",
                                (int)json_array_size(json_object_get(about, "modules")), "Path", path ? path : "");
        return json_array_append_new(list, one) < 0 ? error_memory(err) : 0;
}

static int is_kernel(const struct dirent *entry)
{
        return is_release(entry->d_name);
}

int kernel_list(const char *root, json_t **result, struct error *err)
{
        char by_default[NAME_MAX + 1];
        struct dirent **entries = NULL;
        _cleanup_json_ json_t *list = json_array();
        _cleanup_close_ int kernels = open_kernels(root);
        int count = kernels < 0 ? 0 : scandirat(kernels, ".", &entries, is_kernel, versionsort), r = 0;
        if (!list || count < 0)
                return list ? error_errno(err, "cannot read %s/kernels", root) : error_memory(err);
        if (kernels >= 0)
                read_default(kernels, by_default);
        for (int i = 0; i < count; i++) {
                if (!r)
                        r = describe(root, kernels, entries[i]->d_name, text_equal(entries[i]->d_name, by_default),
                                     list, err);
                free(entries[i]);
        }
        free(entries);
        if (!r)
                *result = TAKE_PTR(list);
        return r;
}

static int making_folder(int kernels, struct error *err)
{
        if (mkdirat(kernels, MAKING, 0700) < 0 && errno != EEXIST)
                return error_errno(err, "cannot make a folder for kernels in the making");
        int fd = openat(kernels, MAKING, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? error_errno(err, "cannot open the folder of kernels in the making") : fd;
}

/* The newest of those that are left. */
static int choose_default(const char *root, int kernels, struct error *err)
{
        _cleanup_json_ json_t *list = NULL;
        int r = kernel_list(root, &list, err);
        size_t count = json_array_size(list);
        if (r < 0)
                return r;
        if (!count)
                return unlinkat(kernels, DEFAULT, 0) < 0 && errno != ENOENT
                               ? error_errno(err, "cannot remove the default kernel's name")
                               : 0;
        return write_default(kernels, json_string_value(json_object_get(json_array_get(list, count - 1), "Release")),
                             err);
}

int kernel_remove(const char *root, const char *release, struct error *err)
{
        char by_default[NAME_MAX + 1];
        _cleanup_close_ int kernels = kernels_open(root, err);
        _cleanup_close_ int lock = kernels < 0 ? kernels : lock_take(kernels, LOCK, true, err);
        if (lock < 0)
                return lock;
        _cleanup_close_ int folder = open_release(kernels, release, err);
        _cleanup_close_ int making = folder < 0 ? folder : making_folder(kernels, err);
        if (making < 0)
                return making;
        int r = tree_remove(making, release, err);
        /* Out of sight in one step: what has its name is whole. */
        if (!r && renameat(kernels, release, making, release) < 0)
                r = error_errno(err, "cannot remove the kernel %s", release);
        test_point("kernel.remove.renamed");
        if (!r && read_default(kernels, by_default) && text_equal(by_default, release))
                r = choose_default(root, kernels, err);
        return r < 0 ? r : tree_remove(making, release, err);
}

int kernel_set_default(const char *root, const char *release, struct error *err)
{
        _cleanup_close_ int kernels = kernels_open(root, err);
        _cleanup_close_ int lock = kernels < 0 ? kernels : lock_take(kernels, LOCK, true, err);
        if (lock < 0)
                return lock;
        _cleanup_close_ int folder = open_release(kernels, release, err);
        return folder < 0 ? folder : write_default(kernels, release, err);
}

/* ---- Making one ---- */

int kernels_lock(int kernels, struct error *err)
{
        return lock_take(kernels, LOCK, true, err);
}

int kernels_begin(int kernels, const char *release, struct error *err)
{
        int r = tree_remove(kernels, MAKING, err);
        _cleanup_close_ int making = r < 0 ? r : making_folder(kernels, err);
        if (making < 0)
                return making;
        if (mkdirat(making, release, 0755) < 0)
                return error_errno(err, "cannot make a folder for the kernel %s", release);
        int folder = openat(making, release, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return folder < 0 ? error_errno(err, "cannot open the folder of the kernel %s", release) : folder;
}

int kernels_finish(int kernels, const char *release, bool make_default, struct error *err)
{
        char by_default[NAME_MAX + 1];
        _cleanup_close_ int making = making_folder(kernels, err);
        if (making < 0)
                return making;
        /* One that is there already changes places with the new one, and goes. */
        if (renameat2(making, release, kernels, release, RENAME_EXCHANGE) < 0 &&
            (errno != ENOENT || renameat(making, release, kernels, release) < 0))
                return error_errno(err, "cannot put the kernel %s in its place", release);
        test_point("kernel.import.renamed");
        int r = fsync(kernels) < 0 ? error_errno(err, "cannot write the folder of kernels") : 0;
        if (!r && (make_default || !read_default(kernels, by_default)))
                r = write_default(kernels, release, err);
        return r < 0 ? r : tree_remove(making, release, err);
}
