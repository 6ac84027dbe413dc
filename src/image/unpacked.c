/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/unpacked.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "image/layout.h"

void chain_id(const struct digest *diff_ids, size_t count, struct digest *chain)
{
        *chain = diff_ids[0];
        for (size_t i = 1; i < count; i++) {
                char both[2 * sizeof(chain->text)];
                int length = snprintf(both, sizeof(both), "%s %s", chain->text, diff_ids[i].text);
                digest_bytes(both, (size_t)length, chain);
        }
}

static bool is_there(struct store *store, const struct digest *name)
{
        return !faccessat(store->layers, digest_hex(name), F_OK, AT_SYMLINK_NOFOLLOW);
}

int unpacked_find(struct store *store, const struct digest *diff_ids, size_t index, struct digest *name)
{
        *name = diff_ids[index];
        if (is_there(store, name))
                return 0;
        chain_id(diff_ids, index + 1, name);
        return is_there(store, name) ? 0 : -ENOENT;
}

char *unpacked_path(struct store *store, const struct digest *name)
{
        return text_format("%s/layers/%s/root", store->path, digest_hex(name));
}

uint64_t unpacked_size(struct store *store, const struct digest *name)
{
        char file[DIGEST_HEX_LENGTH + sizeof("/size")];
        snprintf(file, sizeof(file), "%s/size", digest_hex(name));
        _cleanup_free_ char *text = NULL;
        uint64_t size;
        if (file_read(store->layers, file, 32, &text, NULL, NULL) < 0 || parse_u64(text, &size) < 0)
                return 0;
        return size;
}

bool unpacked_hides_lower(const char *path)
{
        char value[2];
        return getxattr(path, "trusted.overlay.opaque", value, sizeof(value)) > 0 ||
               getxattr(path, "user.overlay.opaque", value, sizeof(value)) > 0;
}
