/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/cgroup_devices.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"

#define ALL DEVICE_ANY

/* What the kernel would answer: the few instructions that our programs use. -1: not one of them. */
static int execute(const struct bpf_insn *code, size_t length, const struct bpf_cgroup_dev_ctx *context)
{
        uint64_t registers[11] = { 0 };
        for (size_t at = 0; at < length; at++) {
                const struct bpf_insn *insn = &code[at];
                uint64_t *to = &registers[insn->dst_reg], immediate = (uint64_t)(int64_t)insn->imm;
                switch (insn->code) {
                case BPF_LDX | BPF_MEM | BPF_W: *to = ((const uint32_t *)context)[insn->off / 4]; break;
                case BPF_ALU64 | BPF_MOV | BPF_K: *to = immediate; break;
                case BPF_ALU64 | BPF_MOV | BPF_X: *to = registers[insn->src_reg]; break;
                case BPF_ALU64 | BPF_AND | BPF_K: *to &= immediate; break;
                case BPF_ALU64 | BPF_RSH | BPF_K: *to >>= insn->imm; break;
                case BPF_JMP | BPF_JNE | BPF_K: at += *to != immediate ? (size_t)insn->off : 0; break;
                case BPF_JMP | BPF_JEQ | BPF_K: at += *to == immediate ? (size_t)insn->off : 0; break;
                case BPF_JMP | BPF_EXIT: return (int)registers[0];
                default: return -1;
                }
        }
        return -1;
}

static int ask(const struct device_rule *rules, size_t count, char type, int major, int minor, unsigned access)
{
        _cleanup_free_ struct bpf_insn *code = NULL;
        size_t length = 0;
        struct error err = { 0 };
        assert_int_equal(device_program_build(rules, count, &code, &length, &err), 0);
        struct bpf_cgroup_dev_ctx context = {
                .access_type = access << 16 | (type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR),
                .major = (uint32_t)major,
                .minor = (uint32_t)minor,
        };
        return execute(code, length, &context);
}

static void test_program_denies_what_no_rule_speaks_of(void **state)
{
        (void)state;
        const struct device_rule rules[] = { { true, 'c', 1, 3, DEVICE_ALL } };
        assert_int_equal(ask(rules, 1, 'c', 1, 3, DEVICE_READ | DEVICE_WRITE), 1);
        assert_int_equal(ask(rules, 1, 'b', 1, 3, DEVICE_READ), 0);
        assert_int_equal(ask(rules, 1, 'c', 1, 5, DEVICE_READ), 0);
        assert_int_equal(ask(rules, 1, 'c', 2, 3, DEVICE_READ), 0);
        assert_int_equal(ask(NULL, 0, 'c', 1, 3, DEVICE_READ), 0);
}

static void test_program_lets_the_last_rule_decide_each_access(void **state)
{
        (void)state;
        const struct device_rule rules[] = {
                { false, 'a', ALL, ALL, DEVICE_ALL },  { true, 'c', 1, ALL, DEVICE_ALL },
                { false, 'c', 1, 3, DEVICE_WRITE },    { true, 'b', 8, 0, DEVICE_READ },
                { true, 'b', ALL, ALL, DEVICE_WRITE },
        };
        assert_int_equal(ask(rules, 5, 'c', 1, 3, DEVICE_READ), 1);
        assert_int_equal(ask(rules, 5, 'c', 1, 3, DEVICE_WRITE), 0);
        assert_int_equal(ask(rules, 5, 'c', 1, 3, DEVICE_READ | DEVICE_WRITE), 0);
        assert_int_equal(ask(rules, 5, 'c', 1, 5, DEVICE_READ | DEVICE_WRITE), 1);
        /* reading by one rule, writing by another */
        assert_int_equal(ask(rules, 5, 'b', 8, 0, DEVICE_READ | DEVICE_WRITE), 1);
        assert_int_equal(ask(rules, 5, 'b', 8, 1, DEVICE_READ | DEVICE_WRITE), 0);
        assert_int_equal(ask(rules, 5, 'b', 8, 0, DEVICE_MKNOD), 0);
}

static void test_program_of_everything_allowed_has_no_unreachable_code(void **state)
{
        (void)state;
        const struct device_rule rules[] = { { false, 'c', 1, 3, DEVICE_ALL }, { true, 'a', ALL, ALL, DEVICE_ALL } };
        _cleanup_free_ struct bpf_insn *code = NULL;
        size_t length = 0;
        struct error err = { 0 };
        assert_int_equal(device_program_build(rules, 2, &code, &length, &err), 0);
        assert_int_equal(code[length - 1].code, BPF_JMP | BPF_EXIT);
        for (size_t i = 0; i + 1 < length; i++)
                assert_int_not_equal(code[i].code, BPF_JMP | BPF_EXIT);
        assert_int_equal(ask(rules, 2, 'c', 1, 3, DEVICE_ALL), 1);
}

