/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "container/cgroup_tree.h"

static int invalid(struct error *err, const char *path, const char *why)
{
        return error_set(err, -EINVAL, "linux.cgroupsPath \"%s\" %s", path, why);
}

/* Appends each part of `path`, checked, with one slash before it. */
static int append_parts(struct text *out, const char *path, struct error *err)
{
        for (const char *part = path; *part;) {
                part += strspn(part, "/");
                size_t length = strcspn(part, "/");
                if (!length)
                        break;
                if ((length == 1 && *part == '.') || (length == 2 && part[0] == '.' && part[1] == '.'))
                        return invalid(err, path, "must not have the parts \".\" or \"..\"");
                if (length > NAME_MAX)
                        return invalid(err, path, "has a part of more than 255 bytes");
                text_append(out, "/");
                text_append_bytes(out, part, length);
                part += length;
        }
        return 0;
}

/* systemd.slice(5): the name of a slice tells its place, a-b.slice lies in a.slice. */
static int append_slice(struct text *out, const char *path, const char *slice, size_t length, struct error *err)
{
        const char suffix[] = ".slice";
        size_t suffix_length = sizeof(suffix) - 1;
        if (length <= suffix_length || memcmp(slice + length - suffix_length, suffix, suffix_length))
                return invalid(err, path, "must start with the name of a slice, such as system.slice");
        size_t stem = length - suffix_length;
        if (stem == 1 && *slice == '-')
                return 0;
        for (size_t i = 0; i < stem; i++)
                if (slice[i] == '/' || (slice[i] == '-' && (!i || i + 1 == stem || slice[i + 1] == '-')))
                        return invalid(err, path, "has a slice with a misplaced \"-\" or \"/\"");
        for (size_t i = 1; i <= stem; i++)
                if (i == stem || slice[i] == '-')
                        text_printf(out, "/%.*s%s", (int)i, slice, suffix);
        return 0;
}

static int systemd_path(const char *path, bool rootless, struct text *out, struct error *err)
{
        const char *prefix = strchr(path, ':'), *name = prefix ? strchr(prefix + 1, ':') : NULL;
        if (!name || strchr(name + 1, ':') || strchr(prefix, '/') || !name[1])
                return invalid(err, path, "must have the form slice:prefix:name with --systemd-cgroup");
        size_t slice = (size_t)(prefix - path), prefix_length = (size_t)(name - prefix - 1);
        const char *standard = rootless ? "user.slice" : "system.slice";
        int r = append_slice(out, path, slice ? path : standard, slice ? slice : strlen(standard), err);
        if (r < 0)
                return r;
        _cleanup_free_ char *unit = text_ends(name + 1, ".slice")
                                            ? strdup(name + 1)
                                            : text_format("%.*s%s%s.scope", (int)prefix_length, prefix + 1,
                                                          prefix_length ? "-" : "", name + 1);
        return unit ? append_parts(out, unit, err) : error_memory(err);
}

int cgroup_path(const char *id, const char *path, bool systemd, bool rootless, char **below, struct error *err)
{
        _cleanup_text_ struct text out = { 0 };
        _cleanup_free_ char *standard = text_format(systemd ? ":onggi:%s" : "/onggi/%s", id);
        if (!standard)
                return error_memory(err);
        bool given = path && *path;
        for (const char *c = given ? path : ""; *c; c++)
                if (iscntrl((unsigned char)*c))
                        return invalid(err, path, "must not have control characters");
        int r;
        if (systemd) {
                r = systemd_path(given ? path : standard, rootless, &out, err);
        } else {
                if (given && *path != '/')
                        text_append(&out, "/onggi");
                r = append_parts(&out, given ? path : standard, err);
        }
        if (r < 0)
                return r;
        if (!out.length)
                return invalid(err, path, "is the root of all control groups; name one below it");
        if (out.length > PATH_MAX / 2)
                return invalid(err, path, "is too long");
        *below = text_take(&out);
        return *below ? 0 : error_memory(err);
}
