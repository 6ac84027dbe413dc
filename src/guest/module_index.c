/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest/module_index.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define SUFFIX ".ko" /* and what says how it is packed, ".ko.xz" */

struct module {
        const char *file;  /* within the text */
        const char *needs; /* files, blanks between them */
};

struct module_index {
        char *text;
        size_t count;
        struct module *modules;
};

int module_index_parse(char *text, struct module_index **result, struct error *err)
{
        _cleanup_(module_index) struct module_index *index = calloc(1, sizeof(*index));
        size_t lines = 1;
        for (const char *c = text; *c; c++)
                lines += *c == '\n';
        if (!index || !(index->modules = calloc(lines, sizeof(*index->modules)))) {
                free(text);
                return error_memory(err);
        }
        index->text = text;
        char *rest = text, *line;
        while ((line = strsep(&rest, "\n"))) {
                char *colon = strchr(line, ':');
                if (!*line)
                        continue;
                if (!colon)
                        return error_set(err, -EINVAL, "modules.dep: no colon in the line \"%.80s\"", line);
                *colon = 0;
                index->modules[index->count++] = (struct module){ .file = line, .needs = colon + 1 };
        }
        *result = TAKE_PTR(index);
        return 0;
}

void module_index_free(struct module_index *index)
{
        free(index->text);
        free(index->modules);
        free(index);
}

static bool has_name(const char *file, const char *name)
{
        const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file;
        for (; *name; base++, name++)
                if (!*base || (*base != *name && !(strchr("-_", *base) && strchr("-_", *name))))
                        return false;
        return text_starts(base, SUFFIX);
}

static int append(char ***files, const char *file)
{
        return list_contains(*files, file) ? 0 : list_append(files, file);
}

int module_index_order(const struct module_index *index, const char *name, char ***files)
{
        const struct module *module = NULL;
        for (size_t i = 0; i < index->count && !module; i++)
                if (has_name(index->modules[i].file, name))
                        module = &index->modules[i];
        if (!module)
                return 0;
        _cleanup_free_ char *needs = strdup(module->needs);
        if (!needs)
                return -ENOMEM;
        /* The list holds what they need in turn, too: no need to look further. */
        char *last;
        while ((last = strrchr(needs, ' '))) {
                if (last[1] && append(files, last + 1) < 0)
                        return -ENOMEM;
                *last = 0;
        }
        if (*needs && append(files, needs) < 0)
                return -ENOMEM;
        return append(files, module->file) < 0 ? -ENOMEM : 1;
}
