/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/layer_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/test_point.h"
#include "base/text.h"
#include "image/layout.h"
#include "image/unpacked.h"

static int list_lower(struct store *store, const struct layer_stack *stack, char ***lower, struct error *err)
{
        for (size_t i = 0; stack && i < stack->index; i++) {
                struct digest name;
                if (unpacked_find(store, stack->diff_ids, i, &name) < 0)
                        return error_set(err, -ENOENT, "layer %s is not unpacked", stack->diff_ids[i].text);
                _cleanup_free_ char *path = unpacked_path(store, &name);
                if (!path || list_append(lower, path) < 0)
                        return error_memory(err);
        }
        return 0;
}

static int write_size(int folder, uint64_t bytes, struct error *err)
{
        char text[24];
        int length = snprintf(text, sizeof(text), "%" PRIu64, bytes);
        _cleanup_close_ int fd = openat(folder, "size", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return error_errno(err, "cannot write the layer's size");
        int r = write_all(fd, text, (size_t)length);
        return r < 0 ? error_code(err, r, "cannot write the layer's size") : 0;
}

/* The name comes last: after it nobody looks at the content again. */
static int give_name(struct adding *adding, int folder, const char *temporary, const struct digest *name,
                     struct error *err)
{
        test_point("image.layer.unpacked");
        if (syncfs(folder) < 0)
                return error_errno(err, "cannot write the layer to the disk");
        if (renameat2(adding->layers, temporary, adding->store->layers, digest_hex(name), RENAME_NOREPLACE) < 0 &&
            errno != EEXIST)
                return error_errno(err, "cannot give layer %s its name", name->text);
        test_point("image.layer.renamed");
        return 0;
}

static int unpack(struct adding *adding, struct stream *stream, const struct layer_stack *stack,
                  const struct layer_options *options, struct digest *diff_id, struct digest *input,
                  struct layer_report *report, struct error *err)
{
        char temporary[24];
        snprintf(temporary, sizeof(temporary), "layer-%u", adding->serial++);
        _cleanup_close_ int folder = layout_folder(adding->layers, temporary, err);
        if (folder < 0)
                return folder;
        if (mkdirat(folder, "root", 0755) < 0)
                return error_errno(err, "cannot create the layer's folder");
        _cleanup_close_ int root = openat(folder, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (root < 0 || fchmod(root, 0755) < 0)
                return error_errno(err, "cannot open the layer's folder");

        int r = layer_unpack(stream, root, options, report, err);
        if (!r)
                r = stream_finish(stream, input, diff_id, err);
        if (r < 0)
                return r;
        if (stack && !digest_equal(diff_id, &stack->diff_ids[stack->index]))
                return error_set(err, -EBADMSG, "the layer's content has the digest %s, but the image says %s",
                                 diff_id->text, stack->diff_ids[stack->index].text);
        r = write_size(folder, report->bytes, err);
        if (r < 0)
                return r;
        struct digest name = *diff_id;
        if (report->depends_on_lower)
                chain_id(stack->diff_ids, stack->index + 1, &name);
        return give_name(adding, folder, temporary, &name, err);
}

int layer_store(struct adding *adding, struct stream *stream, const struct layer_stack *stack, bool absolute_names,
                struct digest *diff_id, struct digest *input, struct layer_report *report, struct error *err)
{
        _cleanup_list_ char **lower = NULL;
        int r = list_lower(adding->store, stack, &lower, err);
        if (r < 0)
                return r;
        struct layer_options options = { .absolute_names = absolute_names, .lower = lower };
        return unpack(adding, stream, stack, &options, diff_id, input, report, err);
}
