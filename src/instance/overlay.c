/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

static int sys_fsopen(const char *type)
{
        return (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
}

static int sys_fsconfig(int fs, unsigned command, const char *key, const void *value, int aux)
{
        return (int)syscall(SYS_fsconfig, fs, command, key, value, aux);
}

static int open_tree_mapped(const char *path, int userns, struct error *err)
{
        _cleanup_close_ int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (fd < 0)
                return error_errno(err, "cannot open the folder %s", path);
        struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns };
        if (userns >= 0 && syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
                return error_errno(err, "cannot map the ids of the folder %s (its file system must support it)", path);
        return TAKE_FD(fd);
}

/* What the kernel says about a failed fsconfig(2), read from the context itself: "e overlay: …". */
static int overlay_error(int fs, const char *what, struct error *err)
{
        what = what ? what : "its layers";
        int code = errno;
        char message[256];
        ssize_t n = read(fs, message, sizeof(message) - 1);
        if (n <= 0)
                return error_code(err, -code, "cannot mount the instance's root file system (%s)", what);
        message[n] = 0;
        message[strcspn(message, "\n")] = 0;
        return error_code(err, -code, "cannot mount the instance's root file system (%s): %s", what,
                          message[0] && message[1] == ' ' ? message + 2 : message);
}

/* The value of an option, where a colon would end a path. */
static char *escape(const char *path)
{
        struct text text = { 0 };
        for (; *path; path++) {
                if (*path == ':' || *path == '\\' || *path == ',')
                        text_append(&text, "\\");
                text_append_bytes(&text, path, 1);
        }
        return text_take(&text);
}

/* Descriptors of id-mapped layers: they must stay open until the overlay has been made from them. */
struct layer_list {
        int *layers;
        size_t count;
};

static void cleanup_layer_list(struct layer_list *list)
{
        for (size_t i = 0; i < list->count; i++)
                close(list->layers[i]);
        free(list->layers);
}

/* Returns 1 where this kernel does not know the option. */
static int add_layer(int fs, const char *path, int userns, struct layer_list *list, struct error *err)
{
        int r;
        if (userns < 0) {
                r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", path, 0);
        } else {
                int layer = open_tree_mapped(path, userns, err);
                if (layer < 0)
                        return layer;
                list->layers[list->count++] = layer;
                r = sys_fsconfig(fs, FSCONFIG_SET_FD, "lowerdir+", NULL, layer);
        }
        if (!r)
                return 0;
        return errno == EINVAL ? 1 : overlay_error(fs, path, err);
}

static int set_options(int fs, const struct overlay *overlay, struct error *err)
{
        if (overlay->upper && (sys_fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", overlay->upper, 0) < 0 ||
                               sys_fsconfig(fs, FSCONFIG_SET_STRING, "workdir", overlay->work, 0) < 0))
                return overlay_error(fs, overlay->upper, err);
        if (overlay->user_attributes && sys_fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) < 0)
                return overlay_error(fs, "userxattr", err);
        if (overlay->volatile_files && sys_fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0)
                return overlay_error(fs, "volatile", err);
        return 0;
}

/* Returns the mount in *mount, or 1 where this kernel has no such options. A string is at most 255 bytes:
 * fsconfig(2). */
