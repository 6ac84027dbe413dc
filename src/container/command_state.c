/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "container/command.h"
#include "container/container.h"
#include "container/pid_namespace.h"
#include "container/runtime.h"

static int print_json(const json_t *value, size_t flags, struct error *err)
{
        _cleanup_free_ char *text = json_dumps(value, flags | JSON_ENCODE_ANY);
        if (!text)
                return error_memory(err);
        puts(text);
        return 0;
}

/* ---- state ---- */

static int state(const struct global_options *global, const struct command *command, int argc, char **argv,
                 struct error *err)
{
        char **operands;
        int r = command_parse(command, argc, argv, NULL, &operands, err);
        if (r)
                return r < 0 ? r : 0;
        _cleanup_(state) struct state *found = NULL;
        r = state_open(global->root, operands[0], false, &found, err);
        if (r < 0)
                return r;
        _cleanup_json_ json_t *report = state_report(found);
        if (report && runtime.report)
                runtime.report(found, report);
        return report ? print_json(report, JSON_INDENT(2), err) : error_memory(err);
}

/* ---- list ---- */

struct list_options {
        const char *format;
        bool quiet;
};

static const struct option_spec list_table[] = {
        { "format", 'f', OPTION_STRING, offsetof(struct list_options, format), "FORMAT", "table (default) or json" },
        { "quiet", 'q', OPTION_FLAG, offsetof(struct list_options, quiet), NULL, "print only identifiers" },
        { NULL },
};

static int check_format(const char *format, bool *json, struct error *err)
{
        *json = format && !strcmp(format, "json");
        if (!format || *json || !strcmp(format, "table"))
                return 0;
        return error_set(err, -EINVAL, "option --format takes table or json, not \"%s\"", format);
}

static int collect(const char *root, char *const *ids, json_t *reports, struct error *err)
{
        for (; ids && *ids; ids++) {
                _cleanup_(state) struct state *found = NULL;
                int r = state_open(root, *ids, false, &found, err);
                if (r == -ENOENT) /* removed since the folder was read */
                        continue;
                if (r < 0)
                        return r;
                if (json_array_append_new(reports, state_report(found)) < 0)
                        return error_memory(err);
        }
        return 0;
}

static void print_table(const json_t *reports)
{
        printf("%-20s %-10s %-10s %-40s %-32s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER");
        size_t i;
        json_t *report;
        json_array_foreach(reports, i, report) {
                const char *id, *status, *bundle, *created, *owner;
                int pid;
                if (!json_unpack(report, "{s:s, s:i, s:s, s:s, s:s, s:s}", "id", &id, "pid", &pid, "status", &status,
                                 "bundle", &bundle, "created", &created, "owner", &owner))
                        printf("%-20s %-10d %-10s %-40s %-32s %s\n", id, pid, status, bundle, created,
                               *owner ? owner : "root");
        }
}

static int list(const struct global_options *global, const struct command *command, int argc, char **argv,
                struct error *err)
{
        struct list_options options = { 0 };
        char **operands;
        bool json;
        int r = command_parse(command, argc, argv, &options, &operands, err);
        if (r)
                return r < 0 ? r : 0;
        r = check_format(options.format, &json, err);
        if (r < 0)
                return r;
        _cleanup_list_ char **ids = NULL;
        r = state_list(global->root, &ids, err);
        if (r < 0)
                return r;
        if (options.quiet) {
                for (char **id = ids; id && *id; id++)
                        puts(*id);
                return 0;
        }
        _cleanup_json_ json_t *reports = json_array();
        r = collect(global->root, ids, reports, err);
        if (r < 0)
                return r;
        if (json)
                return print_json(reports, JSON_COMPACT, err);
        print_table(reports);
        return 0;
}

/* ---- ps ---- */

static const struct option_spec ps_table[] = {
        { "format", 'f', OPTION_STRING, offsetof(struct list_options, format), "FORMAT", "table (default) or json" },
        { NULL },
};

static int processes_of(const char *root, const char *id, pid_t **pids, size_t *count, struct error *err)
{
        _cleanup_(state) struct state *found = NULL;
        int r = state_open(root, id, false, &found, err);
        if (r < 0)
                return r;
        struct cgroup *cgroup = NULL;
        r = container_cgroup(found, &cgroup, err);
        if (r < 0)
                return r;
        r = cgroup_processes(cgroup, pids, count, err);
        cgroup_free(cgroup);
        if (r < 0 || *count || state_status(found) == CONTAINER_STOPPED)
                return r;
        if (found->namespaces & CLONE_NEWPID)
                return pid_namespace_processes(found->pid, pids, count, err);
        return error_set(err, -EOPNOTSUPP,
                         "the container %s has neither a control group nor a pid namespace that would tell "
                         "its processes from others",
                         id);
}

