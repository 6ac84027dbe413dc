/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/mount_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>

#include <cmocka.h>

#include "base/text.h"

static void add(struct mount_options *options, const char *words)
{
        char copy[256];
        TEXT_COPY(copy, words);
        for (char *rest = copy, *word; (word = strsep(&rest, ","));)
                assert_int_equal(mount_options_add(options, word, NULL), 0);
}

static void test_every_option_of_the_specification_is_known(void **state)
{
        (void)state;
        static const char *const specified[] = {
                "async",         "atime",        "bind",
                "defaults",      "dev",          "diratime",
                "dirsync",       "exec",         "idmap",
                "iversion",      "lazytime",     "loud",
                "mand",          "noatime",      "nodev",
                "nodiratime",    "noexec",       "noiversion",
                "nolazytime",    "nomand",       "norelatime",
                "nostrictatime", "nosuid",       "nosymfollow",
                "private",       "ratime",       "rbind",
                "rdev",          "rdiratime",    "relatime",
                "remount",       "rexec",        "ridmap",
                "rnoatime",      "rnodev",       "rnodiratime",
                "rnoexec",       "rnorelatime",  "rnostrictatime",
                "rnosuid",       "rnosymfollow", "ro",
                "rprivate",      "rrelatime",    "rro",
                "rrw",           "rshared",      "rslave",
                "rstrictatime",  "rsuid",        "rsymfollow",
                "runbindable",   "rw",           "shared",
                "silent",        "slave",        "strictatime",
                "suid",          "symfollow",    "sync",
                "tmpcopyup",     "unbindable",
        };
        const char *const *known = mount_options_known();
        for (size_t i = 0; i < ARRAY_SIZE(specified); i++) {
                struct mount_options options = { 0 };
                assert_string_equal(known[i], specified[i]);
                assert_int_equal(mount_options_add(&options, specified[i], NULL), 0);
                mount_options_free(&options);
        }
        assert_null(known[ARRAY_SIZE(specified)]);
}

static void test_words_turn_into_attributes(void **state)
{
        (void)state;
        static const struct {
                const char *words;
                struct mount_change top, tree;
        } cases[] = {
                { "ro", { MOUNT_ATTR_RDONLY, 0 }, { 0 } },
                { "rw", { 0, MOUNT_ATTR_RDONLY }, { 0 } },
                { "nosuid,nodev,noexec", { MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0 }, { 0 } },
                { "suid,dev,exec", { 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC }, { 0 } },
                { "noatime", { MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME }, { 0 } },
                { "atime", { 0, MOUNT_ATTR__ATIME }, { 0 } },
                { "relatime", { 0, MOUNT_ATTR__ATIME }, { 0 } },
                { "strictatime", { MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME }, { 0 } },
                { "nodiratime", { MOUNT_ATTR_NODIRATIME, 0 }, { 0 } },
                { "diratime", { 0, MOUNT_ATTR_NODIRATIME }, { 0 } },
                { "nosymfollow", { MOUNT_ATTR_NOSYMFOLLOW, 0 }, { 0 } },
                { "symfollow", { 0, MOUNT_ATTR_NOSYMFOLLOW }, { 0 } },
                { "rro", { 0 }, { MOUNT_ATTR_RDONLY, 0 } },
                { "rrw", { 0 }, { 0, MOUNT_ATTR_RDONLY } },
                { "rnosuid,rnodev,rnoexec", { 0 }, { MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0 } },
                { "rsuid,rdev,rexec", { 0 }, { 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC } },
                { "rnoatime", { 0 }, { MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME } },
                { "rstrictatime", { 0 }, { MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME } },
                { "rnodiratime,rnosymfollow", { 0 }, { MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW, 0 } },
                { "rdiratime,rsymfollow", { 0 }, { 0, MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW } },
                { "defaults,silent,loud,iversion,noiversion,norelatime,rnorelatime", { 0 }, { 0 } },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct mount_options options = { 0 };
                add(&options, cases[i].words);
                assert_int_equal(options.top.set, cases[i].top.set);
                assert_int_equal(options.top.clear, cases[i].top.clear);
                assert_int_equal(options.tree.set, cases[i].tree.set);
                assert_int_equal(options.tree.clear, cases[i].tree.clear);
                assert_null(options.words);
        }
}

static void test_the_last_of_contradicting_words_wins(void **state)
{
        (void)state;
        struct mount_options options = { 0 };
        add(&options, "ro,rw,nosuid,suid,nosuid,noatime,strictatime,shared,rprivate");
        assert_int_equal(options.top.set, MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME);
        assert_int_equal(options.top.clear, MOUNT_ATTR_RDONLY | MOUNT_ATTR__ATIME);
        assert_int_equal(options.propagation, MS_PRIVATE);
        assert_true(options.propagation_tree);
}

static void test_bind_and_idmap_know_their_recursive_forms(void **state)
{
        (void)state;
        struct mount_options plain = { 0 }, tree = { 0 };
        add(&plain, "bind,idmap,remount,tmpcopyup");
        assert_true(plain.bind && plain.id_map && plain.remount && plain.copy_up);
        assert_false(plain.bind_tree || plain.id_map_tree);
        add(&tree, "rbind,ridmap");
        assert_true(tree.bind && tree.bind_tree && tree.id_map && tree.id_map_tree);
}

static void test_unknown_words_go_to_the_file_system_in_order(void **state)
{
        (void)state;
        struct mount_options options = { 0 };
        add(&options, "size=64k,nosuid,mode=1777,sync,newinstance");
        assert_int_equal(list_length(options.words), 4);
        assert_string_equal(options.words[0], "size=64k");
        assert_string_equal(options.words[1], "mode=1777");
        assert_string_equal(options.words[2], "sync");
        assert_string_equal(options.words[3], "newinstance");
        mount_options_free(&options);
}

static void test_propagation_of_a_root_file_system(void **state)
{
        (void)state;
        assert_int_equal(mount_propagation("shared"), MS_SHARED);
        assert_int_equal(mount_propagation("rslave"), MS_SLAVE | MS_REC);
        assert_int_equal(mount_propagation("unbindable"), MS_UNBINDABLE);
        assert_int_equal(mount_propagation("ro"), 0);
        assert_int_equal(mount_propagation("public"), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_option_of_the_specification_is_known),
                cmocka_unit_test(test_words_turn_into_attributes),
                cmocka_unit_test(test_the_last_of_contradicting_words_wins),
                cmocka_unit_test(test_bind_and_idmap_know_their_recursive_forms),
                cmocka_unit_test(test_unknown_words_go_to_the_file_system_in_order),
                cmocka_unit_test(test_propagation_of_a_root_file_system),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
