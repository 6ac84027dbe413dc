/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mounts of each kind: bind, tmpfs and others, remounted and id-mapped ones. */
#include "rootfs_bundle.h"

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

int main(void)
{
        const struct CMUnitTest rooted[] = {
                TEST(test_files_and_folders_are_bound_on_targets_that_are_made),
                TEST(test_recursive_attributes_reach_the_mounts_below),
                TEST(test_a_missing_source_is_named),
                TEST(test_the_callers_umask_is_the_programs_affair),
                TEST(test_a_tmpfs_keeps_permissions_and_copies_up),
                TEST(test_an_unknown_option_is_refused_with_the_file_systems_own_words),
                TEST(test_options_longer_than_the_new_calls_take_work_too),
                TEST(test_remount_changes_attributes_and_the_file_systems_options),
                TEST(test_a_user_namespace_keeps_what_the_host_locked),
                TEST(test_an_id_mapped_mount_shows_mapped_owners),
        };
        if (geteuid()) {
                puts("skipped: containers are built here by root only");
                return 77;
        }
        return cmocka_run_group_tests(rooted, NULL, NULL);
}
