/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/program.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "container/log.h"

static const struct {
        const char *name;
        int resource;
} limit_names[] = {
        { "RLIMIT_AS", RLIMIT_AS },
        { "RLIMIT_CORE", RLIMIT_CORE },
        { "RLIMIT_CPU", RLIMIT_CPU },
        { "RLIMIT_DATA", RLIMIT_DATA },
        { "RLIMIT_FSIZE", RLIMIT_FSIZE },
        { "RLIMIT_LOCKS", RLIMIT_LOCKS },
        { "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK },
        { "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
        { "RLIMIT_NICE", RLIMIT_NICE },
        { "RLIMIT_NOFILE", RLIMIT_NOFILE },
        { "RLIMIT_NPROC", RLIMIT_NPROC },
        { "RLIMIT_RSS", RLIMIT_RSS },
        { "RLIMIT_RTPRIO", RLIMIT_RTPRIO },
        { "RLIMIT_RTTIME", RLIMIT_RTTIME },
        { "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
        { "RLIMIT_STACK", RLIMIT_STACK },
};

int program_limit_from_name(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(limit_names); i++)
                if (!strcmp(limit_names[i].name, name))
                        return limit_names[i].resource;
        return -1;
}

/* Engines write "unlimited" as the largest unsigned number, as -1, or as a real number. */
static rlim_t limit_value(const struct json_at *object, const char *key)
{
        struct json_at at = json_get(object, key);
        if (!at.value && !json_failed(object))
                json_misfit(&at, "is required");
        if (json_is_real(at.value) && json_real_value(at.value) >= 9.2e18 && json_real_value(at.value) <= 1.85e19)
                return RLIM_INFINITY;
        if (json_is_integer(at.value) && json_integer_value(at.value) == -1)
                return RLIM_INFINITY;
        uint64_t value = 0;
        json_get_u64(object, key, &value);
        return value;
}

static int parse_limits(const struct json_at *process, struct program *program)
{
        struct json_at list = json_get_array(process, "rlimits");
        size_t count = json_count(&list);
        if (!count)
                return json_failed(process);
        program->limits = calloc(count, sizeof(*program->limits));
        if (!program->limits)
                return process->reader->code = error_memory(process->reader->err);
        for (size_t i = 0; i < count; i++) {
                struct json_at at = json_element(&list, i);
                if (!json_is_object(at.value))
                        return json_misfit(&at, "must be an object");
                struct program_limit *limit = &program->limits[i];
                if (!json_need_string(&at, "type", &limit->name))
                        return json_failed(&at);
                limit->resource = program_limit_from_name(limit->name);
                if (limit->resource < 0)
                        return json_misfit(&at, "has the unknown type \"%s\"", limit->name);
                for (size_t j = 0; j < i; j++)
                        if (program->limits[j].resource == limit->resource)
                                return json_misfit(&at, "repeats the type \"%s\"", limit->name);
                limit->values.rlim_max = limit_value(&at, "hard");
                limit->values.rlim_cur = limit_value(&at, "soft");
                if (json_failed(&at))
                        return json_failed(&at);
                if (limit->values.rlim_cur > limit->values.rlim_max)
                        return json_misfit(&at, "has a soft limit above its hard one");
                program->limit_count = i + 1;
        }
        return 0;
}

void program_add_group(struct program *program, gid_t group)
{
        for (size_t i = 0; i < program->group_count; i++)
                if (program->groups[i] == group)
                        return;
        program->groups[program->group_count++] = group;
}

static int parse_user(const struct json_at *process, struct program *program)
{
        struct json_at user = json_get_object(process, "user");
        if (!user.value)
                return json_failed(process);
        int64_t uid = 0, gid = 0, mask = 0;
        json_get_i64(&user, "uid", 0, UINT32_MAX - 1, &uid);
        json_get_i64(&user, "gid", 0, UINT32_MAX - 1, &gid);
        program->has_umask = json_get_i64(&user, "umask", 0, 0777, &mask);
        program->uid = (uid_t)uid;
        program->gid = (gid_t)gid;
        program->umask = (mode_t)mask;

        struct json_at groups = json_get_array(&user, "additionalGids");
        size_t count = json_count(&groups);
        if (count > NGROUPS_MAX)
                return json_misfit(&groups, "has %zu groups; the kernel takes %d", count, NGROUPS_MAX);
        program->groups = calloc(count + 1, sizeof(gid_t));
        if (!program->groups)
                return process->reader->code = error_memory(process->reader->err);
        for (size_t i = 0; i < count; i++) {
                struct json_at at = json_element(&groups, i);
                if (!json_is_integer(at.value) || json_integer_value(at.value) < 0 ||
                    json_integer_value(at.value) >= UINT32_MAX)
                        return json_misfit(&at, "must be a group number");
                program_add_group(program, (gid_t)json_integer_value(at.value));
        }
        return json_failed(process);
}

static int check_environment(const struct json_at *process, char *const *env)
{
        struct json_at at = json_get(process, "env");
        for (size_t i = 0; env && env[i]; i++)
                if (!strchr(env[i], '=') || env[i][0] == '=')
                        return json_misfit(&at, "has \"%s\", which is not NAME=value", env[i]);
        return 0;
}

int program_parse(const struct json_at *at, struct program *program, struct error *err)
{
        json_get_bool(at, "terminal", &program->terminal);
        struct json_at size = json_get_object(at, "consoleSize");
        int64_t rows = 0, columns = 0;
        json_get_i64(&size, "height", 0, USHRT_MAX, &rows);
        json_get_i64(&size, "width", 0, USHRT_MAX, &columns);
        program->rows = (unsigned short)rows;
        program->columns = (unsigned short)columns;

        json_get_strings(at, "args", &program->args);
        json_get_strings(at, "env", &program->env);
        json_need_string(at, "cwd", &program->cwd);
        json_get_string(at, "apparmorProfile", &program->apparmor_profile);
        json_get_string(at, "selinuxLabel", &program->selinux_label);
        json_get_bool(at, "noNewPrivileges", &program->no_new_privileges);
        int64_t score = 0;
        program->has_oom_score = json_get_i64(at, "oomScoreAdj", -1000, 1000, &score);
        program->oom_score = (int)score;
        if (json_failed(at))
                return json_failed(at);

        struct json_at field = json_get(at, "args");
        if (!program->args || !program->args[0])
                return json_misfit(&field, "must name a program");
        if (!*program->args[0])
                return json_misfit(&field, "has an empty name of a program");
        field = json_get(at, "cwd");
        if (program->cwd[0] != '/')
                return json_misfit(&field, "is \"%s\"; it must be an absolute path", program->cwd);
        if (check_environment(at, program->env) < 0 || parse_user(at, program) < 0 || parse_limits(at, program) < 0 ||
            scheduling_parse_process(at, &program->scheduling) < 0)
                return json_failed(at);

        struct json_at capabilities = json_get_object(at, "capabilities");
        if (json_failed(at))
                return json_failed(at);
        return capabilities.value ? capabilities_parse(&capabilities, &program->capabilities, log_warning, err) : 0;
}

void program_free(struct program *program)
{
        list_free(program->args);
        list_free(program->env);
        free(program->groups);
        free(program->limits);
        *program = (struct program){ 0 };
}

const char *environment_get(char *const *env, const char *name)
{
        const char *found = NULL;
        size_t length = strlen(name);
        for (; env && *env; env++)
                if (!strncmp(*env, name, length) && (*env)[length] == '=')
                        found = *env + length + 1;
        return found;
}

int environment_set(char ***env, const char *name, const char *value)
{
        size_t length = strlen(name);
        for (size_t i = 0; *env && (*env)[i]; i++) {
                if (strncmp((*env)[i], name, length) || (*env)[i][length] != '=')
                        continue;
                char *changed = text_format("%s=%s", name, value);
                if (!changed)
                        return -ENOMEM;
                free((*env)[i]);
                (*env)[i] = changed;
                return 0;
        }
        return list_printf(env, "%s=%s", name, value);
}

int program_raise_limits(const struct program *program, pid_t pid, struct error *err)
{
        for (size_t i = 0; i < program->limit_count; i++) {
                const struct program_limit *limit = &program->limits[i];
                struct rlimit values;
                if (prlimit(pid, limit->resource, NULL, &values) < 0)
                        return error_errno(err, "cannot read %s", limit->name);
                if (limit->values.rlim_max <= values.rlim_max)
                        continue;
                values.rlim_max = limit->values.rlim_max;
                if (prlimit(pid, limit->resource, &values, NULL) < 0)
                        return error_errno(err, "cannot raise %s to %llu", limit->name,
                                           (unsigned long long)values.rlim_max);
        }
        return 0;
}

int program_apply_limits(const struct program *program, struct error *err)
{
        for (size_t i = 0; i < program->limit_count; i++) {
                const struct program_limit *limit = &program->limits[i];
                if (setrlimit(limit->resource, &limit->values) < 0)
                        return error_errno(err, "cannot set %s to %llu (soft) and %llu (hard)", limit->name,
                                           (unsigned long long)limit->values.rlim_cur,
                                           (unsigned long long)limit->values.rlim_max);
        }
        return 0;
}
