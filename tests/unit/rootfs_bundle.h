/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bundle on the disk and a child process in which its root file system is built and looked at: for tests of rootfs.h.
 *
 * make_bundle() and remove_bundle() are a test's set-up and tear-down; build() runs `inside` in the finished container and
 * says what came of it.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "container/rootfs.h"

/* In a child: says what failed and ends it. */
#define CHECK(condition)                                                                                               \
        do {                                                                                                           \
                if (!(condition)) {                                                                                    \
                        fprintf(stderr, "%s:%d: %s (errno %s)\n", __func__, __LINE__, #condition, strerror(errno));    \
                        return 1;                                                                                      \
                }                                                                                                      \
        } while (0)

enum { ALL = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET, FAILED_TO_BUILD = 99 };

struct bundle {
        char path[64];
        int fd, root;
        struct error *err; /* shared with the children */
};

static inline int make_bundle(void **state)
{
        struct bundle *bundle = calloc(1, sizeof(*bundle));
        TEXT_COPY(bundle->path, "/tmp/onggi-test-rootfs-XXXXXX");
        if (!mkdtemp(bundle->path))
                return -1;
        bundle->fd = open(bundle->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        mkdirat(bundle->fd, "rootfs", 0755);
        bundle->root = openat(bundle->fd, "rootfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bundle->err = mmap(NULL, sizeof(*bundle->err), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        *state = bundle;
        return bundle->root < 0;
}

static inline int remove_bundle(void **state)
{
        struct bundle *bundle = *state;
        close(bundle->fd);
        close(bundle->root);
        munmap(bundle->err, sizeof(*bundle->err));
        int r = tree_remove(AT_FDCWD, bundle->path, NULL);
        free(bundle);
        return r;
}

/* The whole document from what a test is about: its mounts, and more of linux after the namespaces. */
static inline char *document(const char *mounts, const char *more, int flags)
{
        return text_format("{\"root\":{\"path\":\"rootfs\"},\"mounts\":[%s],"
                           "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}%s]%s}}",
                           mounts, flags & CLONE_NEWUSER ? ",{\"type\":\"user\"}" : "", more);
}

static inline int parse(struct bundle *bundle, const char *text, struct rootfs **rootfs)
{
        json_t *config = NULL;
        assert_int_equal(json_parse(text, strlen(text), "config.json", &config, bundle->err), 0);
        struct json_reader reader = { .document = "config.json", .err = bundle->err };
        struct json_at at = json_root(&reader, config);
        int r = rootfs_parse(&at, bundle->path, rootfs, bundle->err);
        json_decref(config);
        return r;
}

static inline int child(struct bundle *bundle, struct rootfs *rootfs, int flags, int ready, bool no_pivot,
                        int (*inside)(void))
{
        char byte;
        struct rootfs_namespaces own = {
                .user = flags & CLONE_NEWUSER,
                .network = flags & CLONE_NEWNET,
                .cgroup = flags & CLONE_NEWCGROUP,
                .pid = flags & CLONE_NEWPID,
                .ipc = flags & CLONE_NEWIPC,
        };
        CHECK(read(ready, &byte, 1) == 1);
        if (own.user && (setresgid(0, 0, 0) || setresuid(0, 0, 0)))
                return 1;
        if (rootfs_mount(rootfs, &own, bundle->err) < 0 || rootfs_enter(rootfs, no_pivot, bundle->err) < 0)
                return FAILED_TO_BUILD;
        rootfs_free(rootfs);
        return inside();
}

enum { ORDINARY_USER = 1000 };

/* Root maps a range; an ordinary user may map itself only. */
static inline void write_maps(pid_t pid)
{
        static const struct {
                const char *file, *of_root, *of_user;
        } maps[] = {
                { "setgroups", NULL, "deny" },
                { "uid_map", "0 100000 65536", "0 1000 1" },
                { "gid_map", "0 100000 65536", "0 1000 1" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
                char path[64];
                const char *text = geteuid() ? maps[i].of_user : maps[i].of_root;
                snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, maps[i].file);
                if (text)
                        assert_int_equal(file_poke(AT_FDCWD, path, text, NULL), 0);
        }
}

/* Builds the container in namespaces of `flags` and runs inside() in it. Returns what that returns. */
static inline int build(struct bundle *bundle, const char *mounts, const char *more, int flags, bool no_pivot,
                        int (*inside)(void))
{
        struct rootfs *rootfs = NULL;
        if (flags & CLONE_NEWUSER && !geteuid() && fchown(bundle->root, 100000, 100000) < 0)
                return 1;
        _cleanup_free_ char *text = document(mounts, more, flags);
        assert_int_equal(parse(bundle, text, &rootfs), 0);
        if (rootfs_open_sources(rootfs, -1, bundle->err) < 0) {
                rootfs_free(rootfs);
                return FAILED_TO_BUILD;
        }
        int ready[2], code;
        assert_int_equal(pipe(ready), 0);
        long pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
        assert_true(pid >= 0);
        if (!pid) {
                close(ready[1]);
                _exit(child(bundle, rootfs, flags, ready[0], no_pivot, inside));
        }
        if (flags & CLONE_NEWUSER)
                write_maps((pid_t)pid);
        assert_int_equal(write(ready[1], "", 1), 1);
        close(ready[0]);
        close(ready[1]);
        assert_int_equal(process_wait((pid_t)pid, &code), 0);
        rootfs_free(rootfs);
        if (code == FAILED_TO_BUILD)
                print_message("refused: %s\n", bundle->err->text);
        return code;
}

#define PROC "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"}"
#define DEV                                                                                                            \
        "{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","                                           \
        "\"options\":[\"nosuid\",\"strictatime\",\"mode=755\",\"size=65536k\"]}"
#define PTS                                                                                                            \
        "{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\",\"options\":[\"nosuid\",\"noexec\","  \
        "\"newinstance\",\"ptmxmode=0666\",\"mode=0620\",\"gid=5\"]}"
#define REST                                                                                                           \
        "{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"source\":\"shm\",\"options\":[\"mode=1777\"]},"            \
        "{\"destination\":\"/dev/mqueue\",\"type\":\"mqueue\",\"source\":\"mqueue\"},"                                 \
        "{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":\"sysfs\",\"options\":[\"nosuid\",\"ro\"]},"          \
        "{\"destination\":\"/sys/fs/cgroup\",\"type\":\"cgroup\",\"source\":\"cgroup\",\"options\":[\"ro\"]}"
#define COMMON PROC "," DEV "," PTS "," REST
#define MASKS                                                                                                          \
        ",\"maskedPaths\":[\"/proc/kallsyms\",\"/proc/acpi\",\"/proc/keys\","                                          \
        "\"/proc/scsi\",\"/sys/firmware\",\"/none\"],"                                                                 \
        "\"readonlyPaths\":[\"/proc/sys\",\"/proc/bus\",\"/none/either\"]"

static inline bool is_device(const char *path, unsigned major, unsigned minor)
{
        struct stat st;
        return !lstat(path, &st) && S_ISCHR(st.st_mode) && st.st_rdev == makedev(major, minor);
}

static inline bool is_link(const char *path, const char *target)
{
        char text[256];
        ssize_t length = readlink(path, text, sizeof(text) - 1);
        return length >= 0 && !strcmp((text[length] = 0, text), target);
}

static inline bool is_read_only(const char *path)
{
        struct statfs fs;
        return !statfs(path, &fs) && fs.f_flags & MS_RDONLY;
}

static inline bool is_empty_folder(const char *path)
{
        DIR *folder = opendir(path);
        size_t entries = 0;
        while (folder && readdir(folder))
                entries++;
        return folder && !closedir(folder) && entries == 2;
}

static inline size_t mounts_on(const char *path)
{
        _cleanup_free_ char *table = NULL;
        size_t count = 0;
        if (file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &table, NULL, NULL) < 0)
                return 999;
        for (char *rest = table, *line; (line = strsep(&rest, "\n"));) {
                char point[512];
                count += sscanf(line, "%*s %*s %*s %*s %511s", point) == 1 && !strcmp(point, path);
        }
        return count;
}

/* A test with a bundle of its own. */
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_bundle, remove_bundle)
