/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/erofs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/test_point.h"
#include "base/text.h"
#include "image/image_config.h"
#include "image/layout.h"
#include "image/unpacked.h"

#define FOLDER "erofs"
#define SUFFIX ".erofs"
#define LOCK   "lock"
#define MAKER  "mkfs.erofs"

/*
 * What mkfs.erofs takes for the time of making. Files keep their own, but for those that are newer, so it lies far off:
 * the year 2100.
 */
#define TIME_OF_MAKING "4102444800"

#define LAYERS_MAX 500 /* that the kernel stacks: Linux fs/overlayfs/super.c, OVL_MAX_STACK */

static int open_folder(struct store *store, struct error *err)
{
        _cleanup_free_ char *path = text_format("%s/" FOLDER, store->path);
        return path ? directory_make(path, 0755, err) : error_memory(err);
}

/* ---- Making one ---- */

/* How far a child came, as its exit code; its words are mkfs.erofs's own. */
enum { CHILD_NO_NAMESPACE = 101, CHILD_NO_MOUNT = 102, CHILD_NO_LAYER = 103, CHILD_NO_MAKER = 127 };

/* Layers get short names in a file system of this process alone: the options of a mount are a page at most. */
static int mount_layers(char *const *layers, const char *place)
{
        size_t count = list_length(layers);
        _cleanup_text_ struct text options = { 0 };
        if (unshare(CLONE_NEWNS) < 0)
                return CHILD_NO_NAMESPACE;
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("layers", place, "tmpfs", 0, "mode=700") < 0 || chdir(place) < 0 || mkdir("root", 0700) < 0)
                return CHILD_NO_MOUNT;
        if (count == 1)
                return mount(layers[0], "root", NULL, MS_BIND, NULL) < 0 ? CHILD_NO_LAYER : 0;
        for (size_t i = count; i; i--) { /* the topmost first */
                char name[24];
                snprintf(name, sizeof(name), "%zu", i);
                if (mkdir(name, 0700) < 0 || mount(layers[i - 1], name, NULL, MS_BIND, NULL) < 0)
                        return CHILD_NO_LAYER;
                text_printf(&options, "%s%s", i == count ? "lowerdir=" : ":", name);
        }
        if (text_failed(&options) || mount("layers", "root", "overlay", MS_RDONLY, options.data) < 0)
                return CHILD_NO_LAYER;
        return 0;
}

static void make_in_child(char *const *layers, const char *place, const char *uuid, int file)
{
        char target[32];
        int copy = fcntl(file, F_DUPFD, 3); /* without close-on-exec */
        snprintf(target, sizeof(target), "/proc/self/fd/%d", copy);
        int code = mount_layers(layers, place);
        if (code)
                _exit(code);
        int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(quiet, STDOUT_FILENO);
        setenv("SOURCE_DATE_EPOCH", TIME_OF_MAKING, 1);
        execlp(MAKER, MAKER, "--quiet", "-U", uuid, target, "root", NULL);
        _exit(CHILD_NO_MAKER);
}

