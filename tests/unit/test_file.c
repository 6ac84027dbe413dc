/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/text.h"

struct folder {
        char path[64];
        int fd;
};

static int make_folder(void **state)
{
        struct folder *folder = calloc(1, sizeof(*folder));
        TEXT_COPY(folder->path, "/tmp/onggi-test-file-XXXXXX");
        if (!mkdtemp(folder->path))
                return -1;
        folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *state = folder;
        return 0;
}

static int remove_folder(void **state)
{
        struct folder *folder = *state;
        close(folder->fd);
        int r = tree_remove(AT_FDCWD, folder->path, NULL);
        free(folder);
        return r;
}

static void test_read_is_bounded_and_says_so(void **state)
{
        struct folder *folder = *state;
        struct error err = { 0 };
        _cleanup_free_ char *data = NULL;
        size_t length;
        assert_int_equal(file_replace(folder->fd, "a", "hello", 5, 0600, &err), 0);
        assert_int_equal(file_read(folder->fd, "a", 5, &data, &length, &err), 0);
        assert_string_equal(data, "hello");
        assert_int_equal(length, 5);

        _cleanup_free_ char *none = NULL;
        assert_int_equal(file_read(folder->fd, "a", 4, &none, NULL, &err), -EFBIG);
        assert_null(none);
        /* a file without a size, as all in /proc are */
        assert_int_equal(file_read(AT_FDCWD, "/proc/self/status", 100, &none, NULL, &err), -EFBIG);
        _cleanup_free_ char *status = NULL;
        assert_int_equal(file_read(AT_FDCWD, "/proc/self/status", 1 << 20, &status, NULL, &err), 0);
        assert_non_null(strstr(status, "Threads:"));
        assert_int_equal(file_read(folder->fd, "missing", 10, &none, NULL, &err), -ENOENT);
        assert_string_equal(err.text, "cannot open missing: No such file or directory");
}

static void test_replace_leaves_the_old_file_when_it_fails(void **state)
{
        struct folder *folder = *state;
        struct error err = { 0 };
        assert_int_equal(mkdirat(folder->fd, "d", 0700), 0);
        assert_int_equal(mkdirat(folder->fd, "d/full", 0700), 0);
        /* a folder that is not empty cannot be replaced by a file */
        assert_int_equal(file_replace(folder->fd, "d", "x", 1, 0600, &err), -EISDIR);
        _cleanup_free_ char *temporary = NULL;
        assert_true(asprintf(&temporary, ".d.%d.tmp", (int)getpid()) > 0);
        assert_int_equal(faccessat(folder->fd, temporary, F_OK, 0), -1);
        assert_int_equal(faccessat(folder->fd, "d/full", F_OK, 0), 0);
}

static void test_directory_make_makes_every_part(void **state)
{
        struct folder *folder = *state;
        struct error err = { 0 };
        _cleanup_free_ char *path = NULL;
        assert_true(asprintf(&path, "%s/a/b/c", folder->path) > 0);
        for (int i = 0; i < 2; i++) {
                _cleanup_close_ int fd = directory_make(path, 0700, &err);
                assert_true(fd >= 0);
        }
        assert_int_equal(file_replace(folder->fd, "a/b/c/file", "x", 1, 0600, &err), 0);
        _cleanup_free_ char *through_file = NULL;
        assert_true(asprintf(&through_file, "%s/file/x", path) > 0);
        assert_int_equal(directory_make(through_file, 0700, &err), -ENOTDIR);
}

