/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/package.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "kernel/unpack.h"

#define BLOCK           65536
#define ALL_BYTES_MAX   ((uint64_t)2 << 30) /* of what is taken out */
#define ALL_ENTRIES_MAX 200000

DEFINE_CLEANUP(archive, struct archive, archive_read_free)

/* The tar archive inside of the package. */
struct inner {
        struct archive *outer;
        char block[BLOCK];
};

static la_ssize_t read_inner(struct archive *archive, void *data, const void **block)
{
        struct inner *inner = data;
        la_ssize_t n = archive_read_data(inner->outer, inner->block, sizeof(inner->block));
        if (n < 0)
                archive_set_error(archive, EBADMSG, "%s", archive_error_string(inner->outer));
        *block = inner->block;
        return n;
}

static int fail(struct archive *archive, struct error *err)
{
        const char *reason = archive_error_string(archive);
        return error_set(err, -EBADMSG, "it cannot be read as a Debian package: %s", reason ? reason : "it is damaged");
}

/* What a member is called in the target; NULL for one that is not taken. The caller frees it. */
static char *target_name(const char *name)
{
        static const char kernel[] = "boot/vmlinuz-", modules[] = "lib/modules/";
        name += text_starts(name, "./") ? 2 : text_starts(name, "/") ? 1 : 0;
        name += text_starts(name, "usr/") ? 4 : 0;
        if (text_starts(name, kernel) && !strchr(name + strlen(kernel), '/'))
                return strdup("vmlinuz");
        if (!text_starts(name, modules))
                return NULL;
        const char *slash = strchr(name + strlen(modules), '/');
        const char *base = strrchr(name, '/') + 1;
        return slash && (strstr(base, ".ko") || !strcmp(base, "modules.builtin")) ? text_format("modules%s", slash)
                                                                                  : NULL;
}

static int write_member(struct archive *tar, int target, const char *name, uint64_t *written, struct error *err)
{
        char block[BLOCK];
        const char *slash = strrchr(name, '/');
        _cleanup_free_ char *parent = strndup(name, slash ? (size_t)(slash - name) : 0);
        _cleanup_close_ int folder =
                !parent ? error_memory(err) : make_in_root(target, slash ? parent : ".", 0755, err);
        if (folder < 0)
                return folder;
        _cleanup_close_ int fd =
                openat(folder, slash ? slash + 1 : name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0)
                return error_errno(err, "cannot make %s", name);
        la_ssize_t n;
        while ((n = archive_read_data(tar, block, sizeof(block))) > 0) {
                if ((*written += (uint64_t)n) > ALL_BYTES_MAX)
                        return error_set(err, -EFBIG, "it holds more than %llu MiB of kernel and modules",
                                         (unsigned long long)(ALL_BYTES_MAX >> 20));
                int r = write_all(fd, block, (size_t)n);
                if (r < 0)
                        return error_code(err, r, "cannot write %s", name);
        }
        return n < 0 ? fail(tar, err) : 0;
}

static int extract(struct archive *outer, int target, struct error *err)
{
        struct inner inner = { .outer = outer };
        _cleanup_(archive) struct archive *tar = archive_read_new();
        struct archive_entry *entry;
        uint64_t written = 0;
        if (!tar)
                return error_memory(err);
        archive_read_support_format_tar(tar);
        if (unpack_filters(tar) != ARCHIVE_OK || archive_read_open(tar, &inner, NULL, read_inner, NULL) != ARCHIVE_OK)
                return fail(tar, err);
        for (unsigned i = 0; i < ALL_ENTRIES_MAX; i++) {
                int status = archive_read_next_header(tar, &entry);
                if (status == ARCHIVE_EOF)
                        return 0;
                const char *name =
                        status == ARCHIVE_OK || status == ARCHIVE_WARN ? archive_entry_pathname(entry) : NULL;
                if (!name)
                        return fail(tar, err);
                _cleanup_free_ char *wanted = archive_entry_filetype(entry) == AE_IFREG ? target_name(name) : NULL;
                int r = wanted ? write_member(tar, target, wanted, &written, err) : 0;
                if (r < 0)
                        return r;
        }
        return error_set(err, -EFBIG, "it holds more than %d files", ALL_ENTRIES_MAX);
}

int package_extract(const char *path, int target, struct error *err)
{
        _cleanup_(archive) struct archive *outer = archive_read_new();
        struct archive_entry *entry;
        if (!outer)
                return error_memory(err);
        archive_read_support_format_ar(outer);
        if (archive_read_open_filename(outer, path, BLOCK) != ARCHIVE_OK)
                return fail(outer, err);
        while (archive_read_next_header(outer, &entry) == ARCHIVE_OK) {
                const char *name = archive_entry_pathname(entry);
                if (name && text_starts(name, "data.tar"))
                        return extract(outer, target, err);
        }
        return error_set(err, -EBADMSG, "it is no Debian package: there is no data.tar in it");
}
