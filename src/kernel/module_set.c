/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/module_set.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "kernel/module_file.h"
#include "kernel/unpack.h"

#define MODULE_BYTES_MAX  ((size_t)64 << 20)
#define BUILTIN_BYTES_MAX ((size_t)1 << 20)
#define DEPTH_MAX         16 /* of needs; kernels have four or five */

/* What onggi-init loads, and what a guest's own programs profit from: entropy, memory that goes back. */
static const struct {
        const char *name;
        bool optional;
} wanted[] = {
        { "virtio_pci", false },    { "virtio_blk", false },
        { "virtio_net", false },    { "vmw_vsock_virtio_transport", false },
        { "erofs", false },         { "ext4", false },
        { "overlay", false },       { "virtiofs", true },
        { "virtio_balloon", true },
};

struct module {
        char *name;   /* '_' and no '-' */
        char *path;   /* in the source */
        char **needs; /* names, all that are to be loaded before it, in their order; NULL-terminated */
        bool copied;
};

struct module_set {
        int source, target;
        struct module *modules; /* all that the source has */
        size_t count, room;
        char *builtin; /* modules.builtin, or NULL */
        char ***names;
};

/* ---- What is there ---- */

/* "kernel/fs/fuse/virtio-fs.ko.xz" is virtio_fs; NULL for what is no module. */
static char *module_name(const char *file)
{
        const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file, *end = strstr(base, ".ko");
        if (!end || end == base || (end[3] && end[3] != '.'))
                return NULL;
        char *name = strndup(base, (size_t)(end - base));
        for (char *c = name; c && *c; c++)
                *c = *c == '-' ? '_' : *c;
        return name;
}

static int add(struct module_set *set, const char *path)
{
        char *name = module_name(path);
        if (!name)
                return 0;
        if (set->count == set->room) {
                size_t room = set->room ? set->room * 2 : 256;
                struct module *grown = reallocarray(set->modules, room, sizeof(*grown));
                if (!grown) {
                        free(name);
                        return -ENOMEM;
                }
                set->modules = grown;
                set->room = room;
        }
        set->modules[set->count] = (struct module){ .name = name, .path = strdup(path) };
        return set->modules[set->count++].path ? 0 : -ENOMEM;
}

static int scan(struct module_set *set, struct error *err)
{
        char base[32];
        char *const roots[] = { base, NULL };
        snprintf(base, sizeof(base), "/proc/self/fd/%d/", set->source);
        FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR | FTS_NOSTAT, NULL);
        const FTSENT *entry;
        int r = walk ? 0 : -errno;
        while (!r && (entry = fts_read(walk)))
                if (entry->fts_info != FTS_D && entry->fts_info != FTS_DP)
                        r = add(set, entry->fts_path + strlen(base));
        if (walk)
                fts_close(walk);
        return r < 0 ? error_code(err, r, "cannot read the kernel's modules") : 0;
}

static struct module *find(struct module_set *set, const char *name)
{
        for (size_t i = 0; i < set->count; i++)
                if (!strcmp(set->modules[i].name, name))
                        return &set->modules[i];
        return NULL;
}

static bool is_builtin(const struct module_set *set, const char *name)
{
        for (const char *line = set->builtin; line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
                _cleanup_free_ char *one = strndup(line, strcspn(line, "\n"));
                _cleanup_free_ char *found = one ? module_name(one) : NULL;
                if (found && !strcmp(found, name))
                        return true;
        }
        return false;
}

/* ---- Copying ---- */

static int copy(struct module_set *set, const char *name, bool optional, unsigned depth, char ***before,
                struct error *err);

static int copy_all(struct module_set *set, char *const *names, bool optional, unsigned depth, char ***before,
                    struct error *err)
{
        int r = 0;
        for (size_t i = 0; !r && i < list_length(names); i++)
                r = copy(set, names[i], optional, depth, before, err);
        return r;
}

