/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/seccomp_profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/json.h"
#include "base/text.h"

#define ERRNO_MAX      4095
#define ARGUMENTS_MAX  6 /* of a system call */
#define CONDITIONS_MAX 24

static const char *const actions[] = {
        "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO",  "SCMP_ACT_KILL",  "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
        "SCMP_ACT_LOG",   "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP",         NULL,
};
static const char *const operators[] = {
        "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",        "SCMP_CMP_LE",
        "SCMP_CMP_LT", "SCMP_CMP_NE", "SCMP_CMP_MASKED_EQ", NULL,
};

struct seccomp_host seccomp_host_here(const json_t *capabilities)
{
        struct seccomp_host host = {
#if defined(__x86_64__)
                "amd64",
                "SCMP_ARCH_X86_64",
#elif defined(__i386__)
                "x86",
                "SCMP_ARCH_X86",
#elif defined(__aarch64__)
                "arm64",
                "SCMP_ARCH_AARCH64",
#elif defined(__arm__)
                "arm",
                "SCMP_ARCH_ARM",
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
                "ppc64le",
                "SCMP_ARCH_PPC64LE",
#elif defined(__s390x__)
                "s390x",
                "SCMP_ARCH_S390X",
#elif defined(__riscv) && __riscv_xlen == 64
                "riscv64",
                "SCMP_ARCH_RISCV64",
#else
                "",
                "",
#endif
        };
        struct utsname kernel;
        unsigned long version = 0, level = 0;
        if (!uname(&kernel))
                sscanf(kernel.release, "%lu.%lu", &version, &level);
        host.kernel[0] = version;
        host.kernel[1] = level;
        host.capabilities = capabilities;
        return host;
}

static bool holds(const json_t *list, const char *word)
{
        size_t i;
        const json_t *item;
        json_array_foreach(list, i, item)
                if (text_equal(json_string_value(item), word))
                        return true;
        return false;
}

/* A member that must be one of the words; NULL after a misfit. */
static const char *word_of(const struct json_at *object, const char *key, const char *const *words)
{
        const char *word = NULL;
        if (!json_need_string(object, key, &word))
                return NULL;
        for (; *words; words++)
                if (!strcmp(word, *words))
                        return word;
        struct json_at at = json_get(object, key);
        json_misfit(&at, "is the unknown \"%.64s\"", word);
        return NULL;
}

/* A list of strings that need no copy; the runtime reads it once more. */
static json_t *strings_of(const struct json_at *object, const char *key)
{
        struct json_at list = json_get_array(object, key);
        for (size_t i = 0; i < json_count(&list); i++) {
                struct json_at item = json_element(&list, i);
                json_string_at(&item);
        }
        return json_failed(object) ? NULL : (json_t *)list.value;
}

/* "6.1"; nothing but the two numbers has a meaning. */
static void read_kernel(const struct json_at *object, uint64_t version[2])
{
        const char *text = NULL;
        struct json_at at = json_get(object, "minKernel");
        if (!json_get_string(object, "minKernel", &text))
                return;
        char first[16];
        const char *dot = strchr(text, '.');
        snprintf(first, sizeof(first), "%.*s", dot && dot - text < 16 ? (int)(dot - text) : 0, text);
        if (!dot || parse_u64(first, &version[0]) < 0 || parse_u64(dot + 1, &version[1]) < 0)
                json_misfit(&at, "is \"%.64s\"; it must be a kernel's version and patch level, as \"5.10\"", text);
}

struct conditions {
        const json_t *architectures, *capabilities; /* NULL or empty: none is asked for */
        uint64_t kernel[2];                         /* 0, 0: any */
};

static void read_conditions(const struct json_at *rule, const char *key, struct conditions *conditions)
{
        static const char *const known[] = { "arches", "caps", "minKernel" };
        *conditions = (struct conditions){ 0 };
        struct json_at object = json_get_object(rule, key);
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)object.value, name, value) {
                bool fits = false;
                for (size_t i = 0; i < ARRAY_SIZE(known); i++)
                        fits |= !strcmp(name, known[i]);
                if (!fits)
                        json_misfit(&object,
                                    "has the unknown condition \"%.64s\"; there are arches, caps and minKernel", name);
        }
        conditions->architectures = strings_of(&object, "arches");
        conditions->capabilities = strings_of(&object, "caps");
        read_kernel(&object, conditions->kernel);
}

