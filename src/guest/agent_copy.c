/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AGENT_COPY_IN and AGENT_COPY_OUT: trees of the container as tar streams, in a process whose root is the container's,
 * so that no name leads out of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "guest/frame.h"
#include "guest/guest.h"
#include "guest/tar_archive.h"

/* A tar stream in frames: what has come and was not read yet, or what was written and is not sent yet. */
struct transfer {
        int connection;
        char *data;
        size_t start, length;
        bool ended; /* the host has sent its last */
};

/* The container's root folder, its mounts in it, becomes this process's. */
static int enter_root(pid_t program, struct error *err)
{
        char path[32];
        snprintf(path, sizeof(path), "/proc/%d/root", program);
        _cleanup_close_ int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root < 0 || fchdir(root) < 0 || chroot(".") < 0)
                return error_errno(err, "cannot enter the container's root folder");
        return 0;
}

/* ---- In ---- */

static int next_frame(struct transfer *transfer)
{
        free(TAKE_PTR(transfer->data));
        transfer->start = 0;
        int type = frame_receive(transfer->connection, &transfer->data, &transfer->length);
        if (type != AGENT_TAR)
                return type < 0 ? type : -EPROTO;
        transfer->ended = !transfer->length;
        return 0;
}

static int read_frames(void *owner, void *bytes, size_t length)
{
        struct transfer *transfer = owner;
        while (length) {
                if (transfer->start == transfer->length) {
                        int r = transfer->ended ? -EBADMSG : next_frame(transfer);
                        if (r < 0)
                                return r;
                        continue;
                }
                size_t left = transfer->length - transfer->start, n = length < left ? length : left;
                memcpy(bytes, transfer->data + transfer->start, n);
                transfer->start += n;
                bytes = (char *)bytes + n;
                length -= n;
        }
        return 0;
}

static int take_content(const struct tar_stream *stream, int fd, uint64_t size)
{
        char bytes[64 * TAR_BLOCK];
        for (uint64_t left = size; left;) {
                size_t n = left < sizeof(bytes) ? (size_t)left : sizeof(bytes);
                int r = stream->read(stream->owner, bytes, n);
                if (!r)
                        r = write_all(fd, bytes, n);
                if (r < 0)
                        return r;
                left -= n;
        }
        return stream->read(stream->owner, bytes, tar_padding(size));
}

static int make_file(const struct tar_stream *stream, int folder, const char *name, const struct tar_member *member)
{
        const struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, { .tv_sec = member->time } };
        _cleanup_close_ int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        int r = take_content(stream, fd, member->size);
        if (r < 0)
                return r;
        return fchown(fd, member->uid, member->gid) < 0 || fchmod(fd, member->mode) < 0 || futimens(fd, times) < 0
                       ? -errno
                       : 0;
}