static int print_pids(const pid_t *pids, size_t count, struct error *err)
{
        _cleanup_json_ json_t *list = json_array();
        for (size_t i = 0; i < count; i++)
                if (json_array_append_new(list, json_integer(pids[i])) < 0)
                        return error_memory(err);
        return print_json(list, JSON_COMPACT, err);
}

/* The field of a heading line in which `name` stands, counted from 0; -1. */
static int column_of(char *heading, const char *name)
{
        char *rest = NULL;
        int column = 0;
        for (char *field = strtok_r(heading, " \t", &rest); field; field = strtok_r(NULL, " \t", &rest), column++)
                if (!strcmp(field, name))
                        return column;
        return -1;
}

static bool line_is_of(const char *line, int column, const pid_t *pids, size_t count)
{
        for (;; column--) {
                line += strspn(line, " \t");
                if (!column)
                        break;
                line += strcspn(line, " \t");
        }
        pid_t pid = (pid_t)strtol(line, NULL, 10);
        for (size_t i = 0; i < count; i++)
                if (pids[i] == pid)
                        return true;
        return false;
}

static int print_processes(char *const *arguments, const pid_t *pids, size_t count, struct error *err)
{
        char *usual[] = { (char *)"ps", (char *)"-ef", NULL };
        _cleanup_list_ char **own = NULL;
        if (arguments[0]) {
                if (list_append(&own, "ps") < 0)
                        return error_memory(err);
                for (; *arguments; arguments++)
                        if (list_append(&own, *arguments) < 0)
                                return error_memory(err);
        }
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
                return error_errno(err, "cannot start ps");
        _cleanup_close_ int out = ends[0], in = ends[1];
        pid_t child;
        int r = process_spawn(own ? own : usual, (int[3]){ -1, in, -1 }, &child, err);
        if (r < 0)
                return r;
        close(TAKE_FD(in));
        _cleanup_free_ char *text = NULL;
        r = file_read_fd(out, "the output of ps", 64 << 20, &text, NULL, err);
        int status = 0;
        process_wait(child, &status);
        if (r < 0)
                return r;
        if (status)
                return error_set(err, -EIO, "ps ended with status %d", status);

        char *rest = NULL, *line = strtok_r(text, "\n", &rest);
        _cleanup_free_ char *heading = strdup(line ? line : "");
        int column = heading ? column_of(heading, "PID") : -1;
        if (column < 0)
                return error_set(err, -EINVAL, "what ps prints has no column PID");
        puts(line);
        while ((line = strtok_r(NULL, "\n", &rest)))
                if (line_is_of(line, column, pids, count))
                        puts(line);
        return 0;
}

static int ps(const struct global_options *global, const struct command *command, int argc, char **argv,
              struct error *err)
{
        struct list_options options = { 0 };
        char **operands;
        bool json;
        int r = command_parse(command, argc, argv, &options, &operands, err);
        if (r)
                return r < 0 ? r : 0;
        r = check_format(options.format, &json, err);
        if (r < 0)
                return r;
        if (runtime.list_processes && !json) {
                _cleanup_(state) struct state *found = NULL;
                r = state_open(global->root, operands[0], false, &found, err);
                return r < 0 ? r : runtime.list_processes(found, operands + 1, err);
        }
        _cleanup_free_ pid_t *pids = NULL;
        size_t count = 0;
        r = processes_of(global->root, operands[0], &pids, &count, err);
        if (r < 0)
                return r;
        return json ? print_pids(pids, count, err) : print_processes(operands + 1, pids, count, err);
}

const struct command command_state = {
        .name = "state",
        .operands = "ID",
        .help = "print what is known of a container, as JSON",
        .fewest = 1,
        .most = 1,
        .run = state,
};
const struct command command_list = {
        .name = "list",
        .operands = "",
        .help = "list containers",
        .options = list_table,
        .fewest = 0,
        .most = 0,
        .run = list,
};
const struct command command_ps = {
        .name = "ps",
        .operands = "ID [PS-OPTION...]",
        .help = "list a container's processes",
        .options = ps_table,
        .in_order = true,
        .fewest = 1,
        .most = -1,
        .run = ps,
};
