/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/package.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/test_point.h"
#include "base/text.h"
#include "image/tar_writer.h"

struct package {
        char *output;    /* NULL: standard output */
        char *temporary; /* its name until it is finished; NULL: written in place */
        int fd;          /* the archive, or the folder */
        bool nameless;   /* the archive gets its temporary name when it is finished: a killed command leaves nothing */
        int file;        /* the file at hand in the folder */
        bool folder;
        bool finished;
        struct tar_writer tar;
};

static int write_out(void *context, const void *data, size_t length, struct error *err)
{
        struct package *package = context;
        int r = write_all(package->fd, data, length);
        return r < 0 ? error_code(err, r, "cannot write %s", package->output ? package->output : "to standard output")
                     : 0;
}

static int open_folder(struct package *package, struct error *err)
{
        struct stat st;
        if (!lstat(package->output, &st))
                return error_set(err, -EEXIST, "%s exists; save writes a new folder only", package->output);
        if (mkdir(package->temporary, 0777) < 0)
                return error_errno(err, "cannot create the folder %s", package->output);
        package->fd = open(package->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return package->fd < 0 ? error_errno(err, "cannot open the folder %s", package->output) : 0;
}

/* The archive as a file without a name, where the file system has such, or else under its temporary name. */
static int open_temporary(struct package *package)
{
        _cleanup_free_ char *parent = strdup(package->output);
        if (!parent)
                return -1;
        char *slash = strrchr(parent, '/');
        if (slash)
                slash[1] = '\0';
        int fd = open(slash ? parent : ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
        package->nameless = fd >= 0;
        return fd >= 0 ? fd : open(package->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
}

static int give_name(const struct package *package)
{
        char own[48];
        snprintf(own, sizeof(own), "/proc/self/fd/%d", package->fd);
        if (package->nameless) {
                unlink(package->temporary);
                if (linkat(AT_FDCWD, own, AT_FDCWD, package->temporary, AT_SYMLINK_FOLLOW) < 0)
                        return -1;
        }
        return package->temporary ? rename(package->temporary, package->output) : 0;
}

static int open_archive(struct package *package, struct error *err)
{
        struct stat st;
        if (!package->output) {
                package->fd = dup(STDOUT_FILENO);
                if (package->fd >= 0 && isatty(package->fd))
                        return error_set(err, -EINVAL, "standard output is a terminal; name a file with --output");
        } else if (!stat(package->output, &st) && !S_ISREG(st.st_mode)) {
                free(TAKE_PTR(package->temporary));
                package->fd = open(package->output, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        } else {
                package->fd = open_temporary(package);
        }
        if (package->fd < 0)
                return error_errno(err, "cannot create %s", package->output ? package->output : "the archive");
        package->tar = (struct tar_writer){ .write = write_out, .context = package };
        return tar_writer_open(&package->tar, err);
}

int package_open(const char *output, bool folder, struct package **package, struct error *err)
{
        if (folder && !output)
                return error_set(err, -EINVAL, "a folder cannot be written to standard output; name it with --output");
        _cleanup_package_ struct package *made = calloc(1, sizeof(*made));
        if (!made)
                return error_memory(err);
        *made = (struct package){ .fd = -1, .file = -1, .folder = folder };
        if (output &&
            (!(made->output = strdup(output)) || !(made->temporary = text_format("%s.%d.tmp", output, (int)getpid()))))
                return error_memory(err);
        int r = folder ? open_folder(made, err) : open_archive(made, err);
        if (!r)
                *package = TAKE_PTR(made);
        return r;
}

static int begin_in_folder(struct package *package, const char *name, struct error *err)
{
        cleanup_close(&package->file);
        package->file = -1;
        if (text_ends(name, "/")) {
                if (mkdirat(package->fd, name, 0777) < 0)
                        return error_errno(err, "cannot create the folder %s in %s", name, package->output);
                return 0;
        }
        package->file = openat(package->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        return package->file < 0 ? error_errno(err, "cannot create %s in %s", name, package->output) : 0;
}

int package_begin(struct package *package, const char *name, uint64_t size, struct error *err)
{
        return package->folder ? begin_in_folder(package, name, err)
                               : tar_writer_member(&package->tar, name, size, err);
}

int package_data(struct package *package, const void *data, size_t length, struct error *err)
{
        if (!package->folder)
                return tar_writer_data(&package->tar, data, length, err);
        int r = write_all(package->file, data, length);
        return r < 0 ? error_code(err, r, "cannot write to %s", package->output) : 0;
}

int package_file(struct package *package, const char *name, const void *data, size_t length, struct error *err)
{
        int r = package_begin(package, name, length, err);
        return r < 0 ? r : package_data(package, data, length, err);
}

int package_finish(struct package *package, struct error *err)
{
        if (!package->folder) {
                int r = tar_writer_close(&package->tar, 0, err);
                if (r < 0)
                        return r;
        }
        test_point("image.save.written");
        if (give_name(package) < 0)
                return error_errno(err, "cannot give %s its name", package->output);
        package->finished = true;
        return 0;
}

void package_close(struct package *package)
{
        if (!package)
                return;
        tar_writer_close(&package->tar, -ECANCELED, NULL);
        cleanup_close(&package->file);
        if (package->temporary && !package->finished && package->fd >= 0)
                tree_remove(AT_FDCWD, package->temporary, NULL);
        cleanup_close(&package->fd);
        free(package->output);
        free(package->temporary);
        free(package);
}
