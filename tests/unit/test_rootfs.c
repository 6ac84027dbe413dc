/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/rootfs.h"

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

static int make_bundle(void **state)
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

static int remove_bundle(void **state)
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
static char *document(const char *mounts, const char *more, int flags)
{
        return text_format("{\"root\":{\"path\":\"rootfs\"},\"mounts\":[%s],"
                           "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}%s]%s}}",
                           mounts, flags & CLONE_NEWUSER ? ",{\"type\":\"user\"}" : "", more);
}

static int parse(struct bundle *bundle, const char *text, struct rootfs **rootfs)
{
        json_t *config = NULL;
        assert_int_equal(json_parse(text, strlen(text), "config.json", &config, bundle->err), 0);
        struct json_reader reader = { .document = "config.json", .err = bundle->err };
        struct json_at at = json_root(&reader, config);
        int r = rootfs_parse(&at, bundle->path, rootfs, bundle->err);
        json_decref(config);
        return r;
}

static int child(struct bundle *bundle, struct rootfs *rootfs, int flags, int ready, bool no_pivot, int (*inside)(void))
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
static void write_maps(pid_t pid)
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
static int build(struct bundle *bundle, const char *mounts, const char *more, int flags, bool no_pivot,
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

static bool is_device(const char *path, unsigned major, unsigned minor)
{
        struct stat st;
        return !lstat(path, &st) && S_ISCHR(st.st_mode) && st.st_rdev == makedev(major, minor);
}

static bool is_link(const char *path, const char *target)
{
        char text[256];
        ssize_t length = readlink(path, text, sizeof(text) - 1);
        return length >= 0 && !strcmp((text[length] = 0, text), target);
}

static bool is_read_only(const char *path)
{
        struct statfs fs;
        return !statfs(path, &fs) && fs.f_flags & MS_RDONLY;
}

static bool is_empty_folder(const char *path)
{
        DIR *folder = opendir(path);
        size_t entries = 0;
        while (folder && readdir(folder))
                entries++;
        return folder && !closedir(folder) && entries == 2;
}

static size_t mounts_on(const char *path)
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

/* ---- the common container ---- */

static int common_inside(void)
{
        char text[8];
        CHECK(is_device("/dev/null", 1, 3) && is_device("/dev/zero", 1, 5) && is_device("/dev/full", 1, 7));
        CHECK(is_device("/dev/random", 1, 8) && is_device("/dev/urandom", 1, 9) && is_device("/dev/tty", 5, 0));
        CHECK(is_link("/dev/fd", "/proc/self/fd") && is_link("/dev/ptmx", "pts/ptmx"));
        CHECK(is_link("/dev/stdin", "/proc/self/fd/0") && is_link("/dev/stderr", "/proc/self/fd/2"));
        CHECK(readlink("/proc/self", text, sizeof(text)) == 1);

        int symbols = open("/proc/kallsyms", O_RDONLY);
        CHECK(symbols >= 0 && read(symbols, text, 1) == 0);
        close(symbols);
        CHECK(access("/proc/scsi", F_OK) < 0 || is_empty_folder("/proc/scsi"));
        CHECK(access("/proc/acpi", F_OK) < 0 || (is_empty_folder("/proc/acpi") && is_read_only("/proc/acpi")));
        CHECK(chmod("/proc/kallsyms", 0777) < 0 && errno == EROFS);
        CHECK(is_read_only("/proc/sys") && is_read_only("/sys") && !is_read_only("/proc"));
        CHECK(open("/proc/sys/kernel/hostname", O_WRONLY) < 0 && (errno == EROFS || errno == EACCES));
        CHECK(open("/dev/pts/ptmx", O_RDWR | O_NOCTTY) >= 0);
        CHECK(mounts_on("/") == 1);
        CHECK(access("/etc/passwd", F_OK) < 0);
        return 0;
}

static void test_a_common_container_has_its_mounts_devices_links_and_masks(void **state)
{
        assert_int_equal(build(*state, COMMON, MASKS, ALL, false, common_inside), 0);
}

static void test_a_common_container_works_in_a_user_namespace(void **state)
{
        assert_int_equal(build(*state, COMMON, MASKS, ALL | CLONE_NEWUSER, false, common_inside), 0);
}

static void test_without_pivot_the_root_is_moved_and_no_proc_of_the_host_is_left(void **state)
{
        assert_int_equal(build(*state, COMMON, MASKS, ALL, true, common_inside), 0);
}

static int host_sys_inside(void)
{
        CHECK(is_read_only("/sys"));
        CHECK(access("/sys/class/net/lo", F_OK) == 0);
        return 0;
}

static void test_a_user_namespace_without_network_namespace_gets_the_hosts_sysfs(void **state)
{
        assert_int_equal(build(*state, COMMON, MASKS, (ALL | CLONE_NEWUSER) & ~CLONE_NEWNET, false, host_sys_inside),
                         0);
}

static int ordinary_inside(void)
{
        CHECK(is_device("/dev/null", 1, 3) && is_device("/dev/tty", 5, 0) && is_link("/dev/ptmx", "pts/ptmx"));
        CHECK(is_read_only("/sys") && is_read_only("/proc/sys") && is_read_only("/data"));
        CHECK(access("/data/file", R_OK) == 0 && mounts_on("/") == 1);
        CHECK(open("/dev/pts/ptmx", O_RDWR | O_NOCTTY) >= 0);
        return 0;
}

static void test_an_ordinary_user_builds_a_container_without_the_hosts_rights(void **state)
{
        struct bundle *bundle = *state;
        assert_int_equal(mkdirat(bundle->fd, "data", 0755), 0);
        assert_int_equal(file_replace(bundle->fd, "data/file", "", 0, 0644, NULL), 0);
        assert_int_equal(fchmod(bundle->fd, 0755), 0);
        assert_int_equal(fchown(bundle->root, ORDINARY_USER, ORDINARY_USER), 0);
        pid_t pid = fork();
        if (!pid) {
                if (setgroups(0, NULL) || setresgid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER) ||
                    setresuid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER) || prctl(PR_SET_DUMPABLE, 1))
                        _exit(1);
                const char *mounts =
                        PROC "," DEV ","
                             "{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"options\":[\"newinstance\","
                             "\"ptmxmode=0666\",\"mode=0620\"]}," REST
                             ",{\"destination\":\"/data\",\"source\":\"data\",\"options\":[\"rbind\",\"ro\"]}";
                _exit(build(bundle, mounts, MASKS, ALL | CLONE_NEWUSER | CLONE_NEWCGROUP, false, ordinary_inside));
        }
        int code;
        assert_int_equal(process_wait(pid, &code), 0);
        assert_int_equal(code, 0);
}

