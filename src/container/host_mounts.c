/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/host_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"

/* A table of a hundred thousand mounts. */
#define MOUNTINFO_MAX (32 * 1024 * 1024)

/* Blanks, tabs, line feeds and backslashes are written as \ooo. */
static void decode(char *text)
{
        char *to = text;
        for (; *text; to++) {
                if (text[0] == '\\' && text[1] && text[2] && text[3]) {
                        *to = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
                        text += 4;
                } else {
                        *to = *text++;
                }
        }
        *to = 0;
}

/* proc(5): id parent major:minor ROOT POINT options tags… - TYPE source OPTIONS */
static bool parse_line(char *line, struct host_mount *mount)
{
        char *fields[5], *rest = line;
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                fields[i] = strsep(&rest, " ");
                if (!rest)
                        return false;
        }
        char *dash = strstr(rest, " - ");
        if (!dash)
                return false;
        rest = dash + 3;
        char *type = strsep(&rest, " ");
        if (rest)
                strsep(&rest, " ");
        if (!rest)
                return false;
        decode(fields[3]);
        decode(fields[4]);
        *mount = (struct host_mount){ .root = fields[3], .point = fields[4], .type = type, .options = rest };
        return true;
}

int host_mounts_each(int (*visit)(const struct host_mount *mount, void *context, struct error *err), void *context,
                     struct error *err)
{
        _cleanup_free_ char *table = NULL;
        int r = file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &table, NULL, err);
        if (r < 0)
                return r;
        for (char *rest = table, *line; (line = strsep(&rest, "\n"));) {
                struct host_mount mount;
                if (!parse_line(line, &mount))
                        continue;
                r = visit(&mount, context, err);
                if (r)
                        return r;
        }
        return 0;
}

static int hide(const struct host_mount *entry, void *context, struct error *err)
{
        const char *except = context;
        size_t length = strlen(except);
        if (strcmp(entry->type, "proc") != 0 && strcmp(entry->type, "sysfs") != 0)
                return 0;
        if (!strncmp(entry->point, except, length) && (!entry->point[length] || entry->point[length] == '/'))
                return 0;
        if (!umount2(entry->point, MNT_DETACH) || errno == ENOENT)
                return 0;
        /* A user namespace may not take off what came with its mount namespace, but may cover it. */
        if ((errno == EINVAL || errno == EPERM) && !mount("tmpfs", entry->point, "tmpfs", 0, NULL))
                return 0;
        return error_errno(err, "cannot hide the host's %s", entry->point);
}

int host_mounts_hide(const char *except, struct error *err)
{
        return host_mounts_each(hide, (void *)except, err);
}
