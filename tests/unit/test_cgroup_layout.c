/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/cgroup_layout.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "container/cgroup_tree.h"

static const char v1_mounts[] =
        "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
        "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
        "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n";
static const char hybrid_mount[] = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
static const char v2_mount[] = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";

static void test_v1_mounts_tell_their_controllers(void **state)
{
        (void)state;
        struct cgroup_layout layout;
        struct error err = { 0 };
        assert_int_equal(cgroup_layout_parse(v1_mounts,
                                             "3:cpu,cpuacct:/user\n2:memory:/a/b\n1:name=systemd:/init.scope\n",
                                             &layout, &err),
                         0);
        assert_int_equal(layout.count, 3);
        assert_int_equal(layout.hierarchies[0].controllers,
                         CONTROLLER_BIT(CONTROLLER_CPU) | CONTROLLER_BIT(CONTROLLER_CPUACCT));
        assert_string_equal(layout.hierarchies[0].mount, "/sys/fs/cgroup/cpu,cpuacct");
        assert_string_equal(layout.hierarchies[0].own, "/user");
        assert_string_equal(layout.hierarchies[1].own, "/a/b");
        assert_string_equal(layout.hierarchies[2].name, "systemd");
        assert_string_equal(layout.hierarchies[2].own, "/init.scope");
        cgroup_layout_free(&layout);
}

static void test_hybrid_has_both(void **state)
{
        (void)state;
        struct cgroup_layout layout;
        struct error err = { 0 };
        char mounts[1024];
        snprintf(mounts, sizeof(mounts), "%s%s", v1_mounts, hybrid_mount);
        assert_int_equal(cgroup_layout_parse(mounts, "2:memory:/a\n0::/v2/own\n", &layout, &err), 0);
        assert_int_equal(layout.count, 4);
        assert_int_equal(layout.hierarchies[3].version, 2);
        assert_string_equal(layout.hierarchies[3].own, "/v2/own");
        assert_null(layout.hierarchies[0].own);
        cgroup_layout_free(&layout);
}

static void test_v2_alone_needs_no_last_line_feed(void **state)
{
        (void)state;
        struct cgroup_layout layout;
        struct error err = { 0 };
        assert_int_equal(cgroup_layout_parse(v2_mount, "0::/", &layout, &err), 0);
        assert_int_equal(layout.count, 1);
        assert_int_equal(layout.hierarchies[0].version, 2);
        assert_string_equal(layout.hierarchies[0].own, "/");
        cgroup_layout_free(&layout);
}

static void test_a_second_mount_of_a_hierarchy_is_passed_over(void **state)
{
        (void)state;
        struct cgroup_layout layout;
        struct error err = { 0 };
        char mounts[2048];
        snprintf(mounts, sizeof(mounts), "%s99 22 0:32 / /var/lib/x/memory rw - cgroup cgroup rw,memory\n", v1_mounts);
        assert_int_equal(cgroup_layout_parse(mounts, NULL, &layout, &err), 0);
        assert_int_equal(layout.count, 3);
        assert_string_equal(layout.hierarchies[1].mount, "/sys/fs/cgroup/memory");
        cgroup_layout_free(&layout);
}

static void test_what_a_later_mount_hides_does_not_count(void **state)
{
        (void)state;
        struct cgroup_layout layout;
        struct error err = { 0 };
        char mounts[2048];
        snprintf(mounts, sizeof(mounts), "%s90 22 0:50 / /sys/fs/cgroup-not rw - tmpfs tmpfs rw\n%s", v1_mounts,
                 v2_mount);
        assert_int_equal(cgroup_layout_parse(mounts, "0::/x", &layout, &err), 0);
        assert_int_equal(layout.count, 1);
        assert_int_equal(layout.hierarchies[0].version, 2);
        cgroup_layout_free(&layout);

        /* Mounted again at the same place: the later one tells what is seen there. */
        snprintf(mounts, sizeof(mounts), "%s90 22 0:32 /a /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
                 v1_mounts);
        assert_int_equal(cgroup_layout_parse(mounts, "2:memory:/a/b\n", &layout, &err), 0);
        assert_int_equal(layout.count, 3);
        assert_string_equal(layout.hierarchies[2].root, "/a");
        assert_string_equal(layout.hierarchies[2].own, "/b");
        cgroup_layout_free(&layout);
}