static int mount_by_layers(const struct overlay *overlay, int *mount, struct error *err)
{
        size_t count = list_length(overlay->layers);
        _cleanup_(layer_list) struct layer_list list = { calloc(count + 1, sizeof(int)), 0 };
        _cleanup_close_ int fs = sys_fsopen("overlay");
        if (fs < 0 || !list.layers)
                return error_errno(err, "this kernel has no overlay file system");
        if (overlay->upper && (strlen(overlay->upper) > 255 || strlen(overlay->work) > 255))
                return 1;
        int r = 0;
        for (size_t i = count; !r && i--;)
                r = strlen(overlay->layers[i]) > 255 ? 1
                                                     : add_layer(fs, overlay->layers[i], overlay->userns, &list, err);
        if (!r)
                r = set_options(fs, overlay, err);
        if (r)
                return r;
        /* Before Linux 6.5 options are only looked at now: what is unknown is found here. */
        if (sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return errno == EINVAL ? 1 : overlay_error(fs, overlay->upper, err);
        *mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
        return *mount < 0 ? overlay_error(fs, overlay->upper, err) : 0;
}

int overlay_mount(const struct overlay *overlay, struct error *err)
{
        int mount = -1;
        int r = mount_by_layers(overlay, &mount, err);
        if (r == 1)
                return overlay_mount_classic(overlay, err);
        return r < 0 ? r : mount;
}

int overlay_mount_layers(char *const *layers, struct error *err)
{
        /* An overlay needs two layers, or one and an upper folder. */
        if (list_length(layers) == 1)
                return open_tree_mapped(layers[0], -1, err);
        return overlay_mount(&(struct overlay){ .layers = layers, .userns = -1 }, err);
}

/* ---- Older kernels: layers attached to short names in a private namespace, then one string ---- */

static int attach_layers(const struct overlay *overlay, struct text *lower)
{
        size_t count = list_length(overlay->layers);
        for (size_t i = count; i--;) {
                char name[24];
                snprintf(name, sizeof(name), "%zu", i);
                _cleanup_close_ int layer = open_tree_mapped(overlay->layers[i], overlay->userns, NULL);
                if (layer < 0 || mkdir(name, 0700) < 0 ||
                    syscall(SYS_move_mount, layer, "", AT_FDCWD, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
                        return -errno;
                text_printf(lower, "%s%s", lower->length ? ":" : "", name);
        }
        return 0;
}

/* In a child that shares our descriptors and has a mount namespace of its own: *mount is ours too. */
static int mount_in_private(const struct overlay *overlay, int *mount)
{
        if (syscall(SYS_unshare, CLONE_NEWNS) < 0 || syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
            syscall(SYS_mount, "onggi", overlay->scratch, "tmpfs", 0, "mode=700") < 0 || chdir(overlay->scratch) < 0 ||
            mkdir("root", 0700) < 0)
                return -errno;
        _cleanup_text_ struct text options = { 0 }, lower = { 0 };
        _cleanup_free_ char *upper = overlay->upper ? escape(overlay->upper) : NULL;
        _cleanup_free_ char *work = overlay->upper ? escape(overlay->work) : NULL;
        if (overlay->upper && (!upper || !work))
                return -ENOMEM;
        int r = attach_layers(overlay, &lower);
        if (r < 0)
                return r;
        text_printf(&options, "lowerdir=%s", lower.data);
        if (upper)
                text_printf(&options, ",upperdir=%s,workdir=%s", upper, work);
        text_printf(&options, "%s%s", overlay->user_attributes ? ",userxattr" : "",
                    overlay->volatile_files ? ",volatile" : "");
        if (text_failed(&options))
                return -ENOMEM;
        if (syscall(SYS_mount, "overlay", "root", "overlay", 0, options.data) < 0)
                return -errno;
        *mount = (int)syscall(SYS_open_tree, AT_FDCWD, "root", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        return *mount < 0 ? -errno : 0;
}

int overlay_mount_classic(const struct overlay *overlay, struct error *err)
{
        int report[2];
        if (pipe2(report, O_CLOEXEC) < 0)
                return error_errno(err, "cannot make a pipe");
        _cleanup_close_ int in = report[0], out = report[1];
        /* CLONE_FILES: the descriptor that the child opens is in our table as well. */
        pid_t child = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
        if (child < 0)
                return error_errno(err, "cannot start a process");
        if (!child) {
                int answer[2] = { 0, -1 };
                answer[0] = mount_in_private(overlay, &answer[1]);
                ssize_t n = write(out, answer, sizeof(answer));
                _exit(n != sizeof(answer));
        }
        int status, answer[2] = { -EIO, -1 };
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
                ;
        close(TAKE_FD(out));
        if (read(in, answer, sizeof(answer)) != sizeof(answer) || answer[0] < 0)
                return error_code(err, answer[0], "cannot mount the instance's root file system");
        return answer[1];
}
