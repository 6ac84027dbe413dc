/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/cgroup_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"

/* A host with thousands of mounts stays far below this. */
#define MOUNTINFO_BYTES_MAX (16 * 1024 * 1024)

static const struct {
        const char *v1, *v2;
} names[CONTROLLER_COUNT] = {
        [CONTROLLER_CPU] = { "cpu", "cpu" },
        [CONTROLLER_CPUACCT] = { "cpuacct", NULL },
        [CONTROLLER_CPUSET] = { "cpuset", "cpuset" },
        [CONTROLLER_MEMORY] = { "memory", "memory" },
        [CONTROLLER_DEVICES] = { "devices", NULL },
        [CONTROLLER_FREEZER] = { "freezer", NULL },
        [CONTROLLER_BLOCK] = { "blkio", "io" },
        [CONTROLLER_PIDS] = { "pids", "pids" },
        [CONTROLLER_HUGETLB] = { "hugetlb", "hugetlb" },
        [CONTROLLER_NET_CLS] = { "net_cls", NULL },
        [CONTROLLER_NET_PRIO] = { "net_prio", NULL },
        [CONTROLLER_PERF_EVENT] = { "perf_event", NULL },
        [CONTROLLER_RDMA] = { "rdma", "rdma" },
        [CONTROLLER_MISC] = { "misc", "misc" },
};

const char *controller_name(enum controller controller, unsigned version)
{
        return version == 1 ? names[controller].v1 : names[controller].v2;
}

uint32_t controllers_parse(const char *list, const char *separators, unsigned version)
{
        uint32_t bits = 0;
        for (const char *item = list; *item;) {
                size_t length = strcspn(item, separators);
                for (enum controller i = 0; length && i < CONTROLLER_COUNT; i++) {
                        const char *name = controller_name(i, version);
                        if (name && strlen(name) == length && !memcmp(name, item, length))
                                bits |= CONTROLLER_BIT(i);
                }
                item += length;
                item += strspn(item, separators);
        }
        return bits;
}

/* mountinfo writes space, tab, line feed and backslash as \ooo. */
static char *unescape(const char *text, size_t length)
{
        char *plain = strndup(text, length), *out = plain;
        for (const char *in = plain; in && *in; out++) {
                if (in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] >= '0' && in[2] <= '7' && in[3] >= '0' &&
                    in[3] <= '7') {
                        *out = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
                        in += 4;
                } else {
                        *out = *in++;
                }
        }
        if (out)
                *out = 0;
        return plain;
}

static const char *next_field(const char *field, const char *end)
{
        const char *space = memchr(field, ' ', (size_t)(end - field));
        return space ? space + 1 : end;
}

static size_t field_length(const char *field, const char *end)
{
        const char *space = memchr(field, ' ', (size_t)(end - field));
        return (size_t)((space ? space : end) - field);
}

static char *named_hierarchy(const char *options)
{
        const char *name = strstr(options, "name=");
        if (!name || (name != options && name[-1] != ','))
                return NULL;
        name += strlen("name=");
        return strndup(name, strcspn(name, ","));
}

static bool same_hierarchy(const struct cgroup_hierarchy *a, const struct cgroup_hierarchy *b)
{
        return a->version == b->version && a->controllers == b->controllers && text_equal(a->name, b->name);
}

static void free_hierarchy(struct cgroup_hierarchy *hierarchy)
{
        free(hierarchy->name);
        free(hierarchy->mount);
        free(hierarchy->root);
        free(hierarchy->own);
}

/* A mount made later at the same place or above it hides what was there. */
static void drop_hidden(struct cgroup_layout *layout, const char *mount)
{
        size_t length = strlen(mount), kept = 0;
        for (size_t i = 0; i < layout->count; i++) {
                struct cgroup_hierarchy hierarchy = layout->hierarchies[i];
                const char *rest = hierarchy.mount + length;
                if (length > 1 && text_starts(hierarchy.mount, mount) && (!*rest || *rest == '/'))
                        free_hierarchy(&hierarchy);
                else
                        layout->hierarchies[kept++] = hierarchy;
        }
        layout->count = kept;
}