static void test_names_are_unescaped_and_the_own_path_is_below_the_mounted_part(void **state)
{
        (void)state;
        struct cgroup_layout layout;
        struct error err = { 0 };
        assert_int_equal(cgroup_layout_parse("30 23 0:26 /docker/ab /a\\040b\\134c rw - cgroup2 none rw",
                                             "0::/docker/ab/sub", &layout, &err),
                         0);
        assert_string_equal(layout.hierarchies[0].mount, "/a b\\c");
        assert_string_equal(layout.hierarchies[0].own, "/sub");
        cgroup_layout_free(&layout);

        assert_int_equal(cgroup_layout_parse("30 23 0:26 /docker/ab /m rw - cgroup2 none rw", "0::/docker/abc", &layout,
                                             &err),
                         0);
        assert_null(layout.hierarchies[0].own);
        cgroup_layout_free(&layout);
}

static void test_damaged_lines_are_passed_over(void **state)
{
        (void)state;
        static const char *const texts[] = { "",
                                             "\n\n",
                                             " - cgroup",
                                             "x - cgroup",
                                             "1 2 3 - cgroup2",
                                             "a b c d e - cgroup cgroup",
                                             "1 2 3 / /x rw - cgroupfs x memory",
                                             "- cgroup cgroup rw,memory" };
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                struct cgroup_layout layout;
                struct error err = { 0 };
                assert_int_equal(cgroup_layout_parse(texts[i], texts[i], &layout, &err), 0);
                cgroup_layout_free(&layout);
        }
}

static const struct {
        const char *path;
        bool systemd, rootless;
        const char *below; /* NULL: refused */
} paths[] = {
        { NULL, false, false, "/onggi/id" },
        { "", false, false, "/onggi/id" },
        { "/docker/abc", false, false, "/docker/abc" },
        { "//docker//abc/", false, false, "/docker/abc" },
        { "docker/abc", false, false, "/onggi/docker/abc" },
        { "/", false, false, NULL },
        { "/a/../b", false, false, NULL },
        { "./a", false, false, NULL },
        { "/a\nb", false, false, NULL },
        { NULL, true, false, "/system.slice/onggi-id.scope" },
        { NULL, true, true, "/user.slice/onggi-id.scope" },
        { "machine.slice:libpod:abc", true, false, "/machine.slice/libpod-abc.scope" },
        { "a-b-c.slice:cri:x", true, false, "/a.slice/a-b.slice/a-b-c.slice/cri-x.scope" },
        { "-.slice::x", true, false, "/x.scope" },
        { ":p:x.slice", true, false, "/system.slice/x.slice" },
        { "/docker/abc", true, false, NULL },
        { "a.slice:b", true, false, NULL },
        { "a:b:c", true, false, NULL },
        { "a.slice:b:", true, false, NULL },
        { "a.slice:b:c:d", true, false, NULL },
        { "a--b.slice:b:c", true, false, NULL },
        { "-a.slice:b:c", true, false, NULL },
        { "a\nb.slice:c:d", true, false, NULL },
        { "a.slice:../b:c", true, false, NULL },
};

static void test_cgroups_path_leads_to_one_place(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
                struct error err = { 0 };
                char *below = NULL;
                int r = cgroup_path("id", paths[i].path, paths[i].systemd, paths[i].rootless, &below, &err);
                if (paths[i].below) {
                        assert_int_equal(r, 0);
                        assert_string_equal(below, paths[i].below);
                } else {
                        assert_int_equal(r, -EINVAL);
                        assert_non_null(strstr(err.text, "linux.cgroupsPath"));
                }
                free(below);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_v1_mounts_tell_their_controllers),
                cmocka_unit_test(test_hybrid_has_both),
                cmocka_unit_test(test_v2_alone_needs_no_last_line_feed),
                cmocka_unit_test(test_a_second_mount_of_a_hierarchy_is_passed_over),
                cmocka_unit_test(test_what_a_later_mount_hides_does_not_count),
                cmocka_unit_test(test_names_are_unescaped_and_the_own_path_is_below_the_mounted_part),
                cmocka_unit_test(test_damaged_lines_are_passed_over),
                cmocka_unit_test(test_cgroups_path_leads_to_one_place),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
