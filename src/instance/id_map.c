/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/id_map.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"

#define REGION_FIRST  0x10000000U
#define REGION_RANGES 16384U

/* A link to an instance that is gone is free: whoever takes the lock looks again and removes it. */
static int free_if_stale(int instances, const char *path, struct error *err)
{
        _cleanup_close_ int lock = lock_take(instances, "by-name/.lock", true, err);
        if (lock < 0)
                return lock;
        char target[128];
        ssize_t length = readlinkat(instances, path, target, sizeof(target) - 1);
        if (length < 3)
                return 0;
        target[length] = 0;
        if (faccessat(instances, target + 3, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                unlinkat(instances, path, 0);
        return 0;
}

int id_range_take(int instances, const char *id, struct id_range *range, struct error *err)
{
        if (mkdirat(instances, "by-range", 0700) < 0 && errno != EEXIST)
                return error_errno(err, "cannot create the folder of id ranges");
        char path[32], target[80];
        snprintf(target, sizeof(target), "../%s", id);
        uint32_t start;
        if (getrandom(&start, sizeof(start), 0) != sizeof(start))
                return error_errno(err, "cannot get random bytes for an id range");
        for (uint32_t i = 0; i < 2 * REGION_RANGES; i++) {
                uint32_t n = (start + i / 2) % REGION_RANGES;
                snprintf(path, sizeof(path), "by-range/%u", n);
                if (!symlinkat(target, instances, path)) {
                        *range = (struct id_range){ 0, REGION_FIRST + n * ID_RANGE_SIZE, ID_RANGE_SIZE };
                        return 0;
                }
                if (errno != EEXIST)
                        return error_errno(err, "cannot take a range of ids");
                /* Each range is tried twice: the second time after what a removed instance left is gone. */
                int r = i % 2 ? 0 : free_if_stale(instances, path, err);
                if (r < 0)
                        return r;
        }
        return error_set(err, -EAGAIN, "all %u ranges of ids for --userns auto are in use", REGION_RANGES);
}

int id_range_drop(int instances, const char *id, const struct id_range *range, struct error *err)
{
        char path[32], target[128];
        snprintf(path, sizeof(path), "by-range/%u", (range->host - REGION_FIRST) / ID_RANGE_SIZE);
        _cleanup_close_ int lock = lock_take(instances, "by-name/.lock", true, err);
        if (lock < 0)
                return lock;
        ssize_t length = readlinkat(instances, path, target, sizeof(target) - 1);
        target[length < 0 ? 0 : length] = 0;
        if (length > 3 && text_equal(target + 3, id) && unlinkat(instances, path, 0) < 0 && errno != ENOENT)
                return error_errno(err, "cannot give back a range of ids");
        return 0;
}

int id_map_host(const struct id_range *ranges, size_t count, uint32_t inside, uint32_t *outside)
{
        for (size_t i = 0; i < count; i++)
                if (inside >= ranges[i].container && inside - ranges[i].container < ranges[i].count) {
                        *outside = ranges[i].host + (inside - ranges[i].container);
                        return 0;
                }
        return -EINVAL;
}

static int write_map(pid_t pid, const char *file, const char *map, struct error *err)
{
        char path[40];
        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
        return file_poke(AT_FDCWD, path, map, err);
}

int id_map_namespace(const struct id_range *ranges, size_t count, struct error *err)
{
        _cleanup_text_ struct text map = { 0 };
        for (size_t i = 0; i < count; i++)
                text_printf(&map, "%u %u %u\n", ranges[i].container, ranges[i].host, ranges[i].count);
        if (text_failed(&map))
                return error_memory(err);

        pid_t child = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
        if (child < 0)
                return error_errno(err, "cannot make a user namespace");
        if (!child) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (;;)
                        pause();
        }
        int r = write_map(child, "uid_map", map.data, err);
        if (!r)
                r = write_map(child, "gid_map", map.data, err);
        char path[40];
        snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)child);
        int fd = r < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
        if (!r && fd < 0)
                r = error_errno(err, "cannot open the user namespace");
        kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
                ;
        return r < 0 ? r : fd;
}

/* ---- Pins ---- */

static int make_target(const char *path, struct error *err)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0400);
        return fd < 0 ? error_errno(err, "cannot create %s", path) : 0;
}

int id_map_pin(const char *state, const char *id, int userns, char **path, struct error *err)
{
        _cleanup_free_ char *folder = text_format("%s/userns", state), *file = text_format("%s/userns/%s", state, id);
        if (!folder || !file)
                return error_memory(err);
        _cleanup_close_ int made = directory_make(folder, 0700, err);
        if (made < 0)
                return made;
        int r = make_target(file, err);
        char source[40];
        snprintf(source, sizeof(source), "/proc/self/fd/%d", userns);
        if (!r && mount(source, file, NULL, MS_BIND, NULL) < 0)
                r = error_errno(err, "cannot pin the user namespace at %s", file);
        if (!r)
                *path = TAKE_PTR(file);
        return r;
}

int id_map_unpin(const char *state, const char *id, struct error *err)
{
        _cleanup_free_ char *file = text_format("%s/userns/%s", state, id);
        if (!file)
                return error_memory(err);
        while (!umount2(file, MNT_DETACH | UMOUNT_NOFOLLOW))
                continue;
        if (unlink(file) < 0 && errno != ENOENT)
                return error_errno(err, "cannot remove %s", file);
        return 0;
}

/* In a child: a network namespace below the user namespace, then a wait for the parent to have taken it. */
static void hold_network(int userns, int ready)
{
        struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
        char failure = 0;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd = -1;
        if (setns(userns, CLONE_NEWUSER) < 0 || unshare(CLONE_NEWNET) < 0 ||
            (fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
                failure = (char)errno;
        if (write(ready, &failure, 1) == 1)
                for (;;)
                        pause();
        _exit(1);
}

int id_map_make_network(int userns, const char *network, struct error *err)
{
        int ends[2];
        int r = make_target(network, err);
        if (r < 0)
                return r;
        if (pipe2(ends, O_CLOEXEC) < 0)
                return error_errno(err, "cannot make a pipe");
        _cleanup_close_ int in = ends[0], out = ends[1];
        pid_t child = fork();
        if (child < 0)
                return error_errno(err, "cannot start a process");
        if (!child)
                hold_network(userns, out);
        close(TAKE_FD(out));
        char failure = EPIPE, source[40];
        snprintf(source, sizeof(source), "/proc/%d/ns/net", (int)child);
        if (read(in, &failure, 1) == 1 && !failure && mount(source, network, NULL, MS_BIND, NULL) < 0)
                failure = (char)errno;
        kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
                ;
        if (failure)
                unlink(network);
        return failure ? error_code(err, -failure, "cannot make a network namespace for the user namespace") : 0;
}