/* ---- control groups ---- */

static int cgroup_inside(void)
{
        struct statfs fs;
        struct stat st;
        CHECK(!statfs("/sys/fs/cgroup", &fs));
        if (fs.f_type == CGROUP2_SUPER_MAGIC)
                return 0;
        CHECK(is_read_only("/sys/fs/cgroup") && is_read_only("/sys/fs/cgroup/pids"));
        CHECK(!stat("/sys/fs/cgroup/pids/cgroup.procs", &st));
        CHECK(!stat("/sys/fs/cgroup/memory/memory.limit_in_bytes", &st) || errno == ENOENT);
        CHECK(mkdir("/sys/fs/cgroup/x", 0755) < 0 && errno == EROFS);
        return 0;
}

static void test_control_groups_are_seen_with_a_cgroup_namespace_and_without(void **state)
{
        assert_int_equal(build(*state, COMMON, "", ALL, false, cgroup_inside), 0);
        assert_int_equal(build(*state, COMMON, "", ALL | CLONE_NEWCGROUP, false, cgroup_inside), 0);
}

static int unified_inside(void)
{
        struct statfs fs;
        CHECK(!statfs("/sys/fs/cgroup", &fs) && fs.f_type == CGROUP2_SUPER_MAGIC);
        CHECK(is_read_only("/sys/fs/cgroup") && access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0);
        CHECK(mounts_on("/sys/fs/cgroup") == 1);
        return 0;
}