static bool kernel_reaches(const struct seccomp_host *host, const uint64_t version[2])
{
        return host->kernel[0] > version[0] || (host->kernel[0] == version[0] && host->kernel[1] >= version[1]);
}

/* Any of what excludes lists is enough to leave a rule out. */
static bool excluded(const struct conditions *conditions, const struct seccomp_host *host)
{
        size_t i;
        const json_t *capability;
        json_array_foreach(conditions->capabilities, i, capability)
                if (holds(host->capabilities, json_string_value(capability)))
                        return true;
        if (holds(conditions->architectures, host->architecture))
                return true;
        return (conditions->kernel[0] || conditions->kernel[1]) && kernel_reaches(host, conditions->kernel);
}

/* All that includes asks for must be: every capability, the kernel, and one of the architectures. */
static bool included(const struct conditions *conditions, const struct seccomp_host *host)
{
        size_t i;
        const json_t *capability;
        json_array_foreach(conditions->capabilities, i, capability)
                if (!holds(host->capabilities, json_string_value(capability)))
                        return false;
        if (json_array_size(conditions->architectures) && !holds(conditions->architectures, host->architecture))
                return false;
        return kernel_reaches(host, conditions->kernel);
}

/* Second names of errors: strerrorname_np(3) knows one for each number. */
static const struct {
        const char *name;
        int code;
} aliases[] = { { "EDEADLOCK", EDEADLOCK }, { "EOPNOTSUPP", EOPNOTSUPP }, { "EWOULDBLOCK", EWOULDBLOCK } };

static int code_of(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
                if (!strcmp(aliases[i].name, name))
                        return aliases[i].code;
        for (int code = 1; code <= ERRNO_MAX; code++)
                if (text_equal(strerrorname_np(code), name))
                        return code;
        return -1;
}

/* The number from `number_key`, or by name from `name_key`, which wins; -1 without either. */
static int64_t errno_of(const struct json_at *object, const char *number_key, const char *name_key)
{
        int64_t number = -1;
        const char *name = NULL;
        json_get_i64(object, number_key, 0, ERRNO_MAX, &number);
        if (!json_get_string(object, name_key, &name) || !*name)
                return number;
        int code = code_of(name);
        struct json_at at = json_get(object, name_key);
        if (code < 0)
                json_misfit(&at, "is \"%.64s\", which is not the name of an error; errno(3) lists them", name);
        return code;
}

static void check_arguments(const struct json_at *arguments)
{
        if (json_count(arguments) > CONDITIONS_MAX)
                json_misfit(arguments, "has %zu conditions; at most %d are accepted", json_count(arguments),
                            CONDITIONS_MAX);
        for (size_t i = 0; i < json_count(arguments); i++) {
                struct json_at argument = json_element(arguments, i);
                int64_t index;
                uint64_t value;
                if (!json_is_object(argument.value)) {
                        json_misfit(&argument, "must be an object");
                        return;
                }
                if (!json_get_i64(&argument, "index", 0, ARGUMENTS_MAX - 1, &index))
                        json_misfit(&argument, "must have an index");
                json_get_u64(&argument, "value", &value);
                json_get_u64(&argument, "valueTwo", &value);
                word_of(&argument, "op", operators);
        }
}

/* Borrowed names, or the one name as a list of its own: always to be released. */
static json_t *names_of(const struct json_at *rule)
{
        const char *name = NULL;
        json_t *names = strings_of(rule, "names");
        json_get_string(rule, "name", &name);
        bool named = name && *name;
        if (named && json_array_size(names))
                json_misfit(rule, "has both name and names; give one of them");
        if (!named && !json_array_size(names))
                json_misfit(rule, "must have names of system calls");
        return named ? json_pack("[s]", name) : json_incref(names);
}

