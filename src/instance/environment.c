/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

#define FILE_BYTES_MAX (1024 * 1024)

const char *environment_get(char *const *list, const char *name)
{
        const char *value = NULL;
        size_t length = strlen(name);
        for (; list && *list; list++)
                if (!strncmp(*list, name, length) && (*list)[length] == '=')
                        value = *list + length + 1;
        return value;
}

/* Appends `entry` if it has a value or gets one. */
static int append_entry(char ***list, const char *entry, bool from_caller)
{
        if (strchr(entry, '='))
                return list_append(list, entry);
        if (!from_caller)
                return list_printf(list, "%s=", entry);
        const char *value = getenv(entry);
        return value ? list_printf(list, "%s=%s", entry, value) : 0;
}

static int append_file(char ***list, const char *file, bool from_caller, struct error *err)
{
        _cleanup_free_ char *data = NULL;
        size_t length;
        int r = file_read(AT_FDCWD, file, FILE_BYTES_MAX, &data, &length, err);
        if (r < 0)
                return r;
        if (strlen(data) != length)
                return error_set(err, -EINVAL, "%s holds a NUL character; it must be lines of NAME=value", file);
        char *rest = data, *line;
        while ((line = strsep(&rest, "\n"))) {
                line += strspn(line, " \t");
                size_t end = strlen(line);
                if (end && line[end - 1] == '\r')
                        line[end - 1] = 0;
                if (!*line || *line == '#')
                        continue;
                if (*line == '=')
                        return error_set(err, -EINVAL, "%s: a line starts with \"=\"; it must be NAME=value", file);
                if (append_entry(list, line, from_caller) < 0)
                        return error_memory(err);
        }
        return 0;
}

static int complete(char ***list, char *const *files, bool from_caller, struct error *err)
{
        char **all = NULL;
        int r = 0;
        for (; !r && files && *files; files++)
                r = append_file(&all, *files, from_caller, err);
        for (char **entry = *list; !r && entry && *entry; entry++)
                if (append_entry(&all, *entry, from_caller) < 0)
                        r = error_memory(err);
        if (r < 0) {
                list_free(all);
                return r;
        }
        list_free(*list);
        *list = all;
        return 0;
}

int environment_complete(char ***list, char *const *files, struct error *err)
{
        return complete(list, files, true, err);
}

int labels_complete(char ***list, char *const *files, struct error *err)
{
        return complete(list, files, false, err);
}