static void test_control_groups_of_a_host_with_v2_alone(void **state)
{
        static const int flags[] = { ALL, ALL | CLONE_NEWCGROUP, ALL | CLONE_NEWUSER | CLONE_NEWCGROUP,
                                     ALL | CLONE_NEWUSER };
        for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
                pid_t pid = fork();
                if (!pid) {
                        if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
                            mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL))
                                _exit(1);
                        _exit(build(*state, COMMON, "", flags[i], false, unified_inside));
                }
                int code;
                assert_int_equal(process_wait(pid, &code), 0);
                assert_int_equal(code, 0);
        }
}

/* ---- bind mounts ---- */

static int binds_inside(void)
{
        char text[8] = "";
        int file = open("/made/by/us", O_RDONLY);
        CHECK(file >= 0 && read(file, text, 4) == 4 && !strcmp(text, "text"));
        CHECK(open("/made/by/us", O_WRONLY) < 0 && errno == EROFS);
        CHECK(mkdir("/folder/new", 0755) == 0 && access("/folder/below/inner", F_OK) == 0);
        CHECK(mounts_on("/folder/below") == 1);
        CHECK(mounts_on("/flat/below") == 0);
        return 0;
}

static void test_files_and_folders_are_bound_on_targets_that_are_made(void **state)
{
        struct bundle *bundle = *state;
        _cleanup_free_ char *below = text_format("%s/folder/below", bundle->path);
        assert_int_equal(file_replace(bundle->fd, "file", "text", 4, 0644, NULL), 0);
        assert_int_equal(mkdirat(bundle->fd, "folder", 0755), 0);
        assert_int_equal(mkdir(below, 0755), 0);
        assert_int_equal(mount("tmpfs", below, "tmpfs", 0, NULL), 0);
        int inner = open(below, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = mkdirat(inner, "inner", 0755);
        close(inner);
        const char *mounts =
                PROC ",{\"destination\":\"/made/by/us\",\"source\":\"file\",\"options\":[\"bind\",\"ro\"]},"
                     "{\"destination\":\"/folder\",\"source\":\"folder\",\"options\":[\"rbind\"]},"
                     "{\"destination\":\"/flat\",\"source\":\"folder\",\"options\":[\"bind\"]}";
        int code = build(bundle, mounts, "", ALL, false, binds_inside);
        umount2(below, MNT_DETACH);
        assert_int_equal(r, 0);
        assert_int_equal(code, 0);
        struct stat st;
        assert_int_equal(fstatat(bundle->fd, "folder/new", &st, 0), 0);
}

static int recursive_inside(void)
{
        CHECK(is_read_only("/rro") && is_read_only("/rro/below"));
        CHECK(is_read_only("/ro") && !is_read_only("/ro/below"));
        CHECK(!is_read_only("/mixed") && is_read_only("/mixed/below"));
        return 0;
}

static void test_recursive_attributes_reach_the_mounts_below(void **state)
{
        struct bundle *bundle = *state;
        _cleanup_free_ char *below = text_format("%s/folder/below", bundle->path);
        assert_int_equal(mkdirat(bundle->fd, "folder", 0755), 0);
        assert_int_equal(mkdir(below, 0755), 0);
        assert_int_equal(mount("tmpfs", below, "tmpfs", 0, NULL), 0);
        const char *mounts =
                PROC ",{\"destination\":\"/rro\",\"source\":\"folder\",\"options\":[\"rbind\",\"rro\"]},"
                     "{\"destination\":\"/ro\",\"source\":\"folder\",\"options\":[\"rbind\",\"ro\"]},"
                     "{\"destination\":\"/mixed\",\"source\":\"folder\",\"options\":[\"rbind\",\"rro\",\"rw\"]}";
        int code = build(bundle, mounts, "", ALL, false, recursive_inside);
        umount2(below, MNT_DETACH);
        assert_int_equal(code, 0);
}

static void test_a_missing_source_is_named(void **state)
{
        struct bundle *bundle = *state;
        assert_int_equal(build(bundle, "{\"destination\":\"/a\",\"source\":\"/no/such\",\"options\":[\"bind\"]}", "",
                               ALL, false, binds_inside),
                         FAILED_TO_BUILD);
        assert_non_null(strstr(bundle->err->text, "/no/such"));
        assert_non_null(strstr(bundle->err->text, "mount on /a"));
}

static int umask_inside(void)
{
        struct stat st;
        CHECK(!stat("/made", &st) && (st.st_mode & 07777) == 0755);
        CHECK(!stat("/dev/null", &st) && (st.st_mode & 07777) == 0666);
        CHECK(umask(0) == 077);
        return 0;
}

static void test_the_callers_umask_is_the_programs_affair(void **state)
{
        mode_t saved = umask(077);
        int code = build(*state, PROC ",{\"destination\":\"/made/here\",\"type\":\"tmpfs\"}", "", ALL, false,
                         umask_inside);
        umask(saved);
        assert_int_equal(code, 0);
}

/* ---- propagation ---- */

static bool has_tag(const char *path, const char *tag)
{
        _cleanup_free_ char *table = NULL, *needle = text_format(" %s ", path);
        if (file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &table, NULL, NULL) < 0)
                return false;
        for (char *rest = table, *line; (line = strsep(&rest, "\n"));) {
                if (strstr(line, needle))
                        return strstr(line, tag);
        }
        return false;
}

