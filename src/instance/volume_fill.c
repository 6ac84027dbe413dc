/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/volume_fill.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/test_point.h"
#include "base/text.h"

#define MARK "filling"

static DIR *open_folder(int folder)
{
        int own = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *opened = own < 0 ? NULL : fdopendir(own);
        if (!opened && own >= 0)
                close(own);
        return opened;
}

static struct dirent *next_entry(DIR *folder)
{
        struct dirent *entry;
        do
                entry = readdir(folder);
        while (entry && (text_equal(entry->d_name, ".") || text_equal(entry->d_name, "..")));
        return entry;
}

static bool is_empty(int data)
{
        _cleanup_closedir_ DIR *folder = open_folder(data);
        return folder && !next_entry(folder);
}

/* The folder itself stays: it may be mounted in instances that run. */
static int make_empty(int data, struct error *err)
{
        _cleanup_closedir_ DIR *folder = open_folder(data);
        if (!folder)
                return error_errno(err, "cannot read the folder of a volume");
        struct dirent *entry;
        int r = 0;
        while (!r && (entry = next_entry(folder)))
                r = tree_remove(data, entry->d_name, err);
        return r;
}

static int unmark(int volume, struct error *err)
{
        if (unlinkat(volume, MARK, 0) < 0 && errno != ENOENT)
                return error_errno(err, "cannot remove the file " MARK " of a volume");
        return 0;
}

static int mark(int volume, struct error *err)
{
        _cleanup_close_ int fd = openat(volume, MARK, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        return fd < 0 ? error_errno(err, "cannot make the file " MARK " of a volume") : 0;
}

int volume_fill_begin(const char *path, bool wanted, struct volume_filling *filling, struct error *err)
{
        *filling = (struct volume_filling){ -1, -1, -1 };
        filling->data = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        filling->volume = filling->data < 0 ? -1 : openat(filling->data, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (filling->volume < 0)
                return error_errno(err, "cannot open the volume folder %s", path);
        filling->lock = lock_take(filling->volume, ".lock", true, err);
        if (filling->lock < 0)
                return filling->lock;
        int r = 0;
        if (!faccessat(filling->volume, MARK, F_OK, AT_SYMLINK_NOFOLLOW))
                r = make_empty(filling->data, err);
        if (!r)
                r = unmark(filling->volume, err);
        if (r < 0 || !wanted || !is_empty(filling->data))
                return r;
        r = mark(filling->volume, err);
        return r < 0 ? r : 1;
}

int volume_filled(struct volume_filling *filling, struct error *err)
{
        test_point("volume.fill.copied");
        return unmark(filling->volume, err);
}

void volume_filling_release(struct volume_filling *filling)
{
        const int descriptors[] = { filling->lock, filling->data, filling->volume };
        for (size_t i = 0; i < ARRAY_SIZE(descriptors); i++)
                if (descriptors[i] >= 0)
                        close(descriptors[i]);
}
