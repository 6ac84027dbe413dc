/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text.h"
#include "instance/user_lookup.h"

struct fixture {
        char path[64];
        int root;
};

static void put(int root, const char *name, const char *text)
{
        int fd = openat(root, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(write_all(fd, text, strlen(text)), 0);
        close(fd);
}

static int set_up(void **state)
{
        struct fixture *fixture = calloc(1, sizeof(*fixture));
        TEXT_COPY(fixture->path, "/tmp/onggi-users-XXXXXX");
        assert_non_null(mkdtemp(fixture->path));
        fixture->root = open(fixture->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        mkdirat(fixture->root, "etc", 0755);
        put(fixture->root, "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nbad line\nweb:x:33:34:Web:/srv/web:/bin/sh\n"
            "odd:x:4294967295:5::/:/bin/sh\nnobody:x:65534:65534::relative:/bin/sh\n");
        put(fixture->root, "etc/group", "root:x:0:\nweb:x:34:\nlog:x:40:web,other\nbroken\ndisk:x:41:webmaster\n");
        *state = fixture;
        return 0;
}

static int tear_down(void **state)
{
        struct fixture *fixture = *state;
        close(fixture->root);
        tree_remove(AT_FDCWD, fixture->path, NULL);
        free(fixture);
        return 0;
}

static void test_no_user_is_root_with_its_home(void **state)
{
        struct fixture *fixture = *state;
        struct identity identity;
        assert_int_equal(identity_resolve(fixture->root, NULL, NULL, &identity, NULL), 0);
        assert_int_equal(identity.uid, 0);
        assert_string_equal(identity.home, "/root");
        identity_free(&identity);
}

static void test_a_name_brings_its_group_home_and_listed_groups(void **state)
{
        struct fixture *fixture = *state;
        struct identity identity;
        assert_int_equal(identity_resolve(fixture->root, "web", NULL, &identity, NULL), 0);
        assert_int_equal(identity.uid, 33);
        assert_int_equal(identity.gid, 34);
        assert_string_equal(identity.home, "/srv/web");
        assert_int_equal(identity.count, 1);
        assert_int_equal(identity.groups[0], 40);
        identity_free(&identity);
}

static void test_a_group_that_is_named_replaces_the_others(void **state)
{
        struct fixture *fixture = *state;
        struct identity identity;
        assert_int_equal(identity_resolve(fixture->root, "web:disk", NULL, &identity, NULL), 0);
        assert_int_equal(identity.gid, 41);
        assert_int_equal(identity.count, 0);
        identity_free(&identity);
}

static void test_numbers_need_no_entry(void **state)
{
        struct fixture *fixture = *state;
        struct identity identity;
        assert_int_equal(identity_resolve(fixture->root, "1234:77", NULL, &identity, NULL), 0);
        assert_int_equal(identity.uid, 1234);
        assert_int_equal(identity.gid, 77);
        assert_string_equal(identity.home, "/");
        identity_free(&identity);
}

static void test_added_groups_are_looked_up(void **state)
{
        struct fixture *fixture = *state;
        struct identity identity;
        char *const groups[] = { "log", "99", NULL };
        assert_int_equal(identity_resolve(fixture->root, "0", groups, &identity, NULL), 0);
        assert_int_equal(identity.count, 2);
        assert_int_equal(identity.groups[1], 99);
        identity_free(&identity);
}

static void test_unknown_names_and_impossible_ids_are_refused(void **state)
{
        struct fixture *fixture = *state;
        struct identity identity;
        struct error err;
        assert_int_equal(identity_resolve(fixture->root, "ghost", NULL, &identity, &err), -ENOENT);
        assert_non_null(strstr(err.text, "ghost"));
        assert_int_equal(identity_resolve(fixture->root, "web:ghosts", NULL, &identity, &err), -ENOENT);
        assert_int_equal(identity_resolve(fixture->root, "odd", NULL, &identity, &err), -ENOENT);
}

static void test_a_link_leads_to_the_images_own_files(void **state)
{
        struct fixture *fixture = *state;
        struct identity identity;
        unlinkat(fixture->root, "etc/passwd", 0);
        assert_int_equal(symlinkat("/../../../../etc/passwd-of-the-image", fixture->root, "etc/passwd"), 0);
        put(fixture->root, "etc/passwd-of-the-image", "root:x:0:0::/inside:/bin/sh\n");
        assert_int_equal(identity_resolve(fixture->root, "root", NULL, &identity, NULL), 0);
        assert_string_equal(identity.home, "/inside");
        identity_free(&identity);
}

static void test_what_is_no_file_is_refused_and_not_waited_for(void **state)
{
        struct fixture *fixture = *state;
        struct identity identity;
        unlinkat(fixture->root, "etc/passwd", 0);
        assert_int_equal(mkfifoat(fixture->root, "etc/passwd", 0644), 0);
        assert_int_equal(identity_resolve(fixture->root, "root", NULL, &identity, NULL), -EINVAL);
}

static void test_an_image_without_passwd_knows_numbers(void **state)
{
        struct fixture *fixture = *state;
        struct identity identity;
        unlinkat(fixture->root, "etc/passwd", 0);
        assert_int_equal(identity_resolve(fixture->root, "7", NULL, &identity, NULL), 0);
        assert_int_equal(identity.uid, 7);
        identity_free(&identity);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_no_user_is_root_with_its_home, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_a_name_brings_its_group_home_and_listed_groups, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_a_group_that_is_named_replaces_the_others, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_numbers_need_no_entry, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_added_groups_are_looked_up, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_unknown_names_and_impossible_ids_are_refused, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_a_link_leads_to_the_images_own_files, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_what_is_no_file_is_refused_and_not_waited_for, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_an_image_without_passwd_knows_numbers, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