static int propagation_inside(void)
{
        CHECK(!has_tag("/plain", "shared:") && !has_tag("/plain", "master:"));
        CHECK(has_tag("/shared", "shared:"));
        CHECK(has_tag("/slave", "master:") && !has_tag("/slave", "shared:"));
        CHECK(has_tag("/unbindable", "unbindable"));
        CHECK(has_tag("/tmp", "shared:"));
        return 0;
}

static int propagation_in_users_inside(void)
{
        CHECK(has_tag("/shared", "shared:") && has_tag("/shared", "master:"));
        return 0;
}

#define BIND(target, option)                                                                                           \
        "{\"destination\":\"" target "\",\"source\":\"folder\",\"options\":[\"rbind\",\"" option "\"]}"

static void test_each_mount_has_its_own_propagation(void **state)
{
        struct bundle *bundle = *state;
        _cleanup_free_ char *folder = text_format("%s/folder", bundle->path);
        assert_int_equal(mkdirat(bundle->fd, "folder", 0755), 0);
        assert_int_equal(mount("tmpfs", folder, "tmpfs", 0, NULL), 0);
        assert_int_equal(mount(NULL, folder, NULL, MS_SHARED, NULL), 0);
        const char *mounts = PROC
                "," DEV "," BIND("/plain", "rw") "," BIND("/shared", "rshared") "," BIND("/slave", "rslave") "," BIND(
                        "/unbindable",
                        "unbindable") ",{\"destination\":\"/tmp\",\"type\":\"tmpfs\",\"options\":[\"shared\"]}";
        int code = build(bundle, mounts, "", ALL, false, propagation_inside);
        int users = build(bundle, mounts, "", ALL | CLONE_NEWUSER, false, propagation_in_users_inside);
        umount2(folder, MNT_DETACH);
        assert_int_equal(code, 0);
        assert_int_equal(users, 0);
}

static int shared_root_inside(void)
{
        return has_tag("/", "shared:") ? 0 : 1;
}

static void test_the_roots_propagation_is_set(void **state)
{
        assert_int_equal(build(*state, PROC, ",\"rootfsPropagation\":\"shared\"", ALL, false, shared_root_inside), 0);
        assert_int_equal(build(*state, PROC, ",\"rootfsPropagation\":\"private\"", ALL, false, shared_root_inside), 1);
}

/* ---- tmpfs ---- */

static int tmpfs_inside(void)
{
        struct stat st;
        struct statfs fs;
        CHECK(!stat("/kept", &st) && (st.st_mode & 07777) == 0711);
        CHECK(!stat("/said", &st) && (st.st_mode & 07777) == 01777);
        CHECK(!statfs("/said", &fs) && fs.f_blocks * (uint64_t)fs.f_bsize == 65536);
        CHECK(!stat("/copied/file", &st) && st.st_mode == (S_IFREG | 04755) && st.st_uid == 12 && st.st_size == 4);
        CHECK(is_link("/copied/deeper/link", "/etc/passwd"));
        CHECK(is_read_only("/copied") && mounts_on("/copied") == 1);
        return 0;
}

