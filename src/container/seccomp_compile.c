/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/seccomp_compile.h"

#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "container/seccomp_stub.h"

/* Changes whenever the same profile gives another program. */
#define COMPILER_VERSION 1

#define ARGUMENTS_MAX 6
#define ERRNO_MAX     4095

/* linux/seccomp.h has the names of actions, libseccomp those that take a number. */
static const struct {
        const char *name;
        uint32_t action;
        bool number; /* errnoRet goes with it */
} actions[] = {
        { "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW, false },
        { "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0), true },
        { "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD, false },
        { "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS, false },
        { "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD, false },
        { "SCMP_ACT_LOG", SCMP_ACT_LOG, false },
        { "SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY, false },
        { "SCMP_ACT_TRACE", SCMP_ACT_TRACE(0), true },
        { "SCMP_ACT_TRAP", SCMP_ACT_TRAP, false },
};

static const struct {
        const char *name;
        enum scmp_compare compare;
} operators[] = {
        { "SCMP_CMP_EQ", SCMP_CMP_EQ }, { "SCMP_CMP_GE", SCMP_CMP_GE }, { "SCMP_CMP_GT", SCMP_CMP_GT },
        { "SCMP_CMP_LE", SCMP_CMP_LE }, { "SCMP_CMP_LT", SCMP_CMP_LT }, { "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
        { "SCMP_CMP_NE", SCMP_CMP_NE },
};

/* The specification's name, and libseccomp's. An architecture that this libseccomp does not know cannot run here. */
static const struct {
        const char *name, *library;
} architectures[] = {
        { "SCMP_ARCH_AARCH64", "aarch64" },
        { "SCMP_ARCH_ARM", "arm" },
        { "SCMP_ARCH_LOONGARCH64", "loongarch64" },
        { "SCMP_ARCH_M68K", "m68k" },
        { "SCMP_ARCH_MIPS", "mips" },
        { "SCMP_ARCH_MIPS64", "mips64" },
        { "SCMP_ARCH_MIPS64N32", "mips64n32" },
        { "SCMP_ARCH_MIPSEL", "mipsel" },
        { "SCMP_ARCH_MIPSEL64", "mipsel64" },
        { "SCMP_ARCH_MIPSEL64N32", "mipsel64n32" },
        { "SCMP_ARCH_PARISC", "parisc" },
        { "SCMP_ARCH_PARISC64", "parisc64" },
        { "SCMP_ARCH_PPC", "ppc" },
        { "SCMP_ARCH_PPC64", "ppc64" },
        { "SCMP_ARCH_PPC64LE", "ppc64le" },
        { "SCMP_ARCH_RISCV64", "riscv64" },
        { "SCMP_ARCH_S390", "s390" },
        { "SCMP_ARCH_S390X", "s390x" },
        { "SCMP_ARCH_SH", "sh" },
        { "SCMP_ARCH_SHEB", "sheb" },
        { "SCMP_ARCH_X32", "x32" },
        { "SCMP_ARCH_X86", "x86" },
        { "SCMP_ARCH_X86_64", "x86_64" },
};

static void release_context(void *context)
{
        seccomp_release(context);
}
DEFINE_CLEANUP(seccomp_context, void, release_context)

static int parse_action(const struct json_at *object, const char *key, const char *number_key, uint32_t *action)
{
        const char *name = NULL;
        int64_t number = -1;
        bool numbered = json_get_i64(object, number_key, 0, ERRNO_MAX, &number);
        if (!json_need_string(object, key, &name))
                return json_failed(object);
        for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
                if (strcmp(name, actions[i].name) != 0)
                        continue;
                if (numbered && !actions[i].number)
                        return json_misfit(object, "has %s, which %s does not take", number_key, name);
                *action = actions[i].action | (actions[i].number ? (uint32_t)(numbered ? number : EPERM) : 0);
                return json_failed(object);
        }
        return json_misfit(object, "has the unknown %s \"%s\"", key, name);
}

static int parse_argument(const struct json_at *at, struct scmp_arg_cmp *argument)
{
        int64_t index = -1;
        uint64_t value = 0, second = 0;
        const char *name = NULL;
        json_get_i64(at, "index", 0, ARGUMENTS_MAX - 1, &index);
        json_get_u64(at, "value", &value);
        json_get_u64(at, "valueTwo", &second);
        if (!json_need_string(at, "op", &name))
                return json_failed(at);
        if (index < 0 && !json_failed(at))
                json_misfit(at, "must have an index");
        for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
                if (strcmp(name, operators[i].name) != 0)
                        continue;
                *argument = (struct scmp_arg_cmp){ (unsigned)index, operators[i].compare, value, second };
                return json_failed(at);
        }
        return json_misfit(at, "has the unknown op \"%s\"", name);
}

/* A filter in the making. */
struct compilation {
        scmp_filter_ctx context;
        uint32_t default_action;
        bool notify;
        struct seccomp_newest newest[SECCOMP_ARCHITECTURES_MAX]; /* one for each architecture in the filter */
        size_t architectures;
};

static int add_architecture(struct compilation *compilation, const char *name, uint32_t token, struct error *err)
{
        int r = seccomp_arch_add(compilation->context, token);
        /* -EDOM: of the other byte order, so no program of it runs on this kernel. */
        if (r == -EEXIST || r == -EDOM)
                return 0;
        if (r < 0)
                return error_code(err, r, "cannot add the architecture %s to a seccomp filter", name);
        compilation->newest[compilation->architectures++].architecture = token;
        return 0;
}

static int add_architectures(const struct json_at *at, struct compilation *compilation, struct error *err)
{
        struct json_at array = json_get_array(at, "architectures");
        compilation->newest[compilation->architectures++].architecture = seccomp_arch_native();
        for (size_t i = 0; i < json_count(&array); i++) {
                struct json_at element = json_element(&array, i);
                const char *name = json_string_at(&element);
                size_t known = 0;
                if (!name)
                        break;
                while (known < ARRAY_SIZE(architectures) && strcmp(name, architectures[known].name) != 0)
                        known++;
                if (known == ARRAY_SIZE(architectures))
                        return json_misfit(&element, "is the unknown architecture \"%s\"", name);
                uint32_t token = seccomp_arch_resolve_name(architectures[known].library);
                int r = token ? add_architecture(compilation, name, token, err) : 0;
                if (r < 0)
                        return r;
        }
        return json_failed(&array);
}

static void note_numbers(struct compilation *compilation, const char *name)
{
        for (size_t i = 0; i < compilation->architectures; i++) {
                struct seccomp_newest *newest = &compilation->newest[i];
                int number = seccomp_syscall_resolve_name_arch(newest->architecture, name);
                /* Calls that the architecture lacks have negative numbers. */
                if (number >= 0 && (uint32_t)number > newest->number)
                        newest->number = (uint32_t)number;
        }
}

struct rule {
        uint32_t action;
        struct scmp_arg_cmp arguments[ARGUMENTS_MAX * 4];
        unsigned count;
        bool repeated; /* several conditions on one argument */
};

static int parse_rule(const struct json_at *at, struct rule *rule)
{
        struct json_at arguments = json_get_array(at, "args");
        if (parse_action(at, "action", "errnoRet", &rule->action) < 0)
                return json_failed(at);
        if (json_count(&arguments) > ARRAY_SIZE(rule->arguments))
                return json_misfit(&arguments, "has %zu conditions; at most %zu are accepted", json_count(&arguments),
                                   ARRAY_SIZE(rule->arguments));
        unsigned seen = 0;
        for (size_t i = 0; i < json_count(&arguments); i++) {
                struct json_at element = json_element(&arguments, i);
                if (parse_argument(&element, &rule->arguments[i]) < 0)
                        return json_failed(at);
                rule->repeated |= seen >> rule->arguments[i].arg & 1;
                seen |= 1U << rule->arguments[i].arg;
                rule->count++;
        }
        return json_failed(at);
}

/*
 * libseccomp wants an argument no more than once in a rule. Profiles that have it several times are read as every
 * runtime reads them: each condition is a rule of its own, and one that holds is enough.
 */
static int add_rule(scmp_filter_ctx context, const struct rule *rule, int number)
{
        if (!rule->repeated)
                return seccomp_rule_add_array(context, rule->action, number, rule->count, rule->arguments);
        for (unsigned i = 0; i < rule->count; i++) {
                int r = seccomp_rule_add_array(context, rule->action, number, 1, &rule->arguments[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_names(struct compilation *compilation, const struct json_at *names, const struct rule *rule,
                     struct error *err)
{
        for (size_t i = 0; i < json_count(names); i++) {
                struct json_at at = json_element(names, i);
                const char *name = json_string_at(&at);
                if (!name)
                        return json_failed(names);
                int number = seccomp_syscall_resolve_name(name);
                if (number == __NR_SCMP_ERROR)
                        continue;
                note_numbers(compilation, name);
                /* libseccomp refuses a rule that only says what is the default. */
                if (rule->action == compilation->default_action)
                        continue;
                int r = add_rule(compilation->context, rule, number);
                if (r < 0)
                        return error_code(err, r, "cannot add a rule for %s to a seccomp filter", name);
                compilation->notify |= rule->action == SCMP_ACT_NOTIFY;
        }
        return json_failed(names);
}

static int add_rules(const struct json_at *at, struct compilation *compilation, struct error *err)
{
        struct json_at array = json_get_array(at, "syscalls");
        for (size_t i = 0; i < json_count(&array); i++) {
                struct json_at element = json_element(&array, i);
                struct json_at names = json_get_array(&element, "names");
                struct rule rule = { 0 };
                if (parse_rule(&element, &rule) < 0)
                        return json_failed(at);
                if (!json_count(&names) && !json_failed(at))
                        return json_misfit(&element, "must have names of system calls");
                int r = add_names(compilation, &names, &rule, err);
                if (r < 0)
                        return r;
        }
        return json_failed(&array);
}

/* Whether the default lets calls happen, or says ENOSYS itself. */
static bool needs_stub(uint32_t default_action)
{
        return default_action != SCMP_ACT_ALLOW && default_action != SCMP_ACT_LOG &&
               default_action != SCMP_ACT_ERRNO(ENOSYS) && (default_action & 0xffff0000) != SCMP_ACT_TRACE(0);
}

static int export_program(scmp_filter_ctx context, struct seccomp_program *program, struct error *err)
{
        _cleanup_close_ int file = memfd_create("seccomp", MFD_CLOEXEC);
        if (file < 0)
                return error_errno(err, "cannot make memory for a seccomp filter");
        int r = seccomp_export_bpf(context, file);
        if (r < 0)
                return error_code(err, r, "cannot compile a seccomp filter");
        if (lseek(file, 0, SEEK_SET) < 0)
                return error_errno(err, "cannot read a seccomp filter");
        size_t bytes;
        _cleanup_free_ char *filter = NULL;
        r = file_read_fd(file, "a seccomp filter", BPF_MAXINSNS * sizeof(struct sock_filter), &filter, &bytes, err);
        if (r == -EFBIG)
                return error_set(err, r,
                                 "the seccomp profile needs more than the %d instructions that the kernel takes",
                                 BPF_MAXINSNS);
        if (r < 0)
                return r;
        program->filter = (struct sock_filter *)(void *)TAKE_PTR(filter);
        program->length = (uint16_t)(bytes / sizeof(struct sock_filter));
        return 0;
}

int seccomp_compile(const struct json_at *at, struct seccomp_program *program, struct error *err)
{
        struct compilation compilation = { 0 };
        int r = parse_action(at, "defaultAction", "defaultErrnoRet", &compilation.default_action);
        if (r < 0)
                return r;
        if (compilation.default_action == SCMP_ACT_NOTIFY)
                return json_misfit(at, "has SCMP_ACT_NOTIFY as defaultAction: then even the system call that hands the "
                                       "listener over would wait for it");
        _cleanup_(seccomp_context) void *context = seccomp_init(compilation.default_action);
        if (!context)
                return error_memory(err);
        compilation.context = context;
        r = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
        /*
         * A tree of comparisons in place of a list takes longer to compile, which is done once, and a third of the
         * time to load: the kernel tries every number of every architecture then.
         */
        if (!r)
                r = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
        if (r < 0)
                return error_code(err, r, "cannot set up a seccomp filter");
        r = add_architectures(at, &compilation, err);
        if (!r)
                r = add_rules(at, &compilation, err);
        if (!r)
                r = export_program(context, program, err);
        if (r < 0)
                return r;
        program->notify = compilation.notify;
        if (!needs_stub(compilation.default_action))
                return 0;
        r = seccomp_stub_prepend(program, compilation.newest, compilation.architectures, err);
        if (r < 0)
                free(TAKE_PTR(program->filter));
        return r;
}

void seccomp_compiler_identity(char *text, size_t size)
{
        const struct scmp_version *version = seccomp_version();
        struct utsname host;
        uname(&host);
        snprintf(text, size, "%d %u.%u.%u %s", COMPILER_VERSION, version->major, version->minor, version->micro,
                 host.machine);
}

#define NAMES(object, key, table)                                                                                      \
        do {                                                                                                           \
                json_t *list_ = json_array();                                                                          \
                for (size_t i_ = 0; i_ < ARRAY_SIZE(table); i_++)                                                      \
                        json_array_append_new(list_, json_string((table)[i_].name));                                   \
                json_object_set_new(object, key, list_);                                                               \
        } while (0)

void seccomp_compiler_features(json_t *features)
{
        NAMES(features, "actions", actions);
        NAMES(features, "operators", operators);
        NAMES(features, "archs", architectures);
}