static int make_folder(int folder, const char *name, const struct tar_member *member)
{
        struct stat st;
        if (mkdirat(folder, name, 0700) < 0 && errno != EEXIST)
                return -errno;
        if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        if (!S_ISDIR(st.st_mode))
                return -ENOTDIR;
        return fchownat(folder, name, member->uid, member->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
                               fchmodat(folder, name, member->mode, 0) < 0
                       ? -errno
                       : 0;
}

static int make_hard_link(int target, int folder, const char *name, const struct tar_member *member)
{
        _cleanup_close_ int fd = open_in_root(target, member->link, O_PATH | O_NOFOLLOW, 0, NULL);
        if (fd < 0)
                return fd;
        return linkat(fd, "", folder, name, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int make_node(int folder, const char *name, const struct tar_member *member)
{
        mode_t kind = member->kind == TAR_FIFO ? S_IFIFO : member->kind == TAR_BLOCK_DEVICE ? S_IFBLK : S_IFCHR;
        if (mknodat(folder, name, kind | member->mode, makedev(member->major, member->minor)) < 0)
                return -errno;
        return fchownat(folder, name, member->uid, member->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
                               fchmodat(folder, name, member->mode, 0) < 0
                       ? -errno
                       : 0;
}

static int make_member(const struct tar_stream *stream, int target, int folder, const char *name,
                       const struct tar_member *member)
{
        if (member->kind == TAR_FOLDER)
                return make_folder(folder, name, member);
        /* Whatever had the name goes, but for a folder. */
        if (unlinkat(folder, name, 0) < 0 && errno != ENOENT)
                return -errno;
        switch (member->kind) {
        case TAR_FILE: return make_file(stream, folder, name, member);
        case TAR_HARD_LINK: return make_hard_link(target, folder, name, member);
        case TAR_SYMBOLIC_LINK:
                return symlinkat(member->link, folder, name) < 0 ||
                                       fchownat(folder, name, member->uid, member->gid, AT_SYMLINK_NOFOLLOW) < 0
                               ? -errno
                               : 0;
        default: return make_node(folder, name, member);
        }
}

/* Links in the archive lead nowhere out of the folder that it is unpacked in. */
static int take_member(const struct tar_stream *stream, int target, struct tar_member *member, struct error *err)
{
        size_t length = strlen(member->name);
        while (length && member->name[length - 1] == '/')
                member->name[--length] = 0;
        char *slash = strrchr(member->name, '/'), *name = slash ? slash + 1 : member->name;
        if (!*name || !strcmp(name, "."))
                return 0;
        if (!strcmp(name, ".."))
                return error_set(err, -EBADMSG, "the tar archive has a member named %s", member->name);
        if (slash)
                *slash = 0;
        _cleanup_close_ int parent = make_in_root(target, slash ? member->name : ".", 0755, err);
        if (parent < 0)
                return parent;
        int r = make_member(stream, target, parent, name, member);
        return r < 0 ? error_code(err, r, "cannot make %s", name) : 0;
}

static int take_all(const struct tar_stream *stream, struct transfer *transfer, const char *path, struct error *err)
{
        _cleanup_close_ int target = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_free_ struct tar_member *member = malloc(sizeof(*member));
        if (target < 0 || !member)
                return target < 0 ? error_errno(err, "%s", path) : error_memory(err);
        int r;
        while ((r = tar_read_header(stream, member, err)) > 0) {
                r = take_member(stream, target, member, err);
                if (r < 0)
                        return r;
        }
        while (!r && !transfer->ended)
                r = next_frame(transfer);
        return r < 0 && !err->code ? error_code(err, r, "the connection broke") : r;
}

void agent_copy_in(int connection, pid_t program, const char *path)
{
        struct transfer transfer = { .connection = connection };
        const struct tar_stream stream = { .owner = &transfer, .read = read_frames };
        struct error err = { 0 };
        int r = enter_root(program, &err);
        umask(0);
        if (!r)
                r = take_all(&stream, &transfer, path, &err);
        free(transfer.data);
        if (r < 0)
                frame_send_error(connection, &err);
        else
                frame_send(connection, AGENT_DONE, NULL, 0, NULL, 0);
}

/* ---- Out ---- */

static int flush_frame(struct transfer *transfer)
{
        int r = transfer->length
                        ? frame_send(transfer->connection, AGENT_TAR, transfer->data, transfer->length, NULL, 0)
                        : 0;
        transfer->length = 0;
        return r;
}

static int write_frames(void *owner, const void *bytes, size_t length)
{
        struct transfer *transfer = owner;
        while (length) {
                size_t room = AGENT_DATA_MAX - transfer->length, n = length < room ? length : room;
                memcpy(transfer->data + transfer->length, bytes, n);
                transfer->length += n;
                bytes = (const char *)bytes + n;
                length -= n;
                int r = transfer->length == AGENT_DATA_MAX ? flush_frame(transfer) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* As many bytes as the header says, whatever has become of the file since. */
static int give_content(const struct tar_stream *stream, int fd, uint64_t size)
{
        char bytes[64 * TAR_BLOCK];
        for (uint64_t left = size; left;) {
                ssize_t n = read(fd, bytes, left < sizeof(bytes) ? (size_t)left : sizeof(bytes));
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n == 0) {
                        n = left < sizeof(bytes) ? (ssize_t)left : (ssize_t)sizeof(bytes);
                        memset(bytes, 0, (size_t)n);
                }
                int r = n > 0 ? stream->write(stream->owner, bytes, (size_t)n) : 0;
                if (r < 0)
                        return r;
                left -= n > 0 ? (uint64_t)n : 0;
        }
        memset(bytes, 0, TAR_BLOCK);
        return stream->write(stream->owner, bytes, tar_padding(size));
}

/* 0: of a kind that no archive holds. */
static enum tar_kind kind_of(mode_t mode)
{
        static const struct {
                mode_t mode;
                enum tar_kind kind;
        } kinds[] = {
                { S_IFREG, TAR_FILE },          { S_IFDIR, TAR_FOLDER },
                { S_IFLNK, TAR_SYMBOLIC_LINK }, { S_IFCHR, TAR_CHARACTER_DEVICE },
                { S_IFBLK, TAR_BLOCK_DEVICE },  { S_IFIFO, TAR_FIFO },
        };
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (kinds[i].mode == (mode & S_IFMT))
                        return kinds[i].kind;
        return 0;
}

static int give_entry(const struct tar_stream *stream, const char *path, const char *name, struct tar_member *member,
                      struct error *err)
{
        struct stat st;
        _cleanup_close_ int fd = -1;
        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : error_errno(err, "%s", path); /* gone meanwhile */
        if (S_ISREG(st.st_mode)) {
                fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
                if (fd < 0 || fstat(fd, &st) < 0)
                        return error_errno(err, "%s", path);
        }
        member->kind = kind_of(st.st_mode);
        if (!member->kind)
                return 0;
        if (strlen(name) > TAR_NAME_MAX)
                return error_set(err, -ENAMETOOLONG, "%s", path);
        TEXT_COPY(member->name, name);
        ssize_t link = member->kind == TAR_SYMBOLIC_LINK ? readlink(path, member->link, TAR_NAME_MAX) : 0;
        member->link[link < 0 ? 0 : link] = 0;
        member->mode = st.st_mode & 07777;
        member->uid = st.st_uid;
        member->gid = st.st_gid;
        member->major = major(st.st_rdev);
        member->minor = minor(st.st_rdev);
        member->time = st.st_mtim.tv_sec;
        member->size = member->kind == TAR_FILE ? (uint64_t)st.st_size : 0;
        int r = tar_write_header(stream, member, err);
        if (r < 0 || member->kind != TAR_FILE)
                return r;
        r = give_content(stream, fd, member->size);
        return r < 0 ? error_code(err, r, "%s", path) : 0;
}

/* Members are named from the last part of the path on, as `tar -C parent name` has it. */
static int give_all(const struct tar_stream *stream, const char *path, struct error *err)
{
        char *const roots[] = { (char *)path, NULL };
        const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
        _cleanup_free_ struct tar_member *member = malloc(sizeof(*member));
        struct stat st;
        if (!member)
                return error_memory(err);
        if (lstat(path, &st) < 0)
                return error_errno(err, "%s", path);
        FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
        const FTSENT *entry;
        int r = walk ? 0 : error_errno(err, "%s", path);
        while (!r && (entry = fts_read(walk))) {
                _cleanup_free_ char *name = text_format("%s%s", *base ? base : ".", entry->fts_path + strlen(path));
                if (!name)
                        r = error_memory(err);
                else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR)
                        r = error_code(err, -entry->fts_errno, "%s", entry->fts_path);
                else if (entry->fts_info != FTS_DP)
                        r = give_entry(stream, entry->fts_path, name, member, err);
        }
        if (walk)
                fts_close(walk);
        return r;
}

static int give_out(struct transfer *transfer, const char *path, struct error *err)
{
        const struct tar_stream stream = { .owner = transfer, .write = write_frames };
        transfer->data = malloc(AGENT_DATA_MAX);
        if (!transfer->data)
                return error_memory(err);
        int r = give_all(&stream, path, err);
        if (r < 0)
                return r;
        r = tar_write_end(&stream);
        if (!r)
                r = flush_frame(transfer);
        if (!r)
                r = frame_send(transfer->connection, AGENT_TAR, NULL, 0, NULL, 0);
        return r < 0 ? error_code(err, r, "the connection broke") : 0;
}

void agent_copy_out(int connection, pid_t program, const char *path)
{
        struct transfer transfer = { .connection = connection };
        struct error err = { 0 };
        _cleanup_free_ char *name = strdup(path);
        size_t length = name ? strlen(name) : 0;
        while (length > 1 && name[length - 1] == '/')
                name[--length] = 0;
        int r = name ? enter_root(program, &err) : error_memory(&err);
        if (!r)
                r = give_out(&transfer, name, &err);
        free(transfer.data);
        if (r < 0)
                frame_send_error(connection, &err);
        else
                frame_send(connection, AGENT_DONE, NULL, 0, NULL, 0);
}