static void test_a_tmpfs_keeps_permissions_and_copies_up(void **state)
{
        struct bundle *bundle = *state;
        assert_int_equal(mkdirat(bundle->root, "kept", 0711), 0);
        assert_int_equal(mkdirat(bundle->root, "copied", 0755), 0);
        assert_int_equal(mkdirat(bundle->root, "copied/deeper", 0755), 0);
        assert_int_equal(symlinkat("/etc/passwd", bundle->root, "copied/deeper/link"), 0);
        assert_int_equal(file_replace(bundle->root, "copied/file", "text", 4, 0644, NULL), 0);
        assert_int_equal(fchownat(bundle->root, "copied/file", 12, 34, 0), 0);
        assert_int_equal(fchmodat(bundle->root, "copied/file", 04755, 0), 0);
        const char *mounts =
                PROC ",{\"destination\":\"/kept\",\"type\":\"tmpfs\"},"
                     "{\"destination\":\"/said\",\"type\":\"tmpfs\",\"options\":[\"mode=1777\",\"size=64k\"]},"
                     "{\"destination\":\"/copied\",\"type\":\"tmpfs\",\"options\":[\"tmpcopyup\",\"ro\"]}";
        assert_int_equal(build(bundle, mounts, "", ALL, false, tmpfs_inside), 0);
}

static void test_an_unknown_option_is_refused_with_the_file_systems_own_words(void **state)
{
        struct bundle *bundle = *state;
        assert_int_equal(build(bundle, "{\"destination\":\"/a\",\"type\":\"tmpfs\",\"options\":[\"siez=1\"]}", "", ALL,
                               false, tmpfs_inside),
                         FAILED_TO_BUILD);
        assert_non_null(strstr(bundle->err->text, "Unknown parameter 'siez'"));
}

static int overlay_inside(void)
{
        struct stat st;
        CHECK(!stat("/o/file", &st));
        CHECK(mounts_on("/o") == 1 && is_read_only("/o"));
        return 0;
}

static void test_options_longer_than_the_new_calls_take_work_too(void **state)
{
        struct bundle *bundle = *state;
        _cleanup_text_ struct text lower = { 0 };
        assert_int_equal(mkdirat(bundle->fd, "lower", 0755), 0);
        assert_int_equal(file_replace(bundle->fd, "lower/file", "", 0, 0644, NULL), 0);
        for (int i = 0; i < 12; i++) {
                _cleanup_free_ char *name = text_format("a-layer-with-a-rather-long-name-%d", i);
                assert_int_equal(mkdirat(bundle->fd, name, 0755), 0);
                text_printf(&lower, "%s/%s:", bundle->path, name);
        }
        _cleanup_free_ char *mounts =
                text_format(PROC ",{\"destination\":\"/o\",\"type\":\"overlay\",\"options\":[\"ro\","
                                 "\"lowerdir=%s%s/lower\"]}",
                            lower.data, bundle->path);
        assert_int_equal(build(bundle, mounts, "", ALL, false, overlay_inside), 0);
}

/* ---- remount, id-mapped mounts ---- */

static int remount_inside(void)
{
        struct statfs fs;
        CHECK(is_read_only("/a") && !statfs("/a", &fs) && fs.f_flags & MS_NOEXEC);
        CHECK(fs.f_blocks * (uint64_t)fs.f_bsize == 32768);
        return 0;
}

static void test_remount_changes_attributes_and_the_file_systems_options(void **state)
{
        const char *mounts = PROC ",{\"destination\":\"/a\",\"type\":\"tmpfs\",\"options\":[\"size=64k\"]},"
                                  "{\"destination\":\"/a\",\"options\":[\"remount\",\"ro\",\"noexec\",\"size=32k\"]}";
        assert_int_equal(build(*state, mounts, "", ALL, false, remount_inside), 0);
}

static int locked_inside(void)
{
        CHECK(is_read_only("/a"));
        return 0;
}