/* Appends the rule where its conditions hold; one whose conditions do not hold is checked all the same. */
static int translate_rule(const struct json_at *rule, const struct seccomp_host *host, json_t *rules)
{
        struct conditions includes, excludes;
        if (!json_is_object(rule->value))
                return json_misfit(rule, "must be an object");
        _cleanup_json_ json_t *names = names_of(rule);
        const char *action = word_of(rule, "action", actions);
        int64_t number = errno_of(rule, "errnoRet", "errno");
        struct json_at arguments = json_get_array(rule, "args");
        check_arguments(&arguments);
        read_conditions(rule, "includes", &includes);
        read_conditions(rule, "excludes", &excludes);
        if (json_failed(rule))
                return json_failed(rule);
        if (excluded(&excludes, host) || !included(&includes, host))
                return 0;
        json_t *plain = json_pack("{s:O, s:s}", "names", names, "action", action);
        if (number >= 0)
                json_object_set_new(plain, "errnoRet", json_integer(number));
        if (json_count(&arguments))
                json_object_set(plain, "args", (json_t *)arguments.value);
        return json_array_append_new(rules, plain) ? error_memory(rule->reader->err) : 0;
}

/* "architectures", or what "archMap" has for this host; empty: the host's alone. */
static int translate_architectures(const struct json_at *root, const struct seccomp_host *host, json_t *list)
{
        json_t *given = strings_of(root, "architectures");
        struct json_at map = json_get_array(root, "archMap");
        if (json_array_size(given) && json_count(&map))
                return json_misfit(root, "has both architectures and archMap; give one of them");
        json_array_extend(list, given);
        for (size_t i = 0; i < json_count(&map); i++) {
                struct json_at entry = json_element(&map, i);
                const char *name = NULL;
                if (!json_is_object(entry.value))
                        return json_misfit(&entry, "must be an object");
                json_t *others = strings_of(&entry, "subArchitectures");
                if (!json_need_string(&entry, "architecture", &name))
                        return json_failed(root);
                if (strcmp(name, host->token) != 0 || json_array_size(list))
                        continue;
                json_array_append_new(list, json_string(name));
                json_array_extend(list, others);
        }
        return json_failed(root);
}

static int translate_rules(const struct json_at *root, const struct seccomp_host *host, json_t *rules)
{
        struct json_at array = json_get_array(root, "syscalls");
        int r = json_failed(root);
        for (size_t i = 0; !r && i < json_count(&array); i++) {
                struct json_at rule = json_element(&array, i);
                r = translate_rule(&rule, host, rules);
        }
        return r;
}

/* What means the same in both languages; the runtime checks it where it uses it. */
static void copy_rest(const struct json_at *root, json_t *seccomp)
{
        static const char *const keys[] = { "flags", "listenerPath", "listenerMetadata" };
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                struct json_at at = json_get(root, keys[i]);
                if (at.value)
                        json_object_set(seccomp, keys[i], (json_t *)at.value);
        }
}

int seccomp_profile_translate(const json_t *profile, const char *document, const struct seccomp_host *host,
                              json_t **seccomp, struct error *err)
{
        struct json_reader reader = { .document = document, .err = err };
        struct json_at root = json_root(&reader, profile);
        const char *action = word_of(&root, "defaultAction", actions);
        int64_t number = errno_of(&root, "defaultErrnoRet", "defaultErrno");
        _cleanup_json_ json_t *architectures = json_array();
        _cleanup_json_ json_t *rules = json_array();
        int r = translate_architectures(&root, host, architectures);
        if (!r)
                r = translate_rules(&root, host, rules);
        if (r < 0)
                return r;
        json_t *made = json_pack("{s:s, s:O}", "defaultAction", action, "syscalls", rules);
        if (!made)
                return error_memory(err);
        if (number >= 0)
                json_object_set_new(made, "defaultErrnoRet", json_integer(number));
        if (json_array_size(architectures))
                json_object_set(made, "architectures", architectures);
        copy_rest(&root, made);
        *seccomp = made;
        return 0;
}
