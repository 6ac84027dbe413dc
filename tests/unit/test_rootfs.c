/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rootfs_bundle.h"

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
                TEST(test_each_mount_has_its_own_propagation),
                TEST(test_the_roots_propagation_is_set),
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
