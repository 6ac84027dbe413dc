/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "container/cgroup_tree.h"

/* A directory on the way from the top to where the walk is: the names in it that are still to be visited. */
struct level {
        struct level *above;
        char **names;
        size_t next;
};

static const char *current_name(const struct level *level)
{
        return level->names ? level->names[level->next] : NULL;
}

static int list_folders(int directory, char ***names)
{
        _cleanup_close_ int own = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_closedir_ DIR *folder = own < 0 ? NULL : fdopendir(own);
        if (!folder)
                return errno == ENOENT ? 0 : -errno;
        TAKE_FD(own);
        struct dirent *entry;
        while ((entry = readdir(folder)))
                if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
                    list_append(names, entry->d_name) < 0)
                        return -ENOMEM;
        return 0;
}

static int enter(struct level **level, int directory)
{
        struct level *below = calloc(1, sizeof(*below));
        if (!below)
                return -ENOMEM;
        below->above = *level;
        *level = below;
        return list_folders(directory, &below->names);
}

static void leave(struct level **level)
{
        struct level *above = (*level)->above;
        list_free((*level)->names);
        free(*level);
        *level = above;
}

static int step_down(struct level **level, int *directory)
{
        int below = openat(*directory, current_name(*level), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below < 0) {
                (*level)->next++;
                return errno == ENOENT ? 0 : -errno;
        }
        close(*directory);
        *directory = below;
        return enter(level, below);
}

static int step_up(struct level **level, int *directory, cgroup_visit *visit, void *context)
{
        int parent = openat(*directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (parent < 0)
                return -errno;
        leave(level);
        int r = visit(context, parent, current_name(*level), *directory);
        (*level)->next++;
        close(*directory);
        *directory = parent;
        return r;
}

int cgroup_walk(int top, cgroup_visit *visit, void *context)
{
        struct level *level = NULL;
        _cleanup_close_ int directory = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0)
                return errno == ENOENT ? 0 : -errno;
        int r = enter(&level, directory);
        while (!r && (level->above || current_name(level)))
                r = current_name(level) ? step_down(&level, &directory) : step_up(&level, &directory, visit, context);
        while (level)
                leave(&level);
        return r;
}
