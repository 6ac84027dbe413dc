/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/boot_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "hosted/firmware_files.h"
#include "hosted/initrd.h"
#include "hosted/vmm_private.h"
#include "machine/acpi.h"
#include "machine/boot.h"

/* A file as bytes of ours: mapped, so that only what is used is read. */
struct mapped_file {
        int fd;
        void *bytes;
        size_t length;
};

static void unmap_file(struct mapped_file *file)
{
        if (file->bytes)
                munmap(file->bytes, file->length);
        if (file->fd >= 0)
                close(file->fd);
        *file = (struct mapped_file){ .fd = -1 };
}

static int map_file(const char *path, struct mapped_file *file, struct error *err)
{
        struct stat st;
        *file = (struct mapped_file){ .fd = open(path, O_RDONLY | O_CLOEXEC) };
        if (file->fd < 0 || fstat(file->fd, &st) < 0)
                return error_errno(err, "cannot open %s", path);
        if (!S_ISREG(st.st_mode) || !st.st_size)
                return error_set(err, -EINVAL, "%s is not a file with contents", path);
        void *mapped = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, file->fd, 0);
        if (mapped == MAP_FAILED)
                return error_errno(err, "cannot map %s", path);
        file->bytes = mapped;
        file->length = (size_t)st.st_size;
        return 0;
}

/* ---- Modules ---- */

struct modules {
        unsigned count;
        char *texts[BOOT_MODULES_MAX]; /* the option's text, cut at the comma */
        struct mapped_file files[BOOT_MODULES_MAX];
        struct boot_module modules[BOOT_MODULES_MAX];
};

static const char *name_of(const char *path)
{
        const char *slash = strrchr(path, '/');
        return slash ? slash + 1 : path;
}

static int add_module(struct modules *modules, const char *option, struct error *err)
{
        if (modules->count == BOOT_MODULES_MAX)
                return error_set(err, -EINVAL, "--module: at most %d modules", BOOT_MODULES_MAX);
        char *text = strdup(option);
        if (!text)
                return error_memory(err);
        unsigned number = modules->count++;
        modules->texts[number] = text;
        modules->files[number].fd = -1;
        char *comma = strchr(text, ',');
        if (comma)
                *comma = 0;
        struct mapped_file *file = &modules->files[number];
        int r = map_file(text, file, err);
        if (!r)
                modules->modules[number] =
                        (struct boot_module){ file->bytes, file->length, name_of(text), comma ? comma + 1 : "" };
        return r;
}

static void close_modules(struct modules *modules)
{
        for (unsigned i = 0; i < modules->count; i++) {
                unmap_file(&modules->files[i]);
                free(modules->texts[i]);
        }
        free(modules);
}

DEFINE_CLEANUP(modules, struct modules, close_modules)

/* ---- The kernel ---- */

/*
 * The kernel's pages in place of the guest's empty ones: nothing is copied until the guest writes, and all guests of one
 * kernel share what none of them writes.
 */
static bool map_kernel(void *context, void *to, size_t offset, size_t length)
{
        const struct mapped_file *kernel = context;
        return mmap(to, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, kernel->fd,
                    (off_t)offset) != MAP_FAILED;
}

static int load_kernel(struct vmm *vmm, const struct vmm_settings *settings, struct mapped_file *kernel,
                       struct boot *boot, struct cpu_state *entry, struct error *err)
{
        _cleanup_(modules) struct modules *modules = calloc(1, sizeof(*modules));
        if (!modules)
                return error_memory(err);
        int r = 0;
        for (size_t i = 0; !r && i < list_length(settings->modules); i++)
                r = add_module(modules, settings->modules[i], err);
        if (r < 0)
                return r;
        boot->modules = modules->modules;
        boot->module_count = modules->count;
        /* Memory that other processes have too must stay the one mapping that they have. */
        if (!list_length(settings->shares)) {
                boot->map = map_kernel;
                boot->context = kernel;
        }
        const char *reason;
        r = boot_load(&vmm->machine.memory, boot, entry, &reason);
        return r < 0 ? error_set(err, r, "cannot start %s: %s", settings->kernel, reason) : 0;
}

/* ---- All of them ---- */

/* What a firmware reads while the guest runs. */
struct boot_files {
        struct mapped_file kernel;
        struct boot boot;
        struct topology topology;
        char *append;
        struct firmware firmware;
};

void boot_files_close(struct boot_files *files)
{
        initrd_close(files->boot.initrd, files->boot.initrd_length);
        unmap_file(&files->kernel);
        free(files->append);
        free(files);
}

DEFINE_CLEANUP(files, struct boot_files, boot_files_close)

static int open_files(struct boot_files *files, const struct vmm_settings *settings, struct error *err)
{
        files->append = strdup(settings->append ? settings->append : "");
        if (!files->append)
                return error_memory(err);
        files->boot.command_line = files->append;
        int r = settings->kernel ? map_file(settings->kernel, &files->kernel, err) : 0;
        if (!r)
                r = initrd_open(settings->initrds, &files->boot.initrd, &files->boot.initrd_length, err);
        if (r < 0 || !settings->kernel)
                return r;
        files->boot.name = name_of(settings->kernel);
        files->boot.kernel = files->kernel.bytes;
        files->boot.kernel_length = files->kernel.length;
        return 0;
}

static int load_firmware(struct vmm *vmm, const struct vmm_settings *settings, struct boot_files *files,
                         struct cpu_state *entry, struct error *err)
{
        struct firmware_settings firmware = { .topology = &files->topology, .boot = &files->boot };
        int r = firmware_files_map(settings, &firmware, err);
        if (r < 0)
                return r;
        const char *reason;
        r = boot_firmware(&files->firmware, &vmm->machine, &firmware, entry, &reason);
        return r < 0 ? error_set(err, r, "cannot start firmware %s: %s", settings->firmware, reason) : 0;
}

int boot_files_load(struct vmm *vmm, const struct vmm_settings *settings, struct boot_files **result,
                    struct cpu_state *entry, struct error *err)
{
        _cleanup_(files) struct boot_files *files = calloc(1, sizeof(*files));
        if (!files)
                return error_memory(err);
        files->kernel.fd = -1;
        files->topology = settings->topology;
        int r = open_files(files, settings, err);
        if (r < 0)
                return r;
        if (settings->firmware) {
                r = load_firmware(vmm, settings, files, entry, err);
        } else {
                files->boot.acpi = ACPI_START;
                r = acpi_write(&vmm->machine.memory, &files->topology);
                r = r < 0 ? error_code(err, r, "cannot describe the machine to its guest")
                          : load_kernel(vmm, settings, &files->kernel, &files->boot, entry, err);
        }
        if (r < 0)
                return r;
        /* Without firmware everything is in the guest's memory. */
        if (settings->firmware)
                *result = TAKE_PTR(files);
        return 0;
}
