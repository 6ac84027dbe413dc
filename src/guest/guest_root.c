/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest/guest_root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"

#define IMAGE    GUEST_RUN "/image"
#define WRITABLE GUEST_RUN "/writable"

#define SERIAL_FILE_MAX 4096 /* the size that sysfs says each of its files has */

struct mounting {
        const char *source, *target, *type;
        unsigned long flags;
        const char *options;
};

static const struct mounting kernel_mounts[] = {
        { "proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
        { "sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
        { "dev", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, "mode=755" },
        { "devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "ptmxmode=666" },
        { "run", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755" },
        { "cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
};

static int mount_one(const struct mounting *mounting, struct error *err)
{
        if (mkdir(mounting->target, 0755) < 0 && errno != EEXIST)
                return error_errno(err, "cannot make %s", mounting->target);
        if (mount(mounting->source, mounting->target, mounting->type, mounting->flags, mounting->options) < 0)
                return error_errno(err, "cannot mount %s on %s as %s", mounting->source, mounting->target,
                                   mounting->type);
        return 0;
}

int guest_root_begin(struct error *err)
{
        if (mkdir("/new", 0755) < 0 && errno != EEXIST)
                return error_errno(err, "cannot make /new");
        if (mount("/", "/new", NULL, MS_BIND, NULL) < 0 || chdir("/new") < 0 ||
            mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
                return error_errno(err, "cannot turn the initial RAM disk into a root that can be left");
        for (size_t i = 0; i < ARRAY_SIZE(kernel_mounts); i++) {
                int r = mount_one(&kernel_mounts[i], err);
                if (r < 0)
                        return r;
        }
        if (mkdir(GUEST_RUN, 0700) < 0)
                return error_errno(err, "cannot make " GUEST_RUN);
        return 0;
}

/* The device of the disk that says it has that serial. */
static int find_disk(const char *serial, char *device, size_t size, struct error *err)
{
        _cleanup_closedir_ DIR *all = opendir("/sys/block");
        const struct dirent *entry;
        if (!all)
                return error_errno(err, "cannot open /sys/block");
        while ((entry = readdir(all))) {
                char path[sizeof(entry->d_name) + 16];
                _cleanup_free_ char *text = NULL;
                snprintf(path, sizeof(path), "%s/serial", entry->d_name);
                if (!text_starts(entry->d_name, "vd") ||
                    file_read(dirfd(all), path, SERIAL_FILE_MAX, &text, NULL, NULL) < 0)
                        continue;
                text[strcspn(text, "\n")] = 0;
                if (!strcmp(text, serial)) {
                        snprintf(device, size, "/dev/%s", entry->d_name);
                        return 0;
                }
        }
        return error_set(err, -ENODEV, "the machine has no disk \"%s\", which machine.json names", serial);
}

static int mount_disk(const char *serial, const char *target, const char *type, unsigned long flags,
                      const char *options, struct error *err)
{
        char device[NAME_MAX + 8];
        int r = find_disk(serial, device, sizeof(device), err);
        return r < 0 ? r : mount_one(&(struct mounting){ device, target, type, flags, options }, err);
}

static int mount_image(const struct machine_config *config, const char *target, struct error *err)
{
        if (*config->root_disk)
                return mount_disk(config->root_disk, target, "erofs", MS_RDONLY, NULL, err);
        return mount_one(&(struct mounting){ config->root_folder, target, "virtiofs", 0, NULL }, err);
}

/* Upper and work folder of the overlay are made where the disk is new. */
static int mount_writable(const struct machine_config *config, struct error *err)
{
        char options[32];
        int r;
        if (*config->writable_disk) {
                /* What is deleted goes back to the host. */
                r = mount_disk(config->writable_disk, WRITABLE, "ext4", 0, "discard", err);
        } else {
                snprintf(options, sizeof(options), "mode=755,size=%llu", (unsigned long long)config->writable_memory);
                r = mount_one(&(struct mounting){ "writable", WRITABLE, "tmpfs", 0, options }, err);
        }
        if (!r && ((mkdir(WRITABLE "/upper", 0755) < 0 && errno != EEXIST) ||
                   (mkdir(WRITABLE "/work", 0755) < 0 && errno != EEXIST)))
                r = error_errno(err, "cannot make folders on the writable disk");
        return r;
}

static int mount_root(const struct machine_config *config, struct error *err)
{
        static const struct mounting overlay = { "root", GUEST_ROOT, "overlay", 0,
                                                 "lowerdir=" IMAGE ",upperdir=" WRITABLE "/upper,workdir=" WRITABLE
                                                 "/work" };
        if (!*config->writable_disk && !config->writable_memory)
                return mount_image(config, GUEST_ROOT, err);
        int r = mount_image(config, IMAGE, err);
        if (!r)
                r = mount_writable(config, err);
        return r < 0 ? r : mount_one(&overlay, err);
}

static int mount_folders(const struct machine_config *config, struct error *err)
{
        if (mkdir(MACHINE_CONFIG_FOLDERS, 0755) < 0)
                return error_errno(err, "cannot make " MACHINE_CONFIG_FOLDERS);
        for (size_t i = 0; i < config->folder_count; i++) {
                const struct machine_folder *folder = &config->folders[i];
                char target[sizeof(MACHINE_CONFIG_FOLDERS) + sizeof(folder->tag)];
                snprintf(target, sizeof(target), "%s/%s", MACHINE_CONFIG_FOLDERS, folder->tag);
                int r = mount_one(&(struct mounting){ folder->tag, target, "virtiofs",
                                                      folder->read_only ? MS_RDONLY : 0, NULL },
                                  err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int write_files(const struct machine_config *config, struct error *err)
{
        _cleanup_close_ int folder = directory_make(MACHINE_CONFIG_FILES, 0755, err);
        if (folder < 0)
                return folder;
        for (size_t i = 0; i < config->file_count; i++) {
                const struct machine_file *file = &config->files[i];
                int r = file_replace_volatile(folder, file->name, file->text, strlen(file->text), file->mode, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int load_modules(const struct machine_config *config, struct module_loader *modules, struct error *err)
{
        bool overlay = *config->writable_disk || config->writable_memory;
        const struct {
                bool needed;
                const char *name;
        } wanted[] = {
                { *config->root_disk || *config->writable_disk, "virtio_blk" },
                { *config->root_disk, "erofs" },
                { *config->writable_disk, "ext4" },
                { overlay, "overlay" },
                { *config->root_folder || config->folder_count, "virtiofs" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
                int r = wanted[i].needed ? module_loader_load(modules, wanted[i].name, err) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

int guest_root_mount(const struct machine_config *config, struct module_loader *modules, struct error *err)
{
        int r = load_modules(config, modules, err);
        if (!r)
                r = mount_root(config, err);
        if (!r)
                r = mount_folders(config, err);
        if (!r)
                r = write_files(config, err);
        return r;
}

void guest_root_release(void)
{
        _cleanup_close_ int writable = open(WRITABLE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (writable >= 0)
                syncfs(writable);
        /* A mount that is still in use is written out, and that is what matters: its journal is played back. */
        umount2(GUEST_ROOT, MNT_DETACH);
        if (writable >= 0)
                close(TAKE_FD(writable));
        umount2(WRITABLE, 0);
        sync();
}
