/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Layers' tar archives, plain and compressed, unpacked into a temporary folder that stands in another one: whatever the
 * archive says, nothing appears or changes beside the layer's root.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "image/layer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char canary[] = "untouched";

struct place {
        char path[64];
        int outer, root;
};

static int must(int result)
{
        if (result < 0) {
                perror("fuzz_layer_tar");
                abort();
        }
        return result;
}

static void make_place(struct place *place)
{
        const char *temporary = getenv("TMPDIR");
        snprintf(place->path, sizeof(place->path), "%s/onggi-fuzz-XXXXXX", temporary ? temporary : "/tmp");
        if (!mkdtemp(place->path))
                must(-1);
        place->outer = must(open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        must(file_replace_volatile(place->outer, "canary", canary, sizeof(canary), 0600, NULL));
        must(mkdirat(place->outer, "root", 0755));
        place->root = must(openat(place->outer, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static void check_place(const struct place *place)
{
        struct stat st;
        _cleanup_free_ char *content = NULL;
        if (file_read(place->outer, "canary", sizeof(canary), &content, NULL, NULL) < 0 || strcmp(content, canary) ||
            fstatat(place->outer, "canary", &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_nlink != 1)
                abort();
        _cleanup_closedir_ DIR *folder = opendir(place->path);
        size_t entries = 0;
        while (folder && readdir(folder))
                entries++;
        if (entries != 4) /* ".", "..", "canary", "root" */
                abort();
}

static void remove_place(struct place *place)
{
        close(place->root);
        close(place->outer);
        must(tree_remove(AT_FDCWD, place->path, NULL));
}

static void unpack(int fd, int root)
{
        static const struct stream_limits limits = { .bytes = 1 << 20 };
        static const struct layer_options options = { .absolute_names = true };
        _cleanup_stream_ struct stream *stream = NULL;
        struct layer_report report;
        struct error err = { 0 };
        int r = stream_open(fd, "input", &limits, NULL, &stream, &err);
        if (!r)
                r = layer_unpack(stream, root, &options, &report, &err);
        /* A failure says why, and only a failure does. */
        if (r > 0 || (r < 0) != (err.code < 0) || (r < 0 && !err.text[0]))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct place place;
        _cleanup_close_ int fd = must(memfd_create("input", MFD_CLOEXEC));
        must(write_all(fd, data, size));
        must((int)lseek(fd, 0, SEEK_SET));
        make_place(&place);
        unpack(fd, place.root);
        check_place(&place);
        remove_place(&place);
        return 0;
}
