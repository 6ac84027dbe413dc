/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "runtime_vm/program_find.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

/* Beside the folder of the running program. */
static const char *const places[] = { ".", "../libexec/onggi", "../hosted", "../guest", "../container" };

static char *usable(const char *folder, const char *place, const char *name)
{
        char *path = text_format("%s/%s/%s", folder, place, name);
        if (path && !access(path, X_OK))
                return path;
        free(path);
        return NULL;
}

char *program_find(const char *name)
{
        char self[PATH_MAX];
        const char *chosen = getenv("ONGGI_LIBEXEC");
        char *found = chosen && *chosen ? usable(chosen, ".", name) : NULL;
        ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
        self[length < 0 ? 0 : length] = 0;
        char *slash = strrchr(self, '/');
        if (slash)
                *slash = 0;
        for (size_t i = 0; i < ARRAY_SIZE(places) && slash && !found; i++)
                found = usable(self, places[i], name);
        return found;
}
