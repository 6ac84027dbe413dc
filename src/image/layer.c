/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/layer.h"

#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "image/layer_attributes.h"
#include "image/layer_lower.h"
#include "image/layer_root.h"

#define WHITEOUT_PREFIX ".wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"
/* Names of AUFS's own, which mean nothing to others. */
#define WHITEOUT_RESERVED ".wh..wh."

/* Folders' times wait until nothing more is put into them; a million of folders is more than any image has. */
#define FOLDER_NAMES_MAX (96 << 20)

struct folder_times {
        struct timespec times[2];
        char name[];
};

struct unpacking {
        struct layer_root root;
        const struct layer_options *options;
        struct layer_report *report;
        struct archive *tar;
        struct stream *stream;
        struct archive_entry *entry; /* at hand */
        struct folder_times **folders;
        size_t folder_count, folder_room, folder_bytes;
};

/*
 * One way to make a file of a type: 0, -EEXIST when something is in its place (nothing was changed then), -EAGAIN to be
 * called once more (`parent` may be closed then), or an error.
 */
typedef int maker(struct unpacking *unpacking, int parent, const char *base, struct error *err);

static int taken_or(int code, struct error *err, const char *what)
{
        return code == -EEXIST ? code : error_code(err, code, "%s", what);
}

static int write_content(struct unpacking *unpacking, int fd, struct error *err)
{
        la_int64_t end = 0;
        for (;;) {
                const void *data;
                size_t length;
                la_int64_t offset;
                int r = archive_read_data_block(unpacking->tar, &data, &length, &offset);
                if (r == ARCHIVE_EOF)
                        break;
                if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
                        return tar_error(unpacking->stream, unpacking->tar, NULL, err);
                /* Where blocks leave gaps the file keeps its holes. */
                for (size_t done = 0; done < length;) {
                        ssize_t n = pwrite(fd, (const char *)data + done, length - done, offset + (la_int64_t)done);
                        if (n < 0)
                                return error_errno(err, "cannot write its content");
                        done += (size_t)n;
                }
                unpacking->report->bytes += length;
                end = offset + (la_int64_t)length;
        }
        if (end != archive_entry_size(unpacking->entry) && ftruncate(fd, archive_entry_size(unpacking->entry)) < 0)
                return error_errno(err, "cannot give it its size of %" PRId64 " bytes",
                                   (int64_t)archive_entry_size(unpacking->entry));
        return 0;
}

static int make_file(struct unpacking *unpacking, int parent, const char *base, struct error *err)
{
        _cleanup_close_ int fd = openat(parent, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return taken_or(-errno, err, "cannot create the file");
        return write_content(unpacking, fd, err);
}

static int make_folder(struct unpacking *unpacking, int parent, const char *base, struct error *err)
{
        (void)unpacking;
        struct stat st;
        if (!mkdirat(parent, base, 0700))
                return 0;
        if (errno == EEXIST && !fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) && S_ISDIR(st.st_mode))
                return 0;
        return taken_or(-errno, err, "cannot create the folder");
}

/* As docker: a relative link that climbs out of the root by its text is an attack, or a mistake that would mislead. */
static bool climbs_out(const char *name, const char *target)
{
        if (target[0] == '/')
                return false;
        int depth = 0;
        for (const char *at = name; (at = strchr(at, '/')); at++)
                depth++;
        for (const char *at = target; *at;) {
                size_t length = strcspn(at, "/");
                if (length == 2 && at[0] == '.' && at[1] == '.')
                        depth--;
                else if (length && !(length == 1 && at[0] == '.'))
                        depth++;
                if (depth < 0)
                        return true;
                at += length + (at[length] == '/');
        }
        return false;
}

static int make_symlink(struct unpacking *unpacking, int parent, const char *base, struct error *err)
{
        const char *target = archive_entry_symlink(unpacking->entry);
        char name[PATH_MAX];
        if (!target || !target[0])
                return error_set(err, -EINVAL, "it is a symbolic link to nowhere");
        int r = layer_name(archive_entry_pathname(unpacking->entry), true, name, err);
        if (r < 0)
                return r;
        if (climbs_out(name, target))
                return error_set(err, -EINVAL,
                                 "it is a symbolic link to \"%.200s\", which leads out of the root file system",
                                 target);
        if (symlinkat(target, parent, base) < 0)
                return taken_or(-errno, err, "cannot create the symbolic link");
        return 0;
}

static int make_device(struct unpacking *unpacking, int parent, const char *base, struct error *err)
{
        mode_t type = archive_entry_filetype(unpacking->entry);
        if (mknodat(parent, base, type | 0600, type == AE_IFIFO ? 0 : archive_entry_rdev(unpacking->entry)) < 0)
                return taken_or(-errno, err, type == AE_IFIFO ? "cannot create the fifo" : "cannot create the device");
        return 0;
}

