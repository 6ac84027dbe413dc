/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"

#define PATIENCE_MS 5000

const char *finding_state_name(enum finding_state state)
{
        static const char *const names[] = { "ok", "limited", "missing" };
        return names[state];
}

void probe_add(struct probe_report *report, const struct finding *finding, const char *format, ...)
{
        va_list args;
        va_start(args, format);
        char *found = NULL;
        if (vasprintf(&found, format, args) < 0)
                found = NULL;
        va_end(args);
        bool ok = finding->state == FINDING_OK;
        report->missing |= finding->state == FINDING_MISSING;
        json_t *object = json_pack("{s:s, s:s, s:s, s:s*, s:s*}", "topic", finding->topic, "state",
                                   finding_state_name(finding->state), "found", found ? found : "", "cost",
                                   ok ? NULL : finding->cost, "cure", ok ? NULL : finding->cure);
        if (!found || !object || json_array_append_new(report->findings, object))
                report->failed = true;
        free(found);
}

void probe_add_result(struct probe_report *report, const struct finding *finding, int result, const char *found,
                      const struct error *err)
{
        struct finding fine = { .topic = finding->topic };
        probe_add(report, result < 0 ? finding : &fine, "%s", result < 0 ? err->text : found);
}

int probe_in_child(int (*probe)(struct error *err), struct error *err)
{
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
                return error_errno(err, "cannot start a probe");
        _cleanup_close_ int in = ends[0], out = ends[1];
        pid_t child = fork();
        if (child < 0)
                return error_errno(err, "cannot start a probe");
        if (!child) {
                struct error result = { 0 };
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                probe(&result);
                _exit(write_all(out, &result, sizeof(result)) < 0);
        }
        close(TAKE_FD(out));
        struct pollfd wait = { .fd = in, .events = POLLIN };
        struct error result;
        bool answered = poll(&wait, 1, PATIENCE_MS) > 0;
        bool whole = answered && read(in, &result, sizeof(result)) == sizeof(result);
        kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
                ;
        if (!whole)
                return error_set(err, answered ? -EIO : -ETIMEDOUT, answered ? "the probe died" : "the probe hangs");
        if (result.code && err)
                *err = result;
        return result.code;
}

int probe_become_root(struct error *err)
{
        if (!geteuid())
                return 0;
        _cleanup_free_ char *uids = text_format("0 %u 1", geteuid()), *gids = text_format("0 %u 1", getegid());
        if (!uids || !gids)
                return error_memory(err);
        if (unshare(CLONE_NEWUSER) < 0)
                return error_errno(err, "cannot make a user namespace");
        int r = file_poke(AT_FDCWD, "/proc/self/setgroups", "deny", err);
        if (!r)
                r = file_poke(AT_FDCWD, "/proc/self/uid_map", uids, err);
        if (!r)
                r = file_poke(AT_FDCWD, "/proc/self/gid_map", gids, err);
        return r;
}

int probe_become_root_without_privilege(struct error *err)
{
        if (!geteuid()) {
                if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
                        return error_errno(err, "cannot become an ordinary user");
                /* The change of user took /proc/self from us. */
                prctl(PR_SET_DUMPABLE, 1);
        }
        return probe_become_root(err);
}