static void test_nothing_in_a_root_leads_out(void **state)
{
        struct folder *folder = *state;
        struct error err = { 0 };
        assert_int_equal(mkdirat(folder->fd, "root", 0700), 0);
        assert_int_equal(mkdirat(folder->fd, "outside", 0700), 0);
        assert_int_equal(file_replace(folder->fd, "outside/secret", "s", 1, 0600, &err), 0);
        _cleanup_close_ int root = openat(folder->fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(symlinkat("../outside", root, "up"), 0);
        assert_int_equal(symlinkat(folder->path, root, "absolute"), 0);
        assert_int_equal(symlinkat("/proc/self/root", root, "magic"), 0);

        static const char *const ways[] = { "up/secret", "absolute/outside/secret", "../outside/secret",
                                            "magic/etc/passwd", "/../../outside/secret" };
        for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
                assert_int_equal(open_in_root(root, ways[i], O_RDONLY, 0, &err), -ENOENT);

        /* What is made on such a way is made inside. */
        _cleanup_close_ int made = make_in_root(root, "up/made/deep", 0755, &err);
        assert_true(made >= 0);
        assert_int_equal(faccessat(folder->fd, "outside/made", F_OK, 0), -1);
        assert_int_equal(faccessat(root, "outside/made/deep", F_OK, 0), 0);
}

static void test_tree_remove_does_not_follow_links(void **state)
{
        struct folder *folder = *state;
        struct error err = { 0 };
        assert_int_equal(mkdirat(folder->fd, "keep", 0700), 0);
        assert_int_equal(file_replace(folder->fd, "keep/file", "x", 1, 0600, &err), 0);
        assert_int_equal(mkdirat(folder->fd, "tree", 0700), 0);
        assert_int_equal(mkdirat(folder->fd, "tree/a", 0700), 0);
        assert_int_equal(mkdirat(folder->fd, "tree/a/b", 0700), 0);
        assert_int_equal(symlinkat("../../keep", folder->fd, "tree/a/link"), 0);
        assert_int_equal(file_replace(folder->fd, "tree/a/b/file", "x", 1, 0600, &err), 0);

        assert_int_equal(tree_remove(folder->fd, "tree", &err), 0);
        assert_int_equal(faccessat(folder->fd, "tree", F_OK, 0), -1);
        assert_int_equal(faccessat(folder->fd, "keep/file", F_OK, 0), 0);
        assert_int_equal(tree_remove(folder->fd, "tree", &err), 0);
}

static void test_tree_remove_needs_few_descriptors_for_a_deep_tree(void **state)
{
        struct folder *folder = *state;
        struct error err = { 0 };
        assert_int_equal(mkdirat(folder->fd, "deep", 0700), 0);
        int at = openat(folder->fd, "deep", O_PATH | O_DIRECTORY | O_CLOEXEC);
        for (int depth = 0; depth < 3000; depth++) {
                assert_int_equal(mkdirat(at, "a-name-that-makes-long-paths", 0700), 0);
                assert_int_equal(symlinkat("x", at, "link"), 0);
                int below = openat(at, "a-name-that-makes-long-paths", O_PATH | O_DIRECTORY | O_CLOEXEC);
                close(at);
                at = below;
        }
        close(at);

        struct rlimit before, few = { 200, 200 };
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        few.rlim_max = before.rlim_max;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        int r = tree_remove(folder->fd, "deep", &err);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(r, 0);
        assert_int_equal(faccessat(folder->fd, "deep", F_OK, 0), -1);
}

static void test_a_lock_keeps_others_out_until_it_is_closed(void **state)
{
        struct folder *folder = *state;
        struct error err = { 0 };
        int held = lock_take(folder->fd, "lock", true, &err);
        assert_true(held >= 0);
        assert_int_equal(lock_try(folder->fd, "lock", true, &err), -EWOULDBLOCK);
        assert_int_equal(lock_try(folder->fd, "lock", false, &err), -EWOULDBLOCK);
        close(held);
        _cleanup_close_ int one = lock_try(folder->fd, "lock", false, &err);
        _cleanup_close_ int two = lock_try(folder->fd, "lock", false, &err);
        assert_true(one >= 0 && two >= 0);
}

static void test_a_lock_on_a_replaced_file_is_taken_anew(void **state)
{
        struct folder *folder = *state;
        struct error err = { 0 };
        _cleanup_close_ int first = lock_take(folder->fd, "lock", true, &err);
        assert_true(first >= 0);
        int pipes[2];
        assert_int_equal(pipe(pipes), 0);
        pid_t child = fork();
        if (!child) {
                /* waits for the old file's lock, and must end up with the new file's */
                struct stat got, named;
                close(first); /* else its copy would hold the lock that it waits for */
                if (write(pipes[1], "r", 1) != 1)
                        _exit(2);
                int fd = lock_take(folder->fd, "lock", true, NULL);
                _exit(fd < 0 || fstat(fd, &got) || fstatat(folder->fd, "lock", &named, 0) ||
                      got.st_ino != named.st_ino);
        }
        char ready;
        assert_int_equal(read(pipes[0], &ready, 1), 1);
        assert_int_equal(unlinkat(folder->fd, "lock", 0), 0);
        close(TAKE_FD(first));
        int status;
        waitpid(child, &status, 0);
        assert_int_equal(status, 0);
        close(pipes[0]);
        close(pipes[1]);
}

static void test_closing_all_but_some_closes_all_others(void **state)
{
        (void)state;
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        for (int fd = 200; fd < 204; fd++)
                assert_int_equal(dup2(ends[0], fd), fd);
        const int kept[] = { 203, -1, 201, 201, 5 };
        assert_int_equal(descriptors_close_except(200, kept, sizeof(kept) / sizeof(*kept)), 0);
        for (int fd = 200; fd < 204; fd++) {
                assert_int_equal(fcntl(fd, F_GETFD) >= 0, fd & 1);
                close(fd);
        }
        assert_true(fcntl(ends[0], F_GETFD) >= 0 && fcntl(ends[1], F_GETFD) >= 0);
        close(ends[0]);
        close(ends[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_read_is_bounded_and_says_so, make_folder, remove_folder),
                cmocka_unit_test_setup_teardown(test_replace_leaves_the_old_file_when_it_fails, make_folder,
                                                remove_folder),
                cmocka_unit_test_setup_teardown(test_directory_make_makes_every_part, make_folder, remove_folder),
                cmocka_unit_test_setup_teardown(test_nothing_in_a_root_leads_out, make_folder, remove_folder),
                cmocka_unit_test_setup_teardown(test_tree_remove_does_not_follow_links, make_folder, remove_folder),
                cmocka_unit_test_setup_teardown(test_tree_remove_needs_few_descriptors_for_a_deep_tree, make_folder,
                                                remove_folder),
                cmocka_unit_test_setup_teardown(test_a_lock_keeps_others_out_until_it_is_closed, make_folder,
                                                remove_folder),
                cmocka_unit_test_setup_teardown(test_a_lock_on_a_replaced_file_is_taken_anew, make_folder,
                                                remove_folder),
                cmocka_unit_test(test_closing_all_but_some_closes_all_others),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