/* The file's bytes, unpacked and without a signature. */
static int read_module(const struct module_set *set, const struct module *module, char **bytes, size_t *length,
                       struct error *err)
{
        _cleanup_free_ char *packed = NULL;
        size_t packed_length;
        int r = file_read(set->source, module->path, MODULE_BYTES_MAX, &packed, &packed_length, err);
        if (r < 0)
                return r;
        if (text_ends(module->path, ".ko")) {
                *bytes = TAKE_PTR(packed);
                *length = packed_length;
        } else {
                r = unpack_bytes(packed, packed_length, MODULE_BYTES_MAX, bytes, length, err);
        }
        if (!r)
                *length = module_file_unsigned(*bytes, *length);
        return r;
}

static int copy_module(struct module_set *set, struct module *module, unsigned depth, struct error *err)
{
        _cleanup_free_ char *bytes = NULL;
        _cleanup_free_ char *file = text_format("%s.ko", module->name);
        _cleanup_list_ char **needs = NULL;
        _cleanup_list_ char **wishes = NULL;
        size_t length;
        int r = file ? read_module(set, module, &bytes, &length, err) : error_memory(err);
        if (!r)
                r = module_file_needs(bytes, length, &needs, &wishes, err);
        if (r < 0)
                return error_prefix(err, "module %s", module->path);
        module->copied = true; /* first of all: modules that need each other come to an end */
        r = copy_all(set, wishes, true, depth + 1, &module->needs, err);
        if (!r)
                r = copy_all(set, needs, false, depth + 1, &module->needs, err);
        if (!r)
                r = file_replace_volatile(set->target, file, bytes, length, 0644, err);
        if (!r && list_append(set->names, module->name) < 0)
                r = error_memory(err);
        return r;
}

/* Copies it, unless it has been, and appends to `before` what it needs and itself. */
static int copy(struct module_set *set, const char *name, bool optional, unsigned depth, char ***before,
                struct error *err)
{
        struct module *module = find(set, name);
        if (!module) {
                if (optional || is_builtin(set, name))
                        return 0;
                return error_set(err, -ENOENT, "the kernel has no module %s, nor is it built in", name);
        }
        if (depth > DEPTH_MAX)
                return error_set(err, -ELOOP, "its modules need each other in a circle, at %s", name);
        int r = module->copied ? 0 : copy_module(set, module, depth, err);
        for (size_t i = 0; !r && before && i < list_length(module->needs); i++)
                if (!list_contains(*before, module->needs[i]) && list_append(before, module->needs[i]) < 0)
                        r = error_memory(err);
        if (!r && before && !list_contains(*before, name) && list_append(before, name) < 0)
                r = error_memory(err);
        return r;
}

/* Last comes first, as depmod(8) has it. */
static int write_index(const struct module_set *set, struct error *err)
{
        _cleanup_text_ struct text text = { 0 };
        for (size_t i = 0; i < set->count; i++) {
                const struct module *module = &set->modules[i];
                if (!module->copied)
                        continue;
                text_printf(&text, "%s.ko:", module->name);
                for (size_t n = list_length(module->needs); n; n--)
                        text_printf(&text, " %s.ko", module->needs[n - 1]);
                text_append(&text, "\n");
        }
        if (text_failed(&text))
                return error_memory(err);
        return file_replace_volatile(set->target, "modules.dep", text.data ? text.data : "", text.length, 0644, err);
}

static int compare(const void *a, const void *b)
{
        return strcmp(((const struct module *)a)->name, ((const struct module *)b)->name);
}

int module_set_copy(int source, int target, char ***modules, struct error *err)
{
        struct module_set set = { .source = source, .target = target, .names = modules };
        /* A kernel without that list says by its modules alone what it has. */
        (void)file_read(source, "modules.builtin", BUILTIN_BYTES_MAX, &set.builtin, NULL, NULL);
        int r = scan(&set, err);
        if (!r && set.count)
                qsort(set.modules, set.count, sizeof(*set.modules), compare);
        for (size_t i = 0; !r && i < ARRAY_SIZE(wanted); i++)
                r = copy(&set, wanted[i].name, wanted[i].optional, 0, NULL, err);
        if (!r)
                r = write_index(&set, err);
        for (size_t i = 0; i < set.count; i++) {
                free(set.modules[i].name);
                free(set.modules[i].path);
                list_free(set.modules[i].needs);
        }
        free(set.modules);
        free(set.builtin);
        return r;
}
