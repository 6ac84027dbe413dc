/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

/* strndup_user() in fsconfig(2) takes this much, the terminating NUL included. */
#define FSCONFIG_VALUE_MAX 256

static const struct mount_change no_change;

int mount_clone(int dir, const char *path, bool tree, struct error *err)
{
        unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (tree ? AT_RECURSIVE : 0) | (*path ? 0 : AT_EMPTY_PATH);
        int fd = open_tree(dir, path, flags);
        if (fd < 0)
                return error_errno(err, "cannot make a bind mount of %s", *path ? path : "an open file");
        return fd;
}

/* Error with what the file system itself had to say: lines such as "e tmpfs: Unknown parameter 'siez'". */
static int context_error(int context, const char *type, const char *word, struct error *err)
{
        int saved = -errno;
        char line[256];
        ssize_t length = read(context, line, sizeof(line) - 1);
        if (length > 2) {
                line[length] = 0;
                line[strcspn(line, "\n")] = 0;
                return error_set(err, saved, "cannot mount %s: %s", type, line + 2);
        }
        if (word)
                return error_code(err, saved, "cannot mount %s: option \"%s\"", type, word);
        return error_code(err, saved, "cannot mount %s", type);
}

static int configure_word(int context, const char *type, const char *word, struct error *err)
{
        const char *equals = strchr(word, '=');
        if (!equals) {
                if (fsconfig(context, FSCONFIG_SET_FLAG, word, NULL, 0) < 0)
                        return context_error(context, type, word, err);
                return 0;
        }
        char key[FSCONFIG_VALUE_MAX];
        if ((size_t)(equals - word) >= sizeof(key))
                return error_set(err, -EINVAL, "cannot mount %s: the name of the option \"%.40s…\" is too long", type,
                                 word);
        memcpy(key, word, (size_t)(equals - word));
        key[equals - word] = 0;
        if (fsconfig(context, FSCONFIG_SET_STRING, key, equals + 1, 0) < 0)
                return context_error(context, type, word, err);
        return 0;
}

static bool fits(char *const *words)
{
        for (; words && *words; words++) {
                const char *equals = strchr(*words, '=');
                if (equals && strlen(equals + 1) >= FSCONFIG_VALUE_MAX)
                        return false;
        }
        return true;
}

/* A disk that is to be mounted read-only may not be writable at all; for the rest the mount's own flag is enough, and a
 * superblock that is shared with the host must not change. */
static bool needs_read_only_superblock(const char *source, uint64_t attributes)
{
        struct stat st;
        return attributes & MOUNT_ATTR_RDONLY && *source == '/' && !stat(source, &st) && S_ISBLK(st.st_mode);
}