static void build_rules(const struct device_rule *given, size_t given_count, struct device_rule **rules, size_t *count)
{
        struct device_rule own[16];
        struct error err = { 0 };
        memcpy(own, given, given_count * sizeof(*given));
        struct resources resources = { .devices = own, .device_count = given_count };
        assert_int_equal(device_rules(&resources, rules, count, &err), 0);
}

static void test_every_container_has_the_default_devices(void **state)
{
        (void)state;
        const struct device_rule given[] = { { false, 'a', ALL, ALL, DEVICE_ALL } };
        _cleanup_free_ struct device_rule *rules = NULL;
        size_t count = 0;
        build_rules(given, 1, &rules, &count);
        assert_int_equal(ask(rules, count, 'c', 1, 3, DEVICE_READ | DEVICE_WRITE), 1);
        assert_int_equal(ask(rules, count, 'c', 136, 7, DEVICE_READ | DEVICE_WRITE), 1);
        assert_int_equal(ask(rules, count, 'b', 8, 0, DEVICE_MKNOD), 1);
        assert_int_equal(ask(rules, count, 'b', 8, 0, DEVICE_READ), 0);
}

static void test_a_rule_without_a_type_is_about_both(void **state)
{
        (void)state;
        const struct device_rule given[] = { { true, 'a', 10, ALL, DEVICE_READ } };
        _cleanup_free_ struct device_rule *rules = NULL;
        size_t count = 0;
        build_rules(given, 1, &rules, &count);
        assert_int_equal(rules[0].type, 'b');
        assert_int_equal(rules[1].type, 'c');
        assert_int_equal(ask(rules, count, 'b', 10, 1, DEVICE_READ), 1);
        assert_int_equal(ask(rules, count, 'c', 10, 1, DEVICE_READ), 1);
}

static int build_list(const struct device_rule *rules, size_t count, struct device_list *list, struct error *err)
{
        *err = (struct error){ 0 };
        return device_list_build(rules, count, list, err);
}

static void test_v1_list_starts_anew_at_a_rule_about_everything(void **state)
{
        (void)state;
        const struct device_rule rules[] = { { true, 'c', 1, 3, DEVICE_ALL }, { true, 'a', ALL, ALL, DEVICE_ALL } };
        struct device_list list;
        struct error err;
        assert_int_equal(build_list(rules, 2, &list, &err), 0);
        assert_true(list.allow);
        assert_int_equal(list.count, 0);
        free(list.exceptions);
}

static void test_v1_list_takes_back_and_merges(void **state)
{
        (void)state;
        const struct device_rule rules[] = {
                { true, 'c', 1, 3, DEVICE_READ },
                { true, 'c', 1, 3, DEVICE_WRITE },
                { true, 'c', 1, 5, DEVICE_ALL },
                { true, 'b', 8, 0, DEVICE_ALL },
                { false, 'c', 1, 5, DEVICE_WRITE | DEVICE_MKNOD },
                { false, 'b', ALL, ALL, DEVICE_ALL },
        };
        struct device_list list;
        struct error err;
        assert_int_equal(build_list(rules, ARRAY_SIZE(rules), &list, &err), 0);
        assert_false(list.allow);
        assert_int_equal(list.count, 2);
        assert_int_equal(list.exceptions[0].access, DEVICE_READ | DEVICE_WRITE);
        assert_int_equal(list.exceptions[1].minor, 5);
        assert_int_equal(list.exceptions[1].access, DEVICE_READ);
        free(list.exceptions);
}

static void test_v1_list_refuses_a_hole_in_a_wider_rule(void **state)
{
        (void)state;
        const struct device_rule rules[] = { { true, 'c', 1, ALL, DEVICE_ALL }, { false, 'c', 1, 3, DEVICE_WRITE } };
        const struct device_rule holes[] = { { true, 'a', ALL, ALL, DEVICE_ALL },
                                             { false, 'c', 1, ALL, DEVICE_ALL },
                                             { true, 'c', 1, 3, DEVICE_READ } };
        struct device_list list;
        struct error err;
        assert_int_equal(build_list(rules, 2, &list, &err), -EOPNOTSUPP);
        assert_non_null(strstr(err.text, "denies \"c 1:3 w\""));
        assert_int_equal(build_list(holes, 3, &list, &err), -EOPNOTSUPP);
        assert_non_null(strstr(err.text, "allows \"c 1:3 r\""));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_program_denies_what_no_rule_speaks_of),
                cmocka_unit_test(test_program_lets_the_last_rule_decide_each_access),
                cmocka_unit_test(test_program_of_everything_allowed_has_no_unreachable_code),
                cmocka_unit_test(test_every_container_has_the_default_devices),
                cmocka_unit_test(test_a_rule_without_a_type_is_about_both),
                cmocka_unit_test(test_v1_list_starts_anew_at_a_rule_about_everything),
                cmocka_unit_test(test_v1_list_takes_back_and_merges),
                cmocka_unit_test(test_v1_list_refuses_a_hole_in_a_wider_rule),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
