/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "container/state.h"

static char root[] = "/tmp/onggi-test-state-XXXXXX";

static int make_root(void **state)
{
        (void)state;
        return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
        (void)state;
        return tree_remove(AT_FDCWD, root, NULL);
}

/* A container whose first process is this test. */
static struct state *create(const char *id)
{
        struct state *made = NULL;
        struct error err = { 0 };
        if (state_create(root, id, &made, &err) < 0)
                fail_msg("%s", err.text);
        made->pid = getpid();
        assert_int_equal(process_start_time(made->pid, &made->start_time), 0);
        made->bundle = strdup("/bundle");
        made->root_path = strdup("/bundle/rootfs");
        made->annotations = json_pack("{s:s}", "key", "value");
        made->namespaces = 0x20000;
        made->hooks = 1 << HOOK_POSTSTOP;
        return made;
}

static void record(struct state *made)
{
        struct error err = { 0 };
        if (state_prepare(made, &err) < 0 || state_commit(made, &err) < 0)
                fail_msg("%s", err.text);
}

static void test_a_record_is_read_as_it_was_written(void **state)
{
        (void)state;
        struct state *made = create("a"), *read = NULL;
        record(made);
        struct error err = { 0 };
        assert_int_equal(state_open(root, "a", false, &read, &err), 0);
        assert_true(read->complete);
        assert_int_equal(read->pid, made->pid);
        assert_int_equal(read->start_time, made->start_time);
        assert_string_equal(read->created, made->created);
        assert_string_equal(read->bundle, "/bundle");
        assert_int_equal(read->namespaces, 0x20000);
        assert_int_equal(read->hooks, 1 << HOOK_POSTSTOP);
        assert_string_equal(json_string_value(json_object_get(read->annotations, "key")), "value");
        state_close(read);
        assert_int_equal(state_remove(made, &err), 0);
        state_close(made);
}

static void test_an_identifier_is_taken_once(void **state)
{
        (void)state;
        struct state *made = create("twice"), *second = NULL;
        struct error err = { 0 };
        assert_int_equal(state_create(root, "twice", &second, &err), -EEXIST);
        assert_non_null(strstr(err.text, "twice"));
        assert_int_equal(state_remove(made, &err), 0);
        state_close(made);
}

static void test_identifiers_that_lead_elsewhere_are_refused(void **state)
{
        (void)state;
        static const char *const bad[] = { "", ".", "..", "../x", "a/b", ".hidden", "-x", "a b", "a\nb", "\xc3\xa9" };
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_int_equal(container_check_id(bad[i], NULL), -EINVAL);
        char longest[257];
        memset(longest, 'a', sizeof(longest));
        longest[256] = 0;
        assert_int_equal(container_check_id(longest, NULL), -EINVAL);
        longest[255] = 0;
        assert_int_equal(container_check_id(longest, NULL), 0);
        assert_int_equal(container_check_id("9f-A_b.c+d", NULL), 0);
}

static void test_a_container_without_a_record_is_being_created_as_long_as_its_lock_is_held(void **state)
{
        (void)state;
        struct state *made = create("half"), *seen = NULL;
        struct error err = { 0 };
        assert_int_equal(state_open(root, "half", false, &seen, &err), 0);
        assert_int_equal(state_status(seen), CONTAINER_CREATING);
        state_unlock(made);
        assert_int_equal(state_status(seen), CONTAINER_STOPPED);
        state_close(seen);
        assert_int_equal(state_remove(made, &err), 0);
        state_close(made);
}

static void test_a_number_that_another_process_has_now_counts_as_stopped(void **state)
{
        (void)state;
        struct state *made = create("reused");
        struct error err = { 0 };
        record(made);
        assert_int_equal(state_status(made), CONTAINER_RUNNING);
        made->start_time++;
        assert_int_equal(state_status(made), CONTAINER_STOPPED);
        assert_int_equal(state_remove(made, &err), 0);
        state_close(made);
}

static void test_a_reader_at_the_gate_makes_it_created(void **state)
{
        (void)state;
        struct state *made = create("gate");
        struct error err = { 0 };
        record(made);
        assert_int_equal(mkfifoat(made->folder, "start", 0600), 0);
        int reader = openat(made->folder, "start", O_RDWR);
        assert_true(reader >= 0);
        assert_int_equal(state_status(made), CONTAINER_CREATED);
        close(reader);
        assert_int_equal(state_status(made), CONTAINER_RUNNING);
        assert_int_equal(state_remove(made, &err), 0);
        state_close(made);
}

static void test_a_removed_container_is_gone_for_who_waited_for_its_lock(void **state)
{
        (void)state;
        struct state *made = create("gone"), *waiting = NULL;
        struct error err = { 0 };
        record(made);
        assert_int_equal(state_open(root, "gone", false, &waiting, &err), 0);
        assert_int_equal(state_remove(made, &err), 0);
        state_close(made);
        assert_int_equal(state_lock(waiting, &err), -ENOENT);
        state_close(waiting);
        assert_int_equal(state_open(root, "gone", true, &waiting, &err), -ENOENT);
}

static void test_the_list_is_sorted_and_skips_what_is_no_container(void **state)
{
        (void)state;
        struct state *b = create("b"), *a = create("a");
        struct error err = { 0 };
        char path[64];
        snprintf(path, sizeof(path), "%s/.seccomp", root);
        assert_int_equal(mkdir(path, 0700), 0);
        char **ids = NULL;
        assert_int_equal(state_list(root, &ids, &err), 0);
        assert_int_equal(list_length(ids), 2);
        assert_string_equal(ids[0], "a");
        assert_string_equal(ids[1], "b");
        list_free(ids);
        state_remove(a, &err);
        state_remove(b, &err);
        state_close(a);
        state_close(b);
        rmdir(path);
}

static void test_a_damaged_record_names_its_container(void **state)
{
        (void)state;
        static const char *const damaged[] = {
                "",
                "{",
                "[]",
                "{}",
                "{\"pid\":\"x\"}",
                "{\"bundle\":1}",
                "{\"bundle\":\"b\",\"rootfs\":\"r\",\"created\":\"c\",\"pid\":0,\"startTime\":1}",
                "{\"bundle\":\"b\",\"rootfs\":\"r\",\"created\":\"c\",\"pid\":1}"
        };
        struct state *made = create("damaged");
        for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
                struct state *read = NULL;
                struct error err = { 0 };
                assert_int_equal(file_replace_volatile(made->folder, "state.json", damaged[i], strlen(damaged[i]), 0600,
                                                       &err),
                                 0);
                assert_true(state_open(root, "damaged", false, &read, &err) < 0);
                assert_non_null(strstr(err.text, "damaged"));
        }
        state_remove(made, NULL);
        state_close(made);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_record_is_read_as_it_was_written),
                cmocka_unit_test(test_an_identifier_is_taken_once),
                cmocka_unit_test(test_identifiers_that_lead_elsewhere_are_refused),
                cmocka_unit_test(test_a_container_without_a_record_is_being_created_as_long_as_its_lock_is_held),
                cmocka_unit_test(test_a_number_that_another_process_has_now_counts_as_stopped),
                cmocka_unit_test(test_a_reader_at_the_gate_makes_it_created),
                cmocka_unit_test(test_a_removed_container_is_gone_for_who_waited_for_its_lock),
                cmocka_unit_test(test_the_list_is_sorted_and_skips_what_is_no_container),
                cmocka_unit_test(test_a_damaged_record_names_its_container),
        };
        return cmocka_run_group_tests(tests, make_root, remove_root);
}