int mount_create(const char *type, const char *source, char *const *words, uint64_t attributes, struct error *err)
{
        if (!fits(words) || strlen(source) >= FSCONFIG_VALUE_MAX)
                return error_set(err, -E2BIG, "cannot mount %s: an option is longer than %d bytes", type,
                                 FSCONFIG_VALUE_MAX - 1);
        _cleanup_close_ int context = fsopen(type, FSOPEN_CLOEXEC);
        if (context < 0)
                return error_errno(err, "cannot mount a file system of type \"%s\"", type);
        if (*source && fsconfig(context, FSCONFIG_SET_STRING, "source", source, 0) < 0)
                return context_error(context, type, NULL, err);
        if (needs_read_only_superblock(source, attributes) && fsconfig(context, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0)
                return context_error(context, type, NULL, err);
        for (; words && *words; words++) {
                int r = configure_word(context, type, *words, err);
                if (r < 0)
                        return r;
        }
        if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return context_error(context, type, NULL, err);
        int mount = fsmount(context, FSMOUNT_CLOEXEC, (unsigned)attributes);
        if (mount < 0)
                return context_error(context, type, NULL, err);
        return mount;
}

int mount_classic(const char *type, const char *source, char *const *words, uint64_t attributes, int target,
                  struct error *err)
{
        static const struct {
                const char *word;
                unsigned long flag;
        } superblock[] = {
                { "async", 0 },      { "dirsync", MS_DIRSYNC }, { "lazytime", MS_LAZYTIME }, { "mand", MS_MANDLOCK },
                { "nolazytime", 0 }, { "nomand", 0 },           { "sync", MS_SYNCHRONOUS },
        };
        static const struct {
                uint64_t attribute;
                unsigned long flag;
        } flag_of[] = {
                { MOUNT_ATTR_RDONLY, MS_RDONLY },         { MOUNT_ATTR_NOSUID, MS_NOSUID },
                { MOUNT_ATTR_NODEV, MS_NODEV },           { MOUNT_ATTR_NOEXEC, MS_NOEXEC },
                { MOUNT_ATTR_NOATIME, MS_NOATIME },       { MOUNT_ATTR_STRICTATIME, MS_STRICTATIME },
                { MOUNT_ATTR_NODIRATIME, MS_NODIRATIME }, { MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW },
        };
        _cleanup_text_ struct text data = { 0 };
        unsigned long flags = 0;
        for (; words && *words; words++) {
                size_t i = 0;
                while (i < ARRAY_SIZE(superblock) && strcmp(*words, superblock[i].word) != 0)
                        i++;
                if (i < ARRAY_SIZE(superblock))
                        flags |= superblock[i].flag;
                else
                        text_printf(&data, "%s%s", data.length ? "," : "", *words);
        }
        if (text_failed(&data))
                return error_memory(err);
        for (size_t i = 0; i < ARRAY_SIZE(flag_of); i++)
                flags |= attributes & flag_of[i].attribute ? flag_of[i].flag : 0;

        if (fchdir(target) < 0)
                return error_errno(err, "cannot enter the mount point");
        int r = mount(source, ".", type, flags, data.data) < 0 ? error_errno(err, "cannot mount %s", type) : 0;
        if (chdir("/") < 0 && !r)
                r = error_errno(err, "cannot enter /");
        return r;
}

int mount_reconfigure(int mount, char *const *words, struct error *err)
{
        if (!words || !*words)
                return 0;
        _cleanup_close_ int context = fspick(mount, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
        if (context < 0)
                return error_errno(err, "cannot remount");
        for (; *words; words++) {
                int r = configure_word(context, "again", *words, err);
                if (r < 0)
                        return r;
        }
        if (fsconfig(context, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
                return context_error(context, "again", NULL, err);
        return 0;
}

int mount_change(int mount, const struct mount_change *change, unsigned long propagation, bool tree, struct error *err)
{
        if (!change)
                change = &no_change;
        if (!change->set && !change->clear && !propagation)
                return 0;
        struct mount_attr attr = {
                .attr_set = change->set,
                .attr_clr = change->clear,
                .propagation = propagation,
        };
        if (!mount_setattr(mount, "", AT_EMPTY_PATH | (tree ? AT_RECURSIVE : 0), &attr, sizeof(attr)))
                return 0;
        if (errno == EPERM && change->clear)
                return error_set(err, -EPERM,
                                 "cannot lift a restriction of this mount (ro, nosuid, nodev, noexec or the "
                                 "access times): the host has locked it; leave out the option that lifts it");
        return error_errno(err, "cannot change the attributes of a mount");
}

int mount_map_ids(int mount, int userns, bool tree, struct error *err)
{
        struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns };
        if (mount_setattr(mount, "", AT_EMPTY_PATH | (tree ? AT_RECURSIVE : 0), &attr, sizeof(attr)) < 0)
                return error_errno(err,
                                   "cannot map the owners of a mount; its file system must support id-mapped mounts");
        return 0;
}

int mount_attach(int mount, int target, struct error *err)
{
        if (!move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH))
                return 0;
        if (errno == ENOTDIR || errno == EINVAL)
                return error_errno(err, "cannot attach a mount; a folder goes only on a folder, a file only on a file");
        return error_errno(err, "cannot attach a mount");
}