static int explain(int code, struct error *err)
{
        static const struct {
                int code, errno_value;
                const char *text;
        } reasons[] = {
                { CHILD_NO_NAMESPACE, -EPERM, "a mount namespace of its own is needed for that: run it as root" },
                { CHILD_NO_MOUNT, -EPERM, "the right to mount is needed for that" },
                { CHILD_NO_LAYER, -EIO, "its layers cannot be mounted on one another" },
                { CHILD_NO_MAKER, -ENOENT, MAKER " is not installed (Debian: apt install erofs-utils)" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
                if (reasons[i].code == code)
                        return error_set(err, reasons[i].errno_value, "%s", reasons[i].text);
        return error_set(err, -EIO, MAKER " failed with status %d", code);
}

/* From the chain id, so that it is the same each time. */
static void uuid_of(const char *hex, char uuid[static 37])
{
        snprintf(uuid, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

static int make(struct store *store, int folder, const struct image *image, const char *hex, const char *name,
                struct error *err)
{
        char uuid[37], link[32];
        int code;
        _cleanup_free_ char *place = text_format("%s/" FOLDER, store->path);
        _cleanup_close_ int file = openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
        if (!place)
                return error_memory(err);
        if (file < 0)
                return error_errno(err, "cannot make a file in %s", place);
        if (list_length(image->layers) > LAYERS_MAX)
                return error_set(err, -E2BIG, "it has more than %d layers", LAYERS_MAX);
        uuid_of(hex, uuid);
        pid_t child = fork();
        if (!child)
                make_in_child(image->layers, place, uuid, file);
        int r = child < 0 ? -errno : process_wait(child, &code);
        if (r < 0)
                return error_code(err, r, "cannot start " MAKER);
        if (code)
                return explain(code, err);
        test_point("image.erofs.made");
        snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
        if (fsync(file) < 0 || (linkat(AT_FDCWD, link, folder, name, AT_SYMLINK_FOLLOW) < 0 && errno != EEXIST) ||
            fsync(folder) < 0)
                return error_errno(err, "cannot write %s/%s", place, name);
        return 0;
}

static int image_chain(const struct image *image, struct digest *chain, struct error *err)
{
        _cleanup_free_ struct digest *diff_ids = NULL;
        size_t count = 0;
        int r = image_config_check(image->config, "image configuration", &diff_ids, &count, err);
        if (!r && !count)
                r = error_set(err, -EINVAL, "it has no layers");
        if (!r)
                chain_id(diff_ids, count, chain);
        return r;
}

int store_erofs(struct store *store, const struct image *image, char **path, struct error *err)
{
        struct digest chain;
        int r = image_chain(image, &chain, err);
        _cleanup_close_ int folder = r < 0 ? r : open_folder(store, err);
        if (folder < 0)
                return error_prefix(err, "image %s", image->id);
        _cleanup_free_ char *name = text_format("%s" SUFFIX, digest_hex(&chain));
        _cleanup_free_ char *full = name ? text_format("%s/" FOLDER "/%s", store->path, name) : NULL;
        if (!full)
                return error_memory(err);
        if (faccessat(folder, name, R_OK, 0)) {
                /* Nothing is removed meanwhile, and who waits for the lock finds it made. */
                _cleanup_close_ int content = lock_take(store->images, "content.lock", false, err);
                _cleanup_close_ int lock = content < 0 ? content : lock_take(folder, LOCK, true, err);
                if (lock < 0)
                        return lock;
                if (faccessat(folder, name, R_OK, 0))
                        r = make(store, folder, image, digest_hex(&chain), name, err);
        }
        if (r < 0)
                return error_prefix(err, "cannot make a file system of image %s for virtual machines", image->id);
        *path = TAKE_PTR(full);
        return 0;
}

/* ---- Sweeping ---- */

int erofs_sweep(struct store *store, bool (*in_use)(const void *context, const char *hex), const void *context,
                uint64_t *freed, struct error *err)
{
        _cleanup_free_ char *path = text_format("%s/" FOLDER, store->path);
        _cleanup_closedir_ DIR *folder = path ? opendir(path) : NULL;
        const struct dirent *entry;
        if (!folder)
                return !path ? error_memory(err) : errno == ENOENT ? 0 : error_errno(err, "cannot open %s", path);
        while ((entry = readdir(folder))) {
                _cleanup_free_ char *hex = strdup(entry->d_name);
                struct stat st;
                if (!hex)
                        return error_memory(err);
                if (!text_ends(hex, SUFFIX))
                        continue;
                hex[strlen(hex) - strlen(SUFFIX)] = 0;
                if (in_use(context, hex) || fstatat(dirfd(folder), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                if (unlinkat(dirfd(folder), entry->d_name, 0) < 0 && errno != ENOENT)
                        return error_errno(err, "cannot remove %s/%s", path, entry->d_name);
                *freed += (uint64_t)st.st_blocks * 512;
                test_point("image.sweep.erofs");
        }
        return 0;
}