static void test_a_user_namespace_keeps_what_the_host_locked(void **state)
{
        struct bundle *bundle = *state;
        _cleanup_free_ char *folder = text_format("%s/folder", bundle->path);
        assert_int_equal(mkdirat(bundle->fd, "folder", 0755), 0);
        assert_int_equal(mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV | MS_RDONLY, NULL), 0);
        const char *mounts = PROC ",{\"destination\":\"/a\",\"source\":\"folder\",\"options\":[\"bind\",\"noexec\"]}";
        int code = build(bundle, mounts, "", ALL | CLONE_NEWUSER, false, locked_inside);
        umount2(folder, MNT_DETACH);
        assert_int_equal(code, 0);
}

static int id_map_inside(void)
{
        struct stat st;
        CHECK(!stat("/a/file", &st) && st.st_uid == 5 && st.st_gid == 6);
        return 0;
}

static void test_an_id_mapped_mount_shows_mapped_owners(void **state)
{
        struct bundle *bundle = *state;
        assert_int_equal(mkdirat(bundle->fd, "folder", 0755), 0);
        assert_int_equal(file_replace(bundle->fd, "folder/file", "", 0, 0644, NULL), 0);
        assert_int_equal(fchownat(bundle->fd, "folder/file", 1005, 2006, 0), 0);
        const char *mounts = PROC ",{\"destination\":\"/a\",\"source\":\"folder\",\"options\":[\"bind\",\"idmap\"],"
                                  "\"uidMappings\":[{\"containerID\":1000,\"hostID\":0,\"size\":100}],"
                                  "\"gidMappings\":[{\"containerID\":2000,\"hostID\":0,\"size\":100}]}";
        assert_int_equal(build(bundle, mounts, "", ALL, false, id_map_inside), 0);
}

/* ---- devices ---- */

static int devices_inside(void)
{
        struct stat st;
        CHECK(is_device("/dev/net/tun", 10, 200));
        CHECK(!stat("/dev/net/tun", &st) && (st.st_mode & 07777) == 0600 && st.st_uid == 1 && st.st_gid == 2);
        CHECK(!stat("/elsewhere/pipe", &st) && S_ISFIFO(st.st_mode));
        CHECK(!stat("/dev/null", &st) && (st.st_mode & 07777) == 0640);
        return 0;
}

static void test_devices_are_made_as_asked_for(void **state)
{
        const char *devices =
                ",\"devices\":[{\"path\":\"/dev/net/tun\",\"type\":\"c\",\"major\":10,\"minor\":200,\"fileMode\":384,"
                "\"uid\":1,\"gid\":2},{\"path\":\"/elsewhere/pipe\",\"type\":\"p\"},"
                "{\"path\":\"/dev/null\",\"type\":\"c\",\"major\":1,\"minor\":3,\"fileMode\":416}]";
        assert_int_equal(build(*state, DEV "," PROC, devices, ALL, false, devices_inside), 0);
}

static void test_a_file_in_the_place_of_a_device_is_an_error(void **state)
{
        struct bundle *bundle = *state;
        assert_int_equal(mkdirat(bundle->root, "dev", 0755), 0);
        assert_int_equal(file_replace(bundle->root, "dev/null", "", 0, 0666, NULL), 0);
        assert_int_equal(build(bundle, PROC, "", ALL, false, devices_inside), FAILED_TO_BUILD);
        assert_non_null(strstr(bundle->err->text, "device /dev/null"));
}

static int host_dev_inside(void)
{
        CHECK(access("/dev/canary", F_OK) == 0 && access("/dev/null", F_OK) < 0 && access("/dev/fd", F_OK) < 0);
        return 0;
}

static void test_nothing_is_made_in_a_dev_that_is_bound_from_the_host(void **state)
{
        struct bundle *bundle = *state;
        assert_int_equal(mkdirat(bundle->fd, "hostdev", 0755), 0);
        assert_int_equal(mkdirat(bundle->fd, "hostdev/canary", 0755), 0);
        assert_int_equal(build(bundle,
                               PROC ",{\"destination\":\"/dev\",\"source\":\"hostdev\",\"options\":[\"rbind\"]}", "",
                               ALL, false, host_dev_inside),
                         0);
}

/* ---- hostile images ---- */

static int nothing_inside(void)
{
        return 0;
}

