/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text.h"
#include "instance/id_map.h"
#include "instance/overlay.h"

struct fixture {
        char root[64];
        char *layers[3], *upper, *work, *scratch;
};

static char *folder(struct fixture *fixture, const char *name)
{
        char *path = text_format("%s/%s", fixture->root, name);
        assert_int_equal(mkdir(path, 0755), 0);
        return path;
}

static void put(const char *folder_path, const char *name, const char *text)
{
        char *path = text_format("%s/%s", folder_path, name);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(write_all(fd, text, strlen(text)), 0);
        close(fd);
        free(path);
}

static int set_up(void **state)
{
        struct fixture *fixture = calloc(1, sizeof(*fixture));
        TEXT_COPY(fixture->root, "/tmp/onggi-overlay-XXXXXX");
        assert_non_null(mkdtemp(fixture->root));
        fixture->layers[0] = folder(fixture, "low,er");
        fixture->layers[1] = folder(fixture, "hi:gher");
        fixture->upper = folder(fixture, "up");
        fixture->work = folder(fixture, "work");
        fixture->scratch = folder(fixture, "scratch");
        put(fixture->layers[0], "both", "low");
        put(fixture->layers[0], "low", "low");
        put(fixture->layers[1], "both", "high");
        *state = fixture;
        return 0;
}

static int tear_down(void **state)
{
        struct fixture *fixture = *state;
        tree_remove(AT_FDCWD, fixture->root, NULL);
        free(fixture->layers[0]);
        free(fixture->layers[1]);
        free(fixture->upper);
        free(fixture->work);
        free(fixture->scratch);
        free(fixture);
        return 0;
}

static struct overlay overlay_of(struct fixture *fixture, int userns)
{
        return (struct overlay){ .layers = fixture->layers,
                                 .upper = fixture->upper,
                                 .work = fixture->work,
                                 .scratch = fixture->scratch,
                                 .userns = userns };
}

static void assert_content(int root, const char *name, const char *wanted)
{
        char *data = NULL;
        assert_int_equal(file_read(root, name, 100, &data, NULL, NULL), 0);
        assert_string_equal(data, wanted);
        free(data);
}

static void check(struct fixture *fixture, int (*mount)(const struct overlay *, struct error *), int userns,
                  uid_t owner)
{
        const struct overlay overlay = overlay_of(fixture, userns);
        struct error err = { 0 };
        int root = mount(&overlay, &err);
        if (root < 0)
                fail_msg("%s", err.text);
        assert_content(root, "both", "high");
        assert_content(root, "low", "low");
        struct stat st;
        assert_int_equal(fstatat(root, "low", &st, 0), 0);
        assert_int_equal(st.st_uid, owner);
        int fd = openat(root, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        close(fd);
        close(root);
        char *made = text_format("%s/new", fixture->upper);
        assert_int_equal(access(made, F_OK), 0);
        free(made);
}

static void test_higher_layers_cover_lower_ones_and_writes_go_to_the_upper(void **state)
{
        check(*state, overlay_mount, -1, 0);
}

static void test_older_kernels_get_the_same(void **state)
{
        check(*state, overlay_mount_classic, -1, 0);
}

static void check_mapped(struct fixture *fixture, int (*mount)(const struct overlay *, struct error *))
{
        static const struct id_range range = { 0, 300000, 1000 };
        int userns = id_map_namespace(&range, 1, NULL);
        assert_true(userns >= 0);
        check(fixture, mount, userns, 300000);
        close(userns);
}

static void test_layers_are_seen_through_the_map(void **state)
{
        check_mapped(*state, overlay_mount);
}

static void test_older_kernels_map_layers_too(void **state)
{
        check_mapped(*state, overlay_mount_classic);
}

static void test_layers_alone_are_read_only(void **state)
{
        struct fixture *fixture = *state;
        int root = overlay_mount_layers(fixture->layers, NULL);
        assert_true(root >= 0);
        assert_content(root, "both", "high");
        assert_int_equal(openat(root, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0644), -1);
        assert_int_equal(errno, EROFS);
        close(root);
}

static void test_a_missing_layer_is_an_error_that_names_it(void **state)
{
        struct fixture *fixture = *state;
        struct error err = { 0 };
        assert_int_equal(rmdir(fixture->scratch), 0);
        char *missing[] = { fixture->layers[0], fixture->scratch, NULL };
        const struct overlay overlay = { .layers = missing,
                                         .upper = fixture->upper,
                                         .work = fixture->work,
                                         .scratch = fixture->scratch,
                                         .userns = -1 };
        assert_true(overlay_mount(&overlay, &err) < 0);
        assert_non_null(strstr(err.text, fixture->scratch));
}

int main(void)
{
        if (geteuid()) {
                printf("skipped: mounts need root\n");
                return 77;
        }
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_higher_layers_cover_lower_ones_and_writes_go_to_the_upper, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(test_older_kernels_get_the_same, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_layers_are_seen_through_the_map, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_older_kernels_map_layers_too, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_layers_alone_are_read_only, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_a_missing_layer_is_an_error_that_names_it, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