/* One line: ID PARENT MAJOR:MINOR ROOT MOUNT-POINT OPTIONS… - TYPE SOURCE SUPER-OPTIONS */
static int parse_mount(const char *line, const char *end, struct cgroup_layout *layout, struct error *err)
{
        const char *dash = memmem(line, (size_t)(end - line), " - ", strlen(" - "));
        if (!dash)
                return 0;
        const char *root = line;
        for (int i = 0; i < 3; i++)
                root = next_field(root, dash);
        const char *mount = next_field(root, dash);
        _cleanup_free_ char *point = unescape(mount, field_length(mount, dash));
        if (!point)
                return error_memory(err);
        drop_hidden(layout, point);

        const char *type = dash + strlen(" - ");
        size_t type_length = field_length(type, end);
        bool v2 = type_length == strlen("cgroup2") && !memcmp(type, "cgroup2", type_length);
        if (!v2 && (type_length != strlen("cgroup") || memcmp(type, "cgroup", type_length)))
                return 0;
        const char *super = next_field(next_field(type, end), end);
        _cleanup_free_ char *options = strndup(super, (size_t)(end - super));
        if (!options)
                return error_memory(err);

        struct cgroup_hierarchy found = {
                .version = v2 ? 2 : 1,
                .controllers = v2 ? 0 : controllers_parse(options, ",", 1),
                .name = v2 ? NULL : named_hierarchy(options),
                .mount = TAKE_PTR(point),
                .root = unescape(root, field_length(root, dash)),
        };
        /* A second mount of the same hierarchy shows nothing new; a v1 mount of unknown controllers is none of ours. */
        bool wanted = v2 || found.controllers || found.name;
        for (size_t i = 0; i < layout->count; i++)
                wanted = wanted && !same_hierarchy(&layout->hierarchies[i], &found);
        if (wanted && !found.root) {
                free_hierarchy(&found);
                return error_memory(err);
        }
        if (!wanted || layout->count == CGROUP_HIERARCHIES_MAX) {
                free_hierarchy(&found);
                return 0;
        }
        layout->hierarchies[layout->count++] = found;
        return 0;
}

/* The caller's cgroup as a path below what the mount shows, or NULL. */
static char *below_mount(const struct cgroup_hierarchy *hierarchy, const char *path, size_t length)
{
        size_t root = strlen(hierarchy->root);
        if (!strcmp(hierarchy->root, "/"))
                return strndup(path, length);
        if (length < root || memcmp(path, hierarchy->root, root) || (length > root && path[root] != '/'))
                return NULL;
        return length == root ? strdup("/") : strndup(path + root, length - root);
}

/* One line: ID:CONTROLLERS:PATH, where v2 is "0::PATH" and a named hierarchy "ID:name=NAME:PATH". */
static void parse_own(const char *line, const char *end, struct cgroup_layout *layout)
{
        const char *list = memchr(line, ':', (size_t)(end - line));
        const char *path = list ? memchr(list + 1, ':', (size_t)(end - list - 1)) : NULL;
        if (!path)
                return;
        _cleanup_free_ char *controllers = strndup(list + 1, (size_t)(path - list - 1));
        if (!controllers)
                return;
        path++;
        struct cgroup_hierarchy key = {
                .version = *controllers ? 1 : 2,
                .controllers = controllers_parse(controllers, ",", 1),
                .name = named_hierarchy(controllers),
        };
        for (size_t i = 0; i < layout->count; i++) {
                struct cgroup_hierarchy *hierarchy = &layout->hierarchies[i];
                if (same_hierarchy(hierarchy, &key) && !hierarchy->own)
                        hierarchy->own = below_mount(hierarchy, path, (size_t)(end - path));
        }
        free(key.name);
}

int cgroup_layout_parse(const char *mountinfo, const char *self, struct cgroup_layout *layout, struct error *err)
{
        *layout = (struct cgroup_layout){ 0 };
        for (const char *line = mountinfo; *line;) {
                const char *end = strchrnul(line, '\n');
                int r = parse_mount(line, end, layout, err);
                if (r < 0) {
                        cgroup_layout_free(layout);
                        return r;
                }
                line = *end ? end + 1 : end;
        }
        for (const char *line = self ? self : ""; *line;) {
                const char *end = strchrnul(line, '\n');
                parse_own(line, end, layout);
                line = *end ? end + 1 : end;
        }
        return 0;
}

int cgroup_layout_read(bool own, struct cgroup_layout *layout, struct error *err)
{
        _cleanup_free_ char *mountinfo = NULL, *self = NULL;
        int r = file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_BYTES_MAX, &mountinfo, NULL, err);
        if (!r && own)
                r = file_read(AT_FDCWD, "/proc/self/cgroup", MOUNTINFO_BYTES_MAX, &self, NULL, err);
        return r < 0 ? r : cgroup_layout_parse(mountinfo, self, layout, err);
}

void cgroup_layout_free(struct cgroup_layout *layout)
{
        for (size_t i = 0; i < layout->count; i++)
                free_hierarchy(&layout->hierarchies[i]);
        layout->count = 0;
}