static void test_links_at_trusted_places_are_refused(void **state)
{
        struct bundle *bundle = *state;
        static const struct {
                const char *link, *mounts;
        } cases[] = {
                { "proc", PROC },
                { "dev", PROC "," DEV },
                { "sys", "{\"destination\":\"/sys\",\"type\":\"sysfs\"}" },
                { "dev", PROC },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                assert_int_equal(mkdirat(bundle->root, "real", 0755), 0);
                assert_int_equal(symlinkat("/real", bundle->root, cases[i].link), 0);
                assert_int_equal(build(bundle, cases[i].mounts, "", ALL, false, nothing_inside), FAILED_TO_BUILD);
                assert_non_null(strstr(bundle->err->text, "symbolic link"));
                assert_int_equal(unlinkat(bundle->root, cases[i].link, 0), 0);
                assert_int_equal(unlinkat(bundle->root, "real", AT_REMOVEDIR), 0);
        }
}

static int trapped_inside(void)
{
        struct stat st;
        CHECK(!stat("/trap/target", &st) && mounts_on("/etc/target") == 1);
        CHECK(!is_read_only("/") && is_read_only("/etc/secret"));
        return 0;
}

static void test_links_in_targets_and_masked_paths_lead_nowhere_but_inside(void **state)
{
        struct bundle *bundle = *state;
        struct stat st;
        assert_int_equal(mkdirat(bundle->root, "etc", 0755), 0);
        assert_int_equal(file_replace(bundle->root, "etc/secret", "x", 1, 0600, NULL), 0);
        assert_int_equal(symlinkat("../../../../../../etc", bundle->root, "trap"), 0);
        assert_int_equal(symlinkat("/etc/secret", bundle->root, "mask"), 0);
        const char *mounts = PROC "," DEV ",{\"destination\":\"/trap/target\",\"type\":\"tmpfs\"}";
        assert_int_equal(build(bundle, mounts, ",\"maskedPaths\":[\"/mask\"]", ALL, false, trapped_inside), 0);
        assert_int_equal(stat("/etc/target", &st), -1);
        assert_int_equal(fstatat(bundle->root, "etc/target", &st, 0), 0);
}

static void test_a_link_in_the_place_of_the_console_or_a_bound_device_is_refused(void **state)
{
        struct bundle *bundle = *state;
        assert_int_equal(mkdirat(bundle->root, "dev", 0755), 0);
        assert_int_equal(symlinkat("/etc/passwd", bundle->root, "dev/null"), 0);
        assert_int_equal(fchownat(bundle->root, "dev", 100000, 100000, 0), 0);
        assert_int_equal(build(bundle, PROC, "", ALL | CLONE_NEWUSER, false, nothing_inside), FAILED_TO_BUILD);
        assert_non_null(strstr(bundle->err->text, "symbolic link"));
}

static void test_the_host_sees_none_of_a_containers_mounts(void **state)
{
        size_t before = mounts_on("/proc");
        assert_int_equal(build(*state, COMMON, MASKS, ALL, false, nothing_inside), 0);
        assert_int_equal(mounts_on("/proc"), before);
        struct bundle *bundle = *state;
        _cleanup_free_ char *root = text_format("%s/rootfs", bundle->path);
        assert_int_equal(mounts_on(root), 0);
}

/* ---- configurations ---- */

