/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/id_map.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text.h"
#include "instance/name.h"

#define REGION_FIRST 0x00080000U /* of systemd's page, for containers */
#define REGION_LAST  0x6fffffffU

struct fixture {
        char path[64];
        int instances;
};

static int set_up(void **state)
{
        struct fixture *fixture = calloc(1, sizeof(*fixture));
        TEXT_COPY(fixture->path, "/tmp/onggi-id-map-XXXXXX");
        assert_non_null(mkdtemp(fixture->path));
        fixture->instances = instances_open(fixture->path, NULL);
        assert_true(fixture->instances >= 0);
        *state = fixture;
        return 0;
}

static int tear_down(void **state)
{
        struct fixture *fixture = *state;
        close(fixture->instances);
        tree_remove(AT_FDCWD, fixture->path, NULL);
        free(fixture);
        return 0;
}

/* The link of a range, relative to the folder of instances. */
static const char *link_of(const struct id_range *range, char text[40])
{
        snprintf(text, 40, "by-range/%u", (range->host - 0x10000000U) / ID_RANGE_SIZE);
        return text;
}

static bool taken(const struct fixture *fixture, const struct id_range *range)
{
        char path[40];
        return !faccessat(fixture->instances, link_of(range, path), F_OK, AT_SYMLINK_NOFOLLOW);
}

static void test_ids_inside_become_ids_of_the_host(void **state)
{
        (void)state;
        static const struct id_range ranges[] = { { 0, 100000, 1000 }, { 1000, 5, 1 }, { 4294967000U, 7000, 200 } };
        static const struct {
                uint32_t inside;
                int result;
                uint32_t outside;
        } cases[] = {
                { 0, 0, 100000 },         { 999, 0, 100999 },          { 1000, 0, 5 },
                { 1001, -EINVAL, 0 },     { 4294966999U, -EINVAL, 0 }, { 4294967000U, 0, 7000 },
                { 4294967199U, 0, 7199 }, { UINT32_MAX, -EINVAL, 0 },
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                uint32_t outside = 0;
                assert_int_equal(id_map_host(ranges, 3, cases[i].inside, &outside), cases[i].result);
                assert_int_equal(outside, cases[i].outside);
        }
        uint32_t outside;
        assert_int_equal(id_map_host(NULL, 0, 0, &outside), -EINVAL);
}

static void test_no_two_instances_have_one_range(void **state)
{
        struct fixture *fixture = *state;
        struct id_range ranges[200];
        for (int i = 0; i < 200; i++) {
                char id[65];
                snprintf(id, sizeof(id), "%064x", i);
                assert_int_equal(mkdirat(fixture->instances, id, 0700), 0);
                assert_int_equal(id_range_take(fixture->instances, id, &ranges[i], NULL), 0);
                assert_true(ranges[i].host >= REGION_FIRST && ranges[i].host <= REGION_LAST - ID_RANGE_SIZE);
                assert_int_equal(ranges[i].container, 0);
                assert_int_equal(ranges[i].count, ID_RANGE_SIZE);
                for (int other = 0; other < i; other++)
                        assert_int_not_equal(ranges[i].host, ranges[other].host);
        }
}

static void test_a_range_is_given_back_by_its_owner_alone(void **state)
{
        struct fixture *fixture = *state;
        char id[65], other[65];
        snprintf(id, sizeof(id), "%064x", 1);
        snprintf(other, sizeof(other), "%064x", 2);
        struct id_range range;
        assert_int_equal(id_range_take(fixture->instances, id, &range, NULL), 0);
        assert_int_equal(id_range_drop(fixture->instances, other, &range, NULL), 0);
        assert_true(taken(fixture, &range));
        assert_int_equal(id_range_drop(fixture->instances, id, &range, NULL), 0);
        assert_false(taken(fixture, &range));
        assert_int_equal(id_range_drop(fixture->instances, id, &range, NULL), 0);
}

/* All ranges are taken but by instances that are gone: each is free for who looks. */
static void test_the_range_of_an_instance_that_is_gone_is_free(void **state)
{
        struct fixture *fixture = *state;
        char id[65], gone[80], path[40];
        snprintf(id, sizeof(id), "%064x", 1);
        snprintf(gone, sizeof(gone), "../%064x", 2);
        struct id_range first, second;
        assert_int_equal(id_range_take(fixture->instances, id, &first, NULL), 0);
        for (uint32_t n = 0; n < 16384; n++) {
                snprintf(path, sizeof(path), "by-range/%u", n);
                assert_true(!symlinkat(gone, fixture->instances, path) || errno == EEXIST);
        }
        assert_int_equal(mkdirat(fixture->instances, id, 0700), 0);
        assert_int_equal(id_range_take(fixture->instances, id, &second, NULL), 0);
        assert_int_not_equal(first.host, second.host);
}

static void test_the_namespace_has_the_map(void **state)
{
        (void)state;
        if (geteuid() != 0) {
                print_message("skipped: a map of more than one id needs root\n");
                skip();
        }
        const struct id_range range = { 0, 0x10000000U, ID_RANGE_SIZE };
        struct error err = { 0 };
        int userns = id_map_namespace(&range, 1, &err);
        if (userns < 0)
                fail_msg("%s", err.text);
        pid_t child = fork();
        if (!child) {
                unsigned inside = 1, host = 1, count = 1;
                FILE *map = setns(userns, CLONE_NEWUSER) < 0 ? NULL : fopen("/proc/self/uid_map", "re");
                int read = map ? fscanf(map, "%u %u %u", &inside, &host, &count) : 0;
                _exit(read == 3 && !inside && host == range.host && count == ID_RANGE_SIZE ? 0 : 1);
        }
        int status = 1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        close(userns);
}

static void test_a_map_that_the_kernel_refuses_fails(void **state)
{
        (void)state;
        const struct id_range overlapping[] = { { 0, 100000, 10 }, { 5, 200000, 10 } };
        struct error err = { 0 };
        assert_true(id_map_namespace(overlapping, 2, &err) < 0);
        assert_int_not_equal(err.text[0], 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ids_inside_become_ids_of_the_host),
                cmocka_unit_test_setup_teardown(test_no_two_instances_have_one_range, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_a_range_is_given_back_by_its_owner_alone, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_the_range_of_an_instance_that_is_gone_is_free, set_up, tear_down),
                cmocka_unit_test(test_the_namespace_has_the_map),
                cmocka_unit_test(test_a_map_that_the_kernel_refuses_fails),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
