/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/id_map.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "container/clone.h"

/* The kernel takes no more lines: user_namespaces(7). */
#define RANGES_MAX 340

int id_map_parse(const struct json_at *array, struct id_map *map)
{
        size_t count = json_count(array);
        if (count > RANGES_MAX)
                return json_misfit(array, "has %zu ranges; the kernel takes %d", count, RANGES_MAX);
        if (!count)
                return json_failed(array);
        map->ranges = calloc(count, sizeof(*map->ranges));
        if (!map->ranges)
                return array->reader->code = error_memory(array->reader->err);

        for (size_t i = 0; i < count; i++) {
                struct json_at at = json_element(array, i);
                if (!json_is_object(at.value))
                        return json_misfit(&at, "must be an object");
                int64_t container = -1, host = -1, size = -1;
                json_get_i64(&at, "containerID", 0, UINT32_MAX - 1, &container);
                json_get_i64(&at, "hostID", 0, UINT32_MAX - 1, &host);
                json_get_i64(&at, "size", 1, UINT32_MAX, &size);
                if (json_failed(&at))
                        return json_failed(&at);
                if (container < 0 || host < 0 || size < 0)
                        return json_misfit(&at, "needs containerID, hostID and size");
                if (container + size > UINT32_MAX || host + size > UINT32_MAX)
                        return json_misfit(&at, "reaches beyond the largest number, %u", UINT32_MAX - 1);
                for (size_t j = 0; j < i; j++) {
                        const struct id_map_range *other = &map->ranges[j];
                        if (container < (int64_t)other->container + other->size && other->container < container + size)
                                return json_misfit(&at, "overlaps an earlier range");
                }
                map->ranges[i] = (struct id_map_range){ (uint32_t)container, (uint32_t)host, (uint32_t)size };
                map->count = i + 1;
        }
        return 0;
}

void id_map_free(struct id_map *map)
{
        free(map->ranges);
        *map = (struct id_map){ 0 };
}

bool id_map_holds(const struct id_map *map, uint32_t container)
{
        for (size_t i = 0; i < map->count; i++)
                if (container - map->ranges[i].container < map->ranges[i].size && container >= map->ranges[i].container)
                        return true;
        return false;
}

static int write_directly(pid_t pid, const char *file, const struct id_map *map, struct error *err)
{
        _cleanup_text_ struct text lines = { 0 };
        for (size_t i = 0; i < map->count; i++)
                text_printf(&lines, "%u %u %u\n", map->ranges[i].container, map->ranges[i].host, map->ranges[i].size);
        char path[64];
        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
        _cleanup_free_ char *data = text_take(&lines);
        return data ? file_poke(AT_FDCWD, path, data, err) : error_memory(err);
}

static int write_by_helper(pid_t pid, const char *helper, const char *ranges_file, const struct id_map *map,
                           struct error *err)
{
        _cleanup_list_ char **argv = NULL;
        int r = list_append(&argv, helper);
        if (!r)
                r = list_printf(&argv, "%d", (int)pid);
        for (size_t i = 0; i < map->count && !r; i++) {
                r = list_printf(&argv, "%u", map->ranges[i].container);
                if (!r)
                        r = list_printf(&argv, "%u", map->ranges[i].host);
                if (!r)
                        r = list_printf(&argv, "%u", map->ranges[i].size);
        }
        if (r < 0)
                return error_memory(err);
        pid_t child;
        r = process_spawn(argv, (int[3]){ -1, -1, -1 }, &child, err);
        if (r == -ENOENT)
                return error_prefix(err, "mapping more than one's own number needs %s (Debian: uidmap)", helper);
        if (r < 0)
                return r;
        int status;
        r = process_wait(child, &status);
        if (r < 0)
                return error_code(err, r, "cannot wait for %s", helper);
        if (status)
                return error_set(err, -EPERM, "%s refused the mapping; see what %s allows this user", helper,
                                 ranges_file);
        return 0;
}

static bool maps_only_itself(const struct id_map *map, uint32_t own)
{
        return map->count == 1 && map->ranges[0].size == 1 && map->ranges[0].host == own;
}

static int write_maps(pid_t pid, const struct id_map *uids, const struct id_map *gids, struct error *err)
{
        bool privileged = geteuid() == 0;
        int r;
        if (privileged || maps_only_itself(gids, getegid())) {
                if (!privileged) {
                        /* The kernel's price for a group map without privilege. */
                        char path[64];
                        snprintf(path, sizeof(path), "/proc/%d/setgroups", (int)pid);
                        r = file_poke(AT_FDCWD, path, "deny", err);
                        if (r < 0)
                                return r;
                }
                r = write_directly(pid, "gid_map", gids, err);
        } else {
                r = write_by_helper(pid, "newgidmap", "/etc/subgid", gids, err);
        }
        if (r < 0)
                return r;
        if (privileged || maps_only_itself(uids, geteuid()))
                return write_directly(pid, "uid_map", uids, err);
        return write_by_helper(pid, "newuidmap", "/etc/subuid", uids, err);
}

int user_namespace_create(const struct id_map *uids, const struct id_map *gids, struct error *err)
{
        /* A process that does nothing but be in the namespace while the maps are written. */
        pid_t parent = getpid();
        pid_t pid = clone_process(CLONE_NEWUSER, -1);
        if (pid < 0)
                return error_errno(err, "cannot create a user namespace (see /proc/sys/user/max_user_namespaces)");
        if (!pid) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                while (getppid() == parent)
                        pause();
                _exit(0);
        }
        int r = write_maps(pid, uids, gids, err), fd = -1;
        if (!r) {
                char path[64];
                snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
                fd = open(path, O_RDONLY | O_CLOEXEC);
                if (fd < 0)
                        r = error_errno(err, "cannot open the new user namespace");
        }
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
        return r < 0 ? r : fd;
}