static void test_invalid_configurations_are_refused_at_their_field(void **state)
{
        struct bundle *bundle = *state;
        static const struct {
                const char *text, *message;
        } cases[] = {
                { "{}", "root is required" },
                { "{\"root\":{}}", "root.path is required" },
                { "{\"root\":{\"path\":7}}", "root.path must be a string" },
                { "{\"root\":{\"path\":\"r\"},\"mounts\":{}}", "mounts must be an array" },
                { "{\"root\":{\"path\":\"r\"},\"mounts\":[{}]}", "mounts[0].destination is required" },
                { "{\"root\":{\"path\":\"r\"},\"mounts\":[{\"destination\":\"/a\"}]}", "must have a type" },
                { "{\"root\":{\"path\":\"r\"},\"mounts\":[{\"destination\":\"/a\",\"options\":[\"bind\"]}]}",
                  "must have a source" },
                { "{\"root\":{\"path\":\"r\"},\"mounts\":[{\"destination\":\"/a\",\"source\":\"/\","
                  "\"options\":[\"bind\",\"idmap\"]}]}",
                  "has the option idmap" },
                { "{\"root\":{\"path\":\"r\"},\"mounts\":[{\"destination\":\"/a\",\"type\":\"proc\","
                  "\"options\":[\"tmpcopyup\"]}]}",
                  "tmpcopyup" },
                { "{\"root\":{\"path\":\"r\"},\"linux\":{\"maskedPaths\":[\"a\"]}}", "linux.maskedPaths[0] is \"a\"" },
                { "{\"root\":{\"path\":\"r\"},\"linux\":{\"rootfsPropagation\":\"public\"}}",
                  "linux.rootfsPropagation is" },
                { "{\"root\":{\"path\":\"r\"},\"linux\":{\"devices\":[{\"path\":\"/dev/x\",\"type\":\"x\"}]}}",
                  "has the type \"x\"" },
                { "{\"root\":{\"path\":\"r\"},\"linux\":{\"devices\":[{\"path\":\"/dev/x\",\"type\":\"c\"}]}}",
                  "must have major" },
                { "{\"root\":{\"path\":\"r\"},\"linux\":{\"devices\":[{\"path\":\"x\",\"type\":\"p\"}]}}",
                  "must be absolute" },
                { "{\"root\":{\"path\":\"r\"},\"linux\":{\"maskedPaths\":[\"/a\"]}}", "need a \"mount\"" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct rootfs *rootfs = NULL;
                assert_int_equal(parse(bundle, cases[i].text, &rootfs), -EINVAL);
                assert_null(rootfs);
                if (!strstr(bundle->err->text, cases[i].message))
                        fail_msg("\"%s\" instead of \"%s\"", bundle->err->text, cases[i].message);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_bundle, remove_bundle)

int main(void)
{
        const struct CMUnitTest plain[] = {
                TEST(test_invalid_configurations_are_refused_at_their_field),
        };
        const struct CMUnitTest rooted[] = {
                TEST(test_a_common_container_has_its_mounts_devices_links_and_masks),
                TEST(test_a_common_container_works_in_a_user_namespace),
                TEST(test_without_pivot_the_root_is_moved_and_no_proc_of_the_host_is_left),
                TEST(test_a_user_namespace_without_network_namespace_gets_the_hosts_sysfs),
                TEST(test_an_ordinary_user_builds_a_container_without_the_hosts_rights),
                TEST(test_control_groups_are_seen_with_a_cgroup_namespace_and_without),
                TEST(test_control_groups_of_a_host_with_v2_alone),
                TEST(test_files_and_folders_are_bound_on_targets_that_are_made),
                TEST(test_recursive_attributes_reach_the_mounts_below),
                TEST(test_a_missing_source_is_named),
                TEST(test_the_callers_umask_is_the_programs_affair),
                TEST(test_each_mount_has_its_own_propagation),
                TEST(test_the_roots_propagation_is_set),
                TEST(test_a_tmpfs_keeps_permissions_and_copies_up),
                TEST(test_an_unknown_option_is_refused_with_the_file_systems_own_words),
                TEST(test_options_longer_than_the_new_calls_take_work_too),
                TEST(test_remount_changes_attributes_and_the_file_systems_options),
                TEST(test_a_user_namespace_keeps_what_the_host_locked),
                TEST(test_an_id_mapped_mount_shows_mapped_owners),
                TEST(test_devices_are_made_as_asked_for),
                TEST(test_a_file_in_the_place_of_a_device_is_an_error),
                TEST(test_nothing_is_made_in_a_dev_that_is_bound_from_the_host),
                TEST(test_links_at_trusted_places_are_refused),
                TEST(test_links_in_targets_and_masked_paths_lead_nowhere_but_inside),
                TEST(test_a_link_in_the_place_of_the_console_or_a_bound_device_is_refused),
                TEST(test_the_host_sees_none_of_a_containers_mounts),
        };
        int failed = cmocka_run_group_tests(plain, NULL, NULL);
        if (geteuid()) {
                puts("skipped: containers are built here by root only");
                return failed ? failed : 77;
        }
        return failed + cmocka_run_group_tests(rooted, NULL, NULL);
}
