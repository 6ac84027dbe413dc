/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Texts that say where control groups are: mountinfo and /proc/PID/cgroup, linux.cgroupsPath, and what was saved of a
 * container.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "container/cgroup_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_layout(const char *text)
{
        struct cgroup_layout layout;
        if (cgroup_layout_parse(text, text, &layout, NULL) < 0)
                return;
        for (size_t i = 0; i < layout.count; i++)
                if (!layout.hierarchies[i].mount || !layout.hierarchies[i].root)
                        abort();
        cgroup_layout_free(&layout);
}

static void parse_path(const char *text)
{
        for (int i = 0; i < 4; i++) {
                char *below = NULL;
                if (cgroup_path("id", text, i & 1, i & 2, &below, NULL) < 0)
                        continue;
                /* Below the mount point, and nowhere else. */
                if (*below != '/' || strstr(below, "/../") || text_ends(below, "/..") || strchr(below, '\n'))
                        abort();
                free(below);
        }
}

static void load(const char *text, size_t size)
{
        _cleanup_json_ json_t *saved = NULL;
        struct cgroup *cgroup = NULL;
        if (json_parse(text, size, "input", &saved, NULL) < 0 || cgroup_load(saved, &cgroup, NULL) < 0)
                return;
        json_decref(cgroup_paths(cgroup));
        cgroup_free(cgroup);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *text = strndup((const char *)data, size);
        if (!text)
                return 0;
        parse_layout(text);
        parse_path(text);
        load(text, strlen(text));
        return 0;
}
