/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/test_point.h"
#include "base/text.h"
#include "container/copy_up.h"
#include "instance/folder.h"
#include "instance/overlay.h"
#include "instance/start.h"
#include "instance/vessel.h"
#include "instance/volume.h"
#include "instance/volume_fill.h"

/* The instance's own layer; its root gives the merged root its owner and mode. */
static int make_upper(struct start *start, struct error *err)
{
        static const char *const names[] = { "upper", "work" };
        uint32_t owner = 0;
        if (start->id_count && id_map_host(start->ids, start->id_count, 0, &owner) < 0)
                return error_set(err, -EINVAL, "--userns: the map must have the id 0 inside");
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                int folder = start->instance->folder;
                if (mkdirat(folder, names[i], 0755) < 0) {
                        if (errno == EEXIST)
                                continue;
                        return error_errno(err, "cannot create the folder %s of the instance", names[i]);
                }
                if (fchmodat(folder, names[i], 0755, 0) < 0 ||
                    (owner && fchownat(folder, names[i], owner, owner, 0) < 0))
                        return error_errno(err, "cannot give the folder %s of the instance to its root", names[i]);
        }
        return 0;
}

static int mount_layers(struct start *start, struct error *err)
{
        _cleanup_list_ char **layers = NULL;
        int r = instance_layers(start->instance, &layers, err);
        return r < 0 ? r : overlay_mount_layers(layers, err);
}

static int mount_root(struct start *start, struct error *err)
{
        struct instance *instance = start->instance;
        _cleanup_list_ char **layers = NULL;
        int r = instance_layers(start->instance, &layers, err);
        if (r < 0)
                return r;
        _cleanup_free_ char *upper = text_format("%s/instances/%s/upper", start->host->root, instance->id);
        _cleanup_free_ char *work = text_format("%s/instances/%s/work", start->host->root, instance->id);
        if (!upper || !work)
                return error_memory(err);
        if (start->id_count && (start->userns = id_map_namespace(start->ids, start->id_count, err)) < 0)
                return start->userns;
        const struct overlay overlay = {
                .layers = layers,
                .upper = upper,
                .work = work,
                .scratch = start->root_path,
                .userns = start->userns,
                .user_attributes = start->host->rootless,
                .volatile_files = start->settings.remove,
        };
        start->root = overlay_mount(&overlay, err);
        return start->root < 0 ? start->root : 0;
}

static int make_workdir(struct start *start, struct error *err)
{
        const char *path = start->settings.workdir;
        if (!path || start->settings.read_only)
                return 0;
        int fd = open_in_root(start->root, path, O_PATH | O_DIRECTORY, 0, NULL);
        if (fd >= 0) {
                close(fd);
                return 0;
        }
        mode_t users_own = umask(0022);
        fd = make_in_root(start->root, path, 0755, err);
        umask(users_own);
        if (fd < 0)
                return err ? error_prefix(err, "--workdir") : fd;
        uint32_t owner = 0;
        int r = start->id_count ? id_map_host(start->ids, start->id_count, 0, &owner) : 0;
        if (!r && owner && fchownat(fd, "", owner, owner, AT_EMPTY_PATH) < 0)
                r = -errno;
        close(fd);
        return r < 0 ? error_code(err, r, "--workdir %s", path) : 0;
}

/* With a user namespace: from the layers as they are, for on disk a volume has the image's own ids, whoever filled
 * it. */
static int copy_from_image(struct start *start, const char *target, int to, struct error *err)
{
        _cleanup_close_ int plain = start->userns < 0 ? -1 : mount_layers(start, err);
        if (start->userns >= 0 && plain < 0)
                return plain;
        _cleanup_close_ int from =
                open_in_root(plain < 0 ? start->root : plain, target, O_RDONLY | O_DIRECTORY, 0, NULL);
        struct stat st;
        if (from < 0 || fstat(from, &st) < 0)
                return 0;
        int r = copy_up(from, to, err);
        if (!r && (fchown(to, st.st_uid, st.st_gid) < 0 || fchmod(to, st.st_mode & 07777) < 0))
                r = error_errno(err, "cannot set the owner of a volume's folder");
        return r;
}

/* Docker's rule: a volume that is empty gets what the image has at its place, with owner and mode. */
static int fill_volume(struct start *start, const struct mount_setting *mount, const char *path, struct error *err)
{
        struct volume_filling filling;
        int r = volume_fill_begin(path, !mount->no_copy, &filling, err);
        if (r > 0) {
                r = copy_from_image(start, mount->target, filling.data, err);
                if (!r)
                        r = volume_filled(&filling, err);
        }
        volume_filling_release(&filling);
        return r;
}

static int place_volume(struct start *start, struct mount_setting *mount, struct error *err)
{
        char *path = NULL;
        int r = volume_create(start->host, mount->source, NULL, NULL, NULL, &path, err);
        if (r < 0)
                return r;
        r = fill_volume(start, mount, path, err);
        if (!r && mount->subpath) {
                _cleanup_close_ int volume = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                int below = volume < 0 ? -errno : open_in_root(volume, mount->subpath, O_PATH, 0, err);
                if (below >= 0) {
                        /* By its resolved place, which openat2(2) has shown to lie inside. */
                        char link[40], target[4096];
                        snprintf(link, sizeof(link), "/proc/self/fd/%d", below);
                        ssize_t n = readlink(link, target, sizeof(target) - 1);
                        target[n < 0 ? 0 : n] = 0;
                        free(path);
                        path = strdup(target);
                        close(below);
                }
                r = below < 0 ? below : 0;
        }
        free(mount->source);
        mount->source = path;
        return r;
}

static int place_bind(struct mount_setting *mount, struct error *err)
{
        if (!faccessat(AT_FDCWD, mount->source, F_OK, AT_EACCESS))
                return 0;
        if (errno != ENOENT || !mount->make_source)
                return error_errno(err, "the source %s of a bind mount", mount->source);
        int fd = directory_make(mount->source, 0755, err);
        if (fd < 0)
                return fd;
        close(fd);
        return 0;
}

static int place_mounts(struct start *start, struct error *err)
{
        int r = mount_settings_collect(&start->settings, &start->mounts, &start->mount_count, err);
        for (size_t i = 0; !r && i < start->mount_count; i++) {
                struct mount_setting *mount = &start->mounts[i];
                if (mount->kind == MOUNT_VOLUME)
                        r = place_volume(start, mount, err);
                else if (mount->kind == MOUNT_BIND)
                        r = place_bind(mount, err);
        }
        return r;
}

int start_overlay_root(struct start *start, struct error *err)
{
        int r = make_upper(start, err);
        if (!r)
                r = mount_root(start, err);
        return r < 0 ? r : make_workdir(start, err);
}

int start_root(struct start *start, struct error *err)
{
        int r = vessel_of(start->instance)->root(start, err);
        if (!r)
                r = identity_resolve(start->root, start->settings.user, start->settings.groups, &start->identity, err);
        if (!r)
                r = place_mounts(start, err);
        test_point("instance.start.root.mounted");
        return r;
}
