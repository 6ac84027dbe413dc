/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "instance/instance.h"
#include "instance/userns.h"

static char *folder_of(const char *given, const char *variable, const char *of_root, const char *home_variable,
                       const char *below_home)
{
        const char *value = given ? given : getenv(variable);
        if (value && value[0] == '/')
                return strdup(value);
        if (value && *value) {
                _cleanup_free_ char *here = getcwd(NULL, 0);
                return here ? text_format("%s/%s", here, value) : NULL;
        }
        if (!geteuid())
                return strdup(of_root);
        const char *home = getenv(home_variable);
        if (home && *home)
                return text_format("%s/onggi", home);
        home = getenv("HOME");
        return text_format("%s/%s", home && *home ? home : "/tmp", below_home);
}

/* The program `name` in one of the folders, or NULL. */
static char *find_program(char *const *folders, const char *name)
{
        for (; folders && *folders; folders++) {
                char *path = text_format("%s/%s", *folders, name);
                if (!path || !access(path, X_OK))
                        return path;
                free(path);
        }
        return NULL;
}

/* Installed: <prefix>/bin/onggi and <prefix>/libexec/onggi/…; in a build folder: src/cli/onggi beside src/instance,
 * …. */
static char **program_folders(void)
{
        char **folders = NULL;
        const char *given = secure_getenv("ONGGI_LIBEXEC");
        if (given && *given && list_append(&folders, given) < 0)
                return NULL;
        char self[PATH_MAX];
        ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
        if (length <= 0)
                return folders;
        self[length] = 0;
        char *slash = strrchr(self, '/');
        if (!slash)
                return folders;
        *slash = 0;
        static const char *const beside[] = {
                "../libexec/onggi",   "",          "../instance", "../container", "../runtime_vm",
                "../virtual_machine", "../hosted", "../guest",    "../kernel",    "../compare",
                "../image",           "../sbin",   "../../bin"
        };
        for (size_t i = 0; i < ARRAY_SIZE(beside); i++)
                if (list_printf(&folders, "%s/%s", self, beside[i]) < 0)
                        break;
        return folders;
}

static int find_programs(struct host *host, struct error *err)
{
        char **folders = host->programs = program_folders();
        _cleanup_free_ char *monitor = find_program(folders, "onggi-monitor");
        if (!monitor)
                return error_set(err, -ENOENT,
                                 "onggi-monitor was found in none of %s …; set ONGGI_LIBEXEC to its folder",
                                 folders ? folders[0] : "the usual folders");
        char *slash = strrchr(monitor, '/');
        host->libexec = strndup(monitor, (size_t)(slash - monitor));
        const char *given = secure_getenv("ONGGI_RUNTIME");
        host->runtime = given && *given ? strdup(given) : find_program(folders, "onggi-runtime");
        if (!host->runtime)
                return error_set(err, -ENOENT, "onggi-runtime was not found beside %s", monitor);
        return host->libexec ? 0 : error_memory(err);
}

char *host_program(const struct host *host, const char *name)
{
        /* Found already, or given. */
        return text_equal(name, "onggi-runtime") ? strdup(host->runtime) : find_program(host->programs, name);
}

void host_close(struct host *host)
{
        if (!host)
                return;
        free(host->root);
        free(host->state);
        free(host->libexec);
        free(host->runtime);
        list_free(host->programs);
        free(host);
}

/* A process of ours that was started inside the user namespace (by the monitor) is root there and still an ordinary
 * user. */
static bool in_user_namespace(void)
{
        char map[64];
        _cleanup_close_ int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
        ssize_t length = fd < 0 ? -1 : read(fd, map, sizeof(map) - 1);
        unsigned long inside, outside, count;
        map[length < 0 ? 0 : length] = 0;
        return sscanf(map, "%lu %lu %lu", &inside, &outside, &count) == 3 && (outside || count != UINT32_MAX);
}

int host_open(const char *root, const char *state, struct host **host, struct error *err)
{
        struct host *new = calloc(1, sizeof(*new));
        if (!new)
                return error_memory(err);
        new->root = folder_of(root, "ONGGI_ROOT", "/var/lib/onggi", "XDG_DATA_HOME", ".local/share/onggi");
        new->state = folder_of(state, "ONGGI_STATE", "/run/onggi", "XDG_RUNTIME_DIR", ".local/share/onggi/run");
        int r = new->root &&new->state ? find_programs(new, err) : error_memory(err);
        if (!r) {
                _cleanup_close_ int folder = directory_make(new->state, 0711, err);
                r = folder < 0 ? folder : 0;
        }
        new->rootless = geteuid() || in_user_namespace();
        if (!r && geteuid())
                r = userns_enter(new->state, err);
        if (r < 0) {
                host_close(new);
                return r;
        }
        *host = new;
        return 0;
}
