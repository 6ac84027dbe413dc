/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/folder_tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "image/tar_writer.h"

#define FOLDER_DEPTH_MAX 256
#define COPY_BYTES       (128 * 1024)

struct walk {
        struct tar_writer tar;
        json_t *links; /* "device:inode" of files with several names: the first name */
        struct error *err;
        char buffer[COPY_BYTES];
};

/* The first name of a file that has more than one; NULL for the first time it is met. */
static const char *earlier_name(struct walk *walk, const struct stat *st, const char *name)
{
        char key[48];
        snprintf(key, sizeof(key), "%llx:%llx", (unsigned long long)st->st_dev, (unsigned long long)st->st_ino);
        const char *earlier = json_string_value(json_object_get(walk->links, key));
        if (!earlier)
                json_object_set_new(walk->links, key, json_stringn_nocheck(name, strlen(name)));
        return earlier;
}

static int add_extended(struct walk *walk, int folder, const char *base, struct archive_entry *entry)
{
        _cleanup_free_ char *path = text_format("/proc/self/fd/%d/%s", folder, base);
        _cleanup_free_ char *names = malloc(XATTR_LIST_MAX);
        _cleanup_free_ char *value = malloc(XATTR_SIZE_MAX);
        if (!path || !names || !value)
                return error_memory(walk->err);
        ssize_t length = llistxattr(path, names, XATTR_LIST_MAX);
        for (const char *name = names; name < names + length; name += strlen(name) + 1) {
                /* What overlayfs wrote for itself is no part of the files. */
                if (text_starts(name, "trusted.overlay.") || text_starts(name, "user.overlay."))
                        continue;
                ssize_t size = lgetxattr(path, name, value, XATTR_SIZE_MAX);
                if (size >= 0)
                        archive_entry_xattr_add_entry(entry, name, value, (size_t)size);
        }
        return 0;
}

/* Tells the archive where data is; holes are then left out of it. */
static void note_holes(int fd, off_t size, struct archive_entry *entry)
{
        off_t hole = lseek(fd, 0, SEEK_HOLE);
        bool sparse = hole >= 0 && hole < size;
        for (off_t data = 0; sparse && data < size;) {
                data = lseek(fd, data, SEEK_DATA);
                if (data < 0)
                        break;
                hole = lseek(fd, data, SEEK_HOLE);
                if (hole < 0)
                        break;
                archive_entry_sparse_add_entry(entry, data, hole - data);
                data = hole;
        }
        if (sparse && !archive_entry_sparse_count(entry))
                archive_entry_sparse_add_entry(entry, size, 0);
        lseek(fd, 0, SEEK_SET);
}

static int write_content(struct walk *walk, int fd, const char *name, off_t size)
{
        for (off_t done = 0; done < size;) {
                size_t want = size - done < COPY_BYTES ? (size_t)(size - done) : COPY_BYTES;
                ssize_t n = read(fd, walk->buffer, want);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_errno(walk->err, "cannot read %s", name);
                if (!n)
                        return error_set(walk->err, -EIO, "%s became shorter while it was read", name);
                int r = tar_writer_data(&walk->tar, walk->buffer, (size_t)n, walk->err);
                if (r < 0)
                        return r;
                done += n;
        }
        return 0;
}

static int write_entry(struct walk *walk, int folder, const char *base, const char *name, const struct stat *st,
                       struct archive_entry *entry)
{
        archive_entry_set_pathname(entry, name);
        archive_entry_copy_stat(entry, st);
        archive_entry_unset_atime(entry);
        archive_entry_unset_ctime(entry);
        archive_entry_unset_birthtime(entry);
        if (!S_ISREG(st->st_mode))
                archive_entry_set_size(entry, 0);

        const char *earlier = S_ISDIR(st->st_mode) || st->st_nlink < 2 ? NULL : earlier_name(walk, st, name);
        if (earlier) {
                archive_entry_set_size(entry, 0);
                archive_entry_set_hardlink(entry, earlier);
                return tar_writer_header(&walk->tar, entry, walk->err);
        }
        char target[PATH_MAX];
        if (S_ISLNK(st->st_mode)) {
                ssize_t length = readlinkat(folder, base, target, sizeof(target) - 1);
                if (length < 0)
                        return error_errno(walk->err, "cannot read the link %s", name);
                target[length] = 0;
                archive_entry_set_symlink(entry, target);
        }
        int r = add_extended(walk, folder, base, entry);
        if (r < 0)
                return r;
        if (!S_ISREG(st->st_mode))
                return tar_writer_header(&walk->tar, entry, walk->err);