/* Where nothing in this layer has the target's name, a layer below may: its file becomes one of this layer's. */
static int copy_from_lower(struct unpacking *unpacking, const char *target, struct error *err)
{
        _cleanup_close_ int from = lower_open(unpacking->options->lower, target, err);
        if (from < 0)
                return from;
        unpacking->report->depends_on_lower = true;
        const char *base;
        int parent = layer_parent(&unpacking->root, target, &base, err);
        int r = parent < 0 ? parent : lower_copy(from, parent, base, err);
        return r < 0 ? r : -EAGAIN;
}

static int make_link(struct unpacking *unpacking, int parent, const char *base, struct error *err)
{
        char target[PATH_MAX];
        const char *written = archive_entry_hardlink(unpacking->entry);
        int r = layer_name(written, unpacking->options->absolute_names, target, err);
        if (r < 0)
                return err ? error_set(err, r,
                                       "it is a hard link to \"%.200s\", which leads out of the root file system",
                                       written)
                           : r;
        const char *slash = strrchr(target, '/');
        _cleanup_free_ char *folder = slash ? strndup(target, (size_t)(slash - target)) : strdup(".");
        if (!folder)
                return error_memory(err);
        _cleanup_close_ int from = open_in_root(unpacking->root.fd, folder, O_PATH | O_DIRECTORY, 0, NULL);
        const char *first = slash ? slash + 1 : target;
        struct stat st;
        if (from < 0 || fstatat(from, first, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return copy_from_lower(unpacking, target, err);
        if (is_whiteout(&st))
                return error_set(err, -ENOENT, "it is a hard link to %s, which this layer removes", target);
        if (S_ISDIR(st.st_mode))
                return error_set(err, -EINVAL, "it is a hard link to the folder %s", target);
        /* A link to itself, or over another name of the same file, changes nothing. */
        struct stat there;
        if (!fstatat(parent, base, &there, AT_SYMLINK_NOFOLLOW) && there.st_ino == st.st_ino &&
            there.st_dev == st.st_dev)
                return 0;
        if (linkat(from, first, parent, base, 0) < 0)
                return taken_or(-errno, err, "cannot create the hard link");
        return 0;
}

static maker *choose_maker(struct archive_entry *entry)
{
        static const struct {
                mode_t type;
                maker *make;
        } makers[] = {
                { AE_IFREG, make_file },   { AE_IFDIR, make_folder }, { AE_IFLNK, make_symlink },
                { AE_IFCHR, make_device }, { AE_IFBLK, make_device }, { AE_IFIFO, make_device },
        };
        if (archive_entry_hardlink(entry))
                return make_link;
        for (size_t i = 0; i < ARRAY_SIZE(makers); i++)
                if (makers[i].type == archive_entry_filetype(entry))
                        return makers[i].make;
        return NULL;
}

static int remember_times(struct unpacking *unpacking, const char *name, struct error *err)
{
        size_t bytes = sizeof(struct folder_times) + strlen(name) + 1;
        if (unpacking->folder_bytes + bytes > FOLDER_NAMES_MAX)
                return error_set(err, -E2BIG, "there are more folders in this layer than are accepted");
        if (unpacking->folder_count == unpacking->folder_room) {
                size_t room = unpacking->folder_room ? unpacking->folder_room * 2 : 64;
                void *grown = realloc(unpacking->folders, room * sizeof(*unpacking->folders));
                if (!grown)
                        return error_memory(err);
                unpacking->folders = grown;
                unpacking->folder_room = room;
        }
        struct folder_times *folder = malloc(bytes);
        if (!folder)
                return error_memory(err);
        attributes_times(unpacking->entry, folder->times);
        memcpy(folder->name, name, strlen(name) + 1);
        unpacking->folders[unpacking->folder_count++] = folder;
        unpacking->folder_bytes += bytes;
        return 0;
}

static int set_folder_times(struct unpacking *unpacking, struct error *err)
{
        for (size_t i = 0; i < unpacking->folder_count; i++) {
                struct folder_times *folder = unpacking->folders[i];
                const char *name = folder->name[0] ? folder->name : ".";
                /* A folder that a later entry replaced has that entry's times. */
                _cleanup_close_ int fd =
                        open_in_root(unpacking->root.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, NULL);
                if (fd >= 0 && futimens(fd, folder->times) < 0)
                        return error_errno(err, "cannot set the times of the folder %s", name);
        }
        return 0;
}

/* Makes the entry; what is in its place goes first, unless both are folders. */
static int place(struct unpacking *unpacking, maker *make, const char *name, bool *was_whiteout, struct error *err)
{
        for (unsigned tries = 0; tries < 3; tries++) {
                const char *base;
                int parent = layer_parent(&unpacking->root, name, &base, err);
                if (parent < 0)
                        return parent;
                int r = make(unpacking, parent, base, err);
                if (r == -EAGAIN)
                        continue;
                if (r != -EEXIST)
                        return r;
                r = layer_clear(&unpacking->root, parent, base, was_whiteout, err);
                if (r < 0)
                        return r;
        }
        return error_set(err, -EEXIST, "what is in its place cannot be removed");
}

static bool may_be_skipped(const struct unpacking *unpacking, maker *make, int code)
{
        return make == make_device && code == -EPERM && unpacking->root.user_namespace;
}

static int unpack_file(struct unpacking *unpacking, const char *name, struct error *err)
{
        struct archive_entry *entry = unpacking->entry;
        maker *make = choose_maker(entry);
        if (!make)
                return error_set(err, -EINVAL, "its type is not one that a layer can have");
        bool was_whiteout = false, folder = make == make_folder;
        struct error why = { 0 };
        int r = place(unpacking, make, name, &was_whiteout, &why);
        if (r < 0 && may_be_skipped(unpacking, make, r)) {
                report_refused(unpacking->report, "device", name, r);
                return 0;
        }
        if (r < 0)
                return error_set(err, r, "%s", why.text);
        if (make == make_link)
                return 0;

        const char *base;
        int parent = layer_parent(&unpacking->root, name, &base, err);
        if (parent < 0)
                return parent;
        r = attributes_apply(parent, base, entry, unpacking->report, err);
        if (!r && folder && was_whiteout)
                r = layer_opaque(&unpacking->root, parent, base, err);
        if (r < 0)
                return r;
        return folder ? remember_times(unpacking, name, err) : attributes_set_times(parent, base, entry, err);
}

static int unpack_whiteout(struct unpacking *unpacking, const char *name, struct error *err)
{
        const char *base;
        int parent = layer_parent(&unpacking->root, name, &base, err);
        if (parent < 0)
                return parent;
        if (!strcmp(base, WHITEOUT_OPAQUE))
                return layer_opaque(&unpacking->root, parent, ".", err);
        if (text_starts(base, WHITEOUT_RESERVED))
                return 0;
        return layer_whiteout(&unpacking->root, parent, base + strlen(WHITEOUT_PREFIX), err);
}

static int unpack_root(struct unpacking *unpacking, struct error *err)
{
        if (archive_entry_filetype(unpacking->entry) != AE_IFDIR || archive_entry_hardlink(unpacking->entry))
                return error_set(err, -EINVAL, "it is the root, which must be a folder");
        int r = attributes_apply(unpacking->root.fd, ".", unpacking->entry, unpacking->report, err);
        return r < 0 ? r : remember_times(unpacking, "", err);
}

static int unpack_entry(struct unpacking *unpacking, const char *written, struct error *err)
{
        char name[PATH_MAX];
        int r = layer_name(written, unpacking->options->absolute_names, name, err);
        if (r < 0)
                return r;
        if (!name[0])
                return unpack_root(unpacking, err);
        const char *slash = strrchr(name, '/');
        bool whiteout = text_starts(slash ? slash + 1 : name, WHITEOUT_PREFIX);
        return whiteout ? unpack_whiteout(unpacking, name, err) : unpack_file(unpacking, name, err);
}

static int next_entry(struct unpacking *unpacking, struct error *err)
{
        int r = archive_read_next_header(unpacking->tar, &unpacking->entry);
        if (r == ARCHIVE_EOF)
                return 0;
        if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
                return tar_error(unpacking->stream, unpacking->tar, NULL, err);
        if (++unpacking->report->entries > LAYER_ENTRIES_MAX)
                return error_set(err, -E2BIG, "there are more than %d entries in this layer", LAYER_ENTRIES_MAX);
        return 1;
}

static int unpack_all(struct unpacking *unpacking, struct error *err)
{
        int r = tar_open(unpacking->stream, &unpacking->tar, err);
        while (!r && (r = next_entry(unpacking, err)) > 0) {
                const char *name = archive_entry_pathname(unpacking->entry);
                if (!name)
                        return error_set(err, -EINVAL, "the name of entry %" PRIu64 " cannot be read",
                                         unpacking->report->entries);
                r = unpack_entry(unpacking, name, err);
                if (r < 0)
                        return err ? error_prefix(err, "entry \"%.200s\"", name) : r;
        }
        return r < 0 ? r : set_folder_times(unpacking, err);
}

int layer_unpack(struct stream *stream, int root, const struct layer_options *options, struct layer_report *report,
                 struct error *err)
{
        *report = (struct layer_report){ 0 };
        struct unpacking unpacking = { .options = options, .report = report, .stream = stream };
        mode_t mask = umask(0);
        int r = layer_root_open(&unpacking.root, root, err);
        if (!r)
                r = unpack_all(&unpacking, err);
        layer_root_close(&unpacking.root);
        archive_free(unpacking.tar);
        for (size_t i = 0; i < unpacking.folder_count; i++)
                free(unpacking.folders[i]);
        free(unpacking.folders);
        umask(mask);
        return r;
}