        _cleanup_close_ int fd = openat(folder, base, O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
        if (fd < 0)
                return error_errno(walk->err, "cannot open %s", name);
        note_holes(fd, st->st_size, entry);
        r = tar_writer_header(&walk->tar, entry, walk->err);
        return r < 0 ? r : write_content(walk, fd, name, st->st_size);
}

static int list_names(int folder, const char *what, char ***names, struct error *err)
{
        _cleanup_close_ int own = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_closedir_ DIR *directory = own < 0 ? NULL : fdopendir(own);
        if (!directory)
                return error_errno(err, "cannot read the folder %s", what[0] ? what : ".");
        TAKE_FD(own);
        size_t count = 0, room = 0;
        struct dirent *entry;
        while ((entry = readdir(directory))) {
                if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
                        continue;
                if (count + 2 > room) {
                        room = room ? room * 2 : 32;
                        char **grown = realloc(*names, room * sizeof(*grown));
                        if (!grown)
                                return error_memory(err);
                        *names = grown;
                }
                if (!((*names)[count] = strdup(entry->d_name)))
                        return error_memory(err);
                (*names)[++count] = NULL;
        }
        return 0;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static int write_folder(struct walk *walk, int folder, const char *name, unsigned depth);

static int write_child(struct walk *walk, int folder, const char *base, const char *name, unsigned depth)
{
        struct stat st;
        if (fstatat(folder, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return error_errno(walk->err, "cannot look at %s", name);
        if (S_ISSOCK(st.st_mode))
                return 0;
        struct archive_entry *entry = archive_entry_new();
        int r = entry ? write_entry(walk, folder, base, name, &st, entry) : error_memory(walk->err);
        archive_entry_free(entry);
        if (r < 0 || !S_ISDIR(st.st_mode))
                return r;
        _cleanup_close_ int below = openat(folder, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below < 0)
                return error_errno(walk->err, "cannot open the folder %s", name);
        return write_folder(walk, below, name, depth + 1);
}

static int write_folder(struct walk *walk, int folder, const char *name, unsigned depth)
{
        if (depth > FOLDER_DEPTH_MAX)
                return error_set(walk->err, -ELOOP, "%.200s is nested more than %d folders deep", name,
                                 FOLDER_DEPTH_MAX);
        _cleanup_list_ char **names = NULL;
        int r = list_names(folder, name, &names, walk->err);
        if (r < 0)
                return r;
        if (names)
                qsort(names, list_length(names), sizeof(*names), by_name);
        for (char **base = names; base && *base; base++) {
                _cleanup_free_ char *path = name[0] ? text_format("%s/%s", name, *base) : strdup(*base);
                r = path ? write_child(walk, folder, *base, path, depth) : error_memory(walk->err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The root's own owner, mode and time. */
static int write_root(struct walk *walk, int folder)
{
        struct stat st;
        if (fstat(folder, &st) < 0)
                return error_errno(walk->err, "cannot look at the folder");
        struct archive_entry *entry = archive_entry_new();
        int r = entry ? write_entry(walk, folder, ".", "./", &st, entry) : error_memory(walk->err);
        archive_entry_free(entry);
        return r < 0 ? r : write_folder(walk, folder, "", 0);
}

static int write_blob(void *context, const void *data, size_t length, struct error *err)
{
        return blob_write(context, data, length, err);
}

int folder_tar(int folder, struct blob_writer *writer, struct error *err)
{
        struct walk *walk = calloc(1, sizeof(*walk));
        if (!walk || !(walk->links = json_object())) {
                free(walk);
                return error_memory(err);
        }
        walk->err = err;
        walk->tar = (struct tar_writer){ .write = write_blob, .context = writer };
        int r = tar_writer_open(&walk->tar, err);
        if (!r)
                r = write_root(walk, folder);
        r = tar_writer_close(&walk->tar, r, err);
        json_decref(walk->links);
        free(walk);
        return r;
}
